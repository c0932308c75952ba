//! Python's own values: numbers, texts, lists, tuples, dictionaries, sets, and the functions on them.
//!
//! They follow Python where its values fit into 64 bits; an integer that does not is an error, never a wrong number.

mod arithmetic;
pub(super) mod compare;
pub(super) mod containers;
pub(super) mod format;
pub(super) mod iterate;
pub(super) mod math;
pub(super) mod numbers;
pub(super) mod operators;
pub(super) mod repr;
pub(super) mod sequences;
pub(super) mod sets;
pub(super) mod text;

use std::rc::Rc;

use pellucid_nn::Value;

use super::call::{MOST_ITEMS, rows};
use super::{Call, bad};
use crate::error::{Result, RunErrorKind};

/// How deep values may be nested; beyond, walking them would exhaust the stack.
pub(super) const MOST_DEPTH: usize = 64;

/// The items that iterating over a value gives, if it can be iterated over.
pub(super) fn items_of(value: &Value) -> Option<Result<Vec<Value>>> {
    Some(Ok(match value {
        Value::Tuple(items) => items.to_vec(),
        Value::List(items) | Value::Set(items) => items.borrow().clone(),
        Value::Dict(pairs) => pairs.borrow().iter().map(|(k, _)| k.clone()).collect(),
        Value::Str(text) => text.chars().map(|ch| Value::text(ch.encode_utf8(&mut [0; 4]))).collect(),
        Value::Bytes(bytes) => bytes.iter().map(|&b| Value::Int(b.into())).collect(),
        Value::Record(record) => record
            .fields
            .borrow()
            .iter()
            .filter(|(_, v)| !matches!(v, Value::None))
            .map(|(_, v)| v.clone())
            .collect(),
        Value::Tensor(var) => return Some(rows(var)),
        _ => return None,
    }))
}

/// The items of an argument that can be iterated over.
pub(super) fn elements(c: &Call<'_>, name: &str) -> Result<Vec<Value>> {
    iterate(c, name, c.get(name))
}

/// The items of a value, which the argument of that name is or holds.
pub(super) fn iterate(c: &Call<'_>, name: &str, value: &Value) -> Result<Vec<Value>> {
    let items =
        items_of(value).unwrap_or_else(|| Err(bad(c.name(), name, "something to iterate over", value)))?;
    limited(c, name, items.len())?;
    Ok(items)
}

/// Refuses lengths that no list should have.
pub(super) fn limited(c: &Call<'_>, name: &str, len: usize) -> Result<()> {
    if len <= MOST_ITEMS {
        return Ok(());
    }
    Err(RunErrorKind::Argument {
        op: c.name().into(),
        argument: name.into(),
        expected: format!("a result of at most {MOST_ITEMS} items"),
        got: format!("{len} items"),
    }
    .into())
}

/// Whether a value fits into `container`: it does not hold it, and is not nested too deep.
///
/// A list inside itself would never be given back, and walking it would not end.
pub(super) fn check_nesting(c: &Call<'_>, container: Option<&Value>, value: &Value) -> Result<()> {
    fn walk(container: Option<*const ()>, value: &Value, depth: usize) -> bool {
        let inside = |v: &Value| walk(container, v, depth + 1);
        if container.is_some() && address(value) == container || depth > MOST_DEPTH {
            return false;
        }
        match value {
            Value::Tuple(items) => items.iter().all(inside),
            Value::List(items) | Value::Set(items) => items.borrow().iter().all(inside),
            Value::Dict(pairs) => pairs.borrow().iter().all(|(k, v)| inside(k) && inside(v)),
            Value::Record(record) => record.fields.borrow().iter().all(|(_, v)| inside(v)),
            _ => true,
        }
    }
    if walk(container.and_then(address), value, 0) {
        return Ok(());
    }
    Err(bad(
        c.name(),
        "value",
        &format!("a value that does not contain its container and is nested at most {MOST_DEPTH} deep"),
        value,
    ))
}

/// What tells one container that can change from another.
fn address(value: &Value) -> Option<*const ()> {
    match value {
        Value::List(items) | Value::Set(items) => Some(Rc::as_ptr(items).cast()),
        Value::Dict(pairs) => Some(Rc::as_ptr(pairs).cast()),
        Value::Record(record) => Some(Rc::as_ptr(record).cast()),
        _ => None,
    }
}
