//! From scores to probabilities, within one tile.

use super::AttentionOptions;
use crate::isa::multiversion;
use crate::math;
use crate::rows::{LANES as SUM_LANES, largest, tree};

/// Queries that lie side by side in a vector.
pub(super) const LANES: usize = 16;

/// The flags of one query: key `j` is at `visible[j * step]`.
#[derive(Clone, Copy)]
pub(super) struct MaskRow<'a> {
    pub(super) visible: &'a [bool],
    pub(super) step: usize,
}

/// What sixteen queries may see. Key numbers count from the tile's first key.
pub(super) struct Lanes<'a> {
    first: [i32; LANES],
    end: [i32; LANES],
    /// Number of the tile's first key in the sequence.
    start: usize,
    masks: [Option<MaskRow<'a>>; LANES],
}

impl<'a> Lanes<'a> {
    pub(super) fn new(
        ranges: &[(usize, usize)],
        start: usize,
        masks: [Option<MaskRow<'a>>; LANES],
    ) -> Lanes<'a> {
        let mut lanes = Lanes { first: [0; LANES], end: [0; LANES], start, masks };
        for (idx, &(first, end)) in ranges.iter().enumerate() {
            // A range may end before the tile's first key when it is empty.
            lanes.first[idx] = first.saturating_sub(start) as i32;
            lanes.end[idx] = end.saturating_sub(start) as i32;
        }
        lanes
    }

    fn has_mask(&self) -> bool {
        self.masks.iter().any(Option::is_some)
    }
}

/// `x * scale`, then the soft cap.
#[inline(always)]
fn scaled(x: f32, scale: f32, softcap: Option<f32>) -> f32 {
    let x = x * scale;
    match softcap {
        Some(cap) => math::tanh(x / cap) * cap,
        None => x,
    }
}

/// Scales, hides keys, and returns the largest score of each lane.
#[inline(always)]
fn finish_scores(
    scores: &mut [f32],
    width: usize,
    keys: usize,
    lanes: &Lanes<'_>,
    scale: f32,
    softcap: Option<f32>,
) -> [f32; LANES] {
    let mut max = [f32::NEG_INFINITY; LANES];
    let has_mask = lanes.has_mask();
    for j in 0..keys {
        let row = &mut scores[j * width..j * width + LANES];
        let key = j as i32;
        for (l, x) in row.iter_mut().enumerate() {
            let y = scaled(*x, scale, softcap);
            let sees = (key >= lanes.first[l]) & (key < lanes.end[l]);
            *x = if sees { y } else { f32::NEG_INFINITY };
        }
        if has_mask {
            for (x, mask) in row.iter_mut().zip(&lanes.masks) {
                if mask.is_some_and(|mask| !mask.visible[(lanes.start + j) * mask.step]) {
                    *x = f32::NEG_INFINITY;
                }
            }
        }
        for (max, &x) in max.iter_mut().zip(&*row) {
            *max = if x > *max { x } else { *max };
        }
    }
    max
}

multiversion! {
    /// Softmax of sixteen lanes of scores, from raw products to probabilities. Lanes that see nothing become zero.
    pub(super) fn softmax_lanes(
        scores: &mut [f32],
        width: usize,
        keys: usize,
        lanes: &Lanes<'_>,
        options: &AttentionOptions<'_>,
    ) {
        let max = match options.softcap {
            None => finish_scores(scores, width, keys, lanes, options.scale, None),
            Some(cap) => finish_scores(scores, width, keys, lanes, options.scale, Some(cap)),
        };
        let max = max.map(|max| if max == f32::NEG_INFINITY { 0.0 } else { max });
        // The row kernel adds key `j` in lane `j mod 16`; here those are sixteen vectors.
        let mut sums = [[0.0f32; LANES]; SUM_LANES];
        for j in 0..keys {
            let row = &mut scores[j * width..j * width + LANES];
            let sums = &mut sums[(lanes.start + j) % SUM_LANES];
            for l in 0..LANES {
                let e = math::exp(row[l] - max[l]);
                row[l] = e;
                sums[l] += e;
            }
        }
        let mut scale = [0.0f32; LANES];
        for (l, scale) in scale.iter_mut().enumerate() {
            let sum = tree(std::array::from_fn(|i| sums[i][l]));
            *scale = if sum == 0.0 { 0.0 } else { 1.0 / sum };
        }
        for j in 0..keys {
            let row = &mut scores[j * width..j * width + LANES];
            for (x, scale) in row.iter_mut().zip(&scale) {
                *x *= scale;
            }
        }
    }

    /// Scales and masks the scores of one query, of keys from `start` on.
    pub(super) fn finish_row(
        scores: &mut [f32],
        scale: f32,
        softcap: Option<f32>,
        mask: Option<MaskRow<'_>>,
        start: usize,
    ) {
        match softcap {
            None => scores.iter_mut().for_each(|x| *x = scaled(*x, scale, None)),
            Some(cap) => scores.iter_mut().for_each(|x| *x = scaled(*x, scale, Some(cap))),
        }
        if let Some(mask) = mask {
            for (j, x) in scores.iter_mut().enumerate() {
                if !mask.visible[(start + j) * mask.step] {
                    *x = f32::NEG_INFINITY;
                }
            }
        }
    }

    /// Softmax of a piece of a row that starts at element `start`, all else hidden. A row that sees nothing becomes zero.
    pub(super) fn softmax_from(scores: &mut [f32], start: usize) {
        let max = largest(scores);
        let max = if max == f32::NEG_INFINITY { 0.0 } else { max };
        scores.iter_mut().for_each(|x| *x = math::exp(*x - max));
        let mut lanes = [0.0f32; SUM_LANES];
        // Up to the next whole group of lanes, then group by group.
        let head = (SUM_LANES - start % SUM_LANES) % SUM_LANES;
        let (head, rest) = scores.split_at(head.min(scores.len()));
        for (i, &x) in head.iter().enumerate() {
            lanes[(start + i) % SUM_LANES] += x;
        }
        for chunk in rest.chunks(SUM_LANES) {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += x;
            }
        }
        let sum = tree(lanes);
        let scale = if sum == 0.0 { 0.0 } else { 1.0 / sum };
        scores.iter_mut().for_each(|x| *x *= scale);
    }
}
