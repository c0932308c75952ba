//! From a node and its operands' values to its value: views, fast kernels, or the reference interpreter.

use smallvec::SmallVec;

use super::{Rewrites, view};
use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::op::Op;
use crate::reference;
use crate::value::Value;

pub(super) fn compute(tensor: &Tensor, inputs: SmallVec<[Value; 4]>, rewrites: Rewrites) -> Result<Value> {
    let _ = rewrites;
    match tensor.op() {
        Op::Leaf { .. } | Op::Literal(_) => {
            Err(TensorError::NotLoaded { name: tensor.node.name.as_deref().unwrap_or("a tensor").to_owned() })
        }
        op if op.is_view() => Ok(view(tensor, &inputs[0])),
        op => reference::compute(op, &inputs, tensor.dims(), tensor.dtype()),
    }
}
