//! What can go wrong with tensors, as data.

use crate::{DType, Dims, Tensor};

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
    /// A shape whose elements cannot be counted or addressed.
    #[error("`{op}`: no memory holds a {dtype} tensor of shape {}", show(.dims))]
    TooLarge {
        /// The operation.
        op: &'static str,
        /// The shape.
        dims: Dims,
        /// The type of the elements.
        dtype: DType,
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
    /// A fault found while a node was computed; reads as the fault itself.
    #[error("{fault}")]
    Computing {
        /// The node.
        at: FailedNode,
        /// What went wrong.
        fault: Box<TensorError>,
    },
    /// The computation was interrupted.
    #[error("interrupted")]
    Interrupted,
}

/// The node whose computation failed: one of those the caller built, whatever rewrites made of it.
#[derive(Clone, Debug)]
pub struct FailedNode(Tensor);

impl FailedNode {
    /// A handle to the node.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }
}

impl PartialEq for FailedNode {
    fn eq(&self, other: &FailedNode) -> bool {
        self.0.same_node(&other.0)
    }
}

impl TensorError {
    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self.cause() {
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

    /// The node whose computation failed, if the error was found while computing.
    ///
    /// [`Tensor::asked_by`] says which of the tensors of a table it belongs to.
    ///
    /// ```
    /// use pellucid_tensor::{Engine, TensorError};
    ///
    /// # fn main() -> Result<(), TensorError> {
    /// let engine = Engine::new();
    /// let table = engine.from_vec(vec![0.5f32; 6], &[3, 2])?;
    /// let ids = engine.from_vec(vec![2i64, 7], &[2])?;
    /// let rows = table.embed(&ids)?;
    /// let sum = rows.exp()?.sum(&[], false)?;
    /// let error = sum.eval().unwrap_err();
    /// assert_eq!(error.to_string(), "`index`: index 7 is out of bounds for dimension 0 with size 3");
    /// assert!(error.node().is_some_and(|node| node.same_node(&rows)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn node(&self) -> Option<&Tensor> {
        match self {
            TensorError::Computing { at, .. } => Some(at.tensor()),
            _ => None,
        }
    }

    /// The fault without the node it was found at; the error itself if there is none.
    #[must_use]
    pub fn cause(&self) -> &TensorError {
        match self {
            TensorError::Computing { fault, .. } => fault.cause(),
            other => other,
        }
    }

    /// The fault as one found while `node` was computed. An interruption has no place.
    pub(crate) fn at(self, node: &Tensor) -> TensorError {
        match self {
            TensorError::Interrupted | TensorError::Computing { .. } => self,
            fault => TensorError::Computing { at: FailedNode(node.clone()), fault: Box::new(fault) },
        }
    }
}

fn show(dims: &Dims) -> String {
    format!("{:?}", dims.as_slice())
}

/// The result of building or computing tensors.
pub type Result<T, E = TensorError> = std::result::Result<T, E>;
