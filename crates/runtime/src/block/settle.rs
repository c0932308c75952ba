//! The end of a loop's turn outside traces: what later statements can reach is computed, and the turn's graph let go.

use std::ops::Range;
use std::rc::Rc;

use pellucid_nn::{Value, Var};
use pellucid_program::{Kind, NodeId, RegionId, RegionKind};
use pellucid_tensor::Tensor;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Block;
use crate::error::Result;

/// What the ends of a loop's turns leave.
#[derive(Default)]
pub(super) struct Settled {
    /// Statements whose values may be looked at after a turn.
    outlive: Vec<NodeId>,
    /// Of these, values that a backward after the loop goes through: they keep their graph.
    kept: FxHashSet<NodeId>,
    /// Statements whose values go with the turn.
    forgotten: Vec<NodeId>,
    /// How many elements of lists and dictionaries, by their address, have been looked at.
    seen: FxHashMap<usize, usize>,
    /// Turns since everything was looked at, and how much there was.
    turns: usize,
    size: usize,
}

impl Block<'_> {
    /// Computes what outlives the turn of a loop, so that a loop of any length holds one turn's graph.
    pub(super) fn settle(&self, region: RegionId) -> Result<()> {
        if !self.is_root() || self.state.scan {
            return Ok(());
        }
        let known = self.settled.borrow_mut().remove(&region);
        let mut settled = known.unwrap_or_else(|| self.survey(region));
        // New elements are looked at on every turn, old ones now and then: that takes no longer than making them.
        let is_full = settled.turns >= settled.size;
        if is_full {
            settled.seen.clear();
        }
        let (mut vars, mut kept): (Vec<Var>, Vec<Var>) = (Vec::new(), Vec::new());
        for &id in &settled.outlive {
            if let Some(value) = self.value(id) {
                let into = if settled.kept.contains(&id) { &mut kept } else { &mut vars };
                collect(&value, &mut settled.seen, into);
            }
        }
        let logs = self.state.logs.borrow();
        for line in &logs[self.state.settled_logs.replace(logs.len())..] {
            for value in &line.values {
                value.for_each_var(&mut |var| vars.push(var.base().clone()));
            }
        }
        drop(logs);
        settled.turns = if is_full { 0 } else { settled.turns + 1 };
        if is_full {
            settled.size = vars.len() + kept.len();
            let live = vars.iter().chain(&kept).map(Var::get).collect::<pellucid_tensor::Result<Vec<_>>>()?;
            self.state.training.keep_only(&live.iter().map(Tensor::id).collect())?;
        }
        for &id in &settled.forgotten {
            self.state.table.forget(id);
        }
        let span = &self.layout.span[region.index()];
        self.state.watch_points.borrow_mut().retain(|n, _| !span.contains(&n.index()));
        let tensors = vars.iter().map(Var::get).collect::<pellucid_tensor::Result<Vec<Tensor>>>()?;
        let keeps_graph = kept.iter().map(Var::get).collect::<pellucid_tensor::Result<Vec<Tensor>>>()?;
        crate::run::eval_each(&[tensors.as_slice(), keeps_graph.as_slice()].concat())?;
        let keeps_graph: FxHashSet<u64> = keeps_graph.iter().map(Tensor::id).collect();
        for (var, tensor) in vars.iter().zip(tensors) {
            if !tensor.inputs().is_empty() && !keeps_graph.contains(&tensor.id()) {
                var.set(tensor.detach()?)?;
            }
        }
        self.settled.borrow_mut().insert(region, settled);
        Ok(())
    }

    /// Finds what the ends of a loop's turns leave, once.
    fn survey(&self, region: RegionId) -> Settled {
        let span = self.layout.span[region.index()].clone();
        let mut settled = Settled::default();
        let reached = self.reached_by_backwards(region, &span);
        for index in 0..self.program.nodes.len() {
            let id = NodeId::from_index(index);
            if self.outlives(id, &span) {
                settled.outlive.push(id);
                if reached.contains(&id) {
                    settled.kept.insert(id);
                }
            } else if span.contains(&index) {
                settled.forgotten.push(id);
            }
        }
        // First what keeps its graph: a list that others hold too is looked at once.
        settled.outlive.sort_by_key(|id| !settled.kept.contains(id));
        settled
    }

    /// Values that backwards outside the loop go through, after it or in a later turn of a loop around it.
    fn reached_by_backwards(&self, region: RegionId, span: &Range<usize>) -> FxHashSet<NodeId> {
        let mut from = span.end;
        let mut at = self.program.regions[region.index()].parent;
        while let Some(around) = at {
            let around_region = &self.program.regions[around.index()];
            if matches!(around_region.kind, RegionKind::Iter { .. }) {
                from = self.layout.span[around.index()].start;
            }
            at = around_region.parent;
        }
        let is_backward =
            |n: &usize| !span.contains(n) && matches!(self.program.nodes[*n].kind, Kind::Backward { .. });
        let mut stack: Vec<NodeId> =
            (from..self.program.nodes.len()).filter(is_backward).map(NodeId::from_index).collect();
        let mut reached = FxHashSet::default();
        while let Some(id) = stack.pop() {
            if reached.insert(id) {
                self.node(id).kind.for_each_node(|n| stack.push(n));
                let root = self.dependence.root(id);
                stack.push(root);
                stack.extend(self.changes.get(&id).into_iter().flatten());
            }
        }
        reached
    }

    /// Whether a value may be looked at after the turn.
    fn outlives(&self, id: NodeId, span: &Range<usize>) -> bool {
        let used_later = || {
            let users = self.dependence.users(id).iter();
            let own = users.chain(self.awaited.get(&id).into_iter().flatten());
            own.clone().any(|user| user.index() >= span.start)
        };
        if span.contains(&id.index()) {
            let users = self.dependence.users(id).iter();
            // A name that is assigned in a branch holds what an earlier turn gave it.
            let is_merge = |user: &NodeId| matches!(self.node(*user).kind, Kind::Merge { .. });
            matches!(self.node(id).kind, Kind::Save { .. })
                || users.clone().any(|user| !span.contains(&user.index()) || is_merge(user))
        } else {
            matches!(self.node(id).kind, Kind::Save { .. }) || used_later()
        }
    }
}

/// The storages of a value; of lists and dictionaries only what has been added since they were looked at last.
fn collect(value: &Value, seen: &mut FxHashMap<usize, usize>, into: &mut Vec<Var>) {
    match value {
        Value::Tensor(var) => into.push(var.base().clone()),
        Value::Tuple(items) => items.iter().for_each(|item| collect(item, seen, into)),
        Value::List(list) => {
            let items = list.borrow();
            let before = seen.insert(Rc::as_ptr(list) as usize, items.len()).unwrap_or(0);
            items[before.min(items.len())..].iter().for_each(|item| collect(item, seen, into));
        }
        Value::Dict(dict) => {
            let pairs = dict.borrow();
            let before = seen.insert(Rc::as_ptr(dict) as usize, pairs.len()).unwrap_or(0);
            pairs[before.min(pairs.len())..].iter().for_each(|(_, item)| collect(item, seen, into));
        }
        other => other.for_each_var(&mut |var| into.push(var.base().clone())),
    }
}
