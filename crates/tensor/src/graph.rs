//! The expression graph: nodes, handles to them, and the engine that interns them.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use smallvec::SmallVec;

use crate::dtype::{DType, Scalar};
use crate::error::{Result, TensorError};
use crate::exec::Rewrites;
use crate::op::Op;
use crate::shape::Dims;
use crate::value::{HostData, Value};

/// Operands of a node.
pub type Operands = SmallVec<[Tensor; 3]>;

/// Where tensors are computed. The CPU is the only device so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Device {
    /// The processor that runs the program.
    #[default]
    Cpu,
}

/// One value of the graph: an operation on operands, with known shape and type.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) op: Op,
    pub(crate) inputs: Operands,
    pub(crate) dims: Dims,
    pub(crate) dtype: DType,
    pub(crate) engine: Engine,
    /// Present for leaves and for nodes that somebody evaluated.
    pub(crate) value: OnceLock<Value>,
    /// What to call a leaf in messages.
    pub(crate) name: Option<Arc<str>>,
}

impl Drop for Node {
    /// Drops a chain of any length without recursion.
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.inputs);
        while let Some(tensor) = pending.pop() {
            if let Some(mut node) = Arc::into_inner(tensor.node) {
                pending.append(&mut node.inputs);
            }
        }
    }
}

/// A handle to a node of the graph: a value that is computed when asked for.
///
/// Cloning is cheap; two tensors made by the same operation on the same operands are the same node.
///
/// ```
/// use pellucid_tensor::{Engine, DType};
///
/// # fn main() -> Result<(), pellucid_tensor::TensorError> {
/// let engine = Engine::new();
/// let x = engine.from_vec(vec![1.0f32, 2.0, 3.0, 4.0], &[2, 2])?;
/// let y = x.matmul(&x)?.add_scalar(1)?;
/// assert!(y.same_node(&x.matmul(&x)?.add_scalar(1)?));
/// assert_eq!(y.to_vec::<f32>()?, [8.0, 11.0, 16.0, 23.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tensor {
    pub(crate) node: Arc<Node>,
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor(%{} = {}, {:?}, {})", self.node.id, self.node.op.name(), self.dims(), self.dtype())
    }
}

impl Tensor {
    /// Sizes of the dimensions, outermost first.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.node.dims
    }

    /// The number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.node.dims.len()
    }

    /// The number of elements.
    #[must_use]
    pub fn numel(&self) -> usize {
        crate::shape::numel(&self.node.dims)
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.node.dtype
    }

    /// Where the tensor is computed.
    #[must_use]
    pub fn device(&self) -> Device {
        self.node.engine.device()
    }

    /// The engine the tensor belongs to.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.node.engine
    }

    /// The operation that makes this value.
    #[must_use]
    pub fn op(&self) -> &Op {
        &self.node.op
    }

    /// The operands of that operation.
    #[must_use]
    pub fn inputs(&self) -> &[Tensor] {
        &self.node.inputs
    }

    /// A number that no other node of the process has; operands have smaller ones than their users.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.node.id
    }

    /// Whether both handles are the same node.
    #[must_use]
    pub fn same_node(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.node, &other.node)
    }

    /// Whether the value is known without computing.
    #[must_use]
    pub fn is_evaluated(&self) -> bool {
        self.node.value.get().is_some()
    }

    /// The value without its history: gradients do not flow past it. The elements are not copied.
    #[must_use]
    pub fn stop_gradient(&self) -> Tensor {
        self.node.engine.node(
            Op::Detach,
            SmallVec::from_iter([self.clone()]),
            self.node.dims.clone(),
            self.dtype(),
        )
    }

    /// The value as a place of its own: equal, but never merged with another node, so that a gradient can be read
    /// at it alone.
    #[must_use]
    pub fn identity(&self) -> Tensor {
        let id = self.node.engine.fresh();
        self.node.engine.node(
            Op::Identity { id },
            SmallVec::from_iter([self.clone()]),
            self.node.dims.clone(),
            self.dtype(),
        )
    }
}

struct EngineState {
    table: Mutex<Table>,
    interrupt: Arc<AtomicBool>,
    rewrites: Mutex<Rewrites>,
    pub(crate) packed: crate::exec::PackedWeights,
}

#[derive(Default)]
struct Table {
    entries: HashTable<(u64, std::sync::Weak<Node>)>,
    /// Entries after the last sweep; a sweep of the dead happens when the table has doubled since.
    live: usize,
}

/// Owner of a graph: interns its nodes, makes its leaves, runs its computations.
///
/// Cloning gives another handle to the same engine. Tensors of different engines do not mix.
#[derive(Clone)]
pub struct Engine {
    state: Arc<EngineState>,
}

impl Default for Engine {
    fn default() -> Self {
        Engine::new()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl PartialEq for Engine {
    fn eq(&self, other: &Engine) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Engine {
    /// A new engine on the CPU.
    #[must_use]
    pub fn new() -> Engine {
        Engine {
            state: Arc::new(EngineState {
                table: Mutex::default(),
                interrupt: Arc::default(),
                rewrites: Mutex::new(Rewrites::default()),
                packed: crate::exec::PackedWeights::default(),
            }),
        }
    }

    /// The device tensors of this engine are computed on.
    #[must_use]
    pub fn device(&self) -> Device {
        Device::Cpu
    }

    /// Which rewrites the planner applies from now on; all by default.
    pub fn set_rewrites(&self, rewrites: Rewrites) {
        *self.state.rewrites.lock().unwrap_or_else(PoisonError::into_inner) = rewrites;
    }

    /// The rewrites in force.
    #[must_use]
    pub fn rewrites(&self) -> Rewrites {
        *self.state.rewrites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A flag that, once set from any thread or a signal handler, ends running computations with
    /// [`TensorError::Interrupted`].
    #[must_use]
    pub fn interrupt_flag(&self) -> Arc<AtomicBool> {
        self.state.interrupt.clone()
    }

    pub(crate) fn check_interrupt(&self) -> Result<()> {
        if self.state.interrupt.load(Ordering::Relaxed) {
            return Err(TensorError::Interrupted);
        }
        Ok(())
    }

    pub(crate) fn packed(&self) -> &crate::exec::PackedWeights {
        &self.state.packed
    }

    /// A number never given before.
    pub(crate) fn fresh(&self) -> u64 {
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of nodes alive or not yet swept from the table.
    #[must_use]
    pub fn interned(&self) -> usize {
        self.state.table.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    /// The node with this operation and these operands: the existing one if there is one.
    pub(crate) fn node(&self, op: Op, inputs: Operands, dims: Dims, dtype: DType) -> Tensor {
        let mut hasher = FxHasher::default();
        op.hash(&mut hasher);
        for input in &inputs {
            input.node.id.hash(&mut hasher);
        }
        dims.hash(&mut hasher);
        dtype.hash(&mut hasher);
        let hash = hasher.finish();

        let mut table = self.state.table.lock().unwrap_or_else(PoisonError::into_inner);
        // An entry that the same operation left behind is taken over: a value made and dropped over and over has one.
        let found = table.entries.find_mut(hash, |(h, weak)| {
            *h == hash
                && weak.upgrade().is_none_or(|node| {
                    node.dtype == dtype
                        && node.op == op
                        && node.dims == dims
                        && node.inputs.len() == inputs.len()
                        && node.inputs.iter().zip(&inputs).all(|(a, b)| a.same_node(b))
                })
        });
        if let Some(node) = found.as_ref().and_then(|(_, weak)| weak.upgrade()) {
            return Tensor { node };
        }
        let node = Arc::new(Node {
            id: self.fresh(),
            op,
            inputs,
            dims,
            dtype,
            engine: self.clone(),
            value: OnceLock::new(),
            name: None,
        });
        if let Some((_, weak)) = found {
            *weak = Arc::downgrade(&node);
            return Tensor { node };
        }
        if table.entries.len() > 2 * table.live + 4096 {
            table.entries.retain(|(_, weak)| weak.strong_count() > 0);
            table.live = table.entries.len();
        }
        table.entries.insert_unique(hash, (hash, Arc::downgrade(&node)), |(h, _)| *h);
        Tensor { node }
    }

    fn leaf(&self, dims: Dims, dtype: DType, value: Option<Value>, name: Option<Arc<str>>) -> Tensor {
        let node = Node {
            id: self.fresh(),
            op: Op::Leaf { id: self.fresh() },
            inputs: SmallVec::new(),
            dims,
            dtype,
            engine: self.clone(),
            value: value.map(OnceLock::from).unwrap_or_default(),
            name,
        };
        Tensor { node: Arc::new(node) }
    }

    /// A leaf holding `value`, identified by itself: two leaves with equal contents are different nodes.
    #[must_use]
    pub fn from_value(&self, value: Value, name: Option<&str>) -> Tensor {
        self.leaf(value.dims().into(), value.dtype(), Some(value), name.map(Arc::from))
    }

    /// A leaf with a shape and no data, for skeletons: building on it works, computing fails and names it.
    #[must_use]
    pub fn unloaded(&self, dims: &[usize], dtype: DType, name: &str) -> Tensor {
        self.leaf(dims.into(), dtype, None, Some(name.into()))
    }

    /// A tensor of the given row-major data. Data of up to 64 KiB is identified by its contents: equal small tensors are
    /// the same node.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`], and [`TensorError::Shape`] if the number of elements differs from the shape's.
    pub fn from_data(&self, data: HostData, dims: &[usize]) -> Result<Tensor> {
        crate::shape::check_size("tensor", dims, data.dtype)?;
        if data.bytes.len() != crate::shape::numel(dims) * data.dtype.size() {
            return Err(TensorError::Shape {
                op: "tensor",
                expected: format!("{} elements", data.bytes.len() / data.dtype.size()),
                got: dims.into(),
            });
        }
        if data.bytes.len() <= 64 << 10 {
            let tensor = self.node(
                Op::Literal(data.bytes.as_slice().into()),
                SmallVec::new(),
                dims.into(),
                data.dtype,
            );
            tensor.node.value.get_or_init(|| Value::from_bytes(&data.bytes, data.dtype, dims));
            return Ok(tensor);
        }
        Ok(self.from_value(Value::from_bytes(&data.bytes, data.dtype, dims), None))
    }

    /// A tensor of the given row-major elements.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if the number of elements differs from the shape's.
    #[expect(clippy::needless_pass_by_value, reason = "callers have no further use of the data")]
    pub fn from_vec<T: crate::Element>(&self, data: Vec<T>, dims: &[usize]) -> Result<Tensor> {
        self.from_data(HostData::from_slice(&data), dims)
    }

    /// One number as a tensor without dimensions, of the type PyTorch gives it (`int64`, `float32`, `bool`).
    #[must_use]
    pub fn scalar(&self, value: impl Into<Scalar>) -> Tensor {
        let value = value.into();
        self.full(&[], value, value.dtype())
    }

    /// The same number everywhere. A shape that no memory holds is refused when computed, or when more is built on it.
    #[must_use]
    pub fn full(&self, dims: &[usize], value: impl Into<Scalar>, dtype: DType) -> Tensor {
        self.node(Op::Full(value.into().cast(dtype)), SmallVec::new(), dims.into(), dtype)
    }

    /// Zeros.
    #[must_use]
    pub fn zeros(&self, dims: &[usize], dtype: DType) -> Tensor {
        self.full(dims, 0, dtype)
    }

    /// Ones.
    #[must_use]
    pub fn ones(&self, dims: &[usize], dtype: DType) -> Tensor {
        self.full(dims, 1, dtype)
    }

    /// `start, start + step, ...`, `len` values in one dimension.
    #[must_use]
    pub fn arange(
        &self,
        start: impl Into<Scalar>,
        step: impl Into<Scalar>,
        len: usize,
        dtype: DType,
    ) -> Tensor {
        let (start, step) = (start.into(), step.into());
        self.node(Op::Arange { start, step }, SmallVec::new(), SmallVec::from_iter([len]), dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_expressions_are_one_node_and_leaves_are_told_apart() {
        let e = Engine::new();
        let value = || Value::from_bytes(&[0; 8], DType::F32, &[2]);
        let (a, b) = (e.from_value(value(), None), e.from_value(value(), None));
        assert!(a.neg().unwrap().same_node(&a.neg().unwrap()));
        assert!(!a.neg().unwrap().same_node(&b.neg().unwrap()));
        assert!(!a.identity().same_node(&a.identity()));
        assert!(
            e.from_vec(vec![1i64, 2], &[2]).unwrap().same_node(&e.from_vec(vec![1i64, 2], &[2]).unwrap())
        );
    }

    #[test]
    fn a_chain_of_a_million_nodes_is_dropped_without_recursion() {
        let e = Engine::new();
        let mut x = e.zeros(&[1], DType::F32);
        for _ in 0..1_000_000 {
            x = x.identity();
        }
        drop(x);
    }

    #[test]
    fn dead_nodes_leave_the_table() {
        let e = Engine::new();
        for i in 0..100_000 {
            let _ = e.full(&[1], i, DType::I64);
        }
        assert!(e.interned() < 10_000, "{}", e.interned());
    }
}
