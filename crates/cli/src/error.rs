//! What the command reports, and with which exit status.

use std::path::PathBuf;

use pellucid_techniques::TechniqueError;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The library or a technique.
    #[error(transparent)]
    Technique(#[from] TechniqueError),
    /// A picture of a kind that cannot be written.
    #[error("cannot tell from `{}` which kind of picture to write", .path.display())]
    PictureKind {
        /// The file asked for.
        path: PathBuf,
    },
    /// A command without a picture was asked for one.
    #[error("`{command}` draws no picture")]
    NoPicture {
        /// The command.
        command: &'static str,
    },
    /// A file could not be read.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold a program.
    #[error("`{}`: {source}", .path.display())]
    Program {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: pellucid::ParseError,
    },
    /// A file could not be written.
    #[error("cannot write `{}`: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Training failed or was interrupted.
    #[error(transparent)]
    Train(#[from] pellucid_demo::TrainError),
    /// A module that the model does not have.
    #[error("the model has no module `{path}`")]
    NoModule {
        /// The path asked for.
        path: String,
        /// The most similar one.
        closest: Option<String>,
    },
}

impl From<pellucid::Error> for CliError {
    fn from(error: pellucid::Error) -> Self {
        CliError::Technique(error.into())
    }
}

impl From<pellucid::NnError> for CliError {
    fn from(error: pellucid::NnError) -> Self {
        pellucid::Error::from(error).into()
    }
}

impl CliError {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            CliError::Technique(e) => e.hint(),
            CliError::PictureKind { .. } => Some("end the name in .svg, .png or .html".into()),
            CliError::NoPicture { .. } => {
                Some("leave out `--save`; `--json` can be redirected to a file".into())
            }
            CliError::NoModule { closest, .. } => closest.as_ref().map(|c| format!("did you mean `{c}`?")),
            CliError::Train(e) => e.hint().map(str::to_owned),
            CliError::Write { .. } | CliError::Read { .. } | CliError::Program { .. } => None,
        }
    }
}
