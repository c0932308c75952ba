//! Architecture families: a Hugging Face `config.json` and weight names become a module tree with the reference's paths.
//!
//! Each family is one file that assembles the shared layers of `pellucid-nn`; variation is configuration. An attribute
//! of `config.json` that a family neither handles nor knows to be without effect is an error that names it.

mod config;
mod error;
mod families;

pub use config::Config;
pub use error::{ModelError, Result};
pub use families::{FAMILIES, Family, build, family};
