//! Products of strided matrices, in batches.

#![expect(unsafe_code, reason = "register tiles work on raw pointers into checked slices")]

#[cfg(target_arch = "x86_64")]
use super::kernel::{Avx2, Avx512};
use super::kernel::{Portable, Simd, Tile, layout, run_strided};
use super::packed::{Left, drive};
use super::{Epilogue, PackedMatrix, PanelFormat, Source};
#[cfg(target_arch = "x86_64")]
use crate::isa::Level;
use crate::isa::level;
use crate::shared::{SendPtr, with_scratch};
use crate::threads::{parallel_for, threads};
use crate::transpose::transpose;

/// A right-hand side of at most this many elements is multiplied where it stands, without panels.
const DIRECT: usize = 1 << 16;

/// Multiply-adds that make a task worth handing to another thread.
const TASK: usize = 1 << 17;

/// The shape of [`matmul_strided`]. Strides are in elements, for `(outer batch, inner batch, row, column)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatmulShape {
    /// Outer and inner batch sizes, such as sequences and heads.
    pub batch: [usize; 2],
    /// Rows of `a` and `c`.
    pub m: usize,
    /// Columns of `b` and `c`.
    pub n: usize,
    /// Columns of `a` and rows of `b`.
    pub k: usize,
    /// Strides of `a`; a batch stride of 0 repeats the matrix.
    pub a_strides: [usize; 4],
    /// Strides of `b`; a batch stride of 0 repeats the matrix.
    pub b_strides: [usize; 4],
    /// Strides of `c`, under which no two elements may share a place.
    pub c_strides: [usize; 4],
}

impl MatmulShape {
    /// The shape of a batch of contiguous matrices.
    ///
    /// ```
    /// use pellucid_kernels::gemm::{MatmulShape, matmul_strided};
    /// let shape = MatmulShape::contiguous(1, 2, 2, 1);
    /// let mut c = [0.0; 4];
    /// matmul_strided(&[1.0, 2.0], &[3.0, 4.0], &mut c, &shape);
    /// assert_eq!(c, [3.0, 4.0, 6.0, 8.0]);
    /// ```
    pub fn contiguous(batch: usize, m: usize, n: usize, k: usize) -> MatmulShape {
        MatmulShape {
            batch: [1, batch],
            m,
            n,
            k,
            a_strides: [0, m * k, k, 1],
            b_strides: [0, k * n, n, 1],
            c_strides: [0, m * n, n, 1],
        }
    }
}

/// One past the last element that the sizes and strides reach; 0 when a size is 0.
fn reach(sizes: [usize; 4], strides: [usize; 4]) -> usize {
    if sizes.contains(&0) {
        return 0;
    }
    let last = sizes
        .iter()
        .zip(strides)
        .try_fold(0usize, |acc, (&size, stride)| acc.checked_add((size - 1).checked_mul(stride)?));
    last.and_then(|last| last.checked_add(1)).expect("strides fit in memory")
}

/// Whether every element has a place of its own.
fn is_injective(sizes: [usize; 4], strides: [usize; 4]) -> bool {
    let mut axes: Vec<(usize, usize)> =
        strides.into_iter().zip(sizes).filter(|&(_, size)| size > 1).collect();
    axes.sort_unstable();
    let mut span = 1;
    for (stride, size) in axes {
        if stride < span {
            return false;
        }
        span += (size - 1) * stride;
    }
    true
}

/// `c[i, j] = a[i, j] @ b[i, j]` for every pair of batch indices, with any strides.
///
/// Parallel over the batch when there are enough matrices, else inside each product.
pub fn matmul_strided(a: &[f32], b: &[f32], c: &mut [f32], shape: &MatmulShape) {
    let MatmulShape { batch, m, n, k, .. } = *shape;
    if batch[0] * batch[1] * m * n == 0 {
        return;
    }
    let sizes = |rows, cols| [batch[0], batch[1], rows, cols];
    assert!(reach(sizes(m, k), shape.a_strides) <= a.len(), "the left side ends within its slice");
    assert!(reach(sizes(k, n), shape.b_strides) <= b.len(), "the right side ends within its slice");
    assert!(reach(sizes(m, n), shape.c_strides) <= c.len(), "the product ends within its slice");
    assert!(is_injective(sizes(m, n), shape.c_strides), "elements of the product do not overlap");

    let items = batch[0] * batch[1];
    let item = Item::new(shape);
    let (a, b, c) = (SendPtr(a.as_ptr()), SendPtr(b.as_ptr()), SendPtr(c.as_mut_ptr()));
    let run = |idx: usize| {
        let (outer, inner) = (idx / batch[1], idx % batch[1]);
        let at = |strides: [usize; 4]| outer * strides[0] + inner * strides[1];
        // SAFETY: the assertions cover every batch, and items write to disjoint places.
        unsafe {
            item.run(
                a.get().add(at(shape.a_strides)),
                b.get().add(at(shape.b_strides)),
                c.get().add(at(shape.c_strides)),
            );
        }
    };
    let work = m * n * k.max(1);
    if items == 1 || (items < threads() && work > 16 * TASK) {
        // Each product spreads over the threads by itself.
        (0..items).for_each(run);
        return;
    }
    let per_task = (TASK / work).clamp(1, items.div_ceil(8 * threads()).max(1));
    let n_tasks = items.div_ceil(per_task);
    let task = |task: usize| (task * per_task..((task + 1) * per_task).min(items)).for_each(run);
    if items.saturating_mul(work) < TASK { (0..n_tasks).for_each(task) } else { parallel_for(n_tasks, &task) }
}

/// One product of the batch, turned so that the rows of `c` are contiguous where possible.
#[derive(Clone, Copy)]
struct Item {
    m: usize,
    n: usize,
    k: usize,
    a: [usize; 2],
    b: [usize; 2],
    c: [usize; 2],
    /// Whether the two sides change places: `c^T = b^T @ a^T`, and a product commutes in each rounding.
    turned: bool,
}

impl Item {
    fn new(shape: &MatmulShape) -> Item {
        let tail = |strides: [usize; 4]| [strides[2], strides[3]];
        let item = Item {
            m: shape.m,
            n: shape.n,
            k: shape.k,
            a: tail(shape.a_strides),
            b: tail(shape.b_strides),
            c: tail(shape.c_strides),
            turned: false,
        };
        let rows_contiguous = item.c[1] == 1 || item.n == 1;
        let cols_contiguous = item.c[0] == 1 || item.m == 1;
        if rows_contiguous || !cols_contiguous {
            return item;
        }
        Item {
            m: item.n,
            n: item.m,
            k: item.k,
            a: [item.b[1], item.b[0]],
            b: [item.a[1], item.a[0]],
            c: [item.c[1], item.c[0]],
            turned: true,
        }
    }

    unsafe fn run(&self, a: *const f32, b: *const f32, c: *mut f32) {
        let (a, b) = if self.turned { (b, a) } else { (a, b) };
        // SAFETY: passed on to the caller.
        unsafe {
            if self.c[1] == 1 || self.n == 1 {
                // A single column has rows of one element, whatever lies between them.
                self.product(a, b, c, self.c[0]);
                return;
            }
            // Neither rows nor columns are contiguous: by way of a dense copy.
            with_scratch(self.m * self.n, |dense| {
                let dense = dense.as_mut_ptr();
                self.product(a, b, dense, self.n);
                for i in 0..self.m {
                    for j in 0..self.n {
                        *c.add(i * self.c[0] + j * self.c[1]) = *dense.add(i * self.n + j);
                    }
                }
            });
        }
    }

    unsafe fn product(&self, a: *const f32, b: *const f32, c: *mut f32, ldc: usize) {
        let Item { m, n, k, .. } = *self;
        // SAFETY: passed on to the caller.
        unsafe {
            let direct_b = self.b[1] == 1 || n == 1;
            if k * n > DIRECT && !(direct_b && m <= 8) {
                let len = reach([1, 1, k, n], [0, 0, self.b[0], self.b[1]]);
                let b = Source::F32(std::slice::from_raw_parts(b, len));
                let packed = PackedMatrix::pack(b, k, n, self.b[0], self.b[1], PanelFormat::F32);
                let left = Left { ptr: a, row: self.a[0], col: self.a[1] };
                drive(left, m, &packed, c, ldc.max(n), &Epilogue::default());
                return;
            }
            if direct_b {
                self.columns(a, b, self.b[0], n, c, ldc);
                return;
            }
            // Columns that are not contiguous are gathered into rows first.
            let width = n.next_multiple_of(16);
            with_scratch(k * width, |rows| {
                gather_rows(b, self.b, k, n, rows, width);
                self.columns(a, rows.as_ptr(), width, width, c, ldc);
            });
        }
    }

    /// The product with contiguous rows of `b`, of which `readable` elements may be read; in parallel by columns when large.
    unsafe fn columns(
        &self,
        a: *const f32,
        b: *const f32,
        ldb: usize,
        readable: usize,
        c: *mut f32,
        ldc: usize,
    ) {
        let n = self.n;
        let (a, b, c) = (SendPtr(a), SendPtr(b), SendPtr(c));
        let run = |from: usize, to: usize| {
            let part = Part {
                m: self.m,
                n: to - from,
                k: self.k,
                a: a.get(),
                a_strides: self.a,
                b: b.get().wrapping_add(from),
                ldb,
                readable: readable - from,
                c: c.get().wrapping_add(from),
                ldc,
            };
            // SAFETY: passed on to the caller; parts write to disjoint columns.
            unsafe { part.run() }
        };
        let work = self.m * n * self.k;
        if work < 4 * TASK {
            run(0, n);
            return;
        }
        let step = n.div_ceil(4 * threads()).next_multiple_of(64);
        parallel_for(n.div_ceil(step), &|task| run(task * step, ((task + 1) * step).min(n)));
    }
}

/// Copies `b` to rows of `width >= n` elements; what is beyond `n` is zero.
unsafe fn gather_rows(
    b: *const f32,
    strides: [usize; 2],
    k: usize,
    n: usize,
    rows: &mut [f32],
    width: usize,
) {
    for row in rows.chunks_exact_mut(width) {
        row[n..].fill(0.0);
    }
    if strides[0] == 1 {
        // SAFETY: passed on to the caller; the rows hold `k * width` elements.
        unsafe { transpose(b, strides[1], n, k, rows.as_mut_ptr(), width) };
        return;
    }
    for (i, row) in rows.chunks_exact_mut(width).enumerate() {
        for (j, x) in row[..n].iter_mut().enumerate() {
            // SAFETY: passed on to the caller.
            *x = unsafe { *b.add(i * strides[0] + j * strides[1]) };
        }
    }
}

/// A product of a strided `a` and a `b` with contiguous rows, on the calling thread.
pub(crate) struct Part {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) a: *const f32,
    pub(crate) a_strides: [usize; 2],
    pub(crate) b: *const f32,
    pub(crate) ldb: usize,
    /// Elements of each row of `b` that may be read, at least `n`.
    pub(crate) readable: usize,
    pub(crate) c: *mut f32,
    pub(crate) ldc: usize,
}

impl Part {
    /// Multiplies.
    ///
    /// # Safety
    ///
    /// The pointers must be good for the matrices that sizes and strides describe.
    pub(crate) unsafe fn run(&self) {
        // SAFETY: passed on to the caller; the level is supported.
        unsafe {
            match level() {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => self.run_level::<Avx512>(),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2Fma => self.run_level::<Avx2>(),
                _ => self.run_level::<Portable>(),
            }
        }
    }

    unsafe fn run_level<S: Simd>(&self) {
        // As wide as the registers allow, in tiles of nearly equal width.
        let vectors = self.n.div_ceil(S::LANES);
        let n_tiles = vectors.div_ceil(S::NV);
        let vectors = vectors.div_ceil(n_tiles.max(1));
        let tall = if S::LANES == 16 && vectors == 4 { 6 } else { S::MR };
        let n_strips = self.m.div_ceil(tall);
        let tall = self.m.div_ceil(n_strips.max(1));
        let mut col = 0;
        while col < self.n {
            let width = (vectors * S::LANES).min(self.n - col);
            let whole = col + width.next_multiple_of(S::LANES) <= self.readable;
            let mut row = 0;
            while row < self.m {
                let rows = tall.min(self.m - row);
                let tile = Tile {
                    k: self.k,
                    a: self.a.wrapping_add(row * self.a_strides[0]),
                    a_row: self.a_strides[0],
                    a_k: self.a_strides[1],
                    b: self.b.wrapping_add(col).cast(),
                    b_k: self.ldb,
                    b_panel: 0,
                    c: self.c.wrapping_add(row * self.ldc + col),
                    c_row: self.ldc,
                    width,
                    accumulate: false,
                };
                // SAFETY: passed on to the caller.
                unsafe {
                    if whole {
                        run_strided::<S, { layout::STRIDED }>(rows, &tile);
                    } else {
                        run_strided::<S, { layout::STRIDED_TAIL }>(rows, &tile);
                    }
                }
                row += rows;
            }
            col += width;
        }
    }
}
