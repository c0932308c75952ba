//! Contractions: matrix products, attention, rotary embedding, convolution.

use super::norm::softmax_row;
use super::number::{Number, Real, by_real};
use crate::dtype::DType;
use crate::op::{Attention, RotaryPairs};
use crate::shape::numel;
use crate::value::Value;

/// Applies `step(acc, a, b)` along the inner dimension of `[.., m, k] x [.., k, n]`, in ascending order.
fn products<N: Number>(a: &Value, b: &Value, dims: &[usize], step: impl Fn(N, N, N) -> N) -> Vec<N> {
    let (m, n) = (dims[dims.len() - 2], dims[dims.len() - 1]);
    let k = a.dims()[a.dims().len() - 1];
    let shared = b.dims().len() == 2;
    let (a, b) = (N::read(a), N::read(b));
    let mut out = Vec::with_capacity(numel(dims));
    for batch in 0..numel(&dims[..dims.len() - 2]) {
        let b = if shared { &b[..] } else { &b[batch * k * n..] };
        for i in 0..m {
            for j in 0..n {
                let mut acc = N::default();
                for l in 0..k {
                    acc = step(acc, a[(batch * m + i) * k + l], b[l * n + j]);
                }
                out.push(acc);
            }
        }
    }
    out
}

pub(super) fn matmul(a: &Value, b: &Value, dims: &[usize]) -> Value {
    fn real<R: Real>(a: &Value, b: &Value, dims: &[usize]) -> Value {
        R::write(&products(a, b, dims, |acc, x: R, y| x.fma(y, acc)), dims, a.dtype())
    }
    if a.dtype().is_float() {
        return by_real!(a.dtype(), real(a, b, dims));
    }
    let wrapping = |acc: i64, x: i64, y: i64| acc.wrapping_add(x.wrapping_mul(y));
    i64::write(&products(a, b, dims, wrapping), dims, a.dtype())
}

/// One chain of fused multiply-adds.
fn dot<R: Real>(pairs: impl Iterator<Item = (R, R)>) -> R {
    pairs.fold(R::default(), |acc, (a, b)| a.fma(b, acc))
}

pub(super) fn attention(
    spec: &Attention,
    q: &Value,
    k: &Value,
    v: &Value,
    mask: Option<&Value>,
    dims: &[usize],
) -> Value {
    fn of<R: Real>(
        spec: &Attention,
        q: &Value,
        k: &Value,
        v: &Value,
        mask: Option<&Value>,
        dims: &[usize],
    ) -> Value {
        let [n_heads, seq_q, d_head] = [q.dims()[1], q.dims()[2], q.dims()[3]];
        let [n_kv_heads, seq_k, d_value] = [k.dims()[1], k.dims()[2], v.dims()[3]];
        let dtype = q.dtype();
        let (q, k, v) = (R::read(q), R::read(k), R::read(v));
        let mask = mask.map(i64::read);
        let mut out = vec![R::default(); numel(dims)];
        for row in 0..dims[0] * n_heads * seq_q {
            let (i, head) = (row % seq_q, row / seq_q % n_heads);
            let kv_head = row / (seq_q * n_heads) * n_kv_heads + head / (n_heads / n_kv_heads);
            // Of the keys, the query's own position and the last one it may see.
            let own = i as i64 + seq_k as i64 - seq_q as i64;
            let seen = |j: usize| {
                let ahead = spec.causal && j as i64 > own;
                let behind =
                    spec.causal && spec.window.is_some_and(|w| own - j as i64 >= w.min(1 << 60) as i64);
                !ahead && !behind && mask.as_ref().is_none_or(|m| m[row * seq_k + j] != 0)
            };
            if !(0..seq_k).any(seen) {
                continue;
            }
            let query = &q[row * d_head..][..d_head];
            let scores: Vec<R> = (0..seq_k)
                .map(|j| {
                    if !seen(j) {
                        return R::of(f64::NEG_INFINITY);
                    }
                    let key = &k[(kv_head * seq_k + j) * d_head..][..d_head];
                    let score =
                        dot(query.iter().copied().zip(key.iter().copied())) * R::of(f64::from(spec.scale));
                    match spec.softcap.map(|c| R::of(f64::from(c))) {
                        Some(cap) => (score / cap).via(f64::tanh) * cap,
                        None => score,
                    }
                })
                .collect();
            let pattern = softmax_row(&scores, false);
            for d in 0..d_value {
                let column = (0..seq_k).map(|j| v[(kv_head * seq_k + j) * d_value + d]);
                out[row * d_value + d] = dot(pattern.iter().copied().zip(column));
            }
        }
        R::write(&out, dims, dtype)
    }
    by_real!(q.dtype(), of(spec, q, k, v, mask, dims))
}

pub(super) fn rotary(pairs: RotaryPairs, x: &Value, cos: &Value, sin: &Value) -> Value {
    fn of<R: Real>(pairs: RotaryPairs, x: &Value, cos: &Value, sin: &Value) -> Value {
        let mut all = R::read(x);
        let (cos, sin) = (R::read(cos), R::read(sin));
        let half = x.dims().last().copied().unwrap_or(0) / 2;
        for (row, x) in all.chunks_exact_mut((2 * half).max(1)).enumerate() {
            for i in 0..half {
                let (a, b) = match pairs {
                    RotaryPairs::Halves => (i, i + half),
                    RotaryPairs::Adjacent => (2 * i, 2 * i + 1),
                };
                // The angles may lack leading dimensions, over which they repeat.
                let angle = (row * half + i) % cos.len();
                let (c, s) = (cos[angle], sin[angle]);
                (x[a], x[b]) = (x[a] * c - x[b] * s, x[b] * c + x[a] * s);
            }
        }
        R::write(&all, x.dims(), x.dtype())
    }
    by_real!(x.dtype(), of(pairs, x, cos, sin))
}

/// What a convolution does, in elements of height and width.
pub(super) struct Conv {
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) groups: usize,
}

pub(super) fn conv2d(spec: &Conv, x: &Value, weight: &Value, dims: &[usize]) -> Value {
    fn of<R: Real>(spec: &Conv, x: &Value, weight: &Value, dims: &[usize], dtype: DType) -> Value {
        let [c_in, h, w] = [x.dims()[1], x.dims()[2], x.dims()[3]];
        let [c_out, c_group, kh, kw] =
            [weight.dims()[0], weight.dims()[1], weight.dims()[2], weight.dims()[3]];
        let (x, weight) = (R::read(x), R::read(weight));
        let mut out = Vec::with_capacity(numel(dims));
        for flat in 0..numel(dims) {
            let (ox, oy) = (flat % dims[3], flat / dims[3] % dims[2]);
            let (co, batch) = (flat / (dims[3] * dims[2]) % c_out, flat / (dims[3] * dims[2] * c_out));
            let first_channel = co / (c_out / spec.groups) * c_group;
            let mut acc = R::default();
            for c in 0..c_group {
                for ky in 0..kh {
                    for kx in 0..kw {
                        let y_in = (oy * spec.stride[0] + ky * spec.dilation[0]).checked_sub(spec.padding[0]);
                        let x_in = (ox * spec.stride[1] + kx * spec.dilation[1]).checked_sub(spec.padding[1]);
                        if let (Some(y_in), Some(x_in)) = (y_in, x_in)
                            && y_in < h
                            && x_in < w
                        {
                            let pixel = x[((batch * c_in + first_channel + c) * h + y_in) * w + x_in];
                            acc = pixel.fma(weight[((co * c_group + c) * kh + ky) * kw + kx], acc);
                        }
                    }
                }
            }
            out.push(acc);
        }
        R::write(&out, dims, dtype)
    }
    by_real!(x.dtype(), of(spec, x, weight, dims, x.dtype()))
}
