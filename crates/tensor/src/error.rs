//! What can go wrong with tensors, as data.

use crate::{DType, Dims};

/// A mistake in a tensor expression, or a failure while computing one.
///
/// The fields say what was expected and what was found; [`TensorError::hint`] says what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// Two shapes cannot be broadcast together.
    #[error("`{op}`: shapes {} and {} cannot be broadcast together (dimension {dim})", show(.lhs), show(.rhs))]
    Broadcast {
        /// The operation.
        op: &'static str,
        /// Shape of the left operand.
        lhs: Dims,
        /// Shape of the right operand.
        rhs: Dims,
        /// The first dimension that differs, counted from the end (-1 is the last).
        dim: i64,
    },
    /// A shape that an operation cannot take.
    #[error("`{op}`: expected {expected}, got shape {}", show(.got))]
    Shape {
        /// The operation.
        op: &'static str,
        /// What would have been right.
        expected: String,
        /// The shape found.
        got: Dims,
    },
    /// A dimension that the tensor does not have.
    #[error("dimension out of range (expected to be in range of [{}, {}], but got {dim})", -(*.rank).max(1), (*.rank).max(1) - 1)]
    Dimension {
        /// The dimension asked for.
        dim: i64,
        /// The tensor's number of dimensions.
        rank: i64,
    },
    /// An index outside its dimension.
    #[error("index {index} is out of bounds for dimension {dim} with size {size}")]
    Index {
        /// The index asked for.
        index: i64,
        /// The dimension indexed.
        dim: usize,
        /// The size of that dimension.
        size: usize,
    },
    /// More indices than dimensions.
    #[error("too many indices for tensor of dimension {rank} (got {got})")]
    TooManyIndices {
        /// The tensor's number of dimensions.
        rank: usize,
        /// The indices given.
        got: usize,
    },
    /// An element type that an operation cannot take.
    #[error("`{op}`: expected {expected}, got {got}")]
    Type {
        /// The operation.
        op: &'static str,
        /// What would have been right.
        expected: &'static str,
        /// The element type found.
        got: DType,
    },
    /// An argument that makes no sense.
    #[error("`{op}`: {what}")]
    Argument {
        /// The operation.
        op: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A leaf whose data was never given, such as a weight of a model opened without weights.
    #[error("the values of `{name}` are not loaded")]
    NotLoaded {
        /// The name of the leaf.
        name: String,
    },
    /// An index tensor holds a position outside the dimension it indexes; found while computing.
    #[error("`{op}`: index {index} is out of bounds for dimension {dim} with size {size}")]
    IndexValue {
        /// The operation.
        op: &'static str,
        /// The offending value.
        index: i64,
        /// The dimension indexed.
        dim: usize,
        /// Its size.
        size: usize,
    },
    /// Integer division by zero; found while computing.
    #[error("`{op}`: integer division by zero")]
    DivisionByZero {
        /// The operation.
        op: &'static str,
    },
    /// The result is not connected to the value by differentiable operations.
    #[error("{what}")]
    NoGradient {
        /// Why there is no gradient.
        what: String,
    },
    /// Tensors of two engines were mixed.
    #[error("`{op}`: the operands belong to different engines")]
    Engines {
        /// The operation.
        op: &'static str,
    },
    /// The computation was interrupted.
    #[error("interrupted")]
    Interrupted,
}

impl TensorError {
    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            TensorError::NotLoaded { .. } => {
                "open the model with its weights; a skeleton knows shapes only".into()
            }
            TensorError::Broadcast { .. } => {
                "sizes must be equal or one, counted from the last dimension".into()
            }
            TensorError::NoGradient { .. } => "gradients flow through floating-point operations only".into(),
            _ => return None,
        })
    }
}

fn show(dims: &Dims) -> String {
    format!("{:?}", dims.as_slice())
}

/// The result of building or computing tensors.
pub type Result<T, E = TensorError> = std::result::Result<T, E>;
