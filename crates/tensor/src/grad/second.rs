//! Derivatives of the operations that are themselves gradients.
//!
//! Where an operation's own kernel has a short derivative it is written down; the others are written once more as a
//! composition of operations that have derivatives, and that is differentiated.

use smallvec::smallvec;

use super::backward;
use super::rules::{Gradients, like};
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::Tensor;
use crate::op::{BinaryOp, Op, UnaryOp};

/// Gradients at the wanted operands of `y` by way of a composition that equals it.
///
/// The composition is built on places of its own, so that what leads from one operand to another is not followed.
pub(super) fn composed(
    y: &Tensor,
    g: &Tensor,
    wanted: &dyn Fn(usize) -> bool,
    build: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<Gradients> {
    // Half precision would round at every step.
    let wide = if matches!(y.dtype(), DType::F16 | DType::BF16) { DType::F32 } else { y.dtype() };
    let places: Vec<Tensor> = y.inputs().iter().map(Tensor::identity).collect();
    let inputs: Vec<Tensor> =
        places.iter().map(|t| if t.dtype().is_float() { t.cast(wide) } else { t.clone() }).collect();
    let output = build(&inputs)?.cast(y.dtype());
    let asked: Vec<usize> = (0..places.len()).filter(|&i| wanted(i)).collect();
    let wrt: Vec<Tensor> = asked.iter().map(|&i| places[i].clone()).collect();
    let found = backward(&[(output, g.clone())], &wrt, &mut |_, gradient| Ok(gradient))?;
    Ok(asked.into_iter().zip(found).filter_map(|(i, gradient)| Some((i, gradient?))).collect())
}

/// `y * (g - sum(g * y))`.
pub(super) fn softmax(grad: &Tensor, h: &Tensor, wanted: &dyn Fn(usize) -> bool) -> Result<Gradients> {
    let (y, g) = (&grad.inputs()[0], &grad.inputs()[1]);
    let mut out = Gradients::new();
    if wanted(0) {
        let at_rows = h.mul(&g.sub(&g.mul(y)?.sum(&[-1], true)?)?)?;
        out.push((0, at_rows.sub(&g.mul(&h.mul(y)?.sum(&[-1], true)?)?)?));
    }
    if wanted(1) {
        out.push((1, like(Op::SoftmaxGrad, grad, smallvec![y.clone(), h.clone()])));
    }
    Ok(out)
}

/// `g - exp(y) * sum(g)`.
pub(super) fn log_softmax(grad: &Tensor, h: &Tensor, wanted: &dyn Fn(usize) -> bool) -> Result<Gradients> {
    let (y, g) = (&grad.inputs()[0], &grad.inputs()[1]);
    let weighted = h.mul(&y.exp()?)?;
    let mut out = Gradients::new();
    if wanted(0) {
        out.push((0, weighted.mul(&g.sum(&[-1], true)?)?.neg()?));
    }
    if wanted(1) {
        out.push((1, h.sub(&weighted.sum(&[-1], true)?)?));
    }
    Ok(out)
}

/// Operands input, output's gradient, and the weight if any.
pub(super) fn layer_norm(
    eps: u32,
    grad: &Tensor,
    h: &Tensor,
    wanted: &dyn Fn(usize) -> bool,
) -> Result<Gradients> {
    composed(grad, h, wanted, &|inputs| {
        let centred = inputs[0].sub(&inputs[0].mean(&[-1], true)?)?;
        let variance = centred.mul(&centred)?.mean(&[-1], true)?;
        let scale = variance.add_scalar(f64::from(f32::from_bits(eps)))?.rsqrt()?;
        let normed = centred.mul(&scale)?;
        let weighted = match inputs.get(2) {
            Some(weight) => inputs[1].mul(weight)?,
            None => inputs[1].clone(),
        };
        let along = normed.mul(&weighted.mul(&normed)?.mean(&[-1], true)?)?;
        weighted.sub(&weighted.mean(&[-1], true)?)?.sub(&along)?.mul(&scale)
    })
}

/// Operands input, weight, output's gradient.
pub(super) fn rms_norm(
    eps: u32,
    offset: u32,
    grad: &Tensor,
    h: &Tensor,
    wanted: &dyn Fn(usize) -> bool,
) -> Result<Gradients> {
    composed(grad, h, wanted, &|inputs| {
        let (x, g) = (&inputs[0], &inputs[2]);
        let mean = x.mul(x)?.mean(&[-1], true)?;
        let scale = mean.add_scalar(f64::from(f32::from_bits(eps)))?.rsqrt()?;
        let normed = x.mul(&scale)?;
        let weighted = g.mul(&inputs[1].add_scalar(f64::from(f32::from_bits(offset)))?)?;
        let along = normed.mul(&weighted.mul(&normed)?.mean(&[-1], true)?)?;
        weighted.sub(&along)?.mul(&scale)
    })
}

/// `g * f'(x)` of an activation `f`: operands `x` and `g`.
pub(super) fn activation(
    op: BinaryOp,
    grad: &Tensor,
    h: &Tensor,
    wanted: &dyn Fn(usize) -> bool,
) -> Result<Gradients> {
    let (x, g) = (&grad.inputs()[0], &grad.inputs()[1]);
    let mut out = Gradients::new();
    if wanted(0) {
        let wide = if matches!(x.dtype(), DType::F16 | DType::BF16) { DType::F32 } else { x.dtype() };
        out.push((0, h.mul(g)?.mul(&curvature(op, &x.cast(wide))?.cast(x.dtype()))?));
    }
    if wanted(1) {
        out.push((1, x.binary(op, h)?));
    }
    Ok(out)
}

/// The second derivative of an activation.
fn curvature(op: BinaryOp, x: &Tensor) -> Result<Tensor> {
    let square = x.mul(x)?;
    match op {
        BinaryOp::SiluGrad => {
            let s = x.sigmoid()?;
            let slope = s.mul(&s.scalar_binary(BinaryOp::Sub, 1)?)?;
            let bend = x.mul(&s.mul_scalar(-2)?.add_scalar(1)?)?.add_scalar(2)?;
            slope.mul(&bend)
        }
        BinaryOp::GeluErfGrad => {
            let peak = 0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
            let density = square.mul_scalar(-0.5)?.exp()?.mul_scalar(peak)?;
            density.mul(&square.scalar_binary(BinaryOp::Sub, 2)?)
        }
        _ => {
            // x (1 + t) / 2 with t = tanh(u), u = c (x + a x^3).
            let c = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
            let a = 0.044_715;
            let t = x.add(&square.mul(x)?.mul_scalar(a)?)?.mul_scalar(c)?.unary(UnaryOp::Tanh)?;
            let rise = square.mul_scalar(3.0 * a)?.add_scalar(1)?.mul_scalar(c)?;
            let steep = t.mul(&t)?.scalar_binary(BinaryOp::Sub, 1)?;
            let bend = x.mul_scalar(6.0 * a * c)?.sub(&t.mul(&rise)?.mul(&rise)?.mul_scalar(2)?)?;
            steep.mul(&rise.add(&x.mul(&bend)?.mul_scalar(0.5)?)?)
        }
    }
}
