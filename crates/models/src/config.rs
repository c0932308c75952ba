//! Reading `config.json` so that no attribute is overlooked.

use std::cell::RefCell;
use std::collections::BTreeSet;

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
    "begin_suppress_tokens",
    "bos_token_id",
    "cache_implementation",
    "decoder_start_token_id",
    "eos_token_id",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "id2label",
    "initializer_range",
    "label2id",
    "model_type",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "prefix",
    "problem_type",
    "pretraining_tp",
    "return_dict",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers_version",
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

    fn invalid(attribute: &str, expected: &str, got: &Value) -> ModelError {
        ModelError::Invalid { attribute: attribute.into(), expected: expected.into(), got: got.to_string() }
    }

    /// A size, if given.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] if it is not a non-negative integer that memory can hold.
    pub fn optional_size(&self, attribute: &str) -> Result<Option<usize>> {
        let Some(value) = self.raw(attribute) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if n < 1 << 40 => Ok(Some(n as usize)),
            _ => Err(Self::invalid(attribute, "a size", value)),
        }
    }

    /// A size greater than zero that must be given.
    ///
    /// # Errors
    /// [`ModelError::Missing`], [`ModelError::Invalid`].
    pub fn size(&self, attribute: &str) -> Result<usize> {
        match self.optional_size(attribute)? {
            Some(0) => Err(Self::invalid(attribute, "a size greater than zero", &Value::from(0))),
            Some(n) => Ok(n),
            None => Err(ModelError::Missing { attribute: attribute.into() }),
        }
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

    /// A truth value, with the default of the reference implementation.
    ///
    /// # Errors
    /// [`ModelError::Invalid`].
    pub fn flag(&self, attribute: &str, default: bool) -> Result<bool> {
        match self.raw(attribute) {
            None => Ok(default),
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

    /// An attribute that is handled at one value only.
    ///
    /// # Errors
    /// [`ModelError::Unhandled`] if it has another value.
    pub fn only(&self, attribute: &str, value: impl Into<Value>) -> Result<()> {
        match self.raw(attribute) {
            Some(found) if *found != value.into() => Err(ModelError::Unhandled {
                attribute: attribute.into(),
                value: found.to_string(),
                model_type: self.model_type.clone(),
            }),
            _ => Ok(()),
        }
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
