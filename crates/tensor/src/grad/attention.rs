//! Derivatives of attention and of the rotary embedding.

use smallvec::smallvec;

use super::rules::{Gradients, like, one_minus};
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::Tensor;
use crate::op::{Attention, Op, RotaryPairs};

pub(super) fn attention(
    spec: Attention,
    masked: bool,
    y: &Tensor,
    g: &Tensor,
    wanted: &dyn Fn(usize) -> bool,
    out: &mut Gradients,
) -> Result<()> {
    let x = y.inputs();
    // As the forward pass, in single precision inside.
    let dtype = y.dtype();
    let wide = if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype };
    let (q, k, v, g) = (&x[0].cast(wide), &x[1].cast(wide), &x[2].cast(wide), &g.cast(wide));
    let groups = q.dims()[1] / k.dims()[1];
    let spread = |t: &Tensor| if groups == 1 { Ok(t.clone()) } else { t.repeat_interleave(groups, 1) };
    // Gradients of repeated heads add up.
    let gather = |t: Tensor| -> Result<Tensor> {
        if groups == 1 {
            return Ok(t);
        }
        let d = t.dims();
        t.reshape_to(&[d[0], d[1] / groups, groups, d[2], d[3]]).sum(&[2], false)
    };
    let pattern = q.attention_pattern(k, masked.then(|| &x[3]), spec)?;
    if wanted(2) {
        out.push((2, gather(pattern.transpose(-1, -2)?.matmul(g)?)?.cast(dtype)));
    }
    if !(wanted(0) || wanted(1)) {
        return Ok(());
    }
    let at_pattern = g.matmul(&spread(v)?.transpose(-1, -2)?)?;
    let mut at_scores = like(Op::SoftmaxGrad, &pattern, smallvec![pattern.clone(), at_pattern]);
    let keys = spread(k)?;
    if let Some(cap) = spec.softcap {
        let capped = q.matmul(&keys.transpose(-1, -2)?)?.mul_scalar(spec.scale)?.div_scalar(cap)?.tanh()?;
        at_scores = at_scores.mul(&one_minus(&capped.mul(&capped)?)?)?;
    }
    let at_scores = at_scores.mul_scalar(spec.scale)?;
    if wanted(0) {
        out.push((0, at_scores.matmul(&keys)?.cast(dtype)));
    }
    if wanted(1) {
        out.push((1, gather(at_scores.transpose(-1, -2)?.matmul(q)?)?.cast(dtype)));
    }
    Ok(())
}

pub(super) fn rotary(
    pairs: RotaryPairs,
    y: &Tensor,
    g: &Tensor,
    wanted: &dyn Fn(usize) -> bool,
    out: &mut Gradients,
) -> Result<()> {
    let x = y.inputs();
    if wanted(0) {
        out.push((0, like(Op::Rotary(pairs), y, smallvec![g.clone(), x[1].clone(), x[2].neg()?])));
    }
    if !(wanted(1) || wanted(2)) {
        return Ok(());
    }
    let last = y.rank() - 1;
    let half = y.dims()[last] / 2;
    // The first and the second channel of every pair.
    let split = |t: &Tensor| match pairs {
        RotaryPairs::Halves => (t.slice_to(last, 0, half, 1), t.slice_to(last, half, half, 1)),
        RotaryPairs::Adjacent => (t.slice_to(last, 0, half, 2), t.slice_to(last, 1, half, 2)),
    };
    let ((a, b), (g_a, g_b)) = (split(&x[0]), split(g));
    if wanted(1) {
        out.push((1, g_a.mul(&a)?.add(&g_b.mul(&b)?)?));
    }
    if wanted(2) {
        out.push((2, g_b.mul(&a)?.sub(&g_a.mul(&b)?)?));
    }
    Ok(())
}
