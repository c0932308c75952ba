//! Building expressions: PyTorch's rules for shapes and types, over the small set of operations.

mod contract;
mod conv;
mod elementwise;
mod index;
mod norm;
mod random;
mod reduce;
mod resize;
mod view;

pub use conv::Convolution;
pub use index::{IndexItem, IndexPlan, ViewStep};
pub use norm::Reduction;
pub use resize::Interpolation;
