//! The reference interpreter: slow, obvious loops that define what every operation means.
//!
//! Operands are read into row-major vectors of one of four kinds of number (see [`number`]), whatever their strides;
//! results are rounded to the node's type once, at the end. Sums accumulate in double precision; a matrix product is
//! one chain of fused multiply-adds per element, in the operands' precision, `f32` for half precision.

mod contract;
mod elementwise;
mod index;
mod norm;
mod number;
mod order;
mod random;
mod reduce;
#[cfg(test)]
mod tests;

use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::op::Op;
use crate::value::Value;

/// The value of an operation on computed operands.
///
/// # Errors
/// Faults that depend on the values: positions out of bounds, integer division by zero.
pub(crate) fn compute(op: &Op, inputs: &[Value], dims: &[usize], dtype: DType) -> Result<Value> {
    let x = inputs;
    Ok(match op {
        Op::Leaf { .. } | Op::Literal(_) => {
            return Err(TensorError::NotLoaded { name: "a tensor".into() });
        }
        Op::Full(value) => elementwise::full(*value, dims, dtype),
        Op::Arange { start, step } => elementwise::arange(*start, *step, dims, dtype),
        Op::Random { kind, seed, offset } => random::draw(*kind, *seed, *offset, dims, dtype),
        Op::Identity { .. } | Op::Detach | Op::Reshape => index::copy(&x[0], dims),
        Op::Unary(op) => elementwise::unary(*op, &x[0], dtype),
        Op::Binary(op) => elementwise::binary(*op, &x[0], &x[1], dtype)?,
        Op::Where => elementwise::choose(&x[0], &x[1], &x[2]),
        Op::Cast => elementwise::cast(&x[0], dtype),
        Op::Matmul => contract::matmul(&x[0], &x[1], dims),
        Op::Reduce { op, axes } => reduce::reduce(*op, *axes, &x[0], dims),
        Op::ArgExtreme { largest, axis } => order::arg_extreme(*largest, *axis as usize, &x[0], dims),
        Op::Softmax => norm::softmax(&x[0], false),
        Op::LogSoftmax => norm::softmax(&x[0], true),
        Op::SoftmaxGrad => norm::softmax_grad(&x[0], &x[1], false),
        Op::LogSoftmaxGrad => norm::softmax_grad(&x[0], &x[1], true),
        Op::LayerNorm { eps, weight, bias } => {
            let w = weight.then(|| &x[1]);
            let b = bias.then(|| &x[1 + usize::from(*weight)]);
            norm::layer_norm(f32::from_bits(*eps), &x[0], w, b)
        }
        Op::LayerNormGrad { eps, weight } => {
            norm::layer_norm_grad(f32::from_bits(*eps), &x[0], &x[1], weight.then(|| &x[2]))
        }
        Op::RmsNorm { eps, offset, round_first } => {
            norm::rms_norm(f32::from_bits(*eps), f32::from_bits(*offset), *round_first, &x[0], &x[1])
        }
        Op::RmsNormGrad { eps, offset } => {
            norm::rms_norm_grad(f32::from_bits(*eps), f32::from_bits(*offset), &x[0], &x[1], &x[2])
        }
        Op::Attention { spec, masked } => {
            contract::attention(spec, &x[0], &x[1], &x[2], masked.then(|| &x[3]), dims)
        }
        Op::Rotary(pairs) => contract::rotary(*pairs, &x[0], &x[1], &x[2]),
        Op::Index { n } => index::index(&x[0], &x[1..=*n as usize], dims)?,
        Op::IndexPut { n, accumulate } => {
            let n = *n as usize;
            index::index_put(&x[0], &x[1..=n], &x[n + 1], *accumulate)?
        }
        Op::Gather { axis } => index::gather(*axis as usize, &x[0], &x[1])?,
        Op::Scatter { axis, accumulate } => index::scatter(*axis as usize, &x[0], &x[1], &x[2], *accumulate)?,
        Op::Slice { axis, start, step } => index::slice(*axis as usize, *start, *step, &x[0], dims),
        Op::SliceAssign { axis, start, step } => {
            index::slice_assign(*axis as usize, *start, *step, &x[0], &x[1])
        }
        Op::Permute(perm) => index::permute(perm, &x[0], dims),
        Op::Expand => index::expand(&x[0], dims),
        Op::Concat { axis } => index::concat(*axis as usize, x, dims),
        Op::Argsort { descending } => order::argsort(*descending, &x[0]),
        Op::TopK { largest } => order::topk(*largest, &x[0], dims),
        Op::Scan { op, axis } => reduce::scan(*op, *axis as usize, &x[0]),
        Op::Conv2d { stride, padding, dilation, groups } => {
            let spec = contract::Conv {
                stride: stride.map(usize::from),
                padding: padding.map(usize::from),
                dilation: dilation.map(usize::from),
                groups: usize::from(*groups),
            };
            contract::conv2d(&spec, &x[0], &x[1], dims)
        }
    })
}
