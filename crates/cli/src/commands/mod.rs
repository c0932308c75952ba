//! The commands, one file each.

pub(crate) mod attention;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod lens;
pub(crate) mod patch;
pub(crate) mod run;
pub(crate) mod train;
