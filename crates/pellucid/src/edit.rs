//! Interventions that every later trace of a model starts with.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;

use pellucid_program::{Program, RegionId, RegionKind, Steps};
use pellucid_runtime::Callback;

use crate::model::Model;
use crate::recording::Recording;
use crate::trace::Invoke;

/// Recorded interventions of an edited model.
pub(crate) struct Edit {
    pub(crate) program: Program,
    pub(crate) region: RegionId,
    pub(crate) callbacks: Vec<Callback>,
    /// Lines at which values of other programs were given.
    pub(crate) foreign: Vec<String>,
}

impl Model {
    /// The same model, weights shared, whose traces start with interventions: on all rows, and on all steps of a
    /// generation. Edits stack; [`Model::without_edits`] has none.
    ///
    /// ```
    /// use pellucid::{Model, tiny_config};
    ///
    /// # fn main() -> Result<(), pellucid::Error> {
    /// let model = Model::random(tiny_config(), 7)?;
    /// let ablated = model.edit(|model| model.output("transformer.h.1.mlp").assign(0.0));
    /// let trace = ablated.trace();
    /// let mlp = trace.invoke([1, 2, 3]).output("transformer.h.1.mlp").save();
    /// assert!(trace.run()?.tensor(&mlp)?.to_f64s()?.iter().all(|&x| x == 0.0));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[track_caller]
    pub fn edit(&self, body: impl FnOnce(&Invoke)) -> Model {
        let mut recording = Recording::new();
        let kind = RegionKind::Edit { model: 0, edited: 0 };
        let region = recording.open(None, Steps::First, kind, Location::caller());
        let recording = Rc::new(RefCell::new(recording));
        body(&Invoke::of_edit(self.clone(), recording.clone()));
        let recording = recording.borrow();
        let edit = Edit {
            program: recording.builder.clone().finish(),
            region,
            callbacks: recording.callbacks.clone(),
            foreign: recording.foreign.clone(),
        };
        self.with_edit(edit)
    }

    /// As [`Model::edit`], with interventions that can fail to be recorded, such as those that hold a tensor of the caller's.
    ///
    /// ```
    /// use pellucid::{Model, tiny_config};
    ///
    /// # fn main() -> Result<(), pellucid::Error> {
    /// let model = Model::random(tiny_config(), 7)?;
    /// let direction = model.engine().from_vec(vec![0.5f32; 16], &[16])?;
    /// let steered = model.try_edit(|model| {
    ///     let hidden = model.resid_post(0);
    ///     hidden.assign(&hidden + model.constant(&direction)?);
    ///     Ok::<(), pellucid::Error>(())
    /// })?;
    /// let (plain, trace) = (model.trace(), steered.trace());
    /// let before = plain.invoke([1, 2, 3]).resid_post(0).save();
    /// let after = trace.invoke([1, 2, 3]).resid_post(0).save();
    /// let (before, after) = (plain.run()?.floats(&before)?, trace.run()?.floats(&after)?);
    /// assert!(before.iter().zip(&after).all(|(b, a)| (a - b - 0.5).abs() < 1e-6));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `body` returns.
    #[track_caller]
    pub fn try_edit<E>(&self, body: impl FnOnce(&Invoke) -> Result<(), E>) -> Result<Model, E> {
        let mut outcome = Ok(());
        let edited = self.edit(|invoke| outcome = body(invoke));
        outcome.map(|()| edited)
    }

    /// As [`Model::edit`], in place: this handle's later traces start with the interventions.
    #[track_caller]
    pub fn edit_in_place(&mut self, body: impl FnOnce(&Invoke)) {
        *self = self.edit(body);
    }
}
