//! From a node and its operands' values to its value: views, fast kernels, or the reference interpreter.

use smallvec::SmallVec;

use super::movement::handles;
use super::plan::{Product, function};
use super::tiles::{Program, Source, Step};
use super::{Rewrites, attend, movement, narrowed, plain, product, reduce, rows, view, widened};
use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::op::Op;
use crate::reference;
use crate::value::Value;

/// Values of a node's operands.
pub(super) type Inputs = SmallVec<[Value; 6]>;

/// The value of a node, whose operands are given up.
pub(super) fn compute(tensor: &Tensor, mut inputs: Inputs, rewrites: Rewrites) -> Result<Value> {
    let op = tensor.op();
    match op {
        Op::Leaf { .. } | Op::Literal(_) => {
            return Err(TensorError::NotLoaded {
                name: tensor.node.name.as_deref().unwrap_or("a tensor").to_owned(),
            });
        }
        op if op.is_view() => return Ok(view(tensor, &inputs[0])),
        _ => {}
    }
    if rewrites.fast_kernels {
        if let Some(function) = function(tensor) {
            let sources = (0..inputs.len()).map(Source::Input).collect();
            let program =
                Program { steps: SmallVec::from_iter([Step { function, sources, dtype: tensor.dtype() }]) };
            return Ok(program.run(inputs, tensor.dims(), rewrites.in_place));
        }
        if let Some(value) = fast(tensor, &mut inputs, rewrites.in_place)? {
            return Ok(value);
        }
    }
    reference::compute(op, &inputs, tensor.dims(), tensor.dtype())
}

/// The value of a matrix product and what follows it.
pub(super) fn compute_product(
    group: &Product,
    product: &Tensor,
    root: &Tensor,
    inputs: Inputs,
) -> Result<Value> {
    let mut inputs = inputs.into_iter();
    let (Some(lhs), Some(rhs)) = (inputs.next(), inputs.next()) else {
        return Err(TensorError::NotLoaded { name: "an operand of `matmul`".to_owned() });
    };
    let finish = product::Finish {
        bias: if group.bias { inputs.next() } else { None },
        activation: group.activation,
        residual: if group.residual { inputs.next() } else { None },
    };
    product::matmul(product, &lhs, &rhs, &finish, root.dims()).ok_or(TensorError::Type {
        op: "matmul",
        expected: "`float32`",
        got: product.dtype(),
    })
}

/// Removes an operand, so that its holder can write to it.
fn take(inputs: &mut Inputs, i: usize) -> Value {
    std::mem::replace(&mut inputs[i], Value::alloc(&[], DType::U8))
}

/// The value by a fast kernel, if there is one for these types.
///
/// Where the answer is `None`, operands are as they were.
fn fast(tensor: &Tensor, inputs: &mut Inputs, reuse: bool) -> Result<Option<Value>> {
    let (op, dims, dtype) = (tensor.op(), tensor.dims(), tensor.dtype());
    let moved = match op {
        Op::Full(value) => Some(plain::full(*value, dims, dtype)),
        Op::Binary(op) => plain::binary(*op, &inputs[0], &inputs[1], dtype),
        Op::Where => Some(plain::choose(&inputs[0], &inputs[1], &inputs[2])),
        Op::Cast => plain::cast(&inputs[0], dtype),
        Op::Matmul => {
            let nothing = product::Finish::default();
            product::matmul(tensor, &inputs[0], &inputs[1], &nothing, dims)
        }
        Op::Concat { axis } => Some(movement::concat(*axis as usize, inputs, dims)),
        Op::Index { n } if handles(&inputs[1..=*n as usize], false, dtype) => {
            return movement::index(&inputs[0], &inputs[1..=*n as usize], dims).map(Some);
        }
        Op::Gather { axis } if handles(&inputs[1..2], false, dtype) && !dims.is_empty() => {
            return movement::gather(*axis as usize, &inputs[0], &inputs[1]).map(Some);
        }
        Op::SliceAssign { axis, start, step } => {
            let base = take(inputs, 0);
            Some(movement::slice_assign(*axis as usize, *start, *step, base, &inputs[1], reuse))
        }
        Op::IndexPut { n, accumulate } if handles(&inputs[1..=*n as usize], *accumulate, dtype) => {
            let n = *n as usize;
            let (base, part) = base_and_part(inputs, n + 1, *accumulate);
            let out = movement::index_put(base, &inputs[1..=n], &part, *accumulate, reuse)?;
            return Ok(Some(rounded(out, dtype)));
        }
        Op::Scatter { axis, accumulate }
            if handles(&inputs[1..2], *accumulate, dtype) && !dims.is_empty() =>
        {
            let (base, part) = base_and_part(inputs, 2, *accumulate);
            let out = movement::scatter(*axis as usize, base, &inputs[1], &part, *accumulate, reuse)?;
            return Ok(Some(rounded(out, dtype)));
        }
        _ => None,
    };
    if moved.is_some() {
        return Ok(moved);
    }
    floating(tensor, inputs, reuse)
}

/// The operand that is written to, given up, and the one written into it; for sums, as single-precision numbers.
fn base_and_part(inputs: &mut Inputs, part: usize, accumulate: bool) -> (Value, Value) {
    let base = take(inputs, 0);
    if accumulate && is_half(base.dtype) {
        return (widened(&base), widened(&inputs[part]));
    }
    (base, inputs[part].clone())
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

/// The value in the type of its node.
fn rounded(value: Value, dtype: DType) -> Value {
    if value.dtype == DType::F32 { narrowed(value, dtype) } else { value }
}

/// Operations whose kernels know single precision: half precision is widened first and rounded once at the end.
fn floating(tensor: &Tensor, inputs: &mut Inputs, reuse: bool) -> Result<Option<Value>> {
    let (op, dims, dtype) = (tensor.op(), tensor.dims(), tensor.dtype());
    let first = inputs.first().map_or(DType::Bool, |x| x.dtype);
    if let (Op::RmsNorm { eps, offset, round_first: true }, true) = (op, is_half(first)) {
        let (x, weight) = (widened(&inputs[0]), widened(&inputs[1]));
        let out = rows::rms_norm(&x, &weight, f32::from_bits(*eps), f32::from_bits(*offset), Some(first));
        return Ok(Some(narrowed(out, dtype)));
    }
    let before = is_half(first).then(|| inputs.clone());
    if before.is_some() {
        inputs.iter_mut().filter(|x| is_half(x.dtype)).for_each(|x| *x = widened(x));
    }
    let single = matches!(first, DType::F32 | DType::F16 | DType::BF16);
    let value = match op {
        Op::Reduce { op, axes } => reduce::reduce(*op, *axes, &inputs[0], dims),
        Op::ArgExtreme { largest, axis } if !dims.is_empty() => {
            reduce::arg_extreme(*largest, *axis as usize, &inputs[0], dims)
        }
        Op::Scan { op, axis } if !dims.is_empty() => reduce::scan(*op, *axis as usize, &inputs[0]),
        Op::TopK { largest } => reduce::topk(*largest, &inputs[0], dims),
        _ if !single => None,
        Op::Softmax => Some(rows::softmax(take(inputs, 0), false, reuse)),
        Op::LogSoftmax => Some(rows::softmax(take(inputs, 0), true, reuse)),
        Op::SoftmaxGrad => Some(rows::softmax_grad(&inputs[0], &inputs[1], false)),
        Op::LogSoftmaxGrad => Some(rows::softmax_grad(&inputs[0], &inputs[1], true)),
        Op::LayerNorm { eps, weight, bias } => {
            let w = weight.then(|| &inputs[1]);
            let b = bias.then(|| &inputs[1 + usize::from(*weight)]);
            Some(rows::layer_norm(&inputs[0], w, b, f32::from_bits(*eps)))
        }
        Op::LayerNormGrad { eps, weight } => {
            let w = weight.then(|| &inputs[2]);
            Some(rows::layer_norm_grad(&inputs[0], &inputs[1], w, f32::from_bits(*eps)))
        }
        Op::RmsNorm { eps, offset, .. } => {
            let (eps, offset) = (f32::from_bits(*eps), f32::from_bits(*offset));
            Some(rows::rms_norm(&inputs[0], &inputs[1], eps, offset, None))
        }
        Op::RmsNormGrad { eps, offset } => {
            let (eps, offset) = (f32::from_bits(*eps), f32::from_bits(*offset));
            Some(rows::rms_norm_grad(&inputs[0], &inputs[1], &inputs[2], eps, offset))
        }
        Op::Attention { spec, masked } => {
            let mask = masked.then(|| &inputs[3]);
            attend::attend(spec, &inputs[0], &inputs[1], &inputs[2], mask, dims)
        }
        Op::Rotary(pairs) => Some(rows::rotary(*pairs, &inputs[0], &inputs[1], &inputs[2])),
        Op::Conv2d { stride, padding, dilation, groups } => {
            let patches = product::Patches {
                stride: stride.map(usize::from),
                padding: padding.map(usize::from),
                dilation: dilation.map(usize::from),
                groups: usize::from(*groups),
            };
            Some(patches.convolve(&inputs[0], &inputs[1], dims))
        }
        _ => None,
    };
    if let (None, Some(before)) = (&value, before) {
        *inputs = before;
    }
    Ok(value.map(|value| rounded(value, dtype)))
}
