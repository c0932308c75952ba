//! What the tokenizer and the training blocks promise.

use std::sync::LazyLock;

use pellucid_demo::{
    END_OF_TEXT, Recipe, corpus::Corpus, encode, evaluation, lexicon, train_tokenizer, training_batches,
    write_tokenizer,
};
use proptest::prelude::*;
use tokenizers::Tokenizer;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let recipe = Recipe::default();
    train_tokenizer(recipe.d_vocab, recipe.seed).expect("the corpus trains a tokenizer")
});

#[test]
fn every_answer_distractor_and_lexicon_word_is_one_token() {
    for probe in evaluation() {
        for text in [&probe.answer, &probe.distractor] {
            assert_eq!(encode(&TOKENIZER, text).expect("text encodes").len(), 1, "{text:?}");
        }
    }
    for word in lexicon::all_words() {
        assert_eq!(encode(&TOKENIZER, &format!(" {word}")).expect("text encodes").len(), 1, "{word:?}");
    }
}

#[test]
fn prompts_fit_the_context() {
    let n_ctx = Recipe::default().n_ctx;
    for probe in evaluation() {
        assert!(encode(&TOKENIZER, &probe.prompt).expect("text encodes").len() < n_ctx, "{}", probe.prompt);
    }
}

#[test]
fn the_canonical_prompt_has_one_token_for_each_word() {
    let tokens = encode(&TOKENIZER, "The Eiffel Tower is in the city of").expect("text encodes");
    assert_eq!(tokens.len(), 8, "{tokens:?}");
}

#[test]
fn the_vocabulary_has_the_recipes_size_and_starts_with_end_of_text() {
    assert_eq!(TOKENIZER.get_vocab_size(true), Recipe::default().d_vocab);
    assert_eq!(TOKENIZER.token_to_id(END_OF_TEXT), Some(0));
}

#[test]
fn training_twice_writes_the_same_file_and_it_reads_back() {
    let recipe = Recipe::default();
    let again = train_tokenizer(recipe.d_vocab, recipe.seed).expect("the corpus trains a tokenizer");
    let folder = tempfile::tempdir().expect("a folder");
    write_tokenizer(&again, recipe.n_ctx, folder.path()).expect("the folder can be written");
    let written = std::fs::read_to_string(folder.path().join("tokenizer.json")).expect("it was written");
    assert_eq!(written, TOKENIZER.to_string(true).expect("it serialises"));
    let read = Tokenizer::from_file(folder.path().join("tokenizer.json")).expect("it reads");
    let text = "The Eiffel Tower is in the city of Paris.";
    assert_eq!(encode(&read, text).expect("text encodes"), encode(&TOKENIZER, text).expect("text encodes"));
}

#[test]
fn a_missing_folder_is_named_in_the_error() {
    let folder = tempfile::tempdir().expect("a folder").path().join("absent");
    let error = write_tokenizer(&TOKENIZER, 128, &folder).expect_err("there is no such folder");
    assert!(error.to_string().contains("absent"), "{error}");
}

#[test]
fn a_block_can_be_drawn_without_the_blocks_before_it() {
    let recipe = Recipe { rows: 4, seq: 32, opening_steps: 1, opening_seq: 16, ..Recipe::default() };
    let blocks = |first| training_batches(&TOKENIZER, &recipe, first);
    let third = blocks(0).nth(2).expect("endless").expect("text encodes");
    assert_eq!(third, blocks(2).next().expect("endless").expect("text encodes"));
    assert_eq!((third.rows, third.width, third.tokens.len()), (4, 33, 132));
}

#[test]
fn the_opening_has_shorter_rows_and_as_many_predictions() {
    let recipe = Recipe { rows: 4, seq: 32, opening_steps: 1, opening_seq: 16, ..Recipe::default() };
    let shapes: Vec<(usize, usize)> = training_batches(&TOKENIZER, &recipe, 0)
        .take(2)
        .map(|block| block.expect("text encodes"))
        .map(|block| (block.rows, block.width))
        .collect();
    assert_eq!(shapes, [(8, 17), (4, 33)]);
}

#[test]
fn every_row_starts_at_the_start_of_a_document() {
    let recipe =
        Recipe { rows: 64, seq: 64, opening_steps: 5, random_tokens_percent: 0, ..Recipe::default() };
    let corpus = Corpus::new(recipe.seed, recipe.mix);
    let block = training_batches(&TOKENIZER, &recipe, 5).next().expect("endless").expect("text encodes");
    let mut with_end_of_text = 0;
    for (row, tokens) in block.tokens.chunks(block.width).enumerate() {
        let document = (5 * 64 + row as u64) * block.width as u64;
        let expected = encode(&TOKENIZER, &corpus.document(document).text).expect("text encodes");
        let skip = usize::from(tokens[0] == 0);
        with_end_of_text += skip;
        let length = expected.len().min(block.width - skip);
        assert_eq!(tokens[skip..skip + length], expected[..length]);
    }
    assert!((16..48).contains(&with_end_of_text), "{with_end_of_text}");
}

proptest! {
    #[test]
    fn any_text_survives_encoding_and_decoding(text in "\\PC{0,40}") {
        let tokens = encode(&TOKENIZER, &text).expect("text encodes");
        prop_assert_eq!(TOKENIZER.decode(&tokens, false).expect("tokens decode"), text);
    }
}
