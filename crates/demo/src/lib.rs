//! The demo model: what it is taught, in which words, and how it is trained and tested.
//!
//! A GPT-2-shaped model of about a million and a half parameters learns from a seeded, endless corpus of short documents:
//! facts, indirect objects, in-context pairs, copying, agreement and little stories. This crate owns the corpus
//! ([`corpus`]), what the corpus never shows ([`split`]), the questions asked afterwards ([`evaluation()`]), the tokenizer
//! ([`train_tokenizer`]), the blocks of tokens ([`training_batches`]), the weights training starts from ([`initial_weights`]) and the numbers of the run ([`Recipe`]).
//! [`train`] runs it.

mod batches;
mod card;
pub mod corpus;
mod evaluation;
mod initial;
pub mod lexicon;
mod recipe;
mod rng;
pub mod split;
mod tokenizer;
mod train;

pub use batches::{Batch, Batches, training_batches};
pub use card::{Accuracy, Outcome, TrainingRun, accuracies, model_card};
pub use evaluation::{Probe, Skill, evaluation};
pub use initial::{InitialTensor, initial_weights};
pub use recipe::Recipe;
pub use rng::Rng;
pub use split::HeldOut;
pub use tokenizer::{END_OF_TEXT, TokenizerError, encode, train_tokenizer, write_tokenizer};
pub use train::{Curve, CurvePoint, Measured, Progress, TrainError, TrainOptions, TrainReport, train};
