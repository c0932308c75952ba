//! The innermost loops: one tile of the product, held in registers.
//!
//! A tile has `MR` rows and `NV` vectors of columns. For each `k` in order, one row of `b` is loaded and every element of
//! the tile takes one fused multiply-add. That is the law of the crate, so tile shapes may differ without changing a bit.

#![expect(unsafe_code, reason = "register tiles over raw pointers, with explicit vector instructions")]

/// What one tile reads and writes.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Length of the chain.
    pub(crate) k: usize,
    pub(crate) a: *const f32,
    /// Elements between rows of `a`, and between successive `k`. Packed tiles ignore both.
    pub(crate) a_row: usize,
    pub(crate) a_k: usize,
    /// `f32`, or `bf16` as bits when the kernel says so.
    pub(crate) b: *const u8,
    /// Elements of `b` between successive `k`.
    pub(crate) b_k: usize,
    /// Elements between two panels, for the kernels that take several.
    pub(crate) b_panel: usize,
    pub(crate) c: *mut f32,
    pub(crate) c_row: usize,
    /// Columns to write, at most `NV` vectors and more than `NV - 1`.
    pub(crate) width: usize,
    /// Whether the chain goes on from what `c` holds instead of starting at zero.
    pub(crate) accumulate: bool,
}

/// How a tile reads `a` and `b`.
pub(crate) mod layout {
    /// `a` in strips of `MR` rows, `b` in padded panels of `f32`.
    pub(crate) const PACKED: u8 = 0;
    /// As `PACKED`, with panels of `bf16`.
    pub(crate) const PACKED_BF16: u8 = 1;
    /// `a` strided; rows of `b` may be read to a whole vector.
    pub(crate) const STRIDED: u8 = 2;
    /// `a` strided; rows of `b` end at `width`.
    pub(crate) const STRIDED_TAIL: u8 = 3;
}

/// The vector operations of one level.
///
/// # Safety
///
/// Every function needs the instructions of the level, and pointers good for the elements it names.
pub(crate) trait Simd: Copy {
    /// `f32` lanes of a vector.
    const LANES: usize;
    /// The tallest tile.
    const MR: usize;
    /// The widest tile over unpacked `b`, in vectors.
    const NV: usize;
    type V: Copy;
    type Mask: Copy;
    unsafe fn zero() -> Self::V;
    unsafe fn splat(from: *const f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn load_bf16(from: *const u16) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// A mask of the first `n` lanes, `1 <= n <= LANES`.
    unsafe fn mask(n: usize) -> Self::Mask;
    unsafe fn load_masked(from: *const f32, mask: Self::Mask) -> Self::V;
    unsafe fn store_masked(to: *mut f32, mask: Self::Mask, v: Self::V);
    unsafe fn prefetch(from: *const u8);
    /// `tile_body`, compiled for the level.
    unsafe fn tile<const MR: usize, const NV: usize, const LAYOUT: u8>(t: &Tile);
    /// `panels_body`, compiled for the level.
    unsafe fn panels<const MR: usize, const P: usize, const NV: usize, const LAYOUT: u8>(t: &Tile);
}

#[inline(always)]
unsafe fn tile_body<S: Simd, const MR: usize, const NV: usize, const LAYOUT: u8>(t: &Tile) {
    // SAFETY: the caller vouches for every pointer of the tile, and for the instructions of `S`.
    unsafe {
        let (a_row, a_k) = match LAYOUT {
            layout::PACKED | layout::PACKED_BF16 => (1, MR),
            _ => (t.a_row, t.a_k),
        };
        let mask = S::mask(t.width - (NV - 1) * S::LANES);
        let full = t.width == NV * S::LANES;
        let mut acc = [[S::zero(); NV]; MR];
        if t.accumulate {
            for (i, row) in acc.iter_mut().enumerate() {
                let c = t.c.add(i * t.c_row);
                for (j, v) in row.iter_mut().enumerate() {
                    let c = c.add(j * S::LANES);
                    *v = if full || j + 1 < NV { S::load(c) } else { S::load_masked(c, mask) };
                }
            }
        }
        let mut a = t.a;
        if LAYOUT == layout::PACKED_BF16 {
            let mut b = t.b.cast::<u16>();
            for _ in 0..t.k {
                let mut row = [S::zero(); NV];
                for (j, v) in row.iter_mut().enumerate() {
                    *v = S::load_bf16(b.add(j * S::LANES));
                }
                S::prefetch(b.cast::<u8>().wrapping_add(1536));
                for (i, acc) in acc.iter_mut().enumerate() {
                    let x = S::splat(a.add(i * a_row));
                    for (v, &y) in acc.iter_mut().zip(&row) {
                        *v = S::fma(x, y, *v);
                    }
                }
                a = a.add(a_k);
                b = b.wrapping_add(t.b_k);
            }
        } else {
            let mut b = t.b.cast::<f32>();
            for _ in 0..t.k {
                let mut row = [S::zero(); NV];
                for (j, v) in row.iter_mut().enumerate() {
                    let b = b.add(j * S::LANES);
                    *v = if LAYOUT == layout::STRIDED_TAIL && j + 1 == NV {
                        S::load_masked(b, mask)
                    } else {
                        S::load(b)
                    };
                    if LAYOUT == layout::PACKED {
                        S::prefetch(b.cast::<u8>().wrapping_add(2304));
                    }
                }
                for (i, acc) in acc.iter_mut().enumerate() {
                    let x = S::splat(a.wrapping_add(i * a_row));
                    for (v, &y) in acc.iter_mut().zip(&row) {
                        *v = S::fma(x, y, *v);
                    }
                }
                a = a.wrapping_add(a_k);
                b = b.wrapping_add(t.b_k);
            }
        }
        for (i, row) in acc.iter().enumerate() {
            let c = t.c.add(i * t.c_row);
            for (j, &v) in row.iter().enumerate() {
                let c = c.add(j * S::LANES);
                if full || j + 1 < NV {
                    S::store(c, v);
                } else {
                    S::store_masked(c, mask, v);
                }
            }
        }
    }
}

/// Few rows and `P` panels at once: several streams keep the memory busy, and several chains the multipliers.
/// All panels are full; `width` is that of one panel.
#[inline(always)]
unsafe fn panels_body<S: Simd, const MR: usize, const P: usize, const NV: usize, const LAYOUT: u8>(t: &Tile) {
    // SAFETY: the caller vouches for every pointer of the tile, and for the instructions of `S`.
    unsafe {
        let mut acc = [[[S::zero(); NV]; P]; MR];
        if t.accumulate {
            for (i, row) in acc.iter_mut().enumerate() {
                for (p, panel) in row.iter_mut().enumerate() {
                    for (j, v) in panel.iter_mut().enumerate() {
                        *v = S::load(t.c.add(i * t.c_row + p * t.width + j * S::LANES));
                    }
                }
            }
        }
        let bytes = if LAYOUT == layout::PACKED_BF16 { 2 } else { 4 };
        let mut a = t.a;
        let mut b = t.b;
        for _ in 0..t.k {
            for p in 0..P {
                let b = b.wrapping_add(p * t.b_panel * bytes);
                for j in 0..NV {
                    let y = if LAYOUT == layout::PACKED_BF16 {
                        S::load_bf16(b.cast::<u16>().add(j * S::LANES))
                    } else {
                        S::load(b.cast::<f32>().add(j * S::LANES))
                    };
                    S::prefetch(b.wrapping_add(j * S::LANES * bytes + 2304));
                    for (i, acc) in acc.iter_mut().enumerate() {
                        acc[p][j] = S::fma(S::splat(a.add(i)), y, acc[p][j]);
                    }
                }
            }
            a = a.add(MR);
            b = b.wrapping_add(t.b_k * bytes);
        }
        for (i, row) in acc.iter().enumerate() {
            for (p, panel) in row.iter().enumerate() {
                for (j, &v) in panel.iter().enumerate() {
                    S::store(t.c.add(i * t.c_row + p * t.width + j * S::LANES), v);
                }
            }
        }
    }
}

/// Compiles the tile loops for a level.
macro_rules! compiled_for {
    ($(#[$feature:meta])*) => {
        unsafe fn tile<const MR: usize, const NV: usize, const LAYOUT: u8>(t: &Tile) {
            $(#[$feature])*
            unsafe fn compiled<const MR: usize, const NV: usize, const LAYOUT: u8>(t: &Tile) {
                // SAFETY: passed on to the caller.
                unsafe { tile_body::<Level, MR, NV, LAYOUT>(t) }
            }
            // SAFETY: passed on to the caller.
            unsafe { compiled::<MR, NV, LAYOUT>(t) }
        }

        unsafe fn panels<const MR: usize, const P: usize, const NV: usize, const LAYOUT: u8>(t: &Tile) {
            $(#[$feature])*
            unsafe fn compiled<const MR: usize, const P: usize, const NV: usize, const LAYOUT: u8>(t: &Tile) {
                // SAFETY: passed on to the caller.
                unsafe { panels_body::<Level, MR, P, NV, LAYOUT>(t) }
            }
            // SAFETY: passed on to the caller.
            unsafe { compiled::<MR, P, NV, LAYOUT>(t) }
        }
    };
}

/// 512-bit vectors: 8 rows of 48 columns in 24 registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{Avx512 as Level, Simd, Tile, panels_body, tile_body};
    use std::arch::x86_64::*;

    #[expect(
        clippy::undocumented_unsafe_blocks,
        reason = "each is one instruction, under the contract of the trait"
    )]
    impl Simd for Level {
        const LANES: usize = 16;
        const MR: usize = 8;
        const NV: usize = 4;
        type V = __m512;
        type Mask = __mmask16;

        #[inline(always)]
        unsafe fn zero() -> __m512 {
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(from: *const f32) -> __m512 {
            unsafe { _mm512_set1_ps(*from) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn load_bf16(from: *const u16) -> __m512 {
            unsafe {
                let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
            }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: __m512) {
            unsafe { _mm512_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn mask(n: usize) -> __mmask16 {
            (u32::MAX >> (32 - n)) as __mmask16
        }
        #[inline(always)]
        unsafe fn load_masked(from: *const f32, mask: __mmask16) -> __m512 {
            unsafe { _mm512_maskz_loadu_ps(mask, from) }
        }
        #[inline(always)]
        unsafe fn store_masked(to: *mut f32, mask: __mmask16, v: __m512) {
            unsafe { _mm512_mask_storeu_ps(to, mask, v) }
        }
        #[inline(always)]
        unsafe fn prefetch(from: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }

        compiled_for!(#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]);
    }
}

/// 256-bit vectors: 6 rows of 16 columns in 12 registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Avx2 as Level, Simd, Tile, panels_body, tile_body};
    use std::arch::x86_64::*;

    /// Eight ones and eight zeros: a window of it is a mask.
    static WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    #[expect(
        clippy::undocumented_unsafe_blocks,
        reason = "each is one instruction, under the contract of the trait"
    )]
    impl Simd for Level {
        const LANES: usize = 8;
        const MR: usize = 6;
        const NV: usize = 2;
        type V = __m256;
        type Mask = __m256i;

        #[inline(always)]
        unsafe fn zero() -> __m256 {
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(from: *const f32) -> __m256 {
            unsafe { _mm256_set1_ps(*from) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn load_bf16(from: *const u16) -> __m256 {
            unsafe {
                let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
            }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: __m256) {
            unsafe { _mm256_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn mask(n: usize) -> __m256i {
            unsafe { _mm256_loadu_si256(WINDOW.as_ptr().add(8 - n).cast()) }
        }
        #[inline(always)]
        unsafe fn load_masked(from: *const f32, mask: __m256i) -> __m256 {
            unsafe { _mm256_maskload_ps(from, mask) }
        }
        #[inline(always)]
        unsafe fn store_masked(to: *mut f32, mask: __m256i, v: __m256) {
            unsafe { _mm256_maskstore_ps(to, mask, v) }
        }
        #[inline(always)]
        unsafe fn prefetch(from: *const u8) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }

        compiled_for!(#[target_feature(enable = "avx2,fma,f16c")]);
    }
}

/// Arrays that the compiler turns into whatever vectors the target has; four lanes suit NEON.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

mod portable {
    use super::{Portable as Level, Simd, Tile, panels_body, tile_body};

    impl Simd for Level {
        const LANES: usize = 4;
        const MR: usize = 6;
        const NV: usize = 4;
        type V = [f32; 4];
        type Mask = usize;

        #[inline(always)]
        unsafe fn zero() -> [f32; 4] {
            [0.0; 4]
        }
        #[inline(always)]
        unsafe fn splat(from: *const f32) -> [f32; 4] {
            // SAFETY: by the contract of the trait.
            [unsafe { *from }; 4]
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> [f32; 4] {
            // SAFETY: by the contract of the trait.
            unsafe { from.cast::<[f32; 4]>().read_unaligned() }
        }
        #[inline(always)]
        unsafe fn load_bf16(from: *const u16) -> [f32; 4] {
            // SAFETY: by the contract of the trait.
            let bits = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
            bits.map(|b| f32::from_bits(u32::from(b) << 16))
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: [f32; 4]) {
            // SAFETY: by the contract of the trait.
            unsafe { to.cast::<[f32; 4]>().write_unaligned(v) }
        }
        #[inline(always)]
        unsafe fn fma(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
            [
                a[0].mul_add(b[0], c[0]),
                a[1].mul_add(b[1], c[1]),
                a[2].mul_add(b[2], c[2]),
                a[3].mul_add(b[3], c[3]),
            ]
        }
        #[inline(always)]
        unsafe fn mask(n: usize) -> usize {
            n
        }
        #[inline(always)]
        unsafe fn load_masked(from: *const f32, mask: usize) -> [f32; 4] {
            let mut v = [0.0; 4];
            for (i, v) in v.iter_mut().enumerate().take(mask) {
                // SAFETY: by the contract of the trait.
                *v = unsafe { *from.add(i) };
            }
            v
        }
        #[inline(always)]
        unsafe fn store_masked(to: *mut f32, mask: usize, v: [f32; 4]) {
            for (i, &v) in v.iter().enumerate().take(mask) {
                // SAFETY: by the contract of the trait.
                unsafe { *to.add(i) = v };
            }
        }
        #[inline(always)]
        unsafe fn prefetch(_from: *const u8) {}

        compiled_for!();
    }
}

/// Runs a tile of any size that `S` holds in registers: `rows <= S::MR`, `t.width <= S::NV * S::LANES`, with the layouts
/// `STRIDED` and `STRIDED_TAIL`.
///
/// # Safety
///
/// The pointers of the tile must be good for what the tile reads and writes, and the machine must have the level.
#[inline]
pub(crate) unsafe fn run_strided<S: Simd, const LAYOUT: u8>(rows: usize, t: &Tile) {
    macro_rules! by_rows {
        ($nv:literal: $($mr:literal)*) => {
            match rows {
                // SAFETY: passed on to the caller.
                $($mr if $mr <= S::MR => unsafe { S::tile::<$mr, $nv, LAYOUT>(t) },)*
                _ => unreachable!("a tile of {rows} rows"),
            }
        };
    }
    match t.width.div_ceil(S::LANES) {
        1 => by_rows!(1: 1 2 3 4 5 6 7 8),
        2 => by_rows!(2: 1 2 3 4 5 6 7 8),
        3 => by_rows!(3: 1 2 3 4 5 6 7 8),
        _ => by_rows!(4: 1 2 3 4 5 6),
    }
}

/// Runs one strip of `rows <= S::MR` packed rows over one panel of at most [`super::PANEL`] columns.
///
/// # Safety
///
/// As for [`run_strided`].
#[inline]
pub(crate) unsafe fn run_packed<S: Simd, const LAYOUT: u8>(rows: usize, t: &Tile) {
    macro_rules! by_rows {
        ($nv:literal: $t:expr, $($mr:literal)*) => {
            match rows {
                // SAFETY: passed on to the caller.
                $($mr if $mr <= S::MR => unsafe { S::tile::<$mr, $nv, LAYOUT>($t) },)*
                _ => unreachable!("a strip of {rows} rows"),
            }
        };
    }
    if S::LANES == 16 {
        match t.width.div_ceil(16) {
            1 => by_rows!(1: t, 1 2 3 4 5 6 7 8),
            2 => by_rows!(2: t, 1 2 3 4 5 6 7 8),
            _ => by_rows!(3: t, 1 2 3 4 5 6 7 8),
        }
        return;
    }
    // Narrower vectors take the panel 16 columns at a time.
    let bytes = if LAYOUT == layout::PACKED_BF16 { 2 } else { 4 };
    let mut done = 0;
    while done < t.width {
        let mut part = *t;
        part.b = t.b.wrapping_add(done * bytes);
        part.c = t.c.wrapping_add(done);
        part.width = (t.width - done).min(16);
        match part.width.div_ceil(S::LANES) {
            1 => by_rows!(1: &part, 1 2 3 4 5 6),
            2 => by_rows!(2: &part, 1 2 3 4 5 6),
            3 => by_rows!(3: &part, 1 2 3 4 5 6),
            _ => by_rows!(4: &part, 1 2 3 4 5 6),
        }
        done += 16;
    }
}
