//! Variables: cells that name the current node of a storage, and views of them.
//!
//! PyTorch's tensors can be written in place, and every alias sees the write. Nodes of the graph cannot change; what
//! changes is which node a cell names. A [`Var`] is such a cell or a chain of views of one: reading a view applies
//! the views to the cell's node, writing it puts the written elements back through the views. Whether a reshape is a
//! view or a copy follows PyTorch's stride rules, so that a write reaches the model exactly when it does there.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use pellucid_tensor::value::{Strides, reshape_strides};
use pellucid_tensor::{IndexItem, Op, Result, Tensor, TensorError, ViewStep, shape};
use smallvec::SmallVec;

/// A storage, or a view of one.
#[derive(Clone)]
pub struct Var {
    kind: Rc<Kind>,
}

enum Kind {
    /// Strides are those of the first node, and found when somebody asks for them or the node is about to be replaced.
    Cell {
        current: RefCell<Tensor>,
        strides: OnceCell<Strides>,
    },
    View(Box<View>),
}

struct View {
    base: Var,
    step: ViewStep,
    strides: Strides,
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.get() {
            Ok(tensor) => write!(f, "Var({tensor:?})"),
            Err(error) => write!(f, "Var({error})"),
        }
    }
}

impl From<Tensor> for Var {
    fn from(tensor: Tensor) -> Self {
        Var::new(tensor)
    }
}

impl Var {
    /// A new storage holding `tensor`.
    #[must_use]
    pub fn new(tensor: Tensor) -> Var {
        Var { kind: Rc::new(Kind::Cell { current: RefCell::new(tensor), strides: OnceCell::new() }) }
    }

    /// The node that the storage, seen through the views, is now.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if the storage was replaced by one of another shape.
    pub fn get(&self) -> Result<Tensor> {
        let mut steps: SmallVec<[&ViewStep; 4]> = SmallVec::new();
        let mut at = self;
        let mut tensor = loop {
            match &*at.kind {
                Kind::Cell { current, .. } => break current.borrow().clone(),
                Kind::View(view) => {
                    steps.push(&view.step);
                    at = &view.base;
                }
            }
        };
        for step in steps.into_iter().rev() {
            tensor = step.apply(&tensor)?;
        }
        Ok(tensor)
    }

    /// Overwrites the elements seen through the views; every alias sees it. The value has this variable's shape and
    /// type.
    ///
    /// # Errors
    /// [`TensorError::Argument`] for a view that repeats elements.
    pub fn set(&self, value: Tensor) -> Result<()> {
        let mut at = self;
        let mut value = value;
        loop {
            match &*at.kind {
                Kind::Cell { current, strides } => {
                    let before = current.replace(value);
                    strides.get_or_init(|| layout(&before));
                    return Ok(());
                }
                Kind::View(view) => {
                    value = view.step.write_back(&view.base.get()?, &value)?;
                    at = &view.base;
                }
            }
        }
    }

    /// In-place assignment as PyTorch's `x[...] = value`: the value broadcasts and is converted.
    ///
    /// # Errors
    /// As [`Tensor::index_assign`].
    pub fn assign(&self, items: &[IndexItem], value: &Tensor) -> Result<()> {
        let written = self.get()?.index_assign(items, value)?;
        self.set(written)
    }

    /// The storage that this variable is or views, whole.
    #[must_use]
    pub fn base(&self) -> &Var {
        let mut at = self;
        while let Kind::View(view) = &*at.kind {
            at = &view.base;
        }
        at
    }

    /// Whether both are, or view, one storage.
    #[must_use]
    pub fn same_storage(&self, other: &Var) -> bool {
        Rc::ptr_eq(&self.base().kind, &other.base().kind)
    }

    /// Gives the storage a node of its own, so that a gradient can be read there alone.
    ///
    /// # Errors
    /// As [`Var::get`].
    pub fn isolate(&self) -> Result<()> {
        let cell = self.base();
        let own = cell.get()?.identity();
        cell.set(own)
    }

    /// PyTorch's strides of this variable, in elements.
    #[must_use]
    pub fn strides(&self) -> &Strides {
        match &*self.kind {
            Kind::Cell { current, strides } => strides.get_or_init(|| layout(&current.borrow())),
            Kind::View(view) => &view.strides,
        }
    }

    fn view(&self, step: ViewStep, strides: Strides) -> Var {
        Var { kind: Rc::new(Kind::View(Box::new(View { base: self.clone(), step, strides }))) }
    }

    /// The same views of another storage, such as that of a gradient.
    ///
    /// # Errors
    /// If the other storage has another shape.
    pub fn rebase(&self, storage: &Var) -> Result<Var> {
        let mut steps = Vec::new();
        let mut at = self;
        while let Kind::View(view) = &*at.kind {
            steps.push(view.step.clone());
            at = &view.base;
        }
        let mut out = storage.clone();
        for step in steps.into_iter().rev() {
            out = out.step(step)?;
        }
        Ok(out)
    }

    /// The result of a step: a view, or a copy for a reshape that strides do not allow as a view.
    ///
    /// # Errors
    /// As [`ViewStep::apply`].
    pub fn step(&self, step: ViewStep) -> Result<Var> {
        let tensor = self.get()?;
        let strides = step_strides(&step, tensor.dims(), self.strides());
        match strides {
            Some(strides) => {
                step.apply(&tensor)?;
                Ok(self.view(step, strides))
            }
            // PyTorch copies here, so a write to the result stays there.
            None => Ok(Var::new(step.apply(&tensor)?)),
        }
    }

    /// `reshape`: a view where strides allow one, else a copy.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if the elements do not fit.
    pub fn reshape(&self, sizes: &[i64]) -> Result<Var> {
        let dims = shape::infer("reshape", self.get()?.dims(), sizes)?;
        self.step(ViewStep::Reshape(dims))
    }

    /// `view`: as [`Var::reshape`], but an error where a copy would be needed.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if strides do not allow a view.
    pub fn view_as(&self, sizes: &[i64]) -> Result<Var> {
        let tensor = self.get()?;
        let dims = shape::infer("view", tensor.dims(), sizes)?;
        if reshape_strides(tensor.dims(), self.strides(), &dims).is_none() {
            return Err(TensorError::Argument {
                op: "view",
                what:
                    "view size is not compatible with input tensor's size and stride (at least one dimension \
                       spans across two contiguous subspaces); use `.reshape(...)` instead"
                        .into(),
            });
        }
        self.step(ViewStep::Reshape(dims))
    }

    /// Dimensions in another order, as a view.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if `order` is not a permutation.
    pub fn permute(&self, order: &[i64]) -> Result<Var> {
        let tensor = self.get()?;
        tensor.permute(order)?;
        let perm =
            order.iter().map(|&d| shape::axis(d, tensor.rank()).map(|d| d as u8)).collect::<Result<_>>()?;
        self.step(ViewStep::Permute(perm))
    }

    /// Two dimensions exchanged, as a view.
    ///
    /// # Errors
    /// [`TensorError::Dimension`].
    pub fn transpose(&self, a: i64, b: i64) -> Result<Var> {
        let rank = self.get()?.rank();
        let mut order: Vec<i64> = (0..rank as i64).collect();
        let (a, b) = (shape::axis(a, rank)?, shape::axis(b, rank)?);
        if rank > 0 {
            order.swap(a, b);
        }
        self.permute(&order)
    }

    /// `len` elements of a dimension from `start`, as a view.
    ///
    /// # Errors
    /// [`TensorError::Index`] if they do not exist.
    pub fn narrow(&self, dim: i64, start: usize, len: usize) -> Result<Var> {
        let tensor = self.get()?;
        let axis = shape::axis(dim, tensor.rank())?;
        tensor.narrow(dim, start as i64, len)?;
        self.step(ViewStep::Slice { axis, start, len, step: 1 })
    }

    /// `x[items]`: a view for numbers, slices, `...` and `None`; a copy when tensors index.
    ///
    /// # Errors
    /// As [`Tensor::index`].
    pub fn index(&self, items: &[IndexItem]) -> Result<Var> {
        let tensor = self.get()?;
        let plan = tensor.plan_index(items)?;
        if !plan.is_view() {
            return Ok(Var::new(tensor.index(items)?));
        }
        let mut view = self.clone();
        for step in plan.views {
            view = view.step(step)?;
        }
        Ok(view)
    }
}

/// Strides of a view made by a step, or `None` if PyTorch would copy.
fn step_strides(step: &ViewStep, dims: &[usize], strides: &Strides) -> Option<Strides> {
    Some(match step {
        ViewStep::Slice { axis, step, .. } => {
            let mut out = strides.clone();
            out[*axis] *= step;
            out
        }
        ViewStep::Permute(perm) => perm.iter().map(|&p| strides[p as usize]).collect(),
        ViewStep::Expand(to) => {
            let lead = to.len() - dims.len();
            (0..to.len())
                .map(|i| if i < lead || dims[i - lead] != to[i] { 0 } else { strides[i - lead] })
                .collect()
        }
        ViewStep::Detach => strides.clone(),
        ViewStep::Reshape(to) => return reshape_strides(dims, strides, to),
    })
}

/// The strides PyTorch would give a freshly computed tensor.
///
/// Views of a computed tensor keep its strides seen through the view; elementwise results take over the order of
/// dimensions of their first operand that has their shape; everything else is row-major.
fn layout(tensor: &Tensor) -> Strides {
    // Views and elementwise operations on the way to something row-major.
    let mut path = Vec::new();
    let mut at = tensor;
    while let Some(next) = match at.op() {
        op if op.is_view() => at.inputs().first(),
        Op::Unary(_) | Op::Binary(_) | Op::Where | Op::Cast => {
            at.inputs().iter().find(|i| i.dims() == at.dims() && !matches!(i.op(), Op::Expand | Op::Full(_)))
        }
        _ => None,
    } {
        path.push(at);
        at = next;
    }
    let mut strides = shape::contiguous_strides(at.dims());
    for node in path.into_iter().rev() {
        let input = node.inputs().first().expect("nodes on the path have operands");
        strides = match node.op() {
            Op::Slice { axis, start, step } => {
                let len = node.dims()[*axis as usize];
                let step = ViewStep::Slice { axis: *axis as usize, start: *start, len, step: *step };
                step_strides(&step, input.dims(), &strides).expect("slices are views")
            }
            Op::Permute(perm) => perm.iter().map(|&p| strides[p as usize]).collect(),
            Op::Reshape => reshape_strides(input.dims(), &strides, node.dims())
                .unwrap_or_else(|| shape::contiguous_strides(node.dims())),
            Op::Expand => step_strides(&ViewStep::Expand(node.dims().into()), input.dims(), &strides)
                .expect("expansions are views"),
            Op::Identity { .. } | Op::Detach => strides,
            _ => dense_in_order_of(node.dims(), &strides),
        };
    }
    strides
}

/// Gapless strides whose order of dimensions is that of `like`.
fn dense_in_order_of(dims: &[usize], like: &Strides) -> Strides {
    let mut order: Vec<usize> = (0..dims.len()).collect();
    order.sort_by_key(|&d| std::cmp::Reverse(like[d].unsigned_abs()));
    let mut out = shape::contiguous_strides(dims);
    let mut stride = 1isize;
    for &d in order.iter().rev() {
        out[d] = stride;
        stride *= dims[d].max(1) as isize;
    }
    out
}

#[cfg(test)]
mod tests {
    use pellucid_tensor::Engine;

    use super::*;

    fn matrix() -> Var {
        let e = Engine::new();
        Var::new(e.from_vec((0..12).map(|i| i as f32).collect(), &[3, 4]).unwrap())
    }

    fn zeros(v: &Var, dims: &[usize]) -> Tensor {
        let t = v.get().unwrap();
        t.engine().zeros(dims, t.dtype())
    }

    #[test]
    fn a_write_through_a_chain_of_views_is_seen_by_every_alias() {
        let x = matrix();
        let view = x.transpose(0, 1).unwrap().index(&[1.into()]).unwrap();
        view.set(zeros(&x, &[3])).unwrap();
        let expected = [0.0, 0.0, 2.0, 3.0, 4.0, 0.0, 6.0, 7.0, 8.0, 0.0, 10.0, 11.0];
        assert_eq!(x.get().unwrap().to_vec::<f32>().unwrap(), expected);
    }

    #[test]
    fn a_reshape_that_needs_a_copy_does_not_write_back() {
        let x = matrix();
        let copy = x.transpose(0, 1).unwrap().reshape(&[12]).unwrap();
        copy.set(zeros(&x, &[12])).unwrap();
        assert_eq!(x.get().unwrap().to_vec::<f32>().unwrap()[5], 5.0);
        assert!(x.transpose(0, 1).unwrap().view_as(&[12]).is_err());
    }

    #[test]
    fn elementwise_results_keep_the_order_of_dimensions() {
        let x = matrix();
        let y = Var::new(x.get().unwrap().transpose(0, 1).unwrap().neg().unwrap());
        assert_eq!(y.strides().as_slice(), [1, 4]);
    }

    #[test]
    fn a_write_leaves_the_strides_of_the_storage() {
        let x = matrix();
        let y = Var::new(x.get().unwrap().transpose(0, 1).unwrap().neg().unwrap());
        y.set(zeros(&x, &[4, 3])).unwrap();
        assert_eq!(y.strides().as_slice(), [1, 4]);
        // So this is a copy, as it would have been before the write.
        y.reshape(&[12]).unwrap().set(x.get().unwrap().reshape(&[12]).unwrap()).unwrap();
        assert_eq!(y.get().unwrap().to_vec::<f32>().unwrap(), [0.0; 12]);
    }

    #[test]
    fn writing_to_an_expanded_view_is_refused() {
        let x = matrix();
        let row = x.index(&[0.into(), IndexItem::NewAxis]).unwrap();
        let dims = [3usize, 4].into_iter().collect();
        let wide = row.step(ViewStep::Expand(dims)).unwrap();
        assert!(wide.set(zeros(&x, &[3, 4])).is_err());
    }
}
