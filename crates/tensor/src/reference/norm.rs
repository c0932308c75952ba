//! Softmax and norms over the last dimension, and their gradients.

use super::number::{Real, by_real, rows};
use crate::dtype::DType;
use crate::value::Value;

/// The sum of numbers, accumulated in double precision.
fn sum<R: Real>(all: impl Iterator<Item = R>) -> R {
    R::of(all.map(Real::to_f64).sum())
}

/// Softmax of a row, or its logarithm.
pub(super) fn softmax_row<R: Real>(row: &[R], log: bool) -> Vec<R> {
    let top =
        row.iter().copied().fold(R::of(f64::NEG_INFINITY), |a, b| if a.is_nan() || a > b { a } else { b });
    let total = sum(row.iter().map(|&x| (x - top).via(f64::exp)));
    if log {
        let shift = total.via(f64::ln);
        row.iter().map(|&x| x - top - shift).collect()
    } else {
        row.iter().map(|&x| (x - top).via(f64::exp) / total).collect()
    }
}

pub(super) fn softmax(x: &Value, log: bool) -> Value {
    fn of<R: Real>(x: &Value, log: bool) -> Value {
        let all = R::read(x);
        let out: Vec<R> = rows(&all, x.dims()).flat_map(|row| softmax_row(row, log)).collect();
        R::write(&out, x.dims(), x.dtype())
    }
    by_real!(x.dtype(), of(x, log))
}

/// `y (g - sum(g y))`, or `g - exp(y) sum(g)` for the logarithm.
pub(super) fn softmax_grad(y: &Value, g: &Value, log: bool) -> Value {
    fn of<R: Real>(y: &Value, g: &Value, log: bool) -> Value {
        let (all_y, all_g) = (R::read(y), R::read(g));
        let mut out = Vec::with_capacity(all_y.len());
        for (y, g) in rows(&all_y, y.dims()).zip(rows(&all_g, g.dims())) {
            let pairs = || y.iter().copied().zip(g.iter().copied());
            if log {
                let total = sum(g.iter().copied());
                out.extend(pairs().map(|(y, g)| g - y.via(f64::exp) * total));
            } else {
                let total = sum(pairs().map(|(y, g)| y * g));
                out.extend(pairs().map(|(y, g)| y * (g - total)));
            }
        }
        R::write(&out, y.dims(), y.dtype())
    }
    by_real!(y.dtype(), of(y, g, log))
}

fn mean<R: Real>(all: impl Iterator<Item = R>, count: usize) -> R {
    R::of(all.map(Real::to_f64).sum::<f64>() / count as f64)
}

/// A row less its mean, over its standard deviation, and one over that deviation.
fn standardised<R: Real>(row: &[R], eps: f32) -> (Vec<R>, R) {
    let middle = mean(row.iter().copied(), row.len());
    let var = mean(row.iter().map(|&x| (x - middle) * (x - middle)), row.len());
    let scale = R::ONE / (var + R::of(f64::from(eps))).sqrt();
    (row.iter().map(|&x| (x - middle) * scale).collect(), scale)
}

pub(super) fn layer_norm(eps: f32, x: &Value, weight: Option<&Value>, bias: Option<&Value>) -> Value {
    fn of<R: Real>(eps: f32, x: &Value, weight: Option<&Value>, bias: Option<&Value>) -> Value {
        let all = R::read(x);
        let (weight, bias) = (weight.map(R::read), bias.map(R::read));
        let mut out = Vec::with_capacity(all.len());
        for row in rows(&all, x.dims()) {
            for (i, mut y) in standardised(row, eps).0.into_iter().enumerate() {
                if let Some(weight) = &weight {
                    y = y * weight[i];
                }
                if let Some(bias) = &bias {
                    y = y + bias[i];
                }
                out.push(y);
            }
        }
        R::write(&out, x.dims(), x.dtype())
    }
    by_real!(x.dtype(), of(eps, x, weight, bias))
}

pub(super) fn layer_norm_grad(eps: f32, x: &Value, g: &Value, weight: Option<&Value>) -> Value {
    fn of<R: Real>(eps: f32, x: &Value, g: &Value, weight: Option<&Value>) -> Value {
        let (all, all_g) = (R::read(x), R::read(g));
        let weight = weight.map(R::read);
        let mut out = Vec::with_capacity(all.len());
        for (row, g) in rows(&all, x.dims()).zip(rows(&all_g, g.dims())) {
            let (normed, scale) = standardised(row, eps);
            let g: Vec<R> =
                g.iter().enumerate().map(|(i, &g)| weight.as_ref().map_or(g, |w| g * w[i])).collect();
            let mean_g = mean(g.iter().copied(), g.len());
            let mean_gn = mean(g.iter().zip(&normed).map(|(&g, &n)| g * n), g.len());
            out.extend(g.iter().zip(&normed).map(|(&g, &n)| scale * (g - mean_g - n * mean_gn)));
        }
        R::write(&out, x.dims(), x.dtype())
    }
    by_real!(x.dtype(), of(eps, x, g, weight))
}

/// One over the root of a row's mean square.
fn inverse_rms<R: Real>(row: &[R], eps: f32) -> R {
    let square = mean(row.iter().map(|&x| x * x), row.len());
    R::ONE / (square + R::of(f64::from(eps))).sqrt()
}

pub(super) fn rms_norm(eps: f32, offset: f32, round_first: bool, x: &Value, weight: &Value) -> Value {
    fn of<R: Real>(eps: f32, offset: f32, round_first: bool, x: &Value, weight: &Value) -> Value {
        let (all, weight) = (R::read(x), R::read(weight));
        // Where rounding is put off to the end, the intermediate type is the wide one.
        let step = if !round_first { DType::F64 } else { x.dtype() };
        let mut out = Vec::with_capacity(all.len());
        for row in rows(&all, x.dims()) {
            let scale = inverse_rms(row, eps);
            out.extend(
                row.iter()
                    .zip(&weight)
                    .map(|(&x, &w)| (x * scale).rounded(step) * (R::of(f64::from(offset)) + w).rounded(step)),
            );
        }
        R::write(&out, x.dims(), x.dtype())
    }
    by_real!(x.dtype(), of(eps, offset, round_first, x, weight))
}

pub(super) fn rms_norm_grad(eps: f32, offset: f32, x: &Value, weight: &Value, g: &Value) -> Value {
    fn of<R: Real>(eps: f32, offset: f32, x: &Value, weight: &Value, g: &Value) -> Value {
        let (all, weight, all_g) = (R::read(x), R::read(weight), R::read(g));
        let mut out = Vec::with_capacity(all.len());
        for (row, g) in rows(&all, x.dims()).zip(rows(&all_g, g.dims())) {
            let scale = inverse_rms(row, eps);
            let normed: Vec<R> = row.iter().map(|&x| x * scale).collect();
            let g: Vec<R> =
                g.iter().zip(&weight).map(|(&g, &w)| g * (R::of(f64::from(offset)) + w)).collect();
            let mean_gn = mean(g.iter().zip(&normed).map(|(&g, &n)| g * n), g.len());
            out.extend(g.iter().zip(&normed).map(|(&g, &n)| scale * (g - n * mean_gn)));
        }
        R::write(&out, x.dims(), x.dtype())
    }
    by_real!(x.dtype(), of(eps, offset, x, weight, g))
}
