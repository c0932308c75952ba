//! Square brackets and attributes: of tensors, tuples, lists, dictionaries, records.

use std::cell::RefCell;

use pellucid_nn::{Value, Var};
use pellucid_tensor::{Engine, HostData, IndexItem, Tensor};

use super::call::{MOST_DIMS, integer, number};
use super::python::containers::put;
use super::python::sequences::slice_positions;
use super::python::{check_nesting, elements, limited};
use super::{Call, OpDef, bad, op};
use crate::error::{Result, RunError, RunErrorKind};

pub(super) const OPS: &[OpDef] = &[
    op("getitem", &["input", "index"], getitem),
    op("setitem", &["input", "index", "value"], setitem),
    op("getattr", &["input", "name", "default?"], getattr),
    op("setattr", &["input", "name", "value"], setattr),
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
        Value::List(items) => IndexItem::Tensor(from_list(engine, &items.borrow(), 0)?),
        other => {
            return Err(bad("getitem", "index", "an integer, slice, tensor, list, `...` or None", other));
        }
    })
}

/// A list of numbers as an index tensor.
fn from_list(engine: &Engine, items: &[Value], depth: usize) -> Result<Tensor> {
    if depth > MOST_DIMS {
        return Err(bad("getitem", "index", "a list of fewer levels", &Value::None));
    }
    if items.iter().all(|v| matches!(v, Value::Bool(_))) && !items.is_empty() {
        let bools: Vec<bool> = items.iter().map(|v| matches!(v, Value::Bool(true))).collect();
        return Ok(engine.from_data(HostData::from_bools(&bools), &[items.len()])?);
    }
    if items.iter().any(|v| matches!(v, Value::List(_) | Value::Tuple(_) | Value::Tensor(_))) {
        let rows =
            items
                .iter()
                .map(|v| match v {
                    Value::List(inner) => from_list(engine, &inner.borrow(), depth + 1),
                    Value::Tuple(inner) => from_list(engine, inner, depth + 1),
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
        Value::Tuple(parts) if parts.len() > 2 * MOST_DIMS => {
            Err(bad("getitem", "index", &format!("at most {} parts", 2 * MOST_DIMS), index))
        }
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
    let at = if i < 0 { i.saturating_add(len as i64) } else { i };
    usize::try_from(at).ok().filter(|&at| at < len).ok_or_else(missing)
}

fn sequence_item(
    container: &str,
    sequence: &[Value],
    index: &Value,
    wrap: fn(Vec<Value>) -> Value,
) -> Result<Value> {
    if let Value::Slice(parts) = index {
        let taken = slice_positions("getitem", parts, sequence.len())?.map(|at| sequence[at].clone());
        return Ok(wrap(taken.collect()));
    }
    Ok(sequence[position(container, index, sequence.len())?].clone())
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
        Value::Dict(pairs) => {
            match pairs.borrow().iter().find(|(k, _)| super::python::compare::same_key(k, index)) {
                Some((_, v)) => Ok(v.clone()),
                None => Err(RunErrorKind::NoItem {
                    container: "the dict".into(),
                    key: format!("key {}", key_text(index)),
                }
                .into()),
            }
        }
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
            let chars: Vec<char> = text.chars().collect();
            match index {
                Value::Slice(parts) => {
                    let taken = slice_positions("getitem", parts, chars.len())?.map(|at| chars[at]);
                    Ok(Value::text(taken.collect::<String>()))
                }
                _ => Ok(Value::text(chars[position("str", index, chars.len())?].to_string())),
            }
        }
        Value::Bytes(bytes) => match index {
            Value::Slice(parts) => Ok(Value::Bytes(
                slice_positions("getitem", parts, bytes.len())?.map(|at| bytes[at]).collect(),
            )),
            _ => Ok(Value::Int(bytes[position("bytes", index, bytes.len())?].into())),
        },
        other => Err(bad("getitem", "input", "something that can be indexed", other)),
    }
}

/// `list[a:b:c] = values`.
fn replace_slice(c: &Call<'_>, items: &RefCell<Vec<Value>>, parts: &[Value; 3]) -> Result<()> {
    let values = elements(c, "value")?;
    values.iter().try_for_each(|v| check_nesting(c, Some(c.get("input")), v))?;
    let mut items = items.borrow_mut();
    let places: Vec<usize> = slice_positions("setitem", parts, items.len())?.collect();
    if matches!(parts[2], Value::None | Value::Int(1)) {
        limited(c, "value", items.len() + values.len())?;
        // Where nothing is taken, the values go in front of the place that the slice begins at.
        let from_here = Value::Slice([parts[0].clone(), Value::None, Value::None].into());
        let Value::Slice(begin) = &from_here else { return Ok(()) };
        let first = slice_positions("setitem", begin, items.len())?.next().unwrap_or(items.len());
        items.splice(first..first + places.len(), values);
        return Ok(());
    }
    if places.len() != values.len() {
        return Err(bad(
            "setitem",
            "value",
            &format!("{} values for the slice", places.len()),
            c.get("value"),
        ));
    }
    for (at, value) in places.into_iter().zip(values) {
        items[at] = value;
    }
    Ok(())
}

fn setitem(c: &Call<'_>) -> Result<Value> {
    let (index, value) = (c.get("index"), c.get("value"));
    match c.get("input") {
        Value::Tensor(var) => {
            assign(var, &items(c.engine, index)?, value)?;
        }
        Value::List(items) => {
            if let Value::Slice(parts) = index {
                replace_slice(c, items, parts)?;
            } else {
                check_nesting(c, Some(c.get("input")), value)?;
                let at = position("list", index, items.borrow().len())?;
                items.borrow_mut()[at] = value.clone();
            }
        }
        Value::Dict(_) => put(c, c.get("input"), index, value)?,
        Value::Record(record) => {
            check_nesting(c, Some(c.get("input")), value)?;
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
    let input = c.get("input");
    let of_tensor = |name: &str| super::call(c.engine, name, vec![input.clone()], Vec::new());
    let missing =
        |kind: &str| if c.has("default") { Ok(c.get("default").clone()) } else { Err(no_field(kind, &name)) };
    match (input, name.as_str()) {
        (Value::Record(record), _) => record.get(&name).map_or_else(|| missing(record.type_name), Ok),
        (
            Value::Tensor(_),
            "shape" | "dtype" | "device" | "T" | "mT" | "H" | "mH" | "ndim" | "itemsize" | "nbytes",
        ) => of_tensor(&name),
        (Value::Tensor(_), "data" | "real") => Ok(input.clone()),
        (Value::Tensor(_), "is_cuda" | "is_meta" | "is_sparse" | "is_quantized") => Ok(Value::Bool(false)),
        (Value::Complex(re, _), "real") => Ok(Value::Float(*re)),
        (Value::Complex(_, im), "imag") => Ok(Value::Float(*im)),
        (Value::Bool(_) | Value::Int(_) | Value::Float(_), "real") => Ok(input.clone()),
        (Value::Bool(_) | Value::Int(_), "imag") => Ok(Value::Int(0)),
        (Value::Float(_), "imag") => Ok(Value::Float(0.0)),
        (Value::Slice(parts), "start") => Ok(parts[0].clone()),
        (Value::Slice(parts), "stop") => Ok(parts[1].clone()),
        (Value::Slice(parts), "step") => Ok(parts[2].clone()),
        (Value::DType(d), "itemsize") => Ok(Value::Int(d.size() as i64)),
        (Value::DType(d), "is_floating_point") => Ok(Value::Bool(d.is_float())),
        (other, _) => missing(&other.kind()),
    }
}

fn setattr(c: &Call<'_>) -> Result<Value> {
    let name = attribute_name(c)?;
    check_nesting(c, Some(c.get("input")), c.get("value"))?;
    match c.get("input") {
        Value::Tensor(var) if name == "data" => {
            assign(var, &[], c.get("value"))?;
            Ok(c.get("input").clone())
        }
        Value::Record(record) if record.set(&name, c.get("value").clone()) => Ok(c.get("input").clone()),
        Value::Record(record) => Err(no_field(record.type_name, &name)),
        other => Err(no_field(&other.kind(), &name)),
    }
}
