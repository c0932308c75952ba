//! The arguments of one operation, by name.

use pellucid_nn::{Value, Var};
use pellucid_tensor::{DType, Engine, Scalar, Tensor};

use super::{OpDef, bad};
use crate::error::{Result, RunErrorKind};

/// An operation with its arguments sorted to its parameters.
pub(crate) struct Call<'a> {
    pub(crate) engine: &'a Engine,
    op: &'static OpDef,
    /// One for each parameter that is not variadic; `None` where absent.
    args: Vec<Value>,
    /// What a `*` parameter took.
    rest: Vec<Value>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        op: &'static OpDef,
        args: Vec<Value>,
        kwargs: Vec<(String, Value)>,
    ) -> Result<Call<'a>> {
        let fixed: Vec<&str> = op.params.iter().copied().take_while(|p| !p.starts_with('*')).collect();
        let variadic = op.params.len() > fixed.len();
        let mut call = Call { engine, op, args: vec![Value::None; op.params.len()], rest: Vec::new() };
        for (i, value) in args.into_iter().enumerate() {
            if i < fixed.len() {
                call.args[i] = value;
            } else if variadic {
                call.rest.push(value);
            } else {
                return Err(RunErrorKind::Argument {
                    op: op.name.into(),
                    argument: format!("number {}", i + 1),
                    expected: format!("at most {} arguments", fixed.len()),
                    got: value.kind(),
                }
                .into());
            }
        }
        for (name, value) in kwargs {
            let name = match name.as_str() {
                "axis" => "dim",
                "keepdims" => "keepdim",
                "self" => "input",
                other => other,
            };
            let at = op.params.iter().position(|p| p.trim_end_matches('?').trim_start_matches('*') == name);
            match at {
                Some(i) if op.params[i].starts_with('*') => call.rest.push(value),
                Some(i) => {
                    call.args[i] = value;
                }
                None => {
                    return Err(RunErrorKind::Argument {
                        op: op.name.into(),
                        argument: name.into(),
                        expected: format!("one of {:?}", op.params),
                        got: value.kind(),
                    }
                    .into());
                }
            }
        }
        Ok(call)
    }

    /// The operation's name.
    pub(crate) fn name(&self) -> &'static str {
        self.op.name
    }

    fn position(&self, name: &str) -> usize {
        let found = self.op.params.iter().position(|p| p.trim_matches(['?', '*']) == name);
        debug_assert!(found.is_some(), "`{}` has no parameter `{name}`", self.op.name);
        found.unwrap_or(0)
    }

    /// The argument as it is; `None` if absent.
    pub(crate) fn get(&self, name: &str) -> &Value {
        &self.args[self.position(name)]
    }

    /// What the variadic parameter took.
    pub(crate) fn rest(&self) -> &[Value] {
        &self.rest
    }

    /// A tensor with its storage.
    pub(crate) fn var(&self, name: &str) -> Result<Var> {
        match self.get(name) {
            Value::Tensor(var) => Ok(var.clone()),
            other => Err(bad(self.op.name, name, "a tensor", other)),
        }
    }

    /// A tensor; numbers become tensors without dimensions.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor> {
        match self.get(name) {
            Value::Tensor(var) => Ok(var.get()?),
            other => match number(other) {
                Some(scalar) => Ok(self.engine.scalar(scalar)),
                None => Err(bad(self.op.name, name, "a tensor", other)),
            },
        }
    }

    /// A tensor, if given.
    pub(crate) fn optional_tensor(&self, name: &str) -> Result<Option<Tensor>> {
        match self.get(name) {
            Value::None => Ok(None),
            _ => self.tensor(name).map(Some),
        }
    }

    /// A number, if it is one.
    pub(crate) fn scalar(&self, name: &str) -> Result<Scalar> {
        number(self.get(name)).ok_or_else(|| bad(self.op.name, name, "a number", self.get(name)))
    }

    /// A number, or the default.
    pub(crate) fn scalar_or(&self, name: &str, default: impl Into<Scalar>) -> Result<Scalar> {
        match self.get(name) {
            Value::None => Ok(default.into()),
            _ => self.scalar(name),
        }
    }

    /// An integer. A computed one is evaluated: shapes may depend on it.
    pub(crate) fn int(&self, name: &str) -> Result<i64> {
        integer(self.get(name))?.ok_or_else(|| bad(self.op.name, name, "an integer", self.get(name)))
    }

    /// An integer, if given.
    pub(crate) fn optional_int(&self, name: &str) -> Result<Option<i64>> {
        match self.get(name) {
            Value::None => Ok(None),
            _ => self.int(name).map(Some),
        }
    }

    /// An integer, or the default.
    pub(crate) fn int_or(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.optional_int(name)?.unwrap_or(default))
    }

    /// A truth value, or the default.
    pub(crate) fn flag_or(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            Value::None => Ok(default),
            Value::Bool(b) => Ok(*b),
            Value::Int(i) => Ok(*i != 0),
            other => Err(bad(self.op.name, name, "True or False", other)),
        }
    }

    /// A text, or the default.
    pub(crate) fn text_or(&self, name: &str, default: &str) -> Result<String> {
        match self.get(name) {
            Value::None => Ok(default.into()),
            Value::Str(s) => Ok((**s).to_owned()),
            other => Err(bad(self.op.name, name, "a text", other)),
        }
    }

    /// An element type, if given.
    pub(crate) fn optional_dtype(&self, name: &str) -> Result<Option<DType>> {
        match self.get(name) {
            Value::None => Ok(None),
            Value::DType(d) => Ok(Some(*d)),
            Value::Str(s) => match DType::parse(s) {
                Some(d) => Ok(Some(d)),
                None => Err(bad(self.op.name, name, "an element type", self.get(name))),
            },
            other => Err(bad(self.op.name, name, "an element type", other)),
        }
    }

    /// Integers: one, a sequence of them, or none.
    pub(crate) fn ints(&self, name: &str) -> Result<Vec<i64>> {
        self.as_ints(name, self.get(name))
    }

    /// Integers given either one by one or as one sequence, as sizes are.
    pub(crate) fn sizes(&self, name: &str) -> Result<Vec<i64>> {
        match self.rest() {
            [one @ (Value::Tuple(_) | Value::List(_))] => self.as_ints(name, one),
            many => many.iter().map(|v| self.as_int(name, v)).collect(),
        }
    }

    fn as_int(&self, name: &str, value: &Value) -> Result<i64> {
        integer(value)?.ok_or_else(|| bad(self.op.name, name, "an integer", value))
    }

    fn as_ints(&self, name: &str, value: &Value) -> Result<Vec<i64>> {
        match value {
            Value::None => Ok(Vec::new()),
            Value::Tuple(items) => items.iter().map(|v| self.as_int(name, v)).collect(),
            Value::List(items) => items.borrow().iter().map(|v| self.as_int(name, v)).collect(),
            one => Ok(vec![self.as_int(name, one)?]),
        }
    }

    /// Tensors: a sequence of them, given as one argument.
    pub(crate) fn tensors(&self, name: &str) -> Result<Vec<Tensor>> {
        let value = self.get(name);
        let items = match value {
            Value::Tuple(items) => items.to_vec(),
            Value::List(items) => items.borrow().clone(),
            other => return Err(bad(self.op.name, name, "a sequence of tensors", other)),
        };
        items
            .iter()
            .map(|v| match v {
                Value::Tensor(var) => Ok(var.get()?),
                other => match number(other) {
                    Some(scalar) => Ok(self.engine.scalar(scalar)),
                    None => Err(bad(self.op.name, name, "a sequence of tensors", other)),
                },
            })
            .collect()
    }
}

/// The number a value is.
pub(crate) fn number(value: &Value) -> Option<Scalar> {
    match value {
        Value::Bool(b) => Some(Scalar::Bool(*b)),
        Value::Int(i) => Some(Scalar::Int(*i)),
        Value::Float(f) => Some(Scalar::Float(*f)),
        _ => None,
    }
}

/// The integer a value is; a tensor with one integer is computed.
pub(crate) fn integer(value: &Value) -> Result<Option<i64>> {
    Ok(match value {
        Value::Int(i) => Some(*i),
        Value::Bool(b) => Some(i64::from(*b)),
        Value::Tensor(var) => {
            let tensor = var.get()?;
            if tensor.numel() != 1 || tensor.dtype().is_float() {
                return Ok(None);
            }
            Some(tensor.item()?.to_i64())
        }
        _ => None,
    })
}
