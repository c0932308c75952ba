//! `pellucid bench`.

use std::fmt::Write as _;
use std::time::Instant;

use pellucid::{Model, Tensor};
use serde::Serialize;

use crate::args::{BenchArgs, BenchTask};
use crate::error::CliError;
use crate::output::Printer;
use crate::{model, progress};

#[derive(Serialize)]
struct Report {
    model: String,
    threads: usize,
    /// Seconds to open the model.
    load_s: f64,
    tasks: Vec<Measured>,
    /// Most memory that tensors took, in bytes, weights in mapped files not counted.
    peak_bytes: usize,
}

#[derive(Serialize)]
struct Measured {
    task: String,
    median_s: f64,
    min_s: f64,
    all_s: Vec<f64>,
}

pub(crate) fn run(args: &BenchArgs, printer: &Printer<'_>) -> Result<(), CliError> {
    if let Some(threads) = args.threads {
        pellucid::set_threads(threads.into());
    }
    let start = Instant::now();
    let model = model::open(&args.model)?;
    let load_s = start.elapsed().as_secs_f64();
    pellucid::memory::reset_peak();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); args.tasks.len()];
    let bar = progress::steps(u64::from(args.repeats) + 1, "measuring");
    // The first round warms up: weights are packed and pages touched.
    for round in 0..=args.repeats {
        for (task, times) in args.tasks.iter().zip(&mut times) {
            let seconds = measure(&model, *task, u64::from(round))?;
            if round > 0 {
                times.push(seconds);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let tasks = args.tasks.iter().zip(times).map(|(task, all)| {
        let mut sorted = all.clone();
        sorted.sort_by(f64::total_cmp);
        Measured { task: task.to_string(), median_s: sorted[sorted.len() / 2], min_s: sorted[0], all_s: all }
    });
    let report = Report {
        model: model.name().to_owned(),
        threads: pellucid::threads(),
        load_s,
        tasks: tasks.collect(),
        peak_bytes: pellucid::memory::peak_bytes(),
    };
    let mut text = format!(
        "{}, {} threads, opened in {:.0} ms\n\n{:<16} {:>12} {:>12}\n",
        report.model,
        report.threads,
        1e3 * load_s,
        "task",
        "median",
        "minimum"
    );
    for m in &report.tasks {
        let _ = writeln!(text, "{:<16} {:>12} {:>12}", m.task, duration(m.median_s), duration(m.min_s));
    }
    let _ = writeln!(text, "\npeak memory of tensors {:.0} MB", report.peak_bytes as f64 / 1e6);
    printer.plain("bench", &report, &text)
}

fn duration(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.1} µs", 1e6 * seconds)
    } else if seconds < 1.0 {
        format!("{:.2} ms", 1e3 * seconds)
    } else {
        format!("{seconds:.2} s")
    }
}

/// Token ids that differ from round to round, so that nothing is remembered.
fn prompt(model: &Model, rows: usize, seq: usize, round: u64) -> Result<Vec<Vec<i64>>, CliError> {
    let vocab = model.sizes().d_vocab as u64;
    let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocab) as i64
    };
    Ok((0..rows).map(|_| (0..seq).map(|_| next()).collect()).collect())
}

fn ids(model: &Model, rows: usize, seq: usize, round: u64) -> Result<Tensor, CliError> {
    let tokens = prompt(model, rows, seq, round)?.concat();
    Ok(model.engine().from_vec(tokens, &[rows, seq]).map_err(pellucid::Error::from)?)
}

fn measure(model: &Model, task: BenchTask, round: u64) -> Result<f64, CliError> {
    match task {
        BenchTask::Forward1x10 => forward(model, (1, 10), round, false),
        BenchTask::Forward8x15 => forward(model, (8, 15), round, false),
        BenchTask::Forward182x15 => forward(model, (182, 15), round, false),
        BenchTask::Last1x10 => forward(model, (1, 10), round, true),
        BenchTask::Last8x15 => forward(model, (8, 15), round, true),
        BenchTask::Last182x15 => forward(model, (182, 15), round, true),
        BenchTask::Build => {
            let ids = ids(model, 1, 10, round)?;
            let start = Instant::now();
            let logits = model.logits(&ids)?;
            let seconds = start.elapsed().as_secs_f64();
            drop(logits);
            Ok(seconds)
        }
        BenchTask::BuildVariantFirst => build_variant(model, 0, round),
        BenchTask::BuildVariantLast => build_variant(model, model.sizes().n_layers - 1, round),
        BenchTask::Decode => {
            let prompt = prompt(model, 1, 15, round)?;
            let generate = |tokens: usize| -> Result<f64, CliError> {
                let trace = model.generate_all(tokens);
                let ids = trace.invoke(prompt.clone()).generated().save();
                let start = Instant::now();
                trace.run()?.ints(&ids)?;
                Ok(start.elapsed().as_secs_f64())
            };
            // The difference leaves the prompt's own pass out.
            Ok((generate(9)? - generate(1)?).max(0.0) / 8.0)
        }
    }
}

/// Logits of all positions, or of the last one only.
fn forward(model: &Model, (rows, seq): (usize, usize), round: u64, last: bool) -> Result<f64, CliError> {
    let ids = ids(model, rows, seq, round)?;
    let start = Instant::now();
    let logits = model.logits(&ids)?;
    let wanted = if last { logits.narrow(1, -1, 1).map_err(pellucid::Error::from)? } else { logits };
    wanted.eval().map_err(pellucid::Error::from)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Building one more variant of a forward pass, which differs from the others at the feed-forward output of a layer.
fn build_variant(model: &Model, layer: usize, round: u64) -> Result<f64, CliError> {
    const MORE: usize = 16;
    let prompt = prompt(model, 1, 10, round)?;
    let patched = model.block(layer, &model.sizes().mlp);
    let build = |variants: usize| -> Result<f64, CliError> {
        let trace = model.trace();
        for variant in 0..variants {
            let invoke = trace.invoke(prompt.clone());
            invoke.output(&patched).set((.., 0), variant as f64);
            let _ = invoke.output(&model.sizes().final_norm).save();
        }
        let start = Instant::now();
        trace.scan()?;
        Ok(start.elapsed().as_secs_f64())
    };
    // The difference leaves out the layers before the patch, which all variants share. The shortest of several times,
    // because a difference of two doubles their noise.
    let (mut one, mut all) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        one = one.min(build(1)?);
        all = all.min(build(1 + MORE)?);
    }
    Ok((all - one).max(0.0) / MORE as f64)
}
