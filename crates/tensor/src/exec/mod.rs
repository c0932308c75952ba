//! The executor: takes the demanded part of a graph, plans it, and runs it.

mod attend;
mod demand;
mod function;
mod kernels;
mod movement;
mod packed;
mod parts;
mod plain;
mod plan;
mod product;
mod reduce;
mod rows;
mod strided;
mod summary;
#[cfg(test)]
mod tests;
mod tiles;

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, PoisonError};

use pellucid_kernels::convert;
use rustc_hash::FxHashSet;

use self::kernels::Inputs;
use self::plan::{Plan, Work};
use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::{Engine, Tensor};
use crate::op::Op;
use crate::shape::check_size;
use crate::value::Value;

pub(crate) use packed::PackedWeights;
pub(crate) use strided::copy_strided;
pub use strided::reshape_strides;
pub use summary::{PlanStep, PlanSummary};

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
    /// Chains of elementwise operations run together, tile by tile.
    pub chains: bool,
    /// Rows and columns that nobody needs are not computed: what is only sliced or indexed is computed at the positions
    /// that are read. Faults in what is left out are not found.
    pub demand: bool,
}

impl Default for Rewrites {
    fn default() -> Self {
        Rewrites { fast_kernels: true, in_place: true, epilogues: true, chains: true, demand: true }
    }
}

impl Rewrites {
    /// No rewrites at all.
    pub const OFF: Rewrites =
        Rewrites { fast_kernels: false, in_place: false, epilogues: false, chains: false, demand: false };
}

impl Engine {
    /// Computes the tensors together and keeps their values.
    ///
    /// # Errors
    /// [`TensorError::Computing`] names the node: [`TensorError::NotLoaded`] for a leaf without data, faults that depend
    /// on computed values. [`TensorError::Interrupted`].
    pub fn eval(&self, targets: &[Tensor]) -> Result<()> {
        let rewrites = self.rewrites();
        self.packed().sweep();
        let narrowed = OnceCell::new();
        let mut plan = Plan::new(targets, rewrites, &narrowed);
        let mut slots: Vec<Option<Value>> = Vec::with_capacity(plan.nodes.len());
        slots.resize_with(plan.nodes.len(), || None);
        for at in 0..plan.order.len() {
            let i = plan.order[at] as usize;
            let work = plan.work[i];
            if work == Work::Nothing {
                continue;
            }
            self.check_interrupt()?;
            let tensor = plan.nodes[i];
            check_size(tensor.op().name(), tensor.dims(), tensor.dtype())
                .map_err(|fault| fault.at(&built(tensor, targets)))?;
            let inputs = gather(&mut plan, &mut slots, i)?;
            let value = match work {
                Work::Product(group) => {
                    let group = &plan.products[group];
                    kernels::compute_product(group, plan.nodes[group.node], tensor, inputs)
                }
                Work::Program(program) => {
                    Ok(plan.programs[program].run(inputs, tensor.dims(), rewrites.in_place))
                }
                _ => kernels::compute(tensor, inputs, rewrites),
            };
            let value = value.map_err(|fault| fault.at(&built(tensor, targets)))?;
            debug_assert_eq!(value.dims(), tensor.dims(), "{tensor:?}");
            debug_assert_eq!(value.dtype(), tensor.dtype(), "{tensor:?}");
            slots[i] = Some(value);
        }
        // What only the slots of others hold must go before it is judged which values are all that is left of a block.
        for (i, slot) in slots.iter_mut().enumerate() {
            if !plan.is_wanted(i) {
                *slot = None;
            }
        }
        for (tensor, slot) in plan.nodes.iter().zip(slots) {
            if let Some(value) = slot {
                tensor.node.value.get_or_init(|| kept(tensor, value));
            }
        }
        for (target, smaller) in targets.iter().zip(narrowed.get().into_iter().flatten()) {
            if let Some(value) = smaller.node.value.get() {
                target.node.value.get_or_init(|| value.clone());
            }
        }
        Ok(())
    }

    /// Bytes taken by weights in the layout of the matrix-product kernel, beside the weights themselves.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.packed().bytes()
    }

    /// Sets how many bytes weights in the layout of the matrix-product kernel may take; products with weights beyond that
    /// are computed from the weights as they stand. No limit by default.
    pub fn set_packed_budget(&self, bytes: usize) {
        self.packed().set_budget(bytes);
    }
}

/// The values a node reads; those it is the last to read are given up.
fn gather(plan: &mut Plan<'_>, slots: &mut [Option<Value>], i: usize) -> Result<Inputs> {
    let mut inputs = Inputs::new();
    for at in 0..plan.operands(i).len() {
        let input = plan.operands(i)[at] as usize;
        let value = if plan.work[input] == Work::Ready {
            plan.nodes[input].node.value.get().cloned()
        } else {
            plan.uses[input] -= 1;
            if plan.uses[input] == 0 { slots[input].take() } else { slots[input].clone() }
        };
        inputs
            .push(value.ok_or_else(|| TensorError::NotLoaded { name: format!("{:?}", plan.nodes[input]) })?);
    }
    Ok(inputs)
}

/// The node that was built, of which a node of the plan may compute a part.
fn built(tensor: &Tensor, targets: &[Tensor]) -> Tensor {
    let mut seen: FxHashSet<u64> = FxHashSet::default();
    let mut pending: Vec<&Tensor> = targets.iter().collect();
    while let Some(next) = pending.pop() {
        if next.id() == tensor.id() {
            return next.clone();
        }
        if next.id() > tensor.id() && seen.insert(next.id()) {
            pending.extend(next.inputs());
        }
    }
    tensor.clone()
}

/// The value as its node keeps it: a small part of a block that nothing else needs is copied out of it.
fn kept(tensor: &Tensor, value: Value) -> Value {
    let needed = value.numel() * value.dtype.size();
    let wasteful = value.buffer.len() > 2 * needed + 4096 && !value.buffer.is_borrowed();
    if matches!(tensor.op(), Op::Full(_)) || (wasteful && Arc::strong_count(&value.buffer) == 1) {
        if value.is_contiguous() {
            return Value::from_bytes(value.bytes(), value.dtype, value.dims());
        }
        return value.contiguous();
    }
    value
}

/// A row-major value with undefined contents, of the shape and type of another.
fn result_like(value: &Value) -> Value {
    Value::alloc(value.dims(), value.dtype)
}

/// Whether a value takes up its whole block.
fn is_whole(value: &Value) -> bool {
    value.offset == 0 && value.buffer.len() == value.numel() * value.dtype.size()
}

/// The value if it may be overwritten, else the value as an error.
fn owned(mut value: Value, reuse: bool) -> Result<Value, Value> {
    if reuse && is_whole(&value) && value.is_reusable() { Ok(value) } else { Err(value) }
}

/// A floating value in single precision; others as they are.
fn widened(value: &Value) -> Value {
    let source = match value.dtype {
        DType::F16 | DType::BF16 => value.contiguous(),
        _ => return value.clone(),
    };
    let mut out = Value::alloc(source.dims(), DType::F32);
    match source.dtype {
        DType::F16 => convert::f16_to_f32(source.slice(), out.slice_mut()),
        _ => convert::bf16_to_f32(source.slice(), out.slice_mut()),
    }
    out
}

/// A single-precision value that takes up its block, rounded to a type of half precision; itself otherwise.
fn narrowed(value: Value, dtype: DType) -> Value {
    if !matches!(dtype, DType::F16 | DType::BF16) {
        return value;
    }
    debug_assert!(is_whole(&value) || value.numel() == 0);
    let mut out = Value::alloc(value.dims(), dtype);
    let source = value.block::<f32>();
    match dtype {
        DType::F16 => convert::f32_to_f16(source, out.slice_mut()),
        _ => convert::f32_to_bf16(source, out.slice_mut()),
    }
    // The elements lie as those of the source do.
    out.strides = value.strides;
    out
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
