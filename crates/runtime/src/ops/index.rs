//! Square brackets and attributes: of tensors, tuples, lists, dictionaries, records.

use pellucid_nn::{Value, Var};
use pellucid_tensor::{Engine, HostData, IndexItem, Tensor};

use super::call::{integer, number};
use super::{Call, OpDef, bad, tensor};
use crate::error::{Result, RunError, RunErrorKind};

pub(super) const OPS: &[OpDef] = &[
    OpDef { name: "getitem", params: &["input", "index"], run: getitem },
    OpDef { name: "setitem", params: &["input", "index", "value"], run: setitem },
    OpDef { name: "getattr", params: &["input", "name"], run: getattr },
    OpDef { name: "setattr", params: &["input", "name", "value"], run: setattr },
    OpDef {
        name: "gather",
        params: &["input", "dim", "index"],
        run: |c| tensor(c.tensor("input")?.gather(c.int("dim")?, &c.tensor("index")?)),
    },
    OpDef { name: "scatter", params: &["input", "dim", "index", "src"], run: |c| scatter(c, false) },
    OpDef { name: "scatter_add", params: &["input", "dim", "index", "src"], run: |c| scatter(c, true) },
    OpDef {
        name: "index_select",
        params: &["input", "dim", "index"],
        run: |c| tensor(c.tensor("input")?.index_select(c.int("dim")?, &c.tensor("index")?)),
    },
    OpDef {
        name: "embedding",
        params: &["input", "weight"],
        run: |c| tensor(c.tensor("weight")?.embed(&c.tensor("input")?)),
    },
    OpDef { name: "nonzero", params: &["input"], run: |c| tensor(c.tensor("input")?.nonzero()) },
    OpDef {
        name: "masked_select",
        params: &["input", "mask"],
        run: |c| tensor(c.tensor("input")?.index(&[IndexItem::Tensor(c.tensor("mask")?)])),
    },
];

/// One item of an index.
fn item(engine: &Engine, value: &Value) -> Result<IndexItem> {
    let part = |v: &Value| match v {
        Value::None => Ok(None),
        other => match integer(other)? {
            Some(i) => Ok(Some(i)),
            None => Err(bad("getitem", "index", "an integer in a slice", other)),
        },
    };
    Ok(match value {
        Value::Int(i) => IndexItem::At(*i),
        Value::None => IndexItem::NewAxis,
        Value::Ellipsis => IndexItem::Ellipsis,
        Value::Slice(parts) => {
            IndexItem::Slice { start: part(&parts[0])?, stop: part(&parts[1])?, step: part(&parts[2])? }
        }
        Value::Tensor(var) => IndexItem::Tensor(var.get()?),
        Value::Bool(b) => IndexItem::Tensor(engine.from_data(HostData::from_bools(&[*b]), &[])?),
        Value::List(items) => IndexItem::Tensor(from_list(engine, &items.borrow())?),
        other => {
            return Err(bad("getitem", "index", "an integer, slice, tensor, list, `...` or None", other));
        }
    })
}

/// A list of numbers as an index tensor.
fn from_list(engine: &Engine, items: &[Value]) -> Result<Tensor> {
    if items.iter().all(|v| matches!(v, Value::Bool(_))) && !items.is_empty() {
        let bools: Vec<bool> = items.iter().map(|v| matches!(v, Value::Bool(true))).collect();
        return Ok(engine.from_data(HostData::from_bools(&bools), &[items.len()])?);
    }
    if items.iter().any(|v| matches!(v, Value::List(_) | Value::Tuple(_) | Value::Tensor(_))) {
        let rows =
            items
                .iter()
                .map(|v| match v {
                    Value::List(inner) => from_list(engine, &inner.borrow()),
                    Value::Tuple(inner) => from_list(engine, inner),
                    Value::Tensor(var) => Ok(var.get()?),
                    other => Ok(engine
                        .scalar(number(other).ok_or_else(|| bad("getitem", "index", "integers", other))?)),
                })
                .collect::<Result<Vec<_>>>()?;
        return Ok(Tensor::stack(&rows, 0)?);
    }
    let ints = items
        .iter()
        .map(|v| integer(v)?.ok_or_else(|| bad("getitem", "index", "integers", v)))
        .collect::<Result<Vec<_>>>()?;
    Ok(engine.from_vec(ints, &[items.len()])?)
}

fn items(engine: &Engine, index: &Value) -> Result<Vec<IndexItem>> {
    match index {
        Value::Tuple(parts) => parts.iter().map(|p| item(engine, p)).collect(),
        one => Ok(vec![item(engine, one)?]),
    }
}

/// Writes into a tensor's storage at an index; the value broadcasts.
pub(crate) fn assign(var: &Var, index: &[IndexItem], value: &Value) -> Result<()> {
    let target = var.get()?;
    let value = match value {
        Value::Tensor(v) => v.get()?,
        other => match number(other) {
            Some(n) => target.engine().full(&[], n, target.dtype()),
            None => return Err(bad("setitem", "value", "a tensor or a number", other)),
        },
    };
    Ok(var.assign(index, &value)?)
}

/// A position in a sequence of `len` items.
fn position(container: &str, index: &Value, len: usize) -> Result<usize> {
    let missing = || {
        RunError::new(RunErrorKind::NoItem {
            container: format!("{container} of {len}"),
            key: match index {
                Value::Int(i) => format!("index {i}"),
                other => other.kind(),
            },
        })
    };
    let i = integer(index)?.ok_or_else(missing)?;
    let at = if i < 0 { i + len as i64 } else { i };
    usize::try_from(at).ok().filter(|&at| at < len).ok_or_else(missing)
}

fn sequence_item(
    container: &str,
    sequence: &[Value],
    index: &Value,
    wrap: fn(Vec<Value>) -> Value,
) -> Result<Value> {
    if let Value::Slice(parts) = index {
        let ints = |v: &Value| if matches!(v, Value::None) { Ok(None) } else { integer(v) };
        let n = sequence.len() as i64;
        let step = ints(&parts[2])?.unwrap_or(1);
        if step == 0 {
            return Err(bad("getitem", "index", "a slice step other than zero", &parts[2]));
        }
        let clamp = |x: i64, low: i64, high: i64| (if x < 0 { x + n } else { x }).clamp(low, high);
        let (mut at, end) = if step > 0 {
            (ints(&parts[0])?.map_or(0, |x| clamp(x, 0, n)), ints(&parts[1])?.map_or(n, |x| clamp(x, 0, n)))
        } else {
            (
                ints(&parts[0])?.map_or(n - 1, |x| clamp(x, -1, n - 1)),
                ints(&parts[1])?.map_or(-1, |x| clamp(x, -1, n - 1)),
            )
        };
        let mut out = Vec::new();
        while (step > 0 && at < end) || (step < 0 && at > end) {
            out.push(sequence[at as usize].clone());
            at += step;
        }
        return Ok(wrap(out));
    }
    Ok(sequence[position(container, index, sequence.len())?].clone())
}

/// Whether two keys are the same.
pub(super) fn same_key(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::None, Value::None) => true,
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.to_f64() == b.to_f64(),
            _ => false,
        },
    }
}

pub(super) fn key_text(key: &Value) -> String {
    match key {
        Value::Str(s) => format!("{s:?}"),
        Value::Int(i) => i.to_string(),
        other => other.kind(),
    }
}

fn getitem(c: &Call<'_>) -> Result<Value> {
    let index = c.get("index");
    match c.get("input") {
        Value::Tensor(var) => Ok(Value::Tensor(var.index(&items(c.engine, index)?)?)),
        Value::Tuple(items) => sequence_item("tuple", items, index, Value::tuple),
        Value::List(items) => sequence_item("list", &items.borrow(), index, Value::list),
        Value::Dict(pairs) => match pairs.borrow().iter().find(|(k, _)| same_key(k, index)) {
            Some((_, v)) => Ok(v.clone()),
            None => Err(RunErrorKind::NoItem {
                container: "the dict".into(),
                key: format!("key {}", key_text(index)),
            }
            .into()),
        },
        Value::Record(record) => match index {
            Value::Str(name) => record.get(name).ok_or_else(|| no_field(record.type_name, name)),
            _ => {
                let fields: Vec<Value> = record
                    .fields
                    .borrow()
                    .iter()
                    .filter(|(_, v)| !matches!(v, Value::None))
                    .map(|(_, v)| v.clone())
                    .collect();
                sequence_item(record.type_name, &fields, index, Value::tuple)
            }
        },
        Value::Str(text) => {
            let chars: Vec<Value> = text.chars().map(|ch| Value::Str(ch.to_string().into())).collect();
            sequence_item("str", &chars, index, |v| {
                Value::Str(
                    v.iter()
                        .filter_map(|c| if let Value::Str(s) = c { Some(&**s) } else { None })
                        .collect::<String>()
                        .into(),
                )
            })
        }
        other => Err(bad("getitem", "input", "something that can be indexed", other)),
    }
}

fn setitem(c: &Call<'_>) -> Result<Value> {
    let (index, value) = (c.get("index"), c.get("value"));
    match c.get("input") {
        Value::Tensor(var) => {
            assign(var, &items(c.engine, index)?, value)?;
        }
        Value::List(items) => {
            let at = position("list", index, items.borrow().len())?;
            items.borrow_mut()[at] = value.clone();
        }
        Value::Dict(pairs) => {
            let mut pairs = pairs.borrow_mut();
            match pairs.iter_mut().find(|(k, _)| same_key(k, index)) {
                Some(pair) => pair.1 = value.clone(),
                None => pairs.push((index.clone(), value.clone())),
            }
        }
        Value::Record(record) => {
            if let Value::Str(name) = index
                && record.set(name, value.clone())
            {
                return Ok(c.get("input").clone());
            }
            return Err(no_field(record.type_name, &key_text(index)));
        }
        Value::Tuple(_) => {
            return Err(RunErrorKind::Argument {
                op: "setitem".into(),
                argument: "input".into(),
                expected:
                    "something whose items can be replaced; write into the item (`x[0][:] = ...`) or replace \
                           the tuple"
                        .into(),
                got: "a tuple".into(),
            }
            .into());
        }
        other => return Err(bad("setitem", "input", "something whose items can be replaced", other)),
    }
    Ok(c.get("input").clone())
}

fn no_field(container: &str, name: &str) -> RunError {
    RunError::new(RunErrorKind::NoItem { container: container.into(), key: format!("field `{name}`") })
}

fn attribute_name(c: &Call<'_>) -> Result<String> {
    match c.get("name") {
        Value::Str(name) => Ok((**name).to_owned()),
        other => Err(bad(c.name(), "name", "a text", other)),
    }
}

fn getattr(c: &Call<'_>) -> Result<Value> {
    let name = attribute_name(c)?;
    match c.get("input") {
        Value::Record(record) => record.get(&name).ok_or_else(|| no_field(record.type_name, &name)),
        Value::Tensor(_) if matches!(name.as_str(), "shape" | "dtype" | "device" | "T" | "mT" | "ndim") => {
            super::call(c.engine, &name, vec![c.get("input").clone()], Vec::new())
        }
        other => Err(no_field(&other.kind(), &name)),
    }
}

fn setattr(c: &Call<'_>) -> Result<Value> {
    let name = attribute_name(c)?;
    match c.get("input") {
        Value::Record(record) if record.set(&name, c.get("value").clone()) => Ok(c.get("input").clone()),
        Value::Record(record) => Err(no_field(record.type_name, &name)),
        other => Err(no_field(&other.kind(), &name)),
    }
}

fn scatter(c: &Call<'_>, add: bool) -> Result<Value> {
    let x = c.tensor("input")?;
    let index = c.tensor("index")?;
    let source = match c.get("src") {
        Value::Tensor(var) => var.get()?,
        _ => c.engine.full(index.dims(), c.scalar("src")?, x.dtype()),
    };
    tensor(x.scatter(c.int("dim")?, &index, &source, add))
}
