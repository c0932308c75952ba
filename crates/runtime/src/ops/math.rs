//! Elementwise operations, products, activations.

use pellucid_nn::Value;
use pellucid_tensor::{BinaryOp, DType, Scalar, UnaryOp};

use super::call::number;
use super::{Call, OpDef, bad, tensor};
use crate::error::Result;

macro_rules! unary {
    ($name:literal, $op:ident) => {
        OpDef { name: $name, params: &["input"], run: |c| tensor(c.tensor("input")?.unary(UnaryOp::$op)) }
    };
}

macro_rules! binary {
    ($name:literal, $op:ident) => {
        OpDef { name: $name, params: &["input", "other"], run: |c| binary(c, BinaryOp::$op) }
    };
}

pub(super) const OPS: &[OpDef] = &[
    binary!("sub", Sub),
    binary!("mul", Mul),
    binary!("floordiv", FloorDiv),
    binary!("floor_divide", FloorDiv),
    binary!("mod", Remainder),
    binary!("remainder", Remainder),
    binary!("fmod", Fmod),
    binary!("pow", Pow),
    binary!("maximum", Maximum),
    binary!("minimum", Minimum),
    binary!("atan2", Atan2),
    binary!("eq", Eq),
    binary!("ne", Ne),
    binary!("lt", Lt),
    binary!("le", Le),
    binary!("gt", Gt),
    binary!("ge", Ge),
    binary!("and", BitAnd),
    binary!("or", BitOr),
    binary!("xor", BitXor),
    binary!("bitwise_and", BitAnd),
    binary!("bitwise_or", BitOr),
    binary!("bitwise_xor", BitXor),
    binary!("lshift", ShiftLeft),
    binary!("rshift", ShiftRight),
    OpDef { name: "add", params: &["input", "other", "alpha?"], run: add },
    OpDef { name: "div", params: &["input", "other", "rounding_mode?"], run: div },
    OpDef { name: "truediv", params: &["input", "other"], run: |c| binary(c, BinaryOp::Div) },
    OpDef { name: "rsub", params: &["input", "other"], run: |c| reversed(c, BinaryOp::Sub) },
    OpDef { name: "logical_and", params: &["input", "other"], run: |c| logical(c, BinaryOp::BitAnd) },
    OpDef { name: "logical_or", params: &["input", "other"], run: |c| logical(c, BinaryOp::BitOr) },
    OpDef { name: "logical_xor", params: &["input", "other"], run: |c| logical(c, BinaryOp::BitXor) },
    unary!("abs", Abs),
    unary!("sign", Sign),
    unary!("exp", Exp),
    unary!("expm1", Expm1),
    unary!("log", Log),
    unary!("log1p", Log1p),
    unary!("sqrt", Sqrt),
    unary!("rsqrt", Rsqrt),
    unary!("reciprocal", Reciprocal),
    unary!("sin", Sin),
    unary!("cos", Cos),
    unary!("tan", Tan),
    unary!("tanh", Tanh),
    unary!("erf", Erf),
    unary!("sigmoid", Sigmoid),
    unary!("relu", Relu),
    unary!("silu", Silu),
    unary!("floor", Floor),
    unary!("ceil", Ceil),
    unary!("round", Round),
    unary!("trunc", Trunc),
    unary!("invert", BitNot),
    unary!("bitwise_not", BitNot),
    unary!("logical_not", LogicalNot),
    unary!("isnan", IsNan),
    unary!("isinf", IsInf),
    OpDef { name: "neg", params: &["input"], run: neg },
    OpDef { name: "pos", params: &["input"], run: |c| Ok(c.get("input").clone()) },
    OpDef { name: "isfinite", params: &["input"], run: |c| tensor(c.tensor("input")?.isfinite()) },
    OpDef { name: "gelu", params: &["input", "approximate?"], run: gelu },
    OpDef {
        name: "square",
        params: &["input"],
        run: |c| {
            let x = c.tensor("input")?;
            tensor(x.mul(&x))
        },
    },
    OpDef { name: "softplus", params: &["input", "beta?", "threshold?"], run: softplus },
    OpDef { name: "clamp", params: &["input", "min?", "max?"], run: clamp },
    OpDef { name: "where", params: &["condition", "input", "other"], run: where_ },
    OpDef { name: "masked_fill", params: &["input", "mask", "value"], run: masked_fill },
    OpDef { name: "matmul", params: &["input", "other"], run: matmul },
    OpDef { name: "mm", params: &["input", "other"], run: matmul },
    OpDef { name: "bmm", params: &["input", "other"], run: matmul },
    OpDef { name: "mv", params: &["input", "other"], run: matmul },
    OpDef { name: "dot", params: &["input", "other"], run: matmul },
    OpDef { name: "linear", params: &["input", "weight", "bias?"], run: linear },
    OpDef { name: "zero", params: &["input"], run: |c| fill(c, Scalar::Int(0)) },
    OpDef { name: "fill", params: &["input", "value"], run: |c| fill(c, c.scalar("value")?) },
    OpDef {
        name: "copy",
        params: &["input", "source"],
        run: |c| tensor(c.tensor("source")?.expand(&sizes(c)?)),
    },
    OpDef { name: "to", params: &["input", "dtype?", "device?", "*rest"], run: to },
    OpDef { name: "type_as", params: &["input", "other"], run: |c| cast(c, c.tensor("other")?.dtype()) },
    OpDef { name: "float", params: &["input"], run: |c| to_number(c, DType::F32) },
    OpDef { name: "double", params: &["input"], run: |c| cast(c, DType::F64) },
    OpDef { name: "half", params: &["input"], run: |c| cast(c, DType::F16) },
    OpDef { name: "bfloat16", params: &["input"], run: |c| cast(c, DType::BF16) },
    OpDef { name: "int", params: &["input"], run: |c| to_number(c, DType::I32) },
    OpDef { name: "long", params: &["input"], run: |c| cast(c, DType::I64) },
    OpDef { name: "bool", params: &["input"], run: |c| to_number(c, DType::Bool) },
    OpDef { name: "item", params: &["input"], run: item },
    OpDef { name: "clone", params: &["input"], run: |c| Ok(Value::tensor(c.tensor("input")?)) },
    OpDef { name: "detach", params: &["input"], run: |c| Ok(Value::tensor(c.tensor("input")?)) },
    OpDef { name: "cpu", params: &["input"], run: |c| Ok(c.get("input").clone()) },
    OpDef { name: "contiguous", params: &["input"], run: |c| Ok(c.get("input").clone()) },
];

fn binary(c: &Call<'_>, op: BinaryOp) -> Result<Value> {
    let (a, b) = (c.get("input"), c.get("other"));
    match (a, b) {
        (Value::Tensor(x), Value::Tensor(y)) => tensor(x.get()?.binary(op, &y.get()?)),
        (Value::Tensor(x), other) => match number(other) {
            Some(n) => tensor(x.get()?.binary_scalar(op, n)),
            None => Err(bad(c.name(), "other", "a tensor or a number", other)),
        },
        (other, Value::Tensor(y)) => match number(other) {
            Some(n) => tensor(y.get()?.scalar_binary(op, n)),
            None => Err(bad(c.name(), "input", "a tensor or a number", other)),
        },
        (a, b) => match (number(a), number(b)) {
            (Some(x), Some(y)) => numbers(c, op, x, y),
            _ => Err(bad(c.name(), "input", "a tensor or a number", a)),
        },
    }
}

/// Arithmetic of plain numbers, as Python's.
fn numbers(c: &Call<'_>, op: BinaryOp, x: Scalar, y: Scalar) -> Result<Value> {
    use BinaryOp as B;
    let whole = |s: Scalar| !matches!(s, Scalar::Float(_));
    if whole(x) && whole(y) && op != B::Div && !(op == B::Pow && y.to_i64() < 0) {
        let (a, b) = (x.to_i64(), y.to_i64());
        let zero = || super::RunError::new(pellucid_tensor::TensorError::DivisionByZero { op: op.name() });
        return Ok(match op {
            B::Add => Value::Int(a.wrapping_add(b)),
            B::Sub => Value::Int(a.wrapping_sub(b)),
            B::Mul => Value::Int(a.wrapping_mul(b)),
            B::FloorDiv if b == 0 => return Err(zero()),
            B::Remainder | B::Fmod if b == 0 => return Err(zero()),
            B::FloorDiv => {
                Value::Int(a.wrapping_div_euclid(b) - i64::from(b < 0 && a.wrapping_rem_euclid(b) != 0))
            }
            B::Remainder => Value::Int(((a % b) + b) % b),
            B::Fmod => Value::Int(a.wrapping_rem(b)),
            B::Pow => Value::Int(a.wrapping_pow(u32::try_from(b).unwrap_or(u32::MAX))),
            B::Maximum => Value::Int(a.max(b)),
            B::Minimum => Value::Int(a.min(b)),
            B::BitAnd => Value::Int(a & b),
            B::BitOr => Value::Int(a | b),
            B::BitXor => Value::Int(a ^ b),
            B::ShiftLeft => Value::Int(a.wrapping_shl(b as u32)),
            B::ShiftRight => Value::Int(a.wrapping_shr(b as u32)),
            B::Eq => Value::Bool(a == b),
            B::Ne => Value::Bool(a != b),
            B::Lt => Value::Bool(a < b),
            B::Le => Value::Bool(a <= b),
            B::Gt => Value::Bool(a > b),
            B::Ge => Value::Bool(a >= b),
            _ => return Err(bad(c.name(), "input", "a tensor", c.get("input"))),
        });
    }
    let wide = |s: Scalar| c.engine.full(&[], s.to_f64(), DType::F64);
    let result = wide(x).binary(op, &wide(y))?.item()?;
    Ok(match result {
        Scalar::Bool(b) => Value::Bool(b),
        other => Value::Float(other.to_f64()),
    })
}

fn reversed(c: &Call<'_>, op: BinaryOp) -> Result<Value> {
    match (c.get("input"), number(c.get("other"))) {
        (Value::Tensor(x), Some(n)) => tensor(x.get()?.scalar_binary(op, n)),
        _ => tensor(c.tensor("other")?.binary(op, &c.tensor("input")?)),
    }
}

fn add(c: &Call<'_>) -> Result<Value> {
    match (c.get("input"), c.get("other")) {
        (Value::Str(a), Value::Str(b)) => return Ok(Value::Str(format!("{a}{b}").into())),
        (Value::Tuple(a), Value::Tuple(b)) => return Ok(Value::tuple(a.iter().chain(b.iter()).cloned())),
        (Value::List(a), Value::List(b)) => {
            let joined: Vec<Value> = a.borrow().iter().chain(b.borrow().iter()).cloned().collect();
            return Ok(Value::list(joined));
        }
        _ => {}
    }
    if matches!(c.get("alpha"), Value::None) {
        return binary(c, BinaryOp::Add);
    }
    tensor(c.tensor("input")?.add(&c.tensor("other")?.mul_scalar(c.scalar("alpha")?)?))
}

fn div(c: &Call<'_>) -> Result<Value> {
    let quotient = match &*c.text_or("rounding_mode", "")? {
        "floor" => return binary(c, BinaryOp::FloorDiv),
        "" => return binary(c, BinaryOp::Div),
        "trunc" => c.tensor("input")?.div(&c.tensor("other")?)?,
        _ => return Err(bad("div", "rounding_mode", "None, \"trunc\" or \"floor\"", c.get("rounding_mode"))),
    };
    tensor(quotient.trunc())
}

fn logical(c: &Call<'_>, op: BinaryOp) -> Result<Value> {
    tensor(c.tensor("input")?.logical(op, &c.tensor("other")?))
}

fn neg(c: &Call<'_>) -> Result<Value> {
    Ok(match c.get("input") {
        Value::Int(i) => Value::Int(-i),
        Value::Float(f) => Value::Float(-f),
        _ => Value::tensor(c.tensor("input")?.neg()?),
    })
}

fn gelu(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    tensor(if c.text_or("approximate", "none")? == "tanh" { x.gelu_tanh() } else { x.gelu() })
}

fn softplus(c: &Call<'_>) -> Result<Value> {
    let beta = c.scalar_or("beta", 1.0)?.to_f64();
    let threshold = c.scalar_or("threshold", 20.0)?.to_f64();
    tensor(c.tensor("input")?.softplus(beta, threshold))
}

fn clamp(c: &Call<'_>) -> Result<Value> {
    let mut x = c.tensor("input")?;
    for (name, op) in [("min", BinaryOp::Maximum), ("max", BinaryOp::Minimum)] {
        x = match c.get(name) {
            Value::None => x,
            Value::Tensor(bound) => x.binary(op, &bound.get()?)?,
            _ => x.binary_scalar(op, c.scalar(name)?)?,
        };
    }
    Ok(Value::tensor(x))
}

fn where_(c: &Call<'_>) -> Result<Value> {
    tensor(c.tensor("condition")?.where_(&c.tensor("input")?, &c.tensor("other")?))
}

fn masked_fill(c: &Call<'_>) -> Result<Value> {
    match c.get("value") {
        Value::Tensor(value) => {
            let x = c.tensor("input")?;
            tensor(c.tensor("mask")?.where_(&value.get()?.cast(x.dtype()), &x))
        }
        _ => tensor(c.tensor("input")?.masked_fill(&c.tensor("mask")?, c.scalar("value")?)),
    }
}

fn matmul(c: &Call<'_>) -> Result<Value> {
    tensor(c.tensor("input")?.matmul(&c.tensor("other")?))
}

fn linear(c: &Call<'_>) -> Result<Value> {
    tensor(c.tensor("input")?.linear(&c.tensor("weight")?, c.optional_tensor("bias")?.as_ref()))
}

fn sizes(c: &Call<'_>) -> Result<Vec<i64>> {
    Ok(c.tensor("input")?.dims().iter().map(|&d| d as i64).collect())
}

fn fill(c: &Call<'_>, value: Scalar) -> Result<Value> {
    let x = c.tensor("input")?;
    Ok(Value::tensor(c.engine.full(x.dims(), value, x.dtype())))
}

fn cast(c: &Call<'_>, dtype: DType) -> Result<Value> {
    Ok(Value::tensor(c.tensor("input")?.cast(dtype)))
}

/// `float(x)` and kin: a number stays a number.
fn to_number(c: &Call<'_>, dtype: DType) -> Result<Value> {
    match number(c.get("input")) {
        Some(n) => Ok(match dtype {
            DType::F32 => Value::Float(n.to_f64()),
            DType::Bool => Value::Bool(n.to_bool()),
            _ => Value::Int(n.to_i64()),
        }),
        None => cast(c, dtype),
    }
}

/// `x.to(dtype)`, `x.to(device)`, `x.to(other)`: devices are where the engine is.
fn to(c: &Call<'_>) -> Result<Value> {
    match c.get("dtype") {
        Value::Tensor(like) => cast(c, like.get()?.dtype()),
        Value::DType(d) => cast(c, *d),
        Value::Str(s) => match DType::parse(s) {
            Some(d) => cast(c, d),
            None => Ok(c.get("input").clone()),
        },
        _ => match c.get("device") {
            Value::DType(d) => cast(c, *d),
            _ => Ok(c.get("input").clone()),
        },
    }
}

fn item(c: &Call<'_>) -> Result<Value> {
    Ok(match c.tensor("input")?.item()? {
        Scalar::Bool(b) => Value::Bool(b),
        Scalar::Int(i) => Value::Int(i),
        Scalar::Float(f) => Value::Float(f),
    })
}
