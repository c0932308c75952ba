//! What all sequences share: length, membership, slices, positions of items.

use pellucid_nn::Value;

use super::super::call::integer;
use super::super::{Call, OpDef, bad, op};
use super::compare::{equal, position};
use super::containers::first_equal;
use super::{elements, items_of};
use crate::error::{Result, RunErrorKind};

pub(in super::super) const OPS: &[OpDef] = &[
    op("len", &["input"], len),
    op("contains", &["input", "item"], |c| Ok(Value::Bool(contains(c)?))),
    op("index", &["input", "value", "start?", "stop?"], index),
    op("count", &["input", "value"], count),
];

fn len(c: &Call<'_>) -> Result<Value> {
    let n = match c.get("input") {
        Value::Tensor(var) => match var.get()?.dims().first() {
            Some(&n) => n,
            None => return Err(c.bad("input", "a tensor with dimensions")),
        },
        Value::Str(text) => text.chars().count(),
        Value::Record(record) => record.fields.borrow().len(),
        Value::Cache(_) => return Err(c.bad("input", "something with a length")),
        Value::List(items) | Value::Set(items) => items.borrow().len(),
        Value::Tuple(items) => items.len(),
        _ => elements(c, "input")?.len(),
    };
    Ok(Value::Int(n as i64))
}

fn contains(c: &Call<'_>) -> Result<bool> {
    let item = c.get("item");
    match (c.get("input"), item) {
        (Value::Str(text), Value::Str(part)) => Ok(text.contains(&**part)),
        (Value::Str(_), _) => Err(c.bad("item", "a text")),
        (Value::Set(items), _) => Ok(position(&items.borrow(), item).is_some()),
        (Value::Record(record), Value::Str(name)) => {
            Ok(record.get(name).is_some_and(|v| !matches!(v, Value::None)))
        }
        // `in` of a tensor asks whether any element is equal.
        (Value::Tensor(_), _) => {
            let same =
                super::super::call(c.engine, "eq", vec![c.get("input").clone(), item.clone()], vec![])?;
            match same {
                Value::Tensor(same) => {
                    Ok(same.get()?.reduce(pellucid_tensor::ReduceOp::Any, &[], false)?.item()?.to_bool())
                }
                _ => Ok(false),
            }
        }
        (Value::Bytes(bytes), Value::Bytes(part)) => {
            Ok(part.is_empty() || bytes.windows(part.len()).any(|w| w == &**part))
        }
        _ => Ok(first_equal(&elements(c, "input")?, item)?.is_some()),
    }
}

fn index(c: &Call<'_>) -> Result<Value> {
    let value = c.get("value");
    if let Value::Str(_) = c.get("input") {
        return match super::text::find(c, false)? {
            Some(at) => Ok(Value::Int(at)),
            None => Err(not_there(c)),
        };
    }
    let items = match c.get("input") {
        Value::Tensor(_) => return Err(c.bad("input", "a list, a tuple or a text")),
        other => items_of(other).unwrap_or_else(|| Err(c.bad("input", "a list, a tuple or a text")))?,
    };
    let n = items.len() as i64;
    let bound = |name: &str, default: i64| -> Result<i64> {
        let x = c.int_or(name, default)?;
        Ok((if x < 0 { x.saturating_add(n) } else { x }).clamp(0, n))
    };
    let (start, stop) = (bound("start", 0)?, bound("stop", n)?);
    if start <= stop
        && let Some(at) = first_equal(&items[start as usize..stop as usize], value)?
    {
        return Ok(Value::Int(start + at as i64));
    }
    Err(not_there(c))
}

fn not_there(c: &Call<'_>) -> crate::error::RunError {
    RunErrorKind::NoItem {
        container: c.get("input").kind(),
        key: format!("item {}", super::super::index::key_text(c.get("value"))),
    }
    .into()
}

fn count(c: &Call<'_>) -> Result<Value> {
    let value = c.get("value");
    let n = match (c.get("input"), value) {
        (Value::Str(text), Value::Str(part)) if part.is_empty() => text.chars().count() + 1,
        (Value::Str(text), Value::Str(part)) => text.matches(&**part).count(),
        (Value::Tuple(_) | Value::List(_) | Value::Bytes(_), _) => {
            let mut n = 0;
            for item in elements(c, "input")? {
                n += usize::from(equal(&item, value)?);
            }
            n
        }
        _ => return Err(c.bad("input", "a list, a tuple or a text")),
    };
    Ok(Value::Int(n as i64))
}

/// The positions that a slice of a sequence of `len` items takes, in order.
pub(in super::super) fn slice_positions(
    op: &str,
    parts: &[Value; 3],
    len: usize,
) -> Result<Box<dyn Iterator<Item = usize>>> {
    let part = |v: &Value| match v {
        Value::None => Ok(None),
        other => match integer(other)? {
            Some(i) => Ok(Some(i)),
            None => Err(bad(op, "index", "integers in a slice", other)),
        },
    };
    let n = len as i64;
    let step = part(&parts[2])?.unwrap_or(1);
    if step == 0 {
        return Err(bad(op, "index", "a slice step other than zero", &parts[2]));
    }
    let clamp = |x: i64, low: i64, high: i64| (if x < 0 { x.saturating_add(n) } else { x }).clamp(low, high);
    let (start, stop) = (part(&parts[0])?, part(&parts[1])?);
    let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
    if step > 0 {
        let (first, end) = (start.map_or(0, |x| clamp(x, 0, n)), stop.map_or(n, |x| clamp(x, 0, n)));
        Ok(Box::new((first as usize..end.max(first) as usize).step_by(stride)))
    } else {
        let first = start.map_or(n - 1, |x| clamp(x, -1, n - 1));
        let end = stop.map_or(-1, |x| clamp(x, -1, n - 1));
        // One more on both sides, so that nothing is below zero.
        let range = (end + 2) as usize..(first.max(end) + 2) as usize;
        Ok(Box::new(range.rev().step_by(stride).map(|at| at - 1)))
    }
}
