//! What a generation is asked to do. Names and defaults are those of `transformers`' `GenerationConfig`.

use pellucid_nn::Value;

use crate::error::{Result, RunError, RunErrorKind};

/// Every beam is a row of the batch: more of them than this is a mistake that would take all memory.
const MOST_BEAMS: usize = 1024;

/// What a generation is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How many tokens at most are added.
    pub max_new_tokens: u64,
    /// How many tokens at least are added before one may end the text.
    pub min_new_tokens: u64,
    /// Tokens that end a row.
    pub eos: Vec<i64>,
    /// What fills ended rows.
    pub pad: i64,
    /// Draw at random instead of taking the likeliest.
    pub do_sample: bool,
    /// Logits are divided by it before a draw.
    pub temperature: f64,
    /// Only so many of the likeliest may be drawn; 0 for all.
    pub top_k: usize,
    /// Only the likeliest that together have this probability may be drawn.
    pub top_p: f64,
    /// Logits of tokens that have occurred are divided by it (multiplied where negative).
    pub repetition_penalty: f64,
    /// How many continuations a search keeps.
    pub num_beams: usize,
    /// The power of the length by which a finished continuation's score is divided.
    pub length_penalty: f64,
    /// Whether a search ends when it has as many finished continuations as beams.
    pub early_stopping: bool,
    /// Where random draws begin.
    pub seed: u64,
}

impl Options {
    /// Options as given, the later of two with the same name counting.
    pub(crate) fn new(given: &[(String, Value)], pad: i64) -> Result<Options> {
        let mut o = Options {
            max_new_tokens: 1,
            min_new_tokens: 0,
            eos: Vec::new(),
            pad,
            do_sample: false,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            repetition_penalty: 1.0,
            num_beams: 1,
            length_penalty: 1.0,
            early_stopping: false,
            seed: 0,
        };
        for (name, value) in given {
            let bad = |expected: &str| bad(name, expected, value);
            let count = |least: i64| match value {
                Value::Int(n) if *n >= least => Ok(*n as u64),
                _ => Err(bad(&format!("a whole number of at least {least}"))),
            };
            let positive = || match value {
                Value::Float(f) if *f > 0.0 && f.is_finite() => Ok(*f),
                Value::Int(i) if *i > 0 => Ok(*i as f64),
                _ => Err(bad("a number above zero")),
            };
            let flag = || match value {
                Value::Bool(b) => Ok(*b),
                _ => Err(bad("true or false")),
            };
            match (name.as_str(), value) {
                // What is not said keeps its default.
                (
                    "min_new_tokens" | "eos_token_id" | "pad_token_id" | "do_sample" | "temperature"
                    | "top_k" | "top_p" | "repetition_penalty" | "num_beams" | "length_penalty"
                    | "early_stopping" | "seed",
                    Value::None,
                ) => {}
                ("max_new_tokens", _) => o.max_new_tokens = count(1)?,
                ("min_new_tokens", _) => o.min_new_tokens = count(0)?,
                ("eos_token_id", Value::Int(id)) => o.eos = vec![*id],
                ("eos_token_id", Value::List(ids)) => {
                    o.eos = ids
                        .borrow()
                        .iter()
                        .map(|id| match id {
                            Value::Int(id) => Ok(*id),
                            _ => Err(bad("token ids")),
                        })
                        .collect::<Result<_>>()?;
                }
                ("eos_token_id", _) => return Err(bad("token ids")),
                ("pad_token_id", Value::Int(id)) => o.pad = *id,
                ("pad_token_id", _) => return Err(bad("a token id")),
                ("do_sample", _) => o.do_sample = flag()?,
                ("temperature", _) => o.temperature = positive()?,
                ("top_k", _) => o.top_k = count(0)? as usize,
                ("top_p", _) => {
                    o.top_p = positive()?;
                    if o.top_p > 1.0 {
                        return Err(bad("a number above zero and at most one"));
                    }
                }
                ("repetition_penalty", _) => o.repetition_penalty = positive()?,
                ("num_beams", _) => {
                    o.num_beams = count(1)? as usize;
                    if o.num_beams > MOST_BEAMS {
                        return Err(bad(&format!("at most {MOST_BEAMS}")));
                    }
                }
                ("length_penalty", Value::Float(f)) => o.length_penalty = *f,
                ("length_penalty", Value::Int(i)) => o.length_penalty = *i as f64,
                ("length_penalty", _) => return Err(bad("a number")),
                ("early_stopping", _) => o.early_stopping = flag()?,
                ("seed", Value::Int(seed)) => o.seed = *seed as u64,
                ("seed", _) => return Err(bad("a whole number")),
                _ => {
                    let what = format!("`{name}` in generate");
                    return Err(RunErrorKind::Unsupported { what }.into());
                }
            }
        }
        if o.num_beams > 1 && o.do_sample {
            let what = "drawing at random in a search over beams".into();
            return Err(RunErrorKind::Unsupported { what }.into());
        }
        Ok(o)
    }

    /// Whether the next token is just the likeliest, whatever came before.
    pub(crate) fn is_plain_greedy(&self) -> bool {
        !self.do_sample && self.num_beams == 1 && self.repetition_penalty == 1.0 && self.min_new_tokens == 0
    }
}

fn bad(name: &str, expected: &str, got: &Value) -> RunError {
    RunErrorKind::Argument {
        op: "generate".into(),
        argument: name.into(),
        expected: expected.into(),
        got: match got {
            Value::Int(i) => i.to_string(),
            Value::Float(f) => f.to_string(),
            Value::Bool(b) => b.to_string(),
            other => other.kind(),
        },
    }
    .into()
}
