//! Interpretability techniques as library calls on the public API, and the plot renderer that every face shares.
//!
//! Each technique takes a [`pellucid::Model`] and prompts, and gives a result with plain data and a `figure`.

pub mod attention;
mod error;
pub mod lens;
pub mod patching;
pub mod plot;
mod tokens;

pub use attention::{AttentionPatterns, attention_patterns};
pub use error::{Result, TechniqueError};
pub use lens::{Guess, LogitLens, logit_lens};
pub use patching::{PatchSite, PatchSweep, Patched, patch_sweep};
pub use tokens::Token;
