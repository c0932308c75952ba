//! Times a GPT-2 block of width 768, forward and with gradients, for several numbers of rows.
//!
//! `cargo run --release -p pellucid-tensor --example block_speed [-- rows...]`, or `-- model` for a whole GPT-2's planning
//! time and memory, and an optimiser's step.
//!
//! Times are processor time of the calling thread, with one thread at work, so that they hold on a busy machine.

#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::time::Instant;

use pellucid_tensor::{Attention, DType, Engine, HostData, Result, Tensor, Value, grad::grad};

const D: usize = 768;
const HEADS: usize = 12;

/// A leaf of numbers around zero, told apart by `seed`.
fn weight(engine: &Engine, dims: &[usize], seed: u32) -> Tensor {
    let n: usize = dims.iter().product();
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let data: Vec<f32> = (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 * 0.04 - 0.02
        })
        .collect();
    let host = HostData::from_slice(&data);
    engine.from_value(Value::from_bytes(&host.bytes, DType::F32, dims), None)
}

struct Block {
    weights: Vec<Tensor>,
}

impl Block {
    fn new(engine: &Engine) -> Block {
        let shapes: [&[usize]; 12] = [
            &[D],
            &[D],
            &[D, 3 * D],
            &[3 * D],
            &[D, D],
            &[D],
            &[D],
            &[D],
            &[D, 4 * D],
            &[4 * D],
            &[4 * D, D],
            &[D],
        ];
        let weights = shapes.iter().enumerate().map(|(i, dims)| weight(engine, dims, i as u32)).collect();
        Block { weights }
    }

    /// As Hugging Face writes GPT-2: `x [batch, seq, d_model]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let w = &self.weights;
        let [b, s] = [x.dims()[0] as i64, x.dims()[1] as i64];
        let linear = |x: &Tensor, i: usize| -> Result<Tensor> {
            let n = w[i].dims()[1] as i64;
            let rows = x.reshape(&[-1, w[i].dims()[0] as i64])?;
            rows.matmul(&w[i])?.add(&w[i + 1])?.reshape(&[b, s, n])
        };
        let normed = x.layer_norm(Some(&w[0]), Some(&w[1]), 1e-5)?;
        let qkv = linear(&normed, 2)?;
        let heads = |i: i64| -> Result<Tensor> {
            let part = qkv.narrow(2, i * D as i64, D)?;
            part.reshape(&[b, s, HEADS as i64, (D / HEADS) as i64])?.permute(&[0, 2, 1, 3])
        };
        let spec = Attention { scale: 0.125, causal: true, window: None, softcap: None };
        let mixed = heads(0)?.attention(&heads(1)?, &heads(2)?, None, spec)?;
        let joined = mixed.permute(&[0, 2, 1, 3])?.reshape(&[b, s, D as i64])?;
        let x = x.add(&linear(&joined, 4)?)?;
        let normed = x.layer_norm(Some(&w[6]), Some(&w[7]), 1e-5)?;
        let hidden = linear(&normed, 8)?.unary(pellucid_tensor::UnaryOp::GeluTanh)?;
        x.add(&linear(&hidden, 10)?)
    }
}

/// Processor time of this thread, in seconds.
fn now() -> f64 {
    // Linux tells it as the first of three numbers, in nanoseconds.
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|n| n.parse::<f64>().ok()).map_or(0.0, |ns| ns * 1e-9)
}

/// Seconds of a run, on average over several after some that warm up. The clock moves in steps of milliseconds.
fn average(runs: usize, mut run: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    (0..3).try_for_each(&mut run)?;
    let start = now();
    (3..runs + 3).try_for_each(run)?;
    Ok((now() - start) / runs as f64)
}

/// Planning time and memory of twelve blocks with logits over 182 sequences of 15 tokens, and a step of AdamW.
fn model(engine: &Engine, block: &Block) -> Result<()> {
    const VOCAB: usize = 50_257;
    let (wte, wpe) = (weight(engine, &[VOCAB, D], 50), weight(engine, &[1024, D], 51));
    let ids: Vec<i64> = (0..182 * 15).map(|i| i * 7919 % VOCAB as i64).collect();
    let ids = engine.from_vec(ids, &[182, 15])?;
    let start = Instant::now();
    let mut x = wte
        .index_select(0, &ids.reshape(&[-1])?)?
        .reshape(&[182, 15, D as i64])?
        .add(&wpe.narrow(0, 0, 15)?)?;
    for _ in 0..12 {
        x = block.forward(&x)?;
    }
    let logits = x.layer_norm(Some(&block.weights[0]), Some(&block.weights[1]), 1e-5)?.linear(&wte, None)?;
    let built = start.elapsed();
    let targets = [logits];
    let plan = engine.plan(&targets);
    let start = Instant::now();
    for _ in 0..100 {
        let _ = engine.plan(&targets);
    }
    println!("{} operations built in {built:?}, planned and told in {:?}", plan.nodes, start.elapsed() / 100);
    let last = [targets[0].narrow(1, -1, 1)?];
    for (what, targets, demand) in [
        ("all", &targets, false),
        ("all", &targets, true),
        ("last rows", &last, false),
        ("last rows", &last, true),
    ] {
        engine.set_rewrites(pellucid_tensor::Rewrites { demand, ..engine.rewrites() });
        let start = Instant::now();
        for _ in 0..200 {
            let _ = engine.plan(targets);
        }
        let told = start.elapsed() / 200;
        let flops = engine.plan(targets).flops as f64 * 1e-9;
        println!("{what}, demand {demand}: planned and told in {told:?}, {flops:.1} GFLOP");
    }
    if std::env::args().any(|a| a == "plan") {
        return Ok(());
    }
    engine.eval(&[block.forward(&x.narrow(0, 0, 1)?.detach()?)?])?;
    let before = pellucid_kernels::memory::current_bytes();
    pellucid_kernels::memory::reset_peak();
    let start = now();
    engine.eval(&targets)?;
    let seconds = now() - start;
    let peak = pellucid_kernels::memory::peak_bytes() - before;
    println!(
        "{seconds:.2} s, {:.1} GFLOP/s; {} MB at the peak ({} MB estimated), {} MB of panels",
        plan.flops as f64 / seconds * 1e-9,
        peak >> 20,
        plan.peak_bytes_estimate >> 20,
        engine.packed_bytes() >> 20,
    );

    // A graph of many small operations: what a node costs beside its arithmetic.
    let count = 400;
    let (row, column) = (weight(engine, &[4], 60), weight(engine, &[4], 61));
    let seconds = average(200, |i| {
        let mut x = row.mul_scalar(i as f64)?;
        for _ in 0..count / 4 {
            x = x.add(&column)?.softmax(-1)?.reshape(&[2, 2])?.reshape(&[4])?.tanh()?;
        }
        x.eval().map(drop)
    })?;
    println!("{:.2} us per node, built, planned and computed", seconds * 1e6 / f64::from(count));

    let n = 16_000_000;
    let [p, g, m, v] = [1, 2, 3, 4].map(|seed| weight(engine, &[n], seed).abs());
    let (p, g, m, v) = (p?.detach()?, g?.detach()?, m?.detach()?, v?.detach()?);
    for (how, chains) in [("in chains", true), ("one by one", false)] {
        engine.set_rewrites(pellucid_tensor::Rewrites { chains, ..engine.rewrites() });
        let seconds = average(5, |i| {
            let rate = 1e-3 + i as f64;
            let m = m.mul_scalar(0.9)?.add(&g.mul_scalar(0.1)?)?;
            let v = v.mul_scalar(0.999)?.add(&g.mul(&g)?.mul_scalar(0.001)?)?;
            let root = v.mul_scalar(1.5)?.sqrt()?.add_scalar(1e-8)?;
            let step = m.mul_scalar(1.1)?.div(&root)?.mul_scalar(rate)?;
            engine.eval(&[p.mul_scalar(1.0 - rate)?.sub(&step)?, m, v])
        })?;
        println!("AdamW {how}: {:.2} ns per parameter", seconds * 1e9 / n as f64);
    }
    Ok(())
}

fn main() -> Result<()> {
    pellucid_kernels::threads::set_threads(1);
    let engine = Engine::new();
    let block = Block::new(&engine);
    if std::env::args().any(|a| a == "model") {
        return model(&engine, &block);
    }
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![1, 10, 120, 2730] } else { asked };
    for rows in sizes {
        let seq = if rows > 120 { 15 } else { rows };
        let dims = [rows / seq, seq, D];
        let n = rows as f64;
        let flops = n * 24.0 * (D * D) as f64 + n * 4.0 * (seq * D) as f64;
        let runs = (20_000 / rows).clamp(5, 400);
        let mut built = 0.0;
        let forward = average(runs, |i| {
            let x = weight(&engine, &dims, 100 + i as u32);
            let start = Instant::now();
            let y = block.forward(&x)?;
            built = start.elapsed().as_secs_f64();
            y.eval().map(drop)
        })?;
        let made = average(runs, |i| {
            weight(&engine, &dims, 100 + i as u32);
            Ok(())
        })?;
        let forward = forward - made;
        println!(
            "{rows:5} rows  forward  {:8.3} ms  {:6.1} GFLOP/s  (building {:.0} us)",
            forward * 1e3,
            flops / forward * 1e-9,
            built * 1e6
        );
        if rows < 100 {
            continue;
        }
        let backward = average(runs, |i| {
            let x = weight(&engine, &dims, 100 + i as u32);
            let y = block.forward(&x)?;
            let loss = y.mul(&y)?.sum(&[], false)?;
            let mut asked = block.weights.clone();
            asked.push(x);
            let mut gradients: Vec<Tensor> = grad(&loss, &asked)?.into_iter().flatten().collect();
            gradients.push(loss);
            engine.eval(&gradients)
        })?;
        let backward = backward - made;
        println!(
            "{rows:5} rows  training {:8.3} ms  {:6.1} GFLOP/s",
            backward * 1e3,
            3.0 * flops / backward * 1e-9
        );
    }
    Ok(())
}
