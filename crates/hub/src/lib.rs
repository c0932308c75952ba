//! Finding and reading model folders: the Hugging Face hub and its cache, weights, tokenizers, configurations.
//!
//! A *model folder* is what `save_pretrained` writes and what the hub holds: `config.json`, weight files,
//! `tokenizer.json` and a few small files. [`ModelSource::resolve`] turns a path or a hub id into a [`ModelFolder`];
//! [`Weights`], [`Tokenizer`], [`GenerationConfig`], [`ChatTemplate`] and [`read_config`] read what is in it.
//!
//! Nothing here computes with tensors: a weight is a dtype, a shape and bytes. Everything read is treated as hostile:
//! lengths and offsets are checked, allocation is bounded, and no code of a checkpoint is executed.

mod chat;
mod environment;
mod error;
mod generation;
mod json;
mod source;
mod tokenizer;
mod weights;

pub use chat::{ChatMessage, ChatOptions, ChatTemplate};
pub use environment::{HubEnvironment, Token};
pub use error::{BoxedError, HubError, Result};
pub use generation::GenerationConfig;
pub use json::read_config;
pub use source::{
    DownloadEvent, DownloadProgress, FileSelection, HubOptions, ModelFolder, ModelOrigin, ModelSource,
};
pub use tokenizer::{Encoding, SpecialToken, SpecialTokens, Tokenizer};
pub use weights::{MappedBytes, WeightDtype, WeightView, Weights};
