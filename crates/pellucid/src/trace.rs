//! Recording a trace.

use std::cell::RefCell;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;

use pellucid_program::{Arg, InvokeId, Kind, Place, RegionKind, Steps, StopScope};
use pellucid_runtime::environment::{GENERATOR, STREAMER};
use pellucid_runtime::{Budget, Explanation, RunOptions};
use pellucid_tensor::{DType, Tensor};

use crate::error::Result;
use crate::index::Index;
use crate::model::Model;
use crate::prompt::Prompt;
use crate::proxy::{Operand, Proxy};
use crate::recording::{Recording, SharedRecording, check_owner, explain, run};
use crate::results::Results;
use crate::scope::Scope;

/// How to generate. Names and meanings are those of `transformers`' `GenerationConfig`.
#[derive(Clone, Debug, Default)]
pub struct Generation {
    options: Vec<(String, Operand)>,
    /// Whether the model's end tokens do not end the text.
    goes_on: bool,
}

impl Generation {
    /// At most so many new tokens, greedily, ended by the model's end tokens.
    #[must_use]
    pub fn new(max_new_tokens: usize) -> Generation {
        Generation::default().with("max_new_tokens", max_new_tokens as i64)
    }

    /// With an option: `do_sample`, `temperature`, `top_k`, `top_p`, `repetition_penalty`, `num_beams`, `length_penalty`,
    /// `early_stopping`, `min_new_tokens`, `seed`, `pad_token_id`. What is unknown is refused when the trace runs.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Operand>) -> Generation {
        self.options.retain(|(given, _)| given != name);
        self.options.push((name.into(), value.into()));
        self
    }

    /// Draws each token at random. The same seed gives the same text, alone or beside other prompts.
    #[must_use]
    pub fn sampled(self, seed: i64) -> Generation {
        self.with("do_sample", true).with("seed", seed)
    }

    /// Ends a row at these tokens instead of the model's own end tokens.
    #[must_use]
    pub fn ending_at(self, ids: &[i64]) -> Generation {
        let mut all = self.with("eos_token_id", 0i64);
        if let Some((_, value)) = all.options.last_mut() {
            *value = Operand::plain(Arg::List(ids.iter().map(|&id| Arg::Int(id)).collect()));
        }
        all
    }

    /// Goes on after tokens that would end the text.
    #[must_use]
    pub fn endless(mut self) -> Generation {
        self.goes_on = true;
        self
    }

    fn into_options(self, model: &Model) -> Vec<(String, Operand)> {
        let mut options = self.options;
        if !options.iter().any(|(name, _)| name == "eos_token_id") {
            let ids = model.generation_config().eos_token_ids.iter().filter(|_| !self.goes_on);
            let ids = ids.map(|&id| Arg::Int(i64::from(id))).collect();
            options.push(("eos_token_id".into(), Operand::plain(Arg::List(ids))));
        }
        options
    }
}

/// A trace being recorded: its invokes, and what to do with them.
///
/// Nothing runs before [`Trace::run`]. Mistakes that do not depend on computed values are found then, all at once and
/// before any arithmetic, each with the line that made it.
#[derive(Debug)]
pub struct Trace {
    scope: Scope,
    model: Model,
}

impl Deref for Trace {
    type Target = Scope;
    fn deref(&self) -> &Scope {
        &self.scope
    }
}

impl Trace {
    #[track_caller]
    pub(crate) fn new(model: &Model, generation: Option<Generation>) -> Trace {
        let scope = Scope { recording: Rc::new(RefCell::new(Recording::new())) };
        Trace::open(scope, model, generation)
    }

    #[track_caller]
    pub(crate) fn open(scope: Scope, model: &Model, generation: Option<Generation>) -> Trace {
        let generate = generation.map(|options| {
            let mut given = Vec::new();
            for (name, value) in options.into_options(model) {
                given.push((name, value.given_to(&scope.recording)));
            }
            given
        });
        let mut recording = scope.recording.borrow_mut();
        let number = recording.number(model);
        let kind = RegionKind::Trace { model: number, generate };
        recording.open(None, Steps::First, kind, Location::caller());
        drop(recording);
        Trace { scope, model: model.clone() }
    }

    /// Adds a forward pass on a prompt.
    #[track_caller]
    pub fn invoke(&self, prompt: impl Into<Prompt>) -> Invoke {
        let prompt = prompt.into();
        check_owner(&self.recording, prompt.1);
        let mut recording = self.recording.borrow_mut();
        let line = recording.line(Location::caller());
        recording.builder.at(Some(line));
        let id = recording.builder.invoke(prompt.0);
        Invoke {
            id: Some(id),
            steps: Steps::First,
            model: self.model.clone(),
            recording: self.recording.clone(),
        }
    }

    /// Adds a forward pass on a prompt with options: `labels` for a loss, `output_hidden_states`, `output_attentions`;
    /// in a generation, how this invoke generates.
    ///
    /// ```
    /// use pellucid::{Model, tiny_config};
    ///
    /// # fn main() -> Result<(), pellucid::Error> {
    /// let model = Model::random(tiny_config(), 7)?;
    /// let trace = model.trace();
    /// let prompt = trace.invoke_with([1, 2, 3], &[("output_hidden_states", true.into())]);
    /// let states = prompt.output("").field("hidden_states").save();
    /// assert_eq!(trace.run()?.tensors(&states)?.len(), 3); // the embeddings, and what each of two blocks leaves
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn invoke_with(&self, prompt: impl Into<Prompt>, options: &[(&str, Operand)]) -> Invoke {
        let mut recording = self.recording.borrow_mut();
        let line = recording.line(Location::caller());
        recording.builder.at(Some(line));
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), value.0.clone())).collect();
        let id = recording.builder.invoke_with(prompt.into().0, options);
        Invoke {
            id: Some(id),
            steps: Steps::First,
            model: self.model.clone(),
            recording: self.recording.clone(),
        }
    }

    /// Ends the trace when what was written before has been carried out.
    #[track_caller]
    pub fn stop(&self) {
        self.record(Kind::Stop { scope: StopScope::Trace, after: None });
    }

    /// Runs the trace and computes what was saved.
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

    /// What running the trace would do: work, memory, how much is shared. Nothing is computed.
    ///
    /// # Errors
    /// [`crate::Error::Run`] for every mistake that can be seen without computing.
    pub fn explain(&self) -> Result<Explanation> {
        explain(&self.recording)
    }

    /// Builds the trace without computing: every value is known by its shape, every mistake in shapes is found.
    ///
    /// # Errors
    /// [`crate::Error::Run`], with the line at fault.
    pub fn scan(&self) -> Result<Results> {
        run(&self.recording, RunOptions { scan: true, ..RunOptions::default() })
    }
}

/// One forward pass of a trace: its places, read and written.
pub struct Invoke {
    id: Option<InvokeId>,
    steps: Steps,
    model: Model,
    recording: SharedRecording,
}

impl std::fmt::Debug for Invoke {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.id {
            Some(id) => write!(f, "Invoke({id})"),
            None => f.write_str("Invoke(edit)"),
        }
    }
}

impl Invoke {
    /// All rows of all traces of an edited model.
    pub(crate) fn of_edit(model: Model, recording: SharedRecording) -> Invoke {
        Invoke { id: None, steps: Steps::First, model, recording }
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    fn with_steps(&self, steps: Steps) -> Invoke {
        Invoke { id: self.id, steps, model: self.model.clone(), recording: self.recording.clone() }
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

    /// The same invoke at some steps of a generation, from `start` up to, without, `stop`, every `by`-th.
    #[must_use]
    pub fn steps(&self, start: u64, stop: Option<u64>, by: u64) -> Invoke {
        self.with_steps(Steps::Range { start, stop, step: by })
    }

    /// The same invoke at just these steps of a generation.
    #[must_use]
    pub fn steps_at(&self, steps: &[u64]) -> Invoke {
        self.with_steps(Steps::List(steps.to_vec()))
    }

    /// The same invoke one step further in the generation.
    #[must_use]
    pub fn next(&self) -> Invoke {
        self.with_steps(Steps::At(self.steps.first().unwrap_or(0) + 1))
    }

    #[track_caller]
    fn record(&self, kind: Kind) -> Proxy {
        let node = self.recording.borrow_mut().record(self.id, self.steps.clone(), kind, Location::caller());
        Proxy::new(self.recording.clone(), node, self.id, self.steps.clone())
    }

    /// A module's output, as the reference implementation returns it: a tensor, or a tuple whose first item is one.
    #[must_use]
    #[track_caller]
    pub fn output(&self, module: &str) -> Proxy {
        self.record(Kind::Read(Place::output(self.model.path(module))))
    }

    /// A module's first input.
    #[must_use]
    #[track_caller]
    pub fn input(&self, module: &str) -> Proxy {
        self.record(Kind::Read(Place::input(self.model.path(module))))
    }

    /// A module's inputs, `(args, kwargs)`.
    #[must_use]
    #[track_caller]
    pub fn inputs(&self, module: &str) -> Proxy {
        self.record(Kind::Read(Place::inputs(self.model.path(module))))
    }

    /// The attention pattern `[batch, n_heads, seq_q, seq_k]` of an attention module.
    #[must_use]
    #[track_caller]
    pub fn pattern(&self, module: &str) -> Proxy {
        self.record(Kind::Read(Place::pattern(self.model.path(module))))
    }

    /// The value of an operation inside a module, by its label (`softmax_0`) or name (`query`, `scores`, `heads`); `pellucid
    /// inspect --module PATH` lists them.
    #[must_use]
    #[track_caller]
    pub fn inner(&self, module: &str, label: &str) -> Proxy {
        self.record(Kind::Read(Place::op(self.model.path(module), label)))
    }

    /// Replaces the value of an operation inside a module.
    #[track_caller]
    pub fn set_inner(&self, module: &str, label: &str, value: impl Into<Operand>) {
        let place = Place::op(self.model.path(module), label);
        self.record(Kind::Write { place, value: value.into().0 });
    }

    /// A parameter, read-only, by its full name.
    #[must_use]
    #[track_caller]
    pub fn parameter(&self, name: &str) -> Proxy {
        self.record(Kind::Parameter { name: name.into() })
    }

    /// A tensor of the caller's, as a value of the program: what an edit adds or puts in, see [`Model::try_edit`].
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if it cannot be computed.
    #[track_caller]
    pub fn constant(&self, tensor: &Tensor) -> Result<Proxy> {
        let constant = self.recording.borrow_mut().constant(tensor)?;
        Ok(self.record(Kind::Op { name: "clone".into(), args: vec![constant], kwargs: Vec::new() }))
    }

    /// Generated token ids `[batch, seq]`, the prompt's included.
    #[must_use]
    #[track_caller]
    pub fn generated(&self) -> Proxy {
        self.with_steps(Steps::First).record(Kind::Read(Place::output(GENERATOR)))
    }

    /// Each token that goes out, `[batch]`, at all steps; the prompt's ids `[batch, seq]` first.
    #[must_use]
    #[track_caller]
    pub fn streamed(&self) -> Proxy {
        self.all_steps().record(Kind::Read(Place::output(STREAMER)))
    }

    /// Replaces generated token ids.
    #[track_caller]
    pub fn set_generated(&self, value: impl Into<Operand>) {
        let place = Place::output(GENERATOR);
        self.with_steps(Steps::First)
            .record(Kind::Write { place, value: value.into().given_to(&self.recording) });
    }

    /// Replaces all inputs of a module by a tuple `(args, kwargs)`.
    #[track_caller]
    pub fn set_inputs(&self, module: &str, value: impl Into<Operand>) {
        self.record(Kind::Write {
            place: Place::inputs(self.model.path(module)),
            value: value.into().given_to(&self.recording),
        });
    }

    /// Replaces a module's output.
    #[track_caller]
    pub fn set_output(&self, module: &str, value: impl Into<Operand>) {
        self.record(Kind::Write {
            place: Place::output(self.model.path(module)),
            value: value.into().given_to(&self.recording),
        });
    }

    /// Replaces a module's first input.
    #[track_caller]
    pub fn set_input(&self, module: &str, value: impl Into<Operand>) {
        self.record(Kind::Write {
            place: Place::input(self.model.path(module)),
            value: value.into().given_to(&self.recording),
        });
    }

    /// Replaces an attention pattern.
    #[track_caller]
    pub fn set_pattern(&self, module: &str, value: impl Into<Operand>) {
        self.record(Kind::Write {
            place: Place::pattern(self.model.path(module)),
            value: value.into().given_to(&self.recording),
        });
    }

    /// Leaves a module out: `value` takes the place of its output.
    #[track_caller]
    pub fn skip(&self, module: &str, value: impl Into<Operand>) {
        self.record(Kind::Skip {
            module: self.model.path(module),
            value: value.into().given_to(&self.recording),
        });
    }

    /// Keeps what many modules return, in a dictionary by the names given: tensors, where they return tuples the first.
    ///
    /// What is kept is the part that `index` selects, if any, and of another element type if one is given.
    #[must_use]
    #[track_caller]
    pub fn cache(&self, modules: &[&str], index: Option<Index>, dtype: Option<DType>) -> Proxy {
        let all = self.record(Kind::op("dict", []));
        for &module in modules {
            let mut value = self.output(module);
            if self.model.returns_tuple(module) {
                value = value.item(0);
            }
            if let Some(index) = &index {
                value = value.at(index.clone());
            }
            if let Some(dtype) = dtype {
                value = value.op("to", [Operand::plain(Arg::Dtype(crate::recording::dtype(dtype)))]);
            }
            // A copy: later writes in place are not seen.
            all.op("setitem", [module.into(), value.cloned().into()]);
        }
        all.save()
    }

    /// Calls a module on a value, outside the forward pass.
    #[must_use]
    #[track_caller]
    pub fn call(&self, module: &str, value: impl Into<Operand>) -> Proxy {
        self.record(Kind::Module {
            path: self.model.path(module),
            args: vec![value.into().given_to(&self.recording)],
            kwargs: Vec::new(),
            hooks: false,
        })
    }

    /// Calls a module on a value, with the places inside the call announced: attached modules run this way.
    #[must_use]
    #[track_caller]
    pub fn call_hooked(&self, module: &str, value: impl Into<Operand>) -> Proxy {
        self.record(Kind::Module {
            path: self.model.path(module),
            args: vec![value.into().given_to(&self.recording)],
            kwargs: Vec::new(),
            hooks: true,
        })
    }

    /// Ends the trace as soon as a value exists.
    #[track_caller]
    pub fn stop(&self, after: &Proxy) {
        check_owner(&self.recording, after.owner());
        self.record(Kind::Stop { scope: StopScope::Trace, after: Some(after.node()) });
    }
}
