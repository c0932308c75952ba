//! The families, one file each, and the table of them.

mod gpt2;

use pellucid_nn::{Model, WeightSource};
use pellucid_tensor::Engine;
use serde_json::Value;

use crate::config::Config;
use crate::error::{ModelError, Result};

/// One architecture family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Hugging Face's `model_type`.
    pub model_type: &'static str,
    /// The name under which the language model holds its body; checkpoints of the bare body leave it out.
    pub base_prefix: &'static str,
    build: fn(&Config<'_>, &mut dyn WeightSource, &Engine) -> Result<Model>,
}

/// All families.
pub const FAMILIES: &[Family] =
    &[Family { model_type: "gpt2", base_prefix: "transformer", build: gpt2::build }];

/// The family of a configuration.
///
/// # Errors
/// [`ModelError::UnknownFamily`], [`ModelError::Missing`].
pub fn family(config: &Value) -> Result<&'static Family> {
    let config = Config::new(config)?;
    FAMILIES
        .iter()
        .find(|f| f.model_type == config.model_type())
        .ok_or_else(|| ModelError::UnknownFamily { model_type: config.model_type().to_owned() })
}

/// Builds the model that a `config.json` describes, with weights from `weights`.
///
/// # Errors
/// [`ModelError`] names the attribute or the weight that is missing, wrong or not supported.
pub fn build(config: &Value, weights: &mut dyn WeightSource, engine: &Engine) -> Result<Model> {
    let family = family(config)?;
    let config = Config::new(config)?;
    let model = (family.build)(&config, weights, engine)?;
    config.finish()?;
    Ok(model)
}
