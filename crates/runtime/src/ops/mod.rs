//! Operations by their canonical names: what a statement like `%3 = op "softmax" %2, -1` does.
//!
//! One table per theme lists each operation once: name, parameters, function. The verifier's signatures come from the
//! same tables. Names are PyTorch's methods and functions without their module (`matmul`, `cross_entropy`), Python's
//! operators without their underscores (`add`, `getitem`, `contains`) and the methods of Python's types (`append`,
//! `upper`); what a name does follows the type of its first argument, as a method call does. Where a function of
//! Python's differs from the method of that name, it has a prefix: `builtins.sum`, `builtins.int`, `math.sqrt`,
//! `set.add`, `list.sort`. A name ending in one underscore writes the result of the plain operation into its first
//! argument.

mod arithmetic;
mod call;
mod convert;
mod create;
mod einops;
mod einsum;
mod functional;
mod index;
mod join;
mod linear;
mod loader;
mod loss;
mod order;
mod pointwise;
mod python;
mod random;
mod reduce;
mod select;
mod shape;

use std::sync::LazyLock;

use pellucid_nn::{Value, Var};
use pellucid_program::{Signature, is_in_place_op};
use pellucid_tensor::{DType, Engine, Tensor, TensorError};
use rustc_hash::FxHashMap;

pub(crate) use call::Call;
pub(crate) use index::assign;

use crate::error::{Result, RunError, RunErrorKind};

/// One operation.
#[derive(Debug)]
pub(crate) struct OpDef {
    /// Canonical name, PyTorch's where it has one.
    pub name: &'static str,
    /// Parameters by position; `?` marks one that may be left out, `*` takes all further positional arguments,
    /// `**` all further keywords, and `|` separates further names of one.
    pub params: &'static [&'static str],
    /// What it does.
    pub run: fn(&Call<'_>) -> Result<Value>,
}

const fn op(
    name: &'static str,
    params: &'static [&'static str],
    run: fn(&Call<'_>) -> Result<Value>,
) -> OpDef {
    OpDef { name, params, run }
}

/// The tables, and whether their operations have a form that writes into the first argument.
const TABLES: &[(&[OpDef], bool)] = &[
    (arithmetic::OPS, true),
    (pointwise::OPS, true),
    (functional::POINTWISE, true),
    (functional::OPS, false),
    (convert::OPS, false),
    (convert::WRITES, true),
    (shape::OPS, false),
    (join::OPS, false),
    (einops::OPS, false),
    (einsum::OPS, false),
    (linear::OPS, true),
    (reduce::OPS, false),
    (reduce::SCANS, true),
    (order::OPS, false),
    (loss::OPS, false),
    (index::OPS, false),
    (select::READS, false),
    (select::OPS, true),
    (create::OPS, false),
    (random::OPS, true),
    (loader::OPS, false),
    (python::containers::OPS, false),
    (python::sets::OPS, false),
    (python::sequences::OPS, false),
    (python::iterate::OPS, false),
    (python::text::OPS, false),
    (python::numbers::OPS, false),
    (python::math::OPS, false),
];

static BY_NAME: LazyLock<FxHashMap<&'static str, (&'static OpDef, bool)>> = LazyLock::new(|| {
    TABLES.iter().flat_map(|(ops, in_place)| ops.iter().map(|op| (op.name, (op, *in_place)))).collect()
});

/// The operation that a name stands for, and whether the name is its in-place form.
fn find(name: &str) -> Option<(&'static OpDef, bool)> {
    if let Some((op, _)) = BY_NAME.get(name) {
        return Some((op, false));
    }
    let plain = name.strip_suffix('_').filter(|_| is_in_place_op(name))?;
    BY_NAME.get(plain).filter(|(_, in_place)| *in_place).map(|(op, _)| (*op, true))
}

/// All canonical names; those of in-place forms are left out.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|(ops, _)| ops.iter()).map(|op| op.name)
}

/// The arguments an operation takes.
#[must_use]
pub fn signature(name: &str) -> Option<Signature> {
    let (op, _) = find(name)?;
    let variadic = op.params.iter().any(|p| p.starts_with('*') && !p.starts_with("**"));
    let open = op.params.iter().any(|p| p.starts_with("**"));
    let positional = op.params.iter().filter(|p| !p.starts_with("**")).count();
    let mut keywords: Vec<String> =
        op.params.iter().flat_map(|p| call::names_of(p)).map(str::to_owned).collect();
    for (of, also) in [("dim", "axis"), ("keepdim", "keepdims"), ("input", "self")] {
        if keywords.iter().any(|k| k == of) {
            keywords.push(also.to_owned());
        }
    }
    keywords.extend(call::WITHOUT_EFFECT.iter().map(|&k| k.to_owned()));
    Some(Signature {
        required: op.params.iter().filter(|p| !p.ends_with('?') && !p.starts_with('*')).count(),
        positional: (!variadic).then_some(positional),
        keywords: (!open).then_some(keywords),
    })
}

/// Carries out an operation.
///
/// # Errors
/// [`RunErrorKind::Argument`] names the argument at fault; else what the tensors say.
pub fn call(engine: &Engine, name: &str, args: Vec<Value>, kwargs: Vec<(String, Value)>) -> Result<Value> {
    let Some((op, in_place)) = find(name) else {
        let what = format!("the operation `{name}`");
        return Err(RunErrorKind::Unsupported { what }.into());
    };
    let receiver = if in_place { args.first().cloned() } else { None };
    let call = Call::new(engine, op, args, kwargs)?;
    let value = (op.run)(&call)?;
    check_result(&call, &value)?;
    match receiver {
        None if !in_place => Ok(value),
        receiver => write(name, receiver.unwrap_or_default(), value),
    }
}

/// What an in-place form does with the result of the plain one.
fn write(name: &str, receiver: Value, value: Value) -> Result<Value> {
    match (&receiver, &value) {
        (Value::Tensor(var), Value::Tensor(result)) => {
            check_type(name, var.get()?.dtype(), result.get()?.dtype())?;
            assign(var, &[], &value)?;
        }
        (Value::List(items), Value::List(result)) => {
            let result = result.borrow().clone();
            *items.borrow_mut() = result;
        }
        _ => return Err(bad(name, "input", "a tensor to write into", &receiver)),
    }
    Ok(receiver)
}

/// A tensor takes no results of a higher category: integers no floats, truth values no numbers.
fn check_type(name: &str, into: DType, result: DType) -> Result<()> {
    let category = |d: DType| if d.is_float() { 2 } else { u8::from(d.is_int()) };
    if category(result) <= category(into) {
        return Ok(());
    }
    Err(RunErrorKind::Argument {
        op: name.into(),
        argument: "input".into(),
        expected: format!("a tensor that {result} values can be written into"),
        got: format!("{into} tensor"),
    }
    .into())
}

/// Refuses results that are absurdly large, before anything multiplies their sizes.
fn check_result(c: &Call<'_>, value: &Value) -> Result<()> {
    let check = |value: &Value| match value {
        Value::Tensor(var) => c.check_size("input", var.get()?.dims()),
        _ => Ok(()),
    };
    match value {
        Value::Tuple(items) => items.iter().try_for_each(check),
        Value::Record(record) => record.fields.borrow().iter().try_for_each(|(_, v)| check(v)),
        one => check(one),
    }
}

/// `start:stop:step` as a value.
pub(crate) fn slice_value(start: Value, stop: Value, step: Value) -> Value {
    Value::Slice([start, stop, step].into())
}

/// `...` as a value.
pub(crate) fn ellipsis() -> Value {
    Value::Ellipsis
}

/// An element type as a value.
pub(crate) fn dtype_value(dtype: DType) -> Value {
    Value::DType(dtype)
}

fn tensor(result: pellucid_tensor::Result<Tensor>) -> Result<Value> {
    Ok(Value::tensor(result?))
}

fn var(result: pellucid_tensor::Result<Var>) -> Result<Value> {
    Ok(Value::Tensor(result?))
}

fn bad(op: &str, argument: &str, expected: &str, got: &Value) -> RunError {
    RunErrorKind::Argument {
        op: op.into(),
        argument: argument.into(),
        expected: expected.into(),
        got: got.kind(),
    }
    .into()
}

/// An error of a tensor's shape.
fn bad_shape(op: &'static str, expected: impl Into<String>, got: &[usize]) -> RunError {
    RunError::new(TensorError::Shape { op, expected: expected.into(), got: got.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_stands_in_one_table_once() {
        let mut all: Vec<&str> = names().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn parameters_that_may_be_left_out_stand_behind_those_that_may_not() {
        for (op, _) in BY_NAME.values() {
            let optional = op.params.iter().position(|p| p.ends_with('?') || p.starts_with('*'));
            let required = op.params.iter().rposition(|p| !p.ends_with('?') && !p.starts_with('*'));
            assert!(optional.is_none_or(|o| required.is_none_or(|r| r < o)), "{}", op.name);
        }
    }
}
