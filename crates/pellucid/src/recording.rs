//! The program being recorded.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;

use pellucid_program::{
    Arg, Builder, Constant, Dtype, InvokeId, Kind, Line, NodeId, Program, RegionId, RegionKind, SourceId,
    Steps,
};
use pellucid_runtime::{Callback, Explanation, Loaded, RunError, RunOptions, Runner};
use pellucid_tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::results::Results;

/// The first of the numbers that edited models go by.
const FIRST_EDITED: u32 = 1 << 16;

/// The program being recorded, shared by a trace or session and its proxies.
pub(crate) struct Recording {
    pub(crate) builder: Builder,
    /// Functions of the caller's that the program applies.
    pub(crate) callbacks: Vec<Callback>,
    /// Models by the numbers the program uses.
    models: Vec<Model>,
    /// Edited models, their numbers, and the region in which the edits stand.
    edited: Vec<(Model, u32, RegionId)>,
    /// Numbers drawn so far: where the next draw starts in the stream.
    drawn: u64,
    seed: u64,
    files: Vec<(&'static str, SourceId)>,
    /// Lines at which values of other programs were given.
    pub(crate) foreign: Vec<String>,
}

/// Which program a value belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    /// To none: a number or a text.
    #[default]
    None,
    One(*const RefCell<Recording>),
    /// Values of several programs.
    Mixed,
}

impl Owner {
    pub(crate) fn of(recording: &SharedRecording) -> Owner {
        Owner::One(Rc::as_ptr(recording))
    }

    /// That of both together.
    pub(crate) fn and(self, other: Owner) -> Owner {
        match (self, other) {
            (Owner::None, one) | (one, Owner::None) => one,
            (a, b) if a == b => a,
            _ => Owner::Mixed,
        }
    }
}

/// Notes that a value of another program was given to a statement, to be told when the program is run.
#[track_caller]
pub(crate) fn check_owner(recording: &SharedRecording, owner: Owner) {
    if owner != Owner::None && owner != Owner::of(recording) {
        let at = Location::caller();
        recording.borrow_mut().foreign.push(format!("{}:{}", at.file(), at.line()));
    }
}

pub(crate) type SharedRecording = Rc<RefCell<Recording>>;

impl Recording {
    pub(crate) fn new() -> Recording {
        Recording {
            builder: Builder::new(),
            callbacks: Vec::new(),
            models: Vec::new(),
            edited: Vec::new(),
            drawn: 0,
            seed: 0,
            files: Vec::new(),
            foreign: Vec::new(),
        }
    }

    /// Whether the trace of an invoke is being recorded now.
    pub(crate) fn is_inside(&self, invoke: InvokeId) -> bool {
        self.is_within(self.builder.program().invokes[invoke.index()].region)
    }

    /// Whether the region open now is this one or stands in it.
    fn is_within(&self, outer: RegionId) -> bool {
        let program = self.builder.program();
        let mut at = Some(self.builder.region());
        while let Some(region) = at {
            if region == outer {
                return true;
            }
            at = program.regions[region.index()].parent;
        }
        false
    }

    pub(crate) fn line(&mut self, at: &Location<'static>) -> Line {
        let source = match self.files.iter().find(|(file, _)| *file == at.file()) {
            Some((_, id)) => *id,
            None => {
                let id = self.builder.source(at.file());
                self.files.push((at.file(), id));
                id
            }
        };
        Line { source, line: at.line() }
    }

    /// Adds a statement of an invoke, written at `at`.
    pub(crate) fn record(
        &mut self,
        invoke: Option<InvokeId>,
        steps: Steps,
        kind: Kind,
        at: &Location<'static>,
    ) -> NodeId {
        let line = self.line(at);
        self.builder.at(Some(line));
        self.builder.set_invoke(invoke);
        self.builder.set_steps(steps);
        self.builder.node(kind)
    }

    /// Opens a region that concerns an invoke, written at `at`.
    pub(crate) fn open(
        &mut self,
        invoke: Option<InvokeId>,
        steps: Steps,
        kind: RegionKind,
        at: &Location<'static>,
    ) -> RegionId {
        let line = self.line(at);
        self.builder.at(Some(line));
        self.builder.set_invoke(invoke);
        self.builder.set_steps(steps);
        self.builder.open(kind)
    }

    /// The number of a model in this program. The edits of an edited one are put into the region open now, so that they
    /// are known where a trace follows.
    pub(crate) fn number(&mut self, model: &Model) -> u32 {
        let base = match self.models.iter().position(|m| m.same_network(model)) {
            Some(at) => at as u32,
            None => {
                self.models.push(model.clone());
                self.models.len() as u32 - 1
            }
        };
        let edits = model.edits();
        if edits.is_empty() {
            return base;
        }
        let here = self.builder.region();
        let known = self.edited.iter().position(|(m, ..)| m.same_network(model) && m.same_edits(model));
        let last = match known {
            // Whatever stands in a region around this one has been carried out before.
            Some(at) if self.is_within(self.edited[at].2) => return self.edited[at].1,
            Some(at) => {
                self.edited[at].2 = here;
                self.edited[at].1
            }
            None => {
                let number = FIRST_EDITED + self.edited.len() as u32;
                self.edited.push((model.clone(), number, here));
                number
            }
        };
        for (i, edit) in edits.iter().enumerate() {
            // Each edit builds on the one before; only the last has a number of its own.
            let from = if i == 0 { base } else { last };
            let kind = RegionKind::Edit { model: from, edited: last };
            let first = self.callbacks.len() as u32;
            self.builder.include(&edit.program, edit.region, kind, first);
            self.callbacks.extend(edit.callbacks.iter().cloned());
            self.foreign.extend(edit.foreign.iter().cloned());
        }
        last
    }

    /// A tensor of the caller's in the table of constants.
    pub(crate) fn constant(&mut self, tensor: &Tensor) -> Result<Arg> {
        let dtype = dtype(tensor.dtype());
        let bytes = tensor.eval()?.contiguous().bytes().into();
        let constant = Constant { dtype, shape: tensor.dims().to_vec(), bytes };
        Ok(Arg::Constant(self.builder.constant(constant)))
    }

    /// Where in the stream of random numbers a draw of so many begins: seed and offset.
    pub(crate) fn draw(&mut self, count: usize) -> (i64, i64) {
        let at = (self.seed as i64, self.drawn as i64);
        self.drawn += count as u64;
        at
    }

    pub(crate) fn reseed(&mut self, seed: u64) {
        (self.seed, self.drawn) = (seed, 0);
    }
}

/// An element type, as programs name it.
pub(crate) fn dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::Bf16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::Bool,
    }
}

/// Runs what has been recorded.
pub(crate) fn run(recording: &SharedRecording, options: RunOptions) -> Result<Results> {
    let outcome = with_runner(recording, |runner, program| runner.run(program, options))?;
    Ok(Results::new(outcome, recording.clone()))
}

/// What running it would do.
pub(crate) fn explain(recording: &SharedRecording) -> Result<Explanation> {
    with_runner(recording, |runner, program| runner.explain(program))
}

fn with_runner<T>(
    recording: &SharedRecording,
    go: impl FnOnce(&Runner<'_>, &Program) -> Result<T, RunError>,
) -> Result<T> {
    let (program, callbacks, models) = {
        let recording = recording.borrow();
        if !recording.foreign.is_empty() {
            return Err(Error::OtherProgram { lines: recording.foreign.clone() });
        }
        (recording.builder.clone().finish(), recording.callbacks.clone(), recording.models.clone())
    };
    // A session may only compute.
    let none = pellucid_nn::Model::empty(&pellucid_tensor::Engine::new());
    let mut models: Vec<_> = models.iter().map(Model::loaded).collect();
    if models.is_empty() {
        models.push(Loaded { model: &none, encoder: None });
    }
    Ok(go(&Runner { models: &models, callbacks: &callbacks }, &program)?)
}
