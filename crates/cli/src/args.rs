//! What can be written on the command line, with its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Look inside a language model, change what it computes, and see why it does what it does.
#[derive(Debug, Parser)]
#[command(name = "pellucid", version, about, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are shown.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print the result as JSON, for other programs
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,

    /// Width of the output in columns [default: the terminal's, else 100]
    #[arg(long, global = true, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(20..=1000))]
    pub(crate) width: Option<u16>,

    /// Also write the picture to a file: .svg, .png or .html
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// If the output is a terminal that shows it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Which model, and how it is loaded.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// `demo` (ships with the program), a folder, or a Hugging Face id such as `openai-community/gpt2`
    #[arg(long, short, value_name = "MODEL", default_value = "demo")]
    pub(crate) model: String,

    /// Type that weights are converted to
    #[arg(long, value_name = "TYPE", default_value = "float32")]
    pub(crate) dtype: WeightType,

    /// Branch, tag or commit of a model on the hub
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
}

/// Element type of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightType {
    /// Single precision, as transformers does by default
    Float32,
    /// Half the memory, less precise
    Bfloat16,
    /// As the file has it
    Auto,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Lens(LensArgs),
    Patch(PatchArgs),
    Attention(AttentionArgs),
    Generate(GenerateArgs),
    Run(RunArgs),
    Inspect(InspectArgs),
    Bench(BenchArgs),
    Train(TrainArgs),
    Completions(CompletionArgs),
}

/// Show what the model would guess after each layer (logit lens)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid lens \"The Eiffel Tower is in the city of\"
  pellucid lens \"The Taj Mahal is in the city of\" --save lens.svg
  pellucid lens \"Hello\" --model openai-community/gpt2 --json")]
pub(crate) struct LensArgs {
    /// The text to look at
    pub(crate) prompt: String,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Guesses kept for each cell, in tooltips and JSON
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) top: u16,
}

/// Find the places that carry an answer (activation patching)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid patch \"The Eiffel Tower is in the city of\" \"The Prado Museum is in the city of\"
  pellucid patch CLEAN CORRUPTED --answer \" Paris\" --foil \" Madrid\" --site heads
  pellucid patch CLEAN CORRUPTED --save patching.png")]
pub(crate) struct PatchArgs {
    /// The prompt whose activations are put in
    pub(crate) clean: String,

    /// The prompt that is run with them; as many tokens as the clean one
    pub(crate) corrupted: String,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// What is patched
    #[arg(long, value_name = "SITE", default_value = "residual")]
    pub(crate) site: Site,

    /// The clean prompt's answer, one token [default: the model's own]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) answer: Option<String>,

    /// The corrupted prompt's answer, one token [default: the model's own]
    #[arg(long, value_name = "TOKEN")]
    pub(crate) foil: Option<String>,
}

/// What is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Site {
    /// The residual stream after each block, at each token
    Residual,
    /// The attention output of each block, at each token
    Attention,
    /// The feed-forward output of each block, at each token
    Mlp,
    /// Each attention head, at all tokens
    Heads,
}

/// Show where tokens look (attention patterns)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid attention \"the cat sat on the mat and the cat\" --layer 2
  pellucid attention \"When Mary and John went to the store, John gave a drink to\" --layer 4 --head 1")]
pub(crate) struct AttentionArgs {
    /// The text to look at
    pub(crate) prompt: String,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// The layer
    #[arg(long, short, value_name = "N")]
    pub(crate) layer: usize,

    /// The head [default: all of the layer]
    #[arg(long, value_name = "N")]
    pub(crate) head: Option<usize>,
}

/// Continue a text
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid generate \"The Eiffel Tower\" --max-new-tokens 40
  pellucid generate \"The Eiffel Tower\" --sample --temperature 0.8 --seed 3
  pellucid generate \"The Eiffel Tower\" --beams 4")]
pub(crate) struct GenerateArgs {
    /// The text to continue
    pub(crate) prompt: String,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Tokens to add at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,

    /// Draw each token at random instead of taking the likeliest
    #[arg(long, conflicts_with = "beams")]
    pub(crate) sample: bool,

    /// With `--sample`: below 1 likelier tokens are drawn more often, above 1 less
    #[arg(long, value_name = "T", requires = "sample")]
    pub(crate) temperature: Option<f64>,

    /// With `--sample`: draw among the N likeliest tokens only; 0 for all
    #[arg(long, value_name = "N", requires = "sample")]
    pub(crate) top_k: Option<u32>,

    /// With `--sample`: draw among the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", requires = "sample")]
    pub(crate) top_p: Option<f64>,

    /// With `--sample`: the same seed gives the same text
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(crate) seed: u32,

    /// Above 1, tokens that have occurred become less likely
    #[arg(long, value_name = "FACTOR")]
    pub(crate) repetition_penalty: Option<f64>,

    /// Search for the likeliest text, with so many continuations side by side
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) beams: Option<u32>,
}

/// Run an intervention program from its text form
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid run patch.pel
  pellucid run patch.pel --explain
  pellucid run patch.pel --model openai-community/gpt2 --max-memory 2000 --json")]
pub(crate) struct RunArgs {
    /// The program, as `Program` prints it
    pub(crate) program: PathBuf,

    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Say what the program would do and what it would cost, without running it
    #[arg(long)]
    pub(crate) explain: bool,

    /// Refuse the program if it needs more memory than so many megabytes
    #[arg(long, value_name = "MB")]
    pub(crate) max_memory: Option<f64>,

    /// Refuse the program if it needs more than so many billion floating-point operations
    #[arg(long, value_name = "GFLOP")]
    pub(crate) max_gflop: Option<f64>,

    /// Refuse the program if its operations would take longer than so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_seconds: Option<f64>,
}

/// Show the module tree with shapes and parameters
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid inspect
  pellucid inspect --model meta-llama/Llama-3.1-70B --skeleton
  pellucid inspect --module transformer.h.0 --shapes")]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// Read config.json alone: no weights are needed
    #[arg(long)]
    pub(crate) skeleton: bool,

    /// Show this part of the tree only, and the operations inside the module, by which programs read and write them
    #[arg(long, value_name = "PATH")]
    pub(crate) module: Option<String>,

    /// Show the shape of each module's output for a prompt of some tokens
    #[arg(long)]
    pub(crate) shapes: bool,

    /// Print the tree as PyTorch does
    #[arg(long)]
    pub(crate) print: bool,
}

/// Measure the speed of a model on this machine
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid bench
  pellucid bench --model FOLDER --tasks forward-8x15,decode --repeats 20 --json")]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// What to measure
    #[arg(long, value_name = "TASKS", value_delimiter = ',', default_values_t = BenchTask::ALL)]
    pub(crate) tasks: Vec<BenchTask>,

    /// How often each task is measured; the tasks take turns
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) repeats: u32,

    /// Threads to compute with [default: all of the machine's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

/// A thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchTask {
    /// Build the graph of one forward pass of 10 tokens, computing nothing
    #[value(name = "build")]
    Build,
    /// Build a second one that differs from the first layer on
    #[value(name = "build-variant-first")]
    BuildVariantFirst,
    /// Build a second one that differs in the last layer
    #[value(name = "build-variant-last")]
    BuildVariantLast,
    /// Logits of 1 prompt of 10 tokens
    #[value(name = "forward-1x10")]
    Forward1x10,
    /// Logits of 8 prompts of 15 tokens
    #[value(name = "forward-8x15")]
    Forward8x15,
    /// Logits of 182 prompts of 15 tokens
    #[value(name = "forward-182x15")]
    Forward182x15,
    /// The last position's logits of 1 prompt of 10 tokens
    #[value(name = "last-1x10")]
    Last1x10,
    /// The last position's logits of 8 prompts of 15 tokens
    #[value(name = "last-8x15")]
    Last8x15,
    /// The last position's logits of 182 prompts of 15 tokens
    #[value(name = "last-182x15")]
    Last182x15,
    /// One token after a prompt of 15, with a cache
    #[value(name = "decode")]
    Decode,
}

impl BenchTask {
    const ALL: [BenchTask; 10] = [
        BenchTask::Build,
        BenchTask::BuildVariantFirst,
        BenchTask::BuildVariantLast,
        BenchTask::Forward1x10,
        BenchTask::Forward8x15,
        BenchTask::Forward182x15,
        BenchTask::Last1x10,
        BenchTask::Last8x15,
        BenchTask::Last182x15,
        BenchTask::Decode,
    ];
}

impl std::fmt::Display for BenchTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |v| v.get_name()))
    }
}

/// Train a model from its recipe
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid train demo --out my-demo
  pellucid train demo --out quick-demo --steps 500")]
pub(crate) struct TrainArgs {
    /// What to train
    pub(crate) recipe: RecipeName,

    /// Folder to write the model to; it must be new
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,

    /// Steps of the optimiser [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) steps: Option<u64>,

    /// Seed of weights and corpus [default: the recipe's]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// A recipe that ships with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecipeName {
    /// The demo model
    Demo,
}

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid completions bash > /etc/bash_completion.d/pellucid
  pellucid completions zsh > ~/.zfunc/_pellucid")]
pub(crate) struct CompletionArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}
