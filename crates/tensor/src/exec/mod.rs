//! The executor: takes the demanded part of a graph, plans it, and runs it.

mod kernels;
mod strided;

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::error::{Result, TensorError};
use crate::graph::{Engine, Tensor};
use crate::op::Op;
use crate::value::Value;

pub(crate) use strided::copy_strided;
pub use strided::reshape_strides;

/// Which rewrites the planner applies; each can be switched off for tests and for bug hunting.
///
/// With all of them off every node is computed by the reference interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrites {
    /// Fast kernels in place of the reference interpreter's loops.
    pub fast_kernels: bool,
    /// A buffer that nobody else holds is overwritten by the result.
    pub in_place: bool,
    /// Bias, activation and residual are applied by the matrix product that feeds them.
    pub epilogues: bool,
}

impl Default for Rewrites {
    fn default() -> Self {
        Rewrites { fast_kernels: true, in_place: true, epilogues: true }
    }
}

impl Rewrites {
    /// No rewrites at all.
    pub const OFF: Rewrites = Rewrites { fast_kernels: false, in_place: false, epilogues: false };
}

/// Weights in the layout of the matrix-product kernel, made at first use.
#[derive(Default)]
pub(crate) struct PackedWeights {
    _by_leaf: Mutex<FxHashMap<(u64, bool), ()>>,
}

/// The demanded nodes in an order in which operands come first.
struct Plan<'a> {
    nodes: Vec<&'a Tensor>,
    /// For each node, where its operands stand in `nodes`.
    operands: Vec<SmallVec<[u32; 4]>>,
    /// How often each node's value is still needed.
    uses: Vec<u32>,
}

impl<'a> Plan<'a> {
    fn new(targets: &'a [Tensor]) -> Plan<'a> {
        let mut position: FxHashMap<u64, u32> = FxHashMap::default();
        let mut nodes: Vec<&Tensor> = Vec::new();
        let mut pending: Vec<&Tensor> = targets.iter().collect();
        while let Some(tensor) = pending.pop() {
            if position.insert(tensor.id(), 0).is_some() {
                continue;
            }
            nodes.push(tensor);
            if !tensor.is_evaluated() {
                pending.extend(tensor.inputs());
            }
        }
        nodes.sort_unstable_by_key(|t| t.id());
        for (i, t) in nodes.iter().enumerate() {
            position.insert(t.id(), i as u32);
        }
        let mut uses = vec![0; nodes.len()];
        let operands: Vec<SmallVec<[u32; 4]>> = nodes
            .iter()
            .map(|t| {
                if t.is_evaluated() {
                    return SmallVec::new();
                }
                t.inputs().iter().map(|i| position[&i.id()]).collect()
            })
            .collect();
        for &i in operands.iter().flatten() {
            uses[i as usize] += 1;
        }
        for t in targets {
            uses[position[&t.id()] as usize] += 1;
        }
        Plan { nodes, operands, uses }
    }
}

impl Engine {
    /// Computes the tensors together and keeps their values.
    ///
    /// # Errors
    /// [`TensorError::NotLoaded`] for a leaf without data; faults that depend on computed values;
    /// [`TensorError::Interrupted`].
    pub fn eval(&self, targets: &[Tensor]) -> Result<()> {
        let rewrites = self.rewrites();
        let Plan { nodes, operands, mut uses } = Plan::new(targets);
        let mut slots: Vec<Option<Value>> = vec![None; nodes.len()];
        for (i, tensor) in nodes.iter().enumerate() {
            if let Some(value) = tensor.node.value.get() {
                slots[i] = Some(value.clone());
                continue;
            }
            self.check_interrupt()?;
            let mut inputs: SmallVec<[Value; 4]> = SmallVec::new();
            for &input in &operands[i] {
                let input = input as usize;
                uses[input] -= 1;
                let value = if uses[input] == 0 { slots[input].take() } else { slots[input].clone() };
                inputs.push(value.ok_or_else(|| TensorError::NotLoaded { name: String::new() })?);
            }
            let value = kernels::compute(tensor, inputs, rewrites)?;
            debug_assert_eq!(value.dims(), tensor.dims(), "{tensor:?}");
            debug_assert_eq!(value.dtype(), tensor.dtype(), "{tensor:?}");
            slots[i] = Some(value);
        }
        let mut kept: FxHashMap<u64, Value> = FxHashMap::default();
        for (tensor, slot) in nodes.iter().zip(&mut slots) {
            if let Some(value) = slot.take() {
                kept.insert(tensor.id(), value);
            }
        }
        for target in targets {
            if let Some(value) = kept.get(&target.id()) {
                target.node.value.get_or_init(|| value.clone());
            }
        }
        Ok(())
    }
}

/// The value of a view, as another arrangement of the operand's block; copies where strides cannot express it.
fn view(tensor: &Tensor, input: &Value) -> Value {
    let mut out = input.clone();
    out.dims = tensor.dims().into();
    match tensor.op() {
        Op::Slice { axis, start, step } => {
            let axis = *axis as usize;
            let stride = input.strides[axis];
            if tensor.numel() > 0 {
                out.offset = (input.offset as isize + stride * *start as isize) as usize;
            }
            out.strides[axis] = stride * step;
        }
        Op::Permute(perm) => out.strides = perm.iter().map(|&p| input.strides[p as usize]).collect(),
        Op::Expand => {
            for ((stride, &from), &to) in out.strides.iter_mut().zip(input.dims()).zip(tensor.dims()) {
                if from != to {
                    *stride = 0;
                }
            }
        }
        Op::Reshape => match strided::reshape_strides(&input.dims, &input.strides, tensor.dims()) {
            Some(strides) => out.strides = strides,
            None => return input.contiguous().with_dims(tensor.dims()),
        },
        _ => {}
    }
    out
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
