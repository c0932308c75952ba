//! Interpretability techniques as library calls on the public API, and the plot renderer that every face shares.
//!
//! Each technique takes a [`pellucid::Model`] and prompts, and gives a result with plain data and a `figure`.

pub mod attention;
pub mod attribution;
pub mod dictionary;
mod error;
pub mod fact_editing;
pub mod function_vectors;
pub mod lens;
pub mod lora;
pub mod patching;
pub mod plot;
pub mod predictions;
pub mod steering;
mod tokens;

pub use attention::{AttentionPatterns, attention_patterns};
pub use attribution::{Attributed, attribution_patch};
pub use dictionary::{Activation, Dictionary, DictionarySettings, Features, own_texts, train_dictionary};
pub use error::{Result, TechniqueError};
pub use fact_editing::{FactEdit, RankOneEdit, edit_fact};
pub use function_vectors::{FunctionVector, InContext, function_vector};
pub use lens::{Guess, LogitLens, logit_lens, logit_lens_of_generation};
pub use lora::{Lora, LoraSettings, train_lora};
pub use patching::{PatchSite, PatchSweep, Patched, patch_sweep};
pub use predictions::{Prediction, accuracy, continuation, mean_probability, predictions};
pub use steering::{SteeringSweep, SteeringVector, steering_sweep, steering_vector};
pub use tokens::Token;
