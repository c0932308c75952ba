//! Errors as Python raises them.

use pellucid::program::FaultKind;
use pellucid::run::{RunError, RunErrorKind, TensorError};
use pellucid::{Error, NnError};
use pyo3::prelude::*;

use crate::hooks;

/// What went wrong, in terms that any thread may hold.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The name of Python's exception of that kind.
    kind: &'static str,
    message: String,
    /// File and line of the user's statement.
    line: Option<String>,
    hint: Option<String>,
    /// What a function of the user's raised.
    cause: Option<PyErr>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let hint = error.hint();
        let (message, line) = match &error {
            Error::Run(run) => (run.kind.to_string(), run.line.clone()),
            other => (other.to_string(), None),
        };
        Failure { kind: kind(&error), message, line, hint, cause: None }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        Failure::from(Error::Run(error))
    }
}

impl Failure {
    /// With what a function of the user's raised.
    pub(crate) fn because(self, cause: Option<PyErr>) -> Failure {
        Failure { cause, ..self }
    }

    /// As Python's exception.
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        let made = hooks::call(py, "error", (self.kind, self.message, self.line, self.hint, self.cause));
        made.map_or_else(|failed| failed, PyErr::from_value)
    }
}

/// Raises what went wrong.
pub(crate) fn failed(error: impl Into<Error>) -> PyErr {
    let failure = Failure::from(error.into());
    Python::attach(|py| failure.raise(py))
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Hub(_) => "OSError",
        Error::Nn(error) => nn_kind(error),
        Error::Run(error) => run_kind(&error.kind),
        Error::Tensor(error) => tensor_kind(error),
        Error::Model(_) => "ValueError",
        _ => "RuntimeError",
    }
}

fn nn_kind(error: &NnError) -> &'static str {
    match error {
        NnError::Tensor { source, .. } => tensor_kind(source),
        NnError::Argument { .. } => "TypeError",
        NnError::ContextLength { .. } => "IndexError",
        NnError::Hook(inner) => {
            inner.downcast_ref::<RunError>().map_or("RuntimeError", |e| run_kind(&e.kind))
        }
        _ => "RuntimeError",
    }
}

fn tensor_kind(error: &TensorError) -> &'static str {
    match error {
        TensorError::Index { .. }
        | TensorError::IndexValue { .. }
        | TensorError::TooManyIndices { .. }
        | TensorError::Dimension { .. } => "IndexError",
        TensorError::DivisionByZero { .. } => "ZeroDivisionError",
        TensorError::Computing { fault, .. } => tensor_kind(fault),
        TensorError::Interrupted => "KeyboardInterrupt",
        _ => "RuntimeError",
    }
}

fn run_kind(error: &RunErrorKind) -> &'static str {
    match error {
        RunErrorKind::Refused(faults) => match faults.first().map(|fault| &fault.kind) {
            Some(
                FaultKind::UnknownModule { .. }
                | FaultKind::UnknownPlace { .. }
                | FaultKind::UnknownParameter { .. }
                | FaultKind::UnknownOp { .. },
            ) => "AttributeError",
            Some(FaultKind::TooFewArguments { .. } | FaultKind::TooManyArguments { .. }) => "TypeError",
            _ => "ValueError",
        },
        RunErrorKind::Several(faults) => faults.first().map_or("RuntimeError", |e| run_kind(&e.kind)),
        RunErrorKind::Model(error) => nn_kind(error),
        RunErrorKind::Tensor(error) | RunErrorKind::Computing { fault: error, .. } => tensor_kind(error),
        RunErrorKind::Argument { .. } => "TypeError",
        RunErrorKind::NoItem { key, .. } => match key.split(' ').next() {
            Some("key") => "KeyError",
            Some("field" | "module" | "parameter") => "AttributeError",
            _ => "IndexError",
        },
        RunErrorKind::Unsupported { .. } => "NotImplementedError",
        RunErrorKind::NeverHappened(_) | RunErrorKind::NotSaved | RunErrorKind::Prompt { .. } => "ValueError",
        _ => "RuntimeError",
    }
}
