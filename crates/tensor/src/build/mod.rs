//! Building expressions: PyTorch's rules for shapes and types, over the small set of operations.

mod contract;
mod elementwise;
mod index;
mod norm;
mod random;
mod reduce;
mod view;

pub use index::{IndexItem, IndexPlan, ViewStep};
pub use norm::Reduction;
