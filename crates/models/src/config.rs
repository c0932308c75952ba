//! Reading `config.json` so that no attribute is overlooked.

use std::cell::RefCell;
use std::collections::BTreeSet;

use pellucid_nn::layers::{ActivationKind, Heads};
use serde_json::{Map, Value};

use crate::error::{ModelError, Result};

/// Attributes of every Hugging Face configuration that do not change a language model's arithmetic.
const WITHOUT_EFFECT: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "initializer_range",
    "is_decoder",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
];

/// A configuration whose attributes are ticked off as they are read.
#[derive(Debug)]
pub struct Config<'a> {
    model_type: String,
    attributes: &'a Map<String, Value>,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Config<'a> {
    /// Starts reading.
    ///
    /// # Errors
    /// If the value is not an object with a `model_type`.
    pub fn new(config: &'a Value) -> Result<Config<'a>> {
        let missing = || ModelError::Missing { attribute: "model_type".into() };
        let attributes = config.as_object().ok_or_else(missing)?;
        let model_type = attributes.get("model_type").and_then(Value::as_str).ok_or_else(missing)?;
        Ok(Config { model_type: model_type.to_owned(), attributes, read: RefCell::default() })
    }

    /// The family's name.
    #[must_use]
    pub fn model_type(&self) -> &str {
        &self.model_type
    }

    /// An attribute as it stands; `None` if absent or null.
    #[must_use]
    pub fn raw(&self, attribute: &str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(attribute.to_owned());
        self.attributes.get(attribute).filter(|v| !v.is_null())
    }

    /// The fault of an attribute whose value makes no sense.
    pub(crate) fn invalid(attribute: &str, expected: &str, got: &Value) -> ModelError {
        ModelError::Invalid { attribute: attribute.into(), expected: expected.into(), got: got.to_string() }
    }

    /// Whether an attribute is given as null, which for some attributes is another thing than its absence.
    #[must_use]
    pub fn is_null(&self, attribute: &str) -> bool {
        self.attributes.get(attribute).is_some_and(Value::is_null)
    }

    /// A size, if given.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] if it is not a non-negative integer below 2^30.
    pub fn optional_size(&self, attribute: &str) -> Result<Option<usize>> {
        let Some(value) = self.raw(attribute) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if n < 1 << 30 => Ok(Some(n as usize)),
            _ => Err(Self::invalid(attribute, "a size", value)),
        }
    }

    /// A size greater than zero, with the default of the reference implementation.
    ///
    /// # Errors
    /// [`ModelError::Invalid`].
    pub fn size(&self, attribute: &str, default: usize) -> Result<usize> {
        match self.optional_size(attribute)? {
            Some(0) => Err(Self::invalid(attribute, "a size greater than zero", &Value::from(0))),
            given => Ok(given.unwrap_or(default)),
        }
    }

    /// A number of layers, with the default of the reference implementation.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] if it is zero or more than any model has.
    pub fn layers(&self, attribute: &str, default: usize) -> Result<usize> {
        let n = self.size(attribute, default)?;
        if n > 4096 { Err(Self::invalid(attribute, "at most 4096 layers", &n.into())) } else { Ok(n) }
    }

    /// A size that null turns off, with the default of the reference implementation for its absence.
    ///
    /// # Errors
    /// [`ModelError::Invalid`].
    pub fn nullable_size(&self, attribute: &str, default: usize) -> Result<Option<usize>> {
        if self.is_null(attribute) {
            self.optional_size(attribute)
        } else {
            self.size(attribute, default).map(Some)
        }
    }

    /// A number that null turns off, with the default of the reference implementation for its absence.
    ///
    /// # Errors
    /// [`ModelError::Invalid`].
    pub fn nullable_number(&self, attribute: &str, default: f64) -> Result<Option<f64>> {
        let number = self.number(attribute, default)?;
        Ok((!self.is_null(attribute)).then_some(number))
    }

    /// A number, with the default of the reference implementation.
    ///
    /// # Errors
    /// [`ModelError::Invalid`].
    pub fn number(&self, attribute: &str, default: f64) -> Result<f64> {
        match self.raw(attribute) {
            None => Ok(default),
            Some(v) => v.as_f64().ok_or_else(|| Self::invalid(attribute, "a number", v)),
        }
    }

    /// A truth value, with the default of the reference implementation; null is false, as in Python.
    ///
    /// # Errors
    /// [`ModelError::Invalid`].
    pub fn flag(&self, attribute: &str, default: bool) -> Result<bool> {
        match self.raw(attribute) {
            None => Ok(default && !self.is_null(attribute)),
            Some(v) => v.as_bool().ok_or_else(|| Self::invalid(attribute, "true or false", v)),
        }
    }

    /// A text, with the default of the reference implementation.
    ///
    /// # Errors
    /// [`ModelError::Invalid`].
    pub fn text(&self, attribute: &str, default: &'a str) -> Result<&'a str> {
        match self.raw(attribute) {
            None => Ok(default),
            Some(v) => v.as_str().ok_or_else(|| Self::invalid(attribute, "a text", v)),
        }
    }

    /// The activation function an attribute names, with the default of the reference implementation.
    ///
    /// # Errors
    /// [`ModelError::Unhandled`] names a function that does not exist here.
    pub fn activation(&self, attribute: &str, default: &'a str) -> Result<ActivationKind> {
        let name = self.text(attribute, default)?;
        ActivationKind::parse(name).ok_or_else(|| self.unhandled(attribute, name))
    }

    /// The entry of an embedding that pads, if `pad_token_id` names one; negative ids count from the end.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] if it is outside the vocabulary.
    pub fn padding(&self, default: Option<usize>, d_vocab: usize) -> Result<Option<usize>> {
        let attribute = "pad_token_id";
        let Some(value) = self.raw(attribute) else {
            return Ok(default.filter(|_| !self.is_null(attribute)));
        };
        let n = d_vocab as i64;
        match value.as_i64() {
            Some(id) if (-n..n).contains(&id) => Ok(Some(id.rem_euclid(n) as usize)),
            _ => Err(Self::invalid(attribute, &format!("a token id below {d_vocab}"), value)),
        }
    }

    /// An attribute that is handled at one value only.
    ///
    /// # Errors
    /// [`ModelError::Unhandled`] if it has another value.
    pub fn only(&self, attribute: &str, value: impl Into<Value>) -> Result<()> {
        match self.raw(attribute) {
            Some(found) if *found != value.into() => Err(self.unhandled(attribute, &found.to_string())),
            _ => Ok(()),
        }
    }

    /// The fault of an attribute whose value is not handled.
    #[must_use]
    pub fn unhandled(&self, attribute: &str, value: &str) -> ModelError {
        ModelError::Unhandled {
            attribute: attribute.into(),
            value: value.into(),
            model_type: self.model_type.clone(),
        }
    }

    /// Sizes of attention: heads that must be a multiple of those of keys and values, and a width that fits in memory.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] names the attribute at fault.
    pub fn check_heads(&self, attribute: &str, heads: Heads, kv_heads: usize) -> Result<()> {
        if kv_heads == 0 || !heads.n.is_multiple_of(kv_heads) {
            let expected = format!("a divisor of the {} query heads", heads.n);
            return Err(Self::invalid(attribute, &expected, &kv_heads.into()));
        }
        if heads.n.saturating_mul(heads.d_head) >= 1 << 30 {
            let expected = format!("heads of {} channels that fit in memory", heads.d_head);
            return Err(Self::invalid(attribute, &expected, &heads.n.into()));
        }
        Ok(())
    }

    /// The channels of each of `n_heads` heads that share the width `d_model` without remainder.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] names `attribute`, which holds the number of heads.
    pub fn even_heads(&self, attribute: &str, n_heads: usize, d_model: usize) -> Result<Heads> {
        if !d_model.is_multiple_of(n_heads) {
            let expected = format!("a divisor of the width {d_model}");
            return Err(Self::invalid(attribute, &expected, &n_heads.into()));
        }
        Ok(Heads { n: n_heads, d_head: d_model / n_heads })
    }

    /// Attributes of this family that do not change its arithmetic.
    pub fn without_effect(&self, attributes: &[&str]) {
        self.read.borrow_mut().extend(attributes.iter().map(|&a| a.to_owned()));
    }

    /// Ends reading: every attribute must have been read or be known to be without effect.
    ///
    /// # Errors
    /// [`ModelError::Unhandled`] names the first that is not.
    pub fn finish(self) -> Result<()> {
        let read = self.read.into_inner();
        for (attribute, value) in self.attributes {
            if !read.contains(attribute) && !WITHOUT_EFFECT.contains(&attribute.as_str()) && !value.is_null()
            {
                return Err(ModelError::Unhandled {
                    attribute: attribute.clone(),
                    value: value.to_string(),
                    model_type: self.model_type,
                });
            }
        }
        Ok(())
    }
}
