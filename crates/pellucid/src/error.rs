//! One error for everything that the library does.

use pellucid_hub::HubError;
use pellucid_models::ModelError;
use pellucid_nn::NnError;
use pellucid_runtime::RunError;
use pellucid_tensor::TensorError;

/// What went wrong: the part that found it, with its data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Finding or reading a model folder.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Making a model from its configuration.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Building a forward pass.
    #[error(transparent)]
    Nn(#[from] NnError),
    /// Running a program.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Computing with tensors.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A result was asked for as something that it is not.
    #[error("the value is a {got}, not {expected}")]
    Kind {
        /// What was asked for.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// A result of another trace was asked for.
    #[error("the value belongs to another trace")]
    OtherTrace,
    /// A value of one program was given to a statement of another.
    #[error("{}: a value of another trace or session is used here", lines.join(", "))]
    OtherProgram {
        /// The files and lines.
        lines: Vec<String>,
    },
    /// The demo model's files could not be put where they can be mapped.
    #[error("cannot unpack the demo model into the folder of temporary files: {0}")]
    Demo(std::io::Error),
    /// The model has no tokenizer.
    #[error("the model has no tokenizer")]
    NoTokenizer,
}

impl Error {
    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Hub(e) => e.hint(),
            Error::Model(e) => e.hint(),
            Error::Nn(e) => e.hint(),
            Error::Run(e) => e.hint(),
            Error::Tensor(e) => e.hint(),
            Error::Kind { .. } | Error::Demo(_) => None,
            Error::OtherTrace => Some("ask the results of the trace in which it was saved".into()),
            Error::OtherProgram { .. } => Some(
                "record both traces in one session, or save the value, run, and give what it was with `constant`"
                    .into(),
            ),
            Error::NoTokenizer => Some("give token ids in place of text".into()),
        }
    }
}

/// The result of using the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;
