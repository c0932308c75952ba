//! Attention without the matrix of scores.
//!
//! The law: the result equals, to the bit, the separate kernels in a row: `q @ k^T`; times the scale; the soft cap; negative
//! infinity where a key is hidden; the softmax of [`crate::rows`]; `p @ v`. A query that sees no key gives zeros. Keys that
//! no query of a tile sees are skipped: with finite values a zero probability adds nothing.
//!
//! A tile is up to 48 queries of one key head, which lie side by side: scores are held key by key, one lane per query, so
//! neither keys nor values are rearranged, and the softmax of many queries runs in the lanes of a vector.

#![expect(unsafe_code, reason = "tiles read and write strided parts of checked slices from several threads")]

mod tile;

use crate::gemm::Part;
use crate::shared::{SendPtr, prefetch, with_scratch};
use crate::threads::{parallel_for, threads};
use crate::transpose::transpose;

/// Queries of the widest tile.
const WIDEST: usize = 48;

/// A tile of scores takes at most this many elements where fewer queries allow it.
const TILE: usize = 256 * 1024;

/// Keys and values of at most this many elements are fetched ahead.
const PREFETCHED: usize = 4 * 1024;

/// Multiply-adds that make a task worth handing to another thread.
const TASK: usize = 1 << 17;

/// Sizes and strides of the operands. Strides are in elements, for `(batch, head, position)`; the last axis is contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Sequences.
    pub batch: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads: a divisor of `heads`. Query head `h` reads key head `h * kv_heads / heads`.
    pub kv_heads: usize,
    /// Queries.
    pub q_len: usize,
    /// Keys.
    pub kv_len: usize,
    /// Width of queries and keys.
    pub d_head: usize,
    /// Width of values and outputs.
    pub d_value: usize,
    /// Strides of the queries.
    pub q_strides: [usize; 3],
    /// Strides of the keys.
    pub k_strides: [usize; 3],
    /// Strides of the values.
    pub v_strides: [usize; 3],
    /// Strides of the output, under which no two elements may share a place.
    pub out_strides: [usize; 3],
}

impl AttentionShape {
    /// The shape of operands that are contiguous as `[batch, heads, seq, width]`.
    pub fn contiguous(
        batch: usize,
        heads: usize,
        kv_heads: usize,
        [q_len, kv_len]: [usize; 2],
        [d_head, d_value]: [usize; 2],
    ) -> AttentionShape {
        let strides = |heads: usize, len: usize, width: usize| [heads * len * width, len * width, width];
        AttentionShape {
            batch,
            heads,
            kv_heads,
            q_len,
            kv_len,
            d_head,
            d_value,
            q_strides: strides(heads, q_len, d_head),
            k_strides: strides(kv_heads, kv_len, d_head),
            v_strides: strides(kv_heads, kv_len, d_value),
            out_strides: strides(heads, q_len, d_value),
        }
    }
}

/// Which keys a query may see, as data: element `(batch, head, query, key)` is at the sum of index times stride; a stride
/// of 0 repeats. `true` lets the query see the key.
#[derive(Clone, Copy, Debug)]
pub struct AttentionMask<'a> {
    /// The flags.
    pub visible: &'a [bool],
    /// Strides in elements, for `(batch, head, query, key)`.
    pub strides: [usize; 4],
}

/// Everything about attention but its operands.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOptions<'a> {
    /// Factor of the scores.
    pub scale: f32,
    /// Whether query `i` sees only keys `j <= i + kv_len - q_len`.
    pub causal: bool,
    /// Whether query `i` sees only keys `j > i + kv_len - q_len - window`.
    pub window: Option<usize>,
    /// Scores become `tanh(score / cap) * cap`.
    pub softcap: Option<f32>,
    /// Further hidden keys.
    pub mask: Option<AttentionMask<'a>>,
}

impl AttentionOptions<'_> {
    /// Every query sees every key.
    pub fn full(scale: f32) -> Self {
        AttentionOptions { scale, causal: false, window: None, softcap: None, mask: None }
    }

    /// A query sees the keys up to its own position.
    pub fn causal(scale: f32) -> Self {
        AttentionOptions { causal: true, ..Self::full(scale) }
    }
}

/// One past the last element that sizes and strides reach, with contiguous rows of `width`.
fn reach(sizes: [usize; 3], strides: [usize; 3], width: usize) -> usize {
    if sizes.contains(&0) || width == 0 {
        return 0;
    }
    let last = sizes
        .iter()
        .zip(strides)
        .try_fold(width - 1, |acc, (&size, stride)| acc.checked_add((size - 1).checked_mul(stride)?));
    last.and_then(|last| last.checked_add(1)).expect("strides fit in memory")
}

/// Whether rows of `width` all lie apart.
fn is_injective(sizes: [usize; 3], strides: [usize; 3], width: usize) -> bool {
    let mut axes = [(strides[0], sizes[0]), (strides[1], sizes[1]), (strides[2], sizes[2])];
    axes.sort_unstable();
    let mut span = width;
    for (stride, size) in axes.into_iter().filter(|&(_, size)| size > 1) {
        if stride < span {
            return false;
        }
        span += (size - 1) * stride;
    }
    true
}

/// Attention of `q` over `k` and `v`, into `out`.
///
/// ```
/// use pellucid_kernels::attention::{AttentionOptions, AttentionShape, attention};
/// // One head, two positions; the second query attends to both keys alike.
/// let shape = AttentionShape::contiguous(1, 1, 1, [2, 2], [1, 1]);
/// let mut out = [0.0; 2];
/// attention(&[1.0, 1.0], &[1.0, 1.0], &[2.0, 4.0], &mut out, &shape, &AttentionOptions::causal(1.0));
/// assert_eq!(out, [2.0, 3.0]);
/// ```
pub fn attention(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &mut [f32],
    shape: &AttentionShape,
    options: &AttentionOptions<'_>,
) {
    let &AttentionShape { batch, heads, kv_heads, q_len, kv_len, d_head, d_value, .. } = shape;
    if batch * heads * q_len * d_value == 0 {
        return;
    }
    assert!(
        kv_heads > 0 && heads.is_multiple_of(kv_heads),
        "{kv_heads} key heads divide {heads} query heads",
    );
    let queries = [batch, heads, q_len];
    let keys = [batch, kv_heads, kv_len];
    assert!(reach(queries, shape.q_strides, d_head) <= q.len(), "queries end within their slice");
    assert!(reach(keys, shape.k_strides, d_head) <= k.len(), "keys end within their slice");
    assert!(reach(keys, shape.v_strides, d_value) <= v.len(), "values end within their slice");
    assert!(reach(queries, shape.out_strides, d_value) <= out.len(), "output ends within its slice");
    assert!(is_injective(queries, shape.out_strides, d_value), "elements of the output do not overlap");
    if let Some(mask) = options.mask
        && kv_len > 0
    {
        let [batch_stride, head_stride, rest @ ..] = mask.strides;
        let positions = (q_len - 1) * rest[0] + (kv_len - 1) * rest[1];
        let last = (batch - 1) * batch_stride + (heads - 1) * head_stride + positions;
        assert!(last < mask.visible.len(), "the mask ends within its slice");
    }

    let group = heads / kv_heads;
    let lanes = group * q_len;
    let widest = match TILE / kv_len.max(1) {
        48.. => WIDEST,
        32.. => 32,
        _ => 16,
    };
    // Tiles of nearly equal width; lone queries have a path of their own.
    let n_tiles = if lanes <= 2 { lanes } else { lanes.div_ceil(widest) };
    let width = lanes.div_ceil(n_tiles);
    let n_tiles = lanes.div_ceil(width);
    let call = Call {
        q: SendPtr(q.as_ptr()),
        k: SendPtr(k.as_ptr()),
        v: SendPtr(v.as_ptr()),
        out: SendPtr(out.as_mut_ptr()),
        shape,
        options,
        group,
    };
    let items = batch * kv_heads * n_tiles;
    let run = |item: usize| {
        let (head, tile) = (item / n_tiles, item % n_tiles);
        let first = tile * width;
        // SAFETY: the assertions cover every head, and tiles write to disjoint rows of the output.
        unsafe { call.tile(head / kv_heads, head % kv_heads, first, width.min(lanes - first)) };
    };
    let work = width * kv_len.max(1) * (d_head + d_value);
    let per_task = (TASK / work).clamp(1, items.div_ceil(8 * threads()).max(1));
    let task = |task: usize| (task * per_task..((task + 1) * per_task).min(items)).for_each(run);
    let n_tasks = items.div_ceil(per_task);
    if items.saturating_mul(work) < TASK { (0..n_tasks).for_each(task) } else { parallel_for(n_tasks, &task) }
}

/// The operands of one call.
struct Call<'a> {
    q: SendPtr<*const f32>,
    k: SendPtr<*const f32>,
    v: SendPtr<*const f32>,
    out: SendPtr<*mut f32>,
    shape: &'a AttentionShape,
    options: &'a AttentionOptions<'a>,
    /// Query heads per key head.
    group: usize,
}

impl Call<'_> {
    /// The keys that the causal rule and the window let query `i` see.
    fn visible(&self, i: usize) -> (usize, usize) {
        let kv_len = self.shape.kv_len;
        // One past the key at the query's own position; negative when there are fewer keys than queries before it.
        let own = i as isize + kv_len as isize - self.shape.q_len as isize + 1;
        let end = if self.options.causal { own.clamp(0, kv_len as isize) as usize } else { kv_len };
        let start = match self.options.window {
            Some(window) => own.saturating_sub_unsigned(window).clamp(0, end as isize) as usize,
            None => 0,
        };
        (start, end)
    }

    /// Query position and query head of a lane. Lanes of one position are neighbours, so a tile spans few positions.
    fn lane(&self, kv_head: usize, lane: usize) -> (usize, usize) {
        (lane / self.group, kv_head * self.group + lane % self.group)
    }

    fn mask_row(&self, batch: usize, head: usize, i: usize) -> Option<tile::MaskRow<'_>> {
        self.options.mask.map(|mask| {
            let [b, h, q, step] = mask.strides;
            tile::MaskRow { visible: &mask.visible[batch * b + head * h + i * q..], step }
        })
    }

    /// The lanes `first..first + n` of one key head.
    unsafe fn tile(&self, batch: usize, kv_head: usize, first: usize, n: usize) {
        let shape = self.shape;
        let ranges: Vec<(usize, usize)> =
            (first..first + n).map(|lane| self.visible(self.lane(kv_head, lane).0)).collect();
        let start = ranges.iter().map(|r| r.0).min().unwrap_or(0);
        let end = ranges.iter().map(|r| r.1).max().unwrap_or(0).max(start);
        let keys = end - start;
        // One lane is a row of scores; several lie side by side in whole vectors.
        let width = if n == 1 { 1 } else { n.next_multiple_of(tile::LANES) };
        let (d_head, d_value) = (shape.d_head, shape.d_value);
        let at = |strides: [usize; 3], head: usize, pos: usize| {
            batch * strides[0] + head * strides[1] + pos * strides[2]
        };
        let sizes = [d_head * width, keys * width, if self.group == 1 { 0 } else { n * d_value }];
        // A short tile is over before the hardware has noticed the pattern.
        if keys * (d_head + d_value) <= PREFETCHED {
            for pos in start..end {
                prefetch(self.k.get().wrapping_add(at(shape.k_strides, kv_head, pos)), d_head);
            }
            for pos in start..end {
                prefetch(self.v.get().wrapping_add(at(shape.v_strides, kv_head, pos)), d_value);
            }
        }
        with_scratch(sizes.iter().sum(), |scratch| {
            let (queries, rest) = scratch.split_at_mut(sizes[0]);
            let (scores, outputs) = rest.split_at_mut(sizes[1]);
            // SAFETY: `attention` has checked that every row named here lies within its slice.
            unsafe {
                if n < width {
                    queries.fill(0.0);
                }
                let row = |lane: usize| {
                    let (pos, head) = self.lane(kv_head, lane);
                    self.q.get().add(at(shape.q_strides, head, pos))
                };
                if self.group == 1 {
                    // One head: the lanes are successive positions.
                    transpose(row(first), shape.q_strides[2], n, d_head, queries.as_mut_ptr(), width);
                } else {
                    for lane in 0..n {
                        let column = queries.as_mut_ptr().add(lane);
                        transpose(row(first + lane), 0, 1, d_head, column, width);
                    }
                }
                Part {
                    m: keys,
                    n: width,
                    k: d_head,
                    a: self.k.get().wrapping_add(at(shape.k_strides, kv_head, start)),
                    a_strides: [shape.k_strides[2], 1],
                    b: queries.as_ptr(),
                    ldb: width,
                    readable: width,
                    c: scores.as_mut_ptr(),
                    ldc: width,
                }
                .run();
            }
            if n == 1 {
                let (pos, head) = self.lane(kv_head, first);
                let mask = self.mask_row(batch, head, pos);
                tile::finish_row(scores, self.options.scale, self.options.softcap, mask, start);
                tile::softmax_from(scores, start);
            } else if keys > 0 {
                for (group, ranges) in ranges.chunks(tile::LANES).enumerate() {
                    let lane = group * tile::LANES;
                    let mut masks = [None; tile::LANES];
                    if self.options.mask.is_some() {
                        for (idx, mask) in masks.iter_mut().enumerate().take(ranges.len()) {
                            let (pos, head) = self.lane(kv_head, first + lane + idx);
                            *mask = self.mask_row(batch, head, pos);
                        }
                    }
                    let lanes = tile::Lanes::new(ranges, start, masks);
                    tile::softmax_lanes(&mut scores[lane..], width, keys, &lanes, self.options);
                }
            }
            let (pos, head) = self.lane(kv_head, first);
            let direct = self.group == 1 || n == 1;
            // SAFETY: as above; rows of the output belong to this tile alone.
            unsafe {
                let (c, ldc) = if direct {
                    (self.out.get().add(at(shape.out_strides, head, pos)), shape.out_strides[2])
                } else {
                    (outputs.as_mut_ptr(), d_value)
                };
                Part {
                    m: n,
                    n: d_value,
                    k: keys,
                    a: scores.as_ptr(),
                    a_strides: [1, width],
                    b: self.v.get().wrapping_add(at(shape.v_strides, kv_head, start)),
                    ldb: shape.v_strides[2],
                    readable: d_value,
                    c,
                    ldc,
                }
                .run();
                if !direct {
                    for (lane, row) in outputs.chunks_exact(d_value).enumerate() {
                        let (pos, head) = self.lane(kv_head, first + lane);
                        let out = self.out.get().add(at(shape.out_strides, head, pos));
                        std::slice::from_raw_parts_mut(out, d_value).copy_from_slice(row);
                    }
                }
            }
        });
    }
}
