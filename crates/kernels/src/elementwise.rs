//! Elementwise kernels over contiguous `f32`.
//!
//! Each element rounds on its own, so nothing here depends on length, position or threads.

#![expect(unsafe_code, reason = "disjoint parts of one slice are handed to several threads")]

use crate::isa::multiversion;
use crate::math;
use crate::shared::SharedMut;
use crate::threads::parallel_ranges;

/// Elements below which a plain arithmetic kernel stays on one thread, and the least that a task gets.
const GRAIN: usize = 16 * 1024;

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryKind {
    /// `-x`.
    Neg,
    /// `|x|`.
    Abs,
    /// The sign: -1, 0 or 1.
    Sign,
    /// `x * x`.
    Square,
    /// Square root.
    Sqrt,
    /// `1 / sqrt(x)`, rounded twice.
    Rsqrt,
    /// `1 / x`.
    Reciprocal,
    /// Largest integer not above.
    Floor,
    /// Smallest integer not below.
    Ceil,
    /// Nearest integer, ties to even.
    Round,
    /// Integer part.
    Trunc,
    /// Exponential.
    Exp,
    /// Natural logarithm.
    Log,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Error function.
    Erf,
    /// GELU, hyperbolic tangent form.
    GeluTanh,
    /// GELU, error function form.
    GeluErf,
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// `x * sigmoid(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `log(1 + exp(x))`.
    Softplus,
}

/// A function of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryKind {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `b - a`.
    SubReversed,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// `b / a`.
    DivReversed,
    /// The larger, NaN if either is.
    Max,
    /// The smaller, NaN if either is.
    Min,
    /// `a` to the power of `b`.
    Pow,
    /// `b * gelu_tanh'(a)`: `a` is the input, `b` the gradient of the output.
    GeluTanhBackward,
    /// `b * gelu_erf'(a)`.
    GeluErfBackward,
    /// `b * silu'(a)`.
    SiluBackward,
    /// `b` where `a > 0`, else 0.
    ReluBackward,
    /// `b * (1 - a * a)`: here `a` is the output of the hyperbolic tangent.
    TanhBackward,
    /// `b * a * (1 - a)`: here `a` is the output of the sigmoid.
    SigmoidBackward,
}

/// Where a loop reads its left operand: from another slice, or from the slice it writes.
enum Left<'a> {
    Other(&'a [f32]),
    Same,
}

#[inline(always)]
fn map(left: &Left<'_>, dst: &mut [f32], f: impl Fn(f32) -> f32 + Copy) {
    match left {
        Left::Same => {
            for d in dst {
                *d = f(*d);
            }
        }
        Left::Other(src) => {
            let n = dst.len();
            let src = &src[..n];
            for i in 0..n {
                dst[i] = f(src[i]);
            }
        }
    }
}

/// The vector form of a trigonometric function, with rare large arguments put right afterwards.
#[inline(always)]
fn map_trig(left: &Left<'_>, dst: &mut [f32], quadrant: u64, exact: fn(f32) -> f32) {
    let mut block = [0.0f32; 64];
    for (idx, dst) in dst.chunks_mut(64).enumerate() {
        let block = &mut block[..dst.len()];
        match left {
            Left::Same => block.copy_from_slice(dst),
            Left::Other(src) => block.copy_from_slice(&src[idx * 64..idx * 64 + dst.len()]),
        }
        dst.iter_mut().zip(&*block).for_each(|(d, &x)| *d = math::trig(x, quadrant));
        if block.iter().any(|x| x.abs() > math::TRIG_LIMIT) {
            for (d, &x) in dst.iter_mut().zip(&*block) {
                if x.abs() > math::TRIG_LIMIT {
                    *d = exact(x);
                }
            }
        }
    }
}

multiversion! {
    fn unary_part(kind: UnaryKind, left: &Left<'_>, dst: &mut [f32]) {
        match kind {
            UnaryKind::Neg => map(left, dst, |x| -x),
            UnaryKind::Abs => map(left, dst, |x| x.abs()),
            UnaryKind::Sign => map(left, dst, math::sign),
            UnaryKind::Square => map(left, dst, |x| x * x),
            UnaryKind::Sqrt => map(left, dst, |x| x.sqrt()),
            UnaryKind::Rsqrt => map(left, dst, |x| 1.0 / x.sqrt()),
            UnaryKind::Reciprocal => map(left, dst, |x| 1.0 / x),
            UnaryKind::Floor => map(left, dst, |x| x.floor()),
            UnaryKind::Ceil => map(left, dst, |x| x.ceil()),
            UnaryKind::Round => map(left, dst, |x| x.round_ties_even()),
            UnaryKind::Trunc => map(left, dst, |x| x.trunc()),
            UnaryKind::Exp => map(left, dst, math::exp),
            UnaryKind::Log => map(left, dst, math::log),
            UnaryKind::Sin => map_trig(left, dst, 0, f32::sin),
            UnaryKind::Cos => map_trig(left, dst, 1, f32::cos),
            UnaryKind::Tanh => map(left, dst, math::tanh),
            UnaryKind::Sigmoid => map(left, dst, math::sigmoid),
            UnaryKind::Erf => map(left, dst, math::erf),
            UnaryKind::GeluTanh => map(left, dst, math::gelu_tanh),
            UnaryKind::GeluErf => map(left, dst, math::gelu_erf),
            UnaryKind::QuickGelu => map(left, dst, math::quick_gelu),
            UnaryKind::Silu => map(left, dst, math::silu),
            UnaryKind::Relu => map(left, dst, math::relu),
            UnaryKind::Softplus => map(left, dst, math::softplus),
        }
    }
}

/// The right operand of a binary kernel.
#[derive(Clone, Copy)]
enum Right<'a> {
    Slice(&'a [f32]),
    Scalar(f32),
}

/// Loops and not iterator adapters: what an adapter calls may stay outside, compiled without the level's instructions.
#[inline(always)]
fn zip(left: &Left<'_>, right: Right<'_>, dst: &mut [f32], f: impl Fn(f32, f32) -> f32 + Copy) {
    let n = dst.len();
    match (left, right) {
        (Left::Same, Right::Slice(b)) => {
            let b = &b[..n];
            for i in 0..n {
                dst[i] = f(dst[i], b[i]);
            }
        }
        (Left::Same, Right::Scalar(b)) => {
            for d in dst {
                *d = f(*d, b);
            }
        }
        (Left::Other(a), Right::Slice(b)) => {
            let (a, b) = (&a[..n], &b[..n]);
            for i in 0..n {
                dst[i] = f(a[i], b[i]);
            }
        }
        (Left::Other(a), Right::Scalar(b)) => {
            let a = &a[..n];
            for i in 0..n {
                dst[i] = f(a[i], b);
            }
        }
    }
}

#[inline(always)]
fn gelu_tanh_backward(x: f32, g: f32) -> f32 {
    g * math::gelu_tanh_derivative(x)
}

#[inline(always)]
fn gelu_erf_backward(x: f32, g: f32) -> f32 {
    g * math::gelu_erf_derivative(x)
}

#[inline(always)]
fn silu_backward(x: f32, g: f32) -> f32 {
    g * math::silu_derivative(x)
}

multiversion! {
    fn binary_part(kind: BinaryKind, left: &Left<'_>, right: Right<'_>, dst: &mut [f32]) {
        match kind {
            BinaryKind::Add => zip(left, right, dst, |a, b| a + b),
            BinaryKind::Sub => zip(left, right, dst, |a, b| a - b),
            BinaryKind::SubReversed => zip(left, right, dst, |a, b| b - a),
            BinaryKind::Mul => zip(left, right, dst, |a, b| a * b),
            BinaryKind::Div => zip(left, right, dst, |a, b| a / b),
            BinaryKind::DivReversed => zip(left, right, dst, |a, b| b / a),
            BinaryKind::Max => zip(left, right, dst, math::max),
            BinaryKind::Min => zip(left, right, dst, math::min),
            BinaryKind::Pow => zip(left, right, dst, f32::powf),
            BinaryKind::GeluTanhBackward => zip(left, right, dst, gelu_tanh_backward),
            BinaryKind::GeluErfBackward => zip(left, right, dst, gelu_erf_backward),
            BinaryKind::SiluBackward => zip(left, right, dst, silu_backward),
            BinaryKind::ReluBackward => zip(left, right, dst, |x, g| if x > 0.0 { g } else { 0.0 }),
            BinaryKind::TanhBackward => zip(left, right, dst, |y, g| g * (-y).mul_add(y, 1.0)),
            BinaryKind::SigmoidBackward => zip(left, right, dst, |y, g| g * (y * (1.0 - y))),
        }
    }
}

/// Runs `body` over parts of `dst` on all threads.
fn over_parts(dst: &mut [f32], body: &(dyn Fn(usize, &mut [f32]) + Sync)) {
    let len = dst.len();
    if len < 2 * GRAIN {
        body(0, dst);
        return;
    }
    let dst = SharedMut::new(dst);
    parallel_ranges(len, GRAIN, 64, &|start, end| {
        // SAFETY: ranges are disjoint.
        body(start, unsafe { dst.part(start, end - start) });
    });
}

/// `dst = kind(src)`. The slices have one length.
///
/// ```
/// use pellucid_kernels::elementwise::{UnaryKind, unary};
/// let mut y = [0.0; 3];
/// unary(UnaryKind::Relu, &[-1.0, 0.5, 2.0], &mut y);
/// assert_eq!(y, [0.0, 0.5, 2.0]);
/// ```
pub fn unary(kind: UnaryKind, src: &[f32], dst: &mut [f32]) {
    assert_eq!(src.len(), dst.len(), "source and destination have one length");
    over_parts(dst, &|start, dst| {
        unary_part(kind, &Left::Other(&src[start..start + dst.len()]), dst);
    });
}

/// `x = kind(x)`.
pub fn unary_in_place(kind: UnaryKind, x: &mut [f32]) {
    over_parts(x, &|_, x| unary_part(kind, &Left::Same, x));
}

/// `dst = kind(a, b)`. The slices have one length.
pub fn binary(kind: BinaryKind, a: &[f32], b: &[f32], dst: &mut [f32]) {
    assert_eq!(a.len(), dst.len(), "left operand and destination have one length");
    assert_eq!(b.len(), dst.len(), "right operand and destination have one length");
    over_parts(dst, &|start, dst| {
        let range = start..start + dst.len();
        binary_part(kind, &Left::Other(&a[range.clone()]), Right::Slice(&b[range]), dst);
    });
}

/// `a = kind(a, b)`. The slices have one length.
pub fn binary_in_place(kind: BinaryKind, a: &mut [f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "both operands have one length");
    over_parts(a, &|start, a| {
        binary_part(kind, &Left::Same, Right::Slice(&b[start..start + a.len()]), a);
    });
}

/// `dst = kind(a, b)` with one `b` for all elements.
pub fn binary_scalar(kind: BinaryKind, a: &[f32], b: f32, dst: &mut [f32]) {
    assert_eq!(a.len(), dst.len(), "left operand and destination have one length");
    over_parts(dst, &|start, dst| {
        binary_part(kind, &Left::Other(&a[start..start + dst.len()]), Right::Scalar(b), dst);
    });
}

/// `a = kind(a, b)` with one `b` for all elements.
pub fn binary_scalar_in_place(kind: BinaryKind, a: &mut [f32], b: f32) {
    over_parts(a, &|_, a| binary_part(kind, &Left::Same, Right::Scalar(b), a));
}

/// Calls `body(part of dst, its place, its place in the row)` so that no part crosses the end of a row of `n`.
fn over_rows(dst: &mut [f32], n: usize, body: &(dyn Fn(&mut [f32], usize, usize) + Sync)) {
    assert!(
        if n == 0 { dst.is_empty() } else { dst.len().is_multiple_of(n) },
        "{} elements are whole rows of {n}",
        dst.len(),
    );
    over_parts(dst, &|start, mut dst| {
        let mut place = start;
        while !dst.is_empty() {
            let col = place % n;
            let (row, rest) = dst.split_at_mut((n - col).min(dst.len()));
            dst = rest;
            let len = row.len();
            body(row, place, col);
            place += len;
        }
    });
}

/// `dst = kind(a, b)` with the row `b` repeated over the rows of `a`.
pub fn binary_row(kind: BinaryKind, a: &[f32], b: &[f32], dst: &mut [f32]) {
    assert_eq!(a.len(), dst.len(), "left operand and destination have one length");
    over_rows(dst, b.len(), &|dst, place, col| {
        let len = dst.len();
        binary_part(kind, &Left::Other(&a[place..place + len]), Right::Slice(&b[col..col + len]), dst);
    });
}

/// `a = kind(a, b)` with the row `b` repeated over the rows of `a`.
pub fn binary_row_in_place(kind: BinaryKind, a: &mut [f32], b: &[f32]) {
    over_rows(a, b.len(), &|a, _, col| {
        let len = a.len();
        binary_part(kind, &Left::Same, Right::Slice(&b[col..col + len]), a);
    });
}

/// `dst = kind(a, b)` with one `b` per row: `b[i]` meets all of row `i`.
pub fn binary_column(kind: BinaryKind, a: &[f32], b: &[f32], dst: &mut [f32]) {
    assert_eq!(a.len(), dst.len(), "left operand and destination have one length");
    let n = row_length(dst.len(), b.len());
    over_rows(dst, n, &|dst, place, _| {
        let len = dst.len();
        binary_part(kind, &Left::Other(&a[place..place + len]), Right::Scalar(b[place / n]), dst);
    });
}

/// `a = kind(a, b)` with one `b` per row: `b[i]` meets all of row `i`.
pub fn binary_column_in_place(kind: BinaryKind, a: &mut [f32], b: &[f32]) {
    let n = row_length(a.len(), b.len());
    over_rows(a, n, &|a, place, _| {
        binary_part(kind, &Left::Same, Right::Scalar(b[place / n]), a);
    });
}

fn row_length(len: usize, rows: usize) -> usize {
    if rows == 0 {
        assert_eq!(len, 0, "no rows hold no elements");
        return 0;
    }
    assert!(len.is_multiple_of(rows), "{len} elements are {rows} rows");
    len / rows
}

/// `y += x`.
pub fn add_assign(y: &mut [f32], x: &[f32]) {
    binary_in_place(BinaryKind::Add, y, x);
}

multiversion! {
    fn axpy_part(alpha: f32, x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = alpha.mul_add(x, *y);
        }
    }
}

/// `y = fma(alpha, x, y)`.
pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "both operands have one length");
    over_parts(y, &|start, y| axpy_part(alpha, &x[start..start + y.len()], y));
}

multiversion! {
    fn glu_part(kind: UnaryKind, gate: &[f32], up: &[f32], dst: &mut [f32]) {
        let f = |f: fn(f32) -> f32, dst: &mut [f32]| {
            for ((d, &g), &u) in dst.iter_mut().zip(gate).zip(up) {
                *d = f(g) * u;
            }
        };
        match kind {
            UnaryKind::Silu => {
                for ((d, &g), &u) in dst.iter_mut().zip(gate).zip(up) {
                    *d = math::silu(g) * u;
                }
            }
            UnaryKind::GeluTanh => {
                for ((d, &g), &u) in dst.iter_mut().zip(gate).zip(up) {
                    *d = math::gelu_tanh(g) * u;
                }
            }
            UnaryKind::GeluErf => {
                for ((d, &g), &u) in dst.iter_mut().zip(gate).zip(up) {
                    *d = math::gelu_erf(g) * u;
                }
            }
            UnaryKind::Relu => f(math::relu, dst),
            _ => {
                unary_part(kind, &Left::Other(gate), dst);
                for (d, &u) in dst.iter_mut().zip(up) {
                    *d *= u;
                }
            }
        }
    }
}

/// `dst = kind(gate) * up`, as in gated feed-forward layers.
pub fn gated(kind: UnaryKind, gate: &[f32], up: &[f32], dst: &mut [f32]) {
    assert_eq!(gate.len(), dst.len(), "gate and destination have one length");
    assert_eq!(up.len(), dst.len(), "factor and destination have one length");
    over_parts(dst, &|start, dst| {
        let range = start..start + dst.len();
        glu_part(kind, &gate[range.clone()], &up[range], dst);
    });
}

multiversion! {
    /// Adds `rows` rows of `n` elements, `ld` apart, to `dst`, in order.
    fn add_rows(x: &[f32], ld: usize, rows: usize, dst: &mut [f32]) {
        for row in 0..rows {
            for (d, &x) in dst.iter_mut().zip(&x[row * ld..]) {
                *d += x;
            }
        }
    }
}

/// `dst[j] = sum over i of x[i, j]` for `x` of `[m, n]` where `n` is the length of `dst`: one chain of additions in row order.
pub fn column_sums(x: &[f32], dst: &mut [f32]) {
    let n = dst.len();
    if n == 0 {
        assert!(x.is_empty(), "rows of no elements are empty");
        return;
    }
    assert!(x.len().is_multiple_of(n), "{} elements are whole rows of {n}", x.len());
    let m = x.len() / n;
    dst.fill(0.0);
    if m == 0 {
        return;
    }
    let dst = SharedMut::new(dst);
    // Each task has some columns and all rows. Below sixteen columns a task would fight over cache lines.
    let grain = (2 * GRAIN / m).clamp(16, 4096);
    parallel_ranges(n, grain, 16, &|start, end| {
        // SAFETY: ranges are disjoint.
        let dst = unsafe { dst.part(start, end - start) };
        add_rows(&x[start..], n, m, dst);
    });
}
