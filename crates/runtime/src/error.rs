//! What can go wrong while a program runs.

use pellucid_nn::NnError;
use pellucid_program::{Fault, NodeId, Program};
use pellucid_tensor::TensorError;

/// A fault of a run: what, and at which line of the program.
#[derive(Debug, thiserror::Error)]
#[error("{}{kind}", .line.as_ref().map(|l| format!("{l}: ")).unwrap_or_default())]
pub struct RunError {
    /// The fault.
    pub kind: Box<RunErrorKind>,
    /// The statement at fault, if it is one statement's.
    pub node: Option<NodeId>,
    /// File and line of that statement, if known.
    pub line: Option<String>,
}

/// The kinds of faults.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunErrorKind {
    /// The program was refused before anything ran.
    #[error("{}", list(.0))]
    Refused(Vec<Fault>),
    /// Several faults, all those that can be seen without computing.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<RunError>),
    /// The forward pass could not be built.
    #[error(transparent)]
    Model(#[from] NnError),
    /// An operation on tensors failed.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A fault that depends on computed values, with the lines of all statements that asked for the value at fault.
    #[error("{fault}{}", .lines.iter().skip(1).map(|l| format!("\n{l}: asked for it as well")).collect::<String>())]
    Computing {
        /// The fault.
        #[source]
        fault: TensorError,
        /// File and line of each statement, in written order.
        lines: Vec<String>,
    },
    /// An operation got an argument of the wrong kind.
    #[error("`{op}`: argument `{argument}`: expected {expected}, got {got}")]
    Argument {
        /// The operation.
        op: String,
        /// The argument.
        argument: String,
        /// What would have been right.
        expected: String,
        /// What it got.
        got: String,
    },
    /// A key, field or position that does not exist.
    #[error("{container} has no {key}")]
    NoItem {
        /// What was looked into.
        container: String,
        /// What was looked for.
        key: String,
    },
    /// Something that the engine does not do yet.
    #[error("{what} is not supported yet")]
    Unsupported {
        /// What.
        what: String,
    },
    /// Statements that could not take effect, because what they wait for never came.
    #[error("{}", waiting(.0))]
    NeverHappened(Vec<Waiting>),
    /// A gradient was asked for where the loss does not depend on the value.
    #[error("the loss does not depend on the value whose gradient is read")]
    NoGradient,
    /// A function of the host's failed.
    #[error("the applied function failed: {reason}")]
    Host {
        /// What it said.
        reason: String,
    },
    /// The program would cost more than it may.
    #[error("{}", crate::explain::over_budget(.what, *.limit, *.needed))]
    OverBudget {
        /// What is limited.
        what: &'static str,
        /// How much of it is allowed.
        limit: u64,
        /// How much the program needs.
        needed: u64,
    },
    /// A value was read that its program did not save.
    #[error("the value was not saved")]
    NotSaved,
    /// A prompt could not be turned into tokens.
    #[error("prompt {prompt:?}: {reason}")]
    Prompt {
        /// The prompt.
        prompt: String,
        /// Why.
        reason: String,
    },
}

/// A statement that never took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The statement.
    pub node: NodeId,
    /// Its file and line.
    pub line: Option<String>,
    /// What it does, such as ``read of `lm_head.output` ``.
    pub what: String,
    /// Why it did not take effect.
    pub why: String,
}

fn list(faults: &[Fault]) -> String {
    let mut lines: Vec<String> = faults
        .iter()
        .map(|f| match &f.at {
            Some(at) => format!("{at}: {f}"),
            None => f.to_string(),
        })
        .collect();
    lines.dedup();
    lines.join("\n")
}

fn waiting(all: &[Waiting]) -> String {
    let lines: Vec<String> = all
        .iter()
        .map(|w| {
            let at = w.line.as_ref().map(|l| format!("{l}: ")).unwrap_or_default();
            format!("{at}the {} never took effect: {}", w.what, w.why)
        })
        .collect();
    lines.join("\n")
}

impl RunError {
    /// A fault that is no single statement's.
    pub(crate) fn new(kind: impl Into<RunErrorKind>) -> RunError {
        RunError { kind: Box::new(kind.into()), node: None, line: None }
    }

    /// The same fault at a statement, unless it already has one.
    pub(crate) fn at(mut self, program: &Program, node: NodeId) -> RunError {
        if self.node.is_none() {
            self.node = Some(node);
            self.line = program.node(node).and_then(|n| n.line).and_then(|l| program.line_text(l));
        }
        self
    }

    /// What the user can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match &*self.kind {
            RunErrorKind::Refused(faults) => {
                let mut hints: Vec<String> = faults.iter().filter_map(Fault::hint).collect();
                hints.dedup();
                (!hints.is_empty()).then(|| hints.join("\n"))
            }
            RunErrorKind::Several(faults) => {
                let mut hints: Vec<String> = faults.iter().filter_map(RunError::hint).collect();
                hints.dedup();
                (!hints.is_empty()).then(|| hints.join("\n"))
            }
            RunErrorKind::Model(e) => e.hint(),
            RunErrorKind::Tensor(e) | RunErrorKind::Computing { fault: e, .. } => e.hint(),
            RunErrorKind::OverBudget { .. } => {
                Some("save less, run fewer invokes at once, or raise the limit".into())
            }
            RunErrorKind::NotSaved => Some("call `.save()` on it inside the trace".into()),
            RunErrorKind::NoGradient => {
                Some("read gradients of values that the loss is computed from, before its `backward`".into())
            }
            _ => None,
        }
    }
}

impl<E: Into<RunErrorKind>> From<E> for RunError {
    fn from(kind: E) -> Self {
        RunError::new(kind)
    }
}

// Faults inside the forward pass carry a run's own error through the model and out again.
impl From<RunError> for NnError {
    fn from(error: RunError) -> Self {
        NnError::Hook(Box::new(error))
    }
}

/// Unwraps what [`From<RunError> for NnError`] wrapped.
pub(crate) fn from_model(error: NnError) -> RunError {
    match error {
        NnError::Hook(inner) => match inner.downcast::<RunError>() {
            Ok(own) => *own,
            Err(other) => RunError::new(RunErrorKind::Model(NnError::Hook(other))),
        },
        other => RunError::new(RunErrorKind::Model(other)),
    }
}

/// The result of running a program.
pub type Result<T, E = RunError> = std::result::Result<T, E>;
