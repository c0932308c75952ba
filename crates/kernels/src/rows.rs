//! Kernels over rows: the last, contiguous axis.
//!
//! A row's result depends on that row alone. Sums run in sixteen lanes, element `i` in lane `i mod 16`, which a fixed tree
//! adds up at the end: the same at every level, and trailing zeros change nothing.

#![expect(unsafe_code, reason = "disjoint parts of one slice are handed to several threads")]

mod backward;
mod norm;
mod softmax;

pub use backward::{
    layer_norm_backward_input, log_softmax_backward, rms_norm_backward_input, softmax_backward,
};
pub use norm::{RmsNorm, layer_norm, rms_norm};
pub use softmax::{log_softmax, log_softmax_in_place, softmax, softmax_in_place};

use crate::isa::multiversion;
use crate::shared::SharedMut;
use crate::threads::parallel_ranges;

/// Lanes of a sum.
pub(crate) const LANES: usize = 16;

/// Elements that make a task worth handing to another thread.
const GRAIN: usize = 8 * 1024;

/// Adds lanes up: halves onto halves.
#[inline(always)]
pub(crate) fn tree(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Folds a row into lanes.
#[inline(always)]
fn fold(x: &[f32], init: f32, step: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut lanes = [init; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, x);
    }
    lanes
}

/// Sums `f` of two rows, and a third operand where one is given: `f(x, y, z)`, with `z` 1 when absent.
#[inline(always)]
fn sum_of(x: &[f32], y: &[f32], f: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (y, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x.iter().zip(y) {
        for i in 0..LANES {
            lanes[i] = f(x[i], y[i], lanes[i]);
        }
    }
    for i in 0..x_rest.len().min(y_rest.len()) {
        lanes[i] = f(x_rest[i], y_rest[i], lanes[i]);
    }
    tree(lanes)
}

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    tree(fold(x, 0.0, |acc, x| acc + x))
}

/// The largest element that is not NaN, or negative infinity.
#[inline(always)]
pub(crate) fn largest(x: &[f32]) -> f32 {
    let lanes = fold(x, f32::NEG_INFINITY, |acc, x| if x > acc { x } else { acc });
    lanes.into_iter().fold(f32::NEG_INFINITY, |acc, x| if x > acc { x } else { acc })
}

/// Number of rows of `n` in `len` elements.
fn count_rows(len: usize, n: usize) -> usize {
    if n == 0 {
        assert_eq!(len, 0, "rows of no elements are empty");
        return 0;
    }
    assert!(len.is_multiple_of(n), "{len} elements are whole rows of {n}");
    len / n
}

/// Runs `body(first row, those rows of y)` on all threads; `y` has `width` elements per row of `n`.
fn over_rows<T: Send>(
    rows: usize,
    n: usize,
    width: usize,
    y: &mut [T],
    body: &(dyn Fn(usize, &mut [T]) + Sync),
) {
    if rows * n < 2 * GRAIN {
        if rows > 0 {
            body(0, y);
        }
        return;
    }
    let y = SharedMut::new(y);
    parallel_ranges(rows, (GRAIN / n).max(1), 1, &|start, end| {
        // SAFETY: ranges of rows are disjoint.
        body(start, unsafe { y.part(start * width, (end - start) * width) });
    });
}

multiversion! {
    fn sum_rows(x: &[f32], n: usize, y: &mut [f32]) {
        for (x, y) in x.chunks_exact(n).zip(y) {
            *y = sum(x);
        }
    }

    fn max_rows(x: &[f32], n: usize, y: &mut [f32]) {
        for (x, y) in x.chunks_exact(n).zip(y) {
            // A sum is NaN if an element is, or if infinities cancel; only then look.
            let nan = fold(x, 0.0, |acc, x| if x.is_nan() { 1.0 } else { acc });
            *y = if nan.contains(&1.0) { f32::NAN } else { largest(x) };
        }
    }
}

/// `y[i]` is the sum of row `i` of `x`, whose rows have `n > 0` elements.
///
/// ```
/// let mut y = [0.0; 2];
/// pellucid_kernels::rows::row_sum(&[1.0, 2.0, 3.0, 4.0], 2, &mut y);
/// assert_eq!(y, [3.0, 7.0]);
/// ```
pub fn row_sum(x: &[f32], n: usize, y: &mut [f32]) {
    let rows = count_rows(x.len(), n);
    assert_eq!(y.len(), rows, "one result per row");
    over_rows(rows, n, 1, y, &|row, y| sum_rows(&x[row * n..(row + y.len()) * n], n, y));
}

/// `y[i]` is the largest element of row `i`, NaN if the row has one.
pub fn row_max(x: &[f32], n: usize, y: &mut [f32]) {
    let rows = count_rows(x.len(), n);
    assert_eq!(y.len(), rows, "one result per row");
    over_rows(rows, n, 1, y, &|row, y| max_rows(&x[row * n..(row + y.len()) * n], n, y));
}

/// `y[i]` is the place of the largest element of row `i`: the first of equals, and the first NaN if there is one.
pub fn row_argmax(x: &[f32], n: usize, y: &mut [i64]) {
    let rows = count_rows(x.len(), n);
    assert_eq!(y.len(), rows, "one result per row");
    over_rows(rows, n, 1, y, &|row, y| {
        let x = &x[row * n..(row + y.len()) * n];
        let mut max = vec![0.0; y.len()];
        max_rows(x, n, &mut max);
        for ((x, y), max) in x.chunks_exact(n).zip(y).zip(max) {
            let place = x.iter().position(|&x| x == max || (max.is_nan() && x.is_nan()));
            *y = place.unwrap_or(0) as i64;
        }
    });
}
