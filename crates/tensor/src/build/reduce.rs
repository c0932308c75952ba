//! Reductions, running reductions, orders.

use smallvec::smallvec;

use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::op::{Op, Perm, ReduceOp, ScanOp, float_type};
use crate::shape::{Dims, axis, numel};

impl Tensor {
    /// The dimensions as a bit set; all for an empty list.
    fn axes(&self, dims: &[i64]) -> Result<u32> {
        if dims.is_empty() {
            return Ok(((1u64 << self.rank()) - 1) as u32);
        }
        dims.iter().try_fold(0, |set, &d| {
            let bit = 1 << axis(d, self.rank())?;
            if set & bit != 0 {
                return Err(TensorError::Argument {
                    op: "reduce",
                    what: format!("dimension {d} appears more than once in {dims:?}"),
                });
            }
            Ok(set | bit)
        })
    }

    pub(crate) fn reduce_axes(&self, op: ReduceOp, axes: u32, keepdim: bool) -> Tensor {
        let axes = axes & (((1u64 << self.rank()) - 1) as u32);
        let mut dims: Dims = self.dims().into();
        for (i, d) in dims.iter_mut().enumerate() {
            if axes & (1 << i) != 0 {
                *d = 1;
            }
        }
        let kept = if axes == 0 {
            self.clone()
        } else {
            self.engine().node(Op::Reduce { op, axes }, smallvec![self.clone()], dims.clone(), self.dtype())
        };
        if keepdim {
            return kept;
        }
        let left: Dims =
            dims.iter().enumerate().filter(|(i, _)| axes & (1 << i) == 0).map(|(_, &d)| d).collect();
        kept.reshape_to(&left)
    }

    /// A reduction of the given dimensions, or of all if none is given. Sums and products of integers and truth
    /// values are `int64`.
    ///
    /// # Errors
    /// [`TensorError::Dimension`]; [`TensorError::Argument`] for a dimension named twice; [`TensorError::Shape`] for an
    /// extreme of no elements.
    pub fn reduce(&self, op: ReduceOp, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        let axes = self.axes(dims)?;
        let operand = match op {
            ReduceOp::Sum | ReduceOp::Prod if !self.dtype().is_float() => self.cast(DType::I64),
            ReduceOp::Any | ReduceOp::All => self.cast(DType::Bool),
            _ => self.clone(),
        };
        if matches!(op, ReduceOp::Max | ReduceOp::Min)
            && self.dims().iter().enumerate().any(|(i, &d)| d == 0 && axes & (1 << i) != 0)
        {
            return Err(TensorError::Shape {
                op: if op == ReduceOp::Max { "amax" } else { "amin" },
                expected: "at least one element to choose from".into(),
                got: self.dims().into(),
            });
        }
        let out = operand.reduce_axes(op, axes, keepdim);
        // Truth of bytes is a byte, from the time before PyTorch had truth values.
        let bytes = matches!(op, ReduceOp::Any | ReduceOp::All) && self.dtype() == DType::U8;
        Ok(if bytes { out.cast(DType::U8) } else { out })
    }

    /// Sum over dimensions (all if none is given).
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn sum(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        self.reduce(ReduceOp::Sum, dims, keepdim)
    }

    fn count(&self, dims: &[i64]) -> Result<usize> {
        let axes = self.axes(dims)?;
        let reduced = self.dims().iter().enumerate().filter(|(i, _)| axes & (1 << i) != 0);
        Ok(numel(&reduced.map(|(_, &d)| d).collect::<Dims>()))
    }

    /// Mean over dimensions (all if none is given).
    ///
    /// # Errors
    /// [`TensorError::Type`] for integers, as PyTorch; else as [`Tensor::reduce`].
    pub fn mean(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        if !self.dtype().is_float() {
            return Err(TensorError::Type { op: "mean", expected: "floating numbers", got: self.dtype() });
        }
        let count = self.count(dims)?;
        // Half-precision sums are kept in single precision until after the division, as PyTorch does.
        let wide = if matches!(self.dtype(), DType::F16 | DType::BF16) { DType::F32 } else { self.dtype() };
        Ok(self.cast(wide).sum(dims, keepdim)?.div_scalar(count as f64)?.cast(self.dtype()))
    }

    /// Variance over dimensions, divided by the count less `correction`.
    ///
    /// # Errors
    /// As [`Tensor::mean`].
    pub fn var(&self, dims: &[i64], correction: f64, keepdim: bool) -> Result<Tensor> {
        let centred = self.sub(&self.mean(dims, true)?)?;
        let divisor = (self.count(dims)? as f64 - correction).max(0.0);
        centred.mul(&centred)?.sum(dims, keepdim)?.div_scalar(divisor)
    }

    /// Standard deviation, as the root of [`Tensor::var`].
    ///
    /// # Errors
    /// As [`Tensor::mean`].
    pub fn std(&self, dims: &[i64], correction: f64, keepdim: bool) -> Result<Tensor> {
        self.var(dims, correction, keepdim)?.root(2.0)
    }

    /// The `p`-th root of sums that are not negative, with gradient zero at zero, as PyTorch's norms have it.
    fn root(&self, p: f64) -> Result<Tensor> {
        let zero = self.eq_scalar(0)?;
        let safe = zero.where_(&self.engine().ones(&[], self.dtype()), self)?;
        let root = if p == 2.0 { safe.sqrt()? } else { safe.pow_scalar(1.0 / p)? };
        zero.where_(&self.engine().zeros(&[], self.dtype()), &root)
    }

    /// `p`-norm over dimensions; infinity is the largest absolute value.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn norm(&self, p: f64, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        let x = self.cast(float_type(self.dtype()));
        if p == 2.0 {
            return x.mul(&x)?.sum(dims, keepdim)?.root(2.0);
        }
        let magnitude = x.abs()?;
        if p.is_infinite() {
            let op = if p > 0.0 { ReduceOp::Max } else { ReduceOp::Min };
            return magnitude.reduce(op, dims, keepdim);
        }
        if p == 0.0 {
            return x.ne_scalar(0)?.cast(x.dtype()).sum(dims, keepdim);
        }
        if p == 1.0 {
            return magnitude.sum(dims, keepdim);
        }
        magnitude.pow_scalar(p)?.sum(dims, keepdim)?.root(p)
    }

    /// Position of the extreme element: along a dimension, or in the flattened tensor if none is given.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if there is no element.
    pub fn arg_extreme(&self, largest: bool, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
        let name = if largest { "argmax" } else { "argmin" };
        let (source, at) = match dim {
            Some(d) if self.rank() > 0 => (self.clone(), axis(d, self.rank())?),
            _ => (self.reshape_to(&[self.numel()]), 0),
        };
        if source.dims()[at] == 0 {
            return Err(TensorError::Shape {
                op: name,
                expected: "at least one element to choose from".into(),
                got: self.dims().into(),
            });
        }
        let mut dims: Dims = source.dims().into();
        dims[at] = 1;
        let op = Op::ArgExtreme { largest, axis: at as u8 };
        let kept = self.engine().node(op, smallvec![source], dims.clone(), DType::I64);
        if keepdim {
            return Ok(if dim.is_none() { kept.reshape_to(&vec![1; self.rank()]) } else { kept });
        }
        dims.remove(at);
        Ok(kept.reshape_to(&dims))
    }

    /// Extreme elements along a dimension and their positions, as `torch.max(x, dim)`.
    ///
    /// # Errors
    /// As [`Tensor::arg_extreme`].
    pub fn extreme(&self, largest: bool, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        if self.rank() == 0 {
            axis(dim, 0)?;
            return Ok((self.clone(), self.engine().zeros(&[], DType::I64)));
        }
        let indices = self.arg_extreme(largest, Some(dim), true)?;
        let values = self.gather(dim, &indices)?;
        if keepdim {
            return Ok((values, indices));
        }
        Ok((values.squeeze(Some(dim))?, indices.squeeze(Some(dim))?))
    }

    /// A permutation that brings dimension `at` last, which is its own inverse as an exchange.
    fn exchange_with_last(&self, at: usize) -> Perm {
        let mut perm: Perm = (0..self.rank() as u8).collect();
        let last = self.rank() - 1;
        perm.swap(at, last);
        perm
    }

    /// Applies `f` with dimension `dim` exchanged with the last one, and exchanges back.
    pub(crate) fn along_last(&self, dim: i64, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        if self.rank() == 0 {
            axis(dim, 0)?;
            return Ok(f(&self.reshape_to(&[1]))?.reshape_to(&[]));
        }
        let perm = self.exchange_with_last(axis(dim, self.rank())?);
        Ok(f(&self.permute_to(perm.clone()))?.permute_to(perm))
    }

    /// Positions that sort a dimension; equal elements keep their order.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn argsort(&self, dim: i64, descending: bool) -> Result<Tensor> {
        self.along_last(dim, |x| {
            let op = Op::Argsort { descending };
            Ok(x.engine().node(op, smallvec![x.clone()], x.dims().into(), DType::I64))
        })
    }

    /// A dimension sorted, and the positions its elements came from.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn sort(&self, dim: i64, descending: bool) -> Result<(Tensor, Tensor)> {
        let order = self.argsort(dim, descending)?;
        Ok((self.gather(dim, &order)?, order))
    }

    /// The `k` extreme elements of a dimension, best first, and their positions.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if the dimension has fewer than `k` elements.
    pub fn topk(&self, k: usize, dim: i64, largest: bool) -> Result<(Tensor, Tensor)> {
        let size = self.dims().get(axis(dim, self.rank())?).copied().unwrap_or(1);
        if k > size {
            return Err(TensorError::Argument {
                op: "topk",
                what: format!("k = {k} is more than the {size} elements of dimension {dim}"),
            });
        }
        let positions = self.along_last(dim, |x| {
            let mut dims: Dims = x.dims().into();
            *dims.last_mut().expect("a dimension") = k;
            Ok(x.engine().node(Op::TopK { largest }, smallvec![x.clone()], dims, DType::I64))
        })?;
        Ok((self.gather(dim, &positions)?, positions))
    }

    /// Running reduction along a dimension.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn scan(&self, op: ScanOp, dim: i64) -> Result<Tensor> {
        let at = axis(dim, self.rank())?;
        let widens = matches!(op, ScanOp::Sum | ScanOp::Prod) && !self.dtype().is_float();
        let operand = if widens { self.cast(DType::I64) } else { self.clone() };
        if self.rank() == 0 {
            return Ok(operand);
        }
        let op = Op::Scan { op, axis: at as u8 };
        Ok(self.engine().node(op, smallvec![operand.clone()], self.dims().into(), operand.dtype()))
    }

    /// Running sum along a dimension.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn cumsum(&self, dim: i64) -> Result<Tensor> {
        self.scan(ScanOp::Sum, dim)
    }
}
