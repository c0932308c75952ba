//! Opening the model that the command line names.

use pellucid::{DType, LoadOptions, Model};

use crate::args::{ModelArgs, WeightType};
use crate::error::CliError;
use crate::progress::Downloads;

fn options(args: &ModelArgs) -> LoadOptions {
    let mut options = LoadOptions::default();
    options.hub.revision.clone_from(&args.revision);
    options.hub.progress = Some(Downloads::shared());
    options.dtype = match args.dtype {
        WeightType::Float32 => Some(DType::F32),
        WeightType::Bfloat16 => Some(DType::BF16),
        WeightType::Auto => None,
    };
    options
}

/// The model with its weights.
pub(crate) fn open(args: &ModelArgs) -> Result<Model, CliError> {
    Ok(Model::open_with(&args.model, &options(args))?)
}

/// The model's tree and shapes alone.
pub(crate) fn skeleton(args: &ModelArgs) -> Result<Model, CliError> {
    Ok(Model::skeleton(&args.model, &options(args))?)
}
