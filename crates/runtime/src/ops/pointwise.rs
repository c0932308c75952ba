//! Elementwise functions: of one tensor, and choices between tensors.

use pellucid_nn::Value;
use pellucid_tensor::{BinaryOp, DType, IndexItem, ReduceOp, Scalar, Tensor, UnaryOp};

use super::python::numbers::{self, Number};
use super::{Call, OpDef, bad, op, tensor};
use crate::error::Result;

type Built = pellucid_tensor::Result<Tensor>;

macro_rules! unary {
    ($name:literal, $op:ident) => {
        op($name, &["input"], |c| tensor(c.tensor("input")?.unary(UnaryOp::$op)))
    };
}

macro_rules! composed {
    ($name:literal, $f:expr) => {
        op($name, &["input"], |c| {
            let f: fn(&Tensor) -> Built = $f;
            tensor(f(&c.tensor("input")?))
        })
    };
}

pub(super) const OPS: &[OpDef] = &[
    op("abs", &["input"], abs),
    op("absolute", &["input"], abs),
    op("neg", &["input"], neg),
    op("negative", &["input"], neg),
    op("pos", &["input"], |c| Ok(c.get("input").clone())),
    op("positive", &["input"], |c| Ok(c.get("input").clone())),
    op("round", &["input", "decimals|ndigits?"], round),
    op("invert", &["input"], invert),
    unary!("bitwise_not", BitNot),
    unary!("sign", Sign),
    unary!("sgn", Sign),
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
    unary!("floor", Floor),
    unary!("ceil", Ceil),
    unary!("trunc", Trunc),
    unary!("fix", Trunc),
    unary!("logical_not", LogicalNot),
    unary!("isnan", IsNan),
    unary!("isinf", IsInf),
    composed!("isfinite", Tensor::isfinite),
    composed!("isposinf", |x| x.isinf()?.logical(BinaryOp::BitAnd, &x.gt_scalar(0)?)),
    composed!("isneginf", |x| x.isinf()?.logical(BinaryOp::BitAnd, &x.lt_scalar(0)?)),
    composed!("signbit", |x| x.lt_scalar(0)),
    composed!("square", |x| x.mul(x)),
    composed!("frac", |x| x.sub(&x.trunc()?)),
    composed!("exp2", |x| x.mul_scalar(std::f64::consts::LN_2)?.exp()),
    composed!("log2", |x| in_doubles(x, |x| x.log()?.div_scalar(std::f64::consts::LN_2))),
    composed!("log10", |x| in_doubles(x, |x| x.log()?.div_scalar(std::f64::consts::LN_10))),
    composed!("erfc", |x| in_doubles(x, |x| x.erf()?.neg()?.add_scalar(1.0))),
    composed!("sinh", |x| x.expm1()?.sub(&x.neg()?.expm1()?)?.mul_scalar(0.5)),
    composed!("cosh", |x| x.exp()?.add(&x.neg()?.exp()?)?.mul_scalar(0.5)),
    composed!("asin", |x| x.binary(BinaryOp::Atan2, &complement(x)?)),
    composed!("arcsin", |x| x.binary(BinaryOp::Atan2, &complement(x)?)),
    composed!("acos", |x| complement(x)?.binary(BinaryOp::Atan2, x)),
    composed!("arccos", |x| complement(x)?.binary(BinaryOp::Atan2, x)),
    composed!("atan", |x| x.binary_scalar(BinaryOp::Atan2, 1.0)),
    composed!("arctan", |x| x.binary_scalar(BinaryOp::Atan2, 1.0)),
    composed!("asinh", |x| {
        let size = x.abs()?;
        let root = size.mul(&size)?.add_scalar(1.0)?.sqrt()?;
        // log(s + sqrt(s^2 + 1)), in a form that keeps small numbers.
        let inner = size.add(&size.mul(&size)?.div(&root.add_scalar(1.0)?)?)?;
        inner.log1p()?.mul(&x.sign()?)
    }),
    composed!("acosh", |x| x.add(&x.mul(x)?.sub_scalar(1.0)?.sqrt()?)?.log()),
    composed!("atanh", |x| x.log1p()?.sub(&x.neg()?.log1p()?)?.mul_scalar(0.5)),
    composed!("deg2rad", |x| x.mul_scalar(std::f64::consts::PI / 180.0)),
    composed!("rad2deg", |x| x.mul_scalar(180.0 / std::f64::consts::PI)),
    op("logit", &["input", "eps?"], |c| {
        let mut x = c.tensor("input")?;
        if c.has("eps") {
            let eps = c.float_or("eps", 0.0)?;
            x = x.clamp(Some(Scalar::Float(eps)), Some(Scalar::Float(1.0 - eps)))?;
        }
        tensor(x.div(&x.neg()?.add_scalar(1.0)?)?.log())
    }),
    op("hypot", &["input", "other"], |c| {
        let (a, b) = (c.tensor("input")?, c.tensor("other")?);
        tensor(a.mul(&a)?.add(&b.mul(&b)?)?.sqrt())
    }),
    op("copysign", &["input", "other"], |c| {
        let (a, b) = (c.tensor("input")?.abs()?, c.tensor("other")?);
        tensor(b.lt_scalar(0)?.where_(&a.neg()?, &a))
    }),
    op("heaviside", &["input", "values"], |c| {
        let (x, at_zero) = (c.tensor("input")?, c.tensor("values")?);
        tensor(x.eq_scalar(0)?.where_(&at_zero, &x.gt_scalar(0)?.cast(x.dtype())))
    }),
    op("logaddexp", &["input", "other"], |c| {
        let (a, b) = (c.tensor("input")?, c.tensor("other")?);
        let top = a.maximum(&b)?;
        tensor(top.add(&a.sub(&b)?.abs()?.neg()?.exp()?.log1p()?))
    }),
    op("xlogy", &["input", "other"], |c| {
        let (x, y) = (c.tensor("input")?, c.tensor("other")?);
        let log = y.log()?;
        tensor(x.eq_scalar(0)?.where_(&c.engine.zeros(&[], log.dtype()), &x.mul(&log)?))
    }),
    op("nan_to_num", &["input", "nan?", "posinf?", "neginf?"], nan_to_num),
    op("clamp", &["input", "min?", "max?"], clamp),
    op("clip", &["input", "min?", "max?"], clamp),
    op("clamp_min", &["input", "min"], |c| bound(c, "min", BinaryOp::Maximum)),
    op("clamp_max", &["input", "max"], |c| bound(c, "max", BinaryOp::Minimum)),
    op("where", &["condition", "input?", "other?"], where_),
    op("masked_fill", &["input", "mask", "value"], masked_fill),
    op("lerp", &["input", "end", "weight"], |c| {
        let (a, b) = (c.tensor("input")?, c.tensor("end")?);
        let step = b.sub(&a)?;
        tensor(a.add(&match c.get("weight") {
            Value::Tensor(weight) => step.mul(&weight.get()?)?,
            _ => step.mul_scalar(c.scalar("weight")?)?,
        }))
    }),
    op("addcmul", &["input", "tensor1", "tensor2", "value?"], |c| {
        let product = c.tensor("tensor1")?.mul(&c.tensor("tensor2")?)?;
        tensor(c.tensor("input")?.add(&product.mul_scalar(c.scalar_or("value", 1)?)?))
    }),
    op("addcdiv", &["input", "tensor1", "tensor2", "value?"], |c| {
        let quotient = c.tensor("tensor1")?.div(&c.tensor("tensor2")?)?;
        tensor(c.tensor("input")?.add(&quotient.mul_scalar(c.scalar_or("value", 1)?)?))
    }),
    op("isclose", &["input", "other", "rtol?", "atol?", "equal_nan?"], |c| Ok(Value::tensor(close(c)?))),
    op("allclose", &["input", "other", "rtol?", "atol?", "equal_nan?"], |c| {
        Ok(Value::Bool(close(c)?.reduce(ReduceOp::All, &[], false)?.item()?.to_bool()))
    }),
    op("equal", &["input", "other"], |c| {
        let (a, b) = (c.tensor("input")?, c.tensor("other")?);
        let same = a.dims() == b.dims() && a.eq(&b)?.reduce(ReduceOp::All, &[], false)?.item()?.to_bool();
        Ok(Value::Bool(same))
    }),
];

/// Single precision computed in double precision, where a composition would lose digits.
fn in_doubles(x: &Tensor, f: impl Fn(&Tensor) -> Built) -> Built {
    let out = if x.dtype().is_float() { x.dtype() } else { DType::F32 };
    Ok(f(&x.cast(DType::F64))?.cast(out))
}

/// `sqrt(1 - x^2)`, as a product that keeps digits near one.
fn complement(x: &Tensor) -> Built {
    let x = if x.dtype().is_float() { x.clone() } else { x.cast(DType::F32) };
    x.neg()?.add_scalar(1.0)?.mul(&x.add_scalar(1.0)?)?.sqrt()
}

fn abs(c: &Call<'_>) -> Result<Value> {
    match Number::of(c.get("input")) {
        Some(n) => numbers::absolute("abs", n),
        None => tensor(c.tensor("input")?.abs()),
    }
}

fn neg(c: &Call<'_>) -> Result<Value> {
    match Number::of(c.get("input")) {
        Some(n) => numbers::negative("neg", n),
        None => tensor(c.tensor("input")?.neg()),
    }
}

fn round(c: &Call<'_>) -> Result<Value> {
    if let Some(n) = Number::of(c.get("input")) {
        return numbers::rounded(c, n, c.optional_int("decimals")?);
    }
    let x = c.tensor("input")?;
    match c.int_or("decimals", 0)? {
        0 => tensor(x.round()),
        digits => {
            let unit = 10f64.powi(digits.unsigned_abs().min(400) as i32);
            let rounded = if digits > 0 {
                x.mul_scalar(unit)?.round()?.div_scalar(unit)
            } else {
                x.div_scalar(unit)?.round()?.mul_scalar(unit)
            };
            tensor(rounded)
        }
    }
}

fn invert(c: &Call<'_>) -> Result<Value> {
    match c.get("input") {
        Value::Int(i) => Ok(Value::Int(!i)),
        Value::Bool(b) => Ok(Value::Int(!i64::from(*b))),
        _ => tensor(c.tensor("input")?.bitwise_not()),
    }
}

fn nan_to_num(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    if !x.dtype().is_float() {
        return Ok(Value::tensor(x));
    }
    let largest = match x.dtype() {
        DType::F16 => 65504.0,
        DType::BF16 => f64::from(f32::from_bits(0x7f7f_0000)),
        DType::F32 => f64::from(f32::MAX),
        _ => f64::MAX,
    };
    let full = |v: f64| c.engine.full(&[], v, x.dtype());
    let infinite = x.isinf()?;
    let (above, below) = (
        infinite.logical(BinaryOp::BitAnd, &x.gt_scalar(0)?)?,
        infinite.logical(BinaryOp::BitAnd, &x.lt_scalar(0)?)?,
    );
    let out = x.isnan()?.where_(&full(c.float_or("nan", 0.0)?), &x)?;
    let out = above.where_(&full(c.float_or("posinf", largest)?), &out)?;
    tensor(below.where_(&full(c.float_or("neginf", -largest)?), &out))
}

fn clamp(c: &Call<'_>) -> Result<Value> {
    if !c.has("min") && !c.has("max") {
        return Err(c.bad("min", "at least one bound"));
    }
    let tensors = ["min", "max"].iter().any(|n| matches!(c.get(n), Value::Tensor(_)));
    let x = c.tensor("input")?;
    if !tensors {
        let scalar = |name| if c.has(name) { c.scalar(name).map(Some) } else { Ok(None) };
        return tensor(x.clamp(scalar("min")?, scalar("max")?));
    }
    let mut x = x;
    for (name, op) in [("min", BinaryOp::Maximum), ("max", BinaryOp::Minimum)] {
        x = match c.get(name) {
            Value::None => x,
            Value::Tensor(bound) => x.binary(op, &bound.get()?)?,
            _ => x.binary_scalar(op, c.scalar(name)?)?,
        };
    }
    Ok(Value::tensor(x))
}

fn bound(c: &Call<'_>, name: &str, op: BinaryOp) -> Result<Value> {
    let x = c.tensor("input")?;
    match c.get(name) {
        Value::Tensor(bound) => tensor(x.binary(op, &bound.get()?)),
        _ if op == BinaryOp::Maximum => tensor(x.clamp(Some(c.scalar(name)?), None)),
        _ => tensor(x.clamp(None, Some(c.scalar(name)?))),
    }
}

fn where_(c: &Call<'_>) -> Result<Value> {
    let condition = c.tensor("condition")?;
    if !c.has("input") && !c.has("other") {
        // The positions, one tensor for each dimension.
        let positions = condition.nonzero()?;
        let columns =
            (0..condition.rank() as i64).map(|d| tensor(positions.index(&[IndexItem::ALL, d.into()])));
        return Ok(Value::tuple(columns.collect::<Result<Vec<_>>>()?));
    }
    // Numbers yield to tensors in the result's type, as in arithmetic.
    let (a, b) = (c.get("input"), c.get("other"));
    let number = |v: &Value, like: &Tensor| -> Option<Tensor> {
        let n = super::call::number(v)?;
        let dtype = like.binary_scalar(BinaryOp::Maximum, n).map_or(like.dtype(), |t| t.dtype());
        Some(c.engine.full(&[], n, dtype))
    };
    let (x, y) = match (a, b) {
        (Value::Tensor(x), Value::Tensor(y)) => (x.get()?, y.get()?),
        (Value::Tensor(x), other) => {
            let x = x.get()?;
            let y = number(other, &x).ok_or_else(|| bad("where", "other", "a tensor or a number", other))?;
            (x, y)
        }
        (other, Value::Tensor(y)) => {
            let y = y.get()?;
            (number(other, &y).ok_or_else(|| bad("where", "input", "a tensor or a number", other))?, y)
        }
        _ => (c.tensor("input")?, c.tensor("other")?),
    };
    let dtype = x.dtype().promote(y.dtype());
    let (x, y) = match (a, b) {
        (Value::Tensor(_), Value::Tensor(_)) => (x, y),
        _ => (x.cast(dtype), y.cast(dtype)),
    };
    tensor(condition.where_(&x, &y))
}

fn masked_fill(c: &Call<'_>) -> Result<Value> {
    let (x, mask) = (c.tensor("input")?, c.tensor("mask")?);
    if mask.dtype() != DType::Bool {
        return Err(c.bad("mask", "a tensor of truth values"));
    }
    match c.get("value") {
        Value::Tensor(value) => {
            let value = value.get()?;
            if value.rank() > 0 {
                return Err(c.bad("value", "a number, or a tensor without dimensions"));
            }
            tensor(mask.where_(&value.cast(x.dtype()), &x))
        }
        _ => tensor(x.masked_fill(&mask, c.scalar("value")?)),
    }
}

/// `|a - b| <= atol + rtol |b|`, or equal.
fn close(c: &Call<'_>) -> Result<Tensor> {
    let (a, b) = (c.tensor("input")?, c.tensor("other")?);
    if a.dtype() != b.dtype() {
        return Err(c.bad("other", &format!("a {} tensor", a.dtype())));
    }
    let (x, y) = (a.cast(DType::F64), b.cast(DType::F64));
    let allowed = y.abs()?.mul_scalar(c.float_or("rtol", 1e-5)?)?.add_scalar(c.float_or("atol", 1e-8)?)?;
    let near = x.sub(&y)?.abs()?.le(&allowed)?.logical(BinaryOp::BitAnd, &y.isfinite()?)?;
    let mut out = near.logical(BinaryOp::BitOr, &a.eq(&b)?)?;
    if c.flag_or("equal_nan", false)? {
        let both = x.isnan()?.logical(BinaryOp::BitAnd, &y.isnan()?)?;
        out = out.logical(BinaryOp::BitOr, &both)?;
    }
    Ok(out)
}
