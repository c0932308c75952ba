//! `pellucid train`.

use std::sync::atomic::Ordering;

use pellucid_demo::{Progress, Recipe, TrainOptions, train};
use serde::Serialize;

use crate::args::{RecipeName, TrainArgs};
use crate::error::CliError;
use crate::output::Printer;
use crate::progress;

#[derive(Serialize)]
struct Trained {
    folder: String,
    final_loss: f64,
    minutes: f64,
}

pub(crate) fn run(args: &TrainArgs, printer: &Printer<'_>) -> Result<(), CliError> {
    let RecipeName::Demo = args.recipe;
    let mut recipe = Recipe::default();
    if let Some(steps) = args.steps {
        // The fall of the learning rate keeps its share of the run.
        recipe.fall = recipe.fall * steps / recipe.steps.max(1);
        recipe.steps = steps;
    }
    recipe.seed = args.seed.unwrap_or(recipe.seed);
    let options = TrainOptions::new(&args.out);
    let interrupt = options.engine.interrupt_flag();
    // Without a handler Ctrl-C still ends the process; files appear whole or not at all either way.
    let _ = ctrlc::set_handler(move || interrupt.store(true, Ordering::Relaxed));
    let bar = progress::steps(recipe.steps, "training");
    let report = train(&recipe, &options, &mut |event| match event {
        Progress::Started { n_parameters, .. } => {
            bar.set_message(format!("training {n_parameters} parameters"))
        }
        Progress::Steps { point, tokens_per_second, .. } => {
            bar.set_position(point.step);
            bar.set_message(format!("loss {:.3}, {tokens_per_second:.0} tokens/s", point.loss));
        }
        Progress::Measured(_) | Progress::Saved { .. } => {}
    })?;
    bar.finish_and_clear();
    let folder = args.out.display().to_string();
    let data = Trained { folder, final_loss: report.run.final_loss, minutes: report.run.minutes };
    let text = format!(
        "wrote {} after {:.1} minutes, loss {:.3}; its README.md states what it has learned\n",
        data.folder, data.minutes, data.final_loss
    );
    printer.plain("train", &data, &text)
}
