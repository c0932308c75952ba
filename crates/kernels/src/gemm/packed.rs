//! Products with a packed right-hand side.

#![expect(unsafe_code, reason = "register tiles work on raw pointers into checked slices")]

#[cfg(target_arch = "x86_64")]
use super::kernel::{Avx2, Avx512};
use super::kernel::{Portable, Simd, Tile, layout, run_packed};
use super::{Epilogue, PANEL, PackedMatrix, PanelFormat};
#[cfg(target_arch = "x86_64")]
use crate::isa::Level;
use crate::isa::level;
use crate::memory::Buffer;
use crate::shared::{SendPtr, with_scratch};
use crate::threads::{parallel_for, threads};
use crate::transpose::transpose;

/// The longest stretch of `k` that a panel is worked on at once, so that it stays in the second-level cache.
const K_BLOCK: usize = 1024;

/// Rows that share one pass over a panel.
const ROW_BLOCK: usize = 192;

/// Rows packed ahead take at most this many elements.
const PACK_AHEAD: usize = 2 << 20;

/// Multiply-adds below which threads cost more than they bring.
const SERIAL: usize = 1 << 17;

/// `c = a @ b`, then the epilogue. `a` is `[m, k]` with rows `lda` elements apart, `c` is `[m, n]` with rows `ldc` apart.
///
/// ```
/// use pellucid_kernels::gemm::{Activation, Epilogue, PackedMatrix, PanelFormat, Source, matmul_packed};
/// let b = PackedMatrix::pack(Source::F32(&[1.0, -1.0]), 1, 2, 2, 1, PanelFormat::F32);
/// let epilogue = Epilogue { bias: Some(&[0.5, 0.5]), activation: Some(Activation::Relu), residual: None };
/// let mut c = [0.0; 4];
/// matmul_packed(&[1.0, 2.0], 1, 2, &b, &mut c, 2, &epilogue);
/// assert_eq!(c, [1.5, 0.0, 2.5, 0.0]);
/// ```
pub fn matmul_packed(
    a: &[f32],
    lda: usize,
    m: usize,
    b: &PackedMatrix,
    c: &mut [f32],
    ldc: usize,
    epilogue: &Epilogue<'_>,
) {
    let (k, n) = (b.k(), b.n());
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        k == 0 || (lda >= k && a.len() >= (m - 1) * lda + k),
        "the left side has {m} rows of {k}, {lda} apart, in {} elements",
        a.len(),
    );
    assert!(
        ldc >= n && c.len() >= (m - 1) * ldc + n,
        "the product has {m} rows of {n}, {ldc} apart, in {} elements",
        c.len(),
    );
    epilogue.check(m, n);
    let left = Left { ptr: a.as_ptr(), row: lda, col: 1 };
    // SAFETY: the assertions above cover every element of both sides.
    unsafe { drive(left, m, b, c.as_mut_ptr(), ldc, epilogue) }
}

/// The left-hand side: element `(i, k)` is at `ptr + i * row + k * col`.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub(super) ptr: *const f32,
    pub(super) row: usize,
    pub(super) col: usize,
}

/// The product at the level in force.
///
/// # Safety
///
/// `left` must cover `[m, k]`, and `c` must cover `[m, n]` with rows `ldc >= n` apart.
pub(super) unsafe fn drive(
    left: Left,
    m: usize,
    b: &PackedMatrix,
    c: *mut f32,
    ldc: usize,
    epilogue: &Epilogue<'_>,
) {
    let job = Job { left, m, b, c: SendPtr(c), ldc, epilogue };
    // SAFETY: passed on to the caller; the level is supported.
    unsafe {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => job.run::<Avx512>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2Fma => job.run::<Avx2>(),
            _ => job.run::<Portable>(),
        }
    }
}

struct Job<'a> {
    left: Left,
    m: usize,
    b: &'a PackedMatrix,
    c: SendPtr<*mut f32>,
    ldc: usize,
    epilogue: &'a Epilogue<'a>,
}

// SAFETY: the pointers are used for reading, and for writing to disjoint parts.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    unsafe fn run<S: Simd>(&self) {
        // SAFETY: passed on to the caller.
        unsafe { if self.m <= S::MR { self.few_rows::<S>() } else { self.many_rows::<S>() } }
    }

    fn n_panels(&self) -> usize {
        self.b.n().div_ceil(PANEL)
    }

    /// Panels per task so that each thread gets about eight.
    fn group(&self, row_blocks: usize) -> usize {
        (self.n_panels() * row_blocks / (8 * threads())).clamp(1, 16)
    }

    fn is_small(&self) -> bool {
        self.m * self.b.k() * self.b.n() < SERIAL
    }

    /// The panel as bytes, and the bytes of one of its rows.
    fn panel(&self, panel: usize) -> (*const u8, usize) {
        let row = match self.b.format() {
            PanelFormat::F32 => 4 * PANEL,
            PanelFormat::Bf16 => 2 * PANEL,
        };
        (self.b.panels().wrapping_add(panel * self.b.k() * row), row)
    }

    /// One strip: every panel is read once, straight from memory.
    unsafe fn few_rows<S: Simd>(&self) {
        let (m, k) = (self.m, self.b.k());
        let n_panels = self.n_panels();
        let direct = m == 1 && self.left.col == 1;
        let packed_len = if direct { 0 } else { m * k };
        with_scratch(packed_len, |strip| {
            let a = if direct {
                self.left.ptr
            } else {
                // SAFETY: the strip has room for `m * k`; the left side covers as many.
                unsafe { pack_strip(self.left, m, k, strip.as_mut_ptr()) };
                strip.as_ptr()
            };
            let a = SendPtr(a);
            let step = panels_at_once::<S>(m);
            let group = self.group(1).next_multiple_of(step);
            let task = |task: usize| {
                let mut panel = task * group;
                let end = (panel + group).min(n_panels);
                while panel < end {
                    // A group of full panels, or one.
                    let several = step > 1 && panel + step <= end && (panel + step) * PANEL <= self.b.n();
                    let (b, b_row) = self.panel(panel);
                    let tile = Tile {
                        k,
                        a: a.get(),
                        a_row: 0,
                        a_k: 0,
                        b,
                        b_k: PANEL,
                        b_panel: k * PANEL,
                        c: self.c.get().wrapping_add(panel * PANEL),
                        c_row: self.ldc,
                        width: (self.b.n() - panel * PANEL).min(PANEL),
                        accumulate: false,
                    };
                    // SAFETY: the tile lies inside both sides, and no other task writes these columns.
                    unsafe {
                        match (several, b_row == 4 * PANEL) {
                            (true, true) => run_panels::<S, { layout::PACKED }>(m, &tile),
                            (true, false) => run_panels::<S, { layout::PACKED_BF16 }>(m, &tile),
                            (false, true) => run_packed::<S, { layout::PACKED }>(m, &tile),
                            (false, false) => run_packed::<S, { layout::PACKED_BF16 }>(m, &tile),
                        }
                    }
                    let done = if several { step } else { 1 };
                    // SAFETY: as above.
                    unsafe { self.finish(0, m, panel * PANEL, (panel + done) * PANEL) };
                    panel += done;
                }
            };
            let n_tasks = n_panels.div_ceil(group);
            if self.is_small() { (0..n_tasks).for_each(task) } else { parallel_for(n_tasks, &task) }
        });
    }

    /// Applies the epilogue to rows from `row` on and columns `from..to`, cut at the last one.
    unsafe fn finish(&self, row: usize, rows: usize, from: usize, to: usize) {
        if self.epilogue.is_empty() {
            return;
        }
        let width = to.min(self.b.n()) - from;
        for row in row..row + rows {
            // SAFETY: inside `c`, and written by this task only.
            let c = unsafe { std::slice::from_raw_parts_mut(self.c.get().add(row * self.ldc + from), width) };
            self.epilogue.apply(c, row, from);
        }
    }

    unsafe fn many_rows<S: Simd>(&self) {
        let k = self.b.k();
        // Rows packed ahead are whole row blocks.
        let ahead = (PACK_AHEAD / k.max(1) / ROW_BLOCK).max(1) * ROW_BLOCK;
        let mut packed = Buffer::new(ahead.min(self.m) * k * size_of::<f32>());
        let packed = SendPtr(packed.as_mut_slice::<f32>().as_mut_ptr());
        let mut row = 0;
        while row < self.m {
            let rows = ahead.min(self.m - row);
            // SAFETY: passed on to the caller; `packed` holds `rows * k` elements.
            unsafe { self.rows_block::<S>(row, rows, packed) };
            row += rows;
        }
    }

    /// Packs rows `first..first + rows` into strips, then multiplies them.
    unsafe fn rows_block<S: Simd>(&self, first: usize, rows: usize, packed: SendPtr<*mut f32>) {
        let (k, n_panels) = (self.b.k(), self.n_panels());
        let n_strips = rows.div_ceil(S::MR);
        let pack = |strip: usize| {
            let row = strip * S::MR;
            let left = Left { ptr: self.left.ptr.wrapping_add((first + row) * self.left.row), ..self.left };
            // SAFETY: the strip's rows are inside the left side, its place inside `packed`.
            unsafe { pack_strip(left, (rows - row).min(S::MR), k, packed.get().add(row * k)) };
        };
        if self.is_small() {
            (0..n_strips).for_each(pack);
        } else {
            let group = (1 << 16) / (k * S::MR).max(1) + 1;
            parallel_for(n_strips.div_ceil(group), &|task| {
                (task * group..((task + 1) * group).min(n_strips)).for_each(pack);
            });
        }
        // Row blocks of equal size, in whole strips.
        let n_blocks = rows.div_ceil(ROW_BLOCK);
        let strips = n_strips.div_ceil(n_blocks);
        let n_blocks = n_strips.div_ceil(strips);
        let group = self.group(n_blocks);
        let n_groups = n_panels.div_ceil(group);
        let task = |task: usize| {
            let row = task / n_groups * strips * S::MR;
            let panels = task % n_groups * group;
            for panel in panels..(panels + group).min(n_panels) {
                let rows = (rows - row).min(strips * S::MR);
                // SAFETY: the block lies inside both sides, and no other task writes it.
                unsafe {
                    self.block::<S>(first + row, rows, panel, packed.get().add(row * k));
                    self.finish(first + row, rows, panel * PANEL, (panel + 1) * PANEL);
                }
            }
        };
        let n_tasks = n_blocks * n_groups;
        if self.is_small() { (0..n_tasks).for_each(task) } else { parallel_for(n_tasks, &task) }
    }

    /// `rows` packed rows times one panel.
    unsafe fn block<S: Simd>(&self, first: usize, rows: usize, panel: usize, a: *const f32) {
        let k = self.b.k();
        let n_k_blocks = k.div_ceil(K_BLOCK).max(1);
        let k_block = k.div_ceil(n_k_blocks);
        let (b, b_row) = self.panel(panel);
        let is_bf16 = b_row == 2 * PANEL;
        // Extending a panel once pays when several strips read it.
        let extend = is_bf16 && rows > 2 * S::MR;
        with_scratch(if extend { k_block * PANEL } else { 0 }, |scratch| {
            for k_idx in 0..n_k_blocks {
                let k_start = k_idx * k_block;
                let k_len = k_block.min(k - k_start);
                let mut b = b.wrapping_add(k_start * b_row);
                if extend {
                    // SAFETY: the panel has `k` rows of `PANEL` bf16 numbers.
                    let bits = unsafe { std::slice::from_raw_parts(b.cast::<u16>(), k_len * PANEL) };
                    crate::convert::extend_bf16(bits, &mut scratch[..k_len * PANEL]);
                    b = scratch.as_ptr().cast();
                }
                let mut row = 0;
                while row < rows {
                    let strip = S::MR.min(rows - row);
                    let tile = Tile {
                        k: k_len,
                        a: a.wrapping_add(row * k + k_start * strip),
                        a_row: 0,
                        a_k: 0,
                        b,
                        b_k: PANEL,
                        b_panel: 0,
                        c: self.c.get().wrapping_add((first + row) * self.ldc + panel * PANEL),
                        c_row: self.ldc,
                        width: (self.b.n() - panel * PANEL).min(PANEL),
                        accumulate: k_idx > 0,
                    };
                    // SAFETY: passed on to the caller.
                    unsafe {
                        if is_bf16 && !extend {
                            run_packed::<S, { layout::PACKED_BF16 }>(strip, &tile);
                        } else {
                            run_packed::<S, { layout::PACKED }>(strip, &tile);
                        }
                    }
                    row += strip;
                }
            }
        });
    }
}

/// How many panels a strip of `m` rows takes at once.
fn panels_at_once<S: Simd>(m: usize) -> usize {
    match (S::LANES, m) {
        (16, 1) => 4,
        (16, 2..=4) => 2,
        (8, 1) => 2,
        _ => 1,
    }
}

/// Runs the strip over [`panels_at_once`] full panels.
unsafe fn run_panels<S: Simd, const LAYOUT: u8>(m: usize, tile: &Tile) {
    // SAFETY: passed on to the caller.
    unsafe {
        match (S::LANES, m) {
            (16, 1) => S::panels::<1, 4, 3, LAYOUT>(tile),
            (16, 2) => S::panels::<2, 2, 3, LAYOUT>(tile),
            (16, 3) => S::panels::<3, 2, 3, LAYOUT>(tile),
            (16, 4) => S::panels::<4, 2, 3, LAYOUT>(tile),
            (8, 1) => S::panels::<1, 2, 6, LAYOUT>(tile),
            _ => unreachable!("{m} rows take one panel at a time"),
        }
    }
}

/// Interleaves `rows` rows: element `(i, k)` goes to `out[k * rows + i]`.
unsafe fn pack_strip(left: Left, rows: usize, k: usize, out: *mut f32) {
    // SAFETY: passed on to the caller.
    unsafe {
        if left.col == 1 {
            transpose(left.ptr, left.row, rows, k, out, rows);
            return;
        }
        for k in 0..k {
            for i in 0..rows {
                *out.add(k * rows + i) = *left.ptr.add(i * left.row + k * left.col);
            }
        }
    }
}
