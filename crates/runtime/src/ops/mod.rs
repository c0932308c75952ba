//! Operations by their canonical names: what a statement like `%3 = op "softmax" %2, -1` does.
//!
//! One table per theme lists each operation once: name, parameters, function. The verifier's signatures come from the
//! same tables. A name ending in one underscore writes the result of the plain operation into its first argument.

mod call;
mod container;
mod create;
mod index;
mod math;
mod reduce;
mod shape;

use pellucid_nn::{Value, Var};
use pellucid_program::{Signature, is_in_place_op};
use pellucid_tensor::{DType, Engine};

pub(crate) use call::Call;
pub(crate) use index::assign;

use crate::error::{Result, RunError, RunErrorKind};

/// One operation.
pub(crate) struct OpDef {
    /// Canonical name, PyTorch's where it has one.
    pub name: &'static str,
    /// Parameters by position; `?` marks one that may be left out, `*` takes all further positional arguments.
    pub params: &'static [&'static str],
    /// What it does.
    pub run: fn(&Call<'_>) -> Result<Value>,
}

const TABLES: &[&[OpDef]] = &[math::OPS, shape::OPS, reduce::OPS, index::OPS, create::OPS, container::OPS];

fn find(name: &str) -> Option<&'static OpDef> {
    // Some dozens of short tables' rows: comparing names is quicker than it looks beside building a tensor.
    TABLES.iter().flat_map(|t| t.iter()).find(|op| op.name == name)
}

/// The operation that an in-place name stands for.
fn plain_name(name: &str) -> &str {
    match name {
        "setitem" | "setattr" => name,
        _ if is_in_place_op(name) => &name[..name.len() - 1],
        _ => name,
    }
}

/// All canonical names.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|t| t.iter()).map(|op| op.name)
}

/// The arguments an operation takes.
#[must_use]
pub fn signature(name: &str) -> Option<Signature> {
    let op = find(name).or_else(|| find(plain_name(name)))?;
    let variadic = op.params.iter().any(|p| p.starts_with('*'));
    Some(Signature {
        required: op.params.iter().filter(|p| !p.ends_with('?') && !p.starts_with('*')).count(),
        positional: (!variadic).then_some(op.params.len()),
        keywords: Some(op.params.iter().map(|p| p.trim_end_matches('?').to_owned()).collect()),
    })
}

/// Carries out an operation.
///
/// # Errors
/// [`RunErrorKind::Argument`] names the argument at fault; else what the tensors say.
pub fn call(engine: &Engine, name: &str, args: Vec<Value>, kwargs: Vec<(String, Value)>) -> Result<Value> {
    let in_place = find(name).is_none() && is_in_place_op(name);
    let Some(op) = find(name).or_else(|| find(plain_name(name))) else {
        let what = format!("the operation `{name}`");
        return Err(RunErrorKind::Unsupported { what }.into());
    };
    let receiver = args.first().cloned();
    let call = Call::new(engine, op, args, kwargs)?;
    let value = (op.run)(&call)?;
    match (in_place, &receiver) {
        (false, _) => Ok(value),
        (true, Some(Value::Tensor(var))) => {
            assign(var, &[], &value)?;
            Ok(Value::Tensor(var.clone()))
        }
        (true, other) => Err(RunErrorKind::Argument {
            op: name.into(),
            argument: "input".into(),
            expected: "a tensor to write into".into(),
            got: other.clone().unwrap_or_default().kind(),
        }
        .into()),
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

fn tensor(result: pellucid_tensor::Result<pellucid_tensor::Tensor>) -> Result<Value> {
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
