//! `pellucid lens`.

use pellucid_techniques::{TechniqueError, logit_lens};

use crate::args::LensArgs;
use crate::error::CliError;
use crate::model;
use crate::output::Printer;

pub(crate) fn run(args: &LensArgs, printer: &Printer<'_>) -> Result<(), CliError> {
    if args.prompt.is_empty() {
        return Err(TechniqueError::EmptyPrompt.into());
    }
    let model = model::open(&args.model)?;
    let lens = logit_lens(&model, &args.prompt, args.top.into())?;
    printer.figure(&lens, &lens.figure()?)
}
