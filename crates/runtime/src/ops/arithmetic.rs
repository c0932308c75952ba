//! Operators of two operands: arithmetic, comparison, logic. On tensors they are PyTorch's, on other values Python's.

use pellucid_nn::Value;
use pellucid_tensor::{BinaryOp, DType, Tensor};

use super::call::number;
use super::python::{numbers, operators};
use super::{Call, OpDef, op, tensor};
use crate::error::Result;

macro_rules! binary {
    ($name:literal, $op:ident) => {
        op($name, &["input", "other|exponent"], |c| binary(c, BinaryOp::$op))
    };
}

macro_rules! reflected {
    ($name:literal, $op:ident) => {
        op($name, &["input", "other"], |c| apply(c, BinaryOp::$op, c.get("other"), c.get("input")))
    };
}

pub(super) const OPS: &[OpDef] = &[
    op("add", &["input", "other", "alpha?"], |c| scaled(c, BinaryOp::Add, false)),
    op("sub", &["input", "other", "alpha?"], |c| scaled(c, BinaryOp::Sub, false)),
    op("subtract", &["input", "other", "alpha?"], |c| scaled(c, BinaryOp::Sub, false)),
    op("rsub", &["input", "other", "alpha?"], |c| scaled(c, BinaryOp::Sub, true)),
    binary!("mul", Mul),
    binary!("multiply", Mul),
    op("div", &["input", "other", "rounding_mode?"], div),
    op("divide", &["input", "other", "rounding_mode?"], div),
    binary!("truediv", Div),
    binary!("true_divide", Div),
    binary!("floordiv", FloorDiv),
    binary!("floor_divide", FloorDiv),
    binary!("mod", Remainder),
    binary!("remainder", Remainder),
    binary!("fmod", Fmod),
    binary!("pow", Pow),
    op("float_power", &["input", "other|exponent"], |c| {
        let (x, y) = (c.tensor("input")?.cast(DType::F64), c.tensor("other")?.cast(DType::F64));
        tensor(x.binary(BinaryOp::Pow, &y))
    }),
    binary!("maximum", Maximum),
    binary!("minimum", Minimum),
    binary!("atan2", Atan2),
    binary!("eq", Eq),
    binary!("ne", Ne),
    binary!("not_equal", Ne),
    binary!("lt", Lt),
    binary!("less", Lt),
    binary!("le", Le),
    binary!("less_equal", Le),
    binary!("gt", Gt),
    binary!("greater", Gt),
    binary!("ge", Ge),
    binary!("greater_equal", Ge),
    binary!("and", BitAnd),
    binary!("or", BitOr),
    binary!("xor", BitXor),
    binary!("bitwise_and", BitAnd),
    binary!("bitwise_or", BitOr),
    binary!("bitwise_xor", BitXor),
    binary!("lshift", ShiftLeft),
    binary!("bitwise_left_shift", ShiftLeft),
    binary!("rshift", ShiftRight),
    binary!("bitwise_right_shift", ShiftRight),
    reflected!("radd", Add),
    reflected!("rmul", Mul),
    reflected!("rtruediv", Div),
    reflected!("rfloordiv", FloorDiv),
    reflected!("rmod", Remainder),
    reflected!("rpow", Pow),
    reflected!("rlshift", ShiftLeft),
    reflected!("rrshift", ShiftRight),
    op("logical_and", &["input", "other"], |c| logical(c, BinaryOp::BitAnd)),
    op("logical_or", &["input", "other"], |c| logical(c, BinaryOp::BitOr)),
    op("logical_xor", &["input", "other"], |c| logical(c, BinaryOp::BitXor)),
    op("is", &["input", "other"], |c| Ok(Value::Bool(same(c.get("input"), c.get("other"))))),
    op("is_not", &["input", "other"], |c| Ok(Value::Bool(!same(c.get("input"), c.get("other"))))),
];

fn binary(c: &Call<'_>, op: BinaryOp) -> Result<Value> {
    apply(c, op, c.get("input"), c.get("other"))
}

/// `a op b`.
fn apply(c: &Call<'_>, op: BinaryOp, a: &Value, b: &Value) -> Result<Value> {
    match (a, b) {
        (Value::Tensor(x), Value::Tensor(y)) => tensor(x.get()?.binary(op, &y.get()?)),
        (Value::Tensor(x), other) => match number(other) {
            Some(n) => tensor(x.get()?.binary_scalar(op, n)),
            None => beside_tensor(c, op, "other", other),
        },
        (other, Value::Tensor(y)) => match number(other) {
            Some(n) => tensor(y.get()?.scalar_binary(op, n)),
            None => beside_tensor(c, op, "input", other),
        },
        (a, b) => operators::binary(c, op, a, b),
    }
}

/// A tensor equals nothing that is neither a tensor nor a number.
fn beside_tensor(c: &Call<'_>, op: BinaryOp, name: &str, other: &Value) -> Result<Value> {
    match op {
        BinaryOp::Eq => Ok(Value::Bool(false)),
        BinaryOp::Ne => Ok(Value::Bool(true)),
        _ => Err(super::bad(c.name(), name, "a tensor or a number", other)),
    }
}

/// Sums and differences, with PyTorch's factor on the second operand.
fn scaled(c: &Call<'_>, op: BinaryOp, swap: bool) -> Result<Value> {
    let (a, b) = (c.get("input"), c.get("other"));
    let (a, b) = if swap { (b, a) } else { (a, b) };
    if !c.has("alpha") {
        return apply(c, op, a, b);
    }
    let factor = c.scalar("alpha")?;
    let scale = |x: Tensor| x.mul_scalar(factor);
    let (x, y) = (c.tensor("input")?, c.tensor("other")?);
    tensor(if swap { y.binary(op, &scale(x)?) } else { x.binary(op, &scale(y)?) })
}

fn div(c: &Call<'_>) -> Result<Value> {
    match &*c.text_or("rounding_mode", "")? {
        "floor" => binary(c, BinaryOp::FloorDiv),
        "" => binary(c, BinaryOp::Div),
        "trunc" => {
            let (a, b) = (c.tensor("input")?, c.tensor("other")?);
            let exact =
                pellucid_tensor::dtype::result_type(&[priority(c, "input", &a), priority(c, "other", &b)]);
            if exact.is_float() {
                return tensor(a.div(&b)?.trunc());
            }
            // Through the remainder: a quotient of floats would lose digits of large integers.
            let (a, b) = (a.cast(exact), b.cast(exact));
            tensor(a.sub(&a.fmod(&b)?)?.floor_divide(&b))
        }
        _ => Err(c.bad("rounding_mode", "None, \"trunc\" or \"floor\"")),
    }
}

/// How much an operand has to say about the result's type.
fn priority(
    c: &Call<'_>,
    name: &str,
    x: &Tensor,
) -> (pellucid_tensor::DType, pellucid_tensor::dtype::Priority) {
    use pellucid_tensor::dtype::Priority;
    let priority = match c.get(name) {
        Value::Tensor(_) if x.rank() > 0 => Priority::Dimensioned,
        Value::Tensor(_) => Priority::ZeroDim,
        _ => Priority::Number,
    };
    (x.dtype(), priority)
}

fn logical(c: &Call<'_>, op: BinaryOp) -> Result<Value> {
    tensor(c.tensor("input")?.logical(op, &c.tensor("other")?))
}

/// `a is b`: one object, or equal values of which there is only one.
fn same(a: &Value, b: &Value) -> bool {
    use std::rc::Rc;
    match (a, b) {
        (Value::Tensor(x), Value::Tensor(y)) => {
            x.same_storage(y) && matches!((x.get(), y.get()), (Ok(x), Ok(y)) if x.same_node(&y))
        }
        (Value::List(x), Value::List(y)) | (Value::Set(x), Value::Set(y)) => Rc::ptr_eq(x, y),
        (Value::Dict(x), Value::Dict(y)) => Rc::ptr_eq(x, y),
        (Value::Record(x), Value::Record(y)) => Rc::ptr_eq(x, y),
        (Value::Tuple(x), Value::Tuple(y)) => Rc::ptr_eq(x, y),
        (Value::Bool(_), Value::Int(_)) | (Value::Int(_), Value::Bool(_)) => false,
        (Value::Float(x), Value::Float(y)) => x.to_bits() == y.to_bits(),
        (Value::Float(_), _) | (_, Value::Float(_)) => false,
        _ => numbers::Number::of(a) == numbers::Number::of(b) && super::python::compare::same_key(a, b),
    }
}
