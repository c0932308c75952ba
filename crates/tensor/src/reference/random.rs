//! Random draws: Philox4x32-10 (Salmon et al. 2011), one block of the counter for each element.
//!
//! Element `i` of a draw depends on the seed and on `offset + i` only, so a draw split in any way gives the same
//! numbers.

use super::number::Number;
use crate::dtype::DType;
use crate::op::RandomKind;
use crate::shape::numel;
use crate::value::Value;

/// Ten rounds of Philox on a counter, as four words.
pub(super) fn philox(seed: u64, counter: u64) -> [u32; 4] {
    philox_block([seed as u32, (seed >> 32) as u32], [counter as u32, (counter >> 32) as u32, 0, 0])
}

fn philox_block(mut key: [u32; 2], mut x: [u32; 4]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(x[0]) * 0xD251_1F53;
        let b = u64::from(x[2]) * 0xCD9E_8D57;
        x = [(b >> 32) as u32 ^ x[1] ^ key[0], b as u32, (a >> 32) as u32 ^ x[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    x
}

/// The `digits` most significant of 64 bits, as a number in `[0, 1)`.
fn fraction(high: u32, low: u32, digits: u32) -> f64 {
    let bits = u64::from(high) << 32 | u64::from(low);
    (bits >> (64 - digits)) as f64 / (1u64 << digits) as f64
}

/// The binary digits of an element type's significand: a uniform draw of more could round up to one.
fn digits(dtype: DType) -> u32 {
    match dtype {
        DType::F64 => 53,
        DType::F16 => 11,
        DType::BF16 => 8,
        _ => 24,
    }
}

pub(super) fn draw(kind: RandomKind, seed: u64, offset: u64, dims: &[usize], dtype: DType) -> Value {
    let words = (0..numel(dims) as u64).map(|i| philox(seed, offset.wrapping_add(i)));
    match kind {
        RandomKind::Uniform => {
            let all: Vec<f64> = words.map(|w| fraction(w[0], w[1], digits(dtype))).collect();
            f64::write(&all, dims, dtype)
        }
        RandomKind::Normal => {
            let all: Vec<f64> = words.map(normal).collect();
            f64::write(&all, dims, dtype)
        }
        RandomKind::Integer { low, high } => {
            let range = high.wrapping_sub(low) as u64;
            let all: Vec<i64> = words
                .map(|w| {
                    let bits = u64::from(w[0]) << 32 | u64::from(w[1]);
                    let above = (u128::from(bits) * u128::from(range)) >> 64;
                    low.wrapping_add(above as i64)
                })
                .collect();
            i64::write(&all, dims, dtype)
        }
    }
}

/// A standard normal number by Box and Muller's method.
fn normal(words: [u32; 4]) -> f64 {
    // In (0, 1], whose logarithm is finite.
    let radius = 1.0 - fraction(words[0], words[1], 53);
    let turn = fraction(words[2], words[3], 53);
    (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * turn).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_philox_4x32_10() {
        // The known answers published with the algorithm.
        assert_eq!(philox_block([0; 2], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox_block([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn half_precision_draws_stay_below_one() {
        for dtype in [DType::F16, DType::BF16] {
            let draw = draw(RandomKind::Uniform, 1, 0, &[100_000], dtype);
            let all = f32::read(&draw);
            assert!(all.iter().all(|&x| (0.0..1.0).contains(&x)));
        }
    }
}
