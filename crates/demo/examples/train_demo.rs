//! Trains the demo model: `cargo run --release -p pellucid-demo --example train_demo -- --out FOLDER [--steps N]`.
#![expect(clippy::print_stdout, reason = "an example reports what it does")]

use std::error::Error;
use std::sync::atomic::Ordering;

use pellucid_demo::{Measured, Progress, Recipe, TrainOptions, train};

fn show(measured: &Measured) {
    for row in &measured.accuracies {
        let share = 100.0 * row.n_first as f64 / row.n_probes.max(1) as f64;
        print!("{} [{}] {share:.0} | ", row.skill, row.held_out);
    }
    println!("random tokens {:.0}", 100.0 * measured.random_token_induction);
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: train_demo --out FOLDER [--steps N]";
    let mut folder = None;
    let mut recipe = Recipe::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(usage)?;
        match argument.as_str() {
            "--out" => folder = Some(value),
            "--steps" => {
                let steps: u64 = value.parse()?;
                // The fall keeps its share of the run.
                recipe.fall = recipe.fall * steps / recipe.steps.max(1);
                recipe.steps = steps;
            }
            _ => return Err(usage.into()),
        }
    }
    let options = TrainOptions::new(folder.ok_or(usage)?);
    let interrupt = options.engine.interrupt_flag();
    ctrlc::set_handler(move || interrupt.store(true, Ordering::Relaxed))?;
    let report = train(&recipe, &options, &mut |progress| match progress {
        Progress::Started { n_parameters, d_vocab } => {
            println!("{n_parameters} parameters, vocabulary {d_vocab}");
        }
        Progress::Steps { point, steps, tokens_per_second, left } => println!(
            "step {}/{steps}  loss {:.4}  lr {:.2e}  {tokens_per_second:.0} tokens/s  {:.1} min left",
            point.step,
            point.loss,
            point.learning_rate,
            left.as_secs_f64() / 60.0,
        ),
        Progress::Measured(measured) => show(measured),
        Progress::Saved { step } => println!("saved at step {step}"),
    })?;
    println!("loss {:.4} after {:.1} minutes", report.run.final_loss, report.run.minutes);
    Ok(())
}
