//! Elementary functions against `f64`, and the same bits from the scalar form and from vectors of every level.

use pellucid_kernels::elementwise::{BinaryKind, UnaryKind, binary, unary, unary_in_place};
use pellucid_kernels::isa::{Level, with_level};
use pellucid_kernels::math;

type Function = fn(f32) -> f32;
type Exact = fn(f64) -> f64;
type Skipped = fn(f32) -> bool;

/// A sample of every sign, exponent and kind of mantissa, with the special values.
fn sample() -> Vec<f32> {
    let mut x: Vec<f32> = (0..=u32::MAX / 4001).map(|i| f32::from_bits(i * 4001)).collect();
    x.extend((-40_000..40_000).map(|i| i as f32 * 0.001));
    x.extend([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, 1e-45, -1e-45]);
    x
}

/// The distance in units of the last place of the exact result.
fn ulps(got: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if got.is_nan() || rounded.is_nan() {
        return if got.is_nan() && rounded.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got.to_bits() == rounded.to_bits() || (got == rounded && got == 0.0) {
        return 0.0;
    }
    if got.is_infinite() || rounded.is_infinite() {
        return f64::INFINITY;
    }
    let exponent = (rounded.abs().max(f32::MIN_POSITIVE).to_bits() >> 23) as i32 - 127 - 23;
    (f64::from(got) - exact).abs() / 2f64.powi(exponent)
}

fn worst(f: Function, exact: Exact, skip: Skipped) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    for x in sample().into_iter().filter(|&x| !skip(x)) {
        let error = ulps(f(x), exact(f64::from(x)));
        if error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

/// The error function to `f64` accuracy: a series near zero, a continued fraction beyond.
fn erf64(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let a = x.abs();
    if a > 6.0 {
        return 1f64.copysign(x);
    }
    let value = if a < 2.5 {
        let (mut term, mut sum) = (a, a);
        for n in 1..120 {
            term *= -a * a / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let mut t = 0.0;
        for n in (1..100).rev() {
            t = f64::from(n) / 2.0 / (a + t);
        }
        1.0 - (-a * a).exp() / ((a + t) * std::f64::consts::PI.sqrt())
    };
    value.copysign(x)
}

#[test]
fn functions_are_within_two_units_of_the_last_place() {
    let all: Skipped = |_| false;
    let cases: [(&str, Function, Exact, Skipped, f64); 9] = [
        ("exp", math::exp, f64::exp, all, 1.5),
        ("log", math::log, f64::ln, all, 1.5),
        ("sin", math::sin, f64::sin, all, 1.0),
        ("cos", math::cos, f64::cos, all, 1.0),
        ("tanh", math::tanh, f64::tanh, all, 2.0),
        ("erf", math::erf, erf64, all, 2.0),
        // Far out, the exponential in the denominator overflows and the result is a rounded zero.
        ("sigmoid", math::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), |x| x < -87.0, 2.5),
        ("silu", math::silu, |x| x / (1.0 + (-x).exp()), |x| x < -87.0, 2.5),
        ("softplus", math::softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), all, 2.5),
    ];
    for (name, f, exact, skip, limit) in cases {
        let (error, at) = worst(f, exact, skip);
        assert!(error <= limit, "{name}({at:e}) is {error:.2} units off");
    }
}

#[test]
fn gelu_is_accurate_relative_to_its_argument() {
    let tanh_form = |x: f64| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh());
    let erf_form = |x: f64| 0.5 * x * (1.0 + erf64(x * std::f64::consts::FRAC_1_SQRT_2));
    for x in sample().into_iter().filter(|x| x.is_finite() && x.abs() < 1e10) {
        let unit = f64::from(x.abs().max(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
        let error = (f64::from(math::gelu_tanh(x)) - tanh_form(f64::from(x))).abs() / unit;
        assert!(error <= 1.5, "gelu_tanh({x:e}) is {error:.2} units off");
        let error = (f64::from(math::gelu_erf(x)) - erf_form(f64::from(x))).abs() / unit;
        assert!(error <= 1.5, "gelu_erf({x:e}) is {error:.2} units off");
    }
}

#[test]
fn special_values_come_out_right() {
    let inf = f32::INFINITY;
    assert_eq!(math::exp(-inf), 0.0);
    assert_eq!(math::exp(inf), inf);
    assert_eq!(math::exp(88.9), inf);
    assert!(math::exp(-100.0) > 0.0, "subnormal results are kept");
    assert_eq!(math::log(0.0), -inf);
    assert_eq!(math::log(inf), inf);
    assert!(math::log(-1.0).is_nan());
    assert_eq!((math::tanh(inf), math::tanh(-inf)), (1.0, -1.0));
    assert_eq!((math::erf(inf), math::erf(-inf)), (1.0, -1.0));
    assert_eq!(math::tanh(-0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(math::sin(-0.0).to_bits(), (-0.0f32).to_bits());
    assert!(math::sin(inf).is_nan() && math::cos(-inf).is_nan());
    for f in [
        math::exp,
        math::log,
        math::tanh,
        math::erf,
        math::sin,
        math::silu,
        math::gelu_erf,
        math::gelu_tanh,
        math::relu,
    ] {
        assert!(f(f32::NAN).is_nan());
    }
}

const UNARY: [(UnaryKind, Function); 23] = [
    (UnaryKind::Neg, |x| -x),
    (UnaryKind::Abs, f32::abs),
    (UnaryKind::Sign, math::sign),
    (UnaryKind::Square, |x| x * x),
    (UnaryKind::Sqrt, f32::sqrt),
    (UnaryKind::Rsqrt, |x| 1.0 / x.sqrt()),
    (UnaryKind::Reciprocal, |x| 1.0 / x),
    (UnaryKind::Floor, f32::floor),
    (UnaryKind::Ceil, f32::ceil),
    (UnaryKind::Round, f32::round_ties_even),
    (UnaryKind::Trunc, f32::trunc),
    (UnaryKind::Exp, math::exp),
    (UnaryKind::Log, math::log),
    (UnaryKind::Sin, math::sin),
    (UnaryKind::Cos, math::cos),
    (UnaryKind::Tanh, math::tanh),
    (UnaryKind::Sigmoid, math::sigmoid),
    (UnaryKind::Erf, math::erf),
    (UnaryKind::GeluTanh, math::gelu_tanh),
    (UnaryKind::GeluErf, math::gelu_erf),
    (UnaryKind::QuickGelu, math::quick_gelu),
    (UnaryKind::Silu, math::silu),
    (UnaryKind::Softplus, math::softplus),
];

/// All NaNs are one here: which of them an operation hands on is not part of the law.
fn bits(x: f32) -> u32 {
    if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }
}

#[test]
fn vectors_of_every_level_give_the_bits_of_the_scalar_form() {
    let x: Vec<f32> = sample().into_iter().step_by(7).collect();
    for (kind, f) in UNARY {
        for level in Level::ALL {
            with_level(level, || {
                let mut y = vec![0.0; x.len()];
                unary(kind, &x, &mut y);
                let mut z = x.clone();
                unary_in_place(kind, &mut z);
                for ((&x, y), z) in x.iter().zip(y).zip(z) {
                    assert_eq!(bits(y), bits(f(x)), "{kind:?}({x:e}) at {level:?}");
                    assert_eq!(bits(z), bits(y), "{kind:?}({x:e}) at {level:?} in place");
                }
            });
        }
    }
}

#[test]
fn derivatives_agree_with_differences() {
    let f64s: [(BinaryKind, Exact); 3] = [
        (BinaryKind::GeluTanhBackward, |x| {
            0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh())
        }),
        (BinaryKind::GeluErfBackward, |x| 0.5 * x * (1.0 + erf64(x * std::f64::consts::FRAC_1_SQRT_2))),
        (BinaryKind::SiluBackward, |x| x / (1.0 + (-x).exp())),
    ];
    let x: Vec<f32> = (-800..800).map(|i| i as f32 * 0.01).collect();
    let g: Vec<f32> = x.iter().map(|x| 1.5 - x * 0.1).collect();
    for (kind, f) in f64s {
        let mut y = vec![0.0; x.len()];
        binary(kind, &x, &g, &mut y);
        for ((&x, &g), y) in x.iter().zip(&g).zip(y) {
            let (x, h) = (f64::from(x), 1e-5);
            let slope = (f(x + h) - f(x - h)) / (2.0 * h) * f64::from(g);
            assert!((f64::from(y) - slope).abs() < 2e-6, "{kind:?}({x}): {y} against {slope}");
        }
    }
}
