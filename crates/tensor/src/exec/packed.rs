//! Weights in the layout of the matrix-product kernel.
//!
//! A leaf never changes, so its panels are made once and kept until the leaf dies or the budget is spent. Panels are a second
//! copy of the weight: a product with few rows of a weight seen for the first time reads the weight where it stands.

use std::sync::{Arc, Mutex, Weak};

use half::{bf16, f16};
use pellucid_kernels::gemm::{PackedMatrix, PanelFormat, Source};
use rustc_hash::FxHashMap;

use super::lock;
use crate::dtype::DType;
use crate::graph::{Node, Tensor};
use crate::op::Op;
use crate::value::Value;

/// A leaf used as the right side of products, in one of two orientations.
type Key = (u64, bool);

struct Entry {
    node: Weak<Node>,
    /// Absent after a first use that did without.
    panels: Option<Arc<PackedMatrix>>,
}

struct Table {
    entries: FxHashMap<Key, Entry>,
    bytes: usize,
    budget: usize,
}

/// Packed panels of leaves.
pub(crate) struct PackedWeights {
    table: Mutex<Table>,
}

impl Default for PackedWeights {
    fn default() -> Self {
        PackedWeights {
            table: Mutex::new(Table { entries: FxHashMap::default(), bytes: 0, budget: usize::MAX }),
        }
    }
}

/// The leaf that a right side of two dimensions shows, and whether it shows it transposed.
pub(super) fn weight(rhs: &Tensor) -> Option<(&Tensor, bool)> {
    let (mut tensor, mut transposed) = (rhs, false);
    if rhs.rank() != 2 {
        return None;
    }
    loop {
        match tensor.op() {
            Op::Leaf { .. } => return Some((tensor, transposed)),
            Op::Permute(perm) => transposed ^= perm[..] == [1, 0],
            Op::Identity { .. } | Op::Detach => {}
            _ => return None,
        }
        tensor = &tensor.inputs()[0];
    }
}

impl PackedWeights {
    /// The panels of a weight, made now if that pays: `direct` says that the product could do without.
    pub(super) fn panels(
        &self,
        leaf: &Tensor,
        transposed: bool,
        rhs: &Value,
        direct: bool,
    ) -> Option<Arc<PackedMatrix>> {
        let key = (leaf.id(), transposed);
        let bytes = rhs.numel() * if rhs.dtype == DType::BF16 { 2 } else { 4 };
        {
            let mut table = lock(&self.table);
            let left = table.budget.saturating_sub(table.bytes);
            match table.entries.get(&key) {
                Some(Entry { panels: Some(panels), .. }) => return Some(panels.clone()),
                _ if bytes > left => return None,
                None if direct => {
                    let entry = Entry { node: Arc::downgrade(&leaf.node), panels: None };
                    table.entries.insert(key, entry);
                    return None;
                }
                _ => {}
            }
        }
        // Packing runs on all threads and outside the lock; of two that pack the same, one result stays.
        let panels = Arc::new(pack(rhs)?);
        let mut table = lock(&self.table);
        let entry = Entry { node: Arc::downgrade(&leaf.node), panels: Some(panels.clone()) };
        table.bytes += panels.bytes();
        if let Some(Entry { panels: Some(old), .. }) = table.entries.insert(key, entry) {
            table.bytes -= old.bytes();
        }
        Some(panels)
    }

    /// Drops the panels of leaves that nobody holds any longer.
    pub(super) fn sweep(&self) {
        let mut table = lock(&self.table);
        let Table { entries, bytes, .. } = &mut *table;
        entries.retain(|_, entry| {
            let alive = entry.node.strong_count() > 0;
            if let (false, Some(panels)) = (alive, &entry.panels) {
                *bytes -= panels.bytes();
            }
            alive
        });
    }

    /// Bytes of all panels.
    pub(crate) fn bytes(&self) -> usize {
        lock(&self.table).bytes
    }

    /// Sets how many bytes panels may take, and drops all of them if they take more.
    pub(crate) fn set_budget(&self, budget: usize) {
        let mut table = lock(&self.table);
        table.budget = budget;
        if table.bytes > budget {
            table.bytes = 0;
            table.entries.clear();
        }
    }
}

/// Packs a view of two dimensions, unless it walks backwards.
fn pack(rhs: &Value) -> Option<PackedMatrix> {
    let &[k, n] = rhs.dims() else { return None };
    let rows = usize::try_from(rhs.strides[0]).ok()?;
    let cols = usize::try_from(rhs.strides[1]).ok()?;
    let at = rhs.offset;
    Some(match rhs.dtype {
        DType::F32 => {
            PackedMatrix::pack(Source::F32(&rhs.block::<f32>()[at..]), k, n, rows, cols, PanelFormat::F32)
        }
        DType::BF16 => {
            PackedMatrix::pack(Source::Bf16(&rhs.block::<bf16>()[at..]), k, n, rows, cols, PanelFormat::Bf16)
        }
        DType::F16 => {
            PackedMatrix::pack(Source::F16(&rhs.block::<f16>()[at..]), k, n, rows, cols, PanelFormat::F32)
        }
        _ => return None,
    })
}
