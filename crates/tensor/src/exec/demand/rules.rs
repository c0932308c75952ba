//! What an operation reads of its operands if only a part of its result is needed.

use smallvec::{SmallVec, smallvec};

use super::region::{Need, Positions, Region, whole};
use super::reshape;
use crate::dtype::DType;
use crate::graph::Tensor;
use crate::op::{Attention, Op};
use crate::shape::Dims;

/// Of a product, columns are left out only if at most one in so many is needed.
const SPARSE: usize = 8;

/// Columns of a product that are needed one by one, at most.
const FEW: usize = 256;

/// Positions that an index tensor may hold to be looked at while planning.
const LOOKED_AT: usize = 16_384;

/// Which part of a node is computed, which holds what is needed of it, and what is read for that.
pub(super) struct Step {
    pub(super) computed: Need,
    pub(super) reads: SmallVec<[Need; 3]>,
}

impl Step {
    fn new(computed: Region, reads: impl IntoIterator<Item = Region>) -> Step {
        Step { computed: Need::of(computed), reads: reads.into_iter().map(Need::of).collect() }
    }

    fn everything(tensor: &Tensor) -> Step {
        Step { computed: Need::All, reads: smallvec![Need::All; tensor.inputs().len()] }
    }
}

/// Whether an operation may read less than all of its operands though all of its result is needed.
pub(super) fn selects(tensor: &Tensor) -> bool {
    matches!(tensor.op(), Op::Slice { .. } | Op::Index { .. }) && !tensor.inputs()[0].is_evaluated()
}

/// The step of a node of which `need` is needed.
pub(super) fn step(tensor: &Tensor, need: Region) -> Step {
    let x = tensor.inputs();
    let rank = need.len();
    if tensor.numel() == 0 || rank == 0 {
        return Step::everything(tensor);
    }
    // A step of an operation that works along some dimensions, which are computed whole.
    let along = |axes: &[usize]| -> Region {
        let mut computed = need.clone();
        axes.iter().for_each(|&axis| computed[axis] = Positions::All);
        computed
    };
    match tensor.op() {
        Op::Identity { .. } | Op::Detach | Op::Unary(_) | Op::Binary(_) | Op::Where | Op::Cast => {
            Step::new(need.clone(), x.iter().map(|_| need.clone()))
        }
        Op::Full(_) => Step::new(need, []),
        Op::Expand => {
            let kept = |d: usize| if x[0].dims()[d] == 1 { Positions::All } else { need[d].clone() };
            Step::new(need.clone(), [(0..rank).map(kept).collect()])
        }
        Op::Permute(perm) => {
            let mut read = whole(rank);
            perm.iter().zip(&need).for_each(|(&p, positions)| read[p as usize] = positions.clone());
            Step::new(need, [read])
        }
        Op::Reshape => {
            let (computed, read) = reshape::parts(x[0].dims(), tensor.dims(), &need);
            Step::new(computed, [read])
        }
        Op::Slice { axis, start, step } => slice(tensor, need, *axis as usize, *start, *step),
        Op::SliceAssign { axis, start, step } => slice_assign(tensor, need, *axis as usize, *start, *step),
        Op::Concat { axis } => concat(tensor, need, *axis as usize),
        Op::Softmax | Op::LogSoftmax | Op::SoftmaxGrad | Op::LogSoftmaxGrad | Op::Rotary(_) => {
            let computed = along(&[rank - 1]);
            Step::new(computed.clone(), x.iter().map(|_| computed.clone()))
        }
        Op::LayerNorm { .. } | Op::LayerNormGrad { .. } | Op::RmsNorm { .. } | Op::RmsNormGrad { .. } => {
            // Weight and bias are what has no rows.
            let computed = along(&[rank - 1]);
            let read =
                |t: &Tensor| if t.dims() == tensor.dims() { computed.clone() } else { whole(t.rank()) };
            Step::new(computed.clone(), x.iter().map(read))
        }
        Op::Argsort { .. } | Op::TopK { .. } => {
            let computed = along(&[rank - 1]);
            Step::new(computed.clone(), [computed])
        }
        Op::ArgExtreme { axis, .. } | Op::Scan { axis, .. } => {
            let computed = along(&[*axis as usize]);
            Step::new(computed.clone(), [computed])
        }
        // Sums over the last dimensions are added row by row; others in an order that depends on what stands beside them.
        Op::Reduce { axes, .. } if axes.checked_shr(axes.trailing_zeros()) == Some(ones(rank, *axes)) => {
            Step::new(need.clone(), [need])
        }
        Op::Matmul => matmul(tensor, need),
        Op::Attention { spec, masked } => attention(tensor, &need, *spec, *masked),
        Op::Index { n } => index(tensor, &need, *n as usize),
        Op::Gather { axis } => {
            let sizes = x[1].dims();
            let beside = |d: usize| match &need[d] {
                _ if d == *axis as usize => Positions::All,
                Positions::All => Positions::range(0, sizes[d], x[0].dims()[d]),
                some => some.clone(),
            };
            Step::new(need.clone(), [(0..rank).map(beside).collect(), need.clone()])
        }
        _ => Step::everything(tensor),
    }
}

/// As many ones as there are dimensions from the first of `axes` on.
fn ones(rank: usize, axes: u32) -> u32 {
    let count = (rank as u32).saturating_sub(axes.trailing_zeros());
    1u32.checked_shl(count).map_or(u32::MAX, |x| x - 1)
}

fn slice(tensor: &Tensor, need: Region, axis: usize, start: usize, step: isize) -> Step {
    let size = tensor.inputs()[0].dims()[axis];
    let count = need[axis].count(tensor.dims()[axis]);
    let mut read = need.clone();
    let place = |i: usize| (start as isize + i as isize * step) as usize;
    let positions = match &need[axis] {
        Positions::All if step == 1 => Positions::range(start, count, size),
        Positions::Range { start: first, .. } if step == 1 => Positions::range(place(*first), count, size),
        some => Positions::of(some.iter(tensor.dims()[axis]).map(place).collect(), size),
    };
    let mut computed = need;
    if positions.count(size) == count {
        read[axis] = positions;
    } else {
        (computed[axis], read[axis]) = (Positions::All, Positions::All);
    }
    Step::new(computed, [read])
}

fn slice_assign(tensor: &Tensor, mut need: Region, axis: usize, start: usize, step: isize) -> Step {
    let (size, len) = (tensor.dims()[axis], tensor.inputs()[1].dims()[axis]);
    // Which element of the part stands at a position.
    let written = |p: usize| {
        let distance = p as isize - start as isize;
        let i = distance / step;
        (distance % step == 0 && (0..len as isize).contains(&i)).then_some(i as usize)
    };
    let places: Vec<usize> = need[axis].iter(size).filter_map(written).collect();
    if places.is_empty() {
        return Step { computed: Need::of(need.clone()), reads: smallvec![Need::of(need), Need::Nothing] };
    }
    let count = places.len();
    let positions = Positions::of(places, len);
    if count == need[axis].count(size) && positions.count(len) == count {
        let mut read = need.clone();
        read[axis] = positions;
        return Step { computed: Need::of(need), reads: smallvec![Need::Nothing, Need::of(read)] };
    }
    need[axis] = Positions::All;
    Step::new(need.clone(), [need.clone(), need])
}

fn concat(tensor: &Tensor, need: Region, axis: usize) -> Step {
    let size = tensor.dims()[axis];
    let mut reads = SmallVec::new();
    let mut first = 0;
    for part in tensor.inputs() {
        let len = part.dims()[axis];
        let mut read = need.clone();
        if need[axis] != Positions::All {
            let here = need[axis].iter(size).filter(|p| (first..first + len).contains(p)).map(|p| p - first);
            read[axis] = Positions::of(here.collect(), len);
        }
        let nothing = read[axis].count(len) == 0 && len > 0;
        reads.push(if nothing { Need::Nothing } else { Need::of(read) });
        first += len;
    }
    // Lists that are too long to be kept would no longer be what is needed.
    let total: usize = reads
        .iter()
        .zip(tensor.inputs())
        .map(|(read, part): (&Need, &Tensor)| match read {
            Need::Nothing => 0,
            read => read.region(part.rank())[axis].count(part.dims()[axis]),
        })
        .sum();
    if total != need[axis].count(size) {
        return Step::everything(tensor);
    }
    Step { computed: Need::of(need), reads }
}

fn matmul(tensor: &Tensor, mut need: Region) -> Step {
    let (x, last) = (tensor.inputs(), need.len() - 1);
    let n = tensor.dims()[last];
    let few = match &need[last] {
        Positions::Listed(all) => all.len() <= FEW && all.len() * SPARSE <= n,
        some => some.count(n) * SPARSE <= n,
    };
    if !few {
        need[last] = Positions::All;
    }
    let mut left = need.clone();
    left[last] = Positions::All;
    let mut right: Region = if x[1].rank() == 2 { whole(2) } else { need.clone() };
    let at = right.len();
    (right[at - 2], right[at - 1]) = (Positions::All, need[last].clone());
    Step::new(need, [left, right])
}

fn attention(tensor: &Tensor, need: &Region, spec: Attention, masked: bool) -> Step {
    let x = tensor.inputs();
    let (queries, keys) = (x[0].dims()[2], x[1].dims()[2]);
    let (start, end) = need[2].hull(queries);
    // No query of the range sees a key behind this one.
    let seen = if spec.causal { (end + keys).saturating_sub(queries) } else { keys };
    let (mut at_queries, mut at_keys) =
        (Positions::range(start, end - start, queries), Positions::range(0, seen, keys));
    if seen == 0 || keys < queries {
        (at_queries, at_keys) = (Positions::All, Positions::All);
    }
    let batch = need[0].clone();
    let rows: Region = smallvec![batch.clone(), Positions::All, at_queries.clone(), Positions::All];
    let others: Region = smallvec![batch.clone(), Positions::All, at_keys.clone(), Positions::All];
    let mut reads: SmallVec<[Region; 4]> = smallvec![rows.clone(), others.clone(), others];
    if masked {
        reads.push(smallvec![batch, Positions::All, at_queries, at_keys]);
    }
    Step::new(rows, reads)
}

fn index(tensor: &Tensor, need: &Region, n: usize) -> Step {
    let x = &tensor.inputs()[0];
    let positions = &tensor.inputs()[1..=n];
    let lead = positions[0].rank();
    let at: Region = need[..lead].iter().cloned().collect();
    let mut read = whole(x.rank());
    if !x.is_evaluated() {
        for (d, index) in positions.iter().enumerate() {
            let size = x.dims()[d];
            let found = known(index).and_then(|all| {
                picked(&all, index.dims(), &at).into_iter().map(|i| resolve(i, size)).collect()
            });
            if let Some(found) = found {
                read[d] = Positions::of(found, size);
            }
        }
    }
    read[n..].iter_mut().zip(&need[lead..]).for_each(|(read, need)| *read = need.clone());
    Step::new(need.clone(), std::iter::once(read).chain(positions.iter().map(|_| at.clone())))
}

/// The position that an index means, if it is one.
pub(super) fn resolve(index: i64, size: usize) -> Option<usize> {
    let from_start = if index < 0 { index + size as i64 } else { index };
    usize::try_from(from_start).ok().filter(|&i| i < size)
}

/// The elements of an index tensor, if they can be told without computing.
pub(super) fn known(index: &Tensor) -> Option<Vec<i64>> {
    if index.numel() > LOOKED_AT || index.dtype() != DType::I64 {
        return None;
    }
    if let Some(value) = index.node.value.get() {
        return Some(value.contiguous().slice::<i64>().to_vec());
    }
    match index.op() {
        Op::Arange { start, step } => {
            let (start, step) = (start.to_i64(), step.to_i64());
            Some((0..index.numel() as i64).map(|i| start.wrapping_add(i.wrapping_mul(step))).collect())
        }
        Op::Reshape => known(&index.inputs()[0]),
        _ => None,
    }
}

/// The elements of a row-major array at a region of it, row-major.
pub(super) fn picked(all: &[i64], dims: &[usize], at: &Region) -> Vec<i64> {
    let counts: Dims = at.iter().zip(dims).map(|(p, &size)| p.count(size)).collect();
    let place = |mut i: usize| {
        let (mut flat, mut stride) = (0, 1);
        for ((positions, &count), &size) in at.iter().zip(&counts).zip(dims).rev() {
            flat += positions.at(i % count) * stride;
            i /= count;
            stride *= size;
        }
        flat
    };
    (0..counts.iter().product()).map(|i| all[place(i)]).collect()
}
