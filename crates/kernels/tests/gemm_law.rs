//! The law of matrix products: every element is one ascending chain of fused multiply-adds, however it is computed.

use half::{bf16, f16};
use pellucid_kernels::elementwise::{
    BinaryKind, UnaryKind, binary_in_place, binary_row_in_place, unary_in_place,
};
use pellucid_kernels::gemm::{
    Activation, Epilogue, MatmulShape, PackedMatrix, PanelFormat, Residual, Source, matmul_packed,
    matmul_strided,
};
use pellucid_kernels::isa::{Level, with_level};
use proptest::prelude::*;

/// Reproducible values of mixed size and sign, in which different orders of summation round differently.
fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / 8_388_608.0 - 1.0) * [0.01, 1.0, 30.0][(state % 3) as usize]
        })
        .collect()
}

/// The law, spelled out.
fn chain(k: usize, a: impl Fn(usize) -> f32, b: impl Fn(usize) -> f32) -> f32 {
    (0..k).fold(0.0, |acc, k| a(k).mul_add(b(k), acc))
}

fn reference(a: &[f32], b: &[f32], m: usize, k: usize, n: usize) -> Vec<f32> {
    let mut c = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            c.push(chain(k, |x| a[i * k + x], |x| b[x * n + j]));
        }
    }
    c
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn packed(a: &[f32], m: usize, b: &PackedMatrix, epilogue: &Epilogue<'_>) -> Vec<f32> {
    let mut c = vec![f32::NAN; m * b.n()];
    matmul_packed(a, b.k(), m, b, &mut c, b.n(), epilogue);
    c
}

fn transposed(b: &[f32], k: usize, n: usize) -> Vec<f32> {
    (0..n * k).map(|i| b[i % k * n + i / k]).collect()
}

fn check_packed(m: usize, k: usize, n: usize, seed: u64) {
    let (a, b) = (values(m * k, seed), values(k * n, seed + 1));
    let expected = bits(&reference(&a, &b, m, k, n));
    let b_t = transposed(&b, k, n);
    let none = Epilogue::default();
    for level in Level::ALL {
        with_level(level, || {
            let rows = PackedMatrix::pack(Source::F32(&b), k, n, n, 1, PanelFormat::F32);
            assert_eq!(bits(&packed(&a, m, &rows, &none)), expected, "{level:?} [{m},{k}]x[{k},{n}]");
            let cols = PackedMatrix::pack(Source::F32(&b_t), k, n, 1, k, PanelFormat::F32);
            assert_eq!(bits(&packed(&a, m, &cols, &none)), expected, "{level:?} transposed");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn packed_products_equal_the_plain_chain_to_the_bit(
        m in 0usize..40, k in 0usize..70, n in 0usize..200, seed in 0u64..1000,
    ) {
        check_packed(m, k, n, seed);
    }

    #[test]
    fn bf16_weights_are_extended_exactly_in_either_format(
        m in 1usize..30, k in 0usize..90, n in 1usize..120, seed in 0u64..1000,
    ) {
        let a = values(m * k, seed);
        let b: Vec<bf16> = values(k * n, seed + 1).into_iter().map(bf16::from_f32).collect();
        let wide: Vec<f32> = b.iter().map(|b| b.to_f32()).collect();
        let b_t: Vec<bf16> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
        let expected = bits(&reference(&a, &wide, m, k, n));
        for level in Level::ALL {
            with_level(level, || {
                for format in [PanelFormat::F32, PanelFormat::Bf16] {
                    let rows = PackedMatrix::pack(Source::Bf16(&b), k, n, n, 1, format);
                    assert_eq!(bits(&packed(&a, m, &rows, &Epilogue::default())), expected);
                    let cols = PackedMatrix::pack(Source::Bf16(&b_t), k, n, 1, k, format);
                    assert_eq!(bits(&packed(&a, m, &cols, &Epilogue::default())), expected);
                }
            });
        }
    }

    #[test]
    fn an_epilogue_rounds_like_the_separate_kernels(
        m in 1usize..20, k in 1usize..20, n in 1usize..110, seed in 0u64..1000, which in 0usize..8,
        with_bias: bool, with_residual: bool,
    ) {
        let activation = [
            None, Some(Activation::GeluTanh), Some(Activation::GeluErf), Some(Activation::QuickGelu),
            Some(Activation::Silu), Some(Activation::Relu), Some(Activation::Tanh), Some(Activation::Sigmoid),
        ][which];
        let (a, b) = (values(m * k, seed), values(k * n, seed + 1));
        let (bias, residual) = (values(n, seed + 2), values(m * (n + 3), seed + 3));
        let mut expected = reference(&a, &b, m, k, n);
        if with_bias {
            binary_row_in_place(BinaryKind::Add, &mut expected, &bias);
        }
        if let Some(activation) = activation {
            unary_in_place(UnaryKind::from(activation), &mut expected);
        }
        if with_residual {
            let dense: Vec<f32> = residual.chunks(n + 3).flat_map(|row| row[..n].to_vec()).collect();
            binary_in_place(BinaryKind::Add, &mut expected, &dense);
        }
        let epilogue = Epilogue {
            bias: with_bias.then_some(&bias[..]),
            activation,
            residual: with_residual.then_some(Residual { values: &residual, ld: n + 3 }),
        };
        for level in Level::ALL {
            with_level(level, || {
                let b = PackedMatrix::pack(Source::F32(&b), k, n, n, 1, PanelFormat::F32);
                assert_eq!(bits(&packed(&a, m, &b, &epilogue)), bits(&expected), "{level:?} {epilogue:?}");
            });
        }
    }

    #[test]
    fn strided_products_equal_the_plain_chain_to_the_bit(
        batch in prop::array::uniform2(1usize..4), m in 0usize..24, k in 0usize..24, n in 0usize..80,
        orders in prop::array::uniform3(0usize..8), seed in 0u64..1000,
    ) {
        // Strides of a dense array whose axes lie in memory in some order, with gaps; operands may repeat over a batch.
        let strides = |order: usize, rows: usize, cols: usize, may_repeat: bool| {
            let mut strides = [0; 4];
            let axes: [usize; 4] = match order % 4 {
                0 => [0, 1, 2, 3],
                1 => [0, 2, 1, 3],
                2 => [0, 1, 3, 2],
                _ => [2, 3, 0, 1],
            };
            let sizes = [batch[0], batch[1], rows, cols];
            let mut step = 1;
            for axis in axes.into_iter().rev() {
                strides[axis] = step;
                step *= sizes[axis].max(1) + usize::from(order >= 4);
            }
            if may_repeat && order == 5 {
                strides[1] = 0;
            }
            (strides, step)
        };
        let (a_strides, a_len) = strides(orders[0], m, k, true);
        let (b_strides, b_len) = strides(orders[1], k, n, true);
        let (c_strides, c_len) = strides(orders[2], m, n, false);
        let (a, b) = (values(a_len, seed), values(b_len, seed + 1));
        let shape = MatmulShape { batch, m, n, k, a_strides, b_strides, c_strides };
        for level in Level::ALL {
            with_level(level, || {
                let mut c = vec![7.5; c_len];
                matmul_strided(&a, &b, &mut c, &shape);
                let mut expected = vec![7.5f32; c_len];
                for x in 0..batch[0] {
                    for y in 0..batch[1] {
                        for i in 0..m {
                            for j in 0..n {
                                let at = |s: [usize; 4], r: usize, c: usize| x * s[0] + y * s[1] + r * s[2] + c * s[3];
                                expected[at(c_strides, i, j)] =
                                    chain(k, |t| a[at(a_strides, i, t)], |t| b[at(b_strides, t, j)]);
                            }
                        }
                    }
                }
                assert_eq!(bits(&c), bits(&expected), "{level:?} {shape:?}");
            });
        }
    }
}

#[test]
fn blocks_of_k_and_of_rows_continue_the_chain() {
    for (m, k, n) in
        [(1, 2600, 100), (3, 2100, 97), (9, 2500, 50), (17, 1025, 49), (400, 70, 60), (210, 1100, 96)]
    {
        check_packed(m, k, n, 5);
    }
}

#[test]
fn large_strided_products_equal_the_plain_chain() {
    for (m, k, n) in [(1, 700, 300), (5, 300, 700), (40, 300, 300), (16, 256, 256)] {
        let (a, b) = (values(m * k, 1), values(k * n, 2));
        let expected = bits(&reference(&a, &b, m, k, n));
        let mut c = vec![0.0; m * n];
        let shape = MatmulShape::contiguous(1, m, n, k);
        matmul_strided(&a, &b, &mut c, &shape);
        assert_eq!(bits(&c), expected);
        let b_t = transposed(&b, k, n);
        let shape = MatmulShape { b_strides: [0, 0, 1, k], ..shape };
        matmul_strided(&a, &b_t, &mut c, &shape);
        assert_eq!(bits(&c), expected);
    }
}

#[test]
fn half_weights_are_extended_exactly() {
    let b: Vec<f16> = values(30 * 50, 3).into_iter().map(f16::from_f32).collect();
    let wide: Vec<f32> = b.iter().map(|b| b.to_f32()).collect();
    let a = values(4 * 30, 4);
    let b = PackedMatrix::pack(Source::F16(&b), 30, 50, 50, 1, PanelFormat::F32);
    assert_eq!(bits(&packed(&a, 4, &b, &Epilogue::default())), bits(&reference(&a, &wide, 4, 30, 50)));
}

#[test]
fn a_row_of_a_product_does_not_depend_on_its_neighbours_or_the_threads() {
    let (k, n) = (300, 500);
    let (a, b) = (values(33 * k, 1), values(k * n, 2));
    let b = PackedMatrix::pack(Source::F32(&b), k, n, n, 1, PanelFormat::F32);
    let whole = packed(&a, 33, &b, &Epilogue::default());
    for row in 0..33 {
        let alone = packed(&a[row * k..(row + 1) * k], 1, &b, &Epilogue::default());
        assert_eq!(bits(&alone), bits(&whole[row * n..(row + 1) * n]));
    }
    let before = pellucid_kernels::threads::threads();
    for threads in [1, 3, 7] {
        pellucid_kernels::threads::set_threads(threads);
        assert_eq!(bits(&packed(&a, 33, &b, &Epilogue::default())), bits(&whole));
    }
    pellucid_kernels::threads::set_threads(before);
}

#[test]
#[should_panic(expected = "do not overlap")]
fn a_product_onto_itself_is_refused() {
    let shape = MatmulShape { c_strides: [0, 0, 1, 1], ..MatmulShape::contiguous(1, 2, 2, 1) };
    matmul_strided(&[1.0; 2], &[1.0; 2], &mut [0.0; 4], &shape);
}
