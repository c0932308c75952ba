//! What can go wrong while a model is assembled or its forward pass is built.

use pellucid_tensor::{DType, TensorError};

/// A fault in a module: which one, and what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// An operation inside a module failed.
    #[error("in `{module}`: {source}")]
    Tensor {
        /// Path of the innermost module.
        module: String,
        /// The fault.
        source: TensorError,
    },
    /// A module was called with something it cannot use.
    #[error("`{module}`: argument `{argument}`: expected {expected}, got {got}")]
    Argument {
        /// Path of the module.
        module: String,
        /// Name of the argument.
        argument: &'static str,
        /// What would have been right.
        expected: &'static str,
        /// What it got.
        got: String,
    },
    /// A weight that the architecture needs does not exist.
    #[error("weight `{name}` is missing")]
    MissingWeight {
        /// Its full name.
        name: String,
    },
    /// A weight has another shape or type than the architecture says.
    #[error("weight `{name}`: expected shape {expected:?}, got {got:?} of {dtype}")]
    WeightShape {
        /// Its full name.
        name: String,
        /// The shape that follows from the configuration.
        expected: Vec<usize>,
        /// The shape found.
        got: Vec<usize>,
        /// The element type found.
        dtype: DType,
    },
    /// A weight could not be read.
    #[error("weight `{name}`: {reason}")]
    Weight {
        /// Its full name.
        name: String,
        /// Why.
        reason: String,
    },
    /// More tokens than the model has positions.
    #[error("{got} tokens are more than the model's context of {limit}")]
    ContextLength {
        /// Tokens asked for, cached ones included.
        got: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// An intervention failed while the forward pass was at a module.
    #[error(transparent)]
    Hook(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl NnError {
    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            NnError::Tensor { source, .. } => source.hint(),
            NnError::ContextLength { limit, .. } => {
                Some(format!("shorten the prompt or generate fewer tokens, to at most {limit} in all"))
            }
            NnError::MissingWeight { .. } => {
                Some("the folder's weights do not belong to its config.json, or a shard is missing".into())
            }
            _ => None,
        }
    }
}

// Faults get their module when they pass through `Forward::call`.
impl From<TensorError> for NnError {
    fn from(source: TensorError) -> Self {
        NnError::Tensor { module: String::new(), source }
    }
}

/// The result of building a model or a forward pass.
pub type Result<T, E = NnError> = std::result::Result<T, E>;
