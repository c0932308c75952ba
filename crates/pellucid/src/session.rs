//! Several traces as one program.

use std::cell::RefCell;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;

use pellucid_program::{RegionKind, Steps};
use pellucid_runtime::{Budget, Explanation, RunOptions};

use crate::error::Result;
use crate::model::Model;
use crate::recording::{Recording, explain, run};
use crate::results::Results;
use crate::scope::Scope;
use crate::trace::{Generation, Trace};

/// Several traces as one program: values flow between them without being saved, and loops and conditions can hold them.
///
/// ```
/// use pellucid::{Model, Session, tiny_config};
///
/// # fn main() -> Result<(), pellucid::Error> {
/// let model = Model::random(tiny_config(), 7)?;
/// let session = Session::new();
/// let hidden = session.trace(&model, |trace| trace.invoke([1, 2, 3]).output("transformer.h.0").item(0));
/// let logits = session.trace(&model, |trace| {
///     let prompt = trace.invoke([4, 5, 6]);
///     prompt.output("transformer.h.0").item(0).assign(&hidden);
///     prompt.output("lm_head").save()
/// });
/// assert_eq!(session.run()?.tensor(&logits)?.dims(), [1, 3, 96]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    scope: Scope,
}

impl Deref for Session {
    type Target = Scope;
    fn deref(&self) -> &Scope {
        &self.scope
    }
}

impl Default for Session {
    #[track_caller]
    fn default() -> Self {
        Session::new()
    }
}

impl Session {
    /// An empty session.
    #[must_use]
    #[track_caller]
    pub fn new() -> Session {
        let mut recording = Recording::new();
        recording.open(None, Steps::First, RegionKind::Session, Location::caller());
        Session { scope: Scope { recording: Rc::new(RefCell::new(recording)) } }
    }

    /// Records a trace of a model.
    #[track_caller]
    pub fn trace<T>(&self, model: &Model, body: impl FnOnce(&Trace) -> T) -> T {
        let trace = Trace::open(self.scope.clone(), model, None);
        let result = body(&trace);
        self.recording.borrow_mut().builder.close();
        result
    }

    /// Records a generation of a model.
    #[track_caller]
    pub fn generate<T>(&self, model: &Model, options: Generation, body: impl FnOnce(&Trace) -> T) -> T {
        let trace = Trace::open(self.scope.clone(), model, Some(options));
        let result = body(&trace);
        self.recording.borrow_mut().builder.close();
        result
    }

    /// Runs the session and computes what was saved.
    ///
    /// # Errors
    /// [`crate::Error::Run`], with the line at fault.
    pub fn run(&self) -> Result<Results> {
        run(&self.recording, RunOptions::default())
    }

    /// As run, if it costs no more than allowed; refused with the figures before anything is computed otherwise.
    ///
    /// # Errors
    /// [`crate::Error::Run`], with the line at fault or the figures.
    pub fn run_within(&self, budget: Budget) -> Result<Results> {
        run(&self.recording, RunOptions { budget, ..RunOptions::default() })
    }

    /// What running the session would do: work, memory, how much is shared. Nothing is computed.
    ///
    /// # Errors
    /// [`crate::Error::Run`] for every mistake that can be seen without computing.
    pub fn explain(&self) -> Result<Explanation> {
        explain(&self.recording)
    }

    /// Builds the session without computing: every value is known by its shape, every mistake in shapes is found.
    ///
    /// # Errors
    /// [`crate::Error::Run`], with the line at fault.
    pub fn scan(&self) -> Result<Results> {
        run(&self.recording, RunOptions { scan: true, ..RunOptions::default() })
    }
}
