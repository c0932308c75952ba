//! Reductions, orders, softmax, norms, losses.

use pellucid_nn::{Record, Value};
use pellucid_tensor::{ReduceOp, Reduction, ScanOp, Tensor};

use super::{Call, OpDef, bad, tensor};
use crate::error::Result;

const DIMS: &[&str] = &["input", "dim?", "keepdim?", "dtype?"];

pub(super) const OPS: &[OpDef] = &[
    OpDef { name: "sum", params: DIMS, run: sum },
    OpDef { name: "mean", params: DIMS, run: mean },
    OpDef { name: "prod", params: DIMS, run: |c| reduce(c, ReduceOp::Prod) },
    OpDef { name: "amax", params: DIMS, run: |c| reduce(c, ReduceOp::Max) },
    OpDef { name: "amin", params: DIMS, run: |c| reduce(c, ReduceOp::Min) },
    OpDef { name: "any", params: DIMS, run: |c| reduce(c, ReduceOp::Any) },
    OpDef { name: "all", params: DIMS, run: |c| reduce(c, ReduceOp::All) },
    OpDef { name: "max", params: &["input", "dim?", "keepdim?"], run: |c| extreme(c, true) },
    OpDef { name: "min", params: &["input", "dim?", "keepdim?"], run: |c| extreme(c, false) },
    OpDef { name: "argmax", params: &["input", "dim?", "keepdim?"], run: |c| arg_extreme(c, true) },
    OpDef { name: "argmin", params: &["input", "dim?", "keepdim?"], run: |c| arg_extreme(c, false) },
    OpDef {
        name: "var",
        params: &["input", "dim?", "correction?", "keepdim?", "unbiased?"],
        run: |c| spread(c, false),
    },
    OpDef {
        name: "std",
        params: &["input", "dim?", "correction?", "keepdim?", "unbiased?"],
        run: |c| spread(c, true),
    },
    OpDef { name: "norm", params: &["input", "p?", "dim?", "keepdim?"], run: norm },
    OpDef { name: "logsumexp", params: &["input", "dim", "keepdim?"], run: logsumexp },
    OpDef { name: "topk", params: &["input", "k", "dim?", "largest?", "sorted?"], run: topk },
    OpDef { name: "sort", params: &["input", "dim?", "descending?", "stable?"], run: sort },
    OpDef { name: "argsort", params: &["input", "dim?", "descending?", "stable?"], run: argsort },
    OpDef {
        name: "cumsum",
        params: &["input", "dim"],
        run: |c| tensor(c.tensor("input")?.cumsum(c.int("dim")?)),
    },
    OpDef {
        name: "cumprod",
        params: &["input", "dim"],
        run: |c| tensor(c.tensor("input")?.scan(ScanOp::Prod, c.int("dim")?)),
    },
    OpDef { name: "softmax", params: &["input", "dim", "dtype?"], run: |c| softmax(c, Tensor::softmax) },
    OpDef {
        name: "log_softmax",
        params: &["input", "dim", "dtype?"],
        run: |c| softmax(c, Tensor::log_softmax),
    },
    OpDef {
        name: "layer_norm",
        params: &["input", "normalized_shape", "weight?", "bias?", "eps?"],
        run: layer_norm,
    },
    OpDef {
        name: "cross_entropy",
        params: &["input", "target", "weight?", "size_average?", "ignore_index?", "reduce?", "reduction?"],
        run: cross_entropy,
    },
];

fn summed(c: &Call<'_>) -> Result<Tensor> {
    let x = c.tensor("input")?;
    Ok(match c.optional_dtype("dtype")? {
        Some(dtype) => x.cast(dtype),
        None => x,
    })
}

fn sum(c: &Call<'_>) -> Result<Value> {
    tensor(summed(c)?.sum(&c.ints("dim")?, c.flag_or("keepdim", false)?))
}

fn mean(c: &Call<'_>) -> Result<Value> {
    tensor(summed(c)?.mean(&c.ints("dim")?, c.flag_or("keepdim", false)?))
}

fn reduce(c: &Call<'_>, op: ReduceOp) -> Result<Value> {
    tensor(summed(c)?.reduce(op, &c.ints("dim")?, c.flag_or("keepdim", false)?))
}

fn pair(type_name: &'static str, values: Tensor, indices: Tensor) -> Value {
    Record::value(type_name, [("values", Value::tensor(values)), ("indices", Value::tensor(indices))])
}

fn extreme(c: &Call<'_>, largest: bool) -> Result<Value> {
    let x = c.tensor("input")?;
    match c.get("dim") {
        Value::None => tensor(x.reduce(if largest { ReduceOp::Max } else { ReduceOp::Min }, &[], false)),
        Value::Tensor(other) if !other.get()?.dims().is_empty() => {
            let other = other.get()?;
            tensor(if largest { x.maximum(&other) } else { x.minimum(&other) })
        }
        _ => {
            let (values, indices) = x.extreme(largest, c.int("dim")?, c.flag_or("keepdim", false)?)?;
            Ok(pair(if largest { "max" } else { "min" }, values, indices))
        }
    }
}

fn arg_extreme(c: &Call<'_>, largest: bool) -> Result<Value> {
    tensor(c.tensor("input")?.arg_extreme(largest, c.optional_int("dim")?, c.flag_or("keepdim", false)?))
}

fn spread(c: &Call<'_>, root: bool) -> Result<Value> {
    let biased = !c.flag_or("unbiased", true)?;
    let correction = if biased { 0.0 } else { c.scalar_or("correction", 1)?.to_f64() };
    let (dims, keepdim) = (c.ints("dim")?, c.flag_or("keepdim", false)?);
    let x = c.tensor("input")?;
    tensor(if root { x.std(&dims, correction, keepdim) } else { x.var(&dims, correction, keepdim) })
}

fn norm(c: &Call<'_>) -> Result<Value> {
    let p = match c.get("p") {
        Value::Str(s) if &**s == "fro" => 2.0,
        _ => c.scalar_or("p", 2.0)?.to_f64(),
    };
    tensor(c.tensor("input")?.norm(p, &c.ints("dim")?, c.flag_or("keepdim", false)?))
}

fn logsumexp(c: &Call<'_>) -> Result<Value> {
    tensor(c.tensor("input")?.logsumexp(&c.ints("dim")?, c.flag_or("keepdim", false)?))
}

fn topk(c: &Call<'_>) -> Result<Value> {
    let k = c.int("k")?;
    let k = usize::try_from(k).map_err(|_| bad("topk", "k", "a number of at least zero", &Value::Int(k)))?;
    let (values, indices) = c.tensor("input")?.topk(k, c.int_or("dim", -1)?, c.flag_or("largest", true)?)?;
    Ok(pair("topk", values, indices))
}

fn sort(c: &Call<'_>) -> Result<Value> {
    let (values, indices) = c.tensor("input")?.sort(c.int_or("dim", -1)?, c.flag_or("descending", false)?)?;
    Ok(pair("sort", values, indices))
}

fn argsort(c: &Call<'_>) -> Result<Value> {
    tensor(c.tensor("input")?.argsort(c.int_or("dim", -1)?, c.flag_or("descending", false)?))
}

fn softmax(c: &Call<'_>, f: fn(&Tensor, i64) -> pellucid_tensor::Result<Tensor>) -> Result<Value> {
    tensor(f(&summed(c)?, c.int("dim")?))
}

fn layer_norm(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    let shape = c.ints("normalized_shape")?;
    if shape.len() != 1 {
        return Err(bad(
            "layer_norm",
            "normalized_shape",
            "the last dimension alone",
            c.get("normalized_shape"),
        ));
    }
    let (weight, bias) = (c.optional_tensor("weight")?, c.optional_tensor("bias")?);
    tensor(x.layer_norm(weight.as_ref(), bias.as_ref(), c.scalar_or("eps", 1e-5)?.to_f64()))
}

fn cross_entropy(c: &Call<'_>) -> Result<Value> {
    for name in ["weight", "size_average", "reduce"] {
        if !matches!(c.get(name), Value::None) {
            return Err(bad("cross_entropy", name, "nothing (not supported)", c.get(name)));
        }
    }
    let reduction = match &*c.text_or("reduction", "mean")? {
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        "none" => Reduction::None,
        _ => {
            return Err(bad(
                "cross_entropy",
                "reduction",
                "\"mean\", \"sum\" or \"none\"",
                c.get("reduction"),
            ));
        }
    };
    tensor(c.tensor("input")?.cross_entropy(&c.tensor("target")?, c.int_or("ignore_index", -100)?, reduction))
}
