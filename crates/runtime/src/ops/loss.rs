//! Losses, with PyTorch's reductions.

use pellucid_nn::Value;
use pellucid_tensor::{DType, Scalar, Tensor};

use super::functional::floats;
use super::{Call, OpDef, bad_shape, op};
use crate::error::Result;

pub(super) const OPS: &[OpDef] = &[
    op(
        "cross_entropy",
        &[
            "input",
            "target",
            "weight?",
            "size_average?",
            "ignore_index?",
            "reduce?",
            "reduction?",
            "label_smoothing?",
        ],
        cross_entropy,
    ),
    op(
        "nll_loss",
        &["input", "target", "weight?", "size_average?", "ignore_index?", "reduce?", "reduction?"],
        |c| class_loss(c, &c.tensor("input")?, 0.0),
    ),
    op("mse_loss", &["input", "target", "size_average?", "reduce?", "reduction?"], |c| {
        let d = difference(c)?;
        reduced(c, &d.mul(&d)?)
    }),
    op("l1_loss", &["input", "target", "size_average?", "reduce?", "reduction?"], |c| {
        reduced(c, &difference(c)?.abs()?)
    }),
    op("smooth_l1_loss", &["input", "target", "size_average?", "reduce?", "reduction?", "beta?"], |c| {
        let beta = c.float_or("beta", 1.0)?;
        let d = difference(c)?.abs()?;
        if beta == 0.0 {
            return reduced(c, &d);
        }
        let near = d.mul(&d)?.mul_scalar(0.5 / beta)?;
        reduced(c, &d.lt_scalar(beta)?.where_(&near, &d.sub_scalar(0.5 * beta)?)?)
    }),
    op("huber_loss", &["input", "target", "reduction?", "delta?"], |c| {
        let delta = c.float_or("delta", 1.0)?;
        let d = difference(c)?.abs()?;
        let near = d.mul(&d)?.mul_scalar(0.5)?;
        let far = d.sub_scalar(0.5 * delta)?.mul_scalar(delta)?;
        reduced(c, &d.le_scalar(delta)?.where_(&near, &far)?)
    }),
    op("kl_div", &["input", "target", "size_average?", "reduce?", "reduction?", "log_target?"], kl_div),
    op(
        "binary_cross_entropy",
        &["input", "target", "weight?", "size_average?", "reduce?", "reduction?"],
        |c| {
            let (x, y) = (floats(c)?, target(c)?);
            let floor = |t: Tensor| t.clamp(Some(Scalar::Float(-100.0)), None);
            let ones = c.engine.ones(&[], x.dtype());
            let hit = y.mul(&floor(x.log()?)?)?;
            let miss = ones.sub(&y)?.mul(&floor(ones.sub(&x)?.log()?)?)?;
            weighted(c, &hit.add(&miss)?.neg()?)
        },
    ),
    op(
        "binary_cross_entropy_with_logits",
        &["input", "target", "weight?", "size_average?", "reduce?", "reduction?", "pos_weight?"],
        |c| {
            let (x, y) = (floats(c)?, target(c)?);
            let ones = c.engine.ones(&[], x.dtype());
            // log(1 + exp(-x)), without overflow.
            let log = x.neg()?.softplus(1.0, 1e9)?;
            let factor = match c.optional_tensor("pos_weight")? {
                Some(p) => p.sub(&ones)?.mul(&y)?.add(&ones)?,
                None => ones.clone(),
            };
            weighted(c, &ones.sub(&y)?.mul(&x)?.add(&factor.mul(&log)?)?)
        },
    ),
    op("cosine_embedding_loss", &["input", "input2", "target", "margin?", "reduction?"], |c| {
        let (a, b, y) = (floats(c)?, c.tensor("input2")?, c.tensor("target")?);
        let cosine = super::linear::cosine(&a, &b, -1, 1e-8)?;
        let apart = cosine.sub_scalar(c.float_or("margin", 0.0)?)?.relu()?;
        let together = cosine.neg()?.add_scalar(1.0)?;
        reduced(c, &y.gt_scalar(0)?.where_(&together, &apart)?)
    }),
    op("margin_ranking_loss", &["input", "input2", "target", "margin?", "reduction?"], |c| {
        let (a, b, y) = (floats(c)?, c.tensor("input2")?, c.tensor("target")?);
        reduced(c, &a.sub(&b)?.mul(&y)?.neg()?.add_scalar(c.float_or("margin", 0.0)?)?.relu()?)
    }),
    op("soft_margin_loss", &["input", "target", "size_average?", "reduce?", "reduction?"], |c| {
        let (x, y) = (floats(c)?, target(c)?);
        reduced(c, &x.mul(&y)?.softplus(1.0, 1e9)?.sub(&x.mul(&y)?)?)
    }),
];

/// What to do with the losses of a batch.
#[derive(Clone, Copy, PartialEq)]
enum Reduce {
    None,
    Mean,
    Sum,
    /// The sum over the number of rows.
    BatchMean,
}

fn reduction(c: &Call<'_>) -> Result<Reduce> {
    Ok(match &*c.text_or("reduction", "mean")? {
        "mean" => Reduce::Mean,
        "sum" => Reduce::Sum,
        "none" => Reduce::None,
        "batchmean" if c.name() == "kl_div" => Reduce::BatchMean,
        _ => return Err(c.bad("reduction", "\"mean\", \"sum\" or \"none\"")),
    })
}

fn reduced(c: &Call<'_>, losses: &Tensor) -> Result<Value> {
    let out = match reduction(c)? {
        Reduce::None => losses.clone(),
        Reduce::Mean => losses.mean(&[], false)?,
        Reduce::Sum => losses.sum(&[], false)?,
        Reduce::BatchMean => {
            let rows = losses.dims().first().copied().unwrap_or(1);
            losses.sum(&[], false)?.div_scalar(rows)?
        }
    };
    Ok(Value::tensor(out))
}

fn weighted(c: &Call<'_>, losses: &Tensor) -> Result<Value> {
    match c.optional_tensor("weight")? {
        Some(weight) => reduced(c, &losses.mul(&weight)?),
        None => reduced(c, losses),
    }
}

/// The target, of the input's shape.
fn target(c: &Call<'_>) -> Result<Tensor> {
    let (x, y) = (c.tensor("input")?, c.tensor("target")?);
    if x.dims() != y.dims() {
        return Err(c.bad("target", &format!("a tensor of shape {:?}", x.dims())));
    }
    Ok(if y.dtype().is_float() { y } else { y.cast(DType::F32) })
}

fn difference(c: &Call<'_>) -> Result<Tensor> {
    let y = c.tensor("target")?;
    let y = if y.dtype().is_float() { y } else { y.cast(DType::F32) };
    Ok(floats(c)?.sub(&y)?)
}

fn kl_div(c: &Call<'_>) -> Result<Value> {
    let (log_q, p) = (floats(c)?, c.tensor("target")?);
    let losses = if c.flag_or("log_target", false)? {
        p.exp()?.mul(&p.sub(&log_q)?)?
    } else {
        let zero = c.engine.zeros(&[], p.dtype());
        let certain = p.eq_scalar(0)?;
        // The logarithm of nothing counts nothing, and its gradient must stay finite.
        let safe = certain.where_(&c.engine.ones(&[], p.dtype()), &p)?;
        certain.where_(&zero, &p.mul(&safe.log()?)?)?.sub(&p.mul(&log_q)?)?
    };
    reduced(c, &losses)
}

fn cross_entropy(c: &Call<'_>) -> Result<Value> {
    let scores = c.tensor("input")?;
    if !scores.dtype().is_float() || scores.rank() == 0 {
        return Err(c.bad("input", "floating scores of classes"));
    }
    let smoothing = c.float_or("label_smoothing", 0.0)?;
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(c.bad("label_smoothing", "a number from 0 to 1"));
    }
    let logs = scores.log_softmax(if scores.rank() == 1 { 0 } else { 1 })?;
    let labels = c.tensor("target")?;
    if labels.dtype().is_float() && labels.dims() == scores.dims() {
        return soft_targets(c, &logs, &labels, smoothing);
    }
    class_loss(c, &logs, smoothing)
}

/// Targets that are probabilities of the classes.
fn soft_targets(c: &Call<'_>, logs: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Value> {
    let at = if logs.rank() == 1 { 0 } else { 1 };
    let classes = logs.dims()[at];
    let labels = labels.mul_scalar(1.0 - smoothing)?.add_scalar(smoothing / classes.max(1) as f64)?;
    let mut terms = logs.mul(&labels)?;
    if let Some(weight) = c.optional_tensor("weight")? {
        let mut sizes = vec![1i64; logs.rank()];
        sizes[at] = classes as i64;
        terms = terms.mul(&weight.reshape(&sizes)?)?;
    }
    let losses = terms.sum(&[at as i64], false)?.neg()?;
    if reduction(c)? == Reduce::Mean {
        let count = losses.numel();
        return Ok(Value::tensor(losses.sum(&[], false)?.div_scalar(count)?));
    }
    reduced(c, &losses)
}

/// The negative log-probability of the target classes, each weighted; ignored targets do not count.
fn class_loss(c: &Call<'_>, logs: &Tensor, smoothing: f64) -> Result<Value> {
    let labels = c.tensor("target")?;
    if !labels.dtype().is_int() {
        return Err(c.bad("target", "integer classes"));
    }
    if logs.rank() == 0 || !logs.dtype().is_float() {
        return Err(c.bad("input", "floating log-probabilities of classes"));
    }
    // [n, classes, d1, ...] -> [n, d1, ..., classes]
    let at = if logs.rank() == 1 { 0 } else { 1 };
    let mut order: Vec<i64> = (0..logs.rank() as i64).filter(|&d| d != at).collect();
    order.push(at);
    let logs = logs.permute(&order)?;
    let outer = &logs.dims()[..logs.rank() - 1];
    if labels.dims() != outer {
        return Err(bad_shape(
            if c.name() == "nll_loss" { "nll_loss" } else { "cross_entropy" },
            format!("targets of shape {outer:?}"),
            labels.dims(),
        ));
    }
    let classes = logs.dims()[logs.rank() - 1];
    let labels = labels.cast(DType::I64);
    let counts = labels.ne_scalar(c.int_or("ignore_index", -100)?)?;
    let zero = c.engine.zeros(&[], logs.dtype());
    let safe = counts.where_(&labels, &c.engine.zeros(&[], DType::I64))?;
    let weight = match c.optional_tensor("weight")? {
        Some(w) if w.dims() == [classes] => Some(w),
        Some(_) => return Err(c.bad("weight", &format!("a tensor of {classes} numbers"))),
        None => None,
    };
    let each = match &weight {
        Some(w) => w.index(&[pellucid_tensor::IndexItem::Tensor(safe.clone())])?,
        None => c.engine.ones(labels.dims(), logs.dtype()),
    };
    let each = counts.where_(&each, &zero)?;
    let picked = logs.gather(-1, &safe.unsqueeze(-1)?)?.squeeze(Some(-1))?;
    // Where the target does not count, neither do infinities.
    let mut losses = counts.where_(&picked.neg()?.mul(&each)?, &zero)?;
    if smoothing > 0.0 {
        let spread = match &weight {
            Some(w) => logs.mul(w)?,
            None => logs.clone(),
        };
        let spread = spread.sum(&[-1], false)?.neg()?.mul_scalar(smoothing / classes.max(1) as f64)?;
        losses = losses.mul_scalar(1.0 - smoothing)?.add(&counts.where_(&spread, &zero)?)?;
    }
    match reduction(c)? {
        Reduce::Mean => Ok(Value::tensor(losses.sum(&[], false)?.div(&each.sum(&[], false)?)?)),
        _ => reduced(c, &losses),
    }
}
