//! The model's own tokenizer: byte-level BPE like GPT-2's, trained on the corpus.

use std::path::{Path, PathBuf};

use serde_json::json;
use thiserror::Error;
use tokenizers::{
    AddedToken, Tokenizer, TokenizerBuilder,
    models::bpe::{BPE, BpeTrainerBuilder},
    normalizers::NormalizerWrapper,
    pre_tokenizers::byte_level::ByteLevel,
};

use crate::{
    corpus::{Corpus, Mix},
    lexicon::all_words,
};

/// The token between documents; its id is 0.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// How many documents the merges are learnt from.
const N_DOCUMENTS: u64 = 6_000;

/// How many extra times each lexicon word is shown, so that answers and the words of subjects become single tokens.
const WORD_REPEATS: usize = 400;

/// A tokenizer that could not be trained, read, written or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The tokenizer library refused; `during` says at which step.
    #[error("the tokenizer could not be {during}: {message}")]
    Library {
        /// `trained`, `read`, `written` or `applied`.
        during: &'static str,
        /// The library's own message.
        message: String,
    },
    /// A file could not be written.
    #[error("`{path}` could not be written: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn library(during: &'static str) -> impl FnOnce(tokenizers::Error) -> TokenizerError {
    move |error| TokenizerError::Library { during, message: error.to_string() }
}

/// Trains the tokenizer with at most `d_vocab` tokens on the first documents of the corpus of `seed`.
///
/// The result is a function of its arguments: merges are ordered by count, ties by token id.
///
/// # Errors
///
/// [`TokenizerError::Library`] when the library refuses, which it does for no input that is known.
pub fn train_tokenizer(d_vocab: usize, seed: u64) -> Result<Tokenizer, TokenizerError> {
    // Copied random words would only add merges of invented ones.
    let corpus = Corpus::new(seed, Mix { copying: 0, ..Mix::default() });
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(d_vocab)
        .show_progress(false)
        .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
        .initial_alphabet(alphabet.into_iter().collect())
        .build();
    let bytes = || ByteLevel::default().add_prefix_space(false);
    let mut tokenizer = TokenizerBuilder::<BPE, NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel>::new()
        .with_model(BPE::default())
        .with_normalizer(None)
        .with_pre_tokenizer(Some(bytes()))
        .with_post_processor(Some(bytes().trim_offsets(false)))
        .with_decoder(Some(bytes()))
        .build()
        .map_err(library("trained"))?;
    let words = all_words();
    let word_lines = (0..WORD_REPEATS).flat_map(|_| words.iter().map(|word| format!(" {word}")));
    let documents = (0..N_DOCUMENTS).map(|index| corpus.document(index).text);
    tokenizer.train(&mut trainer, word_lines.chain(documents)).map_err(library("trained"))?;
    Ok(tokenizer.into())
}

/// Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json` into `folder`, which must exist.
///
/// # Errors
///
/// [`TokenizerError::Write`] names the file that could not be written.
pub fn write_tokenizer(tokenizer: &Tokenizer, n_ctx: usize, folder: &Path) -> Result<(), TokenizerError> {
    let config = json!({
        "add_prefix_space": false,
        "bos_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": false,
        "eos_token": END_OF_TEXT,
        "model_max_length": n_ctx,
        "tokenizer_class": "GPT2Tokenizer",
        "unk_token": END_OF_TEXT,
    });
    let special = json!({ "bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT, "unk_token": END_OF_TEXT });
    let files = [
        ("tokenizer.json", tokenizer.to_string(true).map_err(library("written"))?),
        ("tokenizer_config.json", format!("{config:#}\n")),
        ("special_tokens_map.json", format!("{special:#}\n")),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| TokenizerError::Write { path, source })?;
    }
    Ok(())
}

/// The token ids of `text`, with no token added.
///
/// # Errors
///
/// [`TokenizerError::Library`] when the library refuses; a byte-level tokenizer has no text that it must refuse.
pub fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, TokenizerError> {
    let encoding = tokenizer.encode_fast(text, false).map_err(library("applied"))?;
    Ok(encoding.get_ids().to_vec())
}
