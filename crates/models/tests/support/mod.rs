//! Goldens, the weights they were made with, and a look at every module.

pub mod goldens;
pub mod recorder;
pub mod weights;
