//! The right-hand side of a product, rearranged so that the innermost loop reads it in order.

#![expect(unsafe_code, reason = "panels are disjoint parts of one buffer, filled by several threads")]

use half::{bf16, f16};

use super::PANEL;
use crate::memory::Buffer;
use crate::shared::SharedMut;
use crate::threads::parallel_for;
use crate::transpose::transpose;

/// The matrix to pack, as stored.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// Brain floats.
    Bf16(&'a [bf16]),
    /// IEEE half floats.
    F16(&'a [f16]),
}

/// How the panels hold the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PanelFormat {
    /// As `f32`, whatever the source.
    F32,
    /// As `bf16`, extended in registers, which is exact: half the memory to read. Only for a `bf16` source.
    Bf16,
}

/// A matrix `[k, n]` in panels of [`PANEL`] columns, the last one padded with zeros; within a panel, rows follow each other.
#[derive(Debug)]
pub struct PackedMatrix {
    panels: Buffer,
    k: usize,
    n: usize,
    format: PanelFormat,
}

impl PackedMatrix {
    /// Packs the matrix whose element `(i, j)` is `source[i * row_stride + j * col_stride]`, in parallel.
    ///
    /// A weight stored `[k, n]` has the strides `(n, 1)`; one stored `[n, k]`, as in a linear layer, `(1, k)`.
    ///
    /// ```
    /// use pellucid_kernels::gemm::{Epilogue, PackedMatrix, PanelFormat, Source, matmul_packed};
    /// // Two outputs of three inputs each, one row per output.
    /// let weight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    /// let packed = PackedMatrix::pack(Source::F32(&weight), 3, 2, 1, 3, PanelFormat::F32);
    /// let mut y = [0.0; 2];
    /// matmul_packed(&[1.0, 0.0, -1.0], 3, 1, &packed, &mut y, 2, &Epilogue::default());
    /// assert_eq!(y, [-2.0, -2.0]);
    /// ```
    pub fn pack(
        source: Source<'_>,
        k: usize,
        n: usize,
        row_stride: usize,
        col_stride: usize,
        format: PanelFormat,
    ) -> PackedMatrix {
        let len = match source {
            Source::F32(s) => s.len(),
            Source::Bf16(s) => s.len(),
            Source::F16(s) => s.len(),
        };
        if k > 0 && n > 0 {
            let last = (k - 1) * row_stride + (n - 1) * col_stride;
            assert!(last < len, "the matrix [{k}, {n}] ends at element {last} of {len}");
        }
        let elements = k * n.div_ceil(PANEL) * PANEL;
        let strides = (row_stride, col_stride);
        let panels = match (format, source) {
            (PanelFormat::F32, Source::F32(s)) => pack_panels::<_, f32>(s, k, n, strides, elements),
            (PanelFormat::F32, Source::Bf16(s)) => pack_panels::<_, f32>(s, k, n, strides, elements),
            (PanelFormat::F32, Source::F16(s)) => pack_panels::<_, f32>(s, k, n, strides, elements),
            (PanelFormat::Bf16, Source::Bf16(s)) => pack_panels::<_, u16>(s, k, n, strides, elements),
            (PanelFormat::Bf16, _) => panic!("only a bf16 matrix can be kept as bf16 without rounding"),
        };
        PackedMatrix { panels, k, n, format }
    }

    /// Rows: the length of the sum.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Columns.
    pub fn n(&self) -> usize {
        self.n
    }

    /// How elements are held.
    pub fn format(&self) -> PanelFormat {
        self.format
    }

    /// Memory taken by the panels, in bytes.
    pub fn bytes(&self) -> usize {
        self.panels.capacity()
    }

    pub(super) fn panels(&self) -> *const u8 {
        self.panels.as_ptr()
    }
}

/// An element of a matrix as stored.
trait Stored: Copy + Sync {
    fn widen(self) -> f32;
    /// The slice itself where nothing need be widened.
    fn floats(_: &[Self]) -> Option<&[f32]> {
        None
    }
}

impl Stored for f32 {
    fn widen(self) -> f32 {
        self
    }
    fn floats(slice: &[f32]) -> Option<&[f32]> {
        Some(slice)
    }
}

impl Stored for bf16 {
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Stored for f16 {
    fn widen(self) -> f32 {
        crate::convert::widen_f16(self.to_bits())
    }
}

/// An element of a panel.
trait Packed: bytemuck::Pod + Send {
    /// The element with this value, which it can hold exactly.
    fn of(value: f32) -> Self;
    /// The slice itself where it holds `f32`.
    fn floats(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

impl Packed for f32 {
    fn of(value: f32) -> f32 {
        value
    }
    fn floats(slice: &mut [f32]) -> Option<&mut [f32]> {
        Some(slice)
    }
}

/// The bits of a `bf16`.
impl Packed for u16 {
    fn of(value: f32) -> u16 {
        (value.to_bits() >> 16) as u16
    }
}

fn pack_panels<S: Stored, P: Packed>(
    source: &[S],
    k: usize,
    n: usize,
    strides: (usize, usize),
    elements: usize,
) -> Buffer {
    let mut buffer = Buffer::new(elements * size_of::<P>());
    if elements == 0 {
        return buffer;
    }
    let out = SharedMut::new(buffer.as_mut_slice::<P>());
    let n_panels = n.div_ceil(PANEL);
    // A chunk moves at least a quarter of a megabyte.
    let group = (65_536 / (k * PANEL)).clamp(1, n_panels);
    parallel_for(n_panels.div_ceil(group), &|chunk| {
        for panel in chunk * group..((chunk + 1) * group).min(n_panels) {
            // SAFETY: each panel belongs to one chunk.
            let out = unsafe { out.part(panel * k * PANEL, k * PANEL) };
            let start = panel * PANEL;
            pack_panel(&source[start * strides.1..], (n - start).min(PANEL), strides, out);
        }
    });
    buffer
}

/// Packs `width` columns into one panel.
fn pack_panel<S: Stored, P: Packed>(
    source: &[S],
    width: usize,
    (row_stride, col_stride): (usize, usize),
    out: &mut [P],
) {
    if width < PANEL {
        out.fill(P::zeroed());
    }
    if col_stride == 1 {
        for (row, out) in out.chunks_exact_mut(PANEL).enumerate() {
            let source = &source[row * row_stride..row * row_stride + width];
            for (out, &x) in out.iter_mut().zip(source) {
                *out = P::of(x.widen());
            }
        }
    } else if row_stride == 1 {
        pack_columns(source, width, col_stride, out);
    } else {
        for (row, out) in out.chunks_exact_mut(PANEL).enumerate() {
            for (col, out) in out[..width].iter_mut().enumerate() {
                *out = P::of(source[row * row_stride + col * col_stride].widen());
            }
        }
    }
}

/// Packs columns that are contiguous in the source, by transposing.
fn pack_columns<S: Stored, P: Packed>(source: &[S], width: usize, col_stride: usize, out: &mut [P]) {
    let k = out.len() / PANEL;
    if k == 0 {
        return;
    }
    assert!((width - 1) * col_stride + k <= source.len(), "columns end within their slice");
    if let (Some(source), Some(out)) = (S::floats(source), P::floats(&mut *out)) {
        // SAFETY: the columns are inside the source, and `k` rows of a panel are `out`.
        unsafe { transpose(source.as_ptr(), col_stride, width, k, out.as_mut_ptr(), PANEL) };
        return;
    }
    // By way of `f32`, some rows of the panel at a time.
    const ROWS: usize = 64;
    let mut columns = [0.0f32; PANEL * ROWS];
    let mut block = [0.0f32; PANEL * ROWS];
    for (idx, out) in out.chunks_mut(ROWS * PANEL).enumerate() {
        let rows = out.len() / PANEL;
        for col in 0..width {
            let source = &source[col * col_stride + idx * ROWS..][..rows];
            for (x, &s) in columns[col * ROWS..].iter_mut().zip(source) {
                *x = s.widen();
            }
        }
        // SAFETY: both arrays hold `PANEL * ROWS` elements, and `width <= PANEL`, `rows <= ROWS`.
        unsafe { transpose(columns.as_ptr(), ROWS, width, rows, block.as_mut_ptr(), PANEL) };
        for (out, &x) in out.iter_mut().zip(&block) {
            *out = P::of(x);
        }
    }
}
