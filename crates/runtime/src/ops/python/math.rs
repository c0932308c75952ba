//! The functions of Python's `math`, on numbers and on tensors with one element.

use pellucid_nn::Value;

use super::super::{Call, OpDef, op};
use super::compare::order;
use super::elements;
use super::numbers::{Number, real};
use crate::error::{Result, RunErrorKind};

macro_rules! real_function {
    ($name:literal, $f:expr) => {
        op($name, &["x"], |c| {
            let f: fn(f64) -> f64 = $f;
            defined(c, number(c, "x")?, f)
        })
    };
}

pub(in super::super) const OPS: &[OpDef] = &[
    real_function!("math.sqrt", f64::sqrt),
    real_function!("math.exp", f64::exp),
    real_function!("math.expm1", f64::exp_m1),
    real_function!("math.log2", f64::log2),
    real_function!("math.log10", f64::log10),
    real_function!("math.log1p", f64::ln_1p),
    real_function!("math.sin", f64::sin),
    real_function!("math.cos", f64::cos),
    real_function!("math.tan", f64::tan),
    real_function!("math.asin", f64::asin),
    real_function!("math.acos", f64::acos),
    real_function!("math.atan", f64::atan),
    real_function!("math.sinh", f64::sinh),
    real_function!("math.cosh", f64::cosh),
    real_function!("math.tanh", f64::tanh),
    real_function!("math.degrees", f64::to_degrees),
    real_function!("math.radians", f64::to_radians),
    real_function!("math.fabs", f64::abs),
    op("math.log", &["x", "base?"], log),
    op("math.pow", &["x", "y"], |c| {
        let y = number(c, "y")?;
        defined(c, number(c, "x")?, |x| x.powf(y))
    }),
    op("math.atan2", &["y", "x"], |c| Ok(Value::Float(number(c, "y")?.atan2(number(c, "x")?)))),
    op("math.hypot", &["x", "y"], |c| Ok(Value::Float(number(c, "x")?.hypot(number(c, "y")?)))),
    op("math.fmod", &["x", "y"], |c| {
        let y = number(c, "y")?;
        defined(c, number(c, "x")?, |x| x % y)
    }),
    op("math.copysign", &["x", "y"], |c| Ok(Value::Float(number(c, "x")?.copysign(number(c, "y")?)))),
    op("math.floor", &["x"], |c| whole(c, f64::floor)),
    op("math.ceil", &["x"], |c| whole(c, f64::ceil)),
    op("math.trunc", &["x"], |c| whole(c, f64::trunc)),
    op("math.isnan", &["x"], |c| Ok(Value::Bool(number(c, "x")?.is_nan()))),
    op("math.isinf", &["x"], |c| Ok(Value::Bool(number(c, "x")?.is_infinite()))),
    op("math.isfinite", &["x"], |c| Ok(Value::Bool(number(c, "x")?.is_finite()))),
    op("math.isclose", &["a", "b", "rel_tol?", "abs_tol?"], is_close),
    op("math.gcd", &["a", "b"], gcd),
    op("math.factorial", &["x"], factorial),
    op("math.comb", &["n", "k"], choose),
    op("math.prod", &["items", "start?"], |c| {
        let start = if c.has("start") { c.get("start").clone() } else { Value::Int(1) };
        elements(c, "items")?
            .into_iter()
            .try_fold(start, |product, x| super::super::call(c.engine, "mul", vec![product, x], vec![]))
    }),
    op("math.fsum", &["items"], |c| {
        let mut sum = 0.0;
        for item in elements(c, "items")? {
            match Number::of(&item).and_then(Number::real) {
                Some(x) => sum += x,
                None => return Err(c.bad("items", "numbers")),
            }
        }
        Ok(Value::Float(sum))
    }),
];

fn number(c: &Call<'_>, name: &str) -> Result<f64> {
    Ok(real(c, name)?.real().unwrap_or(f64::NAN))
}

/// The function's value, where it has one: Python raises instead of giving NaN or infinity.
fn defined(c: &Call<'_>, x: f64, f: impl Fn(f64) -> f64) -> Result<Value> {
    let y = f(x);
    if (y.is_nan() && !x.is_nan()) || (y.is_infinite() && x.is_finite()) {
        return Err(RunErrorKind::Argument {
            op: c.name().into(),
            argument: "x".into(),
            expected: "a number that the function is defined for".into(),
            got: super::repr::float_repr(x),
        }
        .into());
    }
    Ok(Value::Float(y))
}

fn log(c: &Call<'_>) -> Result<Value> {
    if !c.has("base") {
        return defined(c, number(c, "x")?, f64::ln);
    }
    let base = number(c, "base")?;
    defined(c, number(c, "x")?, |x| x.ln() / base.ln())
}

fn whole(c: &Call<'_>, f: fn(f64) -> f64) -> Result<Value> {
    let number = real(c, "x")?;
    if let Some(i) = number.whole() {
        return Ok(Value::Int(i));
    }
    let y = f(number.real().unwrap_or(f64::NAN));
    if y >= -(2f64.powi(63)) && y < 2f64.powi(63) {
        return Ok(Value::Int(y as i64));
    }
    Err(c.bad("x", "a finite number of at most 64 bits"))
}

fn is_close(c: &Call<'_>) -> Result<Value> {
    let (a, b) = (number(c, "a")?, number(c, "b")?);
    let (relative, absolute) = (c.float_or("rel_tol", 1e-9)?, c.float_or("abs_tol", 0.0)?);
    let near =
        a.is_finite() && b.is_finite() && (a - b).abs() <= (relative * a.abs().max(b.abs())).max(absolute);
    Ok(Value::Bool(near || order(&Value::Float(a), &Value::Float(b))? == Some(std::cmp::Ordering::Equal)))
}

fn gcd(c: &Call<'_>) -> Result<Value> {
    let (mut a, mut b) = (c.int("a")?.unsigned_abs(), c.int("b")?.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).map(Value::Int).map_err(|_| c.bad("a", "integers of at most 63 bits"))
}

fn factorial(c: &Call<'_>) -> Result<Value> {
    match c.int("x")? {
        x @ 0..=20 => Ok(Value::Int((1..=x).product())),
        _ => Err(c.bad("x", "an integer from 0 to 20, whose factorial has 64 bits")),
    }
}

fn choose(c: &Call<'_>) -> Result<Value> {
    let (n, k) = (c.int("n")?, c.int("k")?);
    if n < 0 || k < 0 {
        return Err(c.bad("n", "integers of at least zero"));
    }
    if k > n {
        return Ok(Value::Int(0));
    }
    let mut out = 1i128;
    for i in 0..k.min(n - k) {
        out = out.checked_mul(i128::from(n - i)).map(|x| x / i128::from(i + 1)).unwrap_or(i128::MAX);
        if out > i128::from(i64::MAX) {
            return Err(c.bad("n", "integers whose result has at most 64 bits"));
        }
    }
    Ok(Value::Int(out as i64))
}
