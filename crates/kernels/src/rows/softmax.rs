//! Softmax and its logarithm.

use super::{LANES, count_rows, largest, over_rows, tree};
use crate::isa::multiversion;
use crate::math;

/// `y = exp(x - max)` and the sum of it; `x` is `y` itself when absent.
#[inline(always)]
fn exp_and_sum(x: Option<&[f32]>, y: &mut [f32], max: f32) -> f32 {
    if let Some(x) = x {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = math::exp(x - max));
    } else {
        y.iter_mut().for_each(|y| *y = math::exp(*y - max));
    }
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = y.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &y) in lanes.iter_mut().zip(chunk) {
            *lane += y;
        }
    }
    for (lane, &y) in lanes.iter_mut().zip(rest) {
        *lane += y;
    }
    tree(lanes)
}

multiversion! {
    fn softmax_rows(x: Option<&[f32]>, n: usize, y: &mut [f32]) {
        for (row, y) in y.chunks_exact_mut(n).enumerate() {
            let x = x.map(|x| &x[row * n..(row + 1) * n]);
            let max = largest(x.unwrap_or(y));
            let scale = 1.0 / exp_and_sum(x, y, max);
            y.iter_mut().for_each(|y| *y *= scale);
        }
    }

    /// The exponentials are needed for their sum alone; a few at a time keep them in the first-level cache.
    fn log_softmax_rows(x: Option<&[f32]>, n: usize, y: &mut [f32]) {
        const BLOCK: usize = 64 * LANES;
        for (row, y) in y.chunks_exact_mut(n).enumerate() {
            let x = x.map(|x| &x[row * n..(row + 1) * n]);
            let max = largest(x.unwrap_or(y));
            let mut lanes = [0.0f32; LANES];
            let mut block = [0.0f32; BLOCK];
            for part in x.unwrap_or(y).chunks(BLOCK) {
                let block = &mut block[..part.len()];
                block.iter_mut().zip(part).for_each(|(b, &x)| *b = math::exp(x - max));
                for chunk in block.chunks(LANES) {
                    for (lane, &e) in lanes.iter_mut().zip(chunk) {
                        *lane += e;
                    }
                }
            }
            let log_sum = math::log(tree(lanes));
            if let Some(x) = x {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - max) - log_sum);
            } else {
                y.iter_mut().for_each(|y| *y = (*y - max) - log_sum);
            }
        }
    }
}

/// Softmax of every row of `n` elements: `exp(x - max) * (1 / sum)`. A row of negative infinities gives NaN.
///
/// ```
/// let mut y = [0.0; 2];
/// pellucid_kernels::rows::softmax(&[3.0, f32::NEG_INFINITY], 2, &mut y);
/// assert_eq!(y, [1.0, 0.0]);
/// ```
pub fn softmax(x: &[f32], n: usize, y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "source and destination have one length");
    over_rows(count_rows(x.len(), n), n, n, y, &|row, y| {
        softmax_rows(Some(&x[row * n..row * n + y.len()]), n, y);
    });
}

/// [`softmax`], in place.
pub fn softmax_in_place(x: &mut [f32], n: usize) {
    over_rows(count_rows(x.len(), n), n, n, x, &|_, x| softmax_rows(None, n, x));
}

/// Logarithm of the softmax of every row of `n` elements: `(x - max) - log(sum of exp(x - max))`.
pub fn log_softmax(x: &[f32], n: usize, y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "source and destination have one length");
    over_rows(count_rows(x.len(), n), n, n, y, &|row, y| {
        log_softmax_rows(Some(&x[row * n..row * n + y.len()]), n, y);
    });
}

/// [`log_softmax`], in place.
pub fn log_softmax_in_place(x: &mut [f32], n: usize) {
    over_rows(count_rows(x.len(), n), n, n, x, &|_, x| log_softmax_rows(None, n, x));
}
