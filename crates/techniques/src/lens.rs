//! The logit lens (nostalgebraist 2020): what the model would guess next if it stopped after each layer.
//!
//! The residual stream after every block is put through the final norm and the unembedding. Where the last layers only
//! polish an answer, it shows in the layers before.

use pellucid::{Invoke, Model, Proxy};

use crate::error::Result;
use crate::plot::{Grid, Scale};
use crate::tokens::{Token, ids, texts, token, tokens};

/// A guess for the next token.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Guess {
    /// The token guessed.
    #[serde(flatten)]
    pub token: Token,
    /// Its probability.
    pub probability: f32,
}

/// The guesses at every layer and position.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LogitLens {
    /// The prompt's tokens.
    pub tokens: Vec<Token>,
    /// For each layer, from the first block's output to the last's, and each position: the likeliest next tokens, best
    /// first.
    pub guesses: Vec<Vec<Vec<Guess>>>,
}

/// Looks at a prompt through the logit lens; keeps the `top` likeliest tokens of each cell.
///
/// # Errors
/// An empty or too long prompt; whatever the model reports.
pub fn logit_lens(model: &Model, prompt: &str, top: usize) -> Result<LogitLens> {
    let tokens = tokens(model, prompt)?;
    let trace = model.trace();
    let invoke = trace.invoke(&ids(&tokens));
    let saved: Vec<(Proxy, Proxy)> = (0..model.sizes().n_layers)
        .map(|layer| {
            let best = best_guesses(model, &invoke, layer, top);
            (best.field("values").save(), best.field("indices").save())
        })
        .collect();
    let results = trace.run()?;
    let layer = |(values, indices): &(Proxy, Proxy)| {
        cells(model, &results.floats(values)?, &results.ints(indices)?, tokens.len())
    };
    let guesses = saved.iter().map(layer).collect::<Result<_>>()?;
    Ok(LogitLens { tokens, guesses })
}

/// Looks through the logit lens at a prompt and at the tokens that greedy generation adds to it: what each layer would
/// have said while each token was chosen. The last token generated is not read again, so it has no cells.
///
/// # Errors
/// An empty or too long prompt; whatever the model reports.
pub fn logit_lens_of_generation(
    model: &Model,
    prompt: &str,
    max_new_tokens: usize,
    top: usize,
) -> Result<LogitLens> {
    let prompt = ids(&tokens(model, prompt)?);
    let trace = model.generate(max_new_tokens);
    let (values, indices): (Vec<Proxy>, Vec<Proxy>) =
        (0..model.sizes().n_layers).map(|_| (trace.list().save(), trace.list().save())).unzip();
    let invoke = trace.invoke(&prompt);
    for (layer, (values, indices)) in values.iter().zip(&indices).enumerate() {
        let best = best_guesses(model, &invoke.all_steps(), layer, top);
        values.append(&best.field("values"));
        indices.append(&best.field("indices"));
    }
    let generated = invoke.generated().save();
    let results = trace.run()?;
    let generated = results.ints(&generated)?;
    let read = &generated[..generated.len().saturating_sub(1)];
    let joined = |list: &Proxy| -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for step in results.tensors(list)? {
            all.extend(step.to_f64s().map_err(pellucid::Error::from)?);
        }
        Ok(all)
    };
    let layer = |(values, indices)| {
        let values: Vec<f32> = joined(values)?.into_iter().map(|p| p as f32).collect();
        let indices: Vec<i64> = joined(indices)?.into_iter().map(|id| id as i64).collect();
        cells(model, &values, &indices, read.len())
    };
    Ok(LogitLens {
        tokens: read.iter().map(|&id| token(model, id)).collect::<Result<_>>()?,
        guesses: values.iter().zip(&indices).map(layer).collect::<Result<_>>()?,
    })
}

/// The likeliest next tokens by the residual stream after a layer, as `topk` gives them.
fn best_guesses(model: &Model, invoke: &Invoke, layer: usize, top: usize) -> Proxy {
    let sizes = model.sizes();
    let logits = invoke.call(&sizes.unembedding, invoke.call(&sizes.final_norm, invoke.resid_post(layer)));
    logits.softmax(-1).op("topk", [(top.clamp(1, sizes.d_vocab) as i64).into()])
}

/// Guesses for each position, from row-major probabilities and ids.
fn cells(model: &Model, values: &[f32], indices: &[i64], positions: usize) -> Result<Vec<Vec<Guess>>> {
    let k = (values.len() / positions.max(1)).max(1);
    let cells = values.chunks(k).zip(indices.chunks(k)).map(|(probabilities, best)| {
        best.iter()
            .zip(probabilities)
            .map(|(&id, &probability)| Ok(Guess { token: token(model, id)?, probability }))
            .collect::<Result<Vec<_>>>()
    });
    cells.collect()
}

impl LogitLens {
    /// The layer × token grid of top guesses, coloured by probability, the last layer on top.
    ///
    /// # Errors
    /// If the grid is too large to draw.
    pub fn figure(&self) -> Result<Grid> {
        let rows: Vec<String> = (0..self.guesses.len()).rev().map(|l| l.to_string()).collect();
        let cells: Vec<&Vec<Guess>> = self.guesses.iter().rev().flatten().collect();
        let values = cells.iter().map(|c| c.first().map_or(f32::NAN, |g| g.probability)).collect();
        let labels: Vec<String> =
            cells.iter().map(|c| c.first().map_or_else(String::new, |g| g.token.text.clone())).collect();
        let tooltips: Vec<String> = cells
            .iter()
            .map(|c| {
                let lines: Vec<String> =
                    c.iter().map(|g| format!("{:?} {:.1} %", g.token.text, 100.0 * g.probability)).collect();
                lines.join("\n")
            })
            .collect();
        Ok(Grid::new(rows, texts(&self.tokens), values)?
            .with_labels(labels)?
            .with_tooltips(tooltips)?
            .with_title("Logit lens")
            .with_subtitle("the next token that the residual stream after each layer would give")
            .with_axes("layer", "token")
            .with_scale(Scale::probability())
            .with_legend("probability of the guess"))
    }
}
