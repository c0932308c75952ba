//! What `torch.nn.functional` adds: activations, softmax, norms, attention, embeddings, padding.

use pellucid_nn::Value;
use pellucid_tensor::{DType, IndexItem, Scalar, Tensor, UnaryOp, shape};

use super::{Call, OpDef, bad_shape, op, tensor};
use crate::error::Result;

type Built = pellucid_tensor::Result<Tensor>;

macro_rules! activation {
    ($name:literal, $f:expr) => {
        op($name, &["input"], |c| {
            let f: fn(&Tensor) -> Built = $f;
            tensor(f(&floats(c)?))
        })
    };
}

/// Elementwise ones, which have in-place forms.
pub(super) const POINTWISE: &[OpDef] = &[
    op("relu", &["input"], |c| tensor(c.tensor("input")?.unary(UnaryOp::Relu))),
    op("silu", &["input"], |c| tensor(c.tensor("input")?.silu())),
    op("gelu", &["input", "approximate?"], gelu),
    op("softplus", &["input", "beta?", "threshold?"], |c| {
        tensor(floats(c)?.softplus(c.float_or("beta", 1.0)?, c.float_or("threshold", 20.0)?))
    }),
    op("leaky_relu", &["input", "negative_slope?"], |c| {
        let slope = c.float_or("negative_slope", 0.01)?;
        let x = floats(c)?;
        tensor(x.ge_scalar(0)?.where_(&x, &x.mul_scalar(slope)?))
    }),
    op("prelu", &["input", "weight"], |c| {
        let (x, mut weight) = (floats(c)?, c.tensor("weight")?);
        if weight.numel() > 1 && x.rank() > 1 {
            let mut dims = vec![1; x.rank()];
            dims[1] = weight.numel() as i64;
            weight = weight.reshape(&dims)?;
        }
        tensor(x.ge_scalar(0)?.where_(&x, &x.mul(&weight)?))
    }),
    op("elu", &["input", "alpha?"], |c| {
        tensor(exponential_unit(&floats(c)?, c.float_or("alpha", 1.0)?, 1.0, 1.0))
    }),
    op("celu", &["input", "alpha?"], |c| {
        let alpha = c.float_or("alpha", 1.0)?;
        tensor(exponential_unit(&floats(c)?, alpha, 1.0, 1.0 / alpha))
    }),
    op("selu", &["input"], |c| {
        tensor(exponential_unit(&floats(c)?, 1.673_263_242_354_377_2, 1.050_700_987_355_480_5, 1.0))
    }),
    op("threshold", &["input", "threshold", "value"], |c| {
        let x = c.tensor("input")?;
        let value = c.engine.full(&[], c.scalar("value")?, x.dtype());
        tensor(x.gt_scalar(c.scalar("threshold")?)?.where_(&x, &value))
    }),
    op("hardtanh", &["input", "min_val?", "max_val?"], |c| {
        let (low, high) = (c.scalar_or("min_val", -1.0)?, c.scalar_or("max_val", 1.0)?);
        tensor(floats(c)?.clamp(Some(low), Some(high)))
    }),
    activation!("relu6", |x| between(x, 0.0, 6.0)),
    activation!("hardsigmoid", |x| between(&x.add_scalar(3.0)?, 0.0, 6.0)?.div_scalar(6.0)),
    activation!("hardswish", |x| x.mul(&between(&x.add_scalar(3.0)?, 0.0, 6.0)?)?.div_scalar(6.0)),
    activation!("mish", |x| x.mul(&x.softplus(1.0, 20.0)?.tanh()?)),
    activation!("logsigmoid", |x| x.neg()?.softplus(1.0, 1e9)?.neg()),
    activation!("softsign", |x| x.div(&x.abs()?.add_scalar(1.0)?)),
    activation!("tanhshrink", |x| x.sub(&x.tanh()?)),
    op("dropout", &["input", "p?", "training?", "seed?", "offset?"], dropout),
];

pub(super) const OPS: &[OpDef] = &[
    op("softmax", &["input", "dim", "dtype?"], |c| softmax(c, Tensor::softmax)),
    op("log_softmax", &["input", "dim", "dtype?"], |c| softmax(c, Tensor::log_softmax)),
    op("softmin", &["input", "dim", "dtype?"], |c| softmax(c, |x, dim| x.neg()?.softmax(dim))),
    op("glu", &["input", "dim?"], |c| {
        let dim = c.int_or("dim", -1)?;
        let x = floats(c)?;
        let size = x.dims().get(shape::axis(dim, x.rank())?).copied().unwrap_or(1);
        if !size.is_multiple_of(2) || x.rank() == 0 {
            return Err(bad_shape("glu", "an even size of the dimension", x.dims()));
        }
        let (a, b) = (x.narrow(dim, 0, size / 2)?, x.narrow(dim, (size / 2) as i64, size / 2)?);
        tensor(a.mul(&b.sigmoid()?))
    }),
    op("normalize", &["input", "p?", "dim?", "eps?"], |c| {
        let (p, dim, eps) = (c.float_or("p", 2.0)?, c.int_or("dim", 1)?, c.float_or("eps", 1e-12)?);
        let x = floats(c)?;
        tensor(x.div(&x.norm(p, &[dim], true)?.clamp(Some(Scalar::Float(eps)), None)?))
    }),
    op("layer_norm", &["input", "normalized_shape", "weight?", "bias?", "eps?"], layer_norm),
    op("rms_norm", &["input", "normalized_shape", "weight?", "eps?"], rms_norm),
    op("group_norm", &["input", "num_groups", "weight?", "bias?", "eps?"], group_norm),
    op(
        "batch_norm",
        &["input", "running_mean", "running_var", "weight?", "bias?", "training?", "momentum?", "eps?"],
        batch_norm,
    ),
    op("linear", &["input", "weight", "bias?"], |c| {
        tensor(c.tensor("input")?.linear(&c.tensor("weight")?, c.optional_tensor("bias")?.as_ref()))
    }),
    op("embedding", &["input", "weight", "padding_idx?"], |c| {
        tensor(c.tensor("weight")?.embed(&c.tensor("input")?))
    }),
    op("one_hot", &["input|tensor", "num_classes?"], one_hot),
    op("pad", &["input", "pad", "mode?", "value?"], pad),
    op(
        "scaled_dot_product_attention",
        &["query", "key", "value", "attn_mask?", "dropout_p?", "is_causal?", "scale?", "enable_gqa?"],
        attention,
    ),
];

/// The tensor as floats: the functions here have fractional values.
pub(super) fn floats(c: &Call<'_>) -> Result<Tensor> {
    let x = c.tensor("input")?;
    Ok(if x.dtype().is_float() { x } else { x.cast(DType::F32) })
}

fn between(x: &Tensor, low: f64, high: f64) -> Built {
    x.clamp(Some(Scalar::Float(low)), Some(Scalar::Float(high)))
}

/// `scale * x` above zero, `scale * alpha * (exp(rate x) - 1)` below.
fn exponential_unit(x: &Tensor, alpha: f64, scale: f64, rate: f64) -> Built {
    // The branch not taken must stay finite, or its gradient would spoil the taken one.
    let below = x.clamp(None, Some(Scalar::Float(0.0)))?.mul_scalar(rate)?.expm1()?.mul_scalar(alpha)?;
    let out = x.gt_scalar(0)?.where_(x, &below)?;
    if scale == 1.0 { Ok(out) } else { out.mul_scalar(scale) }
}

fn gelu(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    match &*c.text_or("approximate", "none")? {
        "tanh" => tensor(x.gelu_tanh()),
        "none" => tensor(x.gelu()),
        _ => Err(c.bad("approximate", "\"none\" or \"tanh\"")),
    }
}

fn softmax(c: &Call<'_>, f: fn(&Tensor, i64) -> Built) -> Result<Value> {
    let x = c.tensor("input")?;
    let x = c.optional_dtype("dtype")?.map_or(x.clone(), |d| x.cast(d));
    tensor(f(&x, c.int("dim")?))
}

/// Elements are dropped only in training, by draws whose place in the stream was recorded.
fn dropout(c: &Call<'_>) -> Result<Value> {
    let (x, p) = (floats(c)?, c.float_or("p", 0.5)?);
    if !(0.0..=1.0).contains(&p) {
        return Err(c.bad("p", "a probability"));
    }
    if !c.flag_or("training", true)? || p == 0.0 {
        return Ok(Value::tensor(x));
    }
    let (seed, offset) = (c.int("seed")? as u64, c.int("offset")? as u64);
    let kept = c.engine.rand(x.dims(), DType::F32, seed, offset).ge_scalar(p)?;
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    tensor(kept.where_(&x.mul_scalar(scale)?, &c.engine.zeros(&[], x.dtype())))
}

/// The normalised dimensions made one, and the affine parameters in its shape.
fn normalised(c: &Call<'_>) -> Result<(Tensor, Option<Tensor>, Vec<i64>)> {
    let x = c.tensor("input")?;
    if !x.dtype().is_float() {
        return Err(c.bad("input", "floating numbers"));
    }
    let wanted = c.ints("normalized_shape")?;
    let shape = c.counts("normalized_shape", &wanted)?;
    if shape.is_empty() || !x.dims().ends_with(&shape) {
        return Err(c.bad("normalized_shape", &format!("the last dimensions of {:?}", x.dims())));
    }
    let weight = match c.optional_tensor("weight")? {
        Some(w) if w.dims() != shape => return Err(c.bad("weight", &format!("a tensor of shape {shape:?}"))),
        Some(w) => Some(w.reshape(&[-1])?),
        None => None,
    };
    let lead = x.rank() - shape.len();
    let dims = x.dims()[..lead].iter().map(|&d| d as i64);
    let flat: Vec<i64> = dims.chain([shape.iter().product::<usize>() as i64]).collect();
    let whole = x.dims().iter().map(|&d| d as i64).collect();
    Ok((x.reshape(&flat)?, weight, whole))
}

fn layer_norm(c: &Call<'_>) -> Result<Value> {
    let (x, weight, whole) = normalised(c)?;
    let bias = match c.optional_tensor("bias")? {
        Some(b) => Some(b.reshape(&[-1])?),
        None => None,
    };
    tensor(x.layer_norm(weight.as_ref(), bias.as_ref(), c.float_or("eps", 1e-5)?)?.reshape(&whole))
}

fn rms_norm(c: &Call<'_>) -> Result<Value> {
    let (x, weight, whole) = normalised(c)?;
    let eps = match x.dtype() {
        DType::F16 => 2f64.powi(-10),
        DType::BF16 => 2f64.powi(-7),
        DType::F32 => f64::from(f32::EPSILON),
        _ => f64::EPSILON,
    };
    let eps = c.float_or("eps", eps)?;
    let wide = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let y = x.cast(wide);
    let y = y.mul(&y.mul(&y)?.mean(&[-1], true)?.add_scalar(eps)?.rsqrt()?)?;
    let y = match weight {
        Some(w) => y.mul(&w.cast(wide))?,
        None => y,
    };
    tensor(y.cast(x.dtype()).reshape(&whole))
}

/// `y * weight + bias`, both of one number for each channel (dimension 1).
fn affine(c: &Call<'_>, y: &Tensor) -> Result<Tensor> {
    let mut y = y.clone();
    let mut sizes = vec![1i64; y.rank()];
    sizes[1] = y.dims()[1] as i64;
    if let Some(w) = c.optional_tensor("weight")? {
        y = y.mul(&w.reshape(&sizes)?)?;
    }
    if let Some(b) = c.optional_tensor("bias")? {
        y = y.add(&b.reshape(&sizes)?)?;
    }
    Ok(y)
}

fn group_norm(c: &Call<'_>) -> Result<Value> {
    let (x, groups) = (floats(c)?, c.count("num_groups")?);
    if x.rank() < 2 || groups == 0 || !x.dims()[1].is_multiple_of(groups) {
        return Err(bad_shape("group_norm", format!("channels that make {groups} groups"), x.dims()));
    }
    let grouped = x.reshape(&[x.dims()[0] as i64, groups as i64, -1])?;
    let whole: Vec<i64> = x.dims().iter().map(|&d| d as i64).collect();
    let y = grouped.layer_norm(None, None, c.float_or("eps", 1e-5)?)?.reshape(&whole)?;
    Ok(Value::tensor(affine(c, &y)?))
}

fn batch_norm(c: &Call<'_>) -> Result<Value> {
    let x = floats(c)?;
    if x.rank() < 2 {
        return Err(bad_shape("batch_norm", "at least two dimensions", x.dims()));
    }
    let mut sizes = vec![1i64; x.rank()];
    sizes[1] = x.dims()[1] as i64;
    let (mean, var) = if c.flag_or("training", false)? {
        let others: Vec<i64> = (0..x.rank() as i64).filter(|&d| d != 1).collect();
        (x.mean(&others, true)?, x.var(&others, 0.0, true)?)
    } else {
        (c.tensor("running_mean")?.reshape(&sizes)?, c.tensor("running_var")?.reshape(&sizes)?)
    };
    let y = x.sub(&mean)?.mul(&var.add_scalar(c.float_or("eps", 1e-5)?)?.rsqrt()?)?;
    Ok(Value::tensor(affine(c, &y)?))
}

fn one_hot(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    if !x.dtype().is_int() {
        return Err(c.bad("input", "integers"));
    }
    let classes = match c.int_or("num_classes", -1)? {
        -1 if x.numel() == 0 => return Err(c.bad("num_classes", "a number of classes for no elements")),
        -1 => {
            let top = x.reduce(pellucid_tensor::ReduceOp::Max, &[], false)?.item()?.to_i64();
            c.counts("num_classes", &[top.saturating_add(1)])?[0]
        }
        n => c.counts("num_classes", &[n])?[0],
    };
    let dims: Vec<usize> = x.dims().iter().copied().chain([classes]).collect();
    c.check_size("num_classes", &dims)?;
    let wide = x.cast(DType::I64).unsqueeze(-1)?;
    tensor(Ok(wide.eq(&c.engine.arange(0, 1, classes, DType::I64))?.cast(DType::I64)))
}

fn pad(c: &Call<'_>) -> Result<Value> {
    let mut x = c.tensor("input")?;
    let (pads, mode) = (c.ints("pad")?, c.text_or("mode", "constant")?);
    if !pads.len().is_multiple_of(2) || pads.len() / 2 > x.rank() {
        return Err(c.bad("pad", "two numbers for each padded dimension, from the last one"));
    }
    for (i, ends) in pads.chunks(2).enumerate() {
        let dim = x.rank() - 1 - i;
        let n = x.dims()[dim] as i64;
        let (before, after) = (ends[0], ends[1]);
        let len = n.checked_add(before).and_then(|m| m.checked_add(after)).filter(|&m| m >= 0);
        let len = len.ok_or_else(|| c.bad("pad", "numbers that leave a size of at least zero"))?;
        let mut dims: Vec<usize> = x.dims().to_vec();
        dims[dim] = len as usize;
        c.check_size("pad", &dims)?;
        for p in [before, after] {
            dims[dim] = p.unsigned_abs() as usize;
            c.check_size("pad", &dims)?;
        }
        let fits = match &*mode {
            "constant" => true,
            "replicate" => n > 0,
            "reflect" => before < n && after < n,
            "circular" => before <= n && after <= n,
            _ => return Err(c.bad("mode", "\"constant\", \"reflect\", \"replicate\" or \"circular\"")),
        };
        if !fits {
            return Err(c.bad("pad", &format!("padding that {n} elements can fill")));
        }
        x = if &*mode == "constant" {
            let fill = c.scalar_or("value", 0)?;
            pad_constant(&x, dim, before, after, fill)?
        } else {
            let source = |i: i64| match &*mode {
                "replicate" => i.clamp(0, n - 1),
                "circular" => i.rem_euclid(n.max(1)),
                _ if i < 0 => -i,
                _ if i >= n => 2 * (n - 1) - i,
                _ => i,
            };
            let positions: Vec<i64> = (-before..n + after).map(source).collect();
            let count = positions.len();
            x.index_select(dim as i64, &c.engine.from_vec(positions, &[count])?)?
        };
    }
    Ok(Value::tensor(x))
}

fn pad_constant(x: &Tensor, dim: usize, before: i64, after: i64, fill: Scalar) -> Built {
    let n = x.dims()[dim] as i64;
    let mut items = vec![IndexItem::ALL; dim];
    let (start, stop) = ((-before).max(0).min(n), (n + after.min(0)).max(0));
    items.push(IndexItem::Slice { start: Some(start), stop: Some(stop.max(start)), step: None });
    let middle = x.index(&items)?;
    let block = |len: i64| {
        let mut dims = x.dims().to_vec();
        dims[dim] = len.max(0) as usize;
        x.engine().full(&dims, fill, x.dtype())
    };
    let parts: Vec<Tensor> =
        [block(before), middle.clone(), block(after)].into_iter().filter(|t| t.dims()[dim] > 0).collect();
    if parts.is_empty() { Ok(middle) } else { Tensor::cat(&parts, dim as i64) }
}

fn attention(c: &Call<'_>) -> Result<Value> {
    let (q, mut k, mut v) = (c.tensor("query")?, c.tensor("key")?, c.tensor("value")?);
    if q.rank() < 2 || k.rank() < 2 || v.rank() < 2 || !q.dtype().is_float() {
        return Err(c.bad("query", "queries, keys and values `[..., seq, d]`"));
    }
    if c.float_or("dropout_p", 0.0)? != 0.0 {
        return Err(c.bad("dropout_p", "zero"));
    }
    if c.flag_or("enable_gqa", false)? {
        let heads = |t: &Tensor| if t.rank() > 2 { t.dims()[t.rank() - 3] } else { 1 };
        let (many, few) = (heads(&q), heads(&k));
        if few == 0 || !many.is_multiple_of(few) || heads(&v) != few || k.rank() < 3 {
            return Err(c.bad("key", "a number of heads that divides that of the queries"));
        }
        k = k.repeat_interleave(many / few, -3)?;
        v = v.repeat_interleave(many / few, -3)?;
    }
    let (queries, keys) = (q.dims()[q.rank() - 2], k.dims()[k.rank() - 2]);
    let scale = c.float_or("scale", 1.0 / (q.dims()[q.rank() - 1] as f64).sqrt())?;
    let mut scores = q.mul_scalar(scale)?.matmul(&k.transpose(-1, -2)?)?;
    let lowest = c.engine.full(&[], f64::NEG_INFINITY, scores.dtype());
    if c.flag_or("is_causal", false)? {
        let row = c.engine.arange(0, 1, queries, DType::I64).unsqueeze(1)?;
        let seen = c.engine.arange(0, 1, keys, DType::I64).le(&row)?;
        scores = seen.where_(&scores, &lowest)?;
    }
    if let Some(mask) = c.optional_tensor("attn_mask")? {
        scores = match mask.dtype() {
            DType::Bool => mask.where_(&scores, &lowest)?,
            _ => scores.add(&mask)?,
        };
    }
    tensor(scores.softmax(-1)?.matmul(&v))
}
