//! Layer norm and root-mean-square norm.

use super::{count_rows, fold, over_rows, sum, tree};
use crate::isa::multiversion;

/// Mean and reciprocal standard deviation of a row.
#[inline(always)]
pub(super) fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum(x) / n;
    let squares = tree(fold(x, 0.0, |acc, x| (x - mean).mul_add(x - mean, acc)));
    (mean, 1.0 / (squares / n + eps).sqrt())
}

/// Reciprocal root mean square of a row.
#[inline(always)]
pub(super) fn reciprocal_rms(x: &[f32], eps: f32) -> f32 {
    let squares = tree(fold(x, 0.0, |acc, x| x.mul_add(x, acc)));
    1.0 / (squares / x.len() as f32 + eps).sqrt()
}

multiversion! {
    fn layer_norm_rows(x: &[f32], n: usize, weight: Option<&[f32]>, bias: Option<&[f32]>, eps: f32, y: &mut [f32]) {
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let (mean, scale) = moments(x, eps);
            match (weight, bias) {
                (Some(w), Some(b)) => {
                    for (((y, &x), &w), &b) in y.iter_mut().zip(x).zip(w).zip(b) {
                        *y = ((x - mean) * scale).mul_add(w, b);
                    }
                }
                (Some(w), None) => {
                    for ((y, &x), &w) in y.iter_mut().zip(x).zip(w) {
                        *y = (x - mean) * scale * w;
                    }
                }
                (None, Some(b)) => {
                    for ((y, &x), &b) in y.iter_mut().zip(x).zip(b) {
                        *y = (x - mean) * scale + b;
                    }
                }
                (None, None) => {
                    for (y, &x) in y.iter_mut().zip(x) {
                        *y = (x - mean) * scale;
                    }
                }
            }
        }
    }

    fn rms_norm_rows(x: &[f32], weight: &[f32], norm: RmsNorm, y: &mut [f32]) {
        let n = weight.len();
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let scale = reciprocal_rms(x, norm.eps);
            if norm.unit_offset {
                for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                    *y = x * scale * (1.0 + w);
                }
            } else {
                for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                    *y = x * scale * w;
                }
            }
        }
    }
}

/// Layer norm of every row of `n` elements: `(x - mean) / sqrt(variance + eps) * weight + bias`, the weight 1 and the bias
/// 0 when absent.
pub fn layer_norm(
    x: &[f32],
    n: usize,
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    eps: f32,
    y: &mut [f32],
) {
    assert_eq!(x.len(), y.len(), "source and destination have one length");
    assert!(weight.is_none_or(|w| w.len() == n), "the weight has one value per column");
    assert!(bias.is_none_or(|b| b.len() == n), "the bias has one value per column");
    over_rows(count_rows(x.len(), n), n, n, y, &|row, y| {
        layer_norm_rows(&x[row * n..row * n + y.len()], n, weight, bias, eps, y);
    });
}

/// The constants of a root-mean-square norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f32,
    /// Whether the factor is `1 + weight` instead of `weight`.
    pub unit_offset: bool,
}

/// Root-mean-square norm of every row of `x`, with as many elements as `weight`: `x / sqrt(mean of x^2 + eps) * weight`.
pub fn rms_norm(x: &[f32], weight: &[f32], norm: RmsNorm, y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "source and destination have one length");
    let n = weight.len();
    over_rows(count_rows(x.len(), n), n, n, y, &|row, y| {
        rms_norm_rows(&x[row * n..row * n + y.len()], weight, norm, y);
    });
}
