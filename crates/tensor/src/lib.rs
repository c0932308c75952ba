//! Lazy, hash-consed tensor expressions with PyTorch's semantics, differentiation, a planner and an executor.
//!
//! Suggested reading order: [`dtype`], [`shape`], [`op`], [`graph`], `build` (methods of [`Tensor`]), `grad`,
//! `reference` (the slow, obvious interpreter), `exec` (the fast executor).

mod build;
pub mod dtype;
pub mod error;
pub mod exec;
pub mod grad;
pub mod graph;
pub mod op;
pub mod optim;
mod origin;
mod reference;
pub mod shape;
pub mod value;

pub use build::{Convolution, IndexItem, IndexPlan, Interpolation, Reduction, ViewStep};
pub use dtype::{DType, Element, Scalar};
pub use error::{FailedNode, Result, TensorError};
pub use exec::Rewrites;
pub use graph::{Device, Engine, Tensor};
pub use op::{Attention, BinaryOp, Op, RandomKind, ReduceOp, RotaryPairs, ScanOp, UnaryOp};
pub use shape::Dims;
pub use value::{HostData, Value};

pub use pellucid_kernels::threads::{set_threads, threads};

/// Memory of computed values: what is held now, and the most that was held.
pub mod memory {
    pub use pellucid_kernels::memory::{current_bytes, peak_bytes, reset_peak};
}
