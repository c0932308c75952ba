//! Softmax, norms and their gradients over rows, and the rotary embedding.

use pellucid_kernels::elementwise::{BinaryKind, binary_row_in_place, binary_scalar};
use pellucid_kernels::rows as kernels;
use pellucid_kernels::rows::RmsNorm;

use super::parts::Parts;
use super::{owned, result_like};
use crate::dtype::DType;
use crate::op::RotaryPairs;
use crate::value::Value;

/// The length of a row; of no elements, one.
fn row(x: &Value) -> usize {
    x.dims().last().copied().unwrap_or(1).max(1)
}

pub(super) fn softmax(x: Value, log: bool, reuse: bool) -> Value {
    let n = row(&x);
    match owned(x.contiguous(), reuse) {
        Ok(mut x) => {
            let rows = x.slice_mut::<f32>();
            if log {
                kernels::log_softmax_in_place(rows, n)
            } else {
                kernels::softmax_in_place(rows, n)
            }
            x
        }
        Err(x) => {
            let mut out = result_like(&x);
            let rows = out.slice_mut::<f32>();
            if log {
                kernels::log_softmax(x.slice(), n, rows)
            } else {
                kernels::softmax(x.slice(), n, rows)
            }
            out
        }
    }
}

pub(super) fn softmax_grad(y: &Value, g: &Value, log: bool) -> Value {
    let (y, g) = (y.contiguous(), g.contiguous());
    let mut out = result_like(&y);
    let kernel = if log { kernels::log_softmax_backward } else { kernels::softmax_backward };
    kernel(y.slice(), g.slice(), row(&y), out.slice_mut());
    out
}

pub(super) fn layer_norm(x: &Value, weight: Option<&Value>, bias: Option<&Value>, eps: f32) -> Value {
    let x = x.contiguous();
    let (weight, bias) = (weight.map(Value::contiguous), bias.map(Value::contiguous));
    let mut out = result_like(&x);
    let weight = weight.as_ref().map(|w| w.slice::<f32>());
    let bias = bias.as_ref().map(|b| b.slice::<f32>());
    kernels::layer_norm(x.slice(), row(&x), weight, bias, eps, out.slice_mut());
    out
}

pub(super) fn layer_norm_grad(x: &Value, g: &Value, weight: Option<&Value>, eps: f32) -> Value {
    let (x, g) = (x.contiguous(), g.contiguous());
    let weight = weight.map(Value::contiguous);
    let mut out = result_like(&x);
    let weight = weight.as_ref().map(|w| w.slice::<f32>());
    kernels::layer_norm_backward_input(x.slice(), row(&x), weight, g.slice(), eps, out.slice_mut());
    out
}

/// The factors of an RMS norm, and how the kernel is to take them.
fn factors(weight: &Value, offset: f32, eps: f32) -> (Value, RmsNorm) {
    let weight = weight.contiguous();
    if offset == 0.0 || offset == 1.0 {
        return (weight, RmsNorm { eps, unit_offset: offset == 1.0 });
    }
    let mut sums = result_like(&weight);
    binary_scalar(BinaryKind::Add, weight.slice(), offset, sums.slice_mut());
    (sums, RmsNorm { eps, unit_offset: false })
}

/// `round` is the type to which both factors are rounded before they meet.
pub(super) fn rms_norm(x: &Value, weight: &Value, eps: f32, offset: f32, round: Option<DType>) -> Value {
    let x = x.contiguous();
    let mut out = result_like(&x);
    if x.numel() == 0 {
        return out;
    }
    let Some(round) = round else {
        let (weight, norm) = factors(weight, offset, eps);
        kernels::rms_norm(x.slice(), weight.slice(), norm, out.slice_mut());
        return out;
    };
    let ones = vec![1.0; row(&x)];
    kernels::rms_norm(x.slice(), &ones, RmsNorm { eps, unit_offset: false }, out.slice_mut());
    let mut weight = owned(weight.contiguous(), false).unwrap_or_else(|w| w);
    if offset != 0.0 {
        let mut sums = result_like(&weight);
        binary_scalar(BinaryKind::Add, weight.slice(), offset, sums.slice_mut());
        weight = sums;
    }
    let rounded = |x: Value| super::widened(&super::narrowed(x, round));
    let (mut out, weight) = (rounded(out), rounded(weight));
    binary_row_in_place(BinaryKind::Mul, out.slice_mut(), weight.slice());
    out
}

pub(super) fn rms_norm_grad(x: &Value, weight: &Value, g: &Value, eps: f32, offset: f32) -> Value {
    let (x, g) = (x.contiguous(), g.contiguous());
    let (weight, norm) = factors(weight, offset, eps);
    let mut out = result_like(&x);
    if x.numel() > 0 {
        kernels::rms_norm_backward_input(x.slice(), weight.slice(), g.slice(), norm, out.slice_mut());
    }
    out
}

/// Where the row `i` of a value starts, its last dimension being a row.
fn start(value: &Value, mut i: usize) -> usize {
    let mut at = value.offset as isize;
    let outer = value.dims.len() - 1;
    for (&size, &stride) in value.dims[..outer].iter().zip(&value.strides[..outer]).rev() {
        at += (i % size) as isize * stride;
        i /= size;
    }
    at as usize
}

pub(super) fn rotary(pairs: RotaryPairs, x: &Value, cos: &Value, sin: &Value) -> Value {
    let rows_in = |v: &Value| if v.strides.last() == Some(&1) { v.clone() } else { v.contiguous() };
    let (x, cos, sin) = (rows_in(x), rows_in(cos), rows_in(sin));
    let mut out = result_like(&x);
    let d = row(&x);
    let half = d / 2;
    let n_rows = out.numel() / d;
    if n_rows == 0 || half == 0 {
        return x.contiguous();
    }
    let parts = Parts::new(out.slice_mut::<f32>());
    let blocks = [&x, &cos, &sin].map(|v| v.block::<f32>());
    pellucid_kernels::threads::parallel_ranges(n_rows, (8192 / d).max(1), 1, &|from, to| {
        #[expect(unsafe_code, reason = "rows of the result are disjoint parts of it")]
        // SAFETY: ranges of rows are disjoint.
        let out = unsafe { parts.part(from * d, (to - from) * d) };
        for (i, y) in (from..to).zip(out.chunks_exact_mut(d)) {
            let x = &blocks[0][start(&x, i)..][..d];
            let c = &blocks[1][start(&cos, i)..][..half];
            let s = &blocks[2][start(&sin, i)..][..half];
            match pairs {
                RotaryPairs::Halves => {
                    let (low, high) = x.split_at(half);
                    let (y_low, y_high) = y.split_at_mut(half);
                    for i in 0..half {
                        y_low[i] = low[i] * c[i] - high[i] * s[i];
                        y_high[i] = high[i] * c[i] + low[i] * s[i];
                    }
                }
                RotaryPairs::Adjacent => {
                    for (i, (y, x)) in y.chunks_exact_mut(2).zip(x.chunks_exact(2)).enumerate() {
                        y[0] = x[0] * c[i] - x[1] * s[i];
                        y[1] = x[1] * c[i] + x[0] * s[i];
                    }
                }
            }
        }
    });
    out
}
