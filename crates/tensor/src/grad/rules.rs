//! The derivative of every operation.

use smallvec::{SmallVec, smallvec};

use super::attention::{attention, rotary};
use super::{conv, second};
use crate::build::{Convolution, ViewStep};
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::Tensor;
use crate::op::{BinaryOp, Op, ReduceOp, ScanOp, UnaryOp};
use crate::shape::numel;

/// Gradients of some operands, with the operands' positions.
pub(super) type Gradients = SmallVec<[(usize, Tensor); 3]>;

/// Gradients at the wanted operands of `y`, whose own gradient is `g`.
pub(super) fn operand_gradients(y: &Tensor, g: &Tensor, wanted: &dyn Fn(usize) -> bool) -> Result<Gradients> {
    let x = y.inputs();
    let mut out = Gradients::new();
    match y.op() {
        Op::Identity { .. } => out.push((0, g.clone())),
        Op::Detach => {}
        Op::Cast => out.push((0, g.cast(x[0].dtype()))),
        Op::Unary(op) => {
            if let Some(gx) = unary(*op, &x[0], y, g)? {
                out.push((0, gx));
            }
        }
        Op::Binary(op) => binary(*op, y, g, wanted, &mut out)?,
        Op::Where => {
            let zero = y.engine().zeros(&[], y.dtype());
            if wanted(1) {
                out.push((1, x[0].where_(g, &zero)?));
            }
            if wanted(2) {
                out.push((2, x[0].where_(&zero, g)?));
            }
        }
        Op::Matmul => {
            if wanted(0) {
                out.push((0, g.matmul(&x[1].transpose(-1, -2)?)?));
            }
            if wanted(1) {
                let rows = |t: &Tensor| {
                    let last = t.rank() - 1;
                    t.reshape_to(&[numel(&t.dims()[..last]), t.dims()[last]])
                };
                out.push((
                    1,
                    if x[1].rank() == 2 && x[0].rank() > 2 {
                        outer(&rows(&x[0]), &rows(g))?
                    } else {
                        x[0].transpose(-1, -2)?.matmul(g)?
                    },
                ));
            }
        }
        Op::Reduce { op, axes } => {
            if let Some(gx) = reduce(*op, *axes, &x[0], y, g)? {
                out.push((0, gx));
            }
        }
        Op::Softmax => out.push((0, like(Op::SoftmaxGrad, y, smallvec![y.clone(), g.clone()]))),
        Op::LogSoftmax => out.push((0, like(Op::LogSoftmaxGrad, y, smallvec![y.clone(), g.clone()]))),
        Op::LayerNorm { eps, weight, bias } => {
            layer_norm(*eps, *weight, *bias, y, g, wanted, &mut out)?;
        }
        Op::RmsNorm { eps, offset, .. } => {
            if wanted(0) {
                let op = Op::RmsNormGrad { eps: *eps, offset: *offset };
                out.push((0, like(op, y, smallvec![x[0].clone(), x[1].clone(), g.clone()])));
            }
            if wanted(1) {
                let ones = y.engine().ones(x[1].dims(), y.dtype());
                let normed = x[0].rms_norm(&ones, f64::from(f32::from_bits(*eps)), 0.0, false)?;
                out.push((1, sum_leading(&g.mul(&normed)?, 1)?));
            }
        }
        Op::Attention { spec, masked } => attention(*spec, *masked, y, g, wanted, &mut out)?,
        Op::Rotary(pairs) => rotary(*pairs, y, g, wanted, &mut out)?,
        Op::Index { n } => {
            let zero = y.engine().zeros(x[0].dims(), y.dtype());
            out.push((0, zero.index_put_leading(&x[1..=*n as usize], g, true)?));
        }
        Op::IndexPut { n, accumulate } => {
            let n = *n as usize;
            let positions = &x[1..=n];
            if wanted(0) {
                let zero = y.engine().zeros(x[n + 1].dims(), y.dtype());
                out.push((
                    0,
                    if *accumulate { g.clone() } else { g.index_put_leading(positions, &zero, false)? },
                ));
            }
            if wanted(n + 1) {
                out.push((n + 1, g.index_leading(positions)?));
            }
        }
        Op::Gather { axis } => {
            let zero = y.engine().zeros(x[0].dims(), y.dtype());
            out.push((0, zero.scatter(i64::from(*axis), &x[1], g, true)?));
        }
        Op::Scatter { axis, accumulate } => {
            let axis = i64::from(*axis);
            if wanted(0) {
                let zero = y.engine().zeros(x[2].dims(), y.dtype());
                out.push((0, if *accumulate { g.clone() } else { g.scatter(axis, &x[1], &zero, false)? }));
            }
            if wanted(2) {
                out.push((2, g.gather(axis, &x[1])?));
            }
        }
        Op::Slice { axis, start, step } => {
            let zero = y.engine().zeros(x[0].dims(), y.dtype());
            out.push((0, zero.slice_assign_to(*axis as usize, *start, *step, g)));
        }
        Op::SliceAssign { axis, start, step } => {
            let axis = *axis as usize;
            if wanted(0) {
                let zero = y.engine().zeros(x[1].dims(), y.dtype());
                out.push((0, g.slice_assign_to(axis, *start, *step, &zero)));
            }
            if wanted(1) {
                out.push((1, g.slice_to(axis, *start, x[1].dims()[axis], *step)));
            }
        }
        Op::Reshape => out.push((0, g.reshape_to(x[0].dims()))),
        Op::Permute(perm) => out.push((0, ViewStep::Permute(perm.clone()).write_back(&x[0], g)?)),
        Op::Expand => {
            let repeated = (0..y.rank()).filter(|&i| x[0].dims()[i] != y.dims()[i]);
            let axes = repeated.fold(0, |set, i| set | 1 << i);
            out.push((0, g.reduce_axes(ReduceOp::Sum, axes, true)));
        }
        Op::Concat { axis } => {
            let mut start = 0;
            for (i, part) in x.iter().enumerate() {
                let len = part.dims()[*axis as usize];
                if wanted(i) {
                    out.push((i, g.slice_to(*axis as usize, start, len, 1)));
                }
                start += len;
            }
        }
        Op::Scan { op, axis } => out.push((0, scan(*op, i64::from(*axis), &x[0], y, g)?)),
        Op::SoftmaxGrad => return second::softmax(y, g, wanted),
        Op::LogSoftmaxGrad => return second::log_softmax(y, g, wanted),
        Op::LayerNormGrad { eps, .. } => return second::layer_norm(*eps, y, g, wanted),
        Op::RmsNormGrad { eps, offset } => return second::rms_norm(*eps, *offset, y, g, wanted),
        Op::Conv2d { stride, padding, dilation, groups } => {
            let how = Convolution {
                stride: stride.map(usize::from),
                padding: padding.map(usize::from),
                dilation: dilation.map(usize::from),
                groups: usize::from(*groups),
            };
            return conv::conv2d(how, y, g, wanted);
        }
        Op::Leaf { .. }
        | Op::Literal(_)
        | Op::Full(_)
        | Op::Arange { .. }
        | Op::Random { .. }
        | Op::ArgExtreme { .. }
        | Op::Argsort { .. }
        | Op::TopK { .. } => {}
    }
    out.retain(|(i, _)| wanted(*i));
    Ok(out)
}

pub(super) fn one_minus(t: &Tensor) -> Result<Tensor> {
    t.scalar_binary(BinaryOp::Sub, 1)
}

/// A node of the shape and type of `y`.
pub(super) fn like(op: Op, y: &Tensor, inputs: crate::graph::Operands) -> Tensor {
    y.engine().node(op, inputs, y.dims().into(), y.dtype())
}

/// `a^T b` of `[rows, k]` and `[rows, n]`: a sum over rows.
fn outer(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.transpose(0, 1)?.matmul(b)
}

/// The sum over all but the last `keep` dimensions.
fn sum_leading(t: &Tensor, keep: usize) -> Result<Tensor> {
    let axes = (1u32 << (t.rank() - keep)) - 1;
    Ok(t.reduce_axes(ReduceOp::Sum, axes, false))
}

fn unary(op: UnaryOp, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
    use UnaryOp as U;
    Ok(Some(match op {
        U::Neg => g.neg()?,
        U::Abs => g.mul(&x.sign()?)?,
        U::Exp => g.mul(y)?,
        U::Expm1 => g.mul(&y.add_scalar(1)?)?,
        U::Log => g.div(x)?,
        U::Log1p => g.div(&x.add_scalar(1)?)?,
        U::Sqrt => g.div(&y.mul_scalar(2)?)?,
        U::Rsqrt => g.mul(&y.mul(y)?.mul(y)?)?.mul_scalar(-0.5)?,
        U::Reciprocal => g.mul(&y.mul(y)?)?.neg()?,
        U::Sin => g.mul(&x.cos()?)?,
        U::Cos => g.mul(&x.sin()?)?.neg()?,
        U::Tan => g.mul(&y.mul(y)?.add_scalar(1)?)?,
        U::Tanh => g.mul(&one_minus(&y.mul(y)?)?)?,
        U::Erf => {
            let slope = x.mul(x)?.neg()?.exp()?.mul_scalar(std::f64::consts::FRAC_2_SQRT_PI)?;
            g.mul(&slope)?
        }
        U::Sigmoid => g.mul(&y.mul(&one_minus(y)?)?)?,
        U::Relu => x.le_scalar(0)?.where_(&y.engine().zeros(&[], y.dtype()), g)?,
        U::Silu => x.binary(BinaryOp::SiluGrad, g)?,
        U::GeluErf => x.binary(BinaryOp::GeluErfGrad, g)?,
        U::GeluTanh => x.binary(BinaryOp::GeluTanhGrad, g)?,
        U::Sign | U::Floor | U::Ceil | U::Round | U::Trunc => return Ok(None),
        U::BitNot | U::LogicalNot | U::IsNan | U::IsInf => return Ok(None),
    }))
}

fn binary(
    op: BinaryOp,
    y: &Tensor,
    g: &Tensor,
    wanted: &dyn Fn(usize) -> bool,
    out: &mut Gradients,
) -> Result<()> {
    use BinaryOp as B;
    let (a, b) = (&y.inputs()[0], &y.inputs()[1]);
    let zero = || y.engine().zeros(&[], y.dtype());
    let mut first = None;
    let mut second = None;
    match op {
        B::Add => (first, second) = (Some(g.clone()), Some(g.clone())),
        B::Sub => {
            first = Some(g.clone());
            if wanted(1) {
                second = Some(g.neg()?);
            }
        }
        B::Mul => {
            if wanted(0) {
                first = Some(g.mul(b)?);
            }
            if wanted(1) {
                second = Some(g.mul(a)?);
            }
        }
        B::Div => {
            if wanted(0) {
                first = Some(g.div(b)?);
            }
            if wanted(1) {
                second = Some(g.neg()?.mul(&y.div(b)?)?);
            }
        }
        B::Remainder | B::Fmod => {
            first = Some(g.clone());
            if wanted(1) {
                // The exact quotient, not the rounded one of a division.
                let whole = if op == B::Remainder { a.floor_divide(b)? } else { a.div(b)?.trunc()? };
                second = Some(g.neg()?.mul(&whole)?);
            }
        }
        B::Pow => {
            if wanted(0) {
                let slope = b.mul(&a.pow(&b.sub_scalar(1)?)?)?;
                first = Some(b.eq_scalar(0)?.where_(&zero(), &g.mul(&slope)?)?);
            }
            if wanted(1) {
                let flat = a.eq_scalar(0)?.logical(B::BitAnd, &b.ge_scalar(0)?)?;
                second = Some(flat.where_(&zero(), &g.mul(&y.mul(&a.log()?)?)?)?);
            }
        }
        B::Maximum | B::Minimum => {
            let half = a.eq(b)?.where_(&g.div_scalar(2)?, g)?;
            let loses = if op == B::Maximum { (a.lt(b)?, b.lt(a)?) } else { (a.gt(b)?, b.gt(a)?) };
            first = Some(loses.0.where_(&zero(), &half)?);
            second = Some(loses.1.where_(&zero(), &half)?);
        }
        B::Atan2 => {
            let over = g.div(&a.mul(a)?.add(&b.mul(b)?)?)?;
            first = Some(over.mul(b)?);
            second = Some(over.mul(a)?.neg()?);
        }
        B::GeluTanhGrad | B::GeluErfGrad | B::SiluGrad => out.extend(second::activation(op, y, g, wanted)?),
        B::FloorDiv
        | B::BitAnd
        | B::BitOr
        | B::BitXor
        | B::ShiftLeft
        | B::ShiftRight
        | B::Eq
        | B::Ne
        | B::Lt
        | B::Le
        | B::Gt
        | B::Ge => {}
    }
    out.extend(first.map(|t| (0, t)).into_iter().chain(second.map(|t| (1, t))));
    Ok(())
}

fn reduce(op: ReduceOp, axes: u32, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
    Ok(match op {
        ReduceOp::Sum => Some(g.expand_to(x.dims())?),
        ReduceOp::Max | ReduceOp::Min => {
            let hit = x.eq(y)?.cast(x.dtype());
            let hits = hit.reduce_axes(ReduceOp::Sum, axes, true);
            Some(hit.mul(&g.div(&hits)?)?)
        }
        ReduceOp::Prod => {
            // The product of the other elements, exact for zeros: what is before times what is behind.
            let order: Vec<i64> = (0..x.rank())
                .filter(|i| axes & (1 << i) == 0)
                .chain((0..x.rank()).filter(|i| axes & (1 << i) != 0))
                .map(|i| i as i64)
                .collect();
            let kept = axes.count_zeros() as usize - (32 - x.rank());
            let moved = x.permute(&order)?;
            let count = numel(&moved.dims()[kept..]);
            let mut flat: Vec<i64> = moved.dims()[..kept].iter().map(|&d| d as i64).collect();
            flat.push(count as i64);
            let rows = moved.reshape(&flat)?;
            if count == 0 {
                return Ok(Some(y.engine().zeros(x.dims(), x.dtype())));
            }
            let last = kept;
            let before = |t: &Tensor| -> Result<Tensor> {
                let mut one: crate::Dims = t.dims().into();
                one[last] = 1;
                let ones = t.engine().ones(&one, t.dtype());
                Tensor::cat(&[ones, t.slice_to(last, 0, count - 1, 1).scan(ScanOp::Prod, -1)?], -1)
            };
            let behind = before(&rows.flip(&[-1])?)?.flip(&[-1])?;
            let others = before(&rows)?.mul(&behind)?.reshape_to(moved.dims());
            let perm = order.iter().map(|&i| i as u8).collect();
            let others = ViewStep::Permute(perm).write_back(x, &others)?;
            Some(others.mul(&g.expand_to(x.dims())?)?)
        }
        ReduceOp::Any | ReduceOp::All => None,
    })
}

fn layer_norm(
    eps: u32,
    weight: bool,
    bias: bool,
    y: &Tensor,
    g: &Tensor,
    wanted: &dyn Fn(usize) -> bool,
    out: &mut Gradients,
) -> Result<()> {
    let x = y.inputs();
    if wanted(0) {
        let mut inputs: crate::graph::Operands = smallvec![x[0].clone(), g.clone()];
        if weight {
            inputs.push(x[1].clone());
        }
        out.push((0, like(Op::LayerNormGrad { eps, weight }, y, inputs)));
    }
    if weight && wanted(1) {
        let normed = x[0].layer_norm(None, None, f64::from(f32::from_bits(eps)))?;
        out.push((1, sum_leading(&g.mul(&normed)?, 1)?));
    }
    let at = 1 + usize::from(weight);
    if bias && wanted(at) {
        out.push((at, sum_leading(g, 1)?));
    }
    Ok(())
}

fn scan(op: ScanOp, axis: i64, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<Tensor> {
    let from_behind = |t: &Tensor| t.flip(&[axis])?.cumsum(axis)?.flip(&[axis]);
    match op {
        ScanOp::Sum => from_behind(g),
        ScanOp::Prod => {
            // d y_j / d x_i = y_j / x_i for j >= i; at a zero, the product without it.
            let usual = from_behind(&g.mul(y)?)?.div(x)?;
            let zero = x.eq_scalar(0)?;
            let first = zero.logical(BinaryOp::BitAnd, &zero.cast(DType::I64).cumsum(axis)?.eq_scalar(1)?)?;
            let one = y.engine().ones(&[], y.dtype());
            let without = first.where_(&one, x)?.scan(ScanOp::Prod, axis)?;
            let at_first = from_behind(&g.mul(&without)?)?;
            let zeros = y.engine().zeros(&[], y.dtype());
            zero.where_(&first.where_(&at_first, &zeros)?, &usual)
        }
        ScanOp::Max | ScanOp::Min => {
            // Each result came from the last position so far whose element equals it.
            let size = x.dims()[crate::shape::axis(axis, x.rank())?];
            let mut shape: crate::Dims = smallvec![1; x.rank()];
            shape[crate::shape::axis(axis, x.rank())?] = size;
            let here = x.engine().arange(0, 1, size, DType::I64).reshape_to(&shape).expand_to(x.dims())?;
            let none = x.engine().full(&[], -1, DType::I64);
            let from = x.eq(y)?.where_(&here, &none)?.scan(ScanOp::Max, axis)?;
            y.engine().zeros(x.dims(), y.dtype()).scatter(axis, &from, g, true)
        }
    }
}
