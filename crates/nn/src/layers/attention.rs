//! The part of attention that all families share: heads, cache, pattern, fused or step by step.

use std::sync::Arc;

use pellucid_tensor::{Attention, DType, Tensor};

use super::pointwise::Dropout;
use crate::error::{NnError, Result};
use crate::forward::{Forward, Reach};
use crate::model::Layer;
use crate::tree::ModuleId;
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

/// Scaled dot-product attention of one layer, with its cache and its pattern as a place.
#[derive(Clone, Debug)]
pub struct AttentionCore {
    /// The attention module, whose pattern it is.
    pub module: ModuleId,
    /// Position of the layer in the cache.
    pub layer: usize,
    /// Scale, causality, window, soft-capping.
    pub spec: Attention,
    /// The dropout module that the reference calls on the pattern, if it does.
    pub dropout: Option<Arc<Dropout>>,
}

impl AttentionCore {
    /// Attention of queries over the cached and the new keys and values, all `[batch, heads, seq, d_head]`; `mask`
    /// is true where a query may look. The result is `[batch, n_heads, seq_q, d_head]`, of the values' type; values of
    /// another type than queries and keys are converted to it on the way (GPT-J attends in single precision).
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub async fn attend(
        &self,
        pass: &Forward<'_>,
        (q, k, v): (&Tensor, &Tensor, &Tensor),
        mask: Option<&Tensor>,
        cache: Option<&KvCache>,
    ) -> Result<Tensor> {
        let (k, v) = match cache {
            Some(cache) => cache.append(self.layer, k, v)?,
            None => (k.clone(), v.clone()),
        };
        let (dtype, v) = (v.dtype(), v.cast(q.dtype()));
        let dropout = self.dropout.as_ref().filter(|d| pass.hooks.reach(d.module()) == Reach::Here);
        if dropout.is_none() && !pass.hooks.wants(self.module, "pattern") {
            return Ok(q.attention(&k, &v, mask, self.spec)?.cast(dtype));
        }
        // Single precision inside, as where the pattern is not looked at: looking must not change a bit.
        let wide = if matches!(q.dtype(), DType::F16 | DType::BF16) { DType::F32 } else { q.dtype() };
        let (q, k, v) = (q.cast(wide), k.cast(wide), v.cast(wide));
        let pattern = q.attention_pattern(&k, mask, self.spec)?;
        let mut pattern = pass.inner(self.module, "pattern", pattern).await?;
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
        Ok(pattern.attend(&v)?.cast(dtype))
    }
}

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
