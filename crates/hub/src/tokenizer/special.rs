//! The special tokens of a model folder, from `tokenizer_config.json` and `special_tokens_map.json`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{HubError, Result, describe};
use crate::json::{CONFIG_LIMIT, Fields, read_object_if_there};

/// The most tokens that a tokenizer configuration may add to the vocabulary.
const ADDED_LIMIT: usize = 100_000;

/// A special token's text and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialToken {
    /// The text, such as `<|endoftext|>`.
    pub text: String,
    /// Its id in the vocabulary.
    pub id: u32,
}

/// The tokens with a role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpecialTokens {
    /// Begins a sequence.
    pub bos: Option<SpecialToken>,
    /// Ends a sequence.
    pub eos: Option<SpecialToken>,
    /// Fills shorter sequences of a batch; the end token where the folder names none.
    pub pad: Option<SpecialToken>,
    /// Stands for what the vocabulary lacks.
    pub unk: Option<SpecialToken>,
}

/// A token that the configuration adds to the vocabulary, or describes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AddedSpec {
    pub(crate) text: String,
    pub(crate) lstrip: bool,
    pub(crate) rstrip: bool,
    pub(crate) single_word: bool,
    pub(crate) normalized: bool,
    pub(crate) special: bool,
}

/// What the tokenizer's configuration files say.
#[derive(Debug, Default)]
pub(crate) struct TokenizerConfig {
    /// The tokenizer's Python class, without its `Fast`.
    pub(crate) class: Option<String>,
    pub(crate) bos: Option<String>,
    pub(crate) eos: Option<String>,
    pub(crate) pad: Option<String>,
    pub(crate) unk: Option<String>,
    /// Tokens with no role of their own, such as `additional_special_tokens`.
    pub(crate) additional: Vec<String>,
    pub(crate) added: Vec<AddedSpec>,
    pub(crate) add_bos: Option<bool>,
    pub(crate) add_eos: Option<bool>,
    pub(crate) add_prefix_space: Option<bool>,
    pub(crate) clean_up_spaces: bool,
    /// `chat_template` as written, and the file it is in.
    pub(crate) chat_template: Option<(PathBuf, Value)>,
}

impl TokenizerConfig {
    /// Reads the files of a model folder; both may be absent.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let mut config = Self::default();
        // `tokenizer_config.json` comes second: where both name a token, it is the one that holds.
        for file in ["special_tokens_map.json", "tokenizer_config.json"] {
            let path = folder.join(file);
            if let Some(object) = read_object_if_there(&path, CONFIG_LIMIT)? {
                config.read_tokens(&path, &object)?;
                if file == "tokenizer_config.json" {
                    config.read_settings(&path, &object)?;
                }
            }
        }
        if config.class.is_none() {
            let path = folder.join("config.json");
            if let Some(object) = read_object_if_there(&path, CONFIG_LIMIT)? {
                let model_type = Fields { path: &path, object: &object }.text("model_type")?;
                config.class = model_type.and_then(class_of_model_type).map(str::to_owned);
            }
        }
        Ok(config)
    }

    fn read_tokens(&mut self, path: &Path, object: &Map<String, Value>) -> Result<()> {
        let roles = [
            ("bos_token", &mut self.bos),
            ("eos_token", &mut self.eos),
            ("pad_token", &mut self.pad),
            ("unk_token", &mut self.unk),
        ];
        for (field, role) in roles {
            match object.get(field) {
                None => {}
                Some(Value::Null) => *role = None,
                Some(value) => *role = Some(token_text(path, field, value)?),
            }
        }
        for field in ["cls_token", "sep_token", "mask_token"] {
            if let Some(value) = object.get(field).filter(|value| !value.is_null()) {
                self.additional.push(token_text(path, field, value)?);
            }
        }
        if let Some(Value::Array(items)) = object.get("additional_special_tokens") {
            for item in items.iter().take(ADDED_LIMIT) {
                self.additional.push(token_text(path, "additional_special_tokens", item)?);
            }
        }
        Ok(())
    }

    fn read_settings(&mut self, path: &Path, object: &Map<String, Value>) -> Result<()> {
        let fields = Fields { path, object };
        self.class = fields.text("tokenizer_class")?.map(|class| class.trim_end_matches("Fast").to_owned());
        self.add_bos = fields.truth("add_bos_token")?;
        self.add_eos = fields.truth("add_eos_token")?;
        self.add_prefix_space = fields.truth("add_prefix_space")?;
        self.clean_up_spaces = fields.truth("clean_up_tokenization_spaces")?.unwrap_or(false);
        self.chat_template = object.get("chat_template").map(|value| (path.to_owned(), value.clone()));
        match object.get("added_tokens_decoder") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Object(tokens)) if tokens.len() <= ADDED_LIMIT => {
                let mut added = Vec::with_capacity(tokens.len());
                for (id, token) in tokens {
                    let order = id.parse::<u32>().ok();
                    let (Some(order), Value::Object(token)) = (order, token) else {
                        return Err(wrong_token(path, &format!("added_tokens_decoder.{id}"), token));
                    };
                    added.push((order, added_spec(path, token)?));
                }
                added.sort_by_key(|(order, _)| *order);
                self.added = added.into_iter().map(|(_, spec)| spec).collect();
                Ok(())
            }
            Some(other) => Err(wrong_token(path, "added_tokens_decoder", other)),
        }
    }
}

/// A token is a text, or an object that has it as `content`.
fn token_text(path: &Path, field: &str, value: &Value) -> Result<String> {
    let text = match value {
        Value::Object(token) => token.get("content").and_then(Value::as_str),
        value => value.as_str(),
    };
    text.map(str::to_owned).ok_or_else(|| wrong_token(path, field, value))
}

fn added_spec(path: &Path, token: &Map<String, Value>) -> Result<AddedSpec> {
    let fields = Fields { path, object: token };
    let text = fields.text("content")?.ok_or_else(|| wrong_token(path, "content", &Value::Null))?.to_owned();
    let special = fields.truth("special")?.unwrap_or(false);
    Ok(AddedSpec {
        text,
        lstrip: fields.truth("lstrip")?.unwrap_or(false),
        rstrip: fields.truth("rstrip")?.unwrap_or(false),
        single_word: fields.truth("single_word")?.unwrap_or(false),
        normalized: fields.truth("normalized")?.unwrap_or(!special),
        special,
    })
}

fn wrong_token(path: &Path, field: &str, got: &Value) -> HubError {
    HubError::InvalidField {
        path: path.to_owned(),
        field: field.to_owned(),
        expected: "a token: a text or an object with `content`",
        got: describe(got),
    }
}

/// The tokenizer class that `transformers` picks for a model whose folder names none.
fn class_of_model_type(model_type: &str) -> Option<&'static str> {
    Some(match model_type {
        "gpt2" | "gptj" | "gpt_neo" => "GPT2Tokenizer",
        "gpt_neox" => "GPTNeoXTokenizer",
        "llama" | "mistral" | "mixtral" => "LlamaTokenizer",
        "gemma" | "gemma2" | "gemma3" | "gemma3_text" => "GemmaTokenizer",
        "qwen2" | "qwen3" => "Qwen2Tokenizer",
        _ => return None,
    })
}

/// The texts that a tokenizer class gives its roles when the files do not: bos, eos, unk, pad. Folders from before
/// these files existed, such as GPT-2's, rely on it.
pub(crate) fn class_defaults(class: &str) -> [Option<&'static str>; 4] {
    const END: Option<&str> = Some("<|endoftext|>");
    match class {
        "GPT2Tokenizer" | "GPTNeoXTokenizer" => [END, END, END, None],
        "LlamaTokenizer" | "CodeLlamaTokenizer" => [Some("<s>"), Some("</s>"), Some("<unk>"), None],
        "GemmaTokenizer" => [Some("<bos>"), Some("<eos>"), Some("<unk>"), Some("<pad>")],
        "Qwen2Tokenizer" => [None, END, END, END],
        _ => [None; 4],
    }
}

/// For the classes that put bos and eos around a text by their own rule, whatever `tokenizer.json` says: whether they
/// do when the configuration is silent.
pub(crate) fn class_template(class: &str) -> Option<(bool, bool)> {
    match class {
        "LlamaTokenizer" | "CodeLlamaTokenizer" | "GemmaTokenizer" | "CohereTokenizer" => Some((true, false)),
        "GPTNeoXTokenizer" => Some((false, false)),
        _ => None,
    }
}
