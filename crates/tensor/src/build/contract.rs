//! Contractions: matrix products, attention, rotary embedding.

use smallvec::smallvec;

use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::op::{Attention, Op, RotaryPairs};
use crate::shape::{Dims, broadcast, check_size};

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

impl Tensor {
    /// Matrix product with PyTorch's rules: vectors are promoted, leading dimensions broadcast.
    ///
    /// Each element is one chain of fused multiply-adds over the inner dimension in ascending order, whatever else is
    /// computed with it.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if the inner dimensions differ; [`TensorError::Type`] if the types do.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        self.same_engine("matmul", other)?;
        if self.dtype() != other.dtype() || self.dtype() == DType::Bool {
            return Err(TensorError::Type {
                op: "matmul",
                expected: "operands of one numeric type",
                got: other.dtype(),
            });
        }
        let bad = || TensorError::Shape {
            op: "matmul",
            expected: format!("a shape that {:?} can be multiplied with", self.dims()),
            got: other.dims().into(),
        };
        if self.rank() == 0 || other.rank() == 0 {
            return Err(bad());
        }
        if self.rank() == 1 {
            return Ok(self.unsqueeze(0)?.matmul(other)?.squeeze_at(if other.rank() == 1 { 0 } else { -2 }));
        }
        if other.rank() == 1 {
            return Ok(self.matmul(&other.unsqueeze(1)?)?.squeeze_at(-1));
        }
        let (m, k) = (self.dims()[self.rank() - 2], self.dims()[self.rank() - 1]);
        let (k2, n) = (other.dims()[other.rank() - 2], other.dims()[other.rank() - 1]);
        if k != k2 {
            return Err(bad());
        }
        let (lhs, rhs, mut dims);
        if other.rank() == 2 {
            (lhs, rhs) = (self.clone(), other.clone());
            dims = Dims::from(&self.dims()[..self.rank() - 2]);
        } else {
            dims = broadcast("matmul", &self.dims()[..self.rank() - 2], &other.dims()[..other.rank() - 2])?;
            let full = |last: [usize; 2]| -> Dims { dims.iter().copied().chain(last).collect() };
            lhs = self.expand_to(&full([m, k]))?;
            rhs = other.expand_to(&full([k, n]))?;
        }
        dims.extend([m, n]);
        check_size("matmul", &dims, self.dtype())?;
        Ok(self.engine().node(Op::Matmul, smallvec![lhs, rhs], dims, self.dtype()))
    }

    fn squeeze_at(&self, from_end: i64) -> Tensor {
        let at = (if from_end < 0 { self.rank() as i64 + from_end } else { from_end }) as usize;
        let mut dims: Dims = self.dims().into();
        dims.remove(at);
        self.reshape_to(&dims)
    }

    /// `x W^T + b` with `W [out, in]`, as `torch.nn.functional.linear`.
    ///
    /// # Errors
    /// As [`Tensor::matmul`].
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let product = self.matmul(&weight.transpose(-1, -2)?)?;
        match bias {
            Some(bias) => product.add(bias),
            None => Ok(product),
        }
    }

    /// Scaled dot-product attention of these queries `[batch, n_heads, seq_q, d_head]`; see [`Attention`].
    ///
    /// # Errors
    /// [`TensorError::Shape`] if the operands do not fit each other.
    pub fn attention(
        &self,
        keys: &Tensor,
        values: &Tensor,
        mask: Option<&Tensor>,
        spec: Attention,
    ) -> Result<Tensor> {
        let (q, k, v) = (self.dims(), keys.dims(), values.dims());
        let fits = q.len() == 4
            && k.len() == 4
            && v.len() == 4
            && q[0] == k[0]
            && k[..3] == v[..3]
            && q[3] == k[3]
            && k[1] > 0
            && q[1].is_multiple_of(k[1]);
        if !fits || keys.dtype() != self.dtype() || values.dtype() != self.dtype() {
            return Err(TensorError::Shape {
                op: "attention",
                expected: format!("keys and values that fit queries {q:?}, but got values {v:?} and keys"),
                got: k.into(),
            });
        }
        let dims: Dims = smallvec![q[0], q[1], q[2], v[3]];
        check_size("attention", &dims, self.dtype())?;
        let mut inputs = smallvec![self.clone(), keys.clone(), values.clone()];
        if let Some(mask) = mask {
            inputs.push(mask.cast(DType::Bool).expand_to(&[q[0], q[1], q[2], k[2]])?);
        }
        let op = Op::Attention { spec, masked: mask.is_some() };
        Ok(self.engine().node(op, inputs, dims, self.dtype()))
    }

    /// Which keys each query sees: bool, broadcasting to `[batch, n_heads, seq_q, seq_k]`; `None` if all.
    ///
    /// # Errors
    /// [`TensorError::Broadcast`] if the mask does not fit.
    pub fn attention_mask(
        &self,
        seq_k: usize,
        mask: Option<&Tensor>,
        spec: Attention,
    ) -> Result<Option<Tensor>> {
        let seq_q = self.dims()[2];
        let mut seen = mask.map(|m| m.cast(DType::Bool));
        if spec.causal {
            let query = self.engine().arange(seq_k as i64 - seq_q as i64, 1, seq_q, DType::I64);
            let query = query.reshape_to(&[seq_q, 1]);
            let key = self.engine().arange(0, 1, seq_k, DType::I64);
            let mut causal = key.le(&query)?;
            if let Some(window) = spec.window {
                causal = causal
                    .logical(crate::BinaryOp::BitAnd, &key.gt(&query.sub_scalar(window.min(seq_k))?)?)?;
            }
            seen = Some(match seen {
                Some(m) => m.logical(crate::BinaryOp::BitAnd, &causal)?,
                None => causal,
            });
        }
        Ok(seen)
    }

    /// The attention pattern `[batch, n_heads, seq_q, seq_k]` of these queries over `keys`, step by step.
    ///
    /// Equal to the bit to what [`Tensor::attention`] uses inside: with [`Tensor::attend`] it gives the same output, to the
    /// bit, in every type. Attention in half precision rounds its output only, so the pattern of half-precision queries
    /// is in single precision.
    ///
    /// # Errors
    /// As [`Tensor::attention`].
    pub fn attention_pattern(&self, keys: &Tensor, mask: Option<&Tensor>, spec: Attention) -> Result<Tensor> {
        if is_half(self.dtype()) && keys.dtype() == self.dtype() {
            return self.cast(DType::F32).attention_pattern(&keys.cast(DType::F32), mask, spec);
        }
        let keys = self.repeat_kv(keys)?;
        let mut scores = self.matmul(&keys.transpose(-1, -2)?)?.mul_scalar(spec.scale)?;
        if let Some(cap) = spec.softcap {
            scores = scores.div_scalar(cap)?.tanh()?.mul_scalar(cap)?;
        }
        let Some(seen) = self.attention_mask(keys.dims()[2], mask, spec)? else {
            return scores.softmax(-1);
        };
        let pattern = scores.masked_fill(&seen.logical_not()?, f64::NEG_INFINITY)?.softmax(-1)?;
        if mask.is_none() && self.dims()[2] <= keys.dims()[2] && spec.window != Some(0) {
            return Ok(pattern);
        }
        // A row that may see nothing is 0/0 in the softmax; it attends to nothing.
        let some = seen.reduce(crate::op::ReduceOp::Any, &[-1], true)?;
        some.where_(&pattern, &pattern.engine().zeros(&[], pattern.dtype()))
    }

    /// The attention output of a pattern `[batch, n_heads, seq_q, seq_k]` over `values`, of the values' type. Values in half
    /// precision may meet a pattern in single precision; the output is rounded once.
    ///
    /// # Errors
    /// As [`Tensor::matmul`].
    pub fn attend(&self, values: &Tensor) -> Result<Tensor> {
        if is_half(values.dtype()) && self.dtype() == DType::F32 {
            return Ok(self.attend(&values.cast(DType::F32))?.cast(values.dtype()));
        }
        self.matmul(&self.repeat_kv(values)?)
    }

    /// Key or value heads repeated to this tensor's number of heads.
    fn repeat_kv(&self, kv: &Tensor) -> Result<Tensor> {
        match self.dims()[1] / kv.dims()[1].max(1) {
            1 => Ok(kv.clone()),
            groups => kv.repeat_interleave(groups, 1),
        }
    }

    /// Rotary position embedding of the first `2 * cos.last` channels of the last dimension (Su et al. 2021).
    ///
    /// `cos` and `sin` broadcast to `[..., seq, d/2]`.
    ///
    /// # Errors
    /// [`TensorError::Broadcast`] if `cos` and `sin` do not fit.
    pub fn rotary(&self, cos: &Tensor, sin: &Tensor, pairs: RotaryPairs) -> Result<Tensor> {
        let last = self.rank().checked_sub(1).ok_or_else(|| TensorError::Shape {
            op: "rotary",
            expected: "at least one dimension".into(),
            got: Dims::new(),
        })?;
        let d = self.dims()[last];
        let half = cos.dims().last().copied().unwrap_or(0);
        if 2 * half > d {
            return Err(TensorError::Shape {
                op: "rotary",
                expected: format!("at most {} angles", d / 2),
                got: cos.dims().into(),
            });
        }
        if 2 * half < d {
            let turned = self.slice_to(last, 0, 2 * half, 1).rotary(cos, sin, pairs)?;
            return Tensor::cat(&[turned, self.slice_to(last, 2 * half, d - 2 * half, 1)], -1);
        }
        let mut dims: Dims = self.dims().into();
        dims[last] = half;
        let inputs = smallvec![
            self.clone(),
            cos.cast(self.dtype()).expand_to(&dims)?,
            sin.cast(self.dtype()).expand_to(&dims)?,
        ];
        Ok(self.engine().node(Op::Rotary(pairs), inputs, self.dims().into(), self.dtype()))
    }
}
