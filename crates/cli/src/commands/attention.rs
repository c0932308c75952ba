//! `pellucid attention`.

use pellucid_techniques::{TechniqueError, attention_patterns};

use crate::args::AttentionArgs;
use crate::error::CliError;
use crate::model;
use crate::output::Printer;

pub(crate) fn run(args: &AttentionArgs, printer: &Printer<'_>) -> Result<(), CliError> {
    if args.prompt.is_empty() {
        return Err(TechniqueError::EmptyPrompt.into());
    }
    let model = model::open(&args.model)?;
    let patterns = attention_patterns(&model, &args.prompt, args.layer, args.head)?;
    printer.figure(&patterns, &patterns.figure()?)
}
