//! Random draws. They take their seed and their position in the stream when they are recorded, so that no two are the
//! same and no schedule changes them. A draw uses as many positions of the stream as it has elements.

use pellucid_nn::Value;
use pellucid_tensor::{DType, Scalar, Tensor};

use super::{Call, OpDef, bad_shape, op, tensor};
use crate::error::Result;

pub(super) const OPS: &[OpDef] = &[
    op("rand", &["size", "seed", "offset", "dtype?"], |c| draw(c, false)),
    op("randn", &["size", "seed", "offset", "dtype?"], |c| draw(c, true)),
    op("randint", &["low", "high", "size", "seed", "offset", "dtype?"], |c| {
        let dims = c.dims("size", &c.ints("size")?)?;
        integers(c, &dims, c.int("low")?, c.int("high")?, DType::I64)
    }),
    op("randperm", &["n", "seed", "offset", "dtype?"], |c| {
        let n = c.dims("n", &[c.int("n")?])?;
        let keys = uniform(c, &n, DType::F64)?;
        Ok(Value::tensor(keys.argsort(0, false)?.cast(c.optional_dtype("dtype")?.unwrap_or(DType::I64))))
    }),
    op("rand_like", &["input", "seed", "offset", "dtype?"], |c| draw_like(c, false)),
    op("randn_like", &["input", "seed", "offset", "dtype?"], |c| draw_like(c, true)),
    op("randint_like", &["input", "low", "high", "seed", "offset", "dtype?"], |c| {
        let x = c.tensor("input")?;
        integers(c, x.dims(), c.int("low")?, c.int("high")?, x.dtype())
    }),
    op("uniform", &["input", "seed", "offset", "from|low?", "to|high?"], |c| {
        let x = floating(c)?;
        let (low, high) = (c.float_or("from", 0.0)?, c.float_or("to", 1.0)?);
        tensor(uniform(c, x.dims(), x.dtype())?.mul_scalar(high - low)?.add_scalar(low))
    }),
    op("normal", &["input|mean", "seed", "offset", "mean|loc?", "std?", "size?"], normal),
    op("random", &["input", "seed", "offset", "from?", "to?"], |c| {
        let x = c.tensor("input")?;
        let most = match x.dtype() {
            DType::Bool => 2,
            DType::U8 => 256,
            DType::F16 => 1 << 11,
            DType::BF16 => 1 << 8,
            DType::F32 => 1 << 24,
            DType::I32 => 1 << 31,
            _ => 1 << 53,
        };
        integers(c, x.dims(), c.int_or("from", 0)?, c.int_or("to", most)?, x.dtype())
    }),
    op("exponential", &["input", "seed", "offset", "lambd?"], |c| {
        let x = floating(c)?;
        let u = uniform(c, x.dims(), x.dtype())?;
        tensor(u.neg()?.log1p()?.div_scalar(-c.float_or("lambd", 1.0)?))
    }),
    op("bernoulli", &["input", "seed", "offset", "p?"], |c| {
        let x = c.tensor("input")?;
        let p = match c.optional_tensor("p")? {
            Some(p) => p,
            None => x.clone(),
        };
        tensor(Ok(uniform(c, x.dims(), DType::F32)?.lt(&p)?.cast(x.dtype())))
    }),
    op("multinomial", &["input", "num_samples", "seed", "offset", "replacement?"], multinomial),
];

fn stream(c: &Call<'_>) -> Result<(u64, u64)> {
    Ok((c.int("seed")? as u64, c.int("offset")? as u64))
}

fn uniform(c: &Call<'_>, dims: &[usize], dtype: DType) -> Result<Tensor> {
    let (seed, offset) = stream(c)?;
    Ok(c.engine.rand(dims, dtype, seed, offset))
}

fn floating(c: &Call<'_>) -> Result<Tensor> {
    let x = c.tensor("input")?;
    if x.dtype().is_float() { Ok(x) } else { Err(c.bad("input", "floating numbers")) }
}

fn drawn(c: &Call<'_>, dims: &[usize], dtype: DType, normal: bool) -> Result<Value> {
    if !dtype.is_float() {
        return Err(c.bad("dtype", "a floating type"));
    }
    let (seed, offset) = stream(c)?;
    Ok(Value::tensor(if normal {
        c.engine.randn(dims, dtype, seed, offset)
    } else {
        c.engine.rand(dims, dtype, seed, offset)
    }))
}

fn draw(c: &Call<'_>, normal: bool) -> Result<Value> {
    let dims = c.dims("size", &c.ints("size")?)?;
    drawn(c, &dims, c.optional_dtype("dtype")?.unwrap_or(DType::F32), normal)
}

fn draw_like(c: &Call<'_>, normal: bool) -> Result<Value> {
    let x = c.tensor("input")?;
    drawn(c, x.dims(), c.optional_dtype("dtype")?.unwrap_or(x.dtype()), normal)
}

fn integers(c: &Call<'_>, dims: &[usize], low: i64, high: i64, dtype: DType) -> Result<Value> {
    let (seed, offset) = stream(c)?;
    if high.checked_sub(low).is_none_or(|width| width <= 0) {
        return Err(super::bad(
            c.name(),
            "high",
            "a range of at least one integer, of at most 63 bits",
            &Value::Int(high),
        ));
    }
    let dtype = if op_has_dtype(c) { c.optional_dtype("dtype")?.unwrap_or(dtype) } else { dtype };
    tensor(c.engine.randint(low..high, dims, dtype, seed, offset))
}

fn op_has_dtype(c: &Call<'_>) -> bool {
    c.name() != "random"
}

/// `x.normal_(mean, std)`: `input` gives the shape; `torch.normal(mean, std, size)`: `input` is the mean.
fn normal(c: &Call<'_>) -> Result<Value> {
    let (seed, offset) = stream(c)?;
    if c.has("size") || matches!(c.get("input"), Value::Float(_) | Value::Int(_)) {
        let dims = c.dims("size", &c.ints("size")?)?;
        let draws = c.engine.randn(&dims, DType::F32, seed, offset);
        let mean = c.scalar("input")?.to_f64();
        return tensor(draws.mul_scalar(c.float_or("std", 1.0)?)?.add_scalar(mean));
    }
    let x = floating(c)?;
    let draws = c.engine.randn(x.dims(), x.dtype(), seed, offset);
    let draws = match c.get("std") {
        Value::Tensor(std) => draws.mul(&std.get()?)?,
        _ => draws.mul_scalar(c.float_or("std", 1.0)?)?,
    };
    tensor(draws.add_scalar(c.float_or("mean", 0.0)?))
}

fn multinomial(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    let k = c.count("num_samples")?;
    if x.rank() == 0 || x.rank() > 2 || !x.dtype().is_float() {
        return Err(bad_shape("multinomial", "floating weights `[n]` or `[rows, n]`", x.dims()));
    }
    let classes = x.dims()[x.rank() - 1];
    let x = x.cast(DType::F64);
    if k == 0 || classes == 0 {
        return Err(c.bad("num_samples", "at least one sample of at least one class"));
    }
    if !c.flag_or("replacement", false)? {
        if k > classes {
            return Err(c.bad("num_samples", &format!("at most {classes} samples without replacement")));
        }
        // The largest of log(weight) + Gumbel noise are a sample without replacement (Yellott 1977); as weight over
        // exponential noise, so that weights of zero come last.
        let noise = uniform(c, x.dims(), DType::F64)?.neg()?.log1p()?.neg()?.add_scalar(f64::MIN_POSITIVE)?;
        return Ok(Value::tensor(x.div(&noise)?.topk(k, -1, true)?.1));
    }
    let mut dims: Vec<usize> = x.dims()[..x.rank() - 1].to_vec();
    dims.push(k);
    let full: Vec<usize> = dims.iter().copied().chain([classes]).collect();
    c.check_size("num_samples", &full)?;
    let sums = x.cumsum(-1)?;
    let total = x.sum(&[-1], true)?;
    let point = uniform(c, &dims, DType::F64)?.mul(&total)?;
    let passed = point.unsqueeze(-1)?.ge(&sums.unsqueeze(-2)?)?;
    let at = passed.sum(&[-1], false)?;
    tensor(at.clamp(None, Some(Scalar::Int(classes as i64 - 1))))
}
