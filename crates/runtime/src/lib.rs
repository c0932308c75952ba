//! Interleaving: runs an intervention program on a model.
//!
//! A program is checked first ([`environment`]); then its statements are carried out in written order as their inputs
//! come to hand (`block`), each invoke's forward pass being built as a coroutine that pauses at the places the program
//! looks at; then what was saved is computed, all together ([`Runner`]).

mod block;
mod edits;
pub mod environment;
pub mod error;
mod explain;
mod generation;
pub mod input;
mod layout;
pub mod ops;
mod run;
mod state;
mod training;
mod truth;

pub use error::{Result, RunError, RunErrorKind};
pub use explain::{Budget, Explanation, ProductWork, Unknown};
pub use input::Encoder;
pub use run::{Callback, Loaded, LogLine, Outcome, RunOptions, Runner};
