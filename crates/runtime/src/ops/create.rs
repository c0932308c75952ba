//! Tensors from nothing.

use pellucid_nn::Value;
use pellucid_tensor::{DType, Scalar, Tensor};

use super::{Call, OpDef, bad_shape, op, tensor};
use crate::error::Result;

pub(super) const OPS: &[OpDef] = &[
    op("zeros", &["*size", "dtype?"], |c| filled(c, Scalar::Int(0))),
    op("ones", &["*size", "dtype?"], |c| filled(c, Scalar::Int(1))),
    op("empty", &["*size", "dtype?"], |c| filled(c, Scalar::Int(0))),
    op("full", &["size", "fill_value", "dtype?"], full),
    op("zeros_like", &["input", "dtype?"], |c| like(c, Scalar::Int(0))),
    op("ones_like", &["input", "dtype?"], |c| like(c, Scalar::Int(1))),
    op("empty_like", &["input", "dtype?"], |c| like(c, Scalar::Int(0))),
    op("full_like", &["input", "fill_value", "dtype?"], |c| like(c, c.scalar("fill_value")?)),
    op("new_zeros", &["input", "*size", "dtype?"], |c| new(c, Scalar::Int(0))),
    op("new_ones", &["input", "*size", "dtype?"], |c| new(c, Scalar::Int(1))),
    op("new_empty", &["input", "*size", "dtype?"], |c| new(c, Scalar::Int(0))),
    op("new_full", &["input", "size", "fill_value", "dtype?"], |c| {
        let (x, value) = (c.tensor("input")?, c.scalar("fill_value")?);
        let dtype = c.optional_dtype("dtype")?.unwrap_or_else(|| x.dtype());
        Ok(Value::tensor(c.engine.full(&c.dims("size", &c.ints("size")?)?, value, dtype)))
    }),
    op("new_tensor", &["input", "data", "dtype?"], |c| {
        let dtype = c.optional_dtype("dtype")?.unwrap_or(c.tensor("input")?.dtype());
        Ok(Value::tensor(super::convert::tensor_of(c, c.get("data"), dtype == DType::F64, 0)?.cast(dtype)))
    }),
    op("scalar_tensor", &["value", "dtype?"], |c| {
        let dtype = c.optional_dtype("dtype")?.unwrap_or(DType::F32);
        Ok(Value::tensor(c.engine.full(&[], c.scalar("value")?, dtype)))
    }),
    op("arange", &["start?", "end?", "step?", "dtype?"], arange),
    op("linspace", &["start", "end", "steps", "dtype?"], |c| spaced(c, None)),
    op("logspace", &["start", "end", "steps", "base?", "dtype?"], |c| {
        spaced(c, Some(c.float_or("base", 10.0)?))
    }),
    op("eye", &["n", "m?", "dtype?"], eye),
    op("tril_indices", &["row", "col", "offset?"], |c| triangle_indices(c, false)),
    op("triu_indices", &["row", "col", "offset?"], |c| triangle_indices(c, true)),
    op("tril", &["input", "diagonal?"], |c| triangle(c, false)),
    op("triu", &["input", "diagonal?"], |c| triangle(c, true)),
];

fn filled(c: &Call<'_>, value: Scalar) -> Result<Value> {
    let dtype = c.optional_dtype("dtype")?.unwrap_or(DType::F32);
    Ok(Value::tensor(c.engine.full(&c.dims("size", &c.sizes("size")?)?, value, dtype)))
}

fn full(c: &Call<'_>) -> Result<Value> {
    let value = c.scalar("fill_value")?;
    let dtype = match (c.optional_dtype("dtype")?, c.get("fill_value")) {
        (Some(dtype), _) => dtype,
        (None, Value::Tensor(var)) => var.get()?.dtype(),
        _ => value.dtype(),
    };
    Ok(Value::tensor(c.engine.full(&c.dims("size", &c.ints("size")?)?, value, dtype)))
}

fn like(c: &Call<'_>, value: Scalar) -> Result<Value> {
    let x = c.tensor("input")?;
    let dtype = c.optional_dtype("dtype")?.unwrap_or_else(|| x.dtype());
    Ok(Value::tensor(c.engine.full(x.dims(), value, dtype)))
}

fn new(c: &Call<'_>, value: Scalar) -> Result<Value> {
    let dtype = c.optional_dtype("dtype")?.unwrap_or(c.tensor("input")?.dtype());
    Ok(Value::tensor(c.engine.full(&c.dims("size", &c.sizes("size")?)?, value, dtype)))
}

fn arange(c: &Call<'_>) -> Result<Value> {
    let (start, end) = if c.has("end") {
        (c.scalar_or("start", 0)?, c.scalar("end")?)
    } else {
        (Scalar::Int(0), c.scalar("start")?)
    };
    let step = c.scalar_or("step", 1)?;
    let finite = [start, end, step].iter().all(|s| s.to_f64().is_finite());
    if step.to_f64() == 0.0 || !finite {
        return Err(c.bad("step", "finite bounds, and a step other than zero"));
    }
    let float = [start, end, step].iter().any(|s| matches!(s, Scalar::Float(_)));
    let dtype = c.optional_dtype("dtype")?.unwrap_or(if float { DType::F32 } else { DType::I64 });
    let len = if float {
        ((end.to_f64() - start.to_f64()) / step.to_f64()).ceil()
    } else {
        let (a, b, s) = (i128::from(start.to_i64()), i128::from(end.to_i64()), i128::from(step.to_i64()));
        let (distance, stride) = if s > 0 { (b - a, s) } else { (a - b, -s) };
        ((distance + stride - 1) / stride) as f64
    };
    if len < 0.0 || (len == 0.0 && (end.to_f64() - start.to_f64()) * step.to_f64() < 0.0) {
        return Err(c.bad("end", "an end that the step leads to"));
    }
    let len = if len >= 1e18 { i64::MAX } else { len as i64 };
    let dims = c.dims("end", &[len])?;
    Ok(Value::tensor(c.engine.arange(start, step, dims[0], dtype)))
}

/// Numbers at equal distances, both ends included; as exponents of `base`, if there is one.
fn spaced(c: &Call<'_>, base: Option<f64>) -> Result<Value> {
    let (start, end) = (c.scalar("start")?.to_f64(), c.scalar("end")?.to_f64());
    let n = c.dims("steps", &[c.int("steps")?])?[0];
    let dtype = c.optional_dtype("dtype")?.unwrap_or(DType::F32);
    let step = if n > 1 { (end - start) / (n - 1) as f64 } else { 0.0 };
    // From both ends, so that both are exact.
    let index = c.engine.arange(0, 1, n, DType::F64);
    let from_start = index.mul_scalar(step)?.add_scalar(start)?;
    let from_end = index.neg()?.add_scalar(n as f64 - 1.0)?.mul_scalar(-step)?.add_scalar(end)?;
    let points = index.lt_scalar((n / 2).max(1))?.where_(&from_start, &from_end)?;
    let points = match base {
        Some(base) => points.scalar_binary(pellucid_tensor::BinaryOp::Pow, base)?,
        None => points,
    };
    Ok(Value::tensor(points.cast(dtype)))
}

fn eye(c: &Call<'_>) -> Result<Value> {
    let n = c.int("n")?;
    let sizes = c.dims("n", &[n, c.int_or("m", n)?])?;
    let rows = c.engine.arange(0, 1, sizes[0], DType::I64).unsqueeze(1)?;
    let cols = c.engine.arange(0, 1, sizes[1], DType::I64);
    let dtype = c.optional_dtype("dtype")?.unwrap_or(DType::F32);
    Ok(Value::tensor(rows.eq(&cols)?.cast(dtype)))
}

fn triangle_indices(c: &Call<'_>, upper: bool) -> Result<Value> {
    let (rows, cols) = (c.count("row")?, c.count("col")?);
    let offset = c.int_or("offset", 0)?;
    if rows.saturating_mul(cols) > super::call::MOST_ITEMS {
        return Err(c.bad("row", "a matrix of fewer elements"));
    }
    let mut all = (Vec::new(), Vec::new());
    for row in 0..rows as i64 {
        for col in 0..cols as i64 {
            let inside = if upper { col - row >= offset } else { col - row <= offset };
            if inside {
                all.0.push(row);
                all.1.push(col);
            }
        }
    }
    let n = all.0.len();
    all.0.extend(all.1);
    tensor(c.engine.from_vec(all.0, &[2, n]))
}

fn triangle(c: &Call<'_>, upper: bool) -> Result<Value> {
    let x = c.tensor("input")?;
    if x.rank() < 2 {
        return Err(bad_shape(if upper { "triu" } else { "tril" }, "at least two dimensions", x.dims()));
    }
    tensor(Tensor::triangle(&x, c.int_or("diagonal", 0)?, upper))
}
