//! Layers and the module tree.
//!
//! Running a layer computes nothing: it builds tensors. On the way every module announces its inputs and its output
//! to a [`Hooks`] object, which may look at them, change them, or pause the forward pass until something else is ready;
//! that is why `forward` is asynchronous. What flows between modules are [`Var`]s: shared cells that name the current
//! node, so that a write at one place is seen at every other name of the same storage, as in PyTorch.

mod attach;
mod error;
pub mod forward;
pub mod layers;
pub mod model;
pub mod ops;
pub mod tree;
pub mod value;
pub mod var;
pub mod weights;

pub use error::{NnError, Result};
pub use forward::{Forward, Hooks, LayerFuture, Reach};
pub use model::{Layer, Model, Skeleton};
pub use ops::{OpPlace, Ops};
pub use tree::{ModuleId, ModuleTree, TreeBuilder};
pub use value::{Args, KvCache, Record, Value};
pub use var::Var;
pub use weights::{Parameter, RandomWeights, UnloadedWeights, WeightSource};
