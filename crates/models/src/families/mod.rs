//! The families, one file each, what they share, and the table of them.

mod causal;
mod decoder;
mod gemma2;
mod gpt2;
mod gpt_neox;
mod gptj;
mod inputs;
mod llama;
mod mistral;
mod outputs;
mod places;
mod qwen2;
mod rope;

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
pub const FAMILIES: &[Family] = &[
    Family { model_type: "gemma2", base_prefix: "model", build: gemma2::build },
    Family { model_type: "gpt2", base_prefix: "transformer", build: gpt2::build },
    Family { model_type: "gpt_neox", base_prefix: "gpt_neox", build: gpt_neox::build },
    Family { model_type: "gptj", base_prefix: "transformer", build: gptj::build },
    Family { model_type: "llama", base_prefix: "model", build: llama::build },
    Family { model_type: "mistral", base_prefix: "model", build: mistral::build },
    Family { model_type: "qwen2", base_prefix: "model", build: qwen2::build },
];

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
    config.only("is_encoder_decoder", false)?;
    config.only("pruned_heads", serde_json::json!({}))?;
    let model = (family.build)(&config, weights, engine)?;
    config.finish()?;
    Ok(model)
}
