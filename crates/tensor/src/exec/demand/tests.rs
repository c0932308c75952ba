//! The laws of demand: no bit changes, nothing is computed that was not computed without it, and what a forward pass is
//! asked for its last position costs one row of everything behind the last attention.

use proptest::prelude::*;

use crate::{
    Attention, DType, Engine, HostData, IndexItem, ReduceOp, Result, Rewrites, RotaryPairs, Tensor, UnaryOp,
    Value, grad::grad,
};

fn leaf(engine: &Engine, dims: &[usize], seed: u64) -> Tensor {
    let draw = engine.randn(dims, DType::F32, seed, 0).eval().expect("a draw");
    engine.from_value(draw, None)
}

fn ids(engine: &Engine, ids: &[i64], dims: &[usize]) -> Tensor {
    engine.from_vec(ids.to_vec(), dims).expect("as many as the shape has")
}

const ALL: Rewrites =
    Rewrites { fast_kernels: true, in_place: true, epilogues: true, chains: true, demand: true };

/// The rest of the rewrites, with and without demand.
fn pairs() -> [(Rewrites, Rewrites); 3] {
    let plain = Rewrites { fast_kernels: true, ..Rewrites::OFF };
    [ALL, plain, Rewrites::OFF].map(|r| (Rewrites { demand: true, ..r }, Rewrites { demand: false, ..r }))
}

/// The next value of a random program over `[2, 5, 16]`.
fn next(e: &Engine, op: u8, x: &Tensor, y: &Tensor, p: usize) -> Result<Tensor> {
    let w = |dims: &[usize], seed| leaf(e, dims, seed).cast(x.dtype());
    let row = (p % 5) as i64;
    match op % 22 {
        0 => x.add(y),
        1 => x.mul(y)?.tanh(),
        2 => x.matmul(&w(&[16, 16], 50))?.add(&w(&[16], 51))?.mul_scalar(0.2),
        3 => x.linear(&w(&[16, 16], 52), Some(&w(&[16], 53)))?.unary(UnaryOp::GeluTanh)?.add(y),
        4 => x.layer_norm(Some(&w(&[16], 54)), Some(&w(&[16], 55)), 1e-5),
        5 => x.rms_norm(&w(&[16], 54), 1e-6, 1.0, p.is_multiple_of(2)),
        6 => x.softmax(-1),
        7 => x.log_softmax(-1)?.mul_scalar(0.1),
        8 => x.reshape(&[10, 16])?.matmul(&w(&[16, 16], 56))?.reshape(&[2, 5, 16]),
        9 => {
            let heads = |t: &Tensor| t.reshape(&[2, 5, 4, 4])?.permute(&[0, 2, 1, 3]);
            let spec = Attention {
                scale: 0.5,
                causal: !p.is_multiple_of(3),
                window: (p % 4 == 1).then_some(2),
                softcap: (p % 5 == 1).then_some(3.0),
            };
            let mask = leaf(e, &[2, 1, 1, 5], 57).gt_scalar(-1)?;
            let mixed = heads(x)?.attention(&heads(y)?, &heads(x)?, (p % 7 == 2).then_some(&mask), spec)?;
            mixed.permute(&[0, 2, 1, 3])?.reshape(&[2, 5, 16])
        }
        10 => Tensor::cat(&[x.narrow(1, 0, p % 5)?, y.narrow(1, row, 5 - p % 5)?], 1),
        11 => x.index_assign(&[IndexItem::ALL, IndexItem::At(row)], &y.narrow(1, 2, 1)?.squeeze(Some(1))?),
        12 => x.index_assign(
            &[IndexItem::At(1), IndexItem::Slice { start: None, stop: None, step: Some(2) }],
            &y.index(&[IndexItem::At(0), IndexItem::from(2..5)])?,
        ),
        13 => x.flip(&[(p % 3) as i64]),
        14 => x.index_select(1, &ids(e, &[row, 0, 4, 2, -1], &[5])),
        15 => x.sub(&x.mean(&[-1], true)?),
        16 => x.cumsum((p % 3) as i64)?.mul_scalar(0.3),
        17 => {
            let angles = leaf(e, &[5, 8], 58);
            let pairs = if p.is_multiple_of(2) { RotaryPairs::Halves } else { RotaryPairs::Adjacent };
            x.rotary(&angles.cos()?, &angles.sin()?, pairs)
        }
        18 => x.transpose(0, 1)?.reshape(&[10, 16])?.reshape(&[2, 5, 16]),
        19 => x.gt(y)?.where_(x, &y.narrow(1, row, 1)?),
        20 => x.reduce(ReduceOp::Max, &[1], true)?.add(&x.reduce(ReduceOp::Sum, &[0], true)?)?.add(y),
        _ => x.identity().add(&x.arg_extreme(true, Some(-1), true)?.cast(x.dtype()).mul_scalar(0.1)?),
    }
}

/// What is asked of a value: parts of it, told by numbers.
fn part(e: &Engine, x: &Tensor, how: u8, p: usize) -> Result<Tensor> {
    let row = (p % 5) as i64;
    match how % 12 {
        0 => x.narrow(1, -1, 1),
        1 => x.index(&[IndexItem::ALL, IndexItem::At(row)]),
        2 => x.index(&[IndexItem::At(1), IndexItem::from(row..), IndexItem::from(0..p as i64)]),
        3 => x.index(&[
            IndexItem::Slice { start: None, stop: None, step: Some(-1) },
            IndexItem::Slice { start: Some(row), stop: None, step: Some(-2) },
        ]),
        4 => x.index(&[ids(e, &[0, 1], &[2]).into(), ids(e, &[row, -1], &[2]).into()]),
        5 => x.matmul(&leaf(e, &[16, 400], 60).cast(x.dtype()))?.index(&[
            IndexItem::ALL,
            IndexItem::At(row),
            ids(e, &[399, row, 7, 7], &[4]).into(),
        ]),
        6 => x.linear(&leaf(e, &[300, 16], 61).cast(x.dtype()), None)?.narrow(2, 20 * row, 3),
        7 => {
            let logits = x.linear(&leaf(e, &[300, 16], 61).cast(x.dtype()), None)?;
            logits.narrow(2, 250, 1)?.sub(&logits.narrow(2, row, 1)?)
        }
        8 => x.index(&[IndexItem::ALL, IndexItem::from(row..)])?.topk(2, -1, true).map(|(v, _)| v),
        9 => x.reshape(&[10, 16])?.index(&[ids(e, &[2 * row, 3], &[2]).into()]),
        10 => x.softmax(-1)?.narrow(1, row, 1)?.narrow(2, 3, 2),
        _ => x.index(&[IndexItem::At(0), IndexItem::At(row)])?.cumsum(0),
    }
}

fn programme(
    e: &Engine,
    dtype: DType,
    ops: &[(u8, usize, usize, usize)],
    asked: &[(u8, usize, usize)],
) -> Vec<Tensor> {
    let table = leaf(e, &[7, 16], 1).cast(dtype);
    let mut all = vec![
        leaf(e, &[2, 5, 16], 2).cast(dtype),
        table.embed(&ids(e, &[3, 1, 4, 1, 5, 6, 2, 6, 5, 3], &[2, 5])).expect("ids in the table"),
    ];
    for &(op, a, b, p) in ops {
        let (x, y) = (all[a % all.len()].clone(), all[b % all.len()].clone());
        all.push(next(e, op, &x, &y, p).expect("operands fit"));
    }
    // The last value most of all, as its making is the longest.
    let pick = |i: usize| &all[if i.is_multiple_of(3) { i % all.len() } else { all.len() - 1 }];
    asked.iter().map(|&(how, i, p)| part(e, pick(i), how, p).expect("a part")).collect()
}

/// Elements that a plan computes; copies, which picking some rows out of others makes, do not count.
fn work(e: &Engine, asked: &[Tensor]) -> usize {
    let moves = |ops: &[&str]| matches!(ops, ["leaf" | "index" | "cat" | "slice" | "slice_assign" | "full"]);
    let plan = e.plan(asked);
    let steps = plan.steps.iter().filter(|step| !moves(&step.ops));
    steps.map(|step| step.ops.len() * step.dims.iter().product::<usize>()).sum()
}

/// What computing it gives, bit by bit, and the elements computed on the way.
fn computed(rewrites: Rewrites, build: &dyn Fn(&Engine) -> Vec<Tensor>) -> (Vec<Value>, usize) {
    let e = Engine::new();
    e.set_rewrites(rewrites);
    let asked = build(&e);
    let work = work(&e, &asked);
    e.eval(&asked).expect("the graph computes");
    (asked.iter().map(|t| t.eval().expect("a value").contiguous()).collect(), work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_bit_of_what_is_asked_depends_on_what_is_left_out(
        ops in prop::collection::vec((any::<u8>(), 0usize..16, 0usize..16, 0usize..16), 1..12),
        asked in prop::collection::vec((any::<u8>(), 0usize..16, 0usize..16), 1..4),
        kind in 0usize..3,
    ) {
        let dtype = [DType::F32, DType::BF16, DType::F16][kind];
        let build = |e: &Engine| programme(e, dtype, &ops, &asked);
        for (with, without) in pairs() {
            let ((got, less), (expected, more)) = (computed(with, &build), computed(without, &build));
            for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
                prop_assert_eq!(got.bytes(), expected.bytes(), "{} of {:?}", i, with);
            }
            prop_assert!(less <= more, "{} elements instead of {}", less, more);
        }
    }
}

/// Two layers as in GPT-2 and the scores of 200 words.
fn forward(e: &Engine, batch: usize, seq: usize) -> Result<(Vec<Tensor>, Tensor)> {
    let d = 16usize;
    let w = |dims: &[usize], seed| leaf(e, dims, seed);
    let table = w(&[200, d], 1);
    let tokens: Vec<i64> = (0..(batch * seq) as i64).map(|i| i * 37 % 200).collect();
    let mut x = table.embed(&ids(e, &tokens, &[batch, seq]))?.add(&w(&[256, d], 2).narrow(0, 0, seq)?)?;
    let mut hidden = vec![x.clone()];
    for layer in 0..2 {
        let at = 10 * (layer + 1);
        let (g, c) = (w(&[d], at), w(&[d], at + 1));
        let normed = x.layer_norm(Some(&g), Some(&c), 1e-5)?;
        let qkv = normed.matmul(&w(&[d, 3 * d], at + 2))?.add(&w(&[3 * d], at + 3))?;
        let heads = |i: usize| -> Result<Tensor> {
            let part = qkv.narrow(2, (i * d) as i64, d)?;
            part.reshape(&[batch as i64, seq as i64, 2, d as i64 / 2])?.permute(&[0, 2, 1, 3])
        };
        let spec = Attention { scale: 0.35, causal: true, window: None, softcap: None };
        let mixed = heads(0)?.attention(&heads(1)?, &heads(2)?, None, spec)?;
        let joined = mixed.permute(&[0, 2, 1, 3])?.reshape(&[batch as i64, seq as i64, d as i64])?;
        x = x.add(&joined.matmul(&w(&[d, d], at + 4))?.add(&c)?)?;
        let up = x.layer_norm(Some(&g), Some(&c), 1e-5)?.matmul(&w(&[d, 4 * d], at + 5))?;
        let down = up.add(&w(&[4 * d], at + 6))?.unary(UnaryOp::GeluTanh)?.matmul(&w(&[4 * d, d], at + 7))?;
        x = x.add(&down.add(&c)?)?;
        hidden.push(x.clone());
    }
    let logits = x.layer_norm(Some(&w(&[d], 3)), Some(&w(&[d], 4)), 1e-5)?.linear(&table, None)?;
    Ok((hidden, logits))
}

/// The shapes that products have in a plan.
fn products(e: &Engine, asked: &[Tensor]) -> Vec<Vec<usize>> {
    let plan = e.plan(asked);
    let steps = plan.steps.iter().filter(|s| s.ops.contains(&"matmul"));
    steps.map(|s| s.dims.to_vec()).collect()
}

#[test]
fn the_last_row_of_the_scores_costs_one_row_behind_the_last_keys() {
    let e = Engine::new();
    let (_, logits) = forward(&e, 3, 6).unwrap();
    let last = logits.index(&[IndexItem::ALL, IndexItem::At(-1)]).unwrap();
    let (rows, one) = (|n| vec![3, 6, n], |n| vec![3, 1, n]);
    assert_eq!(
        products(&e, std::slice::from_ref(&last)),
        [rows(48), rows(16), rows(64), rows(16), rows(48), one(16), one(64), one(16), one(200)]
    );
    let ends = logits.index(&[ids(&e, &[0, 1, 2], &[3]).into(), ids(&e, &[5, 5, 5], &[3]).into()]).unwrap();
    assert_eq!(products(&e, std::slice::from_ref(&ends))[8], one(200));
    let two = last.index_select(1, &ids(&e, &[7, 190], &[2])).unwrap();
    assert_eq!(products(&e, std::slice::from_ref(&two))[8], one(2));
    assert_eq!(two.to_vec::<f32>().unwrap(), {
        let all = last.to_vec::<f32>().unwrap();
        [0, 1, 2].map(|b| [all[b * 200 + 7], all[b * 200 + 190]]).concat()
    });
}

#[test]
fn an_early_position_needs_no_later_one() {
    let e = Engine::new();
    let (hidden, _) = forward(&e, 1, 6).unwrap();
    let early = hidden[2].narrow(1, 2, 1).unwrap();
    assert!(products(&e, &[early]).iter().all(|dims| dims[1] <= 3));
}

#[test]
fn rows_of_long_sequences_keep_their_bits() {
    let build = |row: i64| {
        move |e: &Engine| -> Vec<Tensor> {
            let (hidden, logits) = forward(e, 2, 150).expect("operands fit");
            let row = |t: &Tensor| t.narrow(1, row, 1).expect("a row");
            vec![row(&logits), row(&hidden[1]).log_softmax(-1).expect("rows")]
        }
    };
    for at in [0, 1, 47, 48, 63, 100, 149] {
        let without = Rewrites { demand: false, ..ALL };
        let ((got, less), (expected, more)) = (computed(ALL, &build(at)), computed(without, &build(at)));
        assert!(got.iter().zip(&expected).all(|(a, b)| a.bytes() == b.bytes()), "row {at}");
        assert!(less < more, "row {at}: {less} of {more}");
    }
}

#[test]
fn a_value_that_is_asked_for_too_is_computed_whole_and_once() {
    let e = Engine::new();
    let (hidden, logits) = forward(&e, 2, 5).unwrap();
    let last = logits.narrow(1, -1, 1).unwrap();
    let shapes = products(&e, &[last.clone(), hidden[2].clone()]);
    assert_eq!(shapes.len(), 9);
    assert!(shapes[..8].iter().all(|dims| dims[1] == 5));
    assert_eq!(shapes[8], [2, 1, 200]);
    assert_eq!(products(&e, &[last, logits]).last().unwrap(), &[2, 5, 200]);
}

#[test]
fn what_is_there_already_is_read_and_not_computed_in_part() {
    let e = Engine::new();
    let (_, logits) = forward(&e, 2, 5).unwrap();
    logits.eval().unwrap();
    let last = logits.narrow(1, -1, 1).unwrap();
    assert_eq!(e.plan(std::slice::from_ref(&last)).nodes, 1);
    assert_eq!(last.to_vec::<f32>().unwrap(), {
        let all = logits.to_vec::<f32>().unwrap();
        [&all[800..1000], &all[1800..]].concat()
    });
}

#[test]
fn a_part_is_a_value_of_its_own_and_the_whole_can_be_asked_for_later() {
    let e = Engine::new();
    let (_, logits) = forward(&e, 2, 5).unwrap();
    let last = logits.narrow(1, -1, 1).unwrap().to_vec::<f32>().unwrap();
    assert!(!logits.is_evaluated());
    let all = logits.to_vec::<f32>().unwrap();
    assert_eq!(last, [&all[800..1000], &all[1800..]].concat());
}

#[test]
fn gradients_through_a_slice_are_those_without_demand() {
    let build = |e: &Engine| -> Vec<Tensor> {
        let (hidden, logits) = forward(e, 2, 5).unwrap();
        let loss = logits.narrow(1, -1, 1).unwrap().log_softmax(-1).unwrap().narrow(2, 3, 2).unwrap();
        let loss = loss.sum(&[], false).unwrap();
        let mut asked: Vec<Tensor> = grad(&loss, &hidden).unwrap().into_iter().flatten().collect();
        asked.push(hidden[1].narrow(1, 0, 1).unwrap());
        asked.push(loss);
        asked
    };
    for (with, without) in pairs() {
        let ((got, _), (expected, _)) = (computed(with, &build), computed(without, &build));
        assert!(got.iter().zip(&expected).all(|(a, b)| a.bytes() == b.bytes()), "{with:?}");
    }
}

#[test]
fn a_fault_in_a_part_names_the_node_that_was_built() {
    let e = Engine::new();
    let table = leaf(&e, &[4, 3], 1);
    let bad = ids(&e, &[0, 1, 9, 3], &[2, 2]).add_scalar(0).unwrap();
    let rows = table.embed(&bad).unwrap();
    let asked = rows.exp().unwrap().narrow(0, 1, 1).unwrap();
    assert_eq!(e.plan(std::slice::from_ref(&asked)).steps.last().unwrap().dims.as_slice(), [1, 2, 3]);
    let error = asked.eval().unwrap_err();
    assert!(error.node().is_some_and(|node| node.same_node(&rows)), "{error:?}");
    assert_eq!(error.node().unwrap().asked_by(&[asked, rows]), [1]);
}

#[test]
fn big_lists_of_positions_are_computed_as_a_range() {
    let e = Engine::new();
    let host = HostData::from_slice(&(0..40_000).map(|i| i as f32).collect::<Vec<_>>());
    let x = e.from_value(Value::from_bytes(&host.bytes, DType::F32, &[40_000]), None);
    let odd =
        x.neg().unwrap().index(&[IndexItem::Slice { start: Some(1), stop: None, step: Some(2) }]).unwrap();
    let some = odd.abs().unwrap().narrow(0, 10, 3).unwrap();
    assert_eq!(some.to_vec::<f32>().unwrap(), [21.0, 23.0, 25.0]);
    let all = odd.abs().unwrap().to_vec::<f32>().unwrap();
    assert!(all.iter().enumerate().all(|(i, &x)| x == (2 * i + 1) as f32));
}
