//! Sets. Their items keep the order they were put in, which Python leaves open.

use std::cell::RefCell;
use std::rc::Rc;

use pellucid_nn::Value;

use super::super::{Call, OpDef, op};
use super::compare::{is_key, position};
use super::{elements, iterate, limited};
use crate::error::Result;

pub(in super::super) const OPS: &[OpDef] = &[
    op("set", &["items?"], |c| {
        let items = if c.has("items") { elements(c, "items")? } else { Vec::new() };
        set_of(c, items)
    }),
    op("set.add", &["input", "value"], |c| {
        insert(c, c.get("input"), c.get("value"))?;
        Ok(Value::None)
    }),
    op("discard", &["input", "value"], |c| {
        let Value::Set(items) = c.get("input") else { return Err(c.bad("input", "a set")) };
        let at = position(&items.borrow(), c.get("value"));
        if let Some(at) = at {
            items.borrow_mut().remove(at);
        }
        Ok(Value::None)
    }),
    op("union", &["input", "*others"], |c| fold(c, Combine::Union)),
    op("intersection", &["input", "*others"], |c| fold(c, Combine::Intersection)),
    op("difference", &["input", "*others"], |c| fold(c, Combine::Difference)),
    op("symmetric_difference", &["input", "*others"], |c| fold(c, Combine::Symmetric)),
    op("issubset", &["input", "other"], |c| {
        let other = elements(c, "other")?;
        Ok(Value::Bool(items(c)?.iter().all(|v| position(&other, v).is_some())))
    }),
    op("issuperset", &["input", "other"], |c| {
        let all = items(c)?;
        Ok(Value::Bool(elements(c, "other")?.iter().all(|v| position(&all, v).is_some())))
    }),
    op("isdisjoint", &["input", "other"], |c| {
        let all = items(c)?;
        Ok(Value::Bool(!elements(c, "other")?.iter().any(|v| position(&all, v).is_some())))
    }),
];

/// How two sets make a third.
#[derive(Clone, Copy)]
pub(super) enum Combine {
    Union,
    Intersection,
    Difference,
    Symmetric,
}

fn items(c: &Call<'_>) -> Result<Vec<Value>> {
    match c.get("input") {
        Value::Set(items) => Ok(items.borrow().clone()),
        _ => Err(c.bad("input", "a set")),
    }
}

/// Items of sets are found by comparing all of them, so sets stay small.
const MOST_MEMBERS: usize = 1 << 14;

fn set_of(c: &Call<'_>, items: Vec<Value>) -> Result<Value> {
    let set = Value::Set(Rc::new(RefCell::new(Vec::new())));
    for item in &items {
        insert(c, &set, item)?;
    }
    Ok(set)
}

/// Adds a value to a set, unless it is there.
pub(super) fn insert(c: &Call<'_>, set: &Value, value: &Value) -> Result<()> {
    let Value::Set(items) = set else { return Err(c.bad("input", "a set")) };
    if !is_key(value) {
        return Err(super::bad(c.name(), "value", "a value that never changes", value));
    }
    let is_there = position(&items.borrow(), value).is_some();
    if !is_there {
        let n = items.borrow().len() + 1;
        limited(c, "input", if n > MOST_MEMBERS { usize::MAX } else { n })?;
        items.borrow_mut().push(value.clone());
    }
    Ok(())
}

/// Two sets combined.
pub(super) fn combine(c: &Call<'_>, how: Combine, a: &[Value], b: &[Value]) -> Result<Value> {
    let without = |a: &[Value], b: &[Value]| -> Vec<Value> {
        a.iter().filter(|v| position(b, v).is_none()).cloned().collect()
    };
    let out = match how {
        Combine::Union => a.iter().chain(b).cloned().collect(),
        Combine::Intersection => a.iter().filter(|v| position(b, v).is_some()).cloned().collect(),
        Combine::Difference => without(a, b),
        Combine::Symmetric => without(a, b).into_iter().chain(without(b, a)).collect(),
    };
    set_of(c, out)
}

fn fold(c: &Call<'_>, how: Combine) -> Result<Value> {
    let mut all = items(c)?;
    for other in c.rest() {
        let other = iterate(c, "others", other)?;
        limited(c, "others", if other.len() > MOST_MEMBERS { usize::MAX } else { 0 })?;
        if let Value::Set(out) = combine(c, how, &all, &other)? {
            all = out.borrow().clone();
        }
    }
    set_of(c, all)
}
