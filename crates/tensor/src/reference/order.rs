//! Positions of extreme elements, and orders. NaN counts as the greatest number.

use std::cmp::Ordering;

use super::number::{Along, Number, by_kind, rows};
use crate::dtype::DType;
use crate::shape::numel;
use crate::value::Value;

pub(super) fn arg_extreme(largest: bool, axis: usize, x: &Value, dims: &[usize]) -> Value {
    fn of<N: Number>(largest: bool, axis: usize, x: &Value, dims: &[usize]) -> Value {
        let all = N::read(x);
        let shape = Along::new(x.dims(), axis);
        let mut out = Vec::with_capacity(numel(dims));
        for (outer, inner) in shape.lines() {
            let mut best = 0;
            for i in 1..shape.size {
                let (here, there) = (all[shape.at(outer, i, inner)], all[shape.at(outer, best, inner)]);
                // NaN wins whether the largest or the smallest is sought.
                let better = here.is_nan() || if largest { here > there } else { here < there };
                if !there.is_nan() && better {
                    best = i;
                }
            }
            out.push(best as i64);
        }
        i64::write(&out, dims, DType::I64)
    }
    by_kind!(x.dtype(), of(largest, axis, x, dims))
}

fn compare<N: Number>(a: N, b: N) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Positions that sort each row, best first, then by position.
fn sorted<N: Number>(descending: bool, x: &Value) -> Vec<Vec<i64>> {
    let all = N::read(x);
    rows(&all, x.dims())
        .map(|row| {
            let mut order: Vec<i64> = (0..row.len() as i64).collect();
            order.sort_by(|&a, &b| {
                let ascending = compare(row[a as usize], row[b as usize]);
                if descending { ascending.reverse() } else { ascending }
            });
            order
        })
        .collect()
}

pub(super) fn argsort(descending: bool, x: &Value) -> Value {
    let order = by_kind!(x.dtype(), sorted(descending, x));
    i64::write(&order.concat(), x.dims(), DType::I64)
}

pub(super) fn topk(largest: bool, x: &Value, dims: &[usize]) -> Value {
    let k = dims.last().copied().unwrap_or(1);
    let order = by_kind!(x.dtype(), sorted(largest, x));
    let best: Vec<i64> = order.iter().flat_map(|row| row[..k].iter().copied()).collect();
    i64::write(&best, dims, DType::I64)
}
