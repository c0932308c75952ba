//! Orders: sorting, ranks, quantiles, and what is found by them.

use pellucid_nn::Value;
use pellucid_tensor::{DType, ReduceOp, Scalar, Tensor, shape};

use super::call::MOST_ITEMS;
use super::reduce::pair;
use super::{Call, OpDef, op, tensor};
use crate::error::Result;

pub(super) const OPS: &[OpDef] = &[
    op("topk", &["input", "k", "dim?", "largest?", "sorted?"], |c| {
        let (x, k) = (c.tensor("input")?, c.count("k")?);
        if x.rank() == 0 && k == 0 {
            return Err(c.bad("k", "one, of a tensor without dimensions"));
        }
        let (values, indices) = x.topk(k, c.int_or("dim", -1)?, c.flag_or("largest", true)?)?;
        Ok(pair("topk", values, indices))
    }),
    op("sort", &["input", "dim?", "descending|reverse?", "stable?"], |c| {
        if let Value::List(_) = c.get("input") {
            let reverse = ("reverse".to_owned(), c.get("descending").clone());
            return super::call(c.engine, "list.sort", vec![c.get("input").clone()], vec![reverse]);
        }
        let (values, indices) =
            c.tensor("input")?.sort(c.int_or("dim", -1)?, c.flag_or("descending", false)?)?;
        Ok(pair("sort", values, indices))
    }),
    op("msort", &["input"], |c| Ok(Value::tensor(c.tensor("input")?.sort(0, false)?.0))),
    op("argsort", &["input", "dim?", "descending?", "stable?"], |c| {
        tensor(c.tensor("input")?.argsort(c.int_or("dim", -1)?, c.flag_or("descending", false)?))
    }),
    op("kthvalue", &["input", "k", "dim?", "keepdim?"], |c| {
        let (dim, k) = (c.int_or("dim", -1)?, c.int("k")?);
        let size = size_of(&c.tensor("input")?, dim)? as i64;
        if k < 1 || k > size {
            return Err(c.bad("k", &format!("a rank from 1 to {size}")));
        }
        ranked(c, "kthvalue", dim, k - 1)
    }),
    op("median", &["input", "dim?", "keepdim?"], median),
    op("quantile", &["input", "q", "dim?", "keepdim?", "interpolation?"], quantile),
    op("unique", &["input", "sorted?", "return_inverse?", "return_counts?"], |c| unique(c, true)),
    op("unique_consecutive", &["input", "return_inverse?", "return_counts?"], |c| unique(c, false)),
    op("bincount", &["input", "weights?", "minlength?"], bincount),
    op("histc", &["input", "bins?", "min?", "max?"], histogram),
    op("searchsorted", &["sorted_sequence", "input", "right?"], |c| {
        searched(c, &c.tensor("sorted_sequence")?, &c.tensor("input")?)
    }),
    op("bucketize", &["input", "boundaries", "right?"], |c| {
        searched(c, &c.tensor("boundaries")?, &c.tensor("input")?)
    }),
    op("isin", &["elements|input", "test_elements|other", "invert?"], |c| {
        let (x, among) = (c.tensor("elements")?, c.tensor("test_elements")?.flatten(0, -1)?);
        let wide: Vec<usize> = x.dims().iter().copied().chain([among.numel()]).collect();
        c.check_size("elements", &wide)?;
        let found = x.unsqueeze(-1)?.eq(&among)?.reduce(ReduceOp::Any, &[-1], false)?;
        tensor(if c.flag_or("invert", false)? { found.logical_not() } else { Ok(found) })
    }),
];

fn size_of(x: &Tensor, dim: i64) -> Result<usize> {
    Ok(x.dims().get(shape::axis(dim, x.rank())?).copied().unwrap_or(1))
}

/// The element of a rank along a dimension, and where it was.
fn ranked(c: &Call<'_>, name: &'static str, dim: i64, rank: i64) -> Result<Value> {
    let (sorted, order) = c.tensor("input")?.sort(dim, false)?;
    if sorted.rank() == 0 {
        return Ok(pair(name, sorted, order));
    }
    let keep = c.flag_or("keepdim", false)?;
    let pick = |t: &Tensor| -> Result<Tensor> {
        let one = t.narrow(dim, rank, 1)?;
        Ok(if keep { one } else { one.squeeze(Some(dim))? })
    };
    Ok(pair(name, pick(&sorted)?, pick(&order)?))
}

fn median(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    if !c.has("dim") {
        let flat = x.flatten(0, -1)?;
        if flat.numel() == 0 {
            return Err(c.bad("input", "at least one element"));
        }
        let at = (flat.numel() as i64 - 1) / 2;
        let middle = flat.sort(0, false)?.0.index(&[at.into()])?;
        if !x.dtype().is_float() {
            return Ok(Value::tensor(middle));
        }
        let spoiled = x.isnan()?.reduce(ReduceOp::Any, &[], false)?;
        return tensor(spoiled.where_(&c.engine.full(&[], f64::NAN, x.dtype()), &middle));
    }
    let dim = c.int("dim")?;
    let size = size_of(&x, dim)? as i64;
    if size == 0 {
        return Err(c.bad("input", "at least one element"));
    }
    ranked(c, "median", dim, (size - 1) / 2)
}

fn quantile(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    if !matches!(x.dtype(), DType::F32 | DType::F64) {
        return Err(c.bad("input", "single or double precision"));
    }
    let (x, dim) = match c.optional_int("dim")? {
        Some(dim) => (x, dim),
        None => (x.flatten(0, -1)?, 0),
    };
    let n = size_of(&x, dim)?;
    if n == 0 || x.rank() == 0 {
        return Err(c.bad("input", "at least one element"));
    }
    let (points, many) = match c.get("q") {
        Value::Tensor(q) if q.get()?.rank() == 1 => (q.get()?.to_f64s()?, true),
        _ => (vec![c.scalar("q")?.to_f64()], false),
    };
    if points.len() > 1024 || points.iter().any(|q| !(0.0..=1.0).contains(q)) {
        return Err(c.bad("q", "at most 1024 numbers from 0 to 1"));
    }
    let kind = c.text_or("interpolation", "linear")?;
    let sorted = x.sort(dim, false)?.0;
    let keep = c.flag_or("keepdim", false)?;
    let at = |i: f64| -> Result<Tensor> {
        let one = sorted.narrow(dim, i as i64, 1)?;
        Ok(if keep { one } else { one.squeeze(Some(dim))? })
    };
    let mut all = Vec::new();
    for q in points {
        let place = q * (n - 1) as f64;
        let (below, above) = (place.floor(), place.ceil());
        all.push(match &*kind {
            "linear" => at(below)?.add(&at(above)?.sub(&at(below)?)?.mul_scalar(place - below)?)?,
            "lower" => at(below)?,
            "higher" => at(above)?,
            "nearest" => at(place.round_ties_even())?,
            "midpoint" => at(below)?.add(&at(above)?)?.mul_scalar(0.5)?,
            _ => {
                let kinds = "\"linear\", \"lower\", \"higher\", \"nearest\" or \"midpoint\"";
                return Err(c.bad("interpolation", kinds));
            }
        });
    }
    match (many, all.as_slice()) {
        (false, [one]) => Ok(Value::tensor(one.clone())),
        (_, []) => Err(c.bad("q", "at least one number")),
        _ => tensor(Tensor::stack(&all, 0)),
    }
}

/// The different elements: how many depends on the values, so they are computed here.
fn unique(c: &Call<'_>, sort: bool) -> Result<Value> {
    let x = c.tensor("input")?;
    if x.numel() > MOST_ITEMS {
        return Err(c.bad("input", &format!("at most {MOST_ITEMS} elements")));
    }
    let flat = x.flatten(0, -1)?;
    let order: Vec<i64> =
        if sort { flat.argsort(0, false)?.to_vec()? } else { (0..flat.numel() as i64).collect() };
    let exact: Vec<i64> = if x.dtype().is_float() { Vec::new() } else { flat.cast(DType::I64).to_vec()? };
    let floats: Vec<f64> = if x.dtype().is_float() { flat.to_f64s()? } else { Vec::new() };
    let same =
        |a: usize, b: usize| if exact.is_empty() { floats[a] == floats[b] } else { exact[a] == exact[b] };
    let (mut firsts, mut counts, mut inverse) = (Vec::new(), Vec::new(), vec![0i64; order.len()]);
    for &at in &order {
        match firsts.last() {
            Some(&last) if same(last as usize, at as usize) => {}
            _ => {
                firsts.push(at);
                counts.push(0i64);
            }
        }
        if let Some(count) = counts.last_mut() {
            *count += 1;
        }
        inverse[at as usize] = firsts.len() as i64 - 1;
    }
    let n = firsts.len();
    let mut out = vec![tensor(flat.index_select(0, &c.engine.from_vec(firsts, &[n])?))?];
    if c.flag_or("return_inverse", false)? {
        let dims: Vec<i64> = x.dims().iter().map(|&d| d as i64).collect();
        let len = inverse.len();
        out.push(tensor(c.engine.from_vec(inverse, &[len])?.reshape(&dims))?);
    }
    if c.flag_or("return_counts", false)? {
        out.push(tensor(c.engine.from_vec(counts, &[n]))?);
    }
    Ok(if out.len() == 1 { out.remove(0) } else { Value::tuple(out) })
}

fn bincount(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    if x.rank() != 1 || !x.dtype().is_int() {
        return Err(c.bad("input", "one dimension of integers"));
    }
    let x = x.cast(DType::I64);
    let [low, high] = if x.numel() == 0 {
        [0, -1]
    } else {
        [ReduceOp::Min, ReduceOp::Max]
            .map(|op| x.reduce(op, &[], false).and_then(|t| t.item()).map_or(-1, Scalar::to_i64))
    };
    if low < 0 {
        return Err(c.bad("input", "integers of at least zero"));
    }
    let bins = high.saturating_add(1).max(c.int_or("minlength", 0)?);
    let dims = c.dims("input", &[bins])?;
    let weights = match c.optional_tensor("weights")? {
        Some(w) if w.dims() == x.dims() => {
            if w.dtype() == DType::F32 {
                w
            } else {
                w.cast(DType::F64)
            }
        }
        Some(_) => return Err(c.bad("weights", &format!("a tensor of shape {:?}", x.dims()))),
        None => c.engine.ones(x.dims(), DType::I64),
    };
    tensor(c.engine.zeros(&dims, weights.dtype()).scatter(0, &x, &weights, true))
}

fn histogram(c: &Call<'_>) -> Result<Value> {
    let x = super::functional::floats(c)?.flatten(0, -1)?;
    let bins = c.dims("bins", &[c.int_or("bins", 100)?])?;
    let (mut low, mut high) = (c.float_or("min", 0.0)?, c.float_or("max", 0.0)?);
    if bins[0] == 0 || bins[0] > MOST_ITEMS || low > high {
        return Err(c.bad("bins", "at least one bin, and bounds in order"));
    }
    if low == high && x.numel() > 0 {
        low = x.reduce(ReduceOp::Min, &[], false)?.item()?.to_f64();
        high = x.reduce(ReduceOp::Max, &[], false)?.item()?.to_f64();
    }
    if low == high {
        (low, high) = (low - 1.0, high + 1.0);
    }
    if !low.is_finite() || !high.is_finite() {
        return Err(c.bad("input", "a finite range"));
    }
    let n = bins[0];
    let inside = x.ge_scalar(low)?.logical(pellucid_tensor::BinaryOp::BitAnd, &x.le_scalar(high)?)?;
    let place = x.sub_scalar(low)?.mul_scalar(n as f64 / (high - low))?.floor()?;
    let place = inside.where_(&place, &c.engine.zeros(&[], x.dtype()))?.cast(DType::I64);
    let place = place.clamp(Some(Scalar::Int(0)), Some(Scalar::Int(n as i64 - 1)))?;
    tensor(c.engine.zeros(&[n], x.dtype()).scatter(0, &place, &inside.cast(x.dtype()), true))
}

/// Where values belong in sorted numbers: how many of these are smaller (or not larger).
fn searched(c: &Call<'_>, sorted: &Tensor, values: &Tensor) -> Result<Value> {
    let right = c.flag_or("right", false)?;
    if sorted.rank() == 0
        || (sorted.rank() > 1
            && sorted.dims()[..sorted.rank() - 1] != values.dims()[..values.rank().saturating_sub(1)])
    {
        let name = if c.name() == "bucketize" { "boundaries" } else { "sorted_sequence" };
        return Err(c.bad(name, "sorted numbers, in one dimension or for each row of the values"));
    }
    let n = sorted.dims()[sorted.rank() - 1];
    let wide: Vec<usize> = values.dims().iter().copied().chain([n]).collect();
    c.check_size("input", &wide)?;
    let values = values.unsqueeze(-1)?;
    let sorted = if sorted.rank() > 1 { sorted.unsqueeze(-2)? } else { sorted.clone() };
    let passed = if right { sorted.le(&values)? } else { sorted.lt(&values)? };
    tensor(passed.sum(&[-1], false))
}
