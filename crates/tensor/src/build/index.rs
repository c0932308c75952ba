//! Indexing as PyTorch's square brackets, and gathering.

use smallvec::{SmallVec, smallvec};

use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::{Operands, Tensor};
use crate::op::{Op, Perm};
use crate::shape::{Dims, axis, broadcast, check_size, numel};

/// One item of `x[...]`.
#[derive(Clone, Debug)]
pub enum IndexItem {
    /// A number: the dimension goes away.
    At(i64),
    /// `start:stop:step`, each possibly absent.
    Slice {
        /// First position.
        start: Option<i64>,
        /// First position not taken.
        stop: Option<i64>,
        /// Distance of neighbours; negative walks backwards (which PyTorch does not allow).
        step: Option<i64>,
    },
    /// `...`: all dimensions not otherwise mentioned.
    Ellipsis,
    /// `None`: a new dimension of size one.
    NewAxis,
    /// Integer positions, or truth values that select.
    Tensor(Tensor),
}

impl IndexItem {
    /// `:`, a whole dimension.
    pub const ALL: IndexItem = IndexItem::Slice { start: None, stop: None, step: None };
}

impl From<i64> for IndexItem {
    fn from(i: i64) -> Self {
        IndexItem::At(i)
    }
}

impl From<std::ops::RangeFull> for IndexItem {
    fn from(_: std::ops::RangeFull) -> Self {
        IndexItem::ALL
    }
}

impl From<std::ops::Range<i64>> for IndexItem {
    fn from(r: std::ops::Range<i64>) -> Self {
        IndexItem::Slice { start: Some(r.start), stop: Some(r.end), step: None }
    }
}

impl From<std::ops::RangeFrom<i64>> for IndexItem {
    fn from(r: std::ops::RangeFrom<i64>) -> Self {
        IndexItem::Slice { start: Some(r.start), stop: None, step: None }
    }
}

impl From<std::ops::RangeTo<i64>> for IndexItem {
    fn from(r: std::ops::RangeTo<i64>) -> Self {
        IndexItem::Slice { start: None, stop: Some(r.end), step: None }
    }
}

impl From<Tensor> for IndexItem {
    fn from(t: Tensor) -> Self {
        IndexItem::Tensor(t)
    }
}

/// One step of basic indexing: a view and how to write it back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ViewStep {
    /// A slice of a dimension.
    Slice {
        /// The dimension.
        axis: usize,
        /// First element.
        start: usize,
        /// Number of elements.
        len: usize,
        /// Distance of neighbours.
        step: isize,
    },
    /// The same elements in another shape.
    Reshape(Dims),
    /// Dimensions in another order.
    Permute(Perm),
    /// Dimensions of size one repeated.
    Expand(Dims),
    /// The same elements, past which gradients do not flow.
    Detach,
}

impl ViewStep {
    /// The view of `base` that this step makes.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if the base has changed its shape.
    pub fn apply(&self, base: &Tensor) -> Result<Tensor> {
        let bad = |expected: String| TensorError::Shape { op: "view", expected, got: base.dims().into() };
        match self {
            ViewStep::Slice { axis, start, len, step } => {
                let last = if *len == 0 { 0 } else { *start as isize + (*len as isize - 1) * step };
                if base.rank() <= *axis || (*len > 0 && (*start).max(last as usize) >= base.dims()[*axis]) {
                    return Err(bad(format!("at least {} elements in dimension {axis}", start + 1)));
                }
                Ok(base.slice_to(*axis, *start, *len, *step))
            }
            ViewStep::Reshape(dims) if numel(dims) == base.numel() => Ok(base.reshape_to(dims)),
            ViewStep::Reshape(dims) => Err(bad(format!("{} elements", numel(dims)))),
            ViewStep::Permute(perm) if perm.len() == base.rank() => Ok(base.permute_to(perm.clone())),
            ViewStep::Permute(perm) => Err(bad(format!("{} dimensions", perm.len()))),
            ViewStep::Expand(dims) => base.expand_to(dims),
            ViewStep::Detach => Ok(base.stop_gradient()),
        }
    }

    /// `base` with this step's view of it replaced by `value`, which has the view's shape and type.
    ///
    /// # Errors
    /// [`TensorError::Argument`] for an expanded view, whose elements stand for several.
    pub fn write_back(&self, base: &Tensor, value: &Tensor) -> Result<Tensor> {
        match self {
            ViewStep::Slice { axis, start, step, .. } => {
                Ok(base.slice_assign_to(*axis, *start, *step, value))
            }
            ViewStep::Reshape(_) => Ok(value.reshape_to(base.dims())),
            ViewStep::Permute(perm) => {
                let mut inverse: Perm = SmallVec::from_elem(0, perm.len());
                for (i, &p) in perm.iter().enumerate() {
                    inverse[p as usize] = i as u8;
                }
                Ok(value.permute_to(inverse))
            }
            ViewStep::Detach => Ok(value.clone()),
            ViewStep::Expand(dims) if base.dims() == dims.as_slice() => Ok(value.clone()),
            ViewStep::Expand(_) => Err(TensorError::Argument {
                op: "setitem",
                what: "the written elements share memory in an expanded tensor; clone it first".into(),
            }),
        }
    }
}

/// What an index means for a tensor of given shape: views first, then tensor indices on the viewed dimensions.
#[derive(Clone, Debug)]
pub struct IndexPlan {
    /// Basic steps, in order.
    pub views: Vec<ViewStep>,
    /// For each dimension after the views, the tensor that indexes it.
    advanced: Vec<Option<Tensor>>,
}

impl IndexPlan {
    /// Whether the index consists of views only.
    #[must_use]
    pub fn is_view(&self) -> bool {
        self.advanced.is_empty()
    }
}

impl Tensor {
    /// Interprets an index for this tensor.
    ///
    /// A mask of truth values is turned into positions, which needs its value: it is computed here.
    ///
    /// # Errors
    /// [`TensorError::Index`], [`TensorError::TooManyIndices`], [`TensorError::Type`] for float indices.
    pub fn plan_index(&self, items: &[IndexItem]) -> Result<IndexPlan> {
        let consumed = |item: &IndexItem| match item {
            IndexItem::Ellipsis | IndexItem::NewAxis => 0,
            IndexItem::Tensor(t) if t.dtype() == DType::Bool => t.rank(),
            _ => 1,
        };
        let used: usize = items.iter().map(consumed).sum();
        if used > self.rank() {
            return Err(TensorError::TooManyIndices { rank: self.rank(), got: used });
        }
        let ellipses = items.iter().filter(|i| matches!(i, IndexItem::Ellipsis)).count();
        if ellipses > 1 {
            return Err(TensorError::Argument { op: "getitem", what: "more than one `...`".into() });
        }

        let mut views = Vec::new();
        // Sizes of the dimensions produced so far, and the index tensor on each, if any.
        let mut dims: Dims = self.dims().into();
        let mut advanced: Vec<Option<Tensor>> = Vec::new();
        let mut at = 0; // dimension of the current view
        let mut source = 0; // dimension of this tensor, for messages
        let reshaped = |views: &mut Vec<ViewStep>, dims: &Dims| match views.last_mut() {
            Some(ViewStep::Reshape(last)) => *last = dims.clone(),
            _ => views.push(ViewStep::Reshape(dims.clone())),
        };
        for item in items {
            match item {
                IndexItem::At(index) => {
                    let size = dims[at];
                    let i = if *index < 0 { index + size as i64 } else { *index };
                    if i < 0 || i >= size as i64 {
                        return Err(TensorError::Index { index: *index, dim: source, size });
                    }
                    views.push(ViewStep::Slice { axis: at, start: i as usize, len: 1, step: 1 });
                    dims.remove(at);
                    reshaped(&mut views, &dims);
                    source += 1;
                }
                IndexItem::Slice { start, stop, step } => {
                    let (start, len, step) = resolve_slice(*start, *stop, *step, dims[at])?;
                    if !(start == 0 && len == dims[at] && step == 1) {
                        views.push(ViewStep::Slice { axis: at, start, len, step });
                    }
                    dims[at] = len;
                    advanced.push(None);
                    at += 1;
                    source += 1;
                }
                IndexItem::Ellipsis => {
                    let skip = self.rank() - used;
                    advanced.extend(std::iter::repeat_n(None, skip));
                    at += skip;
                    source += skip;
                }
                IndexItem::NewAxis => {
                    dims.insert(at, 1);
                    reshaped(&mut views, &dims);
                    advanced.push(None);
                    at += 1;
                }
                IndexItem::Tensor(t) if t.dtype() == DType::Bool => {
                    let sizes: Dims = dims[at..at + t.rank()].into();
                    if t.dims() != sizes.as_slice() {
                        return Err(TensorError::Shape {
                            op: "getitem",
                            expected: format!("a mask of shape {:?}", sizes.as_slice()),
                            got: t.dims().into(),
                        });
                    }
                    if t.rank() == 0 {
                        return Err(TensorError::Argument {
                            op: "getitem",
                            what: "a truth value as index".into(),
                        });
                    }
                    let positions = t.nonzero()?;
                    for d in 0..t.rank() {
                        advanced
                            .push(Some(positions.slice_to(1, d, 1, 1).reshape_to(&[positions.dims()[0]])));
                    }
                    at += t.rank();
                    source += t.rank();
                }
                IndexItem::Tensor(t) => {
                    if t.dtype().is_float() {
                        return Err(TensorError::Type {
                            op: "getitem",
                            expected: "integers or truth values as index",
                            got: t.dtype(),
                        });
                    }
                    self.same_engine("getitem", t)?;
                    advanced.push(Some(t.cast(DType::I64)));
                    at += 1;
                    source += 1;
                }
            }
        }
        if advanced.iter().all(Option::is_none) {
            advanced.clear();
        }
        Ok(IndexPlan { views, advanced })
    }

    /// `x[items]`.
    ///
    /// # Errors
    /// As [`Tensor::plan_index`]; positions in tensors are checked when computed.
    pub fn index(&self, items: &[IndexItem]) -> Result<Tensor> {
        let plan = self.plan_index(items)?;
        let mut view = self.clone();
        for step in &plan.views {
            view = step.apply(&view)?;
        }
        if plan.is_view() {
            return Ok(view);
        }
        let layout = Advanced::new(&view, &plan.advanced)?;
        let picked = view.permute_to(layout.to_front.clone()).index_leading(&layout.positions)?;
        Ok(picked.permute_to(layout.result_order(picked.rank())))
    }

    /// The tensor after `x[items] = value`; the value broadcasts and is converted to this tensor's type.
    ///
    /// # Errors
    /// As [`Tensor::plan_index`]; [`TensorError::Shape`] if the value does not broadcast.
    pub fn index_assign(&self, items: &[IndexItem], value: &Tensor) -> Result<Tensor> {
        self.index_write(items, value, false)
    }

    /// The tensor with `value` added at `x[items]`; repeated positions add up.
    ///
    /// # Errors
    /// As [`Tensor::index_assign`].
    pub fn index_add(&self, items: &[IndexItem], value: &Tensor) -> Result<Tensor> {
        self.index_write(items, value, true)
    }

    fn index_write(&self, items: &[IndexItem], value: &Tensor, add: bool) -> Result<Tensor> {
        self.same_engine("setitem", value)?;
        let value = value.cast(self.dtype());
        // A mask and one value need no positions: the write is a choice.
        if let ([IndexItem::Tensor(mask)], 1, false) = (items, value.numel(), add)
            && mask.dtype() == DType::Bool
            && mask.dims() == self.dims()
        {
            return mask.where_(&value.reshape_to(&[]), self);
        }
        let plan = self.plan_index(items)?;
        let mut views = vec![self.clone()];
        for step in &plan.views {
            views.push(step.apply(views.last().expect("never empty"))?);
        }
        let view = views.pop().expect("never empty");
        let mut written = if plan.is_view() {
            let value = broadcast_value(&value, view.dims())?;
            if add { view.add(&value)? } else { value }
        } else {
            let layout = Advanced::new(&view, &plan.advanced)?;
            let base = view.permute_to(layout.to_front.clone());
            let shape = layout.picked_dims(&base);
            let order = layout.result_order(shape.len());
            let result: Dims = order.iter().map(|&p| shape[p as usize]).collect();
            let value = ViewStep::Permute(order)
                .write_back(&self.engine().zeros(&shape, self.dtype()), &broadcast_value(&value, &result)?)?;
            let put = base.index_put_leading(&layout.positions, &value, add)?;
            ViewStep::Permute(layout.to_front.clone()).write_back(&view, &put)?
        };
        for (step, base) in plan.views.iter().zip(&views).rev() {
            written = step.write_back(base, &written)?;
        }
        Ok(written)
    }

    /// Elements at the positions, which index the leading dimensions together.
    pub(crate) fn index_leading(&self, positions: &[Tensor]) -> Result<Tensor> {
        let n = positions.len();
        let dims: Dims = positions[0].dims().iter().chain(&self.dims()[n..]).copied().collect();
        check_size("index", &dims, self.dtype())?;
        let inputs: Operands = std::iter::once(self).chain(positions).cloned().collect();
        Ok(self.engine().node(Op::Index { n: n as u8 }, inputs, dims, self.dtype()))
    }

    pub(crate) fn index_put_leading(
        &self,
        positions: &[Tensor],
        value: &Tensor,
        add: bool,
    ) -> Result<Tensor> {
        let op = Op::IndexPut { n: positions.len() as u8, accumulate: add };
        let inputs: Operands = std::iter::once(self).chain(positions).chain([value]).cloned().collect();
        Ok(self.engine().node(op, inputs, self.dims().into(), self.dtype()))
    }

    /// Rows of a table `[vocab, ...]` at integer ids of any shape: an embedding.
    ///
    /// # Errors
    /// [`TensorError::Shape`] for a table without dimensions; [`TensorError::Type`] for float ids.
    pub fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        if self.rank() == 0 {
            return Err(TensorError::Shape { op: "embedding", expected: "a table".into(), got: Dims::new() });
        }
        if !ids.dtype().is_int() {
            return Err(TensorError::Type { op: "embedding", expected: "integer ids", got: ids.dtype() });
        }
        self.same_engine("embedding", ids)?;
        self.index_leading(&[ids.cast(DType::I64)])
    }

    /// Slices of a dimension at the positions (one dimension), as `torch.index_select`.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn index_select(&self, dim: i64, positions: &Tensor) -> Result<Tensor> {
        let at = axis(dim, self.rank())?;
        let mut items = vec![IndexItem::ALL; at];
        items.push(IndexItem::Tensor(positions.reshape_to(&[positions.numel()])));
        self.index(&items)
    }

    fn check_gather(&self, op: &'static str, dim: usize, index: &Tensor) -> Result<()> {
        self.same_engine(op, index)?;
        if !index.dtype().is_int() {
            return Err(TensorError::Type { op, expected: "integer positions", got: index.dtype() });
        }
        let fits = index.rank() == self.rank()
            && (0..self.rank()).all(|i| i == dim || index.dims()[i] <= self.dims()[i]);
        if !fits {
            return Err(TensorError::Shape {
                op,
                expected: format!("positions no larger than {:?} outside dimension {dim}", self.dims()),
                got: index.dims().into(),
            });
        }
        Ok(())
    }

    /// `out[i][j] = self[index[i][j]][j]` for dimension 0, and so on, as `torch.gather`.
    ///
    /// # Errors
    /// [`TensorError::Shape`], [`TensorError::Type`]; positions are checked when computed.
    pub fn gather(&self, dim: i64, index: &Tensor) -> Result<Tensor> {
        let at = axis(dim, self.rank())?;
        self.check_gather("gather", at, index)?;
        if self.rank() == 0 {
            return Ok(self.clone());
        }
        let inputs = smallvec![self.clone(), index.cast(DType::I64)];
        check_size("gather", index.dims(), self.dtype())?;
        let op = Op::Gather { axis: at as u8 };
        Ok(self.engine().node(op, inputs, index.dims().into(), self.dtype()))
    }

    /// `self[index[i][j]][j] = source[i][j]` for dimension 0, and so on, as `torch.scatter` (or `scatter_add`).
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    pub fn scatter(&self, dim: i64, index: &Tensor, source: &Tensor, add: bool) -> Result<Tensor> {
        let at = axis(dim, self.rank())?;
        self.check_gather("scatter", at, index)?;
        if source.dtype() != self.dtype() {
            return Err(TensorError::Type {
                op: "scatter",
                expected: "a source of the tensor's type",
                got: source.dtype(),
            });
        }
        let fits =
            source.rank() == index.rank() && source.dims().iter().zip(index.dims()).all(|(s, i)| s >= i);
        if !fits {
            return Err(TensorError::Shape {
                op: "scatter",
                expected: format!("a source at least as large as the positions {:?}", index.dims()),
                got: source.dims().into(),
            });
        }
        let mut part = source.clone();
        for (d, &len) in index.dims().iter().enumerate() {
            part = part.slice_to(d, 0, len, 1);
        }
        if self.rank() == 0 {
            return if add { self.add(&part) } else { Ok(part) };
        }
        let inputs = smallvec![self.clone(), index.cast(DType::I64), part];
        let op = Op::Scatter { axis: at as u8, accumulate: add };
        Ok(self.engine().node(op, inputs, self.dims().into(), self.dtype()))
    }

    /// Positions of the elements that are not zero, `[count, rank]`. Its shape depends on the value, so it is computed
    /// here.
    ///
    /// # Errors
    /// As [`Tensor::eval`].
    pub fn nonzero(&self) -> Result<Tensor> {
        let truth = self.cast(DType::Bool).to_vec::<u8>()?;
        let mut rows: Vec<i64> = Vec::new();
        let mut count = 0;
        for (flat, _) in truth.iter().enumerate().filter(|(_, t)| **t != 0) {
            let start = rows.len();
            let mut rest = flat;
            for &size in self.dims().iter().rev() {
                rows.insert(start, (rest % size) as i64);
                rest /= size;
            }
            count += 1;
        }
        self.engine().from_vec(rows, &[count, self.rank()])
    }
}

/// Tensor indices brought to a common shape, and the permutation that brings their dimensions to the front.
struct Advanced {
    positions: Vec<Tensor>,
    to_front: Perm,
    /// Where the indexed dimensions stand in the result: at the first of them if they are neighbours, else in front.
    at: usize,
}

impl Advanced {
    fn new(view: &Tensor, advanced: &[Option<Tensor>]) -> Result<Advanced> {
        let indexed: Vec<usize> =
            advanced.iter().enumerate().filter(|(_, t)| t.is_some()).map(|(i, _)| i).collect();
        let mut shape = Dims::new();
        for t in advanced.iter().flatten() {
            shape = broadcast("getitem", &shape, t.dims())?;
        }
        let positions = advanced.iter().flatten().map(|t| t.expand_to(&shape)).collect::<Result<Vec<_>>>()?;
        let neighbours = indexed.windows(2).all(|w| w[1] == w[0] + 1);
        let mut to_front: Perm = indexed.iter().map(|&i| i as u8).collect();
        to_front.extend((0..view.rank()).filter(|i| !indexed.contains(i)).map(|i| i as u8));
        Ok(Advanced { positions, to_front, at: if neighbours { indexed[0] } else { 0 } })
    }

    fn picked_dims(&self, base: &Tensor) -> Dims {
        self.positions[0].dims().iter().chain(&base.dims()[self.positions.len()..]).copied().collect()
    }

    /// The permutation from `[..positions, ..rest]` to PyTorch's order.
    fn result_order(&self, rank: usize) -> Perm {
        let p = self.positions[0].rank() as u8;
        let before = self.at as u8;
        (p..p + before).chain(0..p).chain(p + before..rank as u8).collect()
    }
}

/// The value in the shape of the place written to; leading dimensions of size one may be missing or extra.
fn broadcast_value(value: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let extra = value.rank().saturating_sub(dims.len());
    let trimmed = if value.dims()[..extra].iter().all(|&d| d == 1) {
        value.reshape_to(&value.dims()[extra..])
    } else {
        value.clone()
    };
    trimmed.expand_to(dims).map_err(|_| TensorError::Shape {
        op: "setitem",
        expected: format!("a value that broadcasts to {dims:?}"),
        got: value.dims().into(),
    })
}

/// First element, count and step of a Python slice of a dimension.
fn resolve_slice(
    start: Option<i64>,
    stop: Option<i64>,
    step: Option<i64>,
    size: usize,
) -> Result<(usize, usize, isize)> {
    // No step beyond the range of `-i64::MAX..` is ever walked twice.
    let step = step.unwrap_or(1).max(-i64::MAX);
    if step == 0 {
        return Err(TensorError::Argument { op: "getitem", what: "slice step cannot be zero".into() });
    }
    let n = size as i64;
    let clamp = |x: i64, low: i64, high: i64| (if x < 0 { x.saturating_add(n) } else { x }).clamp(low, high);
    let (first, len) = if step > 0 {
        let first = clamp(start.unwrap_or(0), 0, n);
        let last = clamp(stop.unwrap_or(n), 0, n);
        (first, (last - first).max(0).saturating_add(step - 1) / step)
    } else {
        let first = start.map_or(n - 1, |s| clamp(s, -1, n - 1));
        let last = stop.map_or(-1, |s| clamp(s, -1, n - 1));
        (first, (first - last).max(0).saturating_add(-step - 1) / -step)
    };
    // Of at most one element, the distance of neighbours means nothing, and a large one could overflow strides.
    let step = if len > 1 { step as isize } else { 1 };
    Ok((if len == 0 { 0 } else { first as usize }, len as usize, step))
}
