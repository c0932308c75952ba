//! Row kernels, broadcasting, copies and conversions against plain loops.

use half::{bf16, f16};
use pellucid_kernels::convert::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use pellucid_kernels::elementwise::{
    BinaryKind, UnaryKind, axpy, binary_column, binary_column_in_place, binary_row, binary_row_in_place,
    column_sums, gated,
};
use pellucid_kernels::isa::{Level, with_level};
use pellucid_kernels::rows::{
    RmsNorm, layer_norm, layer_norm_backward_input, log_softmax, log_softmax_backward, log_softmax_in_place,
    rms_norm, rms_norm_backward_input, row_argmax, row_max, row_sum, softmax, softmax_backward,
    softmax_in_place,
};
use pellucid_kernels::strided::{copy_strided, copy_strided_bytes};
use proptest::prelude::*;

fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / 4_194_304.0 - 2.0
        })
        .collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Runs `kernel` at every level, asserts equal bits, and returns the result.
fn at_every_level(len: usize, kernel: impl Fn(&mut [f32])) -> Vec<f32> {
    let mut results = Level::ALL.into_iter().filter_map(|level| {
        with_level(level, || {
            let mut y = vec![f32::NAN; len];
            kernel(&mut y);
            y
        })
    });
    let first = results.next().expect("the portable level always runs");
    for other in results {
        assert_eq!(bits(&first), bits(&other));
    }
    first
}

fn assert_close(got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (&got, &expected) in got.iter().zip(expected) {
        assert!((f64::from(got) - expected).abs() <= tolerance, "{got} against {expected}");
    }
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

fn softmax64(x: &[f64]) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = x.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn row_kernels_agree_with_f64_and_between_levels(n in 1usize..400, rows in 1usize..9, seed in 0u64..1000) {
        let x = values(rows * n, seed);
        let (w, b) = (values(n, seed + 1), values(n, seed + 2));
        let rows64: Vec<Vec<f64>> = x.chunks(n).map(wide).collect();
        let each = |f: &dyn Fn(&[f64]) -> Vec<f64>| -> Vec<f64> { rows64.iter().flat_map(|r| f(r)).collect() };

        let y = at_every_level(x.len(), |y| softmax(&x, n, y));
        assert_close(&y, &each(&softmax64), 1e-6);
        let mut z = x.clone();
        softmax_in_place(&mut z, n);
        prop_assert_eq!(bits(&z), bits(&y));

        let y = at_every_level(x.len(), |y| log_softmax(&x, n, y));
        assert_close(&y, &each(&|r| softmax64(r).into_iter().map(f64::ln).collect()), 3e-6);
        let mut z = x.clone();
        log_softmax_in_place(&mut z, n);
        prop_assert_eq!(bits(&z), bits(&y));

        let norm64 = |r: &[f64]| -> Vec<f64> {
            let mean = r.iter().sum::<f64>() / n as f64;
            let var = r.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            r.iter().map(|x| (x - mean) / (var + 1e-3).sqrt()).collect()
        };
        let affine = |r: &[f64]| -> Vec<f64> {
            norm64(r).iter().zip(&w).zip(&b).map(|((x, &w), &b)| x * f64::from(w) + f64::from(b)).collect()
        };
        let y = at_every_level(x.len(), |y| layer_norm(&x, n, Some(&w), Some(&b), 1e-3, y));
        assert_close(&y, &each(&affine), 1e-5);
        let y = at_every_level(x.len(), |y| layer_norm(&x, n, None, None, 1e-3, y));
        assert_close(&y, &each(&norm64), 1e-5);

        for unit_offset in [false, true] {
            let norm = RmsNorm { eps: 1e-3, unit_offset };
            let y = at_every_level(x.len(), |y| rms_norm(&x, &w, norm, y));
            let expected = each(&|r| {
                let scale = (r.iter().map(|x| x * x).sum::<f64>() / n as f64 + 1e-3).sqrt();
                let factor = |w: f32| f64::from(w) + if unit_offset { 1.0 } else { 0.0 };
                r.iter().zip(&w).map(|(x, &w)| x / scale * factor(w)).collect()
            });
            assert_close(&y, &expected, 1e-5);
        }

        let y = at_every_level(rows, |y| row_sum(&x, n, y));
        assert_close(&y, &each(&|r| vec![r.iter().sum()]), 1e-4);
        let y = at_every_level(rows, |y| row_max(&x, n, y));
        assert_close(&y, &each(&|r| vec![r.iter().copied().fold(f64::NEG_INFINITY, f64::max)]), 0.0);
        let mut places = vec![0; rows];
        row_argmax(&x, n, &mut places);
        for (row, place) in x.chunks(n).zip(places) {
            prop_assert!(row.iter().all(|&v| v <= row[place as usize]));
        }
    }

    #[test]
    fn backward_kernels_agree_with_differences(n in 1usize..50, seed in 0u64..1000) {
        let (x, g, w) = (values(n, seed), values(n, seed + 1), values(n, seed + 2));
        // The slope of sum(g * f(x)) in each direction.
        let slopes = |f: &dyn Fn(&[f64]) -> Vec<f64>| -> Vec<f64> {
            let loss = |x: &[f64]| -> f64 { f(x).iter().zip(&g).map(|(y, &g)| y * f64::from(g)).sum() };
            (0..n).map(|i| {
                let (mut up, mut down) = (wide(&x), wide(&x));
                up[i] += 1e-5;
                down[i] -= 1e-5;
                (loss(&up) - loss(&down)) / 2e-5
            }).collect()
        };
        let mut y = vec![0.0; n];
        softmax(&x, n, &mut y);
        let gx = at_every_level(n, |gx| softmax_backward(&y, &g, n, gx));
        assert_close(&gx, &slopes(&softmax64), 1e-5);

        log_softmax(&x, n, &mut y);
        let gx = at_every_level(n, |gx| log_softmax_backward(&y, &g, n, gx));
        assert_close(&gx, &slopes(&|r| softmax64(r).into_iter().map(f64::ln).collect()), 3e-5);

        let norm64 = |r: &[f64]| -> Vec<f64> {
            let mean = r.iter().sum::<f64>() / n as f64;
            let var = r.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            r.iter().zip(&w).map(|(x, &w)| (x - mean) / (var + 0.1).sqrt() * f64::from(w)).collect()
        };
        let gx = at_every_level(n, |gx| layer_norm_backward_input(&x, n, Some(&w), &g, 0.1, gx));
        assert_close(&gx, &slopes(&norm64), 1e-4);

        for unit_offset in [false, true] {
            let rms64 = |r: &[f64]| -> Vec<f64> {
                let scale = (r.iter().map(|x| x * x).sum::<f64>() / n as f64 + 0.1).sqrt();
                let factor = |w: f32| f64::from(w) + if unit_offset { 1.0 } else { 0.0 };
                r.iter().zip(&w).map(|(x, &w)| x / scale * factor(w)).collect()
            };
            let norm = RmsNorm { eps: 0.1, unit_offset };
            let gx = at_every_level(n, |gx| rms_norm_backward_input(&x, &w, &g, norm, gx));
            assert_close(&gx, &slopes(&rms64), 1e-4);
        }
    }

    #[test]
    fn any_view_is_copied_as_a_plain_loop_copies_it(
        shape in prop::collection::vec(1usize..20, 0..5), order in any::<u64>(), flips in any::<u8>(), gap in 0usize..2,
        repeat in 0usize..6,
    ) {
        // Axes in some order in memory, some of them backwards, some repeated.
        let rank = shape.len();
        let mut axes: Vec<usize> = (0..rank).collect();
        for i in (1..rank).rev() {
            axes.swap(i, (order >> (8 * i)) as usize % (i + 1));
        }
        let mut strides = vec![0isize; rank];
        let (mut step, mut offset) = (1, 0);
        for &axis in &axes {
            strides[axis] = if axis == repeat { 0 } else { step as isize };
            if flips >> axis & 1 == 1 {
                offset += (shape[axis] as isize - 1) * strides[axis];
                strides[axis] = -strides[axis];
            }
            step *= shape[axis] + gap;
        }
        let src: Vec<u32> = (0..step as u32).collect();
        let len: usize = shape.iter().product();
        let expected: Vec<u32> = (0..len).map(|flat| {
            let (mut rest, mut at) = (flat, offset);
            for axis in (0..rank).rev() {
                at += (rest % shape[axis]) as isize * strides[axis];
                rest /= shape[axis];
            }
            src[at as usize]
        }).collect();
        let mut dst = vec![0u32; len];
        copy_strided(&src, offset as usize, &shape, &strides, &mut dst);
        prop_assert_eq!(&dst, &expected);
        let mut bytes = vec![0u32; len];
        copy_strided_bytes(4, bytemuck::cast_slice(&src), offset as usize, &shape, &strides, bytemuck::cast_slice_mut(&mut bytes));
        prop_assert_eq!(&bytes, &expected);
    }

    #[test]
    fn broadcasts_repeat_rows_and_columns(rows in 1usize..5, n in 1usize..70, seed in 0u64..100) {
        let (a, row, column) = (values(rows * n, seed), values(n, seed + 1), values(rows, seed + 2));
        let mut y = vec![0.0; a.len()];
        binary_row(BinaryKind::Sub, &a, &row, &mut y);
        for (i, &y) in y.iter().enumerate() {
            prop_assert_eq!(y, a[i] - row[i % n]);
        }
        let mut z = a.clone();
        binary_row_in_place(BinaryKind::Sub, &mut z, &row);
        prop_assert_eq!(&z, &y);
        binary_column(BinaryKind::DivReversed, &a, &column, &mut y);
        for (i, &y) in y.iter().enumerate() {
            prop_assert_eq!(y.to_bits(), (column[i / n] / a[i]).to_bits());
        }
        let mut z = a.clone();
        binary_column_in_place(BinaryKind::DivReversed, &mut z, &column);
        prop_assert_eq!(bits(&z), bits(&y));
    }
}

#[test]
fn trailing_zeros_do_not_change_a_sum() {
    for n in 1..80 {
        let mut x = values(n, 5);
        let mut short = [0.0];
        row_sum(&x, n, &mut short);
        x.resize(n + 37, 0.0);
        let mut long = [0.0];
        row_sum(&x, n + 37, &mut long);
        assert_eq!(bits(&short), bits(&long));
    }
}

#[test]
fn a_row_does_not_depend_on_the_rows_beside_it() {
    let (rows, n) = (200, 333);
    let x = values(rows * n, 1);
    let mut all = vec![0.0; rows * n];
    softmax(&x, n, &mut all);
    for (x, all) in x.chunks(n).zip(all.chunks(n)) {
        let mut one = vec![0.0; n];
        softmax(x, n, &mut one);
        assert_eq!(bits(&one), bits(all));
    }
}

#[test]
fn infinities_and_nan_in_rows_come_out_as_defined() {
    let inf = f32::INFINITY;
    let mut y = [0.0; 2];
    softmax(&[-inf, -inf], 2, &mut y);
    assert!(y.iter().all(|y| y.is_nan()));
    log_softmax(&[-inf, 1.0], 2, &mut y);
    assert_eq!(y, [-inf, 0.0]);
    let mut max = [0.0; 2];
    row_max(&[1.0, f32::NAN, -inf, -inf], 2, &mut max);
    assert!(max[0].is_nan() && max[1] == -inf);
    let mut place = [0; 2];
    row_argmax(&[1.0, f32::NAN, 3.0, 3.0], 2, &mut place);
    assert_eq!(place, [1, 0]);
}

#[test]
fn column_sums_add_rows_in_order() {
    for (m, n) in [(0, 5), (1, 1), (300, 7), (900, 130)] {
        let x = values(m * n, 2);
        let y = at_every_level(n, |y| column_sums(&x, y));
        for (j, y) in y.iter().enumerate() {
            let expected = (0..m).fold(0.0f32, |acc, i| acc + x[i * n + j]);
            assert_eq!(y.to_bits(), expected.to_bits());
        }
    }
}

#[test]
fn long_slices_are_cut_for_threads_without_a_trace() {
    let n = 100_003;
    let (x, mut y) = (values(n, 1), values(n, 2));
    let expected: Vec<f32> = x.iter().zip(&y).map(|(&x, &y)| 0.3f32.mul_add(x, y)).collect();
    axpy(0.3, &x, &mut y);
    assert_eq!(bits(&y), bits(&expected));
    let mut z = vec![0.0; n];
    gated(UnaryKind::Silu, &x, &y, &mut z);
    for ((&z, &x), &y) in z.iter().zip(&x).zip(&y) {
        assert_eq!(z.to_bits(), (pellucid_kernels::math::silu(x) * y).to_bits());
    }
}

#[test]
fn conversions_agree_with_exact_rounding() {
    let mut x: Vec<f32> = (0..=u32::MAX / 5003).map(|i| f32::from_bits(i * 5003)).collect();
    // Halfway cases of both formats, and their neighbours.
    for high in 0..=u16::MAX {
        let bits = u32::from(high) << 16;
        x.extend([0x7fff, 0x8000, 0x8001].map(|low| f32::from_bits(bits | low)));
        let half = f16::from_bits(high).to_f32();
        x.extend([
            half,
            f32::from_bits(half.to_bits() + 0x1000),
            f32::from_bits(half.to_bits().wrapping_sub(1)),
        ]);
    }
    for level in Level::ALL {
        with_level(level, || {
            let mut narrow = vec![bf16::ZERO; x.len()];
            f32_to_bf16(&x, &mut narrow);
            for (&x, y) in x.iter().zip(narrow) {
                let expected = bf16::from_f32(x);
                assert!(y.to_bits() == expected.to_bits() || (y.is_nan() && expected.is_nan()), "{x:e}");
            }
            let mut narrow = vec![f16::ZERO; x.len()];
            f32_to_f16(&x, &mut narrow);
            for (&x, y) in x.iter().zip(narrow) {
                let expected = f16::from_f32(x);
                assert!(
                    y.to_bits() == expected.to_bits() || (y.is_nan() && expected.is_nan()),
                    "{x:e} {y} {expected}"
                );
            }
            let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
            let brains: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
            let mut y = vec![0.0; 65_536];
            f16_to_f32(&halves, &mut y);
            for (h, y) in halves.iter().zip(&y) {
                assert!(y.to_bits() == h.to_f32().to_bits() || (y.is_nan() && h.is_nan()), "{h}");
            }
            bf16_to_f32(&brains, &mut y);
            for (h, y) in brains.iter().zip(&y) {
                assert!(y.to_bits() == h.to_f32().to_bits() || (y.is_nan() && h.is_nan()), "{h}");
            }
        });
    }
}
