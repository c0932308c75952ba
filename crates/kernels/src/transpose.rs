//! Transposition of blocks of `f32`, the step that packing and gathering share.

#![expect(unsafe_code, reason = "explicit vector shuffles over strided memory")]

#[cfg(target_arch = "x86_64")]
use crate::isa::{Level, level};

/// Columns of the source that are read along before the next rows are: four cache lines.
const RUN: usize = 64;

/// `dst[j * dst_row + i] = src[i * src_row + j]` for `i < rows`, `j < cols`.
///
/// # Safety
///
/// Both pointers must be good for the elements named, without overlap.
pub(crate) unsafe fn transpose(
    src: *const f32,
    src_row: usize,
    rows: usize,
    cols: usize,
    dst: *mut f32,
    dst_row: usize,
) {
    let mut col = 0;
    while col < cols {
        let width = RUN.min(cols - col);
        let mut row = 0;
        while row < rows {
            // The last eight rows may take some once more: that costs less than going one by one.
            if rows >= 8 {
                row = row.min(rows - 8);
            }
            let height = 8.min(rows - row);
            // SAFETY: a part of what the caller vouches for; the level is supported.
            unsafe {
                let src = src.add(row * src_row + col);
                let dst = dst.add(col * dst_row + row);
                #[cfg(target_arch = "x86_64")]
                if height == 8 && level() >= Level::Avx2Fma {
                    let whole = width / 8 * 8;
                    eight_rows(src, src_row, whole, dst, dst_row);
                    plain(src.add(whole), src_row, 8, width - whole, dst.add(whole * dst_row), dst_row);
                    row += height;
                    continue;
                }
                plain(src, src_row, height, width, dst, dst_row);
            }
            row += height;
        }
        col += width;
    }
}

/// Element by element.
#[inline(always)]
unsafe fn plain(src: *const f32, src_row: usize, rows: usize, cols: usize, dst: *mut f32, dst_row: usize) {
    for j in 0..cols {
        for i in 0..rows {
            // SAFETY: passed on to the caller.
            unsafe { *dst.add(j * dst_row + i) = *src.add(i * src_row + j) };
        }
    }
}

/// Eight rows of a multiple of eight columns.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn eight_rows(src: *const f32, src_row: usize, cols: usize, dst: *mut f32, dst_row: usize) {
    use std::arch::x86_64::*;
    let mut col = 0;
    while col < cols {
        // SAFETY: eight by eight elements that the caller vouches for.
        unsafe {
            // Halves of rows i and i + 4 side by side, so that all later shuffles stay within halves.
            let load = |i: usize, half: usize| {
                let at = src.add(i * src_row + col + half * 4);
                let low = _mm256_castps128_ps256(_mm_loadu_ps(at));
                _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(at.add(4 * src_row)))
            };
            for half in 0..2 {
                let (a, b, c, d) = (load(0, half), load(1, half), load(2, half), load(3, half));
                let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                let out = dst.add((col + half * 4) * dst_row);
                _mm256_storeu_ps(out, _mm256_shuffle_ps::<0x44>(ab_low, cd_low));
                _mm256_storeu_ps(out.add(dst_row), _mm256_shuffle_ps::<0xee>(ab_low, cd_low));
                _mm256_storeu_ps(out.add(2 * dst_row), _mm256_shuffle_ps::<0x44>(ab_high, cd_high));
                _mm256_storeu_ps(out.add(3 * dst_row), _mm256_shuffle_ps::<0xee>(ab_high, cd_high));
            }
        }
        col += 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::with_level;

    #[test]
    fn any_block_is_transposed_at_every_level_and_nothing_else_is_touched() {
        for (rows, cols) in [(1, 1), (8, 8), (7, 9), (16, 64), (19, 131), (48, 65), (3, 0)] {
            let (src_row, dst_row) = (cols + 3, rows + 2);
            let src: Vec<f32> = (0..rows * src_row).map(|i| i as f32).collect();
            for level in crate::isa::Level::ALL {
                with_level(level, || {
                    let mut dst = vec![-1.0; cols * dst_row];
                    // SAFETY: both vectors hold whole rows.
                    unsafe { transpose(src.as_ptr(), src_row, rows, cols, dst.as_mut_ptr(), dst_row) };
                    for (at, &x) in dst.iter().enumerate() {
                        let (j, i) = (at / dst_row, at % dst_row);
                        let expected = if i < rows { src[i * src_row + j] } else { -1.0 };
                        assert_eq!(x, expected);
                    }
                });
            }
        }
    }
}
