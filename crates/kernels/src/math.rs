//! Elementary functions of `f32`, written so that the compiler can vectorise a loop over them.
//!
//! They have no branches and no calls, and use fused multiply-adds explicitly, so the scalar form and the vector form at
//! every level give the same bits. Errors are below two units in the last place (below three for GELU's and SiLU's
//! products), measured against `f64`, except where the function itself is a rounded zero.

#![expect(clippy::excessive_precision, reason = "coefficients are given to the last bit of their `f32`")]

/// Adding and subtracting this rounds to the nearest integer, ties to even, for magnitudes below 2^22.
const ROUND: f32 = 12_582_912.0;

/// Above this magnitude, [`sin`] and [`cos`] call the standard library.
pub const TRIG_LIMIT: f32 = 1.0e9;

/// The value itself.
#[inline(always)]
pub fn identity(x: f32) -> f32 {
    x
}

/// 2 to the power of `n`, for `-126 <= n <= 127`.
#[inline(always)]
fn exp2_int(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

/// e to the power of `x`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Beyond these the result is infinite or rounds to zero. Written so that NaN passes.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-std::f32::consts::LN_2, x);
    let r = n.mul_add(1.904_654_3e-9, r);
    let p = 0.000_197_900_66f32
        .mul_add(r, 0.001_394_494_3)
        .mul_add(r, 0.008_333_499)
        .mul_add(r, 0.041_666_29)
        .mul_add(r, 0.166_666_66)
        .mul_add(r, 0.5);
    let p = p.mul_add(r * r, r) + 1.0;
    // Two steps, so that the largest results do not overflow early and the smallest round once.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let n = n.clamp(-152, 130);
    let half = n >> 1;
    p * exp2_int(half) * exp2_int(n - half)
}

/// Natural logarithm.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    // x = m * 2^e with m between sqrt(1/2) and sqrt(2).
    let bits = scaled.to_bits().wrapping_sub(0x3f35_04f3);
    let e = (bits as i32) >> 23;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let e = e as f32 - if subnormal { 23.0 } else { 0.0 };
    let f = m - 1.0;
    let p = 0.067_575_306f32
        .mul_add(f, -0.116_943_25)
        .mul_add(f, 0.118_935_25)
        .mul_add(f, -0.124_030_866)
        .mul_add(f, 0.142_185_52)
        .mul_add(f, -0.166_680_9)
        .mul_add(f, 0.200_021_67)
        .mul_add(f, -0.250_000_1)
        .mul_add(f, 0.333_333_1);
    let square = f * f;
    let tail = (square * f).mul_add(p, square * -0.5);
    let low = e.mul_add(-1.904_654_3e-9, tail);
    let y = e.mul_add(std::f32::consts::LN_2, low + f);
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let p = (-0.005_697_375f32)
        .mul_add(z, 0.020_632_537)
        .mul_add(z, -0.053_737_793)
        .mul_add(z, 0.133_314_2)
        .mul_add(z, -0.333_332_8);
    let small = (p * z).mul_add(a, a);
    let large = 1.0 - 2.0 / (exp(a + a) + 1.0);
    let y = if a < 0.625 { small } else { large };
    y.copysign(x)
}

/// Error function.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let p = (-1.022_237e-5f32)
        .mul_add(z, 0.000_114_343_88)
        .mul_add(z, -0.000_850_406_77)
        .mul_add(z, 0.005_222_202)
        .mul_add(z, -0.026_865_78)
        .mul_add(z, 0.112_837_87)
        .mul_add(z, -0.376_126_38)
        .mul_add(z, 0.128_379_17);
    let small = p.mul_add(x, x);
    // The logarithm of the complement, which is what is small here.
    let t = if a > 4.0 { 4.0 } else { a };
    let q = (-2.109_505_1e-5f32)
        .mul_add(t, 0.000_434_462_62)
        .mul_add(t, -0.004_171_063)
        .mul_add(t, 0.025_119_428)
        .mul_add(t, -0.108_280_09)
        .mul_add(t, -0.633_346_9)
        .mul_add(t, -1.129_514_9)
        .mul_add(t, 0.000_174_684_45);
    let large = 1.0 - exp(q);
    if a < 0.92 { small } else { large.copysign(x) }
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `x * sigmoid(x)`.
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `x * sigmoid(1.702 x)`.
#[inline(always)]
pub fn quick_gelu(x: f32) -> f32 {
    x / (1.0 + exp(x * -1.702))
}

const SQRT_2_OVER_PI: f32 = 0.797_884_56;
const GELU_CUBIC: f32 = 0.044_715;

/// GELU, hyperbolic tangent form: `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    // (1 + tanh u) / 2 = sigmoid(2 u).
    let inner = x * (x * x).mul_add(-2.0 * SQRT_2_OVER_PI * GELU_CUBIC, -2.0 * SQRT_2_OVER_PI);
    x / (1.0 + exp(inner))
}

/// GELU, error function form: `x/2 (1 + erf(x / sqrt(2)))`.
#[inline(always)]
pub fn gelu_erf(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// `max(x, 0)`; NaN stays NaN.
#[inline(always)]
pub fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// `log(1 + exp(x))`.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let y = exp(-x.abs());
    // log(1 + y) without losing what `1 + y` rounds away.
    let u = 1.0 + y;
    let rest = y - (u - 1.0);
    relu(x) + (log(u) + rest / u)
}

/// Derivative of [`gelu_tanh`].
#[inline(always)]
pub fn gelu_tanh_derivative(x: f32) -> f32 {
    let u = SQRT_2_OVER_PI * x * (x * x).mul_add(GELU_CUBIC, 1.0);
    let t = tanh(u);
    let du = SQRT_2_OVER_PI * (x * x).mul_add(3.0 * GELU_CUBIC, 1.0);
    let slope = 0.5 * x * (1.0 - t * t) * du;
    0.5f32.mul_add(1.0 + t, slope)
}

/// Derivative of [`gelu_erf`].
#[inline(always)]
pub fn gelu_erf_derivative(x: f32) -> f32 {
    let cdf = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    let pdf = exp(x * x * -0.5) * 0.398_942_28;
    x.mul_add(pdf, cdf)
}

/// Derivative of [`silu`].
#[inline(always)]
pub fn silu_derivative(x: f32) -> f32 {
    let s = sigmoid(x);
    s * x.mul_add(1.0 - s, 1.0)
}

/// Sine and cosine of `x + quadrant * pi / 2` for `|x| <= TRIG_LIMIT`, by way of `f64`.
#[inline(always)]
pub(crate) fn trig(x: f32, quadrant: u64) -> f32 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = f64::from(x);
    let shifted = x.mul_add(std::f64::consts::FRAC_2_PI, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-std::f64::consts::FRAC_PI_2, x);
    let r = n.mul_add(-6.123_233_995_736_766e-17, r);
    let z = r * r;
    let sine = (-2.505_210_838_544_172e-8f64)
        .mul_add(z, 2.755_731_922_398_589e-6)
        .mul_add(z, -1.984_126_984_126_984e-4)
        .mul_add(z, 8.333_333_333_333_333e-3)
        .mul_add(z, -1.666_666_666_666_666_6e-1)
        .mul_add(z, 1.0)
        * r;
    let cosine = 2.087_675_698_786_81e-9f64
        .mul_add(z, -2.755_731_922_398_589e-7)
        .mul_add(z, 2.480_158_730_158_73e-5)
        .mul_add(z, -1.388_888_888_888_889e-3)
        .mul_add(z, 4.166_666_666_666_666_4e-2)
        .mul_add(z, -0.5)
        .mul_add(z, 1.0);
    let n = shifted.to_bits().wrapping_add(quadrant);
    let value = if n & 1 == 0 { sine } else { cosine };
    let sign = (n & 2) << 62;
    f64::from_bits(value.to_bits() ^ sign) as f32
}

/// Sine.
#[inline]
pub fn sin(x: f32) -> f32 {
    if x.abs() > TRIG_LIMIT { x.sin() } else { trig(x, 0) }
}

/// Cosine.
#[inline]
pub fn cos(x: f32) -> f32 {
    if x.abs() > TRIG_LIMIT { x.cos() } else { trig(x, 1) }
}

/// The larger of two, NaN if either is.
#[inline(always)]
pub fn max(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// The smaller of two, NaN if either is.
#[inline(always)]
pub fn min(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}

/// -1, 0 or 1 as the sign of `x`; 0 for either zero, NaN for NaN.
#[inline(always)]
pub fn sign(x: f32) -> f32 {
    let y = if x > 0.0 { 1.0 } else { 0.0 };
    let y = if x < 0.0 { -1.0 } else { y };
    if x.is_nan() { x } else { y }
}
