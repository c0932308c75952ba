//! Conversions between `f32` and the 16-bit floats. Widening is exact; narrowing rounds to nearest, ties to even.

#![expect(unsafe_code, reason = "disjoint parts of one slice are handed to several threads")]

use half::{bf16, f16};

use crate::isa::multiversion;
use crate::shared::SharedMut;
use crate::threads::parallel_ranges;

const GRAIN: usize = 32 * 1024;

/// The value of half-float bits.
#[inline(always)]
pub(crate) fn widen_f16(s: u16) -> f32 {
    let (sign, rest) = (u32::from(s & 0x8000) << 16, u32::from(s & 0x7fff));
    // Moving the exponent by multiplication turns subnormals right too.
    let finite = (f32::from_bits(rest << 13) * f32::from_bits(0x7780_0000)).to_bits();
    let special = (rest << 13) | 0x7f80_0000;
    // A signalling NaN becomes quiet, as in hardware.
    let special = if rest > 0x7c00 { special | 0x0040_0000 } else { special };
    f32::from_bits(sign | if rest >= 0x7c00 { special } else { finite })
}

multiversion! {
    /// Widens `bf16` bits.
    pub(crate) fn extend_bf16(src: &[u16], dst: &mut [f32]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = f32::from_bits(u32::from(s) << 16);
        }
    }

    fn narrow_bf16(src: &[f32], dst: &mut [u16]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            let bits = s.to_bits();
            let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
            // A NaN keeps its sign and stays one.
            let nan = (bits >> 16) as u16 | 0x40;
            *d = if s.is_nan() { nan } else { rounded };
        }
    }

    fn extend_f16(src: &[u16], dst: &mut [f32]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = widen_f16(s);
        }
    }

    fn narrow_f16(src: &[f32], dst: &mut [u16]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            let bits = s.to_bits();
            let sign = (bits >> 16) as u16 & 0x8000;
            let rest = bits & 0x7fff_ffff;
            // Normal results: round at bit 13, then move the exponent.
            let normal = rest.wrapping_add(0x0fff + ((rest >> 13) & 1)).wrapping_sub(112 << 23) >> 13;
            // Subnormal results: adding one half puts the last place of the result at the last place of the sum.
            let subnormal = (f32::from_bits(rest) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
            let y = if rest < 0x3880_0000 { subnormal } else { normal };
            let y = if rest >= 0x477f_f000 { 0x7c00 } else { y };
            let y = if rest > 0x7f80_0000 { 0x7e00 | ((rest >> 13) & 0x3ff) } else { y };
            *d = sign | y as u16;
        }
    }
}

fn over_parts<S: Sync, D: Send>(src: &[S], dst: &mut [D], body: fn(&[S], &mut [D])) {
    assert_eq!(src.len(), dst.len(), "source and destination have one length");
    let len = dst.len();
    if len < 2 * GRAIN {
        body(src, dst);
        return;
    }
    let dst = SharedMut::new(dst);
    parallel_ranges(len, GRAIN, 64, &|start, end| {
        // SAFETY: ranges are disjoint.
        body(&src[start..end], unsafe { dst.part(start, end - start) });
    });
}

/// Widens brain floats.
pub fn bf16_to_f32(src: &[bf16], dst: &mut [f32]) {
    over_parts(bytemuck::cast_slice(src), dst, extend_bf16);
}

/// Rounds to brain floats.
///
/// ```
/// use half::bf16;
/// let mut y = [bf16::ZERO; 2];
/// pellucid_kernels::convert::f32_to_bf16(&[1.0, 1.001], &mut y);
/// assert_eq!(y, [bf16::ONE; 2]);
/// ```
pub fn f32_to_bf16(src: &[f32], dst: &mut [bf16]) {
    over_parts(src, bytemuck::cast_slice_mut(dst), narrow_bf16);
}

/// Widens half floats.
pub fn f16_to_f32(src: &[f16], dst: &mut [f32]) {
    over_parts(bytemuck::cast_slice(src), dst, extend_f16);
}

/// Rounds to half floats.
pub fn f32_to_f16(src: &[f32], dst: &mut [f16]) {
    over_parts(src, bytemuck::cast_slice_mut(dst), narrow_f16);
}
