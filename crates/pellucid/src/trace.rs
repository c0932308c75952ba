//! Recording a trace.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;

use pellucid_program::{
    Arg, Builder, Input, InvokeId, Kind, Line, NodeId, Place, Program, RegionKind, SourceId, Steps, StopScope,
};
use pellucid_runtime::{Callback, RunOptions, Runner};

use crate::error::Result;
use crate::model::Model;
use crate::proxy::{Operand, Proxy};
use crate::results::Results;

/// What an invoke runs on: a prompt, several prompts, or token ids.
#[derive(Clone, Debug)]
pub struct Prompt(Input);

impl From<&str> for Prompt {
    fn from(text: &str) -> Prompt {
        Prompt(Input::Text(vec![text.into()]))
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Prompt {
        Prompt(Input::Text(vec![text]))
    }
}

impl From<&String> for Prompt {
    fn from(text: &String) -> Prompt {
        Prompt(Input::Text(vec![text.clone()]))
    }
}

impl<const N: usize> From<[&str; N]> for Prompt {
    fn from(texts: [&str; N]) -> Prompt {
        Prompt(Input::Text(texts.iter().map(|&t| t.into()).collect()))
    }
}

impl From<&[String]> for Prompt {
    fn from(texts: &[String]) -> Prompt {
        Prompt(Input::Text(texts.to_vec()))
    }
}

impl<const N: usize> From<[i64; N]> for Prompt {
    fn from(ids: [i64; N]) -> Prompt {
        Prompt(Input::Tokens(vec![ids.to_vec()]))
    }
}

impl From<&[i64]> for Prompt {
    fn from(ids: &[i64]) -> Prompt {
        Prompt(Input::Tokens(vec![ids.to_vec()]))
    }
}

impl From<&Vec<i64>> for Prompt {
    fn from(ids: &Vec<i64>) -> Prompt {
        Prompt(Input::Tokens(vec![ids.clone()]))
    }
}

impl From<Vec<Vec<i64>>> for Prompt {
    fn from(rows: Vec<Vec<i64>>) -> Prompt {
        Prompt(Input::Tokens(rows))
    }
}

/// The program being recorded, shared by the trace and its proxies.
pub(crate) struct Recording {
    pub(crate) builder: Builder,
    /// Functions of the caller's that the program applies.
    pub(crate) callbacks: Vec<Callback>,
    /// Numbers drawn so far: where the next draw starts in the stream.
    drawn: u64,
    seed: u64,
    files: Vec<(&'static str, SourceId)>,
}

impl Recording {
    fn line(&mut self, at: &Location<'static>) -> Line {
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
}

pub(crate) type SharedRecording = Rc<RefCell<Recording>>;

/// A trace being recorded: its invokes, and what to do with them.
///
/// Nothing runs before [`Trace::run`]. Mistakes that do not depend on computed values are found then, all at once and
/// before any arithmetic, each with the line that made it.
pub struct Trace {
    model: Model,
    recording: SharedRecording,
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.program().to_string())
    }
}

impl Trace {
    #[track_caller]
    pub(crate) fn new(model: Model, max_new_tokens: Option<usize>, stops: bool) -> Trace {
        let mut recording = Recording {
            builder: Builder::new(),
            callbacks: Vec::new(),
            drawn: 0,
            seed: 0,
            files: Vec::new(),
        };
        let line = recording.line(Location::caller());
        recording.builder.at(Some(line));
        let kind = match max_new_tokens {
            None => RegionKind::trace(0),
            Some(n) => {
                let generation = model.generation_config();
                let eos = generation
                    .eos_token_ids
                    .iter()
                    .filter(|_| stops)
                    .map(|&id| Arg::Int(i64::from(id)))
                    .collect();
                RegionKind::Trace {
                    model: 0,
                    generate: Some(vec![
                        ("max_new_tokens".into(), Arg::Int(n as i64)),
                        ("eos_token_id".into(), Arg::List(eos)),
                    ]),
                }
            }
        };
        recording.builder.open(kind);
        Trace { model, recording: Rc::new(RefCell::new(recording)) }
    }

    /// Adds a forward pass on a prompt.
    #[track_caller]
    pub fn invoke(&self, prompt: impl Into<Prompt>) -> Invoke {
        let mut recording = self.recording.borrow_mut();
        let line = recording.line(Location::caller());
        recording.builder.at(Some(line));
        let id = recording.builder.invoke(prompt.into().0);
        Invoke { id, steps: Steps::First, recording: self.recording.clone() }
    }

    /// A list that belongs to no invoke, to collect values in.
    #[track_caller]
    pub fn list(&self) -> Proxy {
        let kind = Kind::Op { name: "list".into(), args: Vec::new(), kwargs: Vec::new() };
        let node = self.recording.borrow_mut().record(None, Steps::First, kind, Location::caller());
        Proxy::new(self.recording.clone(), node, None, Steps::First)
    }

    /// Sets the seed of the draws recorded from now on; 0 before.
    pub fn seed(&self, seed: u64) {
        let mut recording = self.recording.borrow_mut();
        (recording.seed, recording.drawn) = (seed, 0);
    }

    /// Uniform draws in `[0, 1)`. The same seed gives the same numbers in every run; two draws differ.
    #[must_use]
    #[track_caller]
    pub fn rand(&self, dims: &[usize]) -> Proxy {
        self.draw("rand", dims)
    }

    /// Standard normal draws, as [`Trace::rand`].
    #[must_use]
    #[track_caller]
    pub fn randn(&self, dims: &[usize]) -> Proxy {
        self.draw("randn", dims)
    }

    #[track_caller]
    fn draw(&self, name: &str, dims: &[usize]) -> Proxy {
        let mut recording = self.recording.borrow_mut();
        let (seed, offset) = (recording.seed as i64, recording.drawn as i64);
        recording.drawn += dims.iter().product::<usize>() as u64;
        let size = Arg::Tuple(dims.iter().map(|&d| Arg::Int(d as i64)).collect());
        let args = vec![size, Arg::Int(seed), Arg::Int(offset)];
        let kind = Kind::Op { name: name.into(), args, kwargs: Vec::new() };
        let node = recording.record(None, Steps::First, kind, Location::caller());
        drop(recording);
        Proxy::new(self.recording.clone(), node, None, Steps::First)
    }

    /// A tensor of the caller's, as a value of the program.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if it cannot be computed.
    #[track_caller]
    pub fn constant(&self, tensor: &pellucid_tensor::Tensor) -> Result<Proxy> {
        use pellucid_program::{Constant, Dtype};
        let dtype = match tensor.dtype() {
            pellucid_tensor::DType::F64 => Dtype::F64,
            pellucid_tensor::DType::F32 => Dtype::F32,
            pellucid_tensor::DType::F16 => Dtype::F16,
            pellucid_tensor::DType::BF16 => Dtype::Bf16,
            pellucid_tensor::DType::I64 => Dtype::I64,
            pellucid_tensor::DType::I32 => Dtype::I32,
            pellucid_tensor::DType::U8 => Dtype::U8,
            pellucid_tensor::DType::Bool => Dtype::Bool,
        };
        let bytes = tensor.eval()?.contiguous().bytes().into();
        let constant = Constant { dtype, shape: tensor.dims().to_vec(), bytes };
        let at = Location::caller();
        let mut recording = self.recording.borrow_mut();
        let id = recording.builder.constant(constant);
        let kind = Kind::Op { name: "clone".into(), args: vec![Arg::Constant(id)], kwargs: Vec::new() };
        let node = recording.record(None, Steps::First, kind, at);
        drop(recording);
        Ok(Proxy::new(self.recording.clone(), node, None, Steps::First))
    }

    /// The program recorded so far.
    #[must_use]
    pub fn program(&self) -> Program {
        self.recording.borrow().builder.clone().finish()
    }

    /// Runs the trace and computes what was saved.
    ///
    /// # Errors
    /// [`crate::Error::Run`], with the line at fault.
    pub fn run(&self) -> Result<Results> {
        self.run_with(RunOptions::default())
    }

    /// Builds the trace without computing: every value is known by its shape, every mistake in shapes is found.
    ///
    /// # Errors
    /// [`crate::Error::Run`], with the line at fault.
    pub fn scan(&self) -> Result<Results> {
        self.run_with(RunOptions { scan: true })
    }

    fn run_with(&self, options: RunOptions) -> Result<Results> {
        let callbacks = self.recording.borrow().callbacks.clone();
        let outcome =
            Runner { models: &[self.model.loaded()], callbacks: &callbacks }.run(&self.program(), options)?;
        Ok(Results::new(outcome, self.recording.clone()))
    }
}

/// One forward pass of a trace: its places, read and written.
pub struct Invoke {
    id: InvokeId,
    steps: Steps,
    recording: SharedRecording,
}

impl std::fmt::Debug for Invoke {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Invoke({})", self.id)
    }
}

impl Invoke {
    fn with_steps(&self, steps: Steps) -> Invoke {
        Invoke { id: self.id, steps, recording: self.recording.clone() }
    }

    /// The same invoke at one step of a generation; step 0 is the prompt's.
    #[must_use]
    pub fn step(&self, step: u64) -> Invoke {
        self.with_steps(Steps::At(step))
    }

    /// The same invoke at all steps of a generation.
    #[must_use]
    pub fn all_steps(&self) -> Invoke {
        self.with_steps(Steps::all())
    }

    #[track_caller]
    fn record(&self, kind: Kind) -> Proxy {
        let node =
            self.recording.borrow_mut().record(Some(self.id), self.steps.clone(), kind, Location::caller());
        Proxy::new(self.recording.clone(), node, Some(self.id), self.steps.clone())
    }

    /// A module's output, as the reference implementation returns it: a tensor, or a tuple whose first item is one.
    #[must_use]
    #[track_caller]
    pub fn output(&self, module: &str) -> Proxy {
        self.record(Kind::Read(Place::output(module)))
    }

    /// A module's first input.
    #[must_use]
    #[track_caller]
    pub fn input(&self, module: &str) -> Proxy {
        self.record(Kind::Read(Place::input(module)))
    }

    /// A module's inputs, `(args, kwargs)`.
    #[must_use]
    #[track_caller]
    pub fn inputs(&self, module: &str) -> Proxy {
        self.record(Kind::Read(Place::inputs(module)))
    }

    /// The attention pattern `[batch, n_heads, seq_q, seq_k]` of an attention module.
    #[must_use]
    #[track_caller]
    pub fn pattern(&self, module: &str) -> Proxy {
        self.record(Kind::Read(Place::pattern(module)))
    }

    /// A parameter, read-only, by its full name.
    #[must_use]
    #[track_caller]
    pub fn parameter(&self, name: &str) -> Proxy {
        self.record(Kind::Parameter { name: name.into() })
    }

    /// Generated token ids `[batch, seq]`, the prompt's included.
    #[must_use]
    #[track_caller]
    pub fn generated(&self) -> Proxy {
        let steps = Invoke { id: self.id, steps: Steps::First, recording: self.recording.clone() };
        steps.record(Kind::Read(Place::output(pellucid_runtime::environment::GENERATOR)))
    }

    /// Replaces a module's output.
    #[track_caller]
    pub fn set_output(&self, module: &str, value: impl Into<Operand>) {
        self.record(Kind::Write { place: Place::output(module), value: value.into().0 });
    }

    /// Replaces a module's first input.
    #[track_caller]
    pub fn set_input(&self, module: &str, value: impl Into<Operand>) {
        self.record(Kind::Write { place: Place::input(module), value: value.into().0 });
    }

    /// Replaces an attention pattern.
    #[track_caller]
    pub fn set_pattern(&self, module: &str, value: impl Into<Operand>) {
        self.record(Kind::Write { place: Place::pattern(module), value: value.into().0 });
    }

    /// Leaves a module out: `value` takes the place of its output.
    #[track_caller]
    pub fn skip(&self, module: &str, value: impl Into<Operand>) {
        self.record(Kind::Skip { module: module.into(), value: value.into().0 });
    }

    /// Calls a module on a value, outside the forward pass.
    #[must_use]
    #[track_caller]
    pub fn call(&self, module: &str, value: impl Into<Operand>) -> Proxy {
        self.record(Kind::Module {
            path: module.into(),
            args: vec![value.into().0],
            kwargs: Vec::new(),
            hooks: false,
        })
    }

    /// Ends the trace when what was written before has been carried out.
    #[track_caller]
    pub fn stop(&self, after: &Proxy) {
        self.record(Kind::Stop { scope: StopScope::Trace, after: Some(after.node()) });
    }
}
