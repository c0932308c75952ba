//! Conversions: of element types, of tensors to Python's values and back; copies.

use pellucid_nn::{Value, Var};
use pellucid_tensor::shape::contiguous_strides;
use pellucid_tensor::{DType, HostData, Scalar, Tensor, ViewStep};

use super::call::MOST_ITEMS;
use super::python::{items_of, numbers};
use super::{Call, OpDef, bad, op, tensor};
use crate::error::Result;

macro_rules! cast {
    ($name:literal, $dtype:ident) => {
        op($name, &["input"], |c| cast_to(c, DType::$dtype))
    };
}

/// Operations whose in-place forms replace the elements.
pub(super) const WRITES: &[OpDef] = &[
    op("zero", &["input"], |c| fill(c, Scalar::Int(0))),
    op("fill", &["input", "value"], |c| fill(c, c.scalar("value")?)),
    op("copy", &["input", "source|src?"], copy),
];

pub(super) const OPS: &[OpDef] = &[
    op("to", &["input", "dtype|other?", "device?", "non_blocking?", "copy?"], to),
    op("type", &["input", "dtype?"], |c| match c.optional_dtype("dtype")? {
        Some(dtype) => cast_to(c, dtype),
        None => Ok(Value::text(tensor_type(c.tensor("input")?.dtype()))),
    }),
    op("astype", &["input", "dtype"], |c| match c.optional_dtype("dtype")? {
        Some(dtype) => cast_to(c, dtype),
        None => Err(c.bad("dtype", "an element type")),
    }),
    op("type_as", &["input", "other"], |c| cast_to(c, c.tensor("other")?.dtype())),
    op("float", &["input"], |c| method_or_number(c, DType::F32, numbers::float)),
    op("int", &["input", "base?"], |c| method_or_number(c, DType::I32, numbers::int)),
    op("bool", &["input"], |c| match c.get("input") {
        Value::Tensor(_) => cast_to(c, DType::Bool),
        other => numbers::truth(other).map(Value::Bool),
    }),
    cast!("double", F64),
    cast!("half", F16),
    cast!("bfloat16", BF16),
    cast!("long", I64),
    cast!("byte", U8),
    op("item", &["input"], |c| match numbers::Number::of(c.get("input")) {
        Some(number) => Ok(number.value()),
        None => Ok(numbers::from_scalar(c.tensor("input")?.item()?)),
    }),
    op("tolist", &["input"], tolist),
    op("numpy", &["input"], |c| Ok(c.get("input").clone())),
    op("clone", &["input"], |c| Ok(Value::tensor(c.tensor("input")?))),
    op("detach", &["input"], |c| super::var(c.var("input")?.step(ViewStep::Detach))),
    op("cpu", &["input"], same_place),
    op("cuda", &["input", "device?"], same_place),
    op("contiguous", &["input"], contiguous),
    op("requires_grad_", &["input", "requires_grad?"], same_place),
    op("is_floating_point", &["input"], |c| Ok(Value::Bool(c.tensor("input")?.dtype().is_float()))),
    op("is_complex", &["input"], |_| Ok(Value::Bool(false))),
    op("is_tensor", &["input"], |c| Ok(Value::Bool(matches!(c.get("input"), Value::Tensor(_))))),
    op("is_nonzero", &["input"], |c| numbers::truth(c.get("input")).map(Value::Bool)),
    op("is_contiguous", &["input"], |c| Ok(Value::Bool(is_contiguous(&c.var("input")?)?))),
    op("element_size", &["input"], |c| Ok(Value::Int(c.tensor("input")?.dtype().size() as i64))),
    op("tensor", &["data", "dtype?"], |c| from_data(c, false)),
    op("as_tensor", &["data", "dtype?"], |c| from_data(c, true)),
    op("from_numpy", &["data"], |c| Ok(c.get("data").clone())),
    op("result_type", &["input", "other"], |c| {
        let sum =
            super::call(c.engine, "maximum", vec![c.get("input").clone(), c.get("other").clone()], vec![])?;
        match sum {
            Value::Tensor(var) => Ok(Value::DType(var.get()?.dtype())),
            other => Err(bad("result_type", "input", "a tensor", &other)),
        }
    }),
];

/// The tensor in another type; the tensor itself, with its storage, if it has the type already.
fn cast_to(c: &Call<'_>, dtype: DType) -> Result<Value> {
    match c.get("input") {
        Value::Tensor(var) if var.get()?.dtype() == dtype => Ok(c.get("input").clone()),
        _ => Ok(Value::tensor(c.tensor("input")?.cast(dtype))),
    }
}

fn tensor_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "torch.BoolTensor",
        DType::U8 => "torch.ByteTensor",
        DType::I32 => "torch.IntTensor",
        DType::I64 => "torch.LongTensor",
        DType::F16 => "torch.HalfTensor",
        DType::BF16 => "torch.BFloat16Tensor",
        DType::F32 => "torch.FloatTensor",
        DType::F64 => "torch.DoubleTensor",
    }
}

/// `x.float()` of a tensor changes its type; of anything else the name is Python's function.
fn method_or_number(c: &Call<'_>, dtype: DType, number: fn(&Call<'_>) -> Result<Value>) -> Result<Value> {
    match c.get("input") {
        Value::Tensor(_) => cast_to(c, dtype),
        _ => number(c),
    }
}

/// `x.to(dtype)`, `x.to(device)`, `x.to(other)`: devices are where the engine is.
fn to(c: &Call<'_>) -> Result<Value> {
    let mut dtype = None;
    for name in ["dtype", "device"] {
        match c.get(name) {
            Value::Tensor(like) => dtype = Some(like.get()?.dtype()),
            Value::DType(d) => dtype = Some(*d),
            Value::Str(s) => dtype = dtype.or(DType::parse(s)),
            Value::None | Value::Int(_) | Value::Bool(_) => {}
            _ => return Err(c.bad(name, "an element type, a device or a tensor")),
        }
    }
    let x = c.var("input")?;
    let has = x.get()?;
    let dtype = dtype.unwrap_or(has.dtype());
    if dtype == has.dtype() && !c.flag_or("copy", false)? {
        return Ok(Value::Tensor(x));
    }
    Ok(Value::tensor(has.cast(dtype)))
}

fn same_place(c: &Call<'_>) -> Result<Value> {
    Ok(Value::Tensor(c.var("input")?))
}

fn is_contiguous(var: &Var) -> Result<bool> {
    let dims = var.get()?.dims().to_vec();
    let empty = dims.contains(&0);
    let expected = contiguous_strides(&dims);
    Ok(empty || dims.iter().zip(expected.iter().zip(var.strides())).all(|(&d, (a, b))| d == 1 || a == b))
}

/// The tensor itself if its elements stand in order, else a copy.
fn contiguous(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    if is_contiguous(&x)? {
        return Ok(Value::Tensor(x));
    }
    // A node of its own: the copy's strides are those of a fresh tensor.
    Ok(Value::Tensor(Var::new(row_major(&x.get()?)?)))
}

/// The same elements in a node that is laid out row-major.
fn row_major(x: &Tensor) -> Result<Tensor> {
    let flat = x.reshape(&[-1])?;
    let ones = flat.index(&[pellucid_tensor::IndexItem::Tensor(flat.engine().arange(
        0,
        1,
        flat.numel(),
        DType::I64,
    ))])?;
    let dims: Vec<i64> = x.dims().iter().map(|&d| d as i64).collect();
    Ok(ones.reshape(&dims)?)
}

fn fill(c: &Call<'_>, value: Scalar) -> Result<Value> {
    let x = c.tensor("input")?;
    Ok(Value::tensor(c.engine.full(x.dims(), value, x.dtype())))
}

/// `x.copy_(source)`, and the copies that lists, dictionaries and sets make of themselves.
fn copy(c: &Call<'_>) -> Result<Value> {
    match c.get("input") {
        Value::List(items) => Ok(Value::list(items.borrow().clone())),
        Value::Dict(pairs) => Ok(Value::dict(pairs.borrow().clone())),
        Value::Set(items) => {
            Ok(Value::Set(std::rc::Rc::new(std::cell::RefCell::new(items.borrow().clone()))))
        }
        _ if !c.has("source") => Ok(Value::tensor(c.tensor("input")?)),
        _ => {
            let x = c.tensor("input")?;
            let sizes: Vec<i64> = x.dims().iter().map(|&d| d as i64).collect();
            tensor(c.tensor("source")?.cast(x.dtype()).expand(&sizes))
        }
    }
}

/// The elements as nested lists.
fn tolist(c: &Call<'_>) -> Result<Value> {
    if let Value::List(_) = c.get("input") {
        return Ok(c.get("input").clone());
    }
    let x = c.tensor("input")?;
    if x.numel() > MOST_ITEMS
        || x.dims().iter().product::<usize>() == 0 && x.dims().iter().any(|&d| d > MOST_ITEMS)
    {
        return Err(c.bad("input", &format!("at most {MOST_ITEMS} elements")));
    }
    let elements: Vec<Value> = match x.dtype() {
        DType::Bool => x.to_vec::<u8>()?.into_iter().map(|b| Value::Bool(b != 0)).collect(),
        d if d.is_float() => x.to_f64s()?.into_iter().map(Value::Float).collect(),
        _ => x.cast(DType::I64).to_vec::<i64>()?.into_iter().map(Value::Int).collect(),
    };
    let mut elements = elements.into_iter();
    Ok(nest(x.dims(), &mut elements))
}

fn nest(dims: &[usize], elements: &mut impl Iterator<Item = Value>) -> Value {
    match dims {
        [] => elements.next().unwrap_or_default(),
        [n, rest @ ..] => Value::list((0..*n).map(|_| nest(rest, &mut *elements)).collect::<Vec<_>>()),
    }
}

/// `torch.tensor(data)`: a copy; `torch.as_tensor(data)`: the tensor itself, if it is one of the type.
fn from_data(c: &Call<'_>, share: bool) -> Result<Value> {
    let dtype = c.optional_dtype("dtype")?;
    let made = match c.get("data") {
        Value::Tensor(var) if share && dtype.is_none_or(|d| var.get().is_ok_and(|t| t.dtype() == d)) => {
            return Ok(c.get("data").clone());
        }
        data => tensor_of(c, data, dtype == Some(DType::F64), 0)?,
    };
    Ok(Value::tensor(dtype.map_or(made.clone(), |d| made.cast(d))))
}

/// A number, a tensor, or nested sequences of them, as one tensor. Floats are single precision, or double if `wide`.
pub(super) fn tensor_of(c: &Call<'_>, data: &Value, wide: bool, depth: usize) -> Result<Tensor> {
    let refused = |v: &Value| bad(c.name(), "data", "numbers, or nested sequences of one shape", v);
    match data {
        Value::Tensor(var) => return Ok(var.get()?),
        Value::Float(f) if wide => return Ok(c.engine.full(&[], *f, DType::F64)),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            return super::call::number(data).map(|n| c.engine.scalar(n)).ok_or_else(|| refused(data));
        }
        _ => {}
    }
    let items = match data {
        Value::List(_) | Value::Tuple(_) => items_of(data).unwrap_or_else(|| Err(refused(data)))?,
        _ => return Err(refused(data)),
    };
    if depth >= super::call::MOST_DIMS {
        return Err(refused(data));
    }
    if items.is_empty() {
        return Ok(c.engine.zeros(&[0], DType::F32));
    }
    if let Some(plain) = plain_row(c, &items, wide)? {
        return Ok(plain);
    }
    let rows = items.iter().map(|v| tensor_of(c, v, wide, depth + 1)).collect::<Result<Vec<_>>>()?;
    if rows.iter().any(|r| r.dims() != rows[0].dims()) {
        return Err(refused(data));
    }
    Ok(Tensor::stack(&rows, 0)?)
}

/// A sequence of plain numbers, made at once.
fn plain_row(c: &Call<'_>, items: &[Value], wide: bool) -> Result<Option<Tensor>> {
    let n = [items.len()];
    if items.iter().all(|v| matches!(v, Value::Bool(_))) {
        let bools: Vec<bool> = items.iter().map(|v| matches!(v, Value::Bool(true))).collect();
        return Ok(Some(c.engine.from_data(HostData::from_bools(&bools), &n)?));
    }
    let Some(all) = items.iter().map(super::call::number).collect::<Option<Vec<Scalar>>>() else {
        return Ok(None);
    };
    Ok(Some(if all.iter().any(|s| matches!(s, Scalar::Float(_))) {
        let doubles = c.engine.from_vec(all.iter().map(|s| s.to_f64()).collect::<Vec<f64>>(), &n)?;
        if wide { doubles } else { doubles.cast(DType::F32) }
    } else {
        c.engine.from_vec(all.iter().map(|s| s.to_i64()).collect::<Vec<i64>>(), &n)?
    }))
}
