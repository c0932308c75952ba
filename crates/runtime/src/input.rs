//! From an invoke's input to token ids and masks.

use pellucid_program::Input;
use pellucid_tensor::{Engine, Tensor};

use crate::error::{Result, RunError, RunErrorKind};

/// Turns text into tokens; implemented over a tokenizer by whoever opens models.
pub trait Encoder {
    /// Token ids of a prompt, special tokens included as the model expects them.
    ///
    /// # Errors
    /// The reason, in words.
    fn encode(&self, prompt: &str) -> std::result::Result<Vec<i64>, String>;

    /// The id put in front of shorter prompts of a list.
    fn pad_id(&self) -> i64;
}

/// Token ids of an invoke's rows, padded on the left to one length.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    /// `[batch, seq]`.
    pub ids: Tensor,
    /// `[batch, seq]`, one at real tokens.
    pub mask: Tensor,
}

pub(crate) fn rows(engine: &Engine, input: &Input, encoder: Option<&dyn Encoder>) -> Result<Rows> {
    let (tokens, pad) = match input {
        Input::Text(prompts) => {
            let encoder = encoder.ok_or_else(|| {
                RunError::new(RunErrorKind::Unsupported {
                    what: "text input to a model without a tokenizer".into(),
                })
            })?;
            let tokens: Result<Vec<Vec<i64>>> = prompts
                .iter()
                .map(|p| {
                    encoder
                        .encode(p)
                        .map_err(|reason| RunError::new(RunErrorKind::Prompt { prompt: p.clone(), reason }))
                })
                .collect();
            (tokens?, encoder.pad_id())
        }
        Input::Tokens(tokens) => (tokens.clone(), encoder.map_or(0, Encoder::pad_id)),
        Input::Empty => {
            return Err(RunErrorKind::Unsupported { what: "an invoke without input".into() }.into());
        }
        Input::Batch { .. } | Input::Value(_) => {
            return Err(RunErrorKind::Unsupported { what: "an input computed by the program".into() }.into());
        }
    };
    let seq = tokens.iter().map(Vec::len).max().unwrap_or(0);
    if let Some((i, _)) = tokens.iter().enumerate().find(|(_, t)| t.is_empty()) {
        let prompt = match input {
            Input::Text(prompts) => prompts[i].clone(),
            _ => String::new(),
        };
        return Err(RunErrorKind::Prompt { prompt, reason: "it has no tokens".into() }.into());
    }
    let batch = tokens.len();
    let (mut ids, mut mask) = (Vec::with_capacity(batch * seq), Vec::with_capacity(batch * seq));
    for row in &tokens {
        ids.extend(std::iter::repeat_n(pad, seq - row.len()).chain(row.iter().copied()));
        mask.extend(std::iter::repeat_n(0i64, seq - row.len()).chain(std::iter::repeat_n(1, row.len())));
    }
    Ok(Rows { ids: engine.from_vec(ids, &[batch, seq])?, mask: engine.from_vec(mask, &[batch, seq])? })
}
