//! The law of attention: bit-equal to the separate kernels, at every level.

use pellucid_kernels::attention::{AttentionMask, AttentionOptions, AttentionShape, attention};
use pellucid_kernels::elementwise::{BinaryKind, UnaryKind, binary_scalar_in_place, unary_in_place};
use pellucid_kernels::gemm::{MatmulShape, matmul_strided};
use pellucid_kernels::isa::{Level, with_level};
use pellucid_kernels::rows::softmax_in_place;
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

/// The separate kernels, for contiguous operands.
fn unfused(q: &[f32], k: &[f32], v: &[f32], s: &AttentionShape, o: &AttentionOptions<'_>) -> Vec<f32> {
    let mut out = vec![0.0; s.batch * s.heads * s.q_len * s.d_value];
    for batch in 0..s.batch {
        for head in 0..s.heads {
            let kv_head = head * s.kv_heads / s.heads;
            let q = &q[batch * s.q_strides[0] + head * s.q_strides[1]..];
            let k = &k[batch * s.k_strides[0] + kv_head * s.k_strides[1]..];
            let v = &v[batch * s.v_strides[0] + kv_head * s.v_strides[1]..];
            let mut scores = vec![0.0; s.q_len * s.kv_len];
            let shape = MatmulShape {
                a_strides: [0, 0, s.q_strides[2], 1],
                b_strides: [0, 0, 1, s.k_strides[2]],
                ..MatmulShape::contiguous(1, s.q_len, s.kv_len, s.d_head)
            };
            matmul_strided(q, k, &mut scores, &shape);
            binary_scalar_in_place(BinaryKind::Mul, &mut scores, o.scale);
            if let Some(cap) = o.softcap {
                binary_scalar_in_place(BinaryKind::Div, &mut scores, cap);
                unary_in_place(UnaryKind::Tanh, &mut scores);
                binary_scalar_in_place(BinaryKind::Mul, &mut scores, cap);
            }
            for i in 0..s.q_len {
                let own = i as isize + s.kv_len as isize - s.q_len as isize;
                let row = &mut scores[i * s.kv_len..(i + 1) * s.kv_len];
                for (j, score) in row.iter_mut().enumerate() {
                    let late = o.causal && j as isize > own;
                    let early = o.window.is_some_and(|w| j as isize <= own - w as isize);
                    let masked = o.mask.is_some_and(|m| {
                        let t = m.strides;
                        !m.visible[batch * t[0] + head * t[1] + i * t[2] + j * t[3]]
                    });
                    if late || early || masked {
                        *score = f32::NEG_INFINITY;
                    }
                }
                let sees_nothing = row.iter().all(|&x| x == f32::NEG_INFINITY);
                softmax_in_place(row, s.kv_len);
                if sees_nothing {
                    row.fill(0.0);
                }
            }
            let shape = MatmulShape {
                b_strides: [0, 0, s.v_strides[2], 1],
                ..MatmulShape::contiguous(1, s.q_len, s.d_value, s.kv_len)
            };
            let at = (batch * s.heads + head) * s.q_len * s.d_value;
            matmul_strided(&scores, v, &mut out[at..at + s.q_len * s.d_value], &shape);
        }
    }
    out
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn check(shape: &AttentionShape, options: &AttentionOptions<'_>, seed: u64) {
    let q = values(shape.batch * shape.heads * shape.q_len * shape.d_head, seed);
    let k = values(shape.batch * shape.kv_heads * shape.kv_len * shape.d_head, seed + 1);
    let v = values(shape.batch * shape.kv_heads * shape.kv_len * shape.d_value, seed + 2);
    let expected = unfused(&q, &k, &v, shape, options);
    for level in Level::ALL {
        with_level(level, || {
            let mut out = vec![f32::NAN; expected.len()];
            attention(&q, &k, &v, &mut out, shape, options);
            assert_eq!(bits(&out), bits(&expected), "{level:?} {shape:?} {options:?}");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn attention_equals_the_separate_kernels_to_the_bit(
        batch in 1usize..3, kv_heads in 1usize..3, group in 1usize..4, q_len in 1usize..60, kv_len in 1usize..90,
        d_head in 1usize..40, d_value in 1usize..80, causal: bool, window in prop::option::of(0usize..30),
        softcap in prop::option::of(0.5f32..3.0), mask_kind in 0usize..3, seed in 0u64..1000,
    ) {
        let heads = kv_heads * group;
        let shape = AttentionShape::contiguous(batch, heads, kv_heads, [q_len, kv_len], [d_head, d_value]);
        let visible: Vec<bool> =
            values(batch * heads * q_len * kv_len, seed + 9).into_iter().map(|x| x > -0.5).collect();
        let strides = match mask_kind {
            1 => [heads * q_len * kv_len, q_len * kv_len, kv_len, 1],
            _ => [q_len * kv_len, 0, kv_len, 1],
        };
        let mask = (mask_kind > 0).then_some(AttentionMask { visible: &visible, strides });
        let options = AttentionOptions { scale: 0.37, causal, window, softcap, mask };
        check(&shape, &options, seed);
    }
}

#[test]
fn a_long_sequence_is_cut_into_tiles_without_a_trace() {
    let shape = AttentionShape::contiguous(1, 2, 1, [150, 700], [64, 64]);
    check(&shape, &AttentionOptions::causal(0.125), 3);
    let options = AttentionOptions { window: Some(33), ..AttentionOptions::causal(0.125) };
    check(&shape, &options, 4);
}

#[test]
fn a_query_that_sees_nothing_gives_zeros() {
    // More queries than keys: the first ones come before every key.
    let shape = AttentionShape::contiguous(1, 1, 1, [5, 2], [3, 3]);
    let (q, k, v) = (values(15, 1), values(6, 2), values(6, 3));
    let mut out = vec![f32::NAN; 15];
    attention(&q, &k, &v, &mut out, &shape, &AttentionOptions::causal(1.0));
    assert_eq!(out[..9], [0.0; 9]);
    assert!(out[9..].iter().all(|x| x.is_finite() && *x != 0.0));

    let shape = AttentionShape { kv_len: 0, ..shape };
    let mut out = vec![f32::NAN; 15];
    attention(&q, &[], &[], &mut out, &shape, &AttentionOptions::full(1.0));
    assert_eq!(out, [0.0; 15]);
}

#[test]
fn heads_interleaved_in_memory_give_what_contiguous_heads_give() {
    let (batch, heads, len, d) = (2, 3, 17, 8);
    // [batch, seq, 3, heads, d], as one projection of queries, keys and values leaves them.
    let qkv = values(batch * len * 3 * heads * d, 7);
    let strides = [len * 3 * heads * d, d, 3 * heads * d];
    let dense = |which: usize| -> Vec<f32> {
        let mut x = Vec::new();
        for b in 0..batch {
            for h in 0..heads {
                for t in 0..len {
                    let at = b * strides[0] + t * strides[2] + which * heads * d + h * d;
                    x.extend_from_slice(&qkv[at..at + d]);
                }
            }
        }
        x
    };
    let contiguous = AttentionShape::contiguous(batch, heads, heads, [len, len], [d, d]);
    let options = AttentionOptions::causal(0.3);
    let expected = unfused(&dense(0), &dense(1), &dense(2), &contiguous, &options);
    let shape = AttentionShape {
        q_strides: strides,
        k_strides: strides,
        v_strides: strides,
        out_strides: [len * heads * d, d, heads * d],
        ..contiguous
    };
    let mut out = vec![0.0; expected.len()];
    attention(&qkv, &qkv[heads * d..], &qkv[2 * heads * d..], &mut out, &shape, &options);
    for b in 0..batch {
        for h in 0..heads {
            for t in 0..len {
                let at = (b * len + t) * heads * d + h * d;
                let from = ((b * heads + h) * len + t) * d;
                assert_eq!(bits(&out[at..at + d]), bits(&expected[from..from + d]));
            }
        }
    }
}
