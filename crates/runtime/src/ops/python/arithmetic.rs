//! Arithmetic of Python's numbers: integers are exact or refused, floats and complex numbers as Python's.

use std::cmp::Ordering;

use pellucid_nn::Value;
use pellucid_tensor::BinaryOp;

use super::super::bad;
use super::numbers::Number;
use crate::error::{Result, RunError, RunErrorKind};

pub(super) fn overflow(op: &str) -> RunError {
    RunErrorKind::Argument {
        op: op.into(),
        argument: "input".into(),
        expected: "integers whose result has at most 64 bits".into(),
        got: "larger ones".into(),
    }
    .into()
}

fn by_zero(op: &str) -> RunError {
    RunErrorKind::Argument {
        op: op.into(),
        argument: "other".into(),
        expected: "a number other than zero".into(),
        got: "zero".into(),
    }
    .into()
}

fn unfit(name: &str, a: Number) -> RunError {
    bad(name, "input", "numbers that the operation is defined for", &a.value())
}

/// Arithmetic and comparison of numbers.
pub(in super::super) fn arithmetic(name: &str, op: BinaryOp, a: Number, b: Number) -> Result<Value> {
    use BinaryOp as B;
    match op {
        B::Eq => return Ok(Value::Bool(a.equal(b))),
        B::Ne => return Ok(Value::Bool(!a.equal(b))),
        B::Lt | B::Le | B::Gt | B::Ge => {
            if matches!(a, Number::Complex(..)) || matches!(b, Number::Complex(..)) {
                return Err(unfit(name, a));
            }
            let order = a.order(b);
            return Ok(Value::Bool(match op {
                B::Lt => order == Some(Ordering::Less),
                B::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                B::Gt => order == Some(Ordering::Greater),
                _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            }));
        }
        _ => {}
    }
    if let (Number::Bool(x), Number::Bool(y)) = (a, b) {
        match op {
            B::BitAnd => return Ok(Value::Bool(x & y)),
            B::BitOr => return Ok(Value::Bool(x | y)),
            B::BitXor => return Ok(Value::Bool(x ^ y)),
            _ => {}
        }
    }
    if matches!(a, Number::Complex(..)) || matches!(b, Number::Complex(..)) {
        return of_complex(name, op, a.parts(), b.parts()).map(|(re, im)| Value::Complex(re, im));
    }
    if let (Some(x), Some(y)) = (a.whole(), b.whole())
        && op != B::Div
        && op != B::Atan2
        && !(op == B::Pow && y < 0)
    {
        return of_ints(name, op, x, y).map(Value::Int);
    }
    let (x, y) = (a.parts().0, b.parts().0);
    if op == B::Pow && x < 0.0 && y.is_finite() && y.fract() != 0.0 {
        return of_complex(name, op, (x, 0.0), (y, 0.0)).map(|(re, im)| Value::Complex(re, im));
    }
    of_floats(name, op, x, y).map(Value::Float)
}

fn of_ints(name: &str, op: BinaryOp, a: i64, b: i64) -> Result<i64> {
    use BinaryOp as B;
    if b == 0 && matches!(op, B::FloorDiv | B::Remainder | B::Fmod) {
        return Err(by_zero(name));
    }
    let out = match op {
        B::Add => a.checked_add(b),
        B::Sub => a.checked_sub(b),
        B::Mul => a.checked_mul(b),
        B::FloorDiv => a.checked_div(b).map(|q| q - i64::from(a % b != 0 && (a < 0) != (b < 0))),
        B::Remainder => {
            let r = a.checked_rem(b).unwrap_or(0);
            Some(if r != 0 && (r < 0) != (b < 0) { r + b } else { r })
        }
        B::Fmod => Some(a.checked_rem(b).unwrap_or(0)),
        B::Pow => match (a, u32::try_from(b)) {
            (0 | 1, _) => Some(if b == 0 { 1 } else { a }),
            (-1, _) => Some(if b % 2 == 0 { 1 } else { -1 }),
            (_, Ok(exponent)) => a.checked_pow(exponent),
            _ => None,
        },
        B::Maximum => Some(a.max(b)),
        B::Minimum => Some(a.min(b)),
        B::BitAnd => Some(a & b),
        B::BitOr => Some(a | b),
        B::BitXor => Some(a ^ b),
        B::ShiftLeft | B::ShiftRight if b < 0 => return Err(unfit(name, Number::Int(b))),
        B::ShiftLeft if a == 0 => Some(0),
        B::ShiftLeft if b < 64 => i64::try_from(i128::from(a) << b).ok(),
        B::ShiftLeft => None,
        B::ShiftRight => Some(a >> b.min(63)),
        _ => return Err(unfit(name, Number::Int(a))),
    };
    out.ok_or_else(|| overflow(name))
}

fn of_floats(name: &str, op: BinaryOp, a: f64, b: f64) -> Result<f64> {
    use BinaryOp as B;
    if b == 0.0 && matches!(op, B::Div | B::FloorDiv | B::Remainder) || (op == B::Pow && a == 0.0 && b < 0.0)
    {
        return Err(by_zero(name));
    }
    let remainder = || {
        let r = a % b;
        if r == 0.0 {
            r.abs().copysign(b)
        } else if (r < 0.0) != (b < 0.0) {
            r + b
        } else {
            r
        }
    };
    Ok(match op {
        B::Add => a + b,
        B::Sub => a - b,
        B::Mul => a * b,
        B::Div => a / b,
        B::FloorDiv => {
            let quotient = (a - remainder()) / b;
            let floor = quotient.floor();
            if quotient - floor > 0.5 { floor + 1.0 } else { floor }
        }
        B::Remainder => remainder(),
        B::Fmod => a % b,
        B::Pow => a.powf(b),
        B::Atan2 => a.atan2(b),
        B::Maximum if a.is_nan() || b.is_nan() => f64::NAN,
        B::Maximum => a.max(b),
        B::Minimum if a.is_nan() || b.is_nan() => f64::NAN,
        B::Minimum => a.min(b),
        _ => return Err(unfit(name, Number::Float(a))),
    })
}

fn of_complex(name: &str, op: BinaryOp, a: (f64, f64), b: (f64, f64)) -> Result<(f64, f64)> {
    use BinaryOp as B;
    Ok(match op {
        B::Add => (a.0 + b.0, a.1 + b.1),
        B::Sub => (a.0 - b.0, a.1 - b.1),
        B::Mul => (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0),
        B::Div if b == (0.0, 0.0) => return Err(by_zero(name)),
        B::Div => {
            let square = b.0 * b.0 + b.1 * b.1;
            ((a.0 * b.0 + a.1 * b.1) / square, (a.1 * b.0 - a.0 * b.1) / square)
        }
        B::Pow if b == (0.0, 0.0) => (1.0, 0.0),
        B::Pow if a == (0.0, 0.0) => (0.0, 0.0),
        B::Pow => {
            let (length, angle) = (a.0.hypot(a.1), a.1.atan2(a.0));
            let size = length.powf(b.0) * (-angle * b.1).exp();
            let turn = angle * b.0 + b.1 * length.ln();
            (size * turn.cos(), size * turn.sin())
        }
        _ => return Err(unfit(name, Number::Complex(a.0, a.1))),
    })
}
