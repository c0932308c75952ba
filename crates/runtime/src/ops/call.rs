//! The arguments of one operation, by name.

use std::rc::Rc;

use pellucid_nn::{Value, Var};
use pellucid_tensor::{DType, Engine, Scalar, Tensor};

use super::{OpDef, bad};
use crate::error::{Result, RunError, RunErrorKind};

/// An operation with its arguments sorted to its parameters.
pub(crate) struct Call<'a> {
    pub(crate) engine: &'a Engine,
    op: &'static OpDef,
    /// One for each parameter that is not variadic; `None` where absent.
    args: Vec<Value>,
    /// What a `*` parameter took.
    rest: Vec<Value>,
    /// Whether it was called without any argument.
    pub(crate) is_empty: bool,
    /// What a `**` parameter took.
    named: Vec<(String, Value)>,
}

/// Keywords of PyTorch's that change nothing here: there is one device, and results are new tensors.
pub(super) const WITHOUT_EFFECT: &[&str] = &[
    "device",
    "inplace",
    "layout",
    "memory_format",
    "non_blocking",
    "out_dtype",
    "pin_memory",
    "requires_grad",
];

/// The names a parameter goes by, the first of them its own.
pub(super) fn names_of(param: &'static str) -> impl Iterator<Item = &'static str> {
    param.trim_matches(['?', '*']).split('|')
}

/// The parameter's name for a keyword that NumPy or Python would write.
fn canonical_keyword(keyword: &str) -> &str {
    match keyword {
        "axis" => "dim",
        "keepdims" => "keepdim",
        "self" => "input",
        other => other,
    }
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        op: &'static OpDef,
        args: Vec<Value>,
        kwargs: Vec<(String, Value)>,
    ) -> Result<Call<'a>> {
        let fixed = op.params.iter().take_while(|p| !p.starts_with('*')).count();
        let variadic = op.params.iter().any(|p| p.starts_with('*') && !p.starts_with("**"));
        let open = op.params.iter().any(|p| p.starts_with("**"));
        let is_empty = args.is_empty() && kwargs.is_empty();
        let mut call = Call {
            engine,
            op,
            args: vec![Value::None; op.params.len()],
            rest: Vec::new(),
            is_empty,
            named: Vec::new(),
        };
        for (i, value) in args.into_iter().enumerate() {
            if i < fixed {
                call.args[i] = value;
            } else if variadic {
                call.rest.push(value);
            } else {
                let expected = format!("at most {fixed} arguments");
                return Err(bad(op.name, &format!("number {}", i + 1), &expected, &value));
            }
        }
        for (keyword, value) in kwargs {
            let at = call.keyword(&keyword).or_else(|| call.keyword(canonical_keyword(&keyword)));
            match at {
                Some(i) if op.params[i].starts_with('*') => call.rest.push(value),
                Some(i) => call.args[i] = value,
                None if open => call.named.push((keyword, value)),
                None if WITHOUT_EFFECT.contains(&keyword.as_str()) => {}
                None => return Err(bad(op.name, &keyword, &format!("one of {:?}", op.params), &value)),
            }
        }
        Ok(call)
    }

    fn keyword(&self, keyword: &str) -> Option<usize> {
        self.op.params.iter().position(|p| names_of(p).any(|n| n == keyword))
    }

    /// The operation's name.
    pub(crate) fn name(&self) -> &'static str {
        self.op.name
    }

    /// An error about an argument.
    pub(crate) fn bad(&self, argument: &str, expected: &str) -> RunError {
        bad(self.op.name, argument, expected, self.get(argument))
    }

    fn position(&self, name: &str) -> usize {
        let found = self.op.params.iter().position(|p| names_of(p).next() == Some(name));
        debug_assert!(found.is_some(), "`{}` has no parameter `{name}`", self.op.name);
        found.unwrap_or(0)
    }

    /// Whether the argument was given, and not as `None`.
    pub(crate) fn has(&self, name: &str) -> bool {
        !matches!(self.get(name), Value::None)
    }

    /// The argument as it is; `None` if absent.
    pub(crate) fn get(&self, name: &str) -> &Value {
        &self.args[self.position(name)]
    }

    /// What the variadic parameter took.
    pub(crate) fn rest(&self) -> &[Value] {
        &self.rest
    }

    /// What the parameter for any keyword took.
    pub(crate) fn named(&self) -> &[(String, Value)] {
        &self.named
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

    /// A number. That of a tensor with one element is computed.
    pub(crate) fn scalar(&self, name: &str) -> Result<Scalar> {
        match self.get(name) {
            Value::Tensor(var) if var.get()?.numel() == 1 => Ok(var.get()?.item()?),
            other => number(other).ok_or_else(|| bad(self.op.name, name, "a number", other)),
        }
    }

    /// A number as a double, or the default.
    pub(crate) fn float_or(&self, name: &str, default: f64) -> Result<f64> {
        Ok(self.scalar_or(name, default)?.to_f64())
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

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<Rc<str>> {
        match self.get(name) {
            Value::Str(s) => Ok(s.clone()),
            other => Err(bad(self.op.name, name, "a text", other)),
        }
    }

    /// A text, or the default.
    pub(crate) fn text_or(&self, name: &str, default: &str) -> Result<Rc<str>> {
        if self.has(name) { self.text(name) } else { Ok(default.into()) }
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

    /// Integers of at least zero.
    pub(crate) fn counts(&self, name: &str, sizes: &[i64]) -> Result<Vec<usize>> {
        let count = |&s: &i64| {
            usize::try_from(s)
                .map_err(|_| bad(self.op.name, name, "integers of at least zero", &Value::Int(s)))
        };
        sizes.iter().map(count).collect()
    }

    /// One integer of at least zero.
    pub(crate) fn count(&self, name: &str) -> Result<usize> {
        Ok(self.counts(name, &[self.int(name)?])?[0])
    }

    /// Sizes of a new tensor, if it is not absurdly large.
    pub(crate) fn dims(&self, name: &str, sizes: &[i64]) -> Result<Vec<usize>> {
        let dims = self.counts(name, sizes)?;
        self.check_size(name, &dims)?;
        Ok(dims)
    }

    /// Refuses shapes whose elements no machine holds, before anything multiplies their sizes.
    pub(crate) fn check_size(&self, name: &str, dims: &[usize]) -> Result<()> {
        if fits(dims) {
            return Ok(());
        }
        Err(RunErrorKind::Argument {
            op: self.op.name.into(),
            argument: name.into(),
            expected: format!("at most {MOST_ELEMENTS} elements in at most {MOST_DIMS} dimensions"),
            got: if dims.len() > MOST_DIMS {
                format!("{} dimensions", dims.len())
            } else {
                format!("shape {dims:?}")
            },
        }
        .into())
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
        let items = match self.get(name) {
            Value::Tuple(items) => items.to_vec(),
            Value::List(items) => items.borrow().clone(),
            Value::Tensor(var) => rows(var)?,
            other => return Err(bad(self.op.name, name, "a sequence of tensors", other)),
        };
        self.all_tensors(name, &items)
    }

    /// Tensors given either one by one or as one sequence.
    pub(crate) fn many_tensors(&self, name: &str) -> Result<Vec<Tensor>> {
        match self.rest() {
            [Value::Tuple(items)] => self.all_tensors(name, items),
            [Value::List(items)] => self.all_tensors(name, &items.borrow()),
            many => self.all_tensors(name, many),
        }
    }

    fn all_tensors(&self, name: &str, items: &[Value]) -> Result<Vec<Tensor>> {
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

/// The most elements of one tensor: more than any machine holds, few enough that sizes can be multiplied safely.
pub(super) const MOST_ELEMENTS: usize = 1 << 36;

/// The most dimensions of a tensor.
pub(super) const MOST_DIMS: usize = 25;

/// The most items of a list that one operation makes.
pub(super) const MOST_ITEMS: usize = 1 << 23;

/// Whether a shape is not absurdly large; empty ones have sizes that can be multiplied, too.
pub(super) fn fits(dims: &[usize]) -> bool {
    let all = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    dims.len() <= MOST_DIMS && all.is_some_and(|n| n <= MOST_ELEMENTS)
}

/// The slices of a tensor along its first dimension, as views: what iterating over it gives.
pub(super) fn rows(var: &Var) -> Result<Vec<Value>> {
    let Some(&n) = var.get()?.dims().first() else {
        return Err(bad("iterate", "input", "a tensor with dimensions", &Value::Tensor(var.clone())));
    };
    if n > MOST_ITEMS {
        return Err(bad(
            "iterate",
            "input",
            &format!("at most {MOST_ITEMS} rows"),
            &Value::Tensor(var.clone()),
        ));
    }
    (0..n as i64).map(|i| Ok(Value::Tensor(var.index(&[i.into()])?))).collect()
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
