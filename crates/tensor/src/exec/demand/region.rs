//! Parts of a value: for each dimension the positions that are needed.

use std::rc::Rc;

use smallvec::SmallVec;

/// Positions of a dimension are listed one by one up to this number; more are covered by the range they span.
const LISTED: usize = 4096;

/// Positions of a dimension, ascending. Equal sets are written equally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Positions {
    All,
    Range {
        start: usize,
        len: usize,
    },
    /// At least two, with a gap somewhere.
    Listed(Rc<[usize]>),
}

impl Positions {
    pub(super) fn range(start: usize, len: usize, size: usize) -> Positions {
        match len {
            _ if len == size => Positions::All,
            0 => Positions::Range { start: 0, len },
            _ => Positions::Range { start, len },
        }
    }

    /// The set of the given positions, in any order; a larger one if they are too many to list.
    pub(super) fn of(mut all: Vec<usize>, size: usize) -> Positions {
        all.sort_unstable();
        all.dedup();
        let (Some(&first), Some(&last)) = (all.first(), all.last()) else {
            return Positions::range(0, 0, size);
        };
        if last - first + 1 == all.len() || all.len() > LISTED {
            return Positions::range(first, last - first + 1, size);
        }
        Positions::Listed(all.into())
    }

    pub(super) fn count(&self, size: usize) -> usize {
        match self {
            Positions::All => size,
            Positions::Range { len, .. } => *len,
            Positions::Listed(all) => all.len(),
        }
    }

    /// The `i`-th position.
    pub(super) fn at(&self, i: usize) -> usize {
        match self {
            Positions::All => i,
            Positions::Range { start, .. } => start + i,
            Positions::Listed(all) => all[i],
        }
    }

    pub(super) fn iter(&self, size: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.count(size)).map(|i| self.at(i))
    }

    /// Which of the positions `position` is; it must be one of them.
    pub(super) fn rank(&self, position: usize) -> usize {
        match self {
            Positions::All => position,
            Positions::Range { start, .. } => position - start,
            Positions::Listed(all) => all.partition_point(|&p| p < position),
        }
    }

    /// The smallest range that holds them: its start and its end.
    pub(super) fn hull(&self, size: usize) -> (usize, usize) {
        match self {
            Positions::All => (0, size),
            Positions::Range { start, len } => (*start, start + len),
            Positions::Listed(all) => (all[0], all[all.len() - 1] + 1),
        }
    }

    fn union(&self, other: &Positions, size: usize) -> Positions {
        use Positions::{All, Range};
        match (self, other) {
            (All, _) | (_, All) => All,
            (a, b) if a == b => a.clone(),
            (Range { len: 0, .. }, x) | (x, Range { len: 0, .. }) => x.clone(),
            (Range { start: a, len: n }, Range { start: b, len: m }) if *a <= b + m && *b <= a + n => {
                let start = *a.min(b);
                Positions::range(start, (a + n).max(b + m) - start, size)
            }
            (a, b) if a.count(size) + b.count(size) > 2 * LISTED => {
                let ((a, a_end), (b, b_end)) = (a.hull(size), b.hull(size));
                Positions::range(a.min(b), a_end.max(b_end) - a.min(b), size)
            }
            (a, b) => Positions::of(a.iter(size).chain(b.iter(size)).collect(), size),
        }
    }

    /// Start and distance, if the positions are evenly spaced.
    fn spacing(&self, size: usize) -> Option<(usize, usize)> {
        match self {
            Positions::All => Some((0, 1)),
            Positions::Range { start, .. } => Some((*start, 1)),
            Positions::Listed(all) => {
                let step = all[1] - all[0];
                debug_assert!(all.len() <= size);
                all.windows(2).all(|w| w[1] - w[0] == step).then_some((all[0], step))
            }
        }
    }
}

/// Positions for each dimension; what is needed is their product.
pub(super) type Region = SmallVec<[Positions; 4]>;

/// All of every dimension.
pub(super) fn whole(rank: usize) -> Region {
    SmallVec::from_elem(Positions::All, rank)
}

/// How much of a value is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// Less than all of it.
    Part(Box<Region>),
    All,
}

impl Need {
    /// The need of a region, all of it if that is what the region is.
    pub(super) fn of(region: Region) -> Need {
        if region.iter().all(|p| *p == Positions::All) { Need::All } else { Need::Part(Box::new(region)) }
    }

    /// Adds what somebody else needs of a value of this shape.
    pub(super) fn add(&mut self, other: &Need, dims: &[usize]) {
        match (&mut *self, other) {
            (Need::All, _) | (_, Need::Nothing) => {}
            (Need::Nothing, _) | (_, Need::All) => *self = other.clone(),
            (Need::Part(mine), Need::Part(more)) => {
                for ((mine, more), &size) in mine.iter_mut().zip(more.iter()).zip(dims) {
                    *mine = mine.union(more, size);
                }
                if mine.iter().all(|p| *p == Positions::All) {
                    *self = Need::All;
                }
            }
        }
    }

    /// The positions for each dimension of a value that is needed.
    pub(super) fn region(&self, rank: usize) -> Region {
        match self {
            Need::Part(region) => (**region).clone(),
            _ => whole(rank),
        }
    }
}

/// How to take some positions out of others that are there.
pub(super) enum Pick {
    Everything,
    /// Evenly spaced ranks: the first, and their distance.
    Spaced {
        start: usize,
        step: usize,
    },
    /// Runs of neighbouring ranks: the first, and the number.
    Runs(Vec<(usize, usize)>),
}

/// How the positions `wanted` are taken out of the positions `there` of a dimension.
pub(super) fn pick(there: &Positions, wanted: &Positions, size: usize) -> Pick {
    if there == wanted {
        return Pick::Everything;
    }
    let count = there.count(size);
    let ranks = Positions::of(wanted.iter(size).map(|p| there.rank(p)).collect(), count);
    let exact = ranks.count(count) == wanted.count(size);
    if let (true, Some((start, step))) = (exact, ranks.spacing(count)) {
        return Pick::Spaced { start, step };
    }
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for rank in wanted.iter(size).map(|p| there.rank(p)) {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == rank => *len += 1,
            _ => runs.push((rank, 1)),
        }
    }
    Pick::Runs(runs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: usize = 12;

    fn positions(set: &[bool]) -> Positions {
        Positions::of((0..SIZE).filter(|&i| set[i]).collect(), SIZE)
    }

    fn listed(p: &Positions) -> Vec<usize> {
        p.iter(SIZE).collect()
    }

    proptest! {
        #[test]
        fn sets_are_what_their_lists_are(
            a in prop::collection::vec(any::<bool>(), SIZE),
            b in prop::collection::vec(any::<bool>(), SIZE),
        ) {
            let (x, y) = (positions(&a), positions(&b));
            let either: Vec<bool> = a.iter().zip(&b).map(|(a, b)| *a || *b).collect();
            let union = x.union(&y, SIZE);
            prop_assert_eq!(listed(&union), listed(&positions(&either)));
            for p in listed(&x) {
                prop_assert_eq!(union.at(union.rank(p)), p);
            }
            let found: Vec<usize> = match pick(&union, &x, SIZE) {
                Pick::Everything => listed(&union),
                Pick::Spaced { start, step } => {
                    (0..x.count(SIZE)).map(|i| union.at(start + i * step)).collect()
                }
                Pick::Runs(runs) => runs.iter().flat_map(|&(s, n)| s..s + n).map(|i| union.at(i)).collect(),
            };
            prop_assert_eq!(found, listed(&x));
        }
    }

    #[test]
    fn more_positions_than_can_be_listed_are_covered_by_a_range() {
        let every_other: Vec<usize> = (0..=LISTED).map(|i| 2 * i).collect();
        let hull = Positions::Range { start: 0, len: 2 * LISTED + 1 };
        assert_eq!(Positions::of(every_other, 100_000), hull);
    }
}
