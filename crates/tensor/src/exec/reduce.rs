//! Reductions, positions of extremes, running sums, and the best of each row.

use std::cmp::Ordering;

use pellucid_kernels::elementwise::{add_assign, column_sums};
use pellucid_kernels::rows::{row_argmax, row_max, row_sum};
use smallvec::SmallVec;

use super::parts::over_parts;
use crate::dtype::{DType, Element};
use crate::op::{ReduceOp, ScanOp};
use crate::shape::numel;
use crate::value::Value;

/// Longest run that is added up in single precision at once; the sums of runs are added in double precision.
const RUN: usize = 4096;

/// A row-major array seen from the dimensions to be reduced.
#[derive(Clone, Copy)]
struct Along {
    outer: usize,
    size: usize,
    inner: usize,
}

/// The value as `[outer, size, inner]` with `size` reduced, its dimensions moved if they must be.
fn arranged(x: &Value, axes: u32) -> (Value, Along) {
    let is_reduced = |d: usize| axes & (1 << d) != 0;
    let mut changes = 0;
    let mut before: Option<bool> = None;
    let mut along = Along { outer: 1, size: 1, inner: 1 };
    for (d, &size) in x.dims().iter().enumerate() {
        if size == 1 {
            continue;
        }
        let reduced = is_reduced(d);
        if reduced != before.unwrap_or(false) {
            changes += 1;
        }
        before = Some(reduced);
        match (reduced, changes) {
            (true, _) => along.size *= size,
            (false, 0) => along.outer *= size,
            (false, _) => along.inner *= size,
        }
    }
    if changes <= 2 {
        return (x.contiguous(), along);
    }
    let order: SmallVec<[usize; 8]> = (0..x.dims().len())
        .filter(|&d| !is_reduced(d))
        .chain((0..x.dims().len()).filter(|&d| is_reduced(d)))
        .collect();
    let mut moved = x.clone();
    moved.dims = order.iter().map(|&d| x.dims[d]).collect();
    moved.strides = order.iter().map(|&d| x.strides[d]).collect();
    let size = order.iter().filter(|&&d| is_reduced(d)).map(|&d| x.dims[d]).product();
    (moved.contiguous(), Along { outer: x.numel().checked_div(size).unwrap_or(0), size, inner: 1 })
}

/// Folds `size` elements to one, for each outer and inner position.
fn fold<T: Element, A: Copy + Send + Sync, D: Element>(
    x: &Value,
    along: Along,
    dims: &[usize],
    dtype: DType,
    first: A,
    step: impl Fn(A, T) -> A + Sync,
    last: impl Fn(A) -> D + Sync,
) -> Value {
    let Along { size, inner, .. } = along;
    let mut out = Value::alloc(dims, dtype);
    let all = x.slice::<T>();
    let grain = (16_384 / (size * inner).max(1)).max(1) * inner.max(1);
    over_parts(out.slice_mut::<D>(), grain, inner.max(1), &|start, part| {
        if inner == 1 {
            for (i, y) in part.iter_mut().enumerate() {
                let row = &all[(start + i) * size..(start + i + 1) * size];
                *y = last(row.iter().fold(first, |acc, &x| step(acc, x)));
            }
            return;
        }
        let mut acc = vec![first; inner];
        for (i, y) in part.chunks_mut(inner).enumerate() {
            acc.fill(first);
            let block = &all[(start / inner + i) * size * inner..][..size * inner];
            for row in block.chunks_exact(inner) {
                acc.iter_mut().zip(row).for_each(|(acc, &x)| *acc = step(*acc, x));
            }
            y.iter_mut().zip(&acc).for_each(|(y, &acc)| *y = last(acc));
        }
    });
    out
}

/// The sum of each row: long ones run by run.
fn sum_rows(x: &[f32], n: usize, out: &mut [f32]) {
    if n <= RUN {
        return row_sum(x, n, out);
    }
    let runs = n.div_ceil(RUN);
    let mut sums = vec![0.0f32; out.len() * runs];
    over_parts(&mut sums, 4, 1, &|start, part| {
        for (i, sum) in part.iter_mut().enumerate() {
            let (row, run) = ((start + i) / runs, (start + i) % runs);
            let run = &x[row * n + run * RUN..row * n + ((run + 1) * RUN).min(n)];
            row_sum(run, run.len(), std::slice::from_mut(sum));
        }
    });
    for (sum, runs) in out.iter_mut().zip(sums.chunks_exact(runs)) {
        *sum = runs.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
    }
}

/// The sum of each column of `[m, n]`: tall ones block by block.
fn sum_columns(x: &[f32], out: &mut [f32]) {
    let n = out.len();
    if n == 0 || x.len() <= RUN * n {
        return column_sums(x, out);
    }
    out.fill(0.0);
    let mut block_sum = vec![0.0; n];
    for block in x.chunks(RUN * n) {
        column_sums(block, &mut block_sum);
        add_assign(out, &block_sum);
    }
}

fn sum(x: &Value, along: Along, dims: &[usize]) -> Value {
    let Along { outer, size, inner } = along;
    let mut out = Value::alloc(dims, DType::F32);
    let (all, sums) = (x.slice::<f32>(), out.slice_mut::<f32>());
    if size == 0 || inner == 0 {
        sums.fill(0.0);
    } else if inner == 1 {
        sum_rows(all, size, sums);
    } else if outer == 1 {
        sum_columns(all, sums);
    } else {
        let grain = (16_384 / (size * inner)).max(1) * inner;
        over_parts(sums, grain, inner, &|start, part| {
            for (i, sums) in part.chunks_exact_mut(inner).enumerate() {
                sum_columns(&all[(start / inner + i) * size * inner..][..size * inner], sums);
            }
        });
    }
    out
}

/// The greater or lesser of two numbers; NaN wins, and the first of equals.
#[expect(clippy::eq_op, reason = "only NaN differs from itself")]
fn better<T: PartialOrd>(largest: bool, best: T, x: T) -> T {
    let wins = x != x || if largest { x > best } else { x < best };
    if best == best && wins { x } else { best }
}

/// Types with a least and a greatest number.
trait Bounded: Element + PartialOrd {
    const LEAST: Self;
    const GREATEST: Self;
}

impl Bounded for f32 {
    const LEAST: f32 = f32::NEG_INFINITY;
    const GREATEST: f32 = f32::INFINITY;
}

impl Bounded for f64 {
    const LEAST: f64 = f64::NEG_INFINITY;
    const GREATEST: f64 = f64::INFINITY;
}

impl Bounded for i64 {
    const LEAST: i64 = i64::MIN;
    const GREATEST: i64 = i64::MAX;
}

fn extreme<T: Bounded>(largest: bool, x: &Value, along: Along, dims: &[usize]) -> Value {
    let worst = if largest { T::LEAST } else { T::GREATEST };
    fold(x, along, dims, x.dtype, worst, |a: T, b: T| better(largest, a, b), |x| x)
}

pub(super) fn reduce(op: ReduceOp, axes: u32, x: &Value, dims: &[usize]) -> Option<Value> {
    let dtype = x.dtype;
    let (x, along) = arranged(x, axes);
    let as_is = |x: i64| x;
    Some(match (op, dtype) {
        (ReduceOp::Sum, DType::F32) => sum(&x, along, dims),
        (ReduceOp::Prod, DType::F32) => {
            fold(&x, along, dims, dtype, 1.0, |acc: f64, x: f32| acc * f64::from(x), |acc| acc as f32)
        }
        (ReduceOp::Sum, DType::F64) => {
            fold(&x, along, dims, dtype, 0.0, |acc: f64, x: f64| acc + x, |acc| acc)
        }
        (ReduceOp::Sum, DType::I64) => fold(&x, along, dims, dtype, 0, i64::wrapping_add, as_is),
        (ReduceOp::Prod, DType::I64) => fold(&x, along, dims, dtype, 1, i64::wrapping_mul, as_is),
        (ReduceOp::Any, DType::Bool) => fold(&x, along, dims, dtype, 0, |a: u8, b: u8| a | b, |a| a),
        (ReduceOp::All, DType::Bool) => fold(&x, along, dims, dtype, 1, |a: u8, b: u8| a & b, |a| a),
        (ReduceOp::Max, DType::F32) if along.inner == 1 && along.size > 0 => {
            let mut out = Value::alloc(dims, dtype);
            row_max(x.slice(), along.size, out.slice_mut());
            out
        }
        (ReduceOp::Max | ReduceOp::Min, _) if x.numel() == 0 => return None,
        (ReduceOp::Max | ReduceOp::Min, DType::F32) => extreme::<f32>(op == ReduceOp::Max, &x, along, dims),
        (ReduceOp::Max | ReduceOp::Min, DType::F64) => extreme::<f64>(op == ReduceOp::Max, &x, along, dims),
        (ReduceOp::Max | ReduceOp::Min, DType::I64) => extreme::<i64>(op == ReduceOp::Max, &x, along, dims),
        _ => return None,
    })
}

pub(super) fn arg_extreme(largest: bool, axis: usize, x: &Value, dims: &[usize]) -> Option<Value> {
    match x.dtype {
        DType::F32 => {}
        DType::I64 => return Some(positions::<i64>(largest, axis, x, dims)),
        DType::F64 => return Some(positions::<f64>(largest, axis, x, dims)),
        _ => return None,
    }
    let last = axis + 1 == x.dims().len() && x.numel() > 0;
    if !(largest && last) {
        return Some(positions::<f32>(largest, axis, x, dims));
    }
    let x = x.contiguous();
    let mut out = Value::alloc(dims, DType::I64);
    row_argmax(x.slice(), x.dims()[axis], out.slice_mut());
    Some(out)
}

#[expect(clippy::eq_op, reason = "only NaN differs from itself")]
fn positions<T: Element + PartialOrd>(largest: bool, axis: usize, x: &Value, dims: &[usize]) -> Value {
    let x = x.contiguous();
    let (size, inner) = (x.dims()[axis], numel(&x.dims()[axis + 1..]));
    let mut out = Value::alloc(dims, DType::I64);
    let all = x.slice::<T>();
    over_parts(out.slice_mut::<i64>(), (16_384 / size.max(1)).max(1), 1, &|start, part| {
        for (i, y) in part.iter_mut().enumerate() {
            let (outer, column) = ((start + i) / inner, (start + i) % inner);
            let at = |i: usize| all[(outer * size + i) * inner + column];
            let mut best = 0;
            for i in 1..size {
                let (here, there) = (at(i), at(best));
                let wins = here != here || if largest { here > there } else { here < there };
                if there == there && wins {
                    best = i;
                }
            }
            *y = best as i64;
        }
    });
    out
}

pub(super) fn scan(op: ScanOp, axis: usize, x: &Value) -> Option<Value> {
    fn running<T: Element, A: Copy + Sync>(
        x: &Value,
        axis: usize,
        first: A,
        step: impl Fn(A, T) -> A + Sync,
        last: impl Fn(A) -> T + Sync,
    ) -> Value {
        let x = x.contiguous();
        let (size, inner) = (x.dims()[axis], numel(&x.dims()[axis + 1..]));
        let mut out = super::result_like(&x);
        let all = x.slice::<T>();
        let block = (size * inner).max(1);
        over_parts(out.slice_mut::<T>(), (16_384 / block).max(1) * block, block, &|start, part| {
            for (i, out) in part.chunks_exact_mut(block).enumerate() {
                let x = &all[start + i * block..][..block];
                for column in 0..inner {
                    let mut acc = first;
                    for at in (column..block).step_by(inner) {
                        acc = step(acc, x[at]);
                        out[at] = last(acc);
                    }
                }
            }
        });
        out
    }
    Some(match (op, x.dtype) {
        (ScanOp::Sum, DType::F32) => {
            running(x, axis, 0.0, |acc: f64, x: f32| acc + f64::from(x), |a| a as f32)
        }
        (ScanOp::Prod, DType::F32) => {
            running(x, axis, 1.0, |acc: f64, x: f32| acc * f64::from(x), |a| a as f32)
        }
        (ScanOp::Sum, DType::I64) => running(x, axis, 0, i64::wrapping_add, |a| a),
        _ => return None,
    })
}

/// Positions of the `k` best of each row, best first, equals by position.
pub(super) fn topk(largest: bool, x: &Value, dims: &[usize]) -> Option<Value> {
    if x.dtype != DType::F32 || x.numel() == 0 {
        return None;
    }
    let (n, k) = (x.dims().last().copied().unwrap_or(1), dims.last().copied().unwrap_or(1));
    let x = x.contiguous();
    let mut out = Value::alloc(dims, DType::I64);
    if k == 0 {
        return Some(out);
    }
    let all = x.slice::<f32>();
    over_parts(out.slice_mut::<i64>(), (4096 / n).max(1) * k, k, &|start, part| {
        let mut order: Vec<u32> = Vec::with_capacity(n);
        for (i, best) in part.chunks_exact_mut(k).enumerate() {
            let row = &all[(start / k + i) * n..][..n];
            let by_rank = |&a: &u32, &b: &u32| {
                let (x, y) = (row[a as usize], row[b as usize]);
                let ascending = x.partial_cmp(&y).unwrap_or_else(|| x.is_nan().cmp(&y.is_nan()));
                let rank = if largest { ascending.reverse() } else { ascending };
                if rank == Ordering::Equal { a.cmp(&b) } else { rank }
            };
            order.clear();
            order.extend(0..n as u32);
            if k < n {
                order.select_nth_unstable_by(k - 1, by_rank);
            }
            order[..k].sort_unstable_by(by_rank);
            best.iter_mut().zip(&order).for_each(|(best, &at)| *best = i64::from(at));
        }
    });
    Some(out)
}
