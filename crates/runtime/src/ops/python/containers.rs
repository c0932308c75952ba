//! Lists and dictionaries: how they are made, and the methods that change them.

use std::cell::RefCell;
use std::rc::Rc;

use pellucid_nn::Value;

use super::super::call::integer;
use super::super::index::key_text;
use super::super::{Call, OpDef, op};
use super::compare::{equal, is_key, position, same_key};
use super::{check_nesting, elements, iterate, limited};
use crate::error::{Result, RunError, RunErrorKind};

pub(in super::super) const OPS: &[OpDef] = &[
    op("list", &["items?"], |c| Ok(Value::list(optional_elements(c)?))),
    op("tuple", &["items?"], |c| {
        let items = Value::tuple(optional_elements(c)?);
        check_nesting(c, None, &items)?;
        Ok(items)
    }),
    op("dict", &["items?"], dict),
    op("append", &["list", "value|item"], |c| {
        let items = grown(c, c.get("value"))?;
        items.borrow_mut().push(c.get("value").clone());
        Ok(Value::None)
    }),
    op("extend", &["list", "values"], |c| {
        let more = elements(c, "values")?;
        let items = list(c)?;
        limited(c, "list", items.borrow().len() + more.len())?;
        more.iter().try_for_each(|v| check_nesting(c, Some(c.get("list")), v))?;
        items.borrow_mut().extend(more);
        Ok(Value::None)
    }),
    op("insert", &["list", "index", "value"], |c| {
        let items = grown(c, c.get("value"))?;
        let n = items.borrow().len() as i64;
        let at = c.int("index")?;
        let at = (if at < 0 { at.saturating_add(n) } else { at }).clamp(0, n);
        items.borrow_mut().insert(at as usize, c.get("value").clone());
        Ok(Value::None)
    }),
    op("pop", &["input|list", "key|index?", "default?"], pop),
    op("remove", &["input|list", "value"], remove),
    op("reverse", &["list"], |c| {
        list(c)?.borrow_mut().reverse();
        Ok(Value::None)
    }),
    op("list.sort", &["input|list", "reverse?"], sort_in_place),
    op("clear", &["input"], |c| {
        match c.get("input") {
            Value::List(items) | Value::Set(items) => items.borrow_mut().clear(),
            Value::Dict(pairs) => pairs.borrow_mut().clear(),
            _ => return Err(c.bad("input", "a list, a dict or a set")),
        }
        Ok(Value::None)
    }),
    op("delitem", &["input", "index|key"], delitem),
    op("get", &["dict", "key", "default?"], get),
    op("keys", &["dict"], |c| pairs(c, |k, _| k.clone())),
    op("values", &["dict"], |c| pairs(c, |_, v| v.clone())),
    op("items", &["dict"], |c| pairs(c, |k, v| Value::tuple([k.clone(), v.clone()]))),
    op("popitem", &["dict"], |c| match dictionary(c)?.borrow_mut().pop() {
        Some((k, v)) => Ok(Value::tuple([k, v])),
        None => Err(missing("the empty dict", "item")),
    }),
    op("setdefault", &["dict", "key", "default?"], |c| {
        let pairs = dictionary(c)?;
        if let Some((_, value)) = pairs.borrow().iter().find(|(k, _)| same_key(k, c.get("key"))) {
            return Ok(value.clone());
        }
        put(c, c.get("dict"), c.get("key"), c.get("default"))?;
        Ok(c.get("default").clone())
    }),
    op("update", &["dict|input", "other"], update),
];

fn optional_elements(c: &Call<'_>) -> Result<Vec<Value>> {
    if c.has("items") { elements(c, "items") } else { Ok(Vec::new()) }
}

fn missing(container: &str, key: &str) -> RunError {
    RunError::new(RunErrorKind::NoItem { container: container.into(), key: key.into() })
}

fn list<'c>(c: &'c Call<'_>) -> Result<&'c Rc<RefCell<Vec<Value>>>> {
    match c.get("list") {
        Value::List(items) => Ok(items),
        _ => Err(c.bad("list", "a list")),
    }
}

/// The list of a call that may take one more value.
fn grown<'c>(c: &'c Call<'_>, value: &Value) -> Result<&'c Rc<RefCell<Vec<Value>>>> {
    let items = list(c)?;
    limited(c, "list", items.borrow().len() + 1)?;
    check_nesting(c, Some(c.get("list")), value)?;
    Ok(items)
}

/// What a dictionary holds, shared.
type Pairs = Rc<RefCell<Vec<(Value, Value)>>>;

fn dictionary<'c>(c: &'c Call<'_>) -> Result<&'c Pairs> {
    match c.get("dict") {
        Value::Dict(pairs) => Ok(pairs),
        _ => Err(c.bad("dict", "a dict")),
    }
}

/// Puts a value into a dictionary under a key.
pub(in super::super) fn put(c: &Call<'_>, dict: &Value, key: &Value, value: &Value) -> Result<()> {
    let Value::Dict(pairs) = dict else {
        return Err(c.bad("dict", "a dict"));
    };
    if !is_key(key) {
        return Err(super::bad(c.name(), "key", "a key that never changes", key));
    }
    check_nesting(c, Some(dict), value)?;
    limited(c, "dict", pairs.borrow().len() + 1)?;
    let mut pairs = pairs.borrow_mut();
    match pairs.iter_mut().find(|(k, _)| same_key(k, key)) {
        Some(pair) => pair.1 = value.clone(),
        None => pairs.push((key.clone(), value.clone())),
    }
    Ok(())
}

/// The pairs of a dictionary, or of a sequence of pairs.
fn pairs_of(c: &Call<'_>, name: &str) -> Result<Vec<(Value, Value)>> {
    match c.get(name) {
        Value::None => Ok(Vec::new()),
        Value::Dict(pairs) => Ok(pairs.borrow().clone()),
        Value::Record(record) => {
            Ok(record.fields.borrow().iter().map(|(k, v)| (Value::Str(k.clone()), v.clone())).collect())
        }
        _ => elements(c, name)?
            .into_iter()
            .map(|pair| {
                let kv = iterate(c, name, &pair)?;
                let [key, value] = kv.as_slice() else {
                    return Err(super::bad(c.name(), name, "pairs", &pair));
                };
                Ok((key.clone(), value.clone()))
            })
            .collect(),
    }
}

fn dict(c: &Call<'_>) -> Result<Value> {
    let dict = Value::dict([]);
    for (key, value) in pairs_of(c, "items")? {
        put(c, &dict, &key, &value)?;
    }
    Ok(dict)
}

fn update(c: &Call<'_>) -> Result<Value> {
    if let Value::Set(_) = c.get("dict") {
        for value in elements(c, "other")? {
            super::sets::insert(c, c.get("dict"), &value)?;
        }
        return Ok(Value::None);
    }
    for (key, value) in pairs_of(c, "other")? {
        put(c, c.get("dict"), &key, &value)?;
    }
    Ok(Value::None)
}

fn get(c: &Call<'_>) -> Result<Value> {
    match c.get("dict") {
        Value::Dict(pairs) => match pairs.borrow().iter().find(|(k, _)| same_key(k, c.get("key"))) {
            Some((_, v)) => Ok(v.clone()),
            None => Ok(c.get("default").clone()),
        },
        Value::Record(record) => match c.get("key") {
            Value::Str(name) => Ok(record.get(name).unwrap_or_else(|| c.get("default").clone())),
            other => Err(missing(record.type_name, &key_text(other))),
        },
        _ => Err(c.bad("dict", "a dict")),
    }
}

fn pairs(c: &Call<'_>, part: fn(&Value, &Value) -> Value) -> Result<Value> {
    let all = match c.get("dict") {
        Value::None => Err(c.bad("dict", "a dict")),
        Value::Dict(_) | Value::Record(_) => pairs_of(c, "dict"),
        _ => Err(c.bad("dict", "a dict")),
    };
    Ok(Value::list(all?.iter().map(|(k, v)| part(k, v)).collect::<Vec<_>>()))
}

/// A position in a list for removal.
fn place(index: &Value, len: usize) -> Result<Option<usize>> {
    let Some(i) = integer(index)? else { return Ok(None) };
    let at = if i < 0 { i.saturating_add(len as i64) } else { i };
    Ok(usize::try_from(at).ok().filter(|&at| at < len))
}

fn pop(c: &Call<'_>) -> Result<Value> {
    match c.get("input") {
        Value::List(items) => {
            let last = Value::Int(-1);
            let index = if c.has("key") { c.get("key") } else { &last };
            let len = items.borrow().len();
            match place(index, len)? {
                Some(at) => Ok(items.borrow_mut().remove(at)),
                None => Err(missing(&format!("list of {len}"), &format!("index {}", key_text(index)))),
            }
        }
        Value::Set(items) => {
            if items.borrow().is_empty() {
                return Err(missing("the empty set", "item"));
            }
            Ok(items.borrow_mut().remove(0))
        }
        Value::Dict(pairs) => {
            let at = pairs.borrow().iter().position(|(k, _)| same_key(k, c.get("key")));
            match at {
                Some(at) => Ok(pairs.borrow_mut().remove(at).1),
                None if c.has("default") => Ok(c.get("default").clone()),
                None => Err(missing("the dict", &format!("key {}", key_text(c.get("key"))))),
            }
        }
        _ => Err(c.bad("input", "a list, a dict or a set")),
    }
}

fn remove(c: &Call<'_>) -> Result<Value> {
    let value = c.get("value");
    let at = match c.get("input") {
        Value::List(items) => first_equal(&items.borrow(), value)?,
        Value::Set(items) => position(&items.borrow(), value),
        _ => return Err(c.bad("input", "a list or a set")),
    };
    match (at, c.get("input")) {
        (Some(at), Value::List(items) | Value::Set(items)) => {
            items.borrow_mut().remove(at);
            Ok(Value::None)
        }
        _ => Err(missing("the container", &format!("item {}", key_text(value)))),
    }
}

/// The first position of a value equal to the given one.
pub(super) fn first_equal(items: &[Value], value: &Value) -> Result<Option<usize>> {
    for (i, item) in items.iter().enumerate() {
        if equal(item, value)? {
            return Ok(Some(i));
        }
    }
    Ok(None)
}

/// `list.sort`: in place, without a result.
pub(in super::super) fn sort_in_place(c: &Call<'_>) -> Result<Value> {
    let Value::List(items) = c.get("input") else {
        return Err(c.bad("input", "a list"));
    };
    let sorted = super::iterate::sorted(items.borrow().clone(), c.flag_or("reverse", false)?)?;
    *items.borrow_mut() = sorted;
    Ok(Value::None)
}

fn delitem(c: &Call<'_>) -> Result<Value> {
    let index = c.get("index");
    match c.get("input") {
        Value::List(items) => {
            let len = items.borrow().len();
            if let Value::Slice(parts) = index {
                let mut gone = vec![false; len];
                super::sequences::slice_positions(c.name(), parts, len)?.for_each(|at| gone[at] = true);
                let mut at = 0;
                items.borrow_mut().retain(|_| {
                    at += 1;
                    !gone[at - 1]
                });
                return Ok(Value::None);
            }
            match place(index, len)? {
                Some(at) => _ = items.borrow_mut().remove(at),
                None => {
                    return Err(missing(&format!("list of {len}"), &format!("index {}", key_text(index))));
                }
            }
        }
        Value::Dict(pairs) => {
            let at = pairs.borrow().iter().position(|(k, _)| same_key(k, index));
            match at {
                Some(at) => _ = pairs.borrow_mut().remove(at),
                None => return Err(missing("the dict", &format!("key {}", key_text(index)))),
            }
        }
        _ => return Err(c.bad("input", "a list or a dict")),
    }
    Ok(Value::None)
}
