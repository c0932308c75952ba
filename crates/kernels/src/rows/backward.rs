//! Gradients of the row kernels with respect to their inputs.

use super::norm::{RmsNorm, moments, reciprocal_rms};
use super::{count_rows, over_rows, sum, sum_of};
use crate::isa::multiversion;
use crate::math;

/// The factor of column `i`: `weight[i]`, or 1 when there is none, or 1 more than it.
#[derive(Clone, Copy)]
enum Factor<'a> {
    One,
    Weight(&'a [f32]),
    OnePlus(&'a [f32]),
}

impl Factor<'_> {
    /// `y = gy * factor`.
    #[inline(always)]
    fn apply(self, gy: &[f32], y: &mut [f32]) {
        match self {
            Factor::One => y.copy_from_slice(gy),
            Factor::Weight(w) => {
                y.iter_mut().zip(gy).zip(w).for_each(|((y, &g), &w)| *y = g * w);
            }
            Factor::OnePlus(w) => {
                y.iter_mut().zip(gy).zip(w).for_each(|((y, &g), &w)| *y = g * (1.0 + w));
            }
        }
    }
}

multiversion! {
    fn softmax_backward_rows(y: &[f32], gy: &[f32], n: usize, gx: &mut [f32]) {
        for ((y, gy), gx) in y.chunks_exact(n).zip(gy.chunks_exact(n)).zip(gx.chunks_exact_mut(n)) {
            let dot = sum_of(y, gy, |y, g, acc| y.mul_add(g, acc));
            for ((gx, &y), &g) in gx.iter_mut().zip(y).zip(gy) {
                *gx = y * (g - dot);
            }
        }
    }

    fn log_softmax_backward_rows(y: &[f32], gy: &[f32], n: usize, gx: &mut [f32]) {
        for ((y, gy), gx) in y.chunks_exact(n).zip(gy.chunks_exact(n)).zip(gx.chunks_exact_mut(n)) {
            let total = sum(gy);
            for ((gx, &y), &g) in gx.iter_mut().zip(y).zip(gy) {
                *gx = math::exp(y).mul_add(-total, g);
            }
        }
    }

    fn layer_norm_backward_rows(x: &[f32], gy: &[f32], n: usize, factor: Factor<'_>, eps: f32, gx: &mut [f32]) {
        for ((x, gy), gx) in x.chunks_exact(n).zip(gy.chunks_exact(n)).zip(gx.chunks_exact_mut(n)) {
            let (mean, scale) = moments(x, eps);
            factor.apply(gy, gx);
            let g_mean = sum(gx) / n as f32;
            let slope = sum_of(x, gx, |x, g, acc| ((x - mean) * scale).mul_add(g, acc)) / n as f32;
            for (gx, &x) in gx.iter_mut().zip(x) {
                let normed = (x - mean) * scale;
                *gx = scale * normed.mul_add(-slope, *gx - g_mean);
            }
        }
    }

    fn rms_norm_backward_rows(x: &[f32], gy: &[f32], n: usize, factor: Factor<'_>, eps: f32, gx: &mut [f32]) {
        for ((x, gy), gx) in x.chunks_exact(n).zip(gy.chunks_exact(n)).zip(gx.chunks_exact_mut(n)) {
            let scale = reciprocal_rms(x, eps);
            factor.apply(gy, gx);
            let slope = sum_of(x, gx, |x, g, acc| (x * scale).mul_add(g, acc)) / n as f32;
            for (gx, &x) in gx.iter_mut().zip(x) {
                *gx = scale * (x * scale).mul_add(-slope, *gx);
            }
        }
    }
}

fn check(a: &[f32], gy: &[f32], gx: &[f32]) {
    assert_eq!(a.len(), gy.len(), "value and gradient have one length");
    assert_eq!(a.len(), gx.len(), "both gradients have one length");
}

/// Gradient of a softmax over rows of `n`, from its output `y` and the gradient `gy` of that: `y * (gy - sum of y * gy)`.
pub fn softmax_backward(y: &[f32], gy: &[f32], n: usize, gx: &mut [f32]) {
    check(y, gy, gx);
    over_rows(count_rows(y.len(), n), n, n, gx, &|row, gx| {
        let range = row * n..row * n + gx.len();
        softmax_backward_rows(&y[range.clone()], &gy[range], n, gx);
    });
}

/// Gradient of a log-softmax over rows of `n`, from its output `y`: `gy - exp(y) * sum of gy`.
pub fn log_softmax_backward(y: &[f32], gy: &[f32], n: usize, gx: &mut [f32]) {
    check(y, gy, gx);
    over_rows(count_rows(y.len(), n), n, n, gx, &|row, gx| {
        let range = row * n..row * n + gx.len();
        log_softmax_backward_rows(&y[range.clone()], &gy[range], n, gx);
    });
}

/// Gradient of a layer norm over rows of `n` with respect to its input `x`.
pub fn layer_norm_backward_input(
    x: &[f32],
    n: usize,
    weight: Option<&[f32]>,
    gy: &[f32],
    eps: f32,
    gx: &mut [f32],
) {
    check(x, gy, gx);
    assert!(weight.is_none_or(|w| w.len() == n), "the weight has one value per column");
    let factor = weight.map_or(Factor::One, Factor::Weight);
    over_rows(count_rows(x.len(), n), n, n, gx, &|row, gx| {
        let range = row * n..row * n + gx.len();
        layer_norm_backward_rows(&x[range.clone()], &gy[range], n, factor, eps, gx);
    });
}

/// Gradient of a root-mean-square norm with respect to its input `x`.
pub fn rms_norm_backward_input(x: &[f32], weight: &[f32], gy: &[f32], norm: RmsNorm, gx: &mut [f32]) {
    check(x, gy, gx);
    let n = weight.len();
    let factor = if norm.unit_offset { Factor::OnePlus(weight) } else { Factor::Weight(weight) };
    over_rows(count_rows(x.len(), n), n, n, gx, &|row, gx| {
        let range = row * n..row * n + gx.len();
        rms_norm_backward_rows(&x[range.clone()], &gy[range], n, factor, norm.eps, gx);
    });
}
