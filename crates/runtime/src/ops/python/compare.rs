//! Equality and order of values, as Python's.

use std::cmp::Ordering;

use pellucid_nn::Value;

use super::super::bad;
use super::super::call::number;
use super::MOST_DEPTH;
use super::numbers::Number;
use crate::error::{Result, RunError};

/// Whether two values are equal. Numbers are equal across types; tensors compare as one truth value.
pub(in super::super) fn equal(a: &Value, b: &Value) -> Result<bool> {
    equal_at(a, b, 0)
}

fn too_deep(value: &Value) -> RunError {
    bad("eq", "input", &format!("values nested at most {MOST_DEPTH} deep"), value)
}

fn equal_at(a: &Value, b: &Value, depth: usize) -> Result<bool> {
    if depth > MOST_DEPTH {
        return Err(too_deep(a));
    }
    let all = |a: &[Value], b: &[Value]| -> Result<bool> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !equal_at(a, b, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    Ok(match (a, b) {
        (Value::Tensor(x), y) | (y, Value::Tensor(x)) => {
            let x = x.get()?;
            let same = match y {
                Value::Tensor(y) => {
                    let y = y.get()?;
                    if x.same_node(&y) {
                        return Ok(true);
                    }
                    x.eq(&y)?
                }
                other => match number(other) {
                    Some(n) => x.eq_scalar(n)?,
                    None => return Ok(false),
                },
            };
            same.item()?.to_bool()
        }
        (Value::Tuple(a), Value::Tuple(b)) => all(a, b)?,
        (Value::List(x), Value::List(y)) => std::rc::Rc::ptr_eq(x, y) || all(&x.borrow(), &y.borrow())?,
        (Value::Set(x), Value::Set(y)) => {
            let (x, y) = (x.borrow(), y.borrow());
            x.len() == y.len() && x.iter().all(|v| position(&y, v).is_some())
        }
        (Value::Dict(x), Value::Dict(y)) => {
            let (x, y) = (x.borrow(), y.borrow());
            if x.len() != y.len() {
                return Ok(false);
            }
            for (key, value) in x.iter() {
                let Some((_, other)) = y.iter().find(|(k, _)| same_key(k, key)) else { return Ok(false) };
                if !equal_at(value, other, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Record(x), Value::Record(y)) => std::rc::Rc::ptr_eq(x, y),
        (Value::Slice(x), Value::Slice(y)) => all(&x[..], &y[..])?,
        _ => same_key(a, b),
    })
}

/// Whether two keys of a dictionary are the same.
pub(in super::super) fn same_key(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::None, Value::None) | (Value::Ellipsis, Value::Ellipsis) => true,
        (Value::DType(a), Value::DType(b)) => a == b,
        (Value::Tuple(a), Value::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same_key(a, b))
        }
        (Value::Tensor(a), Value::Tensor(b)) => match (a.get(), b.get()) {
            (Ok(x), Ok(y)) => x.same_node(&y),
            _ => false,
        },
        _ => match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.equal(b),
            _ => false,
        },
    }
}

/// Where a value stands among others, compared as keys are.
pub(in super::super) fn position(items: &[Value], value: &Value) -> Option<usize> {
    items.iter().position(|v| same_key(v, value))
}

/// Whether a value can be a key: it never changes.
pub(in super::super) fn is_key(value: &Value) -> bool {
    match value {
        Value::List(_) | Value::Dict(_) | Value::Set(_) | Value::Slice(_) | Value::Record(_) => false,
        Value::Tuple(items) => items.iter().all(is_key),
        _ => true,
    }
}

/// Whether `a` comes before `b`; `None` where neither does and they are not equal, as with NaN.
pub(in super::super) fn order(a: &Value, b: &Value) -> Result<Option<Ordering>> {
    order_at(a, b, 0)
}

fn order_at(a: &Value, b: &Value, depth: usize) -> Result<Option<Ordering>> {
    if depth > MOST_DEPTH {
        return Err(too_deep(a));
    }
    let sequences = |a: &[Value], b: &[Value]| -> Result<Option<Ordering>> {
        for (a, b) in a.iter().zip(b) {
            if !equal_at(a, b, depth + 1)? {
                return order_at(a, b, depth + 1);
            }
        }
        Ok(Some(a.len().cmp(&b.len())))
    };
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.chars().cmp(b.chars()))),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Some(a.cmp(b))),
        (Value::Tuple(a), Value::Tuple(b)) => sequences(a, b),
        (Value::List(a), Value::List(b)) => sequences(&a.borrow(), &b.borrow()),
        (Value::Tensor(x), other) => {
            Ok(Number::of(&item(x)?).zip(as_number(other)?).and_then(|(a, b)| a.order(b)))
        }
        (other, Value::Tensor(y)) => {
            Ok(as_number(other)?.zip(Number::of(&item(y)?)).and_then(|(a, b)| a.order(b)))
        }
        _ => match (Number::of(a), Number::of(b)) {
            (Some(Number::Complex(..)), _) | (_, Some(Number::Complex(..))) => Err(unordered(a, b)),
            (Some(a), Some(b)) => Ok(a.order(b)),
            _ => Err(unordered(a, b)),
        },
    }
}

fn unordered(a: &Value, b: &Value) -> RunError {
    bad("lt", "other", &format!("a value that can be ordered with a value of kind {}", a.kind()), b)
}

fn item(var: &pellucid_nn::Var) -> Result<Value> {
    Ok(super::numbers::from_scalar(var.get()?.item()?))
}

fn as_number(value: &Value) -> Result<Option<Number>> {
    match value {
        Value::Tensor(var) => Ok(Number::of(&item(var)?)),
        other => Ok(Number::of(other)),
    }
}
