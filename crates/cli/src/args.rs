//! What can be written on the command line, with its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Look inside a language model, change what it computes, and see why it does what it does.
#[derive(Debug, Parser)]
#[command(name = "pellucid", version, about, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub output: OutputArgs,

    #[command(subcommand)]
    pub command: Command,
}

/// How results are shown.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Print the result as JSON, for other programs
    #[arg(long, global = true)]
    pub json: bool,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,

    /// Width of the output in columns [default: the terminal's, else 100]
    #[arg(long, global = true, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(20..=1000))]
    pub width: Option<u16>,

    /// Also write the picture to a file: .svg, .png or .html
    #[arg(long, global = true, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// If the output is a terminal that shows it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Which model, and how it is loaded.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// `demo` (ships with the program), a folder, or a Hugging Face id such as `openai-community/gpt2`
    #[arg(long, short, value_name = "MODEL", default_value = "demo")]
    pub model: String,

    /// Type that weights are converted to
    #[arg(long, value_name = "TYPE", default_value = "float32")]
    pub dtype: WeightType,

    /// Branch, tag or commit of a model on the hub
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
}

/// Element type of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightType {
    /// Single precision, as transformers does by default
    Float32,
    /// Half the memory, less precise
    Bfloat16,
    /// As the file has it
    Auto,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Lens(LensArgs),
    Patch(PatchArgs),
    Attention(AttentionArgs),
    Generate(GenerateArgs),
    Inspect(InspectArgs),
    Completions(CompletionArgs),
}

/// Show what the model would guess after each layer (logit lens)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid lens \"The Eiffel Tower is in the city of\"
  pellucid lens \"The capital of France is\" --save lens.svg
  pellucid lens \"Hello\" --model openai-community/gpt2 --json")]
pub struct LensArgs {
    /// The text to look at
    pub prompt: String,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Guesses kept for each cell, in tooltips and JSON
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub top: u16,
}

/// Find the places that carry an answer (activation patching)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid patch \"The Eiffel Tower is in the city of\" \"The Colosseum is in the city of\"
  pellucid patch CLEAN CORRUPTED --answer \" Paris\" --foil \" Rome\" --site heads
  pellucid patch CLEAN CORRUPTED --save patching.png")]
pub struct PatchArgs {
    /// The prompt whose activations are put in
    pub clean: String,

    /// The prompt that is run with them; as many tokens as the clean one
    pub corrupted: String,

    #[command(flatten)]
    pub model: ModelArgs,

    /// What is patched
    #[arg(long, value_name = "SITE", default_value = "residual")]
    pub site: Site,

    /// The clean prompt's answer, one token [default: the model's own]
    #[arg(long, value_name = "TOKEN")]
    pub answer: Option<String>,

    /// The corrupted prompt's answer, one token [default: the model's own]
    #[arg(long, value_name = "TOKEN")]
    pub foil: Option<String>,
}

/// What is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Site {
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
pub struct AttentionArgs {
    /// The text to look at
    pub prompt: String,

    #[command(flatten)]
    pub model: ModelArgs,

    /// The layer
    #[arg(long, short, value_name = "N")]
    pub layer: usize,

    /// The head [default: all of the layer]
    #[arg(long, value_name = "N")]
    pub head: Option<usize>,
}

/// Continue a text with the likeliest tokens
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid generate \"Once upon a time\" --max-new-tokens 40")]
pub struct GenerateArgs {
    /// The text to continue
    pub prompt: String,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Tokens to add at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_new_tokens: u32,
}

/// Show the module tree with shapes and parameters
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid inspect
  pellucid inspect --model meta-llama/Llama-3.1-70B --skeleton
  pellucid inspect --module transformer.h.0 --shapes")]
pub struct InspectArgs {
    #[command(flatten)]
    pub model: ModelArgs,

    /// Read config.json alone: no weights are needed
    #[arg(long)]
    pub skeleton: bool,

    /// Show this part of the tree only
    #[arg(long, value_name = "PATH")]
    pub module: Option<String>,

    /// Show the shape of each module's output for a prompt of some tokens
    #[arg(long)]
    pub shapes: bool,

    /// Print the tree as PyTorch does
    #[arg(long)]
    pub print: bool,
}

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pellucid completions bash > /etc/bash_completion.d/pellucid
  pellucid completions zsh > ~/.zfunc/_pellucid")]
pub struct CompletionArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}
