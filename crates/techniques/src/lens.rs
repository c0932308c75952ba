//! The logit lens (nostalgebraist 2020): what the model would guess next if it stopped after each layer.
//!
//! The residual stream after every block is put through the final norm and the unembedding. Where the last layers only
//! polish an answer, it shows in the layers before.

use pellucid::{Model, Proxy};

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
    let sizes = model.sizes().clone();
    let trace = model.trace();
    let invoke = trace.invoke(&ids(&tokens));
    let saved: Vec<(Proxy, Proxy)> = (0..sizes.n_layers)
        .map(|layer| {
            let hidden = invoke.output(&model.block(layer, "")).item(0);
            let logits = invoke.call(&sizes.unembedding, invoke.call(&sizes.final_norm, &hidden));
            let best = logits.softmax(-1).op("topk", [(top.clamp(1, sizes.d_vocab) as i64).into()]);
            (best.field("values").save(), best.field("indices").save())
        })
        .collect();
    let results = trace.run()?;
    let mut guesses = Vec::with_capacity(saved.len());
    for (values, indices) in &saved {
        let (values, indices) = (results.floats(values)?, results.ints(indices)?);
        let k = values.len() / tokens.len();
        let cells = values.chunks(k).zip(indices.chunks(k)).map(|(probabilities, best)| {
            best.iter()
                .zip(probabilities)
                .map(|(&id, &probability)| Ok(Guess { token: token(model, id)?, probability }))
                .collect::<Result<Vec<_>>>()
        });
        guesses.push(cells.collect::<Result<Vec<_>>>()?);
    }
    Ok(LogitLens { tokens, guesses })
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
