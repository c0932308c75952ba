//! Softmax, norms, losses.

use smallvec::smallvec;

use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::op::{Op, ReduceOp, float_type};

/// What to do with the losses of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reduction {
    /// One loss per target.
    None,
    /// Their mean over the targets that count.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Tensor {
    /// Softmax along a dimension.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn softmax(&self, dim: i64) -> Result<Tensor> {
        self.cast(float_type(self.dtype())).along_last(dim, |x| Ok(x.last_axis(Op::Softmax)))
    }

    /// Logarithm of the softmax along a dimension.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn log_softmax(&self, dim: i64) -> Result<Tensor> {
        self.cast(float_type(self.dtype())).along_last(dim, |x| Ok(x.last_axis(Op::LogSoftmax)))
    }

    fn last_axis(&self, op: Op) -> Tensor {
        self.engine().node(op, smallvec![self.clone()], self.dims().into(), self.dtype())
    }

    /// Logarithm of the sum of exponentials over dimensions, without overflow.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn logsumexp(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        let x = self.cast(float_type(self.dtype()));
        if x.numel() == 0 {
            return x.exp()?.sum(dims, keepdim)?.log();
        }
        let top = x.reduce(ReduceOp::Max, dims, true)?;
        // An infinite maximum would give inf - inf.
        let top = top.isfinite()?.where_(&top, &x.engine().zeros(&[], x.dtype()))?;
        let sum = x.sub(&top)?.exp()?.sum(dims, true)?.log()?.add(&top)?;
        let axes_left = x.sum(dims, keepdim)?;
        Ok(sum.reshape_to(axes_left.dims()))
    }

    fn check_weight(&self, op: &'static str, weight: &Tensor) -> Result<()> {
        self.same_engine(op, weight)?;
        if self.rank() == 0 || weight.dims() != &self.dims()[self.rank() - 1..] {
            return Err(TensorError::Shape {
                op,
                expected: format!("a weight of the last dimension of {:?}", self.dims()),
                got: weight.dims().into(),
            });
        }
        Ok(())
    }

    /// Layer normalisation over the last dimension (Ba et al. 2016).
    ///
    /// # Errors
    /// [`TensorError::Shape`] if weight or bias do not have the last dimension's size.
    pub fn layer_norm(&self, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
        let mut inputs = smallvec![self.clone()];
        for t in [weight, bias].into_iter().flatten() {
            self.check_weight("layer_norm", t)?;
            inputs.push(t.cast(self.dtype()));
        }
        let op =
            Op::LayerNorm { eps: (eps as f32).to_bits(), weight: weight.is_some(), bias: bias.is_some() };
        Ok(self.engine().node(op, inputs, self.dims().into(), self.dtype()))
    }

    /// RMS normalisation over the last dimension (Zhang and Sennrich 2019), scaled by `offset + weight`.
    ///
    /// Half precision is computed in single precision; `round_first` rounds before the weight is applied, as Llama
    /// does, otherwise after, as Gemma.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if the weight does not have the last dimension's size.
    pub fn rms_norm(&self, weight: &Tensor, eps: f64, offset: f32, round_first: bool) -> Result<Tensor> {
        self.check_weight("rms_norm", weight)?;
        let op = Op::RmsNorm { eps: (eps as f32).to_bits(), offset: offset.to_bits(), round_first };
        let inputs = smallvec![self.clone(), weight.cast(self.dtype())];
        Ok(self.engine().node(op, inputs, self.dims().into(), self.dtype()))
    }

    /// Cross-entropy of scores `[n, classes]` (or `[classes]`) with target classes `[n]` (or none); targets equal to
    /// `ignore` do not count.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if scores and targets do not fit.
    pub fn cross_entropy(&self, targets: &Tensor, ignore: i64, reduction: Reduction) -> Result<Tensor> {
        let flat = if self.rank() == 1 { self.unsqueeze(0)? } else { self.clone() };
        // [n, classes, d1, ...] -> [n, d1, ..., classes]
        let mut order: Vec<i64> = (0..flat.rank() as i64).filter(|&d| d != 1).collect();
        order.push(1);
        let scores = flat.permute(&order)?;
        let labels = if targets.rank() == 0 { targets.unsqueeze(0)? } else { targets.clone() };
        if labels.dims() != &scores.dims()[..scores.rank() - 1] {
            return Err(TensorError::Shape {
                op: "cross_entropy",
                expected: format!("targets of shape {:?}", &scores.dims()[..scores.rank() - 1]),
                got: targets.dims().into(),
            });
        }
        if labels.dtype().is_float() {
            return Err(TensorError::Type {
                op: "cross_entropy",
                expected: "integer classes",
                got: labels.dtype(),
            });
        }
        let counts = labels.ne_scalar(ignore)?;
        let safe = counts.where_(&labels, &labels.engine().zeros(&[], labels.dtype()))?.cast(DType::I64);
        let picked = scores.log_softmax(-1)?.gather(-1, &safe.unsqueeze(-1)?)?.squeeze(Some(-1))?;
        let losses = counts.where_(&picked.neg()?, &picked.engine().zeros(&[], picked.dtype()))?;
        match reduction {
            Reduction::None => Ok(losses.reshape_to(targets.dims())),
            Reduction::Sum => losses.sum(&[], false),
            Reduction::Mean => losses.sum(&[], false)?.div(&counts.cast(losses.dtype()).sum(&[], false)?),
        }
    }
}
