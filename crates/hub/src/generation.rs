//! The generation settings of a model folder.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::Result;
use crate::json::{CONFIG_LIMIT, Fields, read_object_if_there};

/// The settings of `generation_config.json`, or of `config.json` where the former is absent.
///
/// Nothing is filled in: what the files do not say is `None`, so that the caller's defaults are in one place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GenerationConfig {
    /// The tokens that end a sequence; the files hold one id or a list.
    pub eos_token_ids: Vec<u32>,
    /// The token that fills shorter sequences.
    pub pad_token_id: Option<u32>,
    /// The token that begins a sequence.
    pub bos_token_id: Option<u32>,
    /// Whether tokens are drawn at random rather than the likeliest taken.
    pub do_sample: Option<bool>,
    /// The divisor of the logits.
    pub temperature: Option<f64>,
    /// How many of the likeliest tokens are drawn from.
    pub top_k: Option<usize>,
    /// The share of probability, from the likeliest down, that is drawn from.
    pub top_p: Option<f64>,
    /// The least probability, relative to the likeliest token's, that is drawn from.
    pub min_p: Option<f64>,
    /// The mass of locally typical tokens that is drawn from.
    pub typical_p: Option<f64>,
    /// The divisor of the logits of tokens that occurred.
    pub repetition_penalty: Option<f64>,
    /// The exponent of the length in beam scores.
    pub length_penalty: Option<f64>,
    /// The length of token sequences that may not occur twice; 0 is off.
    pub no_repeat_ngram_size: Option<usize>,
    /// The most tokens to generate.
    pub max_new_tokens: Option<usize>,
    /// The most tokens of prompt and continuation together.
    pub max_length: Option<usize>,
    /// The least tokens to generate.
    pub min_new_tokens: Option<usize>,
    /// The least tokens of prompt and continuation together.
    pub min_length: Option<usize>,
    /// The number of beams; 1 is no beam search.
    pub num_beams: Option<usize>,
    /// How many sequences to return for a prompt.
    pub num_return_sequences: Option<usize>,
    /// Whether keys and values are kept between steps.
    pub use_cache: Option<bool>,
    /// Every other field of `generation_config.json`, as written.
    pub extra: Map<String, Value>,
}

/// The fields with a place of their own.
const KNOWN: [&str; 19] = [
    "eos_token_id",
    "pad_token_id",
    "bos_token_id",
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "no_repeat_ngram_size",
    "max_new_tokens",
    "max_length",
    "min_new_tokens",
    "min_length",
    "num_beams",
    "num_return_sequences",
    "use_cache",
];

impl GenerationConfig {
    /// Reads the settings of a model folder; one with neither file has none.
    ///
    /// # Errors
    ///
    /// [`crate::HubError::Json`] and [`crate::HubError::InvalidField`].
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("generation_config.json");
        if let Some(object) = read_object_if_there(&path, CONFIG_LIMIT)? {
            return Self::parse(&path, object);
        }
        let path = folder.join("config.json");
        let Some(mut object) = read_object_if_there(&path, CONFIG_LIMIT)? else {
            return Ok(Self::default());
        };
        // The rest of a model's configuration is not about generation.
        object.retain(|field, _| KNOWN.contains(&field.as_str()));
        Self::parse(&path, object)
    }

    /// Reads the settings from a JSON object; `path` is used for errors only.
    fn parse(path: &Path, mut object: Map<String, Value>) -> Result<Self> {
        let fields = Fields { path, object: &object };
        let mut config = Self {
            eos_token_ids: fields.ids("eos_token_id")?,
            pad_token_id: fields.id("pad_token_id")?,
            bos_token_id: fields.id("bos_token_id")?,
            do_sample: fields.truth("do_sample")?,
            temperature: fields.number("temperature")?,
            top_k: fields.count("top_k")?,
            top_p: fields.number("top_p")?,
            min_p: fields.number("min_p")?,
            typical_p: fields.number("typical_p")?,
            repetition_penalty: fields.number("repetition_penalty")?,
            length_penalty: fields.number("length_penalty")?,
            no_repeat_ngram_size: fields.count("no_repeat_ngram_size")?,
            max_new_tokens: fields.count("max_new_tokens")?,
            max_length: fields.count("max_length")?,
            min_new_tokens: fields.count("min_new_tokens")?,
            min_length: fields.count("min_length")?,
            num_beams: fields.count("num_beams")?,
            num_return_sequences: fields.count("num_return_sequences")?,
            use_cache: fields.truth("use_cache")?,
            extra: Map::new(),
        };
        object.retain(|field, _| !KNOWN.contains(&field.as_str()));
        config.extra = object;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, text: &str) -> Result<GenerationConfig> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), text).unwrap();
        GenerationConfig::load(folder.path())
    }

    #[test]
    fn end_tokens_are_one_id_or_a_list() {
        assert_eq!(load("generation_config.json", r#"{"eos_token_id": 7}"#).unwrap().eos_token_ids, [7]);
        assert_eq!(
            load("generation_config.json", r#"{"eos_token_id": [7, 9]}"#).unwrap().eos_token_ids,
            [7, 9]
        );
        assert_eq!(
            load("generation_config.json", r#"{"eos_token_id": null}"#).unwrap().eos_token_ids,
            [0_u32; 0]
        );
    }

    #[test]
    fn unknown_fields_are_kept_and_known_ones_are_typed() {
        let text = r#"{"temperature": 0.5, "top_k": 40, "do_sample": true, "new_idea": [1], "cache_implementation": "hybrid"}"#;
        let config = load("generation_config.json", text).unwrap();
        assert_eq!((config.temperature, config.top_k, config.do_sample), (Some(0.5), Some(40), Some(true)));
        assert_eq!(config.extra.keys().collect::<Vec<_>>(), ["new_idea", "cache_implementation"]);
    }

    #[test]
    fn the_model_config_stands_in_for_an_absent_file() {
        let config = load("config.json", r#"{"eos_token_id": 3, "max_length": 20, "n_layer": 2}"#).unwrap();
        assert_eq!((config.eos_token_ids.as_slice(), config.max_length), (&[3][..], Some(20)));
        assert!(config.extra.is_empty());
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named() {
        let error = load("generation_config.json", r#"{"top_k": "many"}"#).unwrap_err();
        assert!(
            error.to_string().starts_with("`top_k` in ")
                && error.to_string().ends_with("expected a whole number, got \"many\""),
            "{error}"
        );
        assert!(load("generation_config.json", r#"{"eos_token_id": [1, -1]}"#).is_err());
    }
}
