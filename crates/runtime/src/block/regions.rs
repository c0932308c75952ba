//! Conditions, loops and sessions: when the statements inside a region have their turn.

use std::cell::RefCell;

use pellucid_nn::Value;
use pellucid_program::{Kind, NodeId, Program, RegionId, RegionKind};

use super::{Block, run_trace};
use crate::error::{Result, RunError, RunErrorKind};
use crate::layout::Layout;

/// How many turns of a loop are looked at before a program runs; every turn has the same statements.
const TURNS: usize = 64;

/// Where a region stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Whether and when it happens is not known yet.
    Waiting,
    /// Its statements may happen.
    Active,
    /// It is over, or does not happen in this turn.
    Over,
}

/// One region's turn.
#[derive(Clone, Debug)]
struct Turn {
    phase: Phase,
    /// Whether a condition was found to hold, or one before it in its chain.
    taken: bool,
    /// Whether that is a guess: a condition of the chain is not computed.
    is_guess: bool,
    /// Statements directly inside that have still to take effect.
    left: usize,
    /// What a loop goes through, and how far it is.
    elements: Vec<Value>,
    at: usize,
}

/// The turns of all regions of a block.
pub(super) struct Turns {
    turns: RefCell<Vec<Turn>>,
}

impl Turns {
    /// Only the block's own region has its turn.
    pub(super) fn new(regions: usize, own: RegionId) -> Turns {
        let waiting = Turn {
            phase: Phase::Waiting,
            taken: false,
            is_guess: false,
            left: 0,
            elements: Vec::new(),
            at: 0,
        };
        let mut turns = vec![waiting; regions];
        turns[own.index()].phase = Phase::Active;
        Turns { turns: RefCell::new(turns) }
    }

    fn with<T>(&self, region: RegionId, change: impl FnOnce(&mut Turn) -> T) -> T {
        change(&mut self.turns.borrow_mut()[region.index()])
    }

    pub(super) fn is_active(&self, region: RegionId) -> bool {
        self.with(region, |t| t.phase == Phase::Active)
    }

    fn is_over(&self, region: RegionId) -> bool {
        self.with(region, |t| t.phase == Phase::Over)
    }

    /// The region may happen again.
    pub(super) fn await_turn(&self, region: RegionId) {
        self.with(region, |t| {
            (t.phase, t.taken) = (Phase::Waiting, false);
        });
    }
}

/// The statements that a region waits for: what its condition or sequence names, and the branch before it.
pub(super) fn needs(program: &Program, layout: &Layout, region: RegionId) -> Vec<NodeId> {
    let mut needs = Vec::new();
    let kind = &program.regions[region.index()].kind;
    if matches!(kind, RegionKind::Cond { .. } | RegionKind::Iter { .. } | RegionKind::Trace { .. }) {
        kind.args().for_each(|arg| arg.for_each_node(|n| needs.push(n)));
    }
    if let RegionKind::Cond { else_of: Some(before), .. } = kind {
        needs.extend(layout.site[before.index()]);
    }
    if matches!(kind, RegionKind::Trace { .. }) {
        for (_, invoke) in program.invokes_of(region) {
            let options = invoke.options.iter().map(|(_, arg)| arg);
            invoke.input.args().chain(options).for_each(|arg| arg.for_each_node(|n| needs.push(n)));
        }
    }
    needs
}

impl Block<'_> {
    /// Whether a statement has taken effect; a condition counts as soon as it is decided.
    pub(super) fn is_settled(&self, node: NodeId) -> bool {
        match self.node(node).kind {
            Kind::RegionRef(region)
                if matches!(self.program.regions[region.index()].kind, RegionKind::Cond { .. }) =>
            {
                self.is_done(node) || self.turns.is_active(region)
            }
            _ => self.is_done(node),
        }
    }

    /// Whether nothing inside a region happens any more.
    pub(super) fn is_over(&self, region: RegionId) -> bool {
        self.turns.is_over(region)
    }

    /// Whether a statement stands in a loop of the block that may have more turns.
    pub(super) fn is_in_open_loop(&self, node: NodeId) -> bool {
        let mut at = self.node(node).region;
        while at != self.region {
            let region = &self.program.regions[at.index()];
            if matches!(region.kind, RegionKind::Iter { .. }) && !self.turns.is_over(at) {
                return true;
            }
            let Some(parent) = region.parent else { return false };
            at = parent;
        }
        false
    }

    /// A region's turn has come. Whether its statement is thereby done.
    pub(super) fn enter(&self, site: NodeId, region: RegionId) -> Result<bool> {
        match &self.program.regions[region.index()].kind {
            RegionKind::Root => Ok(true),
            RegionKind::Session | RegionKind::Local => self.begin_turn(region),
            RegionKind::Edit { model, edited } => {
                let mut edits = self.state.edits.borrow_mut();
                let mut all = edits.get(model).cloned().unwrap_or_default();
                all.push(region);
                edits.insert(*edited, all);
                Ok(true)
            }
            RegionKind::Trace { .. } => {
                run_trace(self.state, region)?;
                for node in self.layout.members(self.program, region) {
                    if self.is_done(node) {
                        self.offer_users(node);
                    }
                }
                if let Some(scope) = self.state.ended.take() {
                    self.stop(site, scope)?;
                }
                Ok(true)
            }
            RegionKind::Cond { condition, else_of } => {
                let (before, after_guess) =
                    else_of.map_or((false, false), |b| self.turns.with(b, |t| (t.taken, t.is_guess)));
                let computed = self.stalled.borrow_mut().remove(&site);
                // Both branches are looked at when the condition is not known.
                let verdict = match condition {
                    _ if before => Some(false),
                    None => Some(true),
                    Some(condition) => {
                        let condition = match computed {
                            Some(arguments) => arguments.first(),
                            None => self.argument(condition)?,
                        };
                        crate::truth::of(&condition, self.state.scan)?
                    }
                };
                let holds = verdict.unwrap_or(true);
                self.turns.with(region, |t| {
                    t.taken = before || verdict == Some(true);
                    t.is_guess = after_guess || verdict.is_none();
                });
                if holds {
                    // Branches after this one may be decided.
                    let done = self.begin_turn(region)?;
                    self.offer_users(site);
                    Ok(done)
                } else {
                    self.pass_over(region);
                    Ok(true)
                }
            }
            RegionKind::Iter { over } => {
                let elements = elements(self.argument(over)?)?;
                self.turns.with(region, |t| (t.elements, t.at) = (elements, 0));
                self.begin_turn(region)
            }
        }
    }

    /// Statements inside become due. Whether the region is over at once.
    fn begin_turn(&self, region: RegionId) -> Result<bool> {
        if let RegionKind::Iter { .. } = self.program.regions[region.index()].kind
            && self.turns.with(region, |t| t.at >= t.elements.len())
        {
            self.pass_over(region);
            return Ok(true);
        }
        self.turns.with(region, |t| t.phase = Phase::Active);
        let mut direct = Vec::new();
        for index in self.layout.span[region.index()].clone() {
            let id = NodeId::from_index(index);
            let node = self.node(id);
            if self.layout.block[node.region.index()] != self.layout.block[region.index()] {
                continue;
            }
            let step = node.invoke.and_then(|i| self.steps.borrow().get(&i).copied()).unwrap_or(0);
            if !node.steps.contains(step) {
                self.active.borrow_mut()[index] = false;
                continue;
            }
            self.active.borrow_mut()[index] = true;
            self.state.table.mark(id, false);
            if let Kind::RegionRef(inner) = node.kind {
                self.turns.await_turn(inner);
            }
            if node.region == region {
                direct.push(id);
            }
        }
        self.turns.with(region, |t| t.left = direct.len());
        if direct.is_empty() {
            self.turns.with(region, |t| t.phase = Phase::Over);
            return Ok(true);
        }
        for id in direct {
            self.offer(id);
        }
        Ok(false)
    }

    /// Nothing inside the region happens any more: whoever waits for it goes on without.
    fn pass_over(&self, region: RegionId) {
        self.turns.with(region, |t| t.phase = Phase::Over);
        for index in self.layout.span[region.index()].clone() {
            let id = NodeId::from_index(index);
            let inner = self.node(id).region;
            if self.layout.block[inner.index()] != self.layout.block[region.index()] {
                continue;
            }
            self.turns.with(inner, |t| t.phase = Phase::Over);
            self.state.table.mark(id, true);
            // Statements outside may have waited for this value, or for the last change to one.
            self.offer_users(id);
        }
        self.progress.set(self.progress.get() + 1);
    }

    /// A statement took effect: perhaps the last of its region's turn.
    pub(super) fn leave(&self, node: NodeId) -> Result<()> {
        let region = self.node(node).region;
        if region == self.region || !self.turns.is_active(region) {
            return Ok(());
        }
        let left = self.turns.with(region, |t| {
            t.left = t.left.saturating_sub(1);
            t.left
        });
        if left > 0 {
            return Ok(());
        }
        let over = match self.program.regions[region.index()].kind {
            RegionKind::Iter { .. } => {
                self.settle(region)?;
                self.turns.with(region, |t| t.at += 1);
                if self.state.explain && self.turns.with(region, |t| t.at >= TURNS && t.at < t.elements.len())
                {
                    let what = format!("only the first {TURNS} turns of the loop are counted");
                    self.state.needs_value(self.layout.site[region.index()], &what);
                    self.state.guesses.set(true);
                    self.turns.with(region, |t| t.at = t.elements.len());
                }
                self.begin_turn(region)?
            }
            _ => {
                self.turns.with(region, |t| t.phase = Phase::Over);
                true
            }
        };
        match self.layout.site[region.index()] {
            Some(site) if over => self.finish(site, None),
            _ => Ok(()),
        }
    }

    /// Whether a statement stands in a branch of which nobody knows yet whether it is taken.
    pub(super) fn is_in_guess(&self, node: NodeId) -> bool {
        let mut at = self.node(node).region;
        while at != self.region {
            if self.turns.with(at, |t| t.is_guess) {
                return true;
            }
            let Some(parent) = self.program.regions[at.index()].parent else { return false };
            at = parent;
        }
        false
    }

    /// The element that a loop is at.
    pub(super) fn element(&self, region: RegionId) -> Value {
        self.turns.with(region, |t| t.elements.get(t.at).cloned().unwrap_or_default())
    }

    /// Ends the innermost loop around a statement; whether there is one in this block.
    pub(super) fn end_loop(&self, node: NodeId) -> Result<bool> {
        let mut at = self.node(node).region;
        while at != self.region {
            let region = &self.program.regions[at.index()];
            if matches!(region.kind, RegionKind::Iter { .. }) {
                self.state.table.mark(node, true);
                self.pass_over(at);
                if let Some(site) = self.layout.site[at.index()] {
                    self.finish(site, None)?;
                }
                return Ok(true);
            }
            let Some(parent) = region.parent else { break };
            at = parent;
        }
        Ok(false)
    }
}

/// What a loop goes through, as Python would.
fn elements(over: Value) -> Result<Vec<Value>> {
    Ok(match &over {
        Value::List(items) => items.borrow().clone(),
        Value::Tuple(items) => items.to_vec(),
        Value::Dict(pairs) => pairs.borrow().iter().map(|(k, _)| k.clone()).collect(),
        Value::Str(text) => text.chars().map(|c| Value::Str(c.to_string().into())).collect(),
        Value::Record(record) => record.fields.borrow().iter().map(|(_, v)| v.clone()).collect(),
        Value::Tensor(var) => {
            let n = var.get()?.dims().first().copied();
            let Some(n) = n else { return Err(not_a_sequence(&over)) };
            let row = |i: usize| var.index(&[(i as i64).into()]).map(Value::Tensor);
            (0..n).map(row).collect::<pellucid_tensor::Result<_>>()?
        }
        _ => return Err(not_a_sequence(&over)),
    })
}

fn not_a_sequence(got: &Value) -> RunError {
    RunErrorKind::Argument {
        op: "iter".into(),
        argument: "over".into(),
        expected: "something to go through: a list, tuple, dict, string or tensor with dimensions".into(),
        got: got.kind(),
    }
    .into()
}
