//! The part of attention that all families share: heads, cache, pattern, fused or step by step.

use std::sync::Arc;

use pellucid_tensor::{Attention, DType, ReduceOp, Tensor};

use super::pointwise::Dropout;
use crate::error::{NnError, Result};
use crate::forward::{Forward, Reach};
use crate::model::Layer;
use crate::ops::{OpPlace, Ops};
use crate::value::{Args, KvCache, Value};
use crate::var::Var;

/// Splitting channels into heads and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Number of heads.
    pub n: usize,
    /// Channels of each.
    pub d_head: usize,
}

impl Heads {
    /// `[batch, seq, n * d_head]` as `[batch, n, seq, d_head]`.
    ///
    /// # Errors
    /// If the last dimension is another.
    pub fn split(self, x: &Tensor) -> Result<Tensor> {
        let (batch, seq) = (x.dims()[0] as i64, x.dims()[1] as i64);
        Ok(x.reshape(&[batch, seq, self.n as i64, self.d_head as i64])?.transpose(1, 2)?)
    }

    /// `[batch, n, seq, d]` as `[batch, seq, n * d]`.
    ///
    /// # Errors
    /// If the shape is another.
    pub fn merge(x: &Tensor) -> Result<Tensor> {
        let (batch, seq) = (x.dims()[0] as i64, x.dims()[2] as i64);
        Ok(x.transpose(1, 2)?.reshape(&[batch, seq, -1])?)
    }
}

/// Scaled dot-product attention of one layer, with its cache and its operations as places.
#[derive(Clone, Debug)]
pub struct AttentionCore {
    /// Position of the layer in the cache.
    pub layer: usize,
    /// Scale, causality, window, soft-capping.
    pub spec: Attention,
    /// The dropout module that the reference calls on the pattern, if it does.
    pub dropout: Option<Arc<Dropout>>,
}

/// What attention gives.
#[derive(Clone, Debug)]
pub struct Attended {
    /// The heads' outputs side by side, `[batch, seq_q, n_heads * d_head]`.
    pub merged: Var,
    /// The pattern `[batch, n_heads, seq_q, seq_k]`, if it was asked for.
    pub pattern: Option<Tensor>,
}

impl AttentionCore {
    /// Attention of queries over the cached and the new keys and values, all `[batch, heads, seq, d_head]`; `mask`
    /// is true where a query may look. The result is of the values' type; values of another type than queries and keys
    /// are converted to it on the way (GPT-J attends in single precision).
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub async fn attend(
        &self,
        pass: &Forward<'_>,
        ops: Ops<'_>,
        (q, k, v): (Tensor, Tensor, Tensor),
        args: AttentionArgs<'_>,
    ) -> Result<Attended> {
        let (k, v) = match args.cache {
            Some(cache) => cache.append(self.layer, &k, &v)?,
            None => (k, v),
        };
        let (k, v) = (ops.tensor("cat_0", k).await?, ops.tensor("cat_1", v).await?);
        let (dtype, v) = (v.dtype(), v.cast(q.dtype()));
        let dropout = self.dropout.as_ref().filter(|d| pass.hooks.reach(d.module()) == Reach::Here);
        let (heads, pattern) = if dropout.is_none() && !args.pattern && !ops.wants(STEPS) {
            (q.attention(&k, &v, args.mask, self.spec)?, None)
        } else {
            Box::pin(self.in_steps(pass, ops, (q, k, v), args.mask, dropout)).await?
        };
        let heads = ops.tensor("matmul_1", heads.cast(dtype)).await?;
        let merged = ops.fresh("reshape_0", Heads::merge(&heads)?).await?;
        Ok(Attended { merged, pattern: pattern.filter(|_| args.pattern).map(|p| p.cast(dtype)) })
    }

    /// The same numbers as the fused operation, to the bit, by way of the scores and the pattern.
    async fn in_steps(
        &self,
        pass: &Forward<'_>,
        ops: Ops<'_>,
        (q, k, v): (Tensor, Tensor, Tensor),
        mask: Option<&Tensor>,
        dropout: Option<&Arc<Dropout>>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        // Single precision inside, as where nobody looks: looking must not change a bit.
        let wide = if matches!(q.dtype(), DType::F16 | DType::BF16) { DType::F32 } else { q.dtype() };
        let (q, k, v) = (q.cast(wide), k.cast(wide), v.cast(wide));
        let mut pattern = self.pattern(ops, &q, &k, mask).await?;
        if let Some(dropout) = dropout {
            pattern = match pass.call(&**dropout, Args::one(&Var::new(pattern))).await? {
                Value::Tensor(var) => var.get()?,
                other => {
                    return Err(NnError::Argument {
                        module: String::new(),
                        argument: "pattern",
                        expected: "a tensor",
                        got: other.kind(),
                    });
                }
            };
        }
        Ok((pattern.attend(&v)?, Some(pattern)))
    }

    /// [`Tensor::attention_pattern`], each operation announced.
    async fn pattern(
        &self,
        ops: Ops<'_>,
        q: &Tensor,
        keys: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<Tensor> {
        let spec = self.spec;
        let groups = q.dims()[1] / keys.dims()[1].max(1);
        let spread = if groups == 1 { keys.clone() } else { keys.repeat_interleave(groups, 1)? };
        let mut scores = ops.tensor("matmul_0", q.matmul(&spread.transpose(-1, -2)?)?).await?;
        scores = ops.tensor("mul_0", scores.mul_scalar(spec.scale)?).await?;
        if let Some(cap) = spec.softcap {
            scores = ops.tensor("div_0", scores.div_scalar(cap)?).await?;
            scores = ops.tensor("tanh_0", scores.tanh()?).await?;
            scores = ops.tensor("mul_1", scores.mul_scalar(cap)?).await?;
        }
        let seen = q.attention_mask(keys.dims()[2], mask, spec)?;
        if let Some(seen) = &seen {
            scores = scores.masked_fill(&seen.logical_not()?, f64::NEG_INFINITY)?;
        }
        scores = ops.tensor("masked_fill_0", scores).await?;
        let mut pattern = scores.softmax(-1)?;
        let may_see_nothing = mask.is_some() || q.dims()[2] > keys.dims()[2] || spec.window == Some(0);
        if let Some(seen) = seen.filter(|_| may_see_nothing) {
            // A row that may see nothing is 0/0 in the softmax; it attends to nothing.
            let some = seen.reduce(ReduceOp::Any, &[-1], true)?;
            pattern = some.where_(&pattern, &pattern.engine().zeros(&[], pattern.dtype()))?;
        }
        ops.tensor("softmax_0", pattern).await
    }

    /// The operations of [`AttentionCore::attend`], behind those by which a family makes queries, keys and values.
    #[must_use]
    pub fn places(&self, before: &[OpPlace]) -> Vec<OpPlace> {
        const SCORES: &[&str] = &["batch", "n_heads", "seq_q", "seq_k"];
        const ALL: &[&str] = &["batch", "n_kv_heads", "seq_k", "d_head"];
        let scaled = OpPlace::new("mul_0", "the products, scaled", SCORES);
        let mut places = before.to_vec();
        places.extend([
            OpPlace::new("cat_0", "the keys of all tokens, cached ones first", ALL),
            OpPlace::new("cat_1", "the values of all tokens, cached ones first", ALL),
            OpPlace::new("matmul_0", "products of queries and keys", SCORES),
        ]);
        if self.spec.softcap.is_some() {
            places.extend([
                scaled,
                OpPlace::new("div_0", "the scaled products over the cap", SCORES),
                OpPlace::new("tanh_0", "their hyperbolic tangents", SCORES),
                OpPlace::new("mul_1", "the scores, capped, before the mask", SCORES).named("scores"),
            ]);
        } else {
            places.push(OpPlace { what: "the scores, before the mask", ..scaled }.named("scores"));
        }
        places.extend([
            OpPlace::new("masked_fill_0", "the scores, minus infinity where a query may not look", SCORES),
            OpPlace::new("softmax_0", "the attention pattern", SCORES).named("pattern"),
            OpPlace::new("matmul_1", "each head's values, weighted by its pattern", PER_HEAD).named("heads"),
            OpPlace::new(
                "reshape_0",
                "the heads' outputs side by side",
                &["batch", "seq_q", "n_heads * d_head"],
            ),
        ]);
        places
    }
}

/// What attention is called with beside queries, keys and values.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttentionArgs<'a> {
    /// True where a query may look.
    pub mask: Option<&'a Tensor>,
    /// Keys and values of earlier tokens.
    pub cache: Option<&'a KvCache>,
    /// Whether the pattern is asked for.
    pub pattern: bool,
}

/// The dimensions of queries and of what each head gives.
pub const PER_HEAD: &[&str] = &["batch", "n_heads", "seq_q", "d_head"];
/// The dimensions of new keys and values.
pub const PER_KV_HEAD: &[&str] = &["batch", "n_kv_heads", "seq_q", "d_head"];

/// Operations that the fused one leaves out.
const STEPS: &[&str] = &["matmul_0", "mul_0", "div_0", "tanh_0", "mul_1", "masked_fill_0", "softmax_0"];

/// Which keys each query may look at in a padded batch, from the mask `[batch, seq_k]` of real tokens: `None` if all
/// are real.
///
/// # Errors
/// If the mask cannot be computed.
pub fn padding_mask(mask: Option<&Tensor>) -> Result<Option<Tensor>> {
    let Some(mask) = mask else { return Ok(None) };
    if mask.cast(DType::Bool).to_vec::<u8>()?.iter().all(|&real| real != 0) {
        return Ok(None);
    }
    Ok(Some(mask.unsqueeze(1)?.unsqueeze(1)?))
}

/// Positions of the tokens of this pass: `[1, seq]` if all tokens are real, else `[batch, seq]`, counted over real
/// tokens only, so that a padded row has the positions of its own single run.
///
/// # Errors
/// If the mask does not fit.
pub fn positions(ids: &Tensor, mask: Option<&Tensor>, past: usize) -> Result<Tensor> {
    let seq = ids.dims().last().copied().unwrap_or(0);
    let mask = match mask {
        Some(mask) if padding_mask(Some(mask))?.is_some() => mask,
        _ => return Ok(ids.engine().arange(past, 1, seq, DType::I64).unsqueeze(0)?),
    };
    let counted = mask.cast(DType::I64).cumsum(-1)?.sub_scalar(1)?;
    let all = counted.clamp(Some(0.into()), None)?;
    Ok(all.narrow(-1, -(seq as i64), seq)?)
}
