//! The end of a loop's turn outside traces: what later statements can reach is computed, and the turn's graph let go.

use pellucid_nn::Var;
use pellucid_program::{Kind, NodeId, RegionId};
use pellucid_tensor::Tensor;

use super::Block;
use crate::error::Result;

impl Block<'_> {
    /// Computes what outlives the turn of a loop, so that a loop of any length holds one turn's graph.
    pub(super) fn settle(&self, region: RegionId) -> Result<()> {
        if !self.is_root() || self.state.scan {
            return Ok(());
        }
        let span = self.layout.span[region.index()].clone();
        // A later backward goes through the graph of all turns.
        let backward = |n: NodeId| matches!(self.node(n).kind, Kind::Backward { .. });
        let later = (span.end..self.program.nodes.len()).map(NodeId::from_index);
        if later.filter(|&n| self.layout.block[self.node(n).region.index()] == self.region).any(backward) {
            return Ok(());
        }
        let mut vars: Vec<Var> = Vec::new();
        for index in 0..self.program.nodes.len() {
            let id = NodeId::from_index(index);
            if !self.state.table.has_value(id) || !self.outlives(id, &span) {
                continue;
            }
            if let Some(value) = self.value(id) {
                value.for_each_var(&mut |var| vars.push(var.base().clone()));
            }
        }
        for index in span.clone() {
            let id = NodeId::from_index(index);
            if !self.outlives(id, &span) {
                self.state.table.forget(id);
            }
        }
        self.state.watch_points.borrow_mut().retain(|n, _| !span.contains(&n.index()));
        let tensors = vars.iter().map(Var::get).collect::<pellucid_tensor::Result<Vec<Tensor>>>()?;
        crate::run::eval_each(&tensors)?;
        for (var, tensor) in vars.iter().zip(tensors) {
            if !tensor.inputs().is_empty() {
                var.set(tensor.detach()?)?;
            }
        }
        Ok(())
    }

    /// Whether a value may be looked at after the turn.
    fn outlives(&self, id: NodeId, span: &std::ops::Range<usize>) -> bool {
        let used_later = || {
            let users = self.dependence.users(id).iter();
            let own = users.chain(self.awaited.get(&id).into_iter().flatten());
            own.clone().any(|user| user.index() >= span.start)
        };
        if span.contains(&id.index()) {
            let users = self.dependence.users(id).iter();
            matches!(self.node(id).kind, Kind::Save { .. })
                || users.clone().any(|user| !span.contains(&user.index()))
        } else {
            matches!(self.node(id).kind, Kind::Save { .. }) || used_later()
        }
    }
}
