//! The functions of Python's that go through what can be iterated over.

use std::cmp::Ordering;

use pellucid_nn::Value;

use super::super::call::MOST_ITEMS;
use super::super::{Call, OpDef, op};
use super::compare::order;
use super::numbers::truth;
use super::{elements, iterate, limited};
use crate::error::{Result, RunError, RunErrorKind};

pub(in super::super) const OPS: &[OpDef] = &[
    op("range", &["start", "stop?", "step?"], range),
    op("enumerate", &["items", "start?"], |c| {
        let start = c.int_or("start", 0)?;
        let number = |i: usize| start.checked_add(i as i64).ok_or_else(|| c.bad("start", "a smaller start"));
        let pairs = elements(c, "items")?
            .into_iter()
            .enumerate()
            .map(|(i, v)| Ok(Value::tuple([Value::Int(number(i)?), v])))
            .collect::<Result<Vec<_>>>()?;
        nested(c, pairs)
    }),
    op("zip", &["*items"], zip),
    op("reversed", &["items"], |c| {
        let mut items = elements(c, "items")?;
        items.reverse();
        Ok(Value::list(items))
    }),
    op("sorted", &["items", "reverse?"], |c| {
        Ok(Value::list(sorted(elements(c, "items")?, c.flag_or("reverse", false)?)?))
    }),
    op("slice", &["start", "stop?", "step?"], |c| {
        let [start, stop, step] = ["start", "stop", "step"].map(|n| c.get(n).clone());
        // `slice(n)` is `slice(None, n)`; all three are given by who writes `a:b`.
        Ok(super::super::slice_value(start, stop, step))
    }),
    op("builtins.sum", &["items", "start?"], |c| {
        let start = if c.has("start") { c.get("start").clone() } else { Value::Int(0) };
        elements(c, "items")?
            .into_iter()
            .try_fold(start, |sum, x| super::super::call(c.engine, "add", vec![sum, x], vec![]))
    }),
    op("builtins.max", &["*items", "default?"], |c| extreme(c, Ordering::Greater)),
    op("builtins.min", &["*items", "default?"], |c| extreme(c, Ordering::Less)),
    op("builtins.any", &["items"], |c| {
        for item in elements(c, "items")? {
            if truth(&item)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
    op("builtins.all", &["items"], |c| {
        for item in elements(c, "items")? {
            if !truth(&item)? {
                return Ok(Value::Bool(false));
            }
        }
        Ok(Value::Bool(true))
    }),
];

/// A new list of tuples, which are one level deeper than what they were made of.
fn nested(c: &Call<'_>, items: Vec<Value>) -> Result<Value> {
    for item in &items {
        super::check_nesting(c, None, item)?;
    }
    Ok(Value::list(items))
}

fn range(c: &Call<'_>) -> Result<Value> {
    let (start, stop) = if c.has("stop") { (c.int("start")?, c.int("stop")?) } else { (0, c.int("start")?) };
    let step = c.int_or("step", 1)?;
    if step == 0 {
        return Err(c.bad("step", "an integer other than zero"));
    }
    let (start, stop, step) = (i128::from(start), i128::from(stop), i128::from(step));
    let distance = if step > 0 { stop - start } else { start - stop };
    let len = if distance <= 0 { 0 } else { (distance + step.abs() - 1) / step.abs() };
    limited(c, "start", usize::try_from(len).unwrap_or(usize::MAX))?;
    Ok(Value::list((0..len).map(|i| Value::Int((start + i * step) as i64)).collect::<Vec<_>>()))
}

fn zip(c: &Call<'_>) -> Result<Value> {
    let all = c.rest().iter().map(|v| iterate(c, "items", v)).collect::<Result<Vec<_>>>()?;
    let len = all.iter().map(Vec::len).min().unwrap_or(0);
    limited(c, "items", len.saturating_mul(all.len()))?;
    nested(c, (0..len).map(|i| Value::tuple(all.iter().map(|items| items[i].clone()))).collect())
}

/// The items in ascending order (or descending); equal ones keep theirs.
pub(super) fn sorted(mut items: Vec<Value>, reverse: bool) -> Result<Vec<Value>> {
    // A comparison that fails, or that is inconsistent (NaN), must not end in a panic of the sort: positions are sorted
    // by insertion into runs of merge sort written out, which only asks "is b before a".
    let mut fault: Option<RunError> = None;
    let mut before = |a: &Value, b: &Value| -> bool {
        if fault.is_some() {
            return false;
        }
        match order(a, b) {
            Ok(o) => o == Some(if reverse { Ordering::Greater } else { Ordering::Less }),
            Err(e) => {
                fault = Some(e);
                false
            }
        }
    };
    let n = items.len();
    let mut width = 1;
    while width < n {
        let mut merged = Vec::with_capacity(n);
        for run in items.chunks(2 * width) {
            let (left, right) = run.split_at(width.min(run.len()));
            let (mut i, mut j) = (0, 0);
            while i < left.len() && j < right.len() {
                if before(&right[j], &left[i]) {
                    merged.push(right[j].clone());
                    j += 1;
                } else {
                    merged.push(left[i].clone());
                    i += 1;
                }
            }
            merged.extend_from_slice(&left[i..]);
            merged.extend_from_slice(&right[j..]);
        }
        items = merged;
        width *= 2;
    }
    match fault {
        Some(fault) => Err(fault),
        None => Ok(items),
    }
}

fn extreme(c: &Call<'_>, wanted: Ordering) -> Result<Value> {
    let items = match c.rest() {
        [one] => iterate(c, "items", one)?,
        many => many.to_vec(),
    };
    let mut best: Option<Value> = None;
    for item in items.into_iter().take(MOST_ITEMS) {
        let better = match &best {
            None => true,
            Some(best) => order(&item, best)? == Some(wanted),
        };
        if better {
            best = Some(item);
        }
    }
    match best {
        Some(best) => Ok(best),
        None if c.has("default") => Ok(c.get("default").clone()),
        None => Err(RunErrorKind::Argument {
            op: c.name().into(),
            argument: "items".into(),
            expected: "at least one item".into(),
            got: "none".into(),
        }
        .into()),
    }
}
