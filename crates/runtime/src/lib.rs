//! Interleaving: runs an intervention program on a model.
//!
//! A program is checked first ([`environment`]); then each invoke's forward pass is built as a coroutine that pauses at
//! the places the program looks at (`trace`), while the program's operations ([`ops`]) run in written order as their
//! inputs come to hand; then what was saved is computed, all together ([`Runner`]).

pub mod environment;
pub mod error;
pub mod input;
pub mod ops;
mod run;
mod trace;

pub use error::{Result, RunError, RunErrorKind};
pub use input::Encoder;
pub use run::{Callback, LogLine, Outcome, RunOptions, Runner};
