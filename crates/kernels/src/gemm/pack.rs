//! The right-hand side of a product, rearranged so that the innermost loop reads it in order.

use half::{bf16, f16};

use super::PANEL;
use crate::memory::Buffer;
use crate::shared::SharedMut;
use crate::threads::parallel_for;

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
            (PanelFormat::F32, Source::F32(s)) => pack_panels(s, k, n, strides, elements, |x| x),
            (PanelFormat::F32, Source::Bf16(s)) => {
                pack_panels(s, k, n, strides, elements, |x| f32::from_bits(u32::from(x.to_bits()) << 16))
            }
            (PanelFormat::F32, Source::F16(s)) => pack_panels(s, k, n, strides, elements, f16::to_f32),
            (PanelFormat::Bf16, Source::Bf16(s)) => pack_panels(s, k, n, strides, elements, bf16::to_bits),
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

fn pack_panels<S: Copy + Sync, P: bytemuck::Pod + Send>(
    source: &[S],
    k: usize,
    n: usize,
    strides: (usize, usize),
    elements: usize,
    convert: impl Fn(S) -> P + Sync + Copy,
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
            #[expect(unsafe_code, reason = "panels are disjoint parts of the buffer")]
            // SAFETY: each panel belongs to one chunk.
            let out = unsafe { out.part(panel * k * PANEL, k * PANEL) };
            let start = panel * PANEL;
            pack_panel(&source[start * strides.1..], k, (n - start).min(PANEL), strides, out, convert);
        }
    });
    buffer
}

/// Packs `width` columns into one panel.
fn pack_panel<S: Copy, P: bytemuck::Pod>(
    source: &[S],
    k: usize,
    width: usize,
    (row_stride, col_stride): (usize, usize),
    out: &mut [P],
    convert: impl Fn(S) -> P + Copy,
) {
    if width < PANEL {
        out.fill(P::zeroed());
    }
    if col_stride == 1 {
        for (row, out) in out.chunks_exact_mut(PANEL).enumerate() {
            let source = &source[row * row_stride..row * row_stride + width];
            for (out, &x) in out.iter_mut().zip(source) {
                *out = convert(x);
            }
        }
        return;
    }
    // Sixteen rows at a time: their lines of the panel stay in the first-level cache while columns are read along.
    for (block, out) in out.chunks_mut(16 * PANEL).enumerate() {
        let rows = out.len() / PANEL;
        for col in 0..width {
            let source = &source[block * 16 * row_stride + col * col_stride..];
            if row_stride == 1 {
                for (row, &x) in source[..rows].iter().enumerate() {
                    out[row * PANEL + col] = convert(x);
                }
            } else {
                for row in 0..rows {
                    out[row * PANEL + col] = convert(source[row * row_stride]);
                }
            }
        }
    }
    debug_assert_eq!(out.len(), k * PANEL);
}
