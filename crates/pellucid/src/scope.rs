//! What can be written anywhere in a program: values, conditions, loops.

use std::panic::Location;

use pellucid_program::{Arg, InvokeId, Kind, NodeId, Program, RegionId, RegionKind, Steps, StopScope};
use pellucid_tensor::Tensor;

use crate::error::Result;
use crate::proxy::{Operand, Proxy, args_of};
use crate::recording::{SharedRecording, check_owner};
use crate::training::{AdamWSettings, OptimizerProxy, SgdSettings};

/// What can be written anywhere in a program. [`crate::Trace`] and [`crate::Session`] have all of it.
#[derive(Clone)]
pub struct Scope {
    pub(crate) recording: SharedRecording,
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.program().to_string())
    }
}

impl Scope {
    #[track_caller]
    pub(crate) fn record(&self, kind: Kind) -> Proxy {
        let node = self.recording.borrow_mut().record(None, Steps::First, kind, Location::caller());
        Proxy::new(self.recording.clone(), node, None, Steps::First)
    }

    /// The program recorded so far.
    #[must_use]
    pub fn program(&self) -> Program {
        self.recording.borrow().builder.clone().finish()
    }

    /// An operation by its canonical name, on values that belong to no invoke.
    #[track_caller]
    pub fn op(&self, name: &str, args: impl IntoIterator<Item = Operand>) -> Proxy {
        let args = args_of(&self.recording, args);
        self.record(Kind::Op { name: name.into(), args, kwargs: Vec::new() })
    }

    /// A list that belongs to no invoke, to collect values in.
    #[track_caller]
    pub fn list(&self) -> Proxy {
        self.op("list", [])
    }

    /// A dictionary that belongs to no invoke, to collect values in.
    #[track_caller]
    pub fn dict(&self) -> Proxy {
        self.op("dict", [])
    }

    /// A number, text or list as a value of the program.
    #[track_caller]
    pub fn value(&self, value: impl Into<Operand>) -> Proxy {
        let items = Operand::plain(Arg::List(vec![value.into().given_to(&self.recording)]));
        self.op("list", [items]).item(0)
    }

    /// Sets the seed of the draws recorded from now on; 0 before.
    pub fn seed(&self, seed: u64) {
        self.recording.borrow_mut().reseed(seed);
    }

    /// Uniform draws in `[0, 1)`. The same seed gives the same numbers in every run; two draws differ.
    #[must_use]
    #[track_caller]
    pub fn rand(&self, dims: &[usize]) -> Proxy {
        self.draw("rand", dims)
    }

    /// Standard normal draws, as [`Scope::rand`].
    #[must_use]
    #[track_caller]
    pub fn randn(&self, dims: &[usize]) -> Proxy {
        self.draw("randn", dims)
    }

    #[track_caller]
    fn draw(&self, name: &str, dims: &[usize]) -> Proxy {
        let (seed, offset) = self.recording.borrow_mut().draw(dims.iter().product());
        let size = Arg::Tuple(dims.iter().map(|&d| Arg::Int(d as i64)).collect());
        self.op(name, [Operand::plain(size), seed.into(), offset.into()])
    }

    /// A tensor of the caller's, as a value of the program.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if it cannot be computed.
    #[track_caller]
    pub fn constant(&self, tensor: &Tensor) -> Result<Proxy> {
        let constant = self.recording.borrow_mut().constant(tensor)?;
        Ok(self.op("clone", [Operand::plain(constant)]))
    }

    /// A parameter that the program trains, starting from a value.
    #[must_use]
    #[track_caller]
    pub fn parameter(&self, start: &Proxy) -> Proxy {
        self.op("nn_parameter", [start.into()])
    }

    /// Stochastic gradient descent on parameters.
    #[track_caller]
    pub fn sgd(&self, parameters: &[&Proxy], settings: SgdSettings) -> OptimizerProxy {
        for parameter in parameters {
            check_owner(&self.recording, parameter.owner());
        }
        OptimizerProxy::new(self.record(settings.kind(parameters)))
    }

    /// Adam with decoupled weight decay on parameters.
    #[track_caller]
    pub fn adamw(&self, parameters: &[&Proxy], settings: AdamWSettings) -> OptimizerProxy {
        for parameter in parameters {
            check_owner(&self.recording, parameter.owner());
        }
        OptimizerProxy::new(self.record(settings.kind(parameters)))
    }

    #[track_caller]
    fn open(&self, about: Option<&Proxy>, kind: RegionKind) -> RegionId {
        if let Some(about) = about {
            check_owner(&self.recording, about.owner());
        }
        let (invoke, steps) = about.map_or((None, Steps::First), Proxy::selection);
        self.recording.borrow_mut().open(invoke, steps, kind, Location::caller())
    }

    fn close(&self) {
        self.recording.borrow_mut().builder.close();
    }

    /// Records statements that happen only when a value is true.
    ///
    /// ```
    /// use pellucid::{Model, tiny_config};
    ///
    /// # fn main() -> Result<(), pellucid::Error> {
    /// let model = Model::random(tiny_config(), 7)?;
    /// let trace = model.trace();
    /// let prompt = trace.invoke([1, 2, 3]);
    /// let mean = prompt.output("transformer.wte").op("mean", []);
    /// let flag = trace.list().save();
    /// trace.cond(&mean.op("gt", [0.0.into()]), || flag.append_value("positive")).or_else(|| flag.append_value("negative"));
    /// assert_eq!(trace.run()?.texts(&flag)?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn cond(&self, condition: &Proxy, body: impl FnOnce()) -> Branch {
        let kind = RegionKind::Cond { condition: Some(Arg::Node(condition.node())), else_of: None };
        let region = self.open(Some(condition), kind);
        body();
        self.close();
        let (invoke, steps) = condition.selection();
        Branch { scope: self.clone(), region, invoke, steps }
    }

    /// Records statements that happen once for each element of a value; they are given the element.
    #[track_caller]
    pub fn iter(&self, over: &Proxy, body: impl FnOnce(&Proxy)) {
        let region = self.open(Some(over), RegionKind::Iter { over: Arg::Node(over.node()) });
        let (invoke, steps) = over.selection();
        let at = Location::caller();
        let node = self.recording.borrow_mut().record(invoke, steps.clone(), Kind::Item(region), at);
        body(&Proxy::new(self.recording.clone(), node, invoke, steps));
        self.close();
    }

    /// The one of several values that was computed last: what a name holds after branches that each assign it.
    #[must_use]
    #[track_caller]
    pub fn latest(&self, values: &[&Proxy]) -> Proxy {
        for value in values {
            check_owner(&self.recording, value.owner());
        }
        let (invoke, steps) = values.last().map_or((None, Steps::First), |v| v.selection());
        let kind = Kind::Merge { values: values.iter().map(|v| v.node()).collect::<Vec<NodeId>>() };
        let node = self.recording.borrow_mut().record(invoke, steps.clone(), kind, Location::caller());
        Proxy::new(self.recording.clone(), node, invoke, steps)
    }

    /// Ends the innermost loop when what was written before has been carried out.
    #[track_caller]
    pub fn stop_loop(&self) {
        self.record(Kind::Stop { scope: StopScope::Loop, after: None });
    }

    /// Ends the whole program when what was written before has been carried out.
    #[track_caller]
    pub fn stop_session(&self) {
        self.record(Kind::Stop { scope: StopScope::Session, after: None });
    }
}

/// A condition just recorded, to which other branches can be added.
#[derive(Debug)]
pub struct Branch {
    scope: Scope,
    region: RegionId,
    invoke: Option<InvokeId>,
    steps: Steps,
}

impl Branch {
    #[track_caller]
    fn branch(self, condition: Option<&Proxy>, body: impl FnOnce()) -> Branch {
        if let Some(condition) = condition {
            check_owner(&self.scope.recording, condition.owner());
        }
        let condition = condition.map(|c| Arg::Node(c.node()));
        let kind = RegionKind::Cond { condition, else_of: Some(self.region) };
        let at = Location::caller();
        let region = self.scope.recording.borrow_mut().open(self.invoke, self.steps.clone(), kind, at);
        body();
        self.scope.close();
        Branch { region, ..self }
    }

    /// Statements that happen when no branch before was taken and a value is true.
    #[track_caller]
    pub fn or_cond(self, condition: &Proxy, body: impl FnOnce()) -> Branch {
        self.branch(Some(condition), body)
    }

    /// Statements that happen when no branch before was taken.
    #[track_caller]
    pub fn or_else(self, body: impl FnOnce()) {
        self.branch(None, body);
    }
}
