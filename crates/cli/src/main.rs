//! The `pellucid` command: look inside a language model from a terminal.

mod args;
mod commands;
mod error;
mod model;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::output::Printer;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(&cli.output);
    let done = match &cli.command {
        Command::Lens(args) => commands::lens::run(args, &printer),
        Command::Patch(args) => commands::patch::run(args, &printer),
        Command::Attention(args) => commands::attention::run(args, &printer),
        Command::Generate(args) => commands::generate::run(args, &printer),
        Command::Run(args) => commands::run::run(args, &printer),
        Command::Inspect(args) => commands::inspect::run(args, &printer),
        Command::Bench(args) => commands::bench::run(args, &printer),
        Command::Train(args) => commands::train::run(args, &printer),
        Command::Completions(args) => commands::completions::run(args, &printer),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&error);
            ExitCode::FAILURE
        }
    }
}
