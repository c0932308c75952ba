//! From a node to the caller's own tensors: which of them it was computed for.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::graph::Tensor;

impl Tensor {
    /// Which of `places` this node belongs to, as ascending positions in `places`.
    ///
    /// Those that are the node itself; if none is, the nearest that are computed from it: with no other of `places` on
    /// the way. A caller that keeps a list of what each of its statements made learns so which statements a failed node
    /// belongs to, though it be one of several nodes of an operation, or shared by equal statements.
    ///
    /// ```
    /// use pellucid_tensor::Engine;
    ///
    /// # fn main() -> Result<(), pellucid_tensor::TensorError> {
    /// let engine = Engine::new();
    /// let x = engine.from_vec(vec![1.0f32, 2.0, 3.0, 4.0], &[2, 2])?;
    /// let columns = x.index_select(1, &engine.from_vec(vec![0i64, 5], &[2])?)?;
    /// let statements = [x, columns.clone(), columns.exp()?];
    /// let error = statements[2].eval().unwrap_err();
    /// let node = error.node().expect("an error found while computing");
    /// // The rows of the transposed matrix were picked, which is no statement of its own.
    /// assert!(!node.same_node(&columns));
    /// assert_eq!(node.asked_by(&statements), [1]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn asked_by(&self, places: &[Tensor]) -> Vec<usize> {
        let same: Vec<usize> = (0..places.len()).filter(|&i| places[i].same_node(self)).collect();
        if !same.is_empty() {
            return same;
        }
        let closed: FxHashSet<u64> = places.iter().map(Tensor::id).collect();
        // Whether a node is computed from this one with none of `places` on the way; operands first.
        let mut open: FxHashMap<u64, bool> = FxHashMap::default();
        open.insert(self.id(), true);
        for tensor in self.users_below(places) {
            let from = |input: &Tensor| {
                open.get(&input.id()).copied().unwrap_or(false) && !closed.contains(&input.id())
            };
            let reached = tensor.inputs().iter().any(from);
            open.insert(tensor.id(), reached);
        }
        (0..places.len()).filter(|&i| open.get(&places[i].id()).copied().unwrap_or(false)).collect()
    }

    /// The nodes younger than this one that `roots` are computed from, by ascending number.
    fn users_below<'a>(&self, roots: &'a [Tensor]) -> Vec<&'a Tensor> {
        let mut seen: FxHashSet<u64> = FxHashSet::default();
        let mut all = Vec::new();
        let mut pending: Vec<&Tensor> = roots.iter().collect();
        while let Some(tensor) = pending.pop() {
            // Operands have smaller numbers than their users, so nothing below leads here.
            if tensor.id() > self.id() && seen.insert(tensor.id()) {
                pending.extend(tensor.inputs());
                all.push(tensor);
            }
        }
        all.sort_unstable_by_key(|tensor| tensor.id());
        all
    }
}
