//! Demand: of every node, only the positions that somebody needs are computed.
//!
//! From the targets backwards, each node learns the union of what its users read of it: for every dimension a set of
//! positions (see [`region`]). Slices and indices read less than all of their operand; operations that treat positions
//! of a dimension alike pass that on (see [`rules`]); others read everything. As it is the union, no element is computed
//! twice. Elements keep their bits: products are one chain per element, rows of norms and softmax do not depend on each
//! other, and what is added across a dimension is never split.
//!
//! Nodes of which a part is needed are made anew, smaller, outside of the engine's table, under the number of the node
//! they stand for. A fault in a part that nobody needs is not found.

mod region;
mod reshape;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use smallvec::{SmallVec, smallvec};

use self::region::{Need, Pick, Positions, Region, pick};
use self::rules::Step;
use super::plan::{Plan, Work};
use crate::HostData;
use crate::dtype::DType;
use crate::graph::{Node, Operands, Tensor};
use crate::op::Op;
use crate::shape::Dims;
use crate::value::Value;

/// Targets of the same values that are computed from no more than needed; nothing if all that is there is needed.
pub(super) fn narrowed(plan: &Plan<'_>) -> Option<Vec<Tensor>> {
    if !plan.order.iter().any(|&i| rules::selects(plan.nodes[i as usize])) {
        return None;
    }
    let (mut needs, steps) = spread(plan);
    if !steps.iter().any(|(_, step)| matches!(step.computed, Need::Part(_))) {
        return None;
    }
    let mut made: Vec<Option<Tensor>> = vec![None; plan.nodes.len()];
    // Steps were found from the last node on.
    let mut steps = steps.into_iter().rev().peekable();
    for &i in &plan.order {
        let (i, node) = (i as usize, plan.nodes[i as usize]);
        let step = steps.next_if(|(at, _)| *at == i).map(|(_, step)| step);
        let partial = step.as_ref().is_some_and(|step| matches!(step.computed, Need::Part(_)));
        let changed = plan.operands(i).iter().any(|&o| made[o as usize].is_some());
        if let Some(step) = &step {
            // More than is needed may be computed, and is there for whoever reads it.
            needs[i] = step.computed.clone();
        }
        if needs[i] == Need::Nothing || !(partial || changed) {
            continue;
        }
        let now = |o: u32| made[o as usize].as_ref().unwrap_or(plan.nodes[o as usize]);
        made[i] = Some(match step {
            None => {
                let inputs = plan.operands(i).iter().map(|&o| now(o).clone()).collect();
                make(node, node.op().clone(), inputs, node.dims().into())
            }
            Some(step) => {
                let operands: SmallVec<[Operand<'_>; 4]> = plan
                    .operands(i)
                    .iter()
                    .zip(&step.reads)
                    .map(|(&o, read)| Operand {
                        whole: plan.nodes[o as usize],
                        now: now(o),
                        there: needs[o as usize].region(plan.nodes[o as usize].rank()),
                        read,
                    })
                    .collect();
                rebuilt(node, &step.computed, &operands)
            }
        });
    }
    let now = |&i: &u32| made[i as usize].as_ref().unwrap_or(plan.nodes[i as usize]).clone();
    Some(plan.asked.iter().map(now).collect())
}

/// What is needed of each node, and the steps of those that read or compute a part of something, the last node first.
fn spread(plan: &Plan<'_>) -> (Vec<Need>, Vec<(usize, Step)>) {
    let mut needs = vec![Need::Nothing; plan.nodes.len()];
    let mut steps = Vec::new();
    for (i, need) in needs.iter_mut().enumerate() {
        if plan.is_wanted(i) || plan.work[i] == Work::Ready {
            *need = Need::All;
        }
    }
    for &i in plan.order.iter().rev() {
        let (i, node) = (i as usize, plan.nodes[i as usize]);
        match &needs[i] {
            Need::Nothing => {}
            Need::All if !rules::selects(node) => {
                plan.operands(i).iter().for_each(|&o| needs[o as usize] = Need::All);
            }
            need => {
                let step = rules::step(node, need.region(node.rank()));
                for (&o, read) in plan.operands(i).iter().zip(&step.reads) {
                    needs[o as usize].add(read, plan.nodes[o as usize].dims());
                }
                steps.push((i, step));
            }
        }
    }
    (needs, steps)
}

/// An operand of a node that is made anew.
struct Operand<'a> {
    /// As it was built.
    whole: &'a Tensor,
    /// As it is computed now: the part `there`.
    now: &'a Tensor,
    there: Region,
    read: &'a Need,
}

impl Operand<'_> {
    /// The part that is read, for the node `user`.
    fn part(&self, user: &Tensor) -> Tensor {
        let mut out = self.now.clone();
        let read = self.read.region(self.whole.rank());
        for (d, (there, wanted)) in self.there.iter().zip(&read).enumerate() {
            let size = self.whole.dims()[d];
            out = match pick(there, wanted, size) {
                Pick::Everything => out,
                Pick::Spaced { start, step } => {
                    let mut dims: Dims = out.dims().into();
                    dims[d] = wanted.count(size);
                    let op = Op::Slice { axis: d as u8, start, step: step as isize };
                    make_like(user, op, &out, dims)
                }
                Pick::Runs(runs) => gathered(user, &out, d, &runs),
            };
        }
        out
    }
}

/// Runs of positions of a dimension, one after the other.
fn gathered(user: &Tensor, x: &Tensor, axis: usize, runs: &[(usize, usize)]) -> Tensor {
    let mut dims: Dims = x.dims().into();
    let count = runs.iter().map(|&(_, len)| len).sum();
    if axis == 0 {
        let positions = runs.iter().flat_map(|&(start, len)| start..start + len).map(|p| p as i64).collect();
        let positions = literal(user, positions, &[count]);
        dims[0] = count;
        let inputs = smallvec![x.clone(), positions];
        return Tensor { node: node(user, Op::Index { n: 1 }, inputs, dims, x.dtype()) };
    }
    let pieces: Operands = runs
        .iter()
        .map(|&(start, len)| {
            dims[axis] = len;
            make_like(user, Op::Slice { axis: axis as u8, start, step: 1 }, x, dims.clone())
        })
        .collect();
    dims[axis] = count;
    Tensor { node: node(user, Op::Concat { axis: axis as u8 }, pieces, dims, x.dtype()) }
}

/// The part `computed` of a node, from the parts of its operands.
fn rebuilt(tensor: &Tensor, computed: &Need, operands: &[Operand<'_>]) -> Tensor {
    let region = computed.region(tensor.rank());
    let dims: Dims = region.iter().zip(tensor.dims()).map(|(p, &size)| p.count(size)).collect();
    let part = |i: usize| operands[i].part(tensor);
    let reversed = |x: Tensor, axis: usize| {
        let last = x.dims()[axis].saturating_sub(1);
        let dims = x.dims().into();
        if last == 0 {
            x
        } else {
            make_like(tensor, Op::Slice { axis: axis as u8, start: last, step: -1 }, &x, dims)
        }
    };
    match tensor.op() {
        Op::Slice { axis, step, .. } => {
            let at = *axis as usize;
            let read = operands[0].read.region(tensor.rank());
            if region[at] == Positions::All && read[at] == Positions::All {
                return make(tensor, tensor.op().clone(), smallvec![part(0)], dims);
            }
            if *step < 0 { reversed(part(0), at) } else { part(0) }
        }
        Op::SliceAssign { axis, step, .. } => match (operands[0].read, operands[1].read) {
            (_, Need::Nothing) => part(0),
            (Need::Nothing, _) if *step < 0 => reversed(part(1), *axis as usize),
            (Need::Nothing, _) => part(1),
            _ => make(tensor, tensor.op().clone(), smallvec![part(0), part(1)], dims),
        },
        Op::Concat { .. } => {
            let read = (0..operands.len()).filter(|&i| *operands[i].read != Need::Nothing);
            let mut inputs: Operands = read.map(part).collect();
            if inputs.len() == 1 { inputs.remove(0) } else { make(tensor, tensor.op().clone(), inputs, dims) }
        }
        Op::Index { n } => {
            let (n, lead) = (*n as usize, operands[1].whole.rank());
            let at: Region = region[..lead].iter().cloned().collect();
            let mut inputs: Operands = smallvec![held(tensor, &operands[0], n)];
            for (d, index) in operands[1..].iter().enumerate() {
                let there = &operands[0].there[d];
                let known = if *there == Positions::All { None } else { rules::known(index.whole) };
                inputs.push(match known {
                    Some(all) => {
                        let size = operands[0].whole.dims()[d];
                        let rank = |i: i64| rules::resolve(i, size).map_or(i, |p| there.rank(p) as i64);
                        let ranks =
                            rules::picked(&all, index.whole.dims(), &at).into_iter().map(rank).collect();
                        literal(tensor, ranks, &dims[..lead])
                    }
                    None => index.part(tensor),
                });
            }
            make(tensor, tensor.op().clone(), inputs, dims)
        }
        op => make(tensor, op.clone(), (0..operands.len()).map(part).collect(), dims),
    }
}

/// The indexed operand: all that is there of its `n` leading dimensions, and what is read of the others.
fn held(user: &Tensor, operand: &Operand<'_>, n: usize) -> Tensor {
    let mut read = operand.read.region(operand.whole.rank());
    read[..n].clone_from_slice(&operand.there[..n]);
    let read = Need::of(read);
    Operand { read: &read, there: operand.there.clone(), ..*operand }.part(user)
}

/// A node that stands for `of` or for an operand of it.
fn node(of: &Tensor, op: Op, inputs: Operands, dims: Dims, dtype: DType) -> std::sync::Arc<Node> {
    std::sync::Arc::new(Node {
        id: of.id(),
        op,
        inputs,
        dims,
        dtype,
        engine: of.engine().clone(),
        value: OnceLock::new(),
        name: None,
    })
}

fn make(of: &Tensor, op: Op, inputs: Operands, dims: Dims) -> Tensor {
    Tensor { node: node(of, op, inputs, dims, of.dtype()) }
}

/// An operation on `x` that keeps its type.
fn make_like(user: &Tensor, op: Op, x: &Tensor, dims: Dims) -> Tensor {
    Tensor { node: node(user, op, smallvec![x.clone()], dims, x.dtype()) }
}

/// Positions as a leaf.
fn literal(user: &Tensor, positions: Vec<i64>, dims: &[usize]) -> Tensor {
    let data = HostData::from_slice(&positions);
    user.engine().from_value(Value::from_bytes(&data.bytes, DType::I64, dims), None)
}
