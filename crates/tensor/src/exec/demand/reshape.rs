//! Parts of a value in another shape.

use std::ops::Range;

use super::region::{Positions, Region, whole};
use crate::shape::numel;

/// Elements of a group of dimensions that are looked at one by one, at most.
const LISTED: usize = 4096;

/// Dimensions of two shapes with equal element counts, in groups that hold equally many elements.
fn groups(from: &[usize], to: &[usize]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < from.len() || j < to.len() {
        let (first_i, first_j) = (i, j);
        let (mut a, mut b) = (1, 1);
        loop {
            if i < from.len() && (a <= b || j == to.len()) {
                a *= from[i];
                i += 1;
            } else if j < to.len() {
                b *= to[j];
                j += 1;
            } else {
                break;
            }
            if a == b && i > first_i && j > first_j {
                break;
            }
        }
        out.push((first_i..i, first_j..j));
    }
    out
}

/// The places, in row-major order, of the elements at `at`; nothing if they are too many.
fn places(dims: &[usize], at: &[Positions]) -> Option<Vec<usize>> {
    let mut out = vec![0];
    for (positions, &size) in at.iter().zip(dims) {
        if out.len().saturating_mul(positions.count(size)) > LISTED {
            return None;
        }
        out = out.iter().flat_map(|&i| positions.iter(size).map(move |p| i * size + p)).collect();
    }
    Some(out)
}

/// The smallest region that holds the elements at these places.
fn cover(dims: &[usize], places: &[usize]) -> Vec<Positions> {
    let mut inner = numel(dims);
    dims.iter()
        .map(|&size| {
            inner /= size;
            Positions::of(places.iter().map(|&i| i / inner % size).collect(), size)
        })
        .collect()
}

/// The part of a reshaped value that is computed, which holds what is needed, and the part of the operand that it shows.
///
/// Both hold the same elements in the same order; where no product of positions does, dimensions are taken whole.
pub(super) fn parts(from: &[usize], to: &[usize], need: &Region) -> (Region, Region) {
    let (mut computed, mut read) = (need.clone(), whole(from.len()));
    for (group, result) in groups(from, to) {
        if need[result.clone()].iter().all(|p| *p == Positions::All) {
            continue;
        }
        let (sizes, result_sizes) = (&from[group.clone()], &to[result.clone()]);
        let long = |dims: &[usize]| -> Vec<usize> { (0..dims.len()).filter(|&d| dims[d] != 1).collect() };
        if let ([a], [b]) = (long(sizes).as_slice(), long(result_sizes).as_slice()) {
            read[group.start + a] = need[result.start + b].clone();
            continue;
        }
        let found = places(result_sizes, &need[result.clone()]).and_then(|wanted| {
            let operand = cover(sizes, &wanted);
            let held = places(sizes, &operand)?;
            let shown = cover(result_sizes, &held);
            (places(result_sizes, &shown)? == held).then_some((operand, shown))
        });
        match found {
            Some((operand, shown)) => {
                read[group].clone_from_slice(&operand);
                computed[result].clone_from_slice(&shown);
            }
            None => computed[result].fill(Positions::All),
        }
    }
    (computed, read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(positions: &[usize], size: usize) -> Positions {
        Positions::of(positions.to_vec(), size)
    }

    #[test]
    fn rows_of_a_batch_are_rows_of_its_flat_form_and_back() {
        let need: Region = [Positions::All, at(&[3], 4), Positions::All].into_iter().collect();
        let (computed, read) = parts(&[24, 5], &[6, 4, 5], &need);
        assert_eq!(computed, need);
        assert_eq!(read.as_slice(), [at(&[3, 7, 11, 15, 19, 23], 24), Positions::All]);
        let (back, rows) = parts(&[6, 4, 5], &[24, 5], &read);
        assert_eq!((back, rows), (read, need));
    }

    #[test]
    fn what_is_no_product_of_positions_is_covered_by_one() {
        let need: Region = [at(&[0, 6], 8)].into_iter().collect();
        let (computed, read) = parts(&[2, 4], &[8], &need);
        assert_eq!(computed.as_slice(), [at(&[0, 2, 4, 6], 8)]);
        assert_eq!(read.as_slice(), [Positions::All, at(&[0, 2], 4)]);
    }

    #[test]
    fn dimensions_that_do_not_fall_together_are_taken_whole() {
        let need: Region = [at(&[0], 2), Positions::All].into_iter().collect();
        let (computed, read) = parts(&[3, 2], &[2, 3], &need);
        assert_eq!(computed.as_slice(), [Positions::All, Positions::All]);
        assert_eq!(read.as_slice(), [Positions::All, Positions::All]);
    }

    #[test]
    fn sizes_of_one_come_and_go() {
        let need: Region = [Positions::All, at(&[1], 3), Positions::All].into_iter().collect();
        let (computed, read) = parts(&[3], &[1, 3, 1], &need);
        assert_eq!(computed, need);
        assert_eq!(read.as_slice(), [at(&[1], 3)]);
    }
}
