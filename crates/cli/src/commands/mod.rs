//! The commands, one file each.

pub mod attention;
pub mod completions;
pub mod generate;
pub mod inspect;
pub mod lens;
pub mod patch;
