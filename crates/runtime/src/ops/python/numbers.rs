//! Numbers of Python: integers (of 64 bits), floats, complex numbers; truth values count as integers.

use std::cmp::Ordering;

use pellucid_nn::Value;
use pellucid_tensor::Scalar;

use super::super::{Call, OpDef, bad, op};
use super::arithmetic::overflow;
use crate::error::{Result, RunError, RunErrorKind};

pub(in super::super) const OPS: &[OpDef] = &[
    op("builtins.int", &["input?", "base?"], int),
    op("builtins.float", &["input?"], float),
    op("builtins.bool", &["input?"], |c| Ok(Value::Bool(truth(c.get("input"))?))),
    op("complex", &["real?", "imag?"], complex),
    op("conjugate", &["input"], conjugate),
    op("conj", &["input"], conjugate),
    op("is_integer", &["input"], |c| match real(c, "input")? {
        Number::Float(x) => Ok(Value::Bool(x.fract() == 0.0)),
        _ => Ok(Value::Bool(true)),
    }),
    op("bit_length", &["input"], |c| {
        Ok(Value::Int(i64::from(64 - c.int("input")?.unsigned_abs().leading_zeros())))
    }),
    op("not", &["input"], |c| Ok(Value::Bool(!truth(c.get("input"))?))),
    op("truth", &["input"], |c| Ok(Value::Bool(truth(c.get("input"))?))),
    op("divmod", &["input", "other"], |c| {
        let part = |name| {
            super::super::call(c.engine, name, vec![c.get("input").clone(), c.get("other").clone()], vec![])
        };
        Ok(Value::tuple([part("floordiv")?, part("mod")?]))
    }),
];

/// A number of Python's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Number {
    Bool(bool),
    Int(i64),
    Float(f64),
    Complex(f64, f64),
}

impl Number {
    /// The number a value is, if it is one; a tensor is none.
    pub(in super::super) fn of(value: &Value) -> Option<Number> {
        Some(match value {
            Value::Bool(b) => Number::Bool(*b),
            Value::Int(i) => Number::Int(*i),
            Value::Float(f) => Number::Float(*f),
            Value::Complex(re, im) => Number::Complex(*re, *im),
            _ => return None,
        })
    }

    pub(in super::super) fn value(self) -> Value {
        match self {
            Number::Bool(b) => Value::Bool(b),
            Number::Int(i) => Value::Int(i),
            Number::Float(f) => Value::Float(f),
            Number::Complex(re, im) => Value::Complex(re, im),
        }
    }

    pub(in super::super) fn whole(self) -> Option<i64> {
        match self {
            Number::Bool(b) => Some(b.into()),
            Number::Int(i) => Some(i),
            _ => None,
        }
    }

    /// As a double, if it is real.
    pub(in super::super) fn real(self) -> Option<f64> {
        match self {
            Number::Float(f) => Some(f),
            Number::Complex(..) => None,
            other => other.whole().map(|i| i as f64),
        }
    }

    pub(super) fn parts(self) -> (f64, f64) {
        match self {
            Number::Complex(re, im) => (re, im),
            other => (other.real().unwrap_or(0.0), 0.0),
        }
    }

    pub(super) fn equal(self, other: Number) -> bool {
        match (self.whole(), other.whole()) {
            (Some(a), Some(b)) => a == b,
            _ => self.parts() == other.parts(),
        }
    }

    pub(super) fn order(self, other: Number) -> Option<Ordering> {
        match (self.whole(), other.whole()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => self.real()?.partial_cmp(&other.real()?),
        }
    }
}

/// The value of a tensor's element.
pub(in super::super) fn from_scalar(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Bool(b) => Value::Bool(b),
        Scalar::Int(i) => Value::Int(i),
        Scalar::Float(f) => Value::Float(f),
    }
}

/// Whether a value counts as true in a condition.
pub(in super::super) fn truth(value: &Value) -> Result<bool> {
    Ok(match value {
        Value::None => false,
        Value::Str(s) => !s.is_empty(),
        Value::Bytes(b) => !b.is_empty(),
        Value::Tuple(items) => !items.is_empty(),
        Value::List(items) | Value::Set(items) => !items.borrow().is_empty(),
        Value::Dict(pairs) => !pairs.borrow().is_empty(),
        Value::Tensor(var) => {
            let x = var.get()?;
            if x.numel() != 1 {
                return Err(bad("bool", "input", "a tensor with one element", value));
            }
            x.item()?.to_bool()
        }
        other => Number::of(other).is_none_or(|n| n.parts() != (0.0, 0.0)),
    })
}

/// A real number, or that of a tensor with one element.
pub(super) fn real(c: &Call<'_>, name: &str) -> Result<Number> {
    let value = match c.get(name) {
        Value::Tensor(var) if var.get()?.numel() == 1 => from_scalar(var.get()?.item()?),
        other => other.clone(),
    };
    match Number::of(&value) {
        None | Some(Number::Complex(..)) => Err(c.bad(name, "a real number")),
        Some(number) => Ok(number),
    }
}

/// The integer that a text writes.
fn parse_int(text: &str, base: u32) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = match base {
        2 => ["0b", "0B"],
        8 => ["0o", "0O"],
        16 => ["0x", "0X"],
        _ => ["", ""],
    };
    let digits = prefix.iter().find_map(|p| digits.strip_prefix(p)).unwrap_or(digits);
    let well_formed =
        !digits.starts_with(['_', '+', '-']) && !digits.ends_with('_') && !digits.contains("__");
    let digits = digits.replace('_', "");
    let magnitude = i128::from_str_radix(&digits, base).ok().filter(|_| well_formed)?;
    i64::try_from(if sign { -magnitude } else { magnitude }).ok()
}

/// `int(x)`.
pub(in super::super) fn int(c: &Call<'_>) -> Result<Value> {
    if let Value::Str(text) = c.get("input") {
        let base = match c.int_or("base", 10)? {
            base @ 2..=36 => base as u32,
            _ => return Err(c.bad("base", "a base from 2 to 36")),
        };
        return parse_int(text, base)
            .map(Value::Int)
            .ok_or_else(|| bad_text(c, "an integer of at most 64 bits", text));
    }
    if c.is_empty {
        return Ok(Value::Int(0));
    }
    match real(c, "input")? {
        // The bounds are exact: both are powers of two.
        Number::Float(f) if f >= -(2f64.powi(63)) && f < 2f64.powi(63) => Ok(Value::Int(f as i64)),
        Number::Float(_) => Err(c.bad("input", "a finite number of at most 64 bits")),
        other => Ok(Value::Int(other.whole().unwrap_or(0))),
    }
}

fn bad_text(c: &Call<'_>, expected: &str, text: &str) -> RunError {
    RunErrorKind::Argument {
        op: c.name().into(),
        argument: "input".into(),
        expected: expected.into(),
        got: format!("{text:?}"),
    }
    .into()
}

/// `float(x)`.
pub(in super::super) fn float(c: &Call<'_>) -> Result<Value> {
    if let Value::Str(text) = c.get("input") {
        let plain = text.trim().replace('_', "");
        return plain.parse().map(Value::Float).map_err(|_| bad_text(c, "a number", text));
    }
    if c.is_empty {
        return Ok(Value::Float(0.0));
    }
    Ok(Value::Float(real(c, "input")?.real().unwrap_or(0.0)))
}

fn complex(c: &Call<'_>) -> Result<Value> {
    let part = |name: &str| -> Result<(f64, f64)> {
        match c.get(name) {
            Value::None => Ok((0.0, 0.0)),
            Value::Complex(re, im) => Ok((*re, *im)),
            _ => Ok((real(c, name)?.real().unwrap_or(0.0), 0.0)),
        }
    };
    let ((a, b), (x, y)) = (part("real")?, part("imag")?);
    // real + imag * 1j, where both may be complex themselves.
    Ok(Value::Complex(a - y, b + x))
}

fn conjugate(c: &Call<'_>) -> Result<Value> {
    Ok(match c.get("input") {
        Value::Complex(re, im) => Value::Complex(*re, -im),
        other => other.clone(),
    })
}

/// `-x` of a number.
pub(in super::super) fn negative(name: &str, number: Number) -> Result<Value> {
    Ok(match number {
        Number::Float(f) => Value::Float(-f),
        Number::Complex(re, im) => Value::Complex(-re, -im),
        other => Value::Int(other.whole().and_then(i64::checked_neg).ok_or_else(|| overflow(name))?),
    })
}

/// `abs(x)` of a number.
pub(in super::super) fn absolute(name: &str, number: Number) -> Result<Value> {
    Ok(match number {
        Number::Float(f) => Value::Float(f.abs()),
        Number::Complex(re, im) => Value::Float(re.hypot(im)),
        other => Value::Int(other.whole().and_then(i64::checked_abs).ok_or_else(|| overflow(name))?),
    })
}

/// `round(x, digits)` of a number: ties to even.
pub(in super::super) fn rounded(c: &Call<'_>, number: Number, digits: Option<i64>) -> Result<Value> {
    match (number, digits) {
        (Number::Complex(..), _) => Err(c.bad("input", "a real number")),
        (Number::Float(f), None) => {
            let r = f.round_ties_even();
            if r >= -(2f64.powi(63)) && r < 2f64.powi(63) {
                Ok(Value::Int(r as i64))
            } else {
                Err(c.bad("input", "a finite number of at most 64 bits"))
            }
        }
        (Number::Float(f), Some(digits)) => Ok(Value::Float(round_to(f, digits))),
        (other, Some(digits)) if digits < 0 => {
            let whole = i128::from(other.whole().unwrap_or(0));
            let unit =
                10i128.checked_pow(u32::try_from(-digits).unwrap_or(u32::MAX)).unwrap_or(i128::MAX / 4);
            let (low, rest) = (whole.div_euclid(unit), whole.rem_euclid(unit));
            let up = rest * 2 > unit || (rest * 2 == unit && low % 2 != 0);
            i64::try_from((low + i128::from(up)) * unit).map(Value::Int).map_err(|_| overflow(c.name()))
        }
        (other, _) => Ok(Value::Int(other.whole().unwrap_or(0))),
    }
}

/// Rounded to decimal digits, by way of the decimal text, as Python does.
fn round_to(x: f64, digits: i64) -> f64 {
    if !x.is_finite() || digits > 323 {
        return x;
    }
    if digits < -308 {
        return 0f64.copysign(x);
    }
    if digits >= 0 {
        return format!("{x:.*}", digits as usize).parse().unwrap_or(x);
    }
    let unit = 10f64.powi(-digits as i32);
    (x / unit).round_ties_even() * unit
}
