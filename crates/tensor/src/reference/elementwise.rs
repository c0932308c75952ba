//! Constants and elementwise functions.

use super::number::{Bits, Number, Real, by_kind, by_real};
use crate::dtype::{DType, Scalar};
use crate::error::{Result, TensorError};
use crate::op::{BinaryOp, UnaryOp};
use crate::shape::numel;
use crate::value::Value;

pub(super) fn full(value: Scalar, dims: &[usize], dtype: DType) -> Value {
    if dtype.is_float() {
        f64::write(&vec![value.to_f64(); numel(dims)], dims, dtype)
    } else {
        i64::write(&vec![value.to_i64(); numel(dims)], dims, dtype)
    }
}

pub(super) fn arange(start: Scalar, step: Scalar, dims: &[usize], dtype: DType) -> Value {
    let n = numel(dims);
    if dtype.is_float() {
        let all: Vec<f64> = (0..n).map(|i| start.to_f64() + step.to_f64() * i as f64).collect();
        f64::write(&all, dims, dtype)
    } else {
        let all: Vec<i64> =
            (0..n as i64).map(|i| start.to_i64().wrapping_add(step.to_i64().wrapping_mul(i))).collect();
        i64::write(&all, dims, dtype)
    }
}

pub(super) fn cast(x: &Value, dtype: DType) -> Value {
    fn to<N: Number>(x: &Value, dtype: DType) -> Value {
        N::write(&N::read(x), x.dims(), dtype)
    }
    by_kind!(x.dtype(), to(x, dtype))
}

pub(super) fn choose(condition: &Value, on_true: &Value, on_false: &Value) -> Value {
    let (c, t, f) = (i64::read(condition), Bits::read(on_true), Bits::read(on_false));
    let out: Vec<Bits> = (0..c.len()).map(|i| if c[i] != 0 { t[i] } else { f[i] }).collect();
    Bits::write(&out, on_true.dims(), on_true.dtype())
}

/// Applies `f` to every element.
fn map<N: Number, M: Number>(x: &Value, dtype: DType, f: impl Fn(N) -> M) -> Value {
    M::write(&N::read(x).into_iter().map(f).collect::<Vec<M>>(), x.dims(), dtype)
}

pub(super) fn unary(op: UnaryOp, x: &Value, dtype: DType) -> Value {
    fn test<R: Real>(op: UnaryOp, x: &Value, dtype: DType) -> Value {
        map(x, dtype, |x: R| {
            let x = x.to_f64();
            i64::from(match op {
                UnaryOp::IsNan => x.is_nan(),
                UnaryOp::IsInf => x.is_infinite(),
                _ => x == 0.0,
            })
        })
    }
    fn function<R: Real>(op: UnaryOp, x: &Value, dtype: DType) -> Value {
        map(x, dtype, |x: R| unary_real(op, x))
    }
    match op {
        UnaryOp::IsNan | UnaryOp::IsInf | UnaryOp::LogicalNot if x.dtype().is_float() => {
            by_real!(x.dtype(), test(op, x, dtype))
        }
        _ if x.dtype().is_float() => by_real!(x.dtype(), function(op, x, dtype)),
        _ => map(x, dtype, |i: i64| unary_integer(op, i, x.dtype())),
    }
}

fn unary_integer(op: UnaryOp, x: i64, dtype: DType) -> i64 {
    match op {
        UnaryOp::Neg => x.wrapping_neg(),
        UnaryOp::Abs => x.wrapping_abs(),
        UnaryOp::Sign => x.signum(),
        UnaryOp::Relu => x.max(0),
        UnaryOp::BitNot if dtype == DType::Bool => i64::from(x == 0),
        UnaryOp::BitNot => !x,
        UnaryOp::LogicalNot => i64::from(x == 0),
        UnaryOp::IsNan | UnaryOp::IsInf => 0,
        // Rounding keeps integers; functions with fractional values get floats from the builder.
        _ => x,
    }
}

fn unary_real<R: Real>(op: UnaryOp, x: R) -> R {
    match op {
        UnaryOp::Neg => -x,
        UnaryOp::Abs => x.via(f64::abs),
        UnaryOp::Sign => x.via(|x| f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))),
        UnaryOp::Exp => x.via(f64::exp),
        UnaryOp::Expm1 => x.via(f64::exp_m1),
        UnaryOp::Log => x.via(f64::ln),
        UnaryOp::Log1p => x.via(f64::ln_1p),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Rsqrt => R::ONE / x.sqrt(),
        UnaryOp::Reciprocal => R::ONE / x,
        UnaryOp::Sin => x.via(f64::sin),
        UnaryOp::Cos => x.via(f64::cos),
        UnaryOp::Tan => x.via(f64::tan),
        UnaryOp::Tanh => x.via(f64::tanh),
        UnaryOp::Erf => x.via(erf),
        UnaryOp::Sigmoid => x.via(sigmoid),
        UnaryOp::Relu => x.via(|x| if x < 0.0 { 0.0 } else { x }),
        UnaryOp::Silu => x.via(|x| x / (1.0 + (-x).exp())),
        UnaryOp::GeluErf => x.via(|x| x * 0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))),
        UnaryOp::GeluTanh => x.via(|x| 0.5 * x * (1.0 + gelu_argument(x).tanh())),
        UnaryOp::Floor => x.via(f64::floor),
        UnaryOp::Ceil => x.via(f64::ceil),
        UnaryOp::Round => x.via(f64::round_ties_even),
        UnaryOp::Trunc => x.via(f64::trunc),
        // Answered before, in integers.
        UnaryOp::BitNot | UnaryOp::LogicalNot | UnaryOp::IsNan | UnaryOp::IsInf => x,
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu_argument(x: f64) -> f64 {
    (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)
}

/// The error function, by the series of `2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (2n+1)!!`, whose terms all have the
/// sign of `x`.
fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > sum.abs() * 1e-18 {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// Applies `f` to every pair of elements.
fn zip<N: Number, M: Number>(a: &Value, b: &Value, dtype: DType, f: impl Fn(N, N) -> M) -> Value {
    let out: Vec<M> = N::read(a).into_iter().zip(N::read(b)).map(|(a, b)| f(a, b)).collect();
    M::write(&out, a.dims(), dtype)
}

pub(super) fn binary(op: BinaryOp, a: &Value, b: &Value, dtype: DType) -> Result<Value> {
    fn compare<N: Number>(op: BinaryOp, a: &Value, b: &Value) -> Value {
        zip(a, b, DType::Bool, |a: N, b: N| {
            i64::from(match op {
                BinaryOp::Eq => a == b,
                BinaryOp::Ne => a != b,
                BinaryOp::Lt => a < b,
                BinaryOp::Le => a <= b,
                BinaryOp::Gt => a > b,
                _ => a >= b,
            })
        })
    }
    fn function<R: Real>(op: BinaryOp, a: &Value, b: &Value, dtype: DType) -> Value {
        zip(a, b, dtype, |a: R, b: R| binary_real(op, a, b))
    }
    if op.is_comparison() {
        return Ok(by_kind!(a.dtype(), compare(op, a, b)));
    }
    if a.dtype().is_float() {
        return Ok(by_real!(a.dtype(), function(op, a, b, dtype)));
    }
    let bits = if a.dtype() == DType::Bool { 1 } else { 8 * a.dtype().size() as i64 };
    let (x, y) = (i64::read(a), i64::read(b));
    let out: Vec<i64> =
        x.into_iter().zip(y).map(|(x, y)| binary_integer(op, x, y, bits)).collect::<Result<_>>()?;
    Ok(i64::write(&out, a.dims(), dtype))
}

/// A function of integers of the given width. Sums and products may leave the width; they wrap when written.
fn binary_integer(op: BinaryOp, a: i64, b: i64, bits: i64) -> Result<i64> {
    let divides = matches!(op, BinaryOp::FloorDiv | BinaryOp::Remainder | BinaryOp::Fmod);
    if divides && b == 0 {
        return Err(TensorError::DivisionByZero { op: op.name() });
    }
    let differ = (a < 0) != (b < 0);
    let in_range = (0..bits).contains(&b);
    Ok(match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::FloorDiv => {
            let quotient = a.wrapping_div(b);
            if differ && a.wrapping_rem(b) != 0 { quotient - 1 } else { quotient }
        }
        BinaryOp::Remainder => {
            let rest = a.wrapping_rem(b);
            if differ && rest != 0 { rest + b } else { rest }
        }
        BinaryOp::Fmod => a.wrapping_rem(b),
        BinaryOp::Pow => power(a, b),
        BinaryOp::Maximum => a.max(b),
        BinaryOp::Minimum => a.min(b),
        BinaryOp::BitAnd => a & b,
        BinaryOp::BitOr => a | b,
        BinaryOp::BitXor => a ^ b,
        BinaryOp::ShiftLeft => {
            if in_range {
                a << b
            } else {
                0
            }
        }
        // Too far a shift leaves the sign.
        BinaryOp::ShiftRight => a >> if in_range { b } else { 63 },
        _ => {
            return Err(TensorError::Type { op: op.name(), expected: "floats", got: DType::I64 });
        }
    })
}

/// An integer power that wraps; a negative exponent gives the truncated fraction.
fn power(base: i64, exponent: i64) -> i64 {
    if exponent < 0 {
        return match base {
            1 => 1,
            -1 if exponent % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        };
    }
    let (mut out, mut square, mut left) = (1i64, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            out = out.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        left >>= 1;
    }
    out
}

fn binary_real<R: Real>(op: BinaryOp, a: R, b: R) -> R {
    let both = |f: fn(f64, f64) -> f64| R::of(f(a.to_f64(), b.to_f64()));
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::FloorDiv => floor_divide(a, b),
        BinaryOp::Remainder => {
            let rest = a % b;
            if rest != R::default() && (b < R::default()) != (rest < R::default()) { rest + b } else { rest }
        }
        BinaryOp::Fmod => a % b,
        BinaryOp::Pow => both(f64::powf),
        BinaryOp::Maximum => {
            if a.is_nan() || a >= b {
                a
            } else {
                b
            }
        }
        BinaryOp::Minimum => {
            if a.is_nan() || a <= b {
                a
            } else {
                b
            }
        }
        BinaryOp::Atan2 => both(f64::atan2),
        BinaryOp::GeluTanhGrad => both(|x, g| {
            let t = gelu_argument(x).tanh();
            let slope = (2.0 / std::f64::consts::PI).sqrt() * (1.0 + 3.0 * 0.044715 * x * x);
            g * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
        }),
        BinaryOp::GeluErfGrad => both(|x, g| {
            let cdf = 0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2));
            let pdf = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            g * (cdf + x * pdf)
        }),
        BinaryOp::SiluGrad => both(|x, g| {
            let s = sigmoid(x);
            g * s * (1.0 + x * (1.0 - s))
        }),
        // Comparisons and bitwise functions are done in integers.
        _ => a,
    }
}

/// As Python's `//`: from the exact remainder, so that `a - b * (a // b)` is `a % b`.
fn floor_divide<R: Real>(a: R, b: R) -> R {
    let zero = R::default();
    if b == zero {
        return a / b;
    }
    let rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != zero && (b < zero) != (rest < zero) {
        quotient = quotient - R::ONE;
    }
    if quotient == zero {
        return R::of(0f64.copysign((a / b).to_f64()));
    }
    let floor = quotient.via(f64::floor);
    if (quotient - floor).to_f64() > 0.5 { floor + R::ONE } else { floor }
}
