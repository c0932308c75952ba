//! Reductions, and running ones. On lists and tuples, the names that Python shares are Python's functions.

use pellucid_nn::{Record, Value};
use pellucid_tensor::{DType, IndexItem, ReduceOp, ScanOp, Tensor, shape};

use super::{Call, OpDef, op, tensor};
use crate::error::Result;

const DIMS: &[&str] = &["input", "dim?", "keepdim?", "dtype?"];
const SPREAD: &[&str] = &["input", "dim?", "correction?", "keepdim?", "unbiased?"];

pub(super) const OPS: &[OpDef] = &[
    op("sum", DIMS, |c| of_tensor(c, "builtins.sum", sum)),
    op("nansum", DIMS, |c| {
        let x = summed(c)?;
        tensor(present(&x)?.sum(&c.ints("dim")?, keepdim(c)?))
    }),
    op("mean", DIMS, mean),
    op("nanmean", DIMS, |c| {
        let x = summed(c)?;
        let (dims, keep) = (c.ints("dim")?, keepdim(c)?);
        let count = x.isnan()?.logical_not()?.cast(x.dtype()).sum(&dims, keep)?;
        tensor(present(&x)?.sum(&dims, keep)?.div(&count))
    }),
    op("prod", DIMS, |c| reduce(c, ReduceOp::Prod)),
    op("amax", DIMS, |c| reduce(c, ReduceOp::Max)),
    op("amin", DIMS, |c| reduce(c, ReduceOp::Min)),
    op("aminmax", &["input", "dim?", "keepdim?"], |c| {
        let part = |op| -> Result<Value> {
            let dims: Vec<i64> = c.optional_int("dim")?.into_iter().collect();
            tensor(c.tensor("input")?.reduce(op, &dims, keepdim(c)?))
        };
        Ok(Record::value("aminmax", [("min", part(ReduceOp::Min)?), ("max", part(ReduceOp::Max)?)]))
    }),
    op("any", &["input", "dim?", "keepdim?"], |c| of_tensor(c, "builtins.any", |c| truths(c, ReduceOp::Any))),
    op("all", &["input", "dim?", "keepdim?"], |c| of_tensor(c, "builtins.all", |c| truths(c, ReduceOp::All))),
    op("max", &["input", "dim|other?", "keepdim?"], |c| extreme(c, true)),
    op("min", &["input", "dim|other?", "keepdim?"], |c| extreme(c, false)),
    op("argmax", &["input", "dim?", "keepdim?"], |c| arg_extreme(c, true)),
    op("argmin", &["input", "dim?", "keepdim?"], |c| arg_extreme(c, false)),
    op("var", SPREAD, |c| spread(c, false)),
    op("std", SPREAD, |c| spread(c, true)),
    op("var_mean", SPREAD, |c| with_mean(c, false)),
    op("std_mean", SPREAD, |c| with_mean(c, true)),
    op("norm", &["input", "p?", "dim?", "keepdim?", "dtype?"], norm),
    op("linalg.norm", &["input", "ord?", "dim?", "keepdim?", "dtype?"], |c| linalg_norm(c, true)),
    op("linalg.vector_norm", &["input", "ord?", "dim?", "keepdim?", "dtype?"], |c| linalg_norm(c, false)),
    op("vector_norm", &["input", "ord?", "dim?", "keepdim?", "dtype?"], |c| linalg_norm(c, false)),
    op("logsumexp", &["input", "dim", "keepdim?"], |c| {
        tensor(c.tensor("input")?.logsumexp(&c.ints("dim")?, keepdim(c)?))
    }),
    op("count_nonzero", &["input", "dim?"], |c| {
        tensor(c.tensor("input")?.cast(DType::Bool).sum(&c.ints("dim")?, false))
    }),
    op("cummax", &["input", "dim"], |c| running_extreme(c, true)),
    op("cummin", &["input", "dim"], |c| running_extreme(c, false)),
    op("diff", &["input", "n?", "dim?"], diff),
];

/// Running sums and products, which have in-place forms.
pub(super) const SCANS: &[OpDef] = &[
    op("cumsum", &["input", "dim", "dtype?"], |c| tensor(summed(c)?.cumsum(c.int("dim")?))),
    op("cumprod", &["input", "dim", "dtype?"], |c| tensor(summed(c)?.scan(ScanOp::Prod, c.int("dim")?))),
    op("logcumsumexp", &["input", "dim"], |c| {
        let x = super::functional::floats(c)?;
        let dim = c.int("dim")?;
        if x.numel() == 0 {
            return Ok(Value::tensor(x));
        }
        let top = x.reduce(ReduceOp::Max, &[dim], true)?;
        let top = top.isfinite()?.where_(&top, &c.engine.zeros(&[], x.dtype()))?;
        tensor(x.sub(&top)?.exp()?.cumsum(dim)?.log()?.add(&top))
    }),
];

fn keepdim(c: &Call<'_>) -> Result<bool> {
    c.flag_or("keepdim", false)
}

/// The reduction of a tensor, or Python's function of anything else.
fn of_tensor(c: &Call<'_>, python: &str, f: fn(&Call<'_>) -> Result<Value>) -> Result<Value> {
    match c.get("input") {
        Value::Tuple(_) | Value::List(_) | Value::Set(_) | Value::Dict(_) => {
            let mut args = vec![c.get("input").clone()];
            if c.has("dim") && python == "builtins.sum" {
                args.push(c.get("dim").clone());
            }
            super::call(c.engine, python, args, Vec::new())
        }
        _ => f(c),
    }
}

fn summed(c: &Call<'_>) -> Result<Tensor> {
    let x = c.tensor("input")?;
    Ok(match c.optional_dtype("dtype")? {
        Some(dtype) => x.cast(dtype),
        None => x,
    })
}

/// The tensor with zeros in place of NaN.
fn present(x: &Tensor) -> Result<Tensor> {
    Ok(x.isnan()?.where_(&x.engine().zeros(&[], x.dtype()), x)?)
}

fn sum(c: &Call<'_>) -> Result<Value> {
    let (x, dtype) = (summed(c)?, c.optional_dtype("dtype")?);
    let out = x.sum(&c.ints("dim")?, keepdim(c)?)?;
    Ok(Value::tensor(dtype.map_or(out.clone(), |d| out.cast(d))))
}

fn mean(c: &Call<'_>) -> Result<Value> {
    tensor(summed(c)?.mean(&c.ints("dim")?, keepdim(c)?))
}

fn reduce(c: &Call<'_>, op: ReduceOp) -> Result<Value> {
    tensor(summed(c)?.reduce(op, &c.ints("dim")?, keepdim(c)?))
}

fn truths(c: &Call<'_>, op: ReduceOp) -> Result<Value> {
    tensor(c.tensor("input")?.reduce(op, &c.ints("dim")?, keepdim(c)?))
}

/// Values and their positions, named as PyTorch names them.
pub(super) fn pair(type_name: &'static str, values: Tensor, indices: Tensor) -> Value {
    Record::value(type_name, [("values", Value::tensor(values)), ("indices", Value::tensor(indices))])
}

fn extreme(c: &Call<'_>, largest: bool) -> Result<Value> {
    if !matches!(c.get("input"), Value::Tensor(_)) {
        let mut args = vec![c.get("input").clone()];
        args.extend(c.has("dim").then(|| c.get("dim").clone()));
        return super::call(
            c.engine,
            if largest { "builtins.max" } else { "builtins.min" },
            args,
            Vec::new(),
        );
    }
    let x = c.tensor("input")?;
    match c.get("dim") {
        Value::None => tensor(x.reduce(if largest { ReduceOp::Max } else { ReduceOp::Min }, &[], false)),
        Value::Tensor(other) => {
            let other = other.get()?;
            tensor(if largest { x.maximum(&other) } else { x.minimum(&other) })
        }
        _ => {
            let (values, indices) = x.extreme(largest, c.int("dim")?, keepdim(c)?)?;
            Ok(pair(if largest { "max" } else { "min" }, values, indices))
        }
    }
}

fn arg_extreme(c: &Call<'_>, largest: bool) -> Result<Value> {
    tensor(c.tensor("input")?.arg_extreme(largest, c.optional_int("dim")?, keepdim(c)?))
}

/// The dimensions and the correction of a spread; `std(x, False)` means no correction.
fn spread_of(c: &Call<'_>) -> Result<(Vec<i64>, f64)> {
    let (dims, unbiased) = match c.get("dim") {
        Value::Bool(unbiased) => (Vec::new(), *unbiased),
        _ => (c.ints("dim")?, true),
    };
    // What stands third is `unbiased` if it is a truth value, as in PyTorch's older signature.
    let (correction, third) = match c.get("correction") {
        Value::Bool(unbiased) => (1.0, *unbiased),
        _ => (c.float_or("correction", 1.0)?, true),
    };
    let unbiased = unbiased && third && c.flag_or("unbiased", true)?;
    Ok((dims, if unbiased { correction } else { 0.0 }))
}

fn spread(c: &Call<'_>, root: bool) -> Result<Value> {
    let (dims, correction) = spread_of(c)?;
    let x = c.tensor("input")?;
    let keep = keepdim(c)?;
    tensor(if root { x.std(&dims, correction, keep) } else { x.var(&dims, correction, keep) })
}

fn with_mean(c: &Call<'_>, root: bool) -> Result<Value> {
    let (dims, _) = spread_of(c)?;
    Ok(Value::tuple([spread(c, root)?, tensor(c.tensor("input")?.mean(&dims, keepdim(c)?))?]))
}

fn order_of(c: &Call<'_>, name: &str) -> Result<f64> {
    match c.get(name) {
        Value::Str(s) => match &**s {
            "fro" => Ok(2.0),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            _ => Err(c.bad(name, "a number, or \"fro\"")),
        },
        _ => c.float_or(name, 2.0),
    }
}

fn norm(c: &Call<'_>) -> Result<Value> {
    tensor(summed(c)?.norm(order_of(c, "p")?, &c.ints("dim")?, keepdim(c)?))
}

/// Norms of vectors; of matrices those that need no decomposition.
fn linalg_norm(c: &Call<'_>, matrices: bool) -> Result<Value> {
    let x = summed(c)?;
    let (dims, p) = (c.ints("dim")?, order_of(c, "ord")?);
    let of_matrix = matrices && c.has("ord") && (dims.len() == 2 || (dims.is_empty() && x.rank() == 2));
    if !of_matrix || matches!(c.get("ord"), Value::Str(s) if &**s == "fro") {
        return tensor(x.norm(p, &dims, keepdim(c)?));
    }
    // The largest (or smallest) sum of a column or a row.
    let [rows, cols] = [dims.first().copied().unwrap_or(0), dims.get(1).copied().unwrap_or(1)];
    let (rows, cols) = (shape::axis(rows, x.rank())? as i64, shape::axis(cols, x.rank())? as i64);
    let (summed, left) = match p.abs() {
        1.0 => (rows, cols),
        p if p.is_infinite() => (cols, rows),
        _ => return Err(c.bad("ord", "\"fro\", 1, -1, inf or -inf for matrices")),
    };
    let op = if p > 0.0 { ReduceOp::Max } else { ReduceOp::Min };
    let kept = x.abs()?.sum(&[summed], true)?.reduce(op, &[left], true)?;
    if keepdim(c)? {
        return Ok(Value::tensor(kept));
    }
    tensor(kept.sum(&[rows, cols], false))
}

/// Running extremes and where they were met last.
fn running_extreme(c: &Call<'_>, largest: bool) -> Result<Value> {
    let (x, dim) = (c.tensor("input")?, c.int("dim")?);
    let at = shape::axis(dim, x.rank())?;
    let values = x.scan(if largest { ScanOp::Max } else { ScanOp::Min }, dim)?;
    let mut sizes = vec![1i64; x.rank()];
    if let Some(size) = sizes.get_mut(at) {
        *size = x.dims()[at] as i64;
    }
    let n = x.dims().get(at).copied().unwrap_or(1);
    let place = c.engine.arange(0, 1, n, DType::I64).reshape(&sizes)?;
    let met = x.eq(&values)?.where_(&place, &c.engine.zeros(&[], DType::I64))?;
    Ok(pair(if largest { "cummax" } else { "cummin" }, values, met.scan(ScanOp::Max, dim)?))
}

fn diff(c: &Call<'_>) -> Result<Value> {
    let (mut x, dim) = (c.tensor("input")?, c.int_or("dim", -1)?);
    let at = shape::axis(dim, x.rank())?;
    if x.rank() == 0 {
        return Err(c.bad("input", "at least one dimension"));
    }
    let times = c.int_or("n", 1)?;
    if times < 0 {
        return Err(c.bad("n", "a number of at least zero"));
    }
    for _ in 0..times.min(x.dims()[at] as i64) {
        let part = |range: std::ops::Range<i64>| {
            let mut items = vec![IndexItem::ALL; at];
            items.push(range.into());
            x.index(&items)
        };
        let n = x.dims()[at] as i64;
        let (after, before) = (part(1.min(n)..n)?, part(0..(n - 1).max(0))?);
        x = if x.dtype() == DType::Bool { after.ne(&before)? } else { after.sub(&before)? };
    }
    Ok(Value::tensor(x))
}
