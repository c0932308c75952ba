//! One trace: its invokes' forward passes, interleaved with the program's statements.
//!
//! The forward pass of an invoke is a coroutine. At a place that the program looks at, the statements bound there are
//! carried out in written order, then every statement whose inputs have come to hand; the forward pass goes on when
//! all statements that change the place have taken effect, and pauses while one of them waits for another invoke.

mod backward;
mod hooks;
mod passes;
mod statement;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pellucid_nn::forward::Memory;
use pellucid_nn::{Model, ModuleId, Parameter, Reach, Value};
use pellucid_program::{Dependence, InvokeId, Kind, NodeId, Point, Program, RegionId};
use pellucid_tensor::Tensor;
use rustc_hash::FxHashMap;

use crate::environment::GENERATOR;
use crate::error::{Result, RunError, RunErrorKind, Waiting};
use crate::input::Encoder;
use crate::run::{Callback, LogLine, Runner};

/// A place within the model of one invoke.
type Spot = (ModuleId, Inner);

/// Which value of a module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Inner {
    Inputs,
    Output,
    Named(String),
}

/// The module number of the pseudo module whose output is the generated ids.
const GENERATOR_ID: ModuleId = ModuleId(u32::MAX);

/// What an invoke's statements are bound to.
struct Bindings {
    spots: FxHashMap<Spot, Vec<NodeId>>,
    reach: Vec<Reach>,
}

/// A trace being run.
pub(crate) struct Trace<'r> {
    program: &'r Program,
    region: RegionId,
    model: &'r Model,
    encoder: Option<&'r dyn Encoder>,
    callbacks: &'r [Callback],
    /// The trace only looks at shapes.
    scan: bool,
    dependence: Dependence,
    invokes: Vec<InvokeId>,
    bindings: FxHashMap<InvokeId, Bindings>,
    /// For a read, the statements that write in place through it.
    writes_through: FxHashMap<NodeId, Vec<NodeId>>,
    /// For a value, whether a gradient is read or written at it.
    watched: FxHashMap<NodeId, Vec<NodeId>>,
    /// For a backward, the gradients that belong to it.
    gradients: FxHashMap<NodeId, Vec<NodeId>>,
    memory: Memory,

    values: RefCell<Vec<Option<Value>>>,
    done: RefCell<Vec<bool>>,
    active: RefCell<Vec<bool>>,
    /// The node of a watched value at which its gradient is taken.
    watch_points: RefCell<FxHashMap<NodeId, Tensor>>,
    ready: RefCell<BinaryHeap<Reverse<NodeId>>>,
    progress: Cell<u64>,
    stopped: Cell<bool>,
    /// The step of each invoke's generation.
    steps: RefCell<FxHashMap<InvokeId, u64>>,
    /// The write that last changed each invoke's forward pass, to be named if the model then fails.
    last_write: RefCell<FxHashMap<InvokeId, NodeId>>,
    /// Tensors that coroutines wait for.
    wanted: RefCell<Vec<Tensor>>,
    pub(crate) logs: RefCell<Vec<LogLine>>,
}

/// The parameter of a full name, tied names included.
pub(crate) fn parameter(model: &Model, name: &str) -> Option<Parameter> {
    let (path, own) = name.rsplit_once('.')?;
    let node = model.tree().node(model.tree().find(path)?);
    node.parameters.iter().find(|p| p.name().rsplit('.').next() == Some(own)).cloned()
}

impl<'r> Trace<'r> {
    pub(crate) fn new(
        program: &'r Program,
        region: RegionId,
        runner: &Runner<'r>,
        scan: bool,
        values: Vec<Option<Value>>,
    ) -> Result<Trace<'r>> {
        let Runner { model, encoder, callbacks } = *runner;
        let dependence = Dependence::new(program);
        let invokes: Vec<InvokeId> = program.invokes_of(region).map(|(id, _)| id).collect();
        let mut bindings: FxHashMap<InvokeId, Bindings> = invokes
            .iter()
            .map(|&i| {
                let reach = vec![Reach::None; model.tree().iter().count()];
                (i, Bindings { spots: FxHashMap::default(), reach })
            })
            .collect();
        let mut writes_through: FxHashMap<NodeId, Vec<NodeId>> = FxHashMap::default();
        let mut watched: FxHashMap<NodeId, Vec<NodeId>> = FxHashMap::default();
        let mut gradients: FxHashMap<NodeId, Vec<NodeId>> = FxHashMap::default();
        let own = |n: &pellucid_program::Node| n.region == region;
        for (id, node) in program.nodes().filter(|(_, n)| own(n)) {
            if let Some((read, _)) = dependence.written_place(program, id) {
                writes_through.entry(read).or_default().push(id);
            }
            match &node.kind {
                Kind::Grad { of } | Kind::SetGrad { of, .. } => {
                    watched.entry(*of).or_default().push(id);
                    if let Some(backward) = dependence.next_backward(id) {
                        gradients.entry(backward).or_default().push(id);
                    }
                }
                Kind::Read(place) | Kind::Write { place, .. } => {
                    bind(model, &mut bindings, program, id, &place.module, &place.point)?;
                }
                Kind::Skip { module, .. } => {
                    bind(model, &mut bindings, program, id, module, &Point::Inputs)?;
                }
                _ => {}
            }
        }
        let n = program.nodes.len();
        Ok(Trace {
            program,
            region,
            model,
            encoder,
            callbacks,
            scan,
            dependence,
            invokes,
            bindings,
            writes_through,
            watched,
            gradients,
            memory: Memory::default(),
            done: RefCell::new(values.iter().map(Option::is_some).collect()),
            values: RefCell::new(values),
            active: RefCell::new(vec![false; n]),
            watch_points: RefCell::default(),
            ready: RefCell::default(),
            progress: Cell::new(0),
            stopped: Cell::new(false),
            steps: RefCell::default(),
            last_write: RefCell::default(),
            wanted: RefCell::default(),
            logs: RefCell::default(),
        })
    }

    /// Runs the trace and gives back the values of all nodes.
    pub(crate) fn run(self) -> Result<(Vec<Option<Value>>, Vec<LogLine>)> {
        self.begin_step(None, 0);
        for &invoke in &self.invokes {
            self.begin_step(Some(invoke), 0);
        }
        self.run_ready()?;
        if !self.stopped.get() {
            self.run_passes()?;
        }
        // The later steps of a generation are not followed by a scan.
        let cut_short = self.stopped.get() || (self.scan && self.generates());
        if !cut_short {
            self.check_finished()?;
        }
        Ok((self.values.into_inner(), self.logs.into_inner()))
    }

    fn generates(&self) -> bool {
        let kind = &self.program.regions[self.region.index()].kind;
        matches!(kind, pellucid_program::RegionKind::Trace { generate: Some(_), .. })
    }

    fn value(&self, node: NodeId) -> Option<Value> {
        self.values.borrow()[node.index()].clone()
    }

    fn is_done(&self, node: NodeId) -> bool {
        self.done.borrow()[node.index()]
    }

    /// Whether the statement is to be carried out in the present step and has not been.
    fn is_due(&self, node: NodeId) -> bool {
        self.active.borrow()[node.index()] && !self.is_done(node)
    }

    /// Makes the statements of a step of an invoke due: those selected for it.
    fn begin_step(&self, invoke: Option<InvokeId>, step: u64) {
        if let Some(invoke) = invoke {
            self.steps.borrow_mut().insert(invoke, step);
        }
        let mut due = Vec::new();
        for (id, node) in self.program.nodes() {
            if node.region == self.region && node.invoke == invoke && node.steps.contains(step) {
                self.active.borrow_mut()[id.index()] = true;
                self.done.borrow_mut()[id.index()] = false;
                due.push(id);
            }
        }
        for id in due {
            self.offer(id);
        }
    }

    /// Puts a statement in the queue if everything it needs is there and it is not bound to a place.
    fn offer(&self, node: NodeId) {
        let kind = &self.program.nodes[node.index()].kind;
        let bound = matches!(
            kind,
            Kind::Read(_) | Kind::Write { .. } | Kind::Skip { .. } | Kind::Grad { .. } | Kind::SetGrad { .. }
        );
        if !bound && self.is_due(node) && self.has_inputs(node) {
            self.ready.borrow_mut().push(Reverse(node));
        }
    }

    /// Whether everything a statement needs has come to hand.
    fn has_inputs(&self, node: NodeId) -> bool {
        let done = self.done.borrow();
        let mut all = true;
        self.program.nodes[node.index()].kind.for_each_node(|n| all &= done[n.index()]);
        // A backward needs the values whose gradients it is to give.
        for gradient in self.gradients.get(&node).into_iter().flatten() {
            if let Kind::Grad { of } | Kind::SetGrad { of, .. } = &self.program.nodes[gradient.index()].kind {
                all &= done[of.index()];
            }
        }
        all
    }

    /// Records that a statement took effect, and offers those that waited for it.
    fn finish(&self, node: NodeId, value: Option<Value>) -> Result<()> {
        if let Some(value) = value {
            if let (true, Some(var)) = (self.watched.contains_key(&node), value.as_var()) {
                var.isolate().map_err(|e| RunError::new(e).at(self.program, node))?;
                let point = var.base().get()?;
                self.watch_points.borrow_mut().insert(node, point);
            }
            self.values.borrow_mut()[node.index()] = Some(value);
        }
        self.done.borrow_mut()[node.index()] = true;
        self.progress.set(self.progress.get() + 1);
        for &user in self.dependence.users(node) {
            self.offer(user);
        }
        for gradient in self.watched.get(&node).into_iter().flatten() {
            if let Some(backward) = self.dependence.next_backward(*gradient) {
                self.offer(backward);
            }
        }
        Ok(())
    }

    /// Carries out every statement whose inputs are there, in written order.
    fn run_ready(&self) -> Result<()> {
        while !self.stopped.get() {
            let Some(Reverse(node)) = self.ready.borrow_mut().pop() else { return Ok(()) };
            if self.is_due(node) && self.has_inputs(node) {
                let value = self.carry_out(node).map_err(|e| e.at(self.program, node))?;
                self.finish(node, value)?;
            }
        }
        Ok(())
    }

    /// Statements that never took effect are faults, all of them reported.
    fn check_finished(&self) -> Result<()> {
        let mut left: Vec<Waiting> = Vec::new();
        for (id, node) in self.program.nodes().filter(|(_, n)| n.region == self.region) {
            if self.is_done(id) {
                continue;
            }
            // Only the first of a chain says something new.
            let mut waits = false;
            node.kind.for_each_node(|n| waits |= !self.is_done(n));
            if waits {
                continue;
            }
            let (what, why) = match &node.kind {
                Kind::Read(place) => (format!("read of `{place}`"), "the model did not call it".to_owned()),
                Kind::Write { place, .. } => {
                    (format!("write to `{place}`"), "the model did not call it".to_owned())
                }
                Kind::Skip { module, .. } => {
                    (format!("skip of `{module}`"), "the model did not call it".to_owned())
                }
                Kind::Grad { .. } | Kind::SetGrad { .. } => {
                    ("gradient".to_owned(), "no later backward reaches it".to_owned())
                }
                other => (format!("`{}`", other.word()), "its step never came".to_owned()),
            };
            let line = node.line.and_then(|l| self.program.line_text(l));
            left.push(Waiting { node: id, line, what, why });
        }
        if left.is_empty() {
            return Ok(());
        }
        let first = left[0].node;
        let line = left[0].line.take();
        Err(RunError { kind: Box::new(RunErrorKind::NeverHappened(left)), node: Some(first), line })
    }
}

/// Binds a statement to the place it names.
fn bind(
    model: &Model,
    bindings: &mut FxHashMap<InvokeId, Bindings>,
    program: &Program,
    node: NodeId,
    path: &str,
    point: &Point,
) -> Result<()> {
    let missing =
        |what: String| RunError::new(RunErrorKind::NoItem { container: "the model".into(), key: what });
    let invoke = program.nodes[node.index()].invoke;
    let Some(bindings) = invoke.and_then(|i| bindings.get_mut(&i)) else {
        return Err(missing(format!("invoke for `{path}`")).at(program, node));
    };
    let inner = match point {
        Point::Input | Point::Inputs => Inner::Inputs,
        Point::Output => Inner::Output,
        Point::Pattern => Inner::Named("pattern".into()),
        Point::Op(label) => Inner::Named(label.clone()),
    };
    if path == GENERATOR {
        bindings.spots.entry((GENERATOR_ID, inner)).or_default().push(node);
        return Ok(());
    }
    let tree = model.tree();
    let id = tree.find(path).ok_or_else(|| missing(format!("module `{path}`")).at(program, node))?;
    bindings.spots.entry((id, inner)).or_default().push(node);
    bindings.reach[id.0 as usize] = Reach::Here;
    let mut at = id;
    while let Some(parent) = tree.node(at).parent {
        let reach = &mut bindings.reach[parent.0 as usize];
        *reach = (*reach).max(Reach::Inside);
        at = parent;
    }
    Ok(())
}
