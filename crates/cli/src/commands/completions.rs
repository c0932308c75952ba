//! `pellucid completions`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionArgs};
use crate::error::CliError;
use crate::output::Printer;

pub(crate) fn run(args: &CompletionArgs, printer: &Printer<'_>) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pellucid", &mut script);
    printer.text(&String::from_utf8_lossy(&script));
    Ok(())
}
