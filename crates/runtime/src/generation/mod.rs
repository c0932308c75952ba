//! Choosing the next token: greedy, drawn at random, or by a search over beams.

pub(crate) mod beam;
mod options;
pub(crate) mod sampling;

pub(crate) use options::Options;
