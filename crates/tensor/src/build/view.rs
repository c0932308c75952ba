//! Rearrangements: nothing is computed, elements are seen in another order or shape.

use smallvec::{SmallVec, smallvec};

use crate::dtype::{DType, Priority, result_type};
use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::op::{Op, Perm};
use crate::shape::{Dims, axis, check_size, infer, numel};

impl Tensor {
    /// The same elements in a shape whose element count is known to agree.
    pub(crate) fn reshape_to(&self, dims: &[usize]) -> Tensor {
        debug_assert_eq!(numel(dims), self.numel());
        if self.dims() == dims {
            return self.clone();
        }
        let source = if matches!(self.op(), Op::Reshape) { &self.inputs()[0] } else { self };
        if source.dims() == dims {
            return source.clone();
        }
        self.engine().node(Op::Reshape, smallvec![source.clone()], dims.into(), self.dtype())
    }

    /// The same elements in another shape; one size may be -1.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if the elements do not fit.
    pub fn reshape(&self, sizes: &[i64]) -> Result<Tensor> {
        Ok(self.reshape_to(&infer("reshape", self.dims(), sizes)?))
    }

    /// Dimension `i` of the result is dimension `order[i]` of this tensor.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if `order` is not a permutation of the dimensions.
    pub fn permute(&self, order: &[i64]) -> Result<Tensor> {
        let mut seen = 0u64;
        let mut perm = Perm::new();
        for &d in order {
            let d = axis(d, self.rank())?;
            seen |= 1 << d;
            perm.push(d as u8);
        }
        if perm.len() != self.rank() || seen.count_ones() as usize != self.rank() {
            return Err(TensorError::Argument {
                op: "permute",
                what: format!("{order:?} is not a permutation of {} dimensions", self.rank()),
            });
        }
        Ok(self.permute_to(perm))
    }

    pub(crate) fn permute_to(&self, perm: Perm) -> Tensor {
        if perm.iter().enumerate().all(|(i, &p)| i == p as usize) {
            return self.clone();
        }
        if let Op::Permute(inner) = self.op() {
            let both: Perm = perm.iter().map(|&p| inner[p as usize]).collect();
            return self.inputs()[0].permute_to(both);
        }
        let dims: Dims = perm.iter().map(|&p| self.dims()[p as usize]).collect();
        self.engine().node(Op::Permute(perm), smallvec![self.clone()], dims, self.dtype())
    }

    /// Two dimensions exchanged.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn transpose(&self, a: i64, b: i64) -> Result<Tensor> {
        let (a, b) = (axis(a, self.rank())?, axis(b, self.rank())?);
        let mut perm: Perm = (0..self.rank() as u8).collect();
        if self.rank() > 0 {
            perm.swap(a, b);
        }
        Ok(self.permute_to(perm))
    }

    /// Repeated without copying to `dims`, to which the shape must broadcast.
    pub(crate) fn expand_to(&self, dims: &[usize]) -> Result<Tensor> {
        if self.dims() == dims {
            return Ok(self.clone());
        }
        let bad = || TensorError::Shape {
            op: "expand",
            expected: format!("a shape that broadcasts to {dims:?}"),
            got: self.dims().into(),
        };
        if self.rank() > dims.len() {
            return Err(bad());
        }
        check_size("expand", dims, self.dtype())?;
        if let Op::Full(value) = self.op() {
            return Ok(self.engine().full(dims, *value, self.dtype()));
        }
        let lead = dims.len() - self.rank();
        let padded: Dims = std::iter::repeat_n(1, lead).chain(self.dims().iter().copied()).collect();
        if padded.iter().zip(dims).any(|(&from, &to)| from != to && from != 1) {
            return Err(bad());
        }
        let source = self.reshape_to(&padded);
        if source.dims() == dims {
            return Ok(source);
        }
        Ok(self.engine().node(Op::Expand, smallvec![source], dims.into(), self.dtype()))
    }

    /// Dimensions of size one repeated; -1 keeps a size. New dimensions may stand in front.
    ///
    /// # Errors
    /// [`TensorError::Shape`].
    pub fn expand(&self, sizes: &[i64]) -> Result<Tensor> {
        let lead = sizes.len().saturating_sub(self.rank());
        let dims: Option<Dims> = sizes
            .iter()
            .enumerate()
            .map(|(i, &s)| match s {
                -1 if i >= lead => Some(self.dims()[i - lead]),
                s => usize::try_from(s).ok(),
            })
            .collect();
        let dims = dims.ok_or_else(|| TensorError::Shape {
            op: "expand",
            expected: format!("sizes that are known, not {sizes:?}"),
            got: self.dims().into(),
        })?;
        self.expand_to(&dims)
    }

    /// Without the given dimension if its size is one, else unchanged; without all such dimensions if none is given.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn squeeze(&self, dim: Option<i64>) -> Result<Tensor> {
        let only = dim.map(|d| axis(d, self.rank())).transpose()?;
        let dims: Dims = self
            .dims()
            .iter()
            .enumerate()
            .filter(|&(i, &s)| s != 1 || only.is_some_and(|d| d != i))
            .map(|(_, &s)| s)
            .collect();
        Ok(self.reshape_to(&dims))
    }

    /// With a new dimension of size one.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn unsqueeze(&self, dim: i64) -> Result<Tensor> {
        let at = axis(dim, self.rank() + 1)?;
        let mut dims: Dims = self.dims().into();
        dims.insert(at, 1);
        Ok(self.reshape_to(&dims))
    }

    /// Dimensions `start..=end` made one.
    ///
    /// # Errors
    /// [`TensorError::Dimension`]; [`TensorError::Argument`] if `start` is behind `end`.
    pub fn flatten(&self, start: i64, end: i64) -> Result<Tensor> {
        let (start, end) = (axis(start, self.rank())?, axis(end, self.rank())?);
        if start > end {
            return Err(TensorError::Argument {
                op: "flatten",
                what: "start dimension is behind the end dimension".into(),
            });
        }
        if self.rank() == 0 {
            return Ok(self.reshape_to(&[1]));
        }
        let mut dims: Dims = self.dims()[..start].into();
        dims.push(numel(&self.dims()[start..=end]));
        dims.extend_from_slice(&self.dims()[end + 1..]);
        Ok(self.reshape_to(&dims))
    }

    /// Elements `start, start + step, ...` of a dimension, `len` of them, all known to exist.
    pub(crate) fn slice_to(&self, dim: usize, start: usize, len: usize, step: isize) -> Tensor {
        if start == 0 && step == 1 && len == self.dims()[dim] {
            return self.clone();
        }
        let mut dims: Dims = self.dims().into();
        dims[dim] = len;
        if let Op::Full(value) = self.op() {
            return self.engine().full(&dims, *value, self.dtype());
        }
        let op = Op::Slice { axis: dim as u8, start, step };
        self.engine().node(op, smallvec![self.clone()], dims, self.dtype())
    }

    /// This tensor with the elements `start, start + step, ...` of a dimension replaced by those of `value`, whose
    /// shape is the slice's.
    pub(crate) fn slice_assign_to(&self, dim: usize, start: usize, step: isize, value: &Tensor) -> Tensor {
        debug_assert_eq!(value.dtype(), self.dtype());
        if value.dims() == self.dims() && step == 1 {
            return value.clone();
        }
        if value.numel() == 0 {
            return self.clone();
        }
        let op = Op::SliceAssign { axis: dim as u8, start, step };
        self.engine().node(op, smallvec![self.clone(), value.clone()], self.dims().into(), self.dtype())
    }

    /// `len` elements of a dimension from `start`, as `torch.narrow`.
    ///
    /// # Errors
    /// [`TensorError::Index`] if they do not exist.
    pub fn narrow(&self, dim: i64, start: i64, len: usize) -> Result<Tensor> {
        let dim = axis(dim, self.rank())?;
        let size = self.dims().get(dim).copied().unwrap_or(1);
        let from = if start < 0 { start + size as i64 } else { start };
        if self.rank() == 0 || from < 0 || len > size.saturating_sub(from as usize) || from as usize > size {
            return Err(TensorError::Index { index: start.saturating_add(len as i64), dim, size });
        }
        Ok(self.slice_to(dim, from as usize, len, 1))
    }

    /// Pieces of the given sizes along a dimension.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if the sizes do not add up.
    pub fn split_sizes(&self, sizes: &[usize], dim: i64) -> Result<Vec<Tensor>> {
        let at = axis(dim, self.rank())?;
        if self.rank() == 0 || sizes.iter().fold(0, |sum: usize, &s| sum.saturating_add(s)) != self.dims()[at]
        {
            return Err(TensorError::Argument {
                op: "split",
                what: format!("sizes {sizes:?} do not add up to dimension {dim} of {:?}", self.dims()),
            });
        }
        let mut start = 0;
        Ok(sizes
            .iter()
            .map(|&len| {
                start += len;
                self.slice_to(at, start - len, len, 1)
            })
            .collect())
    }

    /// Pieces of `size` elements along a dimension, the last possibly smaller.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if `size` is zero.
    pub fn split(&self, size: usize, dim: i64) -> Result<Vec<Tensor>> {
        let at = axis(dim, self.rank())?;
        let total = self.dims().get(at).copied().unwrap_or(1);
        if size == 0 {
            return Err(TensorError::Argument { op: "split", what: "pieces of size zero".into() });
        }
        let mut sizes: Vec<usize> = vec![size; total / size];
        if total % size != 0 || total == 0 {
            sizes.push(total % size);
        }
        self.split_sizes(&sizes, dim)
    }

    /// At most `chunks` pieces of equal size along a dimension, the last possibly smaller, as `torch.chunk`.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if `chunks` is zero.
    pub fn chunk(&self, chunks: usize, dim: i64) -> Result<Vec<Tensor>> {
        if chunks == 0 {
            return Err(TensorError::Argument { op: "chunk", what: "into zero pieces".into() });
        }
        let at = axis(dim, self.rank())?;
        match self.dims().get(at).copied().unwrap_or(1) {
            0 if chunks > 1 << 16 => {
                Err(TensorError::Argument { op: "chunk", what: format!("into {chunks} pieces of nothing") })
            }
            0 => self.split_sizes(&vec![0; chunks], dim),
            total => self.split(total.div_ceil(chunks), dim),
        }
    }

    /// The order of elements reversed along the dimensions.
    ///
    /// # Errors
    /// [`TensorError::Dimension`]; [`TensorError::Argument`] for a dimension named twice.
    pub fn flip(&self, dims: &[i64]) -> Result<Tensor> {
        let mut out = self.clone();
        let mut seen = 0u64;
        for &d in dims {
            let d = axis(d, self.rank())?;
            if seen & (1 << d) != 0 {
                return Err(TensorError::Argument {
                    op: "flip",
                    what: format!("dimension {d} appears more than once in {dims:?}"),
                });
            }
            seen |= 1 << d;
            if let Some(&size) = self.dims().get(d)
                && size > 0
            {
                out = out.slice_to(d, size - 1, size, -1);
            }
        }
        Ok(out)
    }

    /// Tensors one after the other along a dimension; types are promoted.
    ///
    /// # Errors
    /// [`TensorError::Argument`] for none; [`TensorError::Shape`] if other dimensions differ.
    pub fn cat(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
        let all: SmallVec<[&Tensor; 8]> = tensors.iter().filter(|t| t.dims() != [0]).collect();
        let Some(&first) = all.first() else {
            return tensors.first().cloned().ok_or_else(|| TensorError::Argument {
                op: "cat",
                what: "expected at least one tensor".into(),
            });
        };
        let at = axis(dim, first.rank())?;
        let bad = |t: &Tensor| TensorError::Shape {
            op: "cat",
            expected: format!("sizes of {:?} except in dimension {at}", first.dims()),
            got: t.dims().into(),
        };
        if first.rank() == 0 {
            return Err(TensorError::Argument {
                op: "cat",
                what: "tensors without dimensions cannot be concatenated".into(),
            });
        }
        let mut dims: Dims = first.dims().into();
        dims[at] = 0;
        for t in &all {
            let fits = t.rank() == dims.len() && (0..dims.len()).all(|i| i == at || t.dims()[i] == dims[i]);
            if !fits {
                return Err(bad(t));
            }
            first.same_engine("cat", t)?;
            dims[at] = dims[at].saturating_add(t.dims()[at]);
        }
        let types: SmallVec<[(DType, Priority); 8]> = tensors.iter().map(Tensor::priority).collect();
        let dtype = result_type(&types);
        check_size("cat", &dims, dtype)?;
        if let [only] = all.as_slice() {
            return Ok(only.cast(dtype));
        }
        let inputs = all.iter().map(|t| t.cast(dtype)).collect();
        Ok(first.engine().node(Op::Concat { axis: at as u8 }, inputs, dims, dtype))
    }

    /// Tensors of one shape as elements of a new dimension.
    ///
    /// # Errors
    /// As [`Tensor::cat`].
    pub fn stack(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
        if let Some(other) = tensors.iter().find(|t| t.dims() != tensors[0].dims()) {
            return Err(TensorError::Shape {
                op: "stack",
                expected: format!("each tensor of shape {:?}", tensors[0].dims()),
                got: other.dims().into(),
            });
        }
        let all: Vec<Tensor> = tensors.iter().map(|t| t.unsqueeze(dim)).collect::<Result<_>>()?;
        if let Some(first) = all.first().filter(|f| f.numel() == 0) {
            let at = axis(dim, first.rank())?;
            let mut dims: Dims = first.dims().into();
            dims[at] = all.len();
            return Ok(first.engine().zeros(&dims, first.dtype()));
        }
        Tensor::cat(&all, dim)
    }

    /// The tensor repeated the given number of times along each dimension; new dimensions stand in front.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if there are fewer numbers than dimensions.
    pub fn repeat(&self, times: &[usize]) -> Result<Tensor> {
        if times.len() < self.rank() {
            return Err(TensorError::Argument {
                op: "repeat",
                what: format!("{} numbers for {} dimensions", times.len(), self.rank()),
            });
        }
        let lead = times.len() - self.rank();
        let sizes: Dims = std::iter::repeat_n(1, lead).chain(self.dims().iter().copied()).collect();
        // Interleaving a repeated dimension with each size: [a, b] -> [ta, a, tb, b] -> [ta * a, tb * b].
        let (mut ones, mut wide, mut merged) = (Dims::new(), Dims::new(), Dims::new());
        for (&t, &s) in times.iter().zip(&sizes) {
            ones.extend([1, s]);
            wide.extend([t, s]);
            merged.push(t.saturating_mul(s));
        }
        check_size("repeat", &wide, self.dtype())?;
        Ok(self.reshape_to(&ones).expand_to(&wide)?.reshape_to(&merged))
    }

    /// Each element of a dimension repeated `times` times in place, as `torch.repeat_interleave`.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn repeat_interleave(&self, times: usize, dim: i64) -> Result<Tensor> {
        let at = axis(dim, self.rank())?;
        let mut wide: Dims = self.reshape_to(if self.rank() == 0 { &[1] } else { self.dims() }).dims().into();
        let mut merged = wide.clone();
        let mut ones = wide.clone();
        ones.insert(at + 1, 1);
        wide.insert(at + 1, times);
        check_size("repeat_interleave", &wide, self.dtype())?;
        merged[at] *= times;
        Ok(self.reshape_to(&ones).expand_to(&wide)?.reshape_to(&merged))
    }

    /// The lower (or, if `upper`, the upper) triangle of the last two dimensions; other elements are zero.
    ///
    /// # Errors
    /// [`TensorError::Shape`] for fewer than two dimensions.
    pub fn triangle(&self, diagonal: i64, upper: bool) -> Result<Tensor> {
        let op = if upper { "triu" } else { "tril" };
        if self.rank() < 2 {
            return Err(TensorError::Shape {
                op,
                expected: "at least two dimensions".into(),
                got: self.dims().into(),
            });
        }
        let (rows, cols) = (self.dims()[self.rank() - 2], self.dims()[self.rank() - 1]);
        let diagonal = diagonal.clamp(-(rows as i64), cols as i64);
        let row = self.engine().arange(diagonal, 1, rows, DType::I64).reshape_to(&[rows, 1]);
        let col = self.engine().arange(0, 1, cols, DType::I64);
        let keep = if upper { col.ge(&row)? } else { col.le(&row)? };
        keep.where_(self, &self.engine().zeros(&[], self.dtype()))
    }

    /// The diagonal of two dimensions, as the last dimension of the result.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn diagonal(&self, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
        let (a, b) = (axis(dim1, self.rank())?, axis(dim2, self.rank())?);
        if a == b || self.rank() < 2 {
            return Err(TensorError::Argument {
                op: "diagonal",
                what: "needs two different dimensions".into(),
            });
        }
        let mut perm: Perm = [a as u8, b as u8].into_iter().collect();
        perm.extend((0..self.rank() as u8).filter(|&i| i != a as u8 && i != b as u8));
        let moved = self.permute_to(perm);
        let (rows, cols) = (moved.dims()[0] as i64, moved.dims()[1] as i64);
        let offset = offset.clamp(-rows, cols);
        let len = (rows + offset.min(0)).min(cols - offset.max(0)).max(0) as usize;
        let row = self.engine().arange((-offset).max(0), 1, len, DType::I64);
        let col = self.engine().arange(offset.max(0), 1, len, DType::I64);
        let picked = moved.index_leading(&[row, col])?;
        let order: Perm = (1..picked.rank() as u8).chain([0]).collect();
        Ok(picked.permute_to(order))
    }
}
