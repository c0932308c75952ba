//! Reductions and running reductions.

use super::number::{Along, Number, Real, by_kind, by_real};
use crate::op::{ReduceOp, ScanOp};
use crate::shape::{contiguous_strides, numel};
use crate::value::Value;

/// For each element of a shape, row-major, the position of the result it goes to when dimensions are reduced.
fn targets(dims: &[usize], axes: u32) -> Vec<usize> {
    let kept: Vec<usize> =
        dims.iter().enumerate().map(|(i, &d)| if axes & (1 << i) == 0 { d } else { 1 }).collect();
    let strides = contiguous_strides(&kept);
    (0..numel(dims))
        .map(|flat| {
            let (mut rest, mut to) = (flat, 0);
            for i in (0..dims.len()).rev() {
                if axes & (1 << i) == 0 {
                    to += (rest % dims[i]) * strides[i] as usize;
                }
                rest /= dims[i];
            }
            to
        })
        .collect()
}

pub(super) fn reduce(op: ReduceOp, axes: u32, x: &Value, dims: &[usize]) -> Value {
    let to = targets(x.dims(), axes);
    match op {
        ReduceOp::Sum | ReduceOp::Prod if x.dtype().is_float() => {
            by_real!(x.dtype(), total(op == ReduceOp::Prod, &to, x, dims))
        }
        ReduceOp::Sum => fold(&to, x, dims, 0, i64::wrapping_add),
        ReduceOp::Prod => fold(&to, x, dims, 1, i64::wrapping_mul),
        ReduceOp::Any => fold(&to, x, dims, 0, |a, b| a | b),
        ReduceOp::All => fold(&to, x, dims, 1, |a, b| a & b),
        ReduceOp::Max | ReduceOp::Min => by_kind!(x.dtype(), extreme(op == ReduceOp::Max, &to, x, dims)),
    }
}

fn total<R: Real>(product: bool, to: &[usize], x: &Value, dims: &[usize]) -> Value {
    let mut out = vec![if product { 1.0 } else { 0.0 }; numel(dims)];
    for (&to, x) in to.iter().zip(R::read(x)) {
        if product {
            out[to] *= x.to_f64();
        } else {
            out[to] += x.to_f64();
        }
    }
    let out: Vec<R> = out.into_iter().map(R::of).collect();
    R::write(&out, dims, x.dtype())
}

fn fold(to: &[usize], x: &Value, dims: &[usize], first: i64, f: impl Fn(i64, i64) -> i64) -> Value {
    let mut out = vec![first; numel(dims)];
    for (&to, x) in to.iter().zip(i64::read(x)) {
        out[to] = f(out[to], x);
    }
    i64::write(&out, dims, x.dtype())
}

/// The greater or lesser of two numbers; NaN wins, and the first of equals.
fn winner<N: Number>(largest: bool, best: N, x: N) -> N {
    let better = x.is_nan() || if largest { x > best } else { x < best };
    if !best.is_nan() && better { x } else { best }
}

fn extreme<N: Number>(largest: bool, to: &[usize], x: &Value, dims: &[usize]) -> Value {
    let mut out: Vec<Option<N>> = vec![None; numel(dims)];
    for (&to, x) in to.iter().zip(N::read(x)) {
        out[to] = Some(out[to].map_or(x, |best| winner(largest, best, x)));
    }
    // The builder refuses extremes of nothing.
    let out: Vec<N> = out.into_iter().map(Option::unwrap_or_default).collect();
    N::write(&out, dims, x.dtype())
}

pub(super) fn scan(op: ScanOp, axis: usize, x: &Value) -> Value {
    match op {
        ScanOp::Sum | ScanOp::Prod if x.dtype().is_float() => {
            by_real!(x.dtype(), running_total(op == ScanOp::Prod, axis, x))
        }
        ScanOp::Sum => running::<i64>(axis, x, i64::wrapping_add),
        ScanOp::Prod => running::<i64>(axis, x, i64::wrapping_mul),
        ScanOp::Max | ScanOp::Min => by_kind!(x.dtype(), running_extreme(op == ScanOp::Max, axis, x)),
    }
}

fn running<N: Number>(axis: usize, x: &Value, f: impl Fn(N, N) -> N) -> Value {
    let shape = Along::new(x.dims(), axis);
    let mut all = N::read(x);
    for (outer, inner) in shape.lines() {
        for i in 1..shape.size {
            let at = shape.at(outer, i, inner);
            all[at] = f(all[at - shape.inner], all[at]);
        }
    }
    N::write(&all, x.dims(), x.dtype())
}

fn running_extreme<N: Number>(largest: bool, axis: usize, x: &Value) -> Value {
    running(axis, x, |best: N, x| winner(largest, best, x))
}

fn running_total<R: Real>(product: bool, axis: usize, x: &Value) -> Value {
    let shape = Along::new(x.dims(), axis);
    let mut all = R::read(x);
    for (outer, inner) in shape.lines() {
        let mut acc = if product { 1.0 } else { 0.0 };
        for i in 0..shape.size {
            let here = &mut all[shape.at(outer, i, inner)];
            acc = if product { acc * here.to_f64() } else { acc + here.to_f64() };
            *here = R::of(acc);
        }
    }
    R::write(&all, x.dims(), x.dtype())
}
