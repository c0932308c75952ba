//! The laws of the planner: no rewrite changes a value beyond rounding, fusing changes no bit, and nothing that
//! somebody still holds is overwritten.

use proptest::prelude::*;

use super::Rewrites;
use crate::{
    Attention, DType, Engine, HostData, ReduceOp, Result, RotaryPairs, Tensor, UnaryOp, Value, grad::grad,
};

/// Numbers between -1 and 1, told apart by `seed`.
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn leaf(engine: &Engine, dims: &[usize], seed: u32) -> Tensor {
    let host = HostData::from_slice(&numbers(dims.iter().product(), seed));
    engine.from_value(Value::from_bytes(&host.bytes, DType::F32, dims), None)
}

/// Sets of rewrites: all, and each alone beside the fast kernels.
fn fast_sets() -> Vec<(&'static str, Rewrites)> {
    let only = Rewrites { fast_kernels: true, ..Rewrites::OFF };
    vec![
        ("fast kernels", only),
        ("in place", Rewrites { in_place: true, ..only }),
        ("epilogues", Rewrites { epilogues: true, ..only }),
        ("chains", Rewrites { chains: true, ..only }),
        ("demand", Rewrites { demand: true, ..only }),
        ("all", Rewrites::default()),
    ]
}

type Build = fn(&Engine, DType) -> Result<Vec<Tensor>>;

/// A block as in GPT-2, with its loss and gradients.
fn gpt2_block(e: &Engine, dtype: DType) -> Result<Vec<Tensor>> {
    let (b, s, d, heads) = (2i64, 5i64, 24usize, 3i64);
    let w = |dims: &[usize], seed| leaf(e, dims, seed).cast(dtype);
    let x = w(&[2, 5, d], 1);
    let (w1, b1, w2, b2) = (w(&[d, 3 * d], 2), w(&[3 * d], 3), w(&[d, d], 4), w(&[d], 5));
    let (w3, b3, w4, b4) = (w(&[d, 4 * d], 6), w(&[4 * d], 7), w(&[4 * d, d], 8), w(&[d], 9));
    let (g, c) = (w(&[d], 10), w(&[d], 11));
    let normed = x.layer_norm(Some(&g), Some(&c), 1e-5)?;
    let qkv = normed.reshape(&[b * s, d as i64])?.matmul(&w1)?.add(&b1)?.reshape(&[b, s, 3 * d as i64])?;
    let part = |i: i64| -> Result<Tensor> {
        qkv.narrow(2, i * d as i64, d)?.reshape(&[b, s, heads, d as i64 / heads])?.permute(&[0, 2, 1, 3])
    };
    let spec = Attention { scale: 0.35, causal: true, window: None, softcap: None };
    let mixed = part(0)?.attention(&part(1)?, &part(2)?, None, spec)?;
    let joined = mixed.permute(&[0, 2, 1, 3])?.reshape(&[b, s, d as i64])?;
    let x1 = x.add(&joined.matmul(&w2)?.add(&b2)?)?;
    let hidden = x1.layer_norm(Some(&g), Some(&c), 1e-5)?.matmul(&w3)?.add(&b3)?.unary(UnaryOp::GeluTanh)?;
    let out = x1.add(&hidden.matmul(&w4)?.add(&b4)?)?;
    let loss = out.mul(&out)?.mean(&[], false)?;
    let mut asked = vec![out];
    asked.extend(grad(&loss, &[x, w1, b1, w3, b4, g])?.into_iter().flatten());
    asked.push(loss);
    Ok(asked)
}

/// Sums of products, as in blocks whose attention and feed-forward stand side by side, and in their gradients.
fn parallel_block(e: &Engine, dtype: DType) -> Result<Vec<Tensor>> {
    let w = |dims: &[usize], seed| leaf(e, dims, seed).cast(dtype);
    let (x, y) = (w(&[2, 5, 16], 1), w(&[2, 5, 16], 2));
    let (w1, b1, w2, b2) = (w(&[16, 16], 3), w(&[16], 4), w(&[16, 16], 5), w(&[16], 6));
    let sum = x.linear(&w1, Some(&b1))?.add(&y.linear(&w2, Some(&b2))?)?.add(&x)?;
    let bare = x.matmul(&w2)?.add(&x.matmul(&w1)?)?;
    let loss = sum.mul(&bare)?.mean(&[], false)?;
    let mut asked = vec![sum, bare];
    asked.extend(grad(&loss, &[x, y])?.into_iter().flatten());
    Ok(asked)
}

/// A gated block as in Llama: grouped heads, rotary positions, RMS norm.
fn llama_block(e: &Engine, dtype: DType) -> Result<Vec<Tensor>> {
    let d = 16usize;
    let w = |dims: &[usize], seed| leaf(e, dims, seed).cast(dtype);
    let x = w(&[1, 6, d], 1);
    let normed = x.rms_norm(&w(&[d], 2), 1e-6, 0.0, true)?;
    let heads = |t: Tensor, n: i64| t.reshape(&[1, 6, n, 4])?.permute(&[0, 2, 1, 3]);
    let angles = leaf(e, &[6, 2], 3);
    let (cos, sin) = (angles.cos()?.cast(dtype), angles.sin()?.cast(dtype));
    let q = heads(normed.linear(&w(&[d, d], 4), None)?, 4)?.rotary(&cos, &sin, RotaryPairs::Halves)?;
    let k = heads(normed.linear(&w(&[8, d], 5), None)?, 2)?.rotary(&cos, &sin, RotaryPairs::Adjacent)?;
    let v = heads(normed.linear(&w(&[8, d], 6), None)?, 2)?;
    let spec = Attention { scale: 0.5, causal: true, window: Some(3), softcap: Some(5.0) };
    let mixed = q.attention(&k, &v, None, spec)?.permute(&[0, 2, 1, 3])?.reshape(&[1, 6, d as i64])?;
    let x = x.add(&mixed)?;
    let gate = x.linear(&w(&[32, d], 7), None)?.unary(UnaryOp::Silu)?;
    let out = x.add(&gate.mul(&x.linear(&w(&[32, d], 8), None)?)?.linear(&w(&[d, 32], 9), None)?)?;
    Ok(vec![out.clone(), out.log_softmax(-1)?, out.arg_extreme(true, Some(-1), false)?])
}

/// What training makes beside products: embeddings, losses, reductions of every form, masks.
fn odds_and_ends(e: &Engine, dtype: DType) -> Result<Vec<Tensor>> {
    let table = leaf(e, &[11, 8], 1).cast(dtype);
    let ids = e.from_vec(vec![3i64, 0, 10, 3, -1, 7], &[2, 3])?;
    let x = table.index_leading(std::slice::from_ref(&ids))?;
    let y = x.softmax(-1)?.mul(&x)?.sub_scalar(0.25)?;
    let loss = y.matmul(&table.transpose(0, 1)?)?.reshape(&[6, 11])?.cross_entropy(
        &ids.reshape(&[6])?.abs()?,
        -100,
        crate::Reduction::Mean,
    )?;
    let seen = x.gt_scalar(0)?.logical(crate::BinaryOp::BitAnd, &y.lt(&x)?)?;
    let mut asked: Vec<Tensor> = grad(&loss, std::slice::from_ref(&table))?.into_iter().flatten().collect();
    asked.extend([
        loss,
        seen.where_(&x, &y.neg()?)?,
        seen.cast(DType::I64).sum(&[0], false)?.add_scalar(2)?,
        Tensor::cat(&[x.clone(), y.transpose(0, 1)?.reshape(&[2, 3, 8])?], 1)?,
        x.reduce(ReduceOp::Max, &[1], true)?.sub(&x.reduce(ReduceOp::Min, &[0, 2], true)?)?,
        x.pow_scalar(2)?.mean(&[0, 1], false)?.add_scalar(1e-3)?.rsqrt()?,
        x.flip(&[1])?.cumsum(1)?,
        x.maximum(&y)?.div(&y.abs()?.add_scalar(1)?)?.exp()?,
    ]);
    Ok(asked)
}

const GRAPHS: [(&str, Build); 4] = [
    ("gpt2 block", gpt2_block),
    ("parallel block", parallel_block),
    ("llama block", llama_block),
    ("odds and ends", odds_and_ends),
];

/// Every value as bytes, row-major.
fn values(build: Build, dtype: DType, rewrites: Rewrites) -> Vec<Value> {
    let engine = Engine::new();
    engine.set_rewrites(rewrites);
    let targets = build(&engine, dtype).expect("the graph builds");
    engine.eval(&targets).expect("the graph computes");
    targets.iter().map(|t| t.eval().expect("a value").contiguous()).collect()
}

fn numbers_of(value: &Value) -> Vec<f64> {
    Engine::new().from_value(value.clone(), None).to_f64s().expect("numbers")
}

#[test]
fn every_rewrite_alone_and_all_together_agree_with_the_reference() {
    for (name, build) in GRAPHS {
        for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::BF16, 6e-2), (DType::F16, 1e-2)] {
            let expected = values(build, dtype, Rewrites::OFF);
            for (set, rewrites) in fast_sets() {
                for (i, (got, expected)) in values(build, dtype, rewrites).iter().zip(&expected).enumerate() {
                    if dtype != DType::F32 && !expected.dtype().is_float() {
                        // A position may go to another of nearly equal numbers.
                        continue;
                    }
                    for (a, b) in numbers_of(got).into_iter().zip(numbers_of(expected)) {
                        let close = (a - b).abs() <= tolerance * (1.0 + b.abs());
                        assert!(close, "{name}, {dtype}, {set}, output {i}: {a} instead of {b}");
                    }
                }
            }
        }
    }
}

#[test]
fn fusing_and_reuse_change_no_bit() {
    for (name, build) in GRAPHS {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            let plain = values(build, dtype, fast_sets()[0].1);
            for (set, rewrites) in fast_sets() {
                for (i, (got, expected)) in values(build, dtype, rewrites).iter().zip(&plain).enumerate() {
                    assert_eq!(got.bytes(), expected.bytes(), "{name}, {dtype}, {set}, output {i}");
                }
            }
        }
    }
}

#[test]
fn looking_at_every_intermediate_value_changes_no_bit() {
    for (name, build) in GRAPHS {
        let plain = values(build, DType::F32, Rewrites::default());
        let engine = Engine::new();
        let targets = build(&engine, DType::F32).unwrap();
        let mut all = targets.clone();
        let mut next = 0;
        while next < all.len() {
            for input in all[next].inputs().to_vec() {
                if !all.iter().any(|t| t.same_node(&input)) {
                    all.push(input);
                }
            }
            next += 1;
        }
        engine.eval(&all).unwrap();
        for (i, (target, expected)) in targets.iter().zip(&plain).enumerate() {
            assert_eq!(target.eval().unwrap().contiguous().bytes(), expected.bytes(), "{name}, output {i}");
        }
    }
}

#[test]
fn a_product_of_any_number_of_rows_gives_each_row_the_same_bits_at_first_and_later_use() {
    let e = Engine::new();
    let (w, b) = (leaf(&e, &[300, 257], 1), leaf(&e, &[257], 2));
    let x = leaf(&e, &[40, 300], 3);
    let layer = |x: &Tensor| x.matmul(&w)?.add(&b)?.unary(UnaryOp::GeluErf)?.to_vec::<f32>();
    let alone = layer(&x.narrow(0, 7, 1).unwrap()).unwrap();
    assert_eq!(e.packed_bytes(), 0, "a single use of few rows packs nothing");
    let together = layer(&x).unwrap();
    assert!(e.packed_bytes() >= 300 * 257 * 4);
    assert_eq!(alone, together[7 * 257..8 * 257]);
    assert_eq!(alone, layer(&x.narrow(0, 7, 1).unwrap().add_scalar(0).unwrap()).unwrap());
}

#[test]
fn panels_go_with_their_leaf_and_stay_within_the_budget() {
    let e = Engine::new();
    let x = leaf(&e, &[16, 64], 1);
    let y = {
        let w = leaf(&e, &[64, 64], 2);
        x.matmul(&w).unwrap().detach().unwrap()
    };
    assert!(e.packed_bytes() > 0);
    e.eval(&[y.neg().unwrap()]).unwrap();
    assert_eq!(e.packed_bytes(), 0);
    e.set_packed_budget(1000);
    x.matmul(&leaf(&e, &[64, 64], 2)).unwrap().eval().unwrap();
    assert_eq!(e.packed_bytes(), 0);
}

#[test]
fn what_is_evaluated_is_a_leaf_and_is_not_computed_again() {
    let e = Engine::new();
    let x = leaf(&e, &[4, 4], 1);
    let y = x.matmul(&x).unwrap();
    y.eval().unwrap();
    let plan = e.plan(&[y.exp().unwrap()]);
    assert_eq!(plan.to_string().lines().count(), 3, "{plan}");
    assert_eq!((plan.nodes, plan.flops), (1, 16));
}

#[test]
fn a_value_that_somebody_wants_is_never_fused_away() {
    let e = Engine::new();
    let (x, w, b) = (leaf(&e, &[4, 4], 1), leaf(&e, &[4, 4], 2), leaf(&e, &[4], 3));
    let sum = x.matmul(&w).unwrap().add(&b).unwrap();
    let out = sum.relu().unwrap();
    assert_eq!(e.plan(std::slice::from_ref(&out)).fused, 2);
    assert_eq!(e.plan(&[out.clone(), sum.clone()]).fused, 1);
    e.eval(&[out, sum.clone()]).unwrap();
    assert!(sum.is_evaluated());
}

#[test]
fn the_plan_of_a_block_names_its_fused_steps() {
    let e = Engine::new();
    let (x, w, b) = (leaf(&e, &[2, 3, 4], 1), leaf(&e, &[4, 8], 2), leaf(&e, &[8], 3));
    let (v, c) = (leaf(&e, &[8, 4], 4), leaf(&e, &[4], 5));
    let flat = x.reshape(&[6, 4]).unwrap();
    let hidden = flat.matmul(&w).unwrap().add(&b).unwrap().reshape(&[2, 3, 8]).unwrap();
    let hidden = hidden.unary(UnaryOp::GeluTanh).unwrap();
    let out = x.add(&hidden.matmul(&v).unwrap().add(&c).unwrap()).unwrap();
    let scaled = out.mul_scalar(2).unwrap().sub_scalar(1).unwrap().softmax(-1).unwrap();
    assert_eq!(
        e.plan(&[scaled]).to_string(),
        "\
%0 = leaf [2, 3, 4] float32
%1 = reshape(%0) [6, 4] float32
%2 = leaf [8] float32
%3 = reshape(%2) [1, 8] float32
%4 = leaf [4, 8] float32
%5 = matmul+add+gelu_tanh(%1, %4, %3) [2, 3, 8] float32
%6 = leaf [4] float32
%7 = reshape(%6) [1, 1, 4] float32
%8 = leaf [8, 4] float32
%9 = matmul+add+add(%5, %8, %7, %0) [2, 3, 4] float32
%10 = full [2, 3, 4] float32
%11 = full [2, 3, 4] float32
%12 = mul+sub(%9, %10, %11) [2, 3, 4] float32
%13 = softmax(%12) [2, 3, 4] float32
14 operations in 9 steps, 5 fused; 984 FLOP, 288 bytes at the peak
"
    );
}

#[test]
fn a_kept_slice_does_not_hold_the_block_it_came_from() {
    let e = Engine::new();
    let last = leaf(&e, &[100, 1000], 1).exp().unwrap().narrow(0, 99, 1).unwrap();
    let value = last.eval().unwrap();
    assert_eq!(value.buffer.len(), 4000);
}

/// A step of a random graph: an operation and which earlier values it reads.
type Choice = (u8, usize, usize);

fn random_graph(e: &Engine, choices: &[Choice]) -> Vec<Tensor> {
    let mut all = vec![leaf(e, &[6, 16], 1), leaf(e, &[6, 16], 2), leaf(e, &[16, 16], 3)];
    for &(op, a, b) in choices {
        let pick = |i: usize| {
            let fit: Vec<&Tensor> = all.iter().filter(|t| t.dims() == [6, 16]).collect();
            fit[i % fit.len()].clone()
        };
        let (x, y) = (pick(a), pick(b));
        let next = match op % 12 {
            0 => x.add(&y),
            1 => x.mul(&y),
            2 => x.sub(&y).and_then(|t| t.tanh()),
            3 => x.unary(UnaryOp::GeluTanh),
            4 => x.matmul(&all[2]).and_then(|t| t.mul_scalar(0.2)),
            5 => x.softmax(-1),
            6 => Ok(x.slice_assign_to(0, 1, 2, &y.slice_to(0, 0, 3, 1))),
            7 => x.flip(&[0]),
            8 => x.reshape(&[16, 6]).and_then(|t| t.transpose(0, 1)),
            9 => x.narrow(0, 2, 1).and_then(|t| t.add(&y)),
            10 => x.layer_norm(None, None, 1e-5),
            _ => x.matmul(&all[2]).and_then(|t| t.add(&y.narrow(0, 0, 1)?)).and_then(|t| t.relu()),
        };
        all.push(next.expect("operands fit"));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reuse_never_changes_what_somebody_still_holds(
        choices in proptest::collection::vec((any::<u8>(), 0usize..64, 0usize..64), 1..24),
        held in proptest::collection::vec(0usize..32, 1..6),
        first in 0usize..32,
    ) {
        let run = |rewrites: Rewrites| -> Vec<Vec<u32>> {
            let e = Engine::new();
            e.set_rewrites(rewrites);
            let all = random_graph(&e, &choices);
            // Some values are there before, and held while others are computed from them.
            all[first % all.len()].eval().unwrap();
            let mut asked: Vec<Tensor> = held.iter().map(|&i| all[i % all.len()].clone()).collect();
            asked.extend(all.last().cloned());
            e.eval(&asked).unwrap();
            asked.push(all[first % all.len()].clone());
            asked.extend(all[..3].iter().cloned());
            asked.iter().map(|t| t.to_vec::<f32>().unwrap().iter().map(|x| x.to_bits()).collect()).collect()
        };
        let plain = run(Rewrites { fast_kernels: true, ..Rewrites::OFF });
        for (name, rewrites) in fast_sets() {
            prop_assert_eq!(run(rewrites), plain.clone(), "{}", name);
        }
    }
}
