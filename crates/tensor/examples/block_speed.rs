//! Times a GPT-2 block of width 768, forward and with gradients, for several numbers of rows.
//!
//! `cargo run --release -p pellucid-tensor --example block_speed [-- rows...]`
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

fn main() -> Result<()> {
    let engine = Engine::new();
    let block = Block::new(&engine);
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![1, 10, 120, 2730] } else { asked };
    pellucid_kernels::threads::set_threads(1);
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
