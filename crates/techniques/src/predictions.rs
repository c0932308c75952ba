//! What a model says next: the measure by which edits, vectors and adapters are judged.

use pellucid::{Invoke, Model, Proxy};

use crate::error::Result;
use crate::lens::Guess;
use crate::tokens::{Token, answer, rows, token};

/// Prompts run together, so that memory does not grow with their number.
const ROWS: usize = 32;

/// How a model answers a prompt.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// The prompt.
    pub prompt: String,
    /// The answer asked about.
    pub answer: Token,
    /// The answer's probability as the next token.
    pub probability: f32,
    /// How many tokens are likelier than the answer.
    pub rank: usize,
    /// The likeliest token.
    pub best: Guess,
}

/// The logits `[batch, d_vocab]` after the last token of each row.
pub(crate) fn next_token_logits(model: &Model, invoke: &Invoke) -> Proxy {
    let sizes = model.sizes();
    invoke.call(&sizes.unembedding, invoke.output(&sizes.final_norm).at((.., -1)))
}

/// How likely each prompt's answer, one token, is as the next token. The model's edits hold.
///
/// # Errors
/// No prompts, an empty or too long one, an answer of several tokens; whatever the model reports.
pub fn predictions<P: AsRef<str>, A: AsRef<str>>(
    model: &Model,
    questions: &[(P, A)],
) -> Result<Vec<Prediction>> {
    let prompts: Vec<&str> = questions.iter().map(|(prompt, _)| prompt.as_ref()).collect();
    let ids = rows(model, &prompts)?;
    let mut all = Vec::with_capacity(ids.len());
    for (questions, ids) in questions.chunks(ROWS).zip(ids.chunks(ROWS)) {
        let trace = model.trace();
        let probabilities = next_token_logits(model, &trace.invoke(ids.to_vec())).softmax(-1).save();
        let probabilities = trace.run()?.floats(&probabilities)?;
        for ((prompt, wanted), row) in questions.iter().zip(probabilities.chunks(model.sizes().d_vocab)) {
            let wanted = answer(model, wanted.as_ref())?;
            let probability = row.get(wanted.id as usize).copied().unwrap_or(0.0);
            let best = (0..row.len()).max_by(|&i, &j| row[i].total_cmp(&row[j])).unwrap_or(0);
            all.push(Prediction {
                prompt: prompt.as_ref().to_owned(),
                answer: wanted,
                probability,
                rank: row.iter().filter(|&&p| p > probability).count(),
                best: Guess { token: token(model, best as i64)?, probability: row[best] },
            });
        }
    }
    Ok(all)
}

/// The mean probability of the answers, 0 if there are none.
#[must_use]
pub fn mean_probability(predictions: &[Prediction]) -> f32 {
    predictions.iter().map(|p| p.probability).sum::<f32>() / predictions.len().max(1) as f32
}

/// The share of prompts whose answer is the likeliest token, 0 if there are none.
#[must_use]
pub fn accuracy(predictions: &[Prediction]) -> f32 {
    predictions.iter().filter(|p| p.rank == 0).count() as f32 / predictions.len().max(1) as f32
}

/// The text that greedy generation adds to a prompt. The model's edits hold at every step.
///
/// # Errors
/// An empty or too long prompt; whatever the model reports.
pub fn continuation(model: &Model, prompt: &str, max_new_tokens: usize) -> Result<String> {
    let ids = rows(model, &[prompt])?;
    let seq = ids[0].len();
    let trace = model.generate(max_new_tokens);
    let generated = trace.invoke(ids).generated().save();
    let all = trace.run()?.ints(&generated)?;
    Ok(model.decode(&all[seq..])?)
}
