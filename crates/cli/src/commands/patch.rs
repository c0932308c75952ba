//! `pellucid patch`.

use pellucid_techniques::{PatchSite, PatchSweep, TechniqueError, patch_sweep};

use crate::args::{PatchArgs, Site};
use crate::error::CliError;
use crate::output::Printer;
use crate::{model, progress};

pub(crate) fn run(args: &PatchArgs, printer: &Printer<'_>) -> Result<(), CliError> {
    if args.clean.is_empty() || args.corrupted.is_empty() {
        return Err(TechniqueError::EmptyPrompt.into());
    }
    let model = model::open(&args.model)?;
    let sweep = PatchSweep {
        clean: args.clean.clone(),
        corrupted: args.corrupted.clone(),
        answer: args.answer.clone(),
        foil: args.foil.clone(),
        site: match args.site {
            Site::Residual => PatchSite::ResidualStream,
            Site::Attention => PatchSite::Attention,
            Site::Mlp => PatchSite::Mlp,
            Site::Heads => PatchSite::Heads,
        },
    };
    let bar = progress::steps(model.sizes().n_layers as u64, "patching layers");
    let patched = patch_sweep(&model, &sweep, &mut |done, _| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    printer.figure(&patched, &patched.figure()?)
}
