//! Lists, dictionaries and tuples of a program.

use std::cell::RefCell;
use std::rc::Rc;

use pellucid_nn::Value;

use super::index::{key_text, same_key};
use super::{Call, OpDef, bad};
use crate::error::{Result, RunErrorKind};

pub(super) const OPS: &[OpDef] = &[
    OpDef { name: "list", params: &["items?"], run: |c| Ok(Value::list(elements(c, "items")?)) },
    OpDef { name: "tuple", params: &["items?"], run: |c| Ok(Value::tuple(elements(c, "items")?)) },
    OpDef { name: "dict", params: &["items?"], run: dict },
    OpDef { name: "append", params: &["list", "value"], run: append },
    OpDef { name: "extend", params: &["list", "values"], run: extend },
    OpDef { name: "len", params: &["input"], run: len },
    OpDef { name: "get", params: &["dict", "key", "default?"], run: get },
    OpDef { name: "keys", params: &["dict"], run: |c| pairs(c, |(k, _)| k.clone()) },
    OpDef { name: "values", params: &["dict"], run: |c| pairs(c, |(_, v)| v.clone()) },
    OpDef {
        name: "items",
        params: &["dict"],
        run: |c| pairs(c, |(k, v)| Value::tuple([k.clone(), v.clone()])),
    },
];

fn elements(c: &Call<'_>, name: &str) -> Result<Vec<Value>> {
    Ok(match c.get(name) {
        Value::None => Vec::new(),
        Value::Tuple(items) => items.to_vec(),
        Value::List(items) => items.borrow().clone(),
        Value::Dict(pairs) => pairs.borrow().iter().map(|(k, _)| k.clone()).collect(),
        other => return Err(bad(c.name(), name, "a sequence", other)),
    })
}

fn dict(c: &Call<'_>) -> Result<Value> {
    let pairs = match c.get("items") {
        Value::Dict(pairs) => pairs.borrow().clone(),
        _ => elements(c, "items")?
            .into_iter()
            .map(|pair| match &pair {
                Value::Tuple(kv) if kv.len() == 2 => Ok((kv[0].clone(), kv[1].clone())),
                other => Err(bad("dict", "items", "pairs", other)),
            })
            .collect::<Result<_>>()?,
    };
    Ok(Value::Dict(Rc::new(RefCell::new(pairs))))
}

fn append(c: &Call<'_>) -> Result<Value> {
    match c.get("list") {
        Value::List(items) => items.borrow_mut().push(c.get("value").clone()),
        other => return Err(bad("append", "list", "a list", other)),
    }
    Ok(Value::None)
}

fn extend(c: &Call<'_>) -> Result<Value> {
    let more = elements(c, "values")?;
    match c.get("list") {
        Value::List(items) => items.borrow_mut().extend(more),
        other => return Err(bad("extend", "list", "a list", other)),
    }
    Ok(Value::None)
}

fn len(c: &Call<'_>) -> Result<Value> {
    let n = match c.get("input") {
        Value::Tensor(var) => match var.get()?.dims().first() {
            Some(&n) => n,
            None => return Err(bad("len", "input", "a tensor with dimensions", c.get("input"))),
        },
        Value::Str(text) => text.chars().count(),
        Value::Record(record) => record.fields.borrow().len(),
        _ => elements(c, "input")?.len(),
    };
    Ok(Value::Int(n as i64))
}

fn get(c: &Call<'_>) -> Result<Value> {
    match c.get("dict") {
        Value::Dict(pairs) => match pairs.borrow().iter().find(|(k, _)| same_key(k, c.get("key"))) {
            Some((_, v)) => Ok(v.clone()),
            None => Ok(c.get("default").clone()),
        },
        Value::Record(record) => match c.get("key") {
            Value::Str(name) => Ok(record.get(name).unwrap_or_else(|| c.get("default").clone())),
            other => {
                Err(RunErrorKind::NoItem { container: record.type_name.into(), key: key_text(other) }.into())
            }
        },
        other => Err(bad("get", "dict", "a dict", other)),
    }
}

fn pairs(c: &Call<'_>, part: fn(&(Value, Value)) -> Value) -> Result<Value> {
    match c.get("dict") {
        Value::Dict(pairs) => Ok(Value::list(pairs.borrow().iter().map(part).collect::<Vec<_>>())),
        other => Err(bad(c.name(), "dict", "a dict", other)),
    }
}
