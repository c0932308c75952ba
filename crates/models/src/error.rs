//! What can go wrong while a configuration becomes a model.

use pellucid_nn::NnError;

/// A configuration that cannot be turned into a model, or weights that do not fit it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The configuration is not an object, or lacks an attribute.
    #[error("config.json: attribute `{attribute}` is missing")]
    Missing {
        /// The attribute.
        attribute: String,
    },
    /// An attribute has a value that makes no sense for it.
    #[error("config.json: attribute `{attribute}`: expected {expected}, got {got}")]
    Invalid {
        /// The attribute.
        attribute: String,
        /// What would have been right.
        expected: String,
        /// The value found.
        got: String,
    },
    /// An attribute that could change the numbers and is not handled.
    #[error("config.json: attribute `{attribute}` = {value} is not supported by `{model_type}`")]
    Unhandled {
        /// The attribute.
        attribute: String,
        /// Its value.
        value: String,
        /// The family.
        model_type: String,
    },
    /// A family that does not exist here.
    #[error("config.json: models of type `{model_type}` are not supported")]
    UnknownFamily {
        /// The type found.
        model_type: String,
    },
    /// Weights or layers.
    #[error(transparent)]
    Nn(#[from] NnError),
}

impl ModelError {
    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            ModelError::UnknownFamily { .. } => {
                let names: Vec<&str> = crate::FAMILIES.iter().map(|f| f.model_type).collect();
                Some(format!("supported families: {}", names.join(", ")))
            }
            ModelError::Unhandled { .. } => {
                Some("computing without it would give other numbers than the reference".into())
            }
            ModelError::Nn(e) => e.hint(),
            _ => None,
        }
    }
}

/// The result of building a model.
pub type Result<T, E = ModelError> = std::result::Result<T, E>;
