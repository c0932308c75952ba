//! Tokenizers compared with what `transformers` does with the same folders.

use std::path::{Path, PathBuf};

use pellucid_hub::{HubError, Tokenizer};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers")
}

fn load(name: &str) -> Tokenizer {
    Tokenizer::load(&fixtures().join(name)).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Compares a folder's tokenizer with a record that `make_tokenizers.py` made.
fn compare(folder: &Path, record: &Value) {
    let tokenizer = Tokenizer::load(folder).unwrap();
    let place = folder.display();
    assert_eq!(tokenizer.vocab_size() as u64, record["vocab_size"], "{place}");
    let special = tokenizer.special_tokens();
    for (role, token) in [("bos", &special.bos), ("eos", &special.eos), ("unk", &special.unk)] {
        let expected = record["roles"][role].as_u64();
        assert_eq!(token.as_ref().map(|token| u64::from(token.id)), expected, "{place}: {role}");
    }
    for case in record["cases"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let full = tokenizer.encode(text, true).unwrap();
        assert_eq!(full.ids, ids(&case["ids"]), "{place}: {text:?}");
        assert_eq!(tokenizer.encode(text, false).unwrap().ids, ids(&case["ids_plain"]), "{place}: {text:?}");
        assert_eq!(tokenizer.decode(&full.ids, false).unwrap(), case["decoded"].as_str().unwrap(), "{place}");
        assert_eq!(
            tokenizer.decode(&full.ids, true).unwrap(),
            case["decoded_skip"].as_str().unwrap(),
            "{place}"
        );
    }
}

fn read(path: &Path) -> serde_json::Map<String, Value> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn ids_and_texts_equal_those_of_transformers() {
    let golden = read(&fixtures().join("golden.json"));
    assert_eq!(golden.len(), 5);
    for (name, record) in &golden {
        compare(&fixtures().join(name), record);
    }
}

/// `PELLUCID_TOKENIZER_RECORD` is a file that `make_tokenizers.py FOLDER...` wrote.
#[test]
#[ignore = "needs model folders and a record made with Python"]
fn ids_and_texts_of_given_model_folders_equal_those_of_transformers() {
    let record =
        std::env::var_os("PELLUCID_TOKENIZER_RECORD").expect("PELLUCID_TOKENIZER_RECORD names the record");
    for (folder, record) in &read(Path::new(&record)) {
        compare(Path::new(folder), record);
    }
}

#[test]
fn offsets_are_the_bytes_of_the_text_that_each_token_stands_for() {
    let text = "The café, 北京";
    for name in ["byte_level", "word_piece"] {
        let encoding = load(name).encode(text, true).unwrap();
        assert_eq!(encoding.ids.len(), encoding.offsets.len());
        for range in &encoding.offsets {
            assert!(text.get(range.clone()).is_some(), "{name}: {range:?}");
        }
        assert_eq!(&text[encoding.offsets.iter().find(|range| range.len() == 3).unwrap().clone()], "The");
    }
}

#[test]
fn a_batch_is_each_text_on_its_own() {
    let tokenizer = load("byte_fallback");
    let texts = ["The Eiffel", "", "a much longer text, with more tokens"];
    let batch = tokenizer.encode_batch(&texts, true).unwrap();
    for (text, encoding) in texts.iter().zip(&batch) {
        assert_eq!(encoding, &tokenizer.encode(text, true).unwrap());
    }
}

#[test]
fn the_text_of_a_token_keeps_its_space_in_every_kind_of_vocabulary() {
    for (name, token, expected) in
        [("byte_level", "Ġthe", " the"), ("byte_fallback", "▁to", " to"), ("word_piece", "the", " the")]
    {
        let tokenizer = load(name);
        let id = tokenizer.token_id(token).unwrap_or_else(|| panic!("{name} has no {token}"));
        assert_eq!(tokenizer.token_text(id).unwrap(), expected, "{name}");
    }
    let tokenizer = load("byte_level");
    let end = tokenizer.special_tokens().eos.clone().unwrap();
    assert_eq!(tokenizer.token_text(end.id).unwrap(), "<|endoftext|>");
    assert_eq!(tokenizer.pieces("the city of").unwrap().concat(), "the city of");
    let smile = tokenizer.encode("😀", false).unwrap();
    assert_eq!(tokenizer.token_text(smile.ids[0]).unwrap(), "\u{fffd}");
}

#[test]
fn the_padding_token_falls_back_to_the_end_token() {
    let tokenizer = load("byte_level");
    assert_eq!(tokenizer.special_tokens().pad, tokenizer.special_tokens().eos);
    let tokenizer = load("word_piece");
    assert_eq!(tokenizer.special_tokens().pad.as_ref().unwrap().text, "[PAD]");
    assert_eq!(tokenizer.special_tokens().eos, None);
}

#[test]
fn only_some_tokenizers_begin_with_bos() {
    assert!(load("byte_fallback").adds_bos() && load("added").adds_bos());
    assert!(!load("byte_level").adds_bos() && !load("word_piece").adds_bos());
}

#[test]
fn an_id_outside_the_vocabulary_is_refused() {
    let tokenizer = load("byte_level");
    let limit = tokenizer.vocab_size() as u32;
    for result in [tokenizer.token_text(limit), tokenizer.decode(&[0, limit], true)] {
        let error = result.unwrap_err();
        assert!(
            matches!(error, HubError::UnknownTokenId { id, limit: l } if id == limit && l == limit),
            "{error:?}"
        );
    }
}

#[test]
fn a_folder_without_a_tokenizer_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tokenizer::load(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("has no `tokenizer.json`"), "{error}");
    assert!(error.hint().unwrap().contains("save_pretrained"));
}

#[test]
fn a_broken_tokenizer_is_refused_and_what_the_library_cannot_take_does_not_unwind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, "{\n\"version\": 1.0,,}").unwrap();
    let error = Tokenizer::load(folder.path()).unwrap_err();
    assert!(matches!(error, HubError::Json { line: 2, .. }), "{error:?}");
    // The library panics on a decoder that is not an object.
    let text = std::fs::read_to_string(fixtures().join("word_piece/tokenizer.json")).unwrap();
    let mut tokenizer: Value = serde_json::from_str(&text).unwrap();
    tokenizer["decoder"] = Value::from(7);
    for text in ["{}".to_owned(), tokenizer.to_string()] {
        std::fs::write(&path, text).unwrap();
        let error = Tokenizer::load(folder.path()).unwrap_err();
        assert!(matches!(&error, HubError::Tokenizer { .. }), "{error:?}");
    }
}
