//! Tensors from nothing.

use pellucid_nn::Value;
use pellucid_tensor::{DType, Scalar};

use super::{Call, OpDef, bad};
use crate::error::Result;

pub(super) const OPS: &[OpDef] = &[
    OpDef { name: "zeros", params: &["dtype?", "*size"], run: |c| filled(c, Scalar::Int(0)) },
    OpDef { name: "ones", params: &["dtype?", "*size"], run: |c| filled(c, Scalar::Int(1)) },
    OpDef { name: "full", params: &["size", "fill_value", "dtype?"], run: full },
    OpDef { name: "zeros_like", params: &["input", "dtype?"], run: |c| like(c, Scalar::Int(0)) },
    OpDef { name: "ones_like", params: &["input", "dtype?"], run: |c| like(c, Scalar::Int(1)) },
    OpDef {
        name: "full_like",
        params: &["input", "fill_value", "dtype?"],
        run: |c| like(c, c.scalar("fill_value")?),
    },
    OpDef { name: "arange", params: &["start", "end?", "step?", "dtype?"], run: arange },
    OpDef { name: "rand", params: &["size", "seed", "offset", "dtype?"], run: |c| draw(c, Draw::Uniform) },
    OpDef { name: "randn", params: &["size", "seed", "offset", "dtype?"], run: |c| draw(c, Draw::Normal) },
    OpDef { name: "eye", params: &["n", "m?", "dtype?"], run: eye },
];

fn dims(c: &Call<'_>, sizes: &[i64]) -> Result<Vec<usize>> {
    sizes
        .iter()
        .map(|&s| {
            usize::try_from(s).map_err(|_| bad(c.name(), "size", "sizes of at least zero", &Value::Int(s)))
        })
        .collect()
}

fn filled(c: &Call<'_>, value: Scalar) -> Result<Value> {
    // The type is a keyword; what stands in its position is the first size.
    let mut sizes = match c.get("dtype") {
        Value::Int(first) => vec![*first],
        Value::Tuple(_) | Value::List(_) => c.ints("dtype")?,
        _ => Vec::new(),
    };
    let dtype = if sizes.is_empty() && !matches!(c.get("dtype"), Value::Tuple(_) | Value::List(_)) {
        c.optional_dtype("dtype")?.unwrap_or(DType::F32)
    } else {
        DType::F32
    };
    sizes.extend(c.sizes("size")?);
    Ok(Value::tensor(c.engine.full(&dims(c, &sizes)?, value, dtype)))
}

fn full(c: &Call<'_>) -> Result<Value> {
    let value = c.scalar("fill_value")?;
    let dtype = c.optional_dtype("dtype")?.unwrap_or_else(|| value.dtype());
    Ok(Value::tensor(c.engine.full(&dims(c, &c.ints("size")?)?, value, dtype)))
}

fn like(c: &Call<'_>, value: Scalar) -> Result<Value> {
    let x = c.tensor("input")?;
    let dtype = c.optional_dtype("dtype")?.unwrap_or_else(|| x.dtype());
    Ok(Value::tensor(c.engine.full(x.dims(), value, dtype)))
}

fn arange(c: &Call<'_>) -> Result<Value> {
    let (start, end) = match c.get("end") {
        Value::None => (Scalar::Int(0), c.scalar("start")?),
        _ => (c.scalar("start")?, c.scalar("end")?),
    };
    let step = c.scalar_or("step", 1)?;
    if step.to_f64() == 0.0 {
        return Err(bad("arange", "step", "a number other than zero", c.get("step")));
    }
    let float = [start, end, step].iter().any(|s| matches!(s, Scalar::Float(_)));
    let dtype = c.optional_dtype("dtype")?.unwrap_or(if float { DType::F32 } else { DType::I64 });
    let len = ((end.to_f64() - start.to_f64()) / step.to_f64()).ceil().max(0.0) as usize;
    Ok(Value::tensor(c.engine.arange(start, step, len, dtype)))
}

fn eye(c: &Call<'_>) -> Result<Value> {
    let n = c.int("n")?;
    let sizes = dims(c, &[n, c.int_or("m", n)?])?;
    let rows = c.engine.arange(0, 1, sizes[0], DType::I64).unsqueeze(1)?;
    let cols = c.engine.arange(0, 1, sizes[1], DType::I64);
    let dtype = c.optional_dtype("dtype")?.unwrap_or(DType::F32);
    Ok(Value::tensor(rows.eq(&cols)?.cast(dtype)))
}

/// A distribution of draws.
enum Draw {
    Uniform,
    Normal,
}

/// Draws take their seed and their position in the stream when they are recorded, so that no two are the same and no
/// schedule changes them.
fn draw(c: &Call<'_>, kind: Draw) -> Result<Value> {
    let dims = dims(c, &c.ints("size")?)?;
    let dtype = c.optional_dtype("dtype")?.unwrap_or(DType::F32);
    if !dtype.is_float() {
        return Err(bad(c.name(), "dtype", "a floating type", c.get("dtype")));
    }
    let (seed, offset) = (c.int("seed")? as u64, c.int("offset")? as u64);
    Ok(Value::tensor(match kind {
        Draw::Uniform => c.engine.rand(&dims, dtype, seed, offset),
        Draw::Normal => c.engine.randn(&dims, dtype, seed, offset),
    }))
}
