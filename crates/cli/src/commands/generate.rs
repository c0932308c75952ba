//! `pellucid generate`.

use pellucid::Generation;
use pellucid_techniques::TechniqueError;
use serde::Serialize;

use crate::args::GenerateArgs;
use crate::error::CliError;
use crate::model;
use crate::output::Printer;

#[derive(Serialize)]
struct Generated<'a> {
    prompt: &'a str,
    text: String,
    /// The prompt's tokens, then the new ones.
    ids: Vec<i64>,
    /// How many of them are the prompt's.
    prompt_tokens: usize,
}

pub(crate) fn run(args: &GenerateArgs, printer: &Printer<'_>) -> Result<(), CliError> {
    if args.prompt.is_empty() {
        return Err(TechniqueError::EmptyPrompt.into());
    }
    let model = model::open(&args.model)?;
    let prompt = model.encode(&args.prompt)?;
    if let Some(limit) = model.sizes().n_ctx {
        let got = prompt.len() + args.max_new_tokens as usize;
        if got > limit {
            return Err(pellucid::NnError::ContextLength { got, limit }.into());
        }
    }
    let mut options = Generation::new(args.max_new_tokens as usize);
    if args.sample {
        options = options.sampled(args.seed.into());
    }
    for (name, value) in [
        ("temperature", args.temperature),
        ("top_p", args.top_p),
        ("repetition_penalty", args.repetition_penalty),
    ] {
        if let Some(value) = value {
            options = options.with(name, value);
        }
    }
    for (name, value) in [("top_k", args.top_k), ("num_beams", args.beams)] {
        if let Some(value) = value {
            options = options.with(name, i64::from(value));
        }
    }
    let trace = model.generate_with(options);
    let ids = trace.invoke(&prompt).generated().save();
    let ids = trace.run()?.ints(&ids)?;
    let text = model.decode(&ids)?;
    let data =
        Generated { prompt: &args.prompt, text: text.clone(), prompt_tokens: prompt.len(), ids: ids.clone() };
    printer.plain("generate", &data, &format!("{text}\n"))
}
