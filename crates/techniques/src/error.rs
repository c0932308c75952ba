//! What can go wrong in a technique, besides what goes wrong below it.

use crate::plot::PlotError;

/// A technique could not be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TechniqueError {
    /// The library underneath.
    #[error(transparent)]
    Pellucid(#[from] pellucid::Error),
    /// Drawing.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A prompt without text.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// Clean and corrupted prompt must have one token for one token.
    #[error("the clean prompt has {clean} tokens and the corrupted one {corrupted}")]
    Lengths {
        /// Tokens of the clean prompt.
        clean: usize,
        /// Tokens of the corrupted prompt.
        corrupted: usize,
        /// Both, token by token, to see where they part.
        tokens: [String; 2],
    },
    /// An answer that is more than one token.
    #[error("the answer {answer:?} is {} tokens: {}", .pieces.len(), .pieces.join("|"))]
    Answer {
        /// The answer.
        answer: String,
        /// Its tokens.
        pieces: Vec<String>,
    },
    /// Both prompts have the same answer, so that there is nothing to restore.
    #[error("clean and corrupted prompt are both answered by {answer:?}")]
    SameAnswer {
        /// The answer.
        answer: String,
    },
    /// A layer that the model does not have.
    #[error("layer {layer} does not exist: the model has layers 0 to {}", .n_layers - 1)]
    Layer {
        /// The layer asked for.
        layer: usize,
        /// How many there are.
        n_layers: usize,
    },
    /// A head that the model does not have.
    #[error("head {head} does not exist: each layer has heads 0 to {}", .n_heads - 1)]
    Head {
        /// The head asked for.
        head: usize,
        /// How many there are.
        n_heads: usize,
    },
    /// Nothing was given of something that a technique needs.
    #[error("no {what} are given")]
    Nothing {
        /// What is needed.
        what: &'static str,
    },
    /// A text that does not hold the subject it is about.
    #[error("the prompt {prompt:?} does not hold the subject {subject:?} as tokens of its own")]
    Subject {
        /// The prompt.
        prompt: String,
        /// The subject.
        subject: String,
    },
    /// A place that a model of this family does not have.
    #[error("a model of type `{model_type}` has no {what} that is known")]
    Place {
        /// What was looked for.
        what: &'static str,
        /// The model's type.
        model_type: String,
    },
    /// A number that makes no sense where it stands.
    #[error("{what} is {got}, not {expected}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        got: f64,
    },
}

impl TechniqueError {
    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            TechniqueError::Pellucid(e) => return e.hint(),
            TechniqueError::Plot(e) => return e.hint().map(str::to_owned),
            TechniqueError::EmptyPrompt => "write some text for the model to read".into(),
            TechniqueError::Lengths { tokens: [clean, corrupted], .. } => {
                format!(
                    "replace words by others of as many tokens; clean:     {clean}\n      corrupted: {corrupted}"
                )
            }
            TechniqueError::Answer { .. } => {
                "give a word that is one token; most words need a space in front, as in \" Paris\"".into()
            }
            TechniqueError::SameAnswer { .. } => {
                "name two answers, or change the corrupted prompt until the model answers differently".into()
            }
            TechniqueError::Subject { .. } => {
                "write the subject exactly as in the prompt, with whole words around it".into()
            }
            TechniqueError::Layer { .. }
            | TechniqueError::Head { .. }
            | TechniqueError::Nothing { .. }
            | TechniqueError::Place { .. }
            | TechniqueError::Setting { .. } => return None,
        })
    }
}

/// The result of a technique.
pub type Result<T, E = TechniqueError> = std::result::Result<T, E>;
