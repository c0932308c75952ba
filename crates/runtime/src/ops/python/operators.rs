//! Operators on values that are no tensors.

use pellucid_nn::Value;
use pellucid_tensor::BinaryOp;

use super::super::{Call, bad};
use super::arithmetic::arithmetic;
use super::compare::{equal, order};
use super::containers::put;
use super::numbers::Number;
use super::sets::{Combine, combine};
use super::{check_nesting, limited};
use crate::error::Result;

/// `a op b`, as Python's.
pub(in super::super) fn binary(c: &Call<'_>, op: BinaryOp, a: &Value, b: &Value) -> Result<Value> {
    use BinaryOp as B;
    if let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) {
        return arithmetic(c.name(), op, x, y);
    }
    match op {
        B::Eq => return equal(a, b).map(Value::Bool),
        B::Ne => return equal(a, b).map(|same| Value::Bool(!same)),
        B::Lt | B::Le | B::Gt | B::Ge => return compare(c, op, a, b),
        _ => {}
    }
    match (op, a, b) {
        (B::Add, Value::Str(x), Value::Str(y)) => {
            limited(c, "other", x.len() + y.len())?;
            Ok(Value::text(format!("{x}{y}")))
        }
        (B::Add, Value::Bytes(x), Value::Bytes(y)) => {
            limited(c, "other", x.len() + y.len())?;
            Ok(Value::Bytes([&x[..], &y[..]].concat().into()))
        }
        (B::Add, Value::Tuple(x), Value::Tuple(y)) => {
            limited(c, "other", x.len() + y.len())?;
            Ok(Value::tuple(x.iter().chain(y.iter()).cloned()))
        }
        (B::Add, Value::List(x), Value::List(y)) => {
            let joined: Vec<Value> = x.borrow().iter().chain(y.borrow().iter()).cloned().collect();
            limited(c, "other", joined.len())?;
            Ok(Value::list(joined))
        }
        // A set's `add` is a method of the same name as the operator.
        (B::Add, Value::Set(_), _) => {
            super::super::call(c.engine, "set.add", vec![a.clone(), b.clone()], vec![])
        }
        (B::Mul, Value::Int(n), sequence) | (B::Mul, sequence, Value::Int(n)) => repeated(c, sequence, *n),
        (B::BitOr | B::BitAnd | B::Sub | B::BitXor, Value::Set(x), Value::Set(y)) => {
            let how = match op {
                B::BitOr => Combine::Union,
                B::BitAnd => Combine::Intersection,
                B::Sub => Combine::Difference,
                _ => Combine::Symmetric,
            };
            let (x, y) = (x.borrow().clone(), y.borrow().clone());
            combine(c, how, &x, &y)
        }
        (B::BitOr, Value::Dict(x), Value::Dict(y)) => {
            let out = Value::dict(x.borrow().clone());
            for (key, value) in y.borrow().iter() {
                put(c, &out, key, value)?;
            }
            Ok(out)
        }
        _ => {
            let (name, at) = if is_operand(a) { ("other", b) } else { ("input", a) };
            Err(bad(c.name(), name, &format!("operands that fit `{}`", c.name()), at))
        }
    }
}

fn is_operand(value: &Value) -> bool {
    !matches!(value, Value::None | Value::Slice(_) | Value::Ellipsis | Value::DType(_) | Value::Cache(_))
}

fn compare(c: &Call<'_>, op: BinaryOp, a: &Value, b: &Value) -> Result<Value> {
    use BinaryOp as B;
    use std::cmp::Ordering as O;
    if let (Value::Set(x), Value::Set(y)) = (a, b) {
        let (x, y) = (x.borrow(), y.borrow());
        let within = |x: &[Value], y: &[Value]| x.iter().all(|v| super::compare::position(y, v).is_some());
        return Ok(Value::Bool(match op {
            B::Lt => x.len() < y.len() && within(&x, &y),
            B::Le => within(&x, &y),
            B::Gt => y.len() < x.len() && within(&y, &x),
            _ => within(&y, &x),
        }));
    }
    let order = order(a, b)
        .map_err(|_| bad(c.name(), "other", &format!("a value to compare with {}", a.kind()), b))?;
    Ok(Value::Bool(match op {
        B::Lt => order == Some(O::Less),
        B::Le => matches!(order, Some(O::Less | O::Equal)),
        B::Gt => order == Some(O::Greater),
        _ => matches!(order, Some(O::Greater | O::Equal)),
    }))
}

fn repeated(c: &Call<'_>, sequence: &Value, n: i64) -> Result<Value> {
    let n = usize::try_from(n).unwrap_or(0);
    let many = |len: usize| limited(c, "other", len.saturating_mul(n));
    let copies = |items: &[Value]| -> Vec<Value> {
        std::iter::repeat_n(items, if items.is_empty() { 0 } else { n }).flatten().cloned().collect()
    };
    Ok(match sequence {
        Value::Str(text) => {
            many(text.len())?;
            Value::text(if text.is_empty() { String::new() } else { text.repeat(n) })
        }
        Value::Bytes(bytes) => {
            many(bytes.len())?;
            Value::Bytes(if bytes.is_empty() { [].into() } else { bytes.repeat(n).into() })
        }
        Value::Tuple(items) => {
            many(items.len())?;
            Value::tuple(copies(items))
        }
        Value::List(items) => {
            many(items.borrow().len())?;
            let out = Value::list(copies(&items.borrow()));
            check_nesting(c, None, &out)?;
            out
        }
        other => return Err(bad(c.name(), "other", "a number, or a sequence to repeat", other)),
    })
}
