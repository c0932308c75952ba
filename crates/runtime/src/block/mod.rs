//! A block being carried out: the root of a program, or one trace.
//!
//! Statements run in written order as their inputs come to hand. In a trace the forward pass of each invoke is a
//! coroutine: at a place that the program looks at, the statements bound there are carried out in written order, then
//! every statement whose inputs have come to hand; the forward pass goes on when all statements that change the place
//! have taken effect, and pauses while one of them waits for another invoke, for a condition or for a loop.
//!
//! Regions inside a block become active when their turn comes (`regions`): a condition when it holds, a loop once for
//! each element. The root is a block without forward passes whose traces are blocks of their own.

mod all_rows;
mod backward;
mod bindings;
mod generate;
mod hooks;
mod order;
mod passes;
mod regions;
mod settle;
mod statement;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use pellucid_nn::forward::Memory;
use pellucid_nn::{Model, ModuleId, Value};
use pellucid_program::{Dependence, InvokeId, Kind, NodeId, Program, RegionId, RegionKind};
use pellucid_tensor::Tensor;
use rustc_hash::{FxHashMap, FxHashSet};

pub(crate) use statement::parameter;

use crate::edits::Expanded;
use crate::error::{Result, RunError, RunErrorKind, Waiting};
use crate::input::Encoder;
use crate::layout::Layout;
use crate::state::State;
use bindings::Bindings;
use regions::Turns;

/// A block being carried out.
pub(crate) struct Block<'r> {
    program: &'r Program,
    region: RegionId,
    state: &'r State<'r>,
    layout: &'r Layout,
    dependence: &'r Dependence,
    watched: &'r FxHashMap<NodeId, Vec<NodeId>>,
    gradients: &'r FxHashMap<NodeId, Vec<NodeId>>,
    /// Statements of edits come before those of the program: their number is added to the rank of the latter.
    first_edit: usize,
    model: &'r Model,
    encoder: Option<&'r dyn Encoder>,
    members: Vec<NodeId>,
    by_invoke: FxHashMap<Option<InvokeId>, Vec<NodeId>>,
    invokes: Vec<InvokeId>,
    bindings: FxHashMap<InvokeId, Bindings>,
    /// For a read, the statements that write in place through it.
    writes_through: FxHashMap<NodeId, Vec<NodeId>>,
    /// What statements wait for besides the values they name: conditions and sequences of regions.
    waits: FxHashMap<NodeId, Vec<NodeId>>,
    /// For a statement, the last ones before it that changed what it uses.
    changes: FxHashMap<NodeId, Vec<NodeId>>,
    /// Both the other way round.
    awaited: FxHashMap<NodeId, Vec<NodeId>>,
    /// Statements that follow the streamed tokens instead of the steps.
    streamed: FxHashSet<NodeId>,
    memory: Memory,

    active: RefCell<Vec<bool>>,
    turns: Turns,
    /// What reads in loops and undecided branches found, until their turn comes.
    captured: RefCell<FxHashMap<NodeId, Value>>,
    /// The rows of all invokes, gathered at places for invokes without input.
    gathered: RefCell<FxHashMap<all_rows::Spot, all_rows::Gathered>>,
    ready: RefCell<BinaryHeap<Reverse<(usize, NodeId)>>>,
    /// Statements that need computed values, with their arguments as they were.
    stalled: RefCell<FxHashMap<NodeId, statement::Arguments>>,
    /// Statements with effects written after a stalled one.
    held: RefCell<Vec<NodeId>>,
    /// Calls of modules whose places are bound, waiting to become coroutines.
    calls: RefCell<Vec<(NodeId, InvokeId)>>,
    /// How many such calls each invoke's forward pass waits for.
    called: RefCell<FxHashMap<InvokeId, usize>>,
    /// What takes the place of modules at whose inputs a forward pass still waits.
    skipped: RefCell<FxHashMap<(InvokeId, ModuleId), Value>>,
    progress: Cell<u64>,
    stopped: Cell<bool>,
    /// The step of each invoke's generation.
    steps: RefCell<FxHashMap<InvokeId, u64>>,
    /// The write that last changed each invoke's forward pass, to be named if the model then fails.
    last_write: RefCell<FxHashMap<InvokeId, NodeId>>,
    /// Invokes whose forward pass has not ended.
    running: RefCell<FxHashSet<InvokeId>>,
    /// What the ends of loops' turns leave.
    settled: RefCell<FxHashMap<RegionId, settle::Settled>>,
    saves: Vec<NodeId>,
    /// Of lists that are saved, by their address, how many elements have been computed.
    seen: RefCell<FxHashMap<usize, usize>>,
    /// Tensors that coroutines wait for.
    wanted: RefCell<Vec<Tensor>>,
}

/// Carries out a whole program.
pub(crate) fn run_root(state: &State<'_>) -> Result<()> {
    let root = Block::new(state, state.program, &state.layout, &state.dependence, RegionId(0), 0)?;
    root.begin_step(None, 0);
    root.run_ready()?;
    if !root.stopped.get() && !state.cut_short.get() {
        root.check_finished()?;
    }
    Ok(())
}

/// Carries out one trace, with the edits of its model.
fn run_trace(state: &State<'_>, region: RegionId) -> Result<()> {
    let RegionKind::Trace { model, .. } = state.program.regions[region.index()].kind else { return Ok(()) };
    let edits = state.edits.borrow().get(&model).cloned().unwrap_or_default();
    if edits.is_empty() {
        return Block::new(state, state.program, &state.layout, &state.dependence, region, 0)?.run();
    }
    let first = state.program.nodes.len();
    let known = state.expanded.borrow().as_ref().filter(|e| e.is_for(model, &edits)).cloned();
    let expanded = match known {
        Some(expanded) => expanded,
        None => Rc::new(Expanded::new(state.program, &state.layout, model, edits)),
    };
    *state.expanded.borrow_mut() = Some(expanded.clone());
    state.table.resize(expanded.program.nodes.len());
    let mut block =
        Block::new(state, &expanded.program, &expanded.layout, &expanded.dependence, region, first)?;
    (block.watched, block.gradients) = (&expanded.watched, &expanded.gradients);
    let result = block.run();
    state.table.resize(first);
    result
}

impl<'r> Block<'r> {
    fn new(
        state: &'r State<'r>,
        program: &'r Program,
        layout: &'r Layout,
        dependence: &'r Dependence,
        region: RegionId,
        first_edit: usize,
    ) -> Result<Block<'r>> {
        let number = match program.regions[region.index()].kind {
            RegionKind::Trace { model, .. } => model,
            _ => 0,
        };
        let (model, encoder) = state.model(number);
        let members: Vec<NodeId> = layout.members(program, region).collect();
        let mut writes_through: FxHashMap<NodeId, Vec<NodeId>> = FxHashMap::default();
        let (mut waits, mut awaited) = (FxHashMap::default(), FxHashMap::default());
        let mut by_invoke: FxHashMap<Option<InvokeId>, Vec<NodeId>> = FxHashMap::default();
        for &id in &members {
            by_invoke.entry(program.nodes[id.index()].invoke).or_default().push(id);
            for read in order::written_reads(program, dependence, id) {
                writes_through.entry(read).or_default().push(id);
            }
            if let Kind::RegionRef(inner) = program.nodes[id.index()].kind {
                let needs = regions::needs(program, layout, inner);
                for &need in &needs {
                    awaited.entry(need).or_insert_with(Vec::new).push(id);
                }
                waits.insert(id, needs);
            }
        }
        let changes = order::changes(program, dependence, &members);
        for (&id, before) in &changes {
            for &change in before {
                awaited.entry(change).or_insert_with(Vec::new).push(id);
            }
        }
        let n = program.nodes.len();
        let mut block = Block {
            program,
            region,
            state,
            layout,
            dependence,
            watched: &state.watched,
            gradients: &state.gradients,
            first_edit,
            model,
            encoder,
            by_invoke,
            invokes: program.invokes_of(region).map(|(id, _)| id).collect(),
            bindings: FxHashMap::default(),
            writes_through,
            waits,
            changes,
            awaited,
            streamed: FxHashSet::default(),
            memory: Memory::default(),
            active: RefCell::new(vec![false; n]),
            turns: Turns::new(program.regions.len(), region),
            captured: RefCell::default(),
            gathered: RefCell::default(),
            ready: RefCell::default(),
            stalled: RefCell::default(),
            held: RefCell::default(),
            calls: RefCell::default(),
            called: RefCell::default(),
            skipped: RefCell::default(),
            progress: Cell::new(0),
            stopped: Cell::new(false),
            steps: RefCell::default(),
            last_write: RefCell::default(),
            running: RefCell::default(),
            saves: members
                .iter()
                .copied()
                .filter(|id| matches!(program.nodes[id.index()].kind, Kind::Save { .. }))
                .collect(),
            seen: RefCell::default(),
            settled: RefCell::default(),
            wanted: RefCell::default(),
            members,
        };
        if region != RegionId(0) {
            block.bind()?;
        }
        Ok(block)
    }

    /// Runs a trace.
    fn run(self) -> Result<()> {
        // In a loop the trace has run before.
        for &id in &self.members {
            self.state.table.mark(id, false);
        }
        self.begin_step(None, 0);
        for &invoke in &self.invokes {
            self.begin_step(Some(invoke), 0);
        }
        self.run_ready()?;
        if !self.stopped.get() {
            self.run_passes()?;
        }
        // The later steps of a generation are not followed by a scan.
        let cut_short = self.stopped.get()
            || (self.state.scan && self.generates())
            || (self.state.explain && self.state.cut_short.get());
        if cut_short {
            self.state.cut_short.set(true);
            return Ok(());
        }
        self.check_finished()
    }

    /// Whether this is the root, where nothing waits for a forward pass.
    fn is_root(&self) -> bool {
        self.region == RegionId(0)
    }

    fn generates(&self) -> bool {
        let kind = &self.program.regions[self.region.index()].kind;
        matches!(kind, RegionKind::Trace { generate: Some(_), .. })
    }

    fn node(&self, node: NodeId) -> &'r pellucid_program::Node {
        &self.program.nodes[node.index()]
    }

    fn value(&self, node: NodeId) -> Option<Value> {
        self.state.table.value(node)
    }

    fn is_done(&self, node: NodeId) -> bool {
        self.state.table.is_done(node)
    }

    /// Whether the statement belongs to the present step and its region's turn has come, and it has not taken effect.
    fn is_due(&self, node: NodeId) -> bool {
        self.active.borrow()[node.index()]
            && !self.is_done(node)
            && self.turns.is_active(self.node(node).region)
    }

    /// Whether the statement has still to take effect, now or once its region's turn comes.
    fn is_pending(&self, node: NodeId) -> bool {
        self.active.borrow()[node.index()] && (!self.is_done(node) || self.is_in_open_loop(node))
    }

    /// Where a statement stands among those that are ready: edits first, then as written.
    fn rank(&self, node: NodeId) -> usize {
        match self.first_edit {
            0 => node.index(),
            first if node.index() >= first => node.index() - first,
            first => node.index() + self.program.nodes.len() - first,
        }
    }

    /// Makes the statements of a step of an invoke due: those selected for it.
    fn begin_step(&self, invoke: Option<InvokeId>, step: u64) {
        if let Some(invoke) = invoke {
            self.steps.borrow_mut().insert(invoke, step);
        }
        let mut due = Vec::new();
        for &id in self.by_invoke.get(&invoke).into_iter().flatten() {
            if self.node(id).steps.contains(step) && !self.streamed.contains(&id) {
                self.reset(id);
                due.push(id);
            }
        }
        for id in due {
            self.offer(id);
        }
    }

    /// The statement is to happen again.
    fn reset(&self, id: NodeId) {
        self.active.borrow_mut()[id.index()] = true;
        self.state.table.mark(id, false);
        if let Kind::RegionRef(region) = self.node(id).kind {
            self.turns.await_turn(region);
        }
        if self.node(id).region != self.region {
            self.captured.borrow_mut().remove(&id);
        }
    }

    /// Puts a statement in the queue if everything it needs is there and it is not bound to a place.
    fn offer(&self, node: NodeId) {
        let bound = match &self.node(node).kind {
            Kind::Read(_) => !self.captured.borrow().contains_key(&node),
            kind => matches!(
                kind,
                Kind::Write { .. } | Kind::Skip { .. } | Kind::Grad { .. } | Kind::SetGrad { .. }
            ),
        };
        if !bound && self.is_due(node) && self.has_inputs(node) {
            self.ready.borrow_mut().push(Reverse((self.rank(node), node)));
        }
    }

    /// Whether everything a statement needs has come to hand.
    fn has_inputs(&self, node: NodeId) -> bool {
        let done = |n: NodeId| self.is_done(n);
        let mut all = true;
        self.node(node).kind.for_each_node(|n| all &= done(n));
        all &= self.waits.get(&node).into_iter().flatten().all(|&n| self.is_settled(n));
        all &= self.changes.get(&node).into_iter().flatten().all(|&change| self.is_behind(change, node));
        // A backward needs the values whose gradients it is to give.
        for gradient in self.gradients.get(&node).into_iter().flatten() {
            if let Kind::Grad { of } | Kind::SetGrad { of, .. } = &self.node(*gradient).kind {
                all &= done(*of);
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
                self.state.watch_points.borrow_mut().insert(node, point);
            }
            self.state.table.set(node, value);
        }
        self.state.table.mark(node, true);
        self.progress.set(self.progress.get() + 1);
        self.offer_users(node);
        self.leave(node)
    }

    /// Offers the statements that may have waited for one.
    fn offer_users(&self, node: NodeId) {
        let awaited = self.awaited.get(&node).into_iter().flatten();
        for &user in self.dependence.users(node).iter().chain(awaited) {
            self.offer(user);
        }
        for gradient in self.watched.get(&node).into_iter().flatten() {
            if let Some(backward) = self.dependence.next_backward(*gradient) {
                self.offer(backward);
            }
        }
    }

    /// Carries out every statement whose inputs are there, in written order.
    fn run_ready(&self) -> Result<()> {
        while !self.stopped.get() {
            let Some(Reverse((_, node))) = self.ready.borrow_mut().pop() else { return Ok(()) };
            if !self.is_due(node) || !self.has_inputs(node) || self.must_wait(node)? {
                continue;
            }
            match self.carry_out(node).map_err(|e| e.at(self.program, node)) {
                Ok(Some(value)) => self.finish(node, value)?,
                Ok(None) => {}
                Err(e) => self.fail(node, e)?,
            }
        }
        Ok(())
    }

    /// A statement is at fault: that ends the run, or is noted when all faults are looked for.
    fn fail(&self, node: NodeId, fault: RunError) -> Result<()> {
        if !self.state.explain {
            return Err(fault);
        }
        // Behind a loop that was not gone through to its end, a fault may be none.
        if !self.state.guesses.get() {
            self.state.faults.borrow_mut().push(fault);
        }
        self.give_up(node);
        Ok(())
    }

    /// The statement and all that need it do not happen, and nobody waits for them.
    fn give_up(&self, node: NodeId) {
        self.state.cut_short.set(true);
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            if !std::mem::take(&mut self.active.borrow_mut()[node.index()]) {
                continue;
            }
            self.progress.set(self.progress.get() + 1);
            stack.extend(self.dependence.users(node));
            if let Kind::RegionRef(region) = self.node(node).kind {
                stack.extend(self.layout.span[region.index()].clone().map(NodeId::from_index));
            }
            for &user in self.awaited.get(&node).into_iter().flatten() {
                // What only comes after it goes on.
                self.offer(user);
            }
        }
    }

    /// Statements that never took effect are faults, all of them reported.
    fn check_finished(&self) -> Result<()> {
        if self.state.explain && self.state.cut_short.get() {
            return Ok(());
        }
        let mut left: Vec<Waiting> = Vec::new();
        for &id in &self.members {
            let node = self.node(id);
            if self.is_done(id) {
                continue;
            }
            // Only the first of a chain says something new.
            let mut waits = !self.turns.is_active(node.region);
            node.kind.for_each_node(|n| waits |= !self.is_done(n));
            waits |= self.waits.get(&id).into_iter().flatten().any(|&n| !self.is_settled(n));
            if let Kind::RegionRef(inner) = node.kind {
                waits |= self.turns.is_active(inner);
            }
            if waits {
                continue;
            }
            let never = match self.running.borrow().is_empty() {
                true => "the model did not call it",
                false => "the forward pass waits for statements that wait for it in turn",
            };
            let (what, why) = match &node.kind {
                Kind::Read(place) => (format!("read of `{place}`"), never.to_owned()),
                Kind::Write { place, .. } => (format!("write to `{place}`"), never.to_owned()),
                Kind::Skip { module, .. } => (format!("skip of `{module}`"), never.to_owned()),
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
