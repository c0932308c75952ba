//! Activation patching (Vig et al. 2020, Meng et al. 2022): which places carry the difference between two prompts?
//!
//! A *clean* prompt has one answer, a *corrupted* prompt another. One activation of the clean run at a time is put into the
//! corrupted run. What is measured is the logit difference between the two answers at the last position, scaled so that 0
//! is the corrupted run and 1 the clean one: a place with a value near 1 restores the answer alone.

use pellucid::{Model, Proxy};

use crate::error::{Result, TechniqueError};
use crate::plot::{Grid, Scale};
use crate::predictions::next_token_logits;
use crate::tokens::{Token, answer, ids, texts, token, tokens};

/// Which activations are patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchSite {
    /// The residual stream after each block, position by position.
    ResidualStream,
    /// Each block's attention output, position by position.
    Attention,
    /// Each block's feed-forward output, position by position.
    Mlp,
    /// Each attention head's output, all positions together.
    Heads,
}

/// What to patch between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchSweep {
    /// The prompt whose activations are put in.
    pub clean: String,
    /// The prompt that is run with them; as many tokens as the clean one.
    pub corrupted: String,
    /// The clean prompt's answer, one token; the model's own if absent.
    pub answer: Option<String>,
    /// The corrupted prompt's answer, one token; the model's own if absent.
    pub foil: Option<String>,
    /// What is patched.
    pub site: PatchSite,
}

/// The effect of every patch.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Patched {
    /// What was patched.
    pub site: PatchSite,
    /// Tokens of the clean prompt.
    pub clean: Vec<Token>,
    /// Tokens of the corrupted prompt.
    pub corrupted: Vec<Token>,
    /// The clean answer.
    pub answer: Token,
    /// The corrupted answer.
    pub foil: Token,
    /// Logit of the answer less that of the foil, in the clean run.
    pub clean_difference: f32,
    /// The same in the corrupted run.
    pub corrupted_difference: f32,
    /// For each layer, and each position or head: the restored share of the difference.
    pub effects: Vec<Vec<f32>>,
}

/// Patches every place of a kind, one at a time. `progress` is told how many layers are done.
///
/// # Errors
/// Prompts of different lengths, answers of several tokens, equal answers; whatever the model reports.
pub fn patch_sweep(
    model: &Model,
    sweep: &PatchSweep,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Patched> {
    let Pair { clean, corrupted, answer, foil, clean_difference, corrupted_difference } =
        Pair::measure(model, sweep)?;
    let sizes = model.sizes().clone();
    let places = if sweep.site == PatchSite::Heads { sizes.n_heads } else { clean.len() };
    let mut effects = Vec::with_capacity(sizes.n_layers);
    for layer in 0..sizes.n_layers {
        progress(layer, sizes.n_layers);
        // One trace a layer: its patches share the layers before, and memory does not grow with the number of layers.
        let trace = model.trace();
        let source = trace.invoke(&ids(&clean));
        let original = site(model, &source, sweep.site, layer);
        let saved: Vec<Proxy> = (0..places)
            .map(|place| {
                let invoke = trace.invoke(&ids(&corrupted));
                let target = site(model, &invoke, sweep.site, layer);
                if sweep.site == PatchSite::Heads {
                    let channels = place * sizes.d_head..(place + 1) * sizes.d_head;
                    target.set((.., .., channels.clone()), original.at((.., .., channels)));
                } else {
                    target.set((.., place), original.at((.., place)));
                }
                difference(model, &invoke, &answer, &foil).save()
            })
            .collect();
        let results = trace.run()?;
        let span = clean_difference - corrupted_difference;
        let row = saved.iter().map(|s| Ok((results.floats(s)?[0] - corrupted_difference) / span));
        effects.push(row.collect::<Result<Vec<f32>>>()?);
    }
    progress(sizes.n_layers, sizes.n_layers);
    Ok(Patched {
        site: sweep.site,
        clean,
        corrupted,
        answer,
        foil,
        clean_difference,
        corrupted_difference,
        effects,
    })
}

/// Two prompts of one length, their answers, and how far each run tells the answers apart.
pub(crate) struct Pair {
    pub(crate) clean: Vec<Token>,
    pub(crate) corrupted: Vec<Token>,
    pub(crate) answer: Token,
    pub(crate) foil: Token,
    pub(crate) clean_difference: f32,
    pub(crate) corrupted_difference: f32,
}

impl Pair {
    /// Runs both prompts.
    pub(crate) fn measure(model: &Model, sweep: &PatchSweep) -> Result<Pair> {
        let (clean, corrupted) = (tokens(model, &sweep.clean)?, tokens(model, &sweep.corrupted)?);
        if clean.len() != corrupted.len() {
            return Err(TechniqueError::Lengths {
                clean: clean.len(),
                corrupted: corrupted.len(),
                tokens: [texts(&clean).join("|"), texts(&corrupted).join("|")],
            });
        }
        let trace = model.trace();
        let (a, b) = (trace.invoke(&ids(&clean)), trace.invoke(&ids(&corrupted)));
        let last = |invoke| next_token_logits(model, invoke).at(0).save();
        let (clean_logits, corrupted_logits) = (last(&a), last(&b));
        let results = trace.run()?;
        let (clean_logits, corrupted_logits) =
            (results.floats(&clean_logits)?, results.floats(&corrupted_logits)?);
        let best = |logits: &[f32]| {
            let top = (0..logits.len()).max_by(|&i, &j| logits[i].total_cmp(&logits[j])).unwrap_or(0);
            token(model, top as i64)
        };
        let named = |text: &Option<String>, logits: &[f32]| match text {
            Some(text) => answer(model, text),
            None => best(logits),
        };
        let (right, foil) = (named(&sweep.answer, &clean_logits)?, named(&sweep.foil, &corrupted_logits)?);
        if right == foil {
            return Err(TechniqueError::SameAnswer { answer: right.text });
        }
        let difference = |logits: &[f32]| logits[right.id as usize] - logits[foil.id as usize];
        Ok(Pair {
            clean_difference: difference(&clean_logits),
            corrupted_difference: difference(&corrupted_logits),
            clean,
            corrupted,
            answer: right,
            foil,
        })
    }
}

/// The logit of the answer less that of the foil, after the last token.
pub(crate) fn difference(model: &Model, invoke: &pellucid::Invoke, answer: &Token, foil: &Token) -> Proxy {
    let logits = next_token_logits(model, invoke);
    logits.at((0, answer.id)) - &logits.at((0, foil.id))
}

/// The activation of a kind in a layer: `[batch, seq, channels]`.
pub(crate) fn site(model: &Model, invoke: &pellucid::Invoke, site: PatchSite, layer: usize) -> Proxy {
    let sizes = model.sizes();
    match site {
        PatchSite::ResidualStream => invoke.output(&model.block(layer, "")).item(0),
        PatchSite::Attention => invoke.output(&model.block(layer, &sizes.attention)).item(0),
        PatchSite::Mlp => invoke.output(&model.block(layer, &sizes.mlp)),
        PatchSite::Heads => invoke.input(&model.block(layer, &sizes.head_output)),
    }
}

impl Patched {
    /// The layer × position (or head) heatmap of effects, the last layer on top.
    ///
    /// # Errors
    /// If the grid is too large to draw.
    pub fn figure(&self) -> Result<Grid> {
        let claim = format!(
            "share of the logit difference {:?} − {:?} that one clean activation restores",
            self.answer.text, self.foil.text
        );
        self.figure_of("Activation patching", claim)
    }

    pub(crate) fn figure_of(&self, technique: &str, claim: String) -> Result<Grid> {
        let rows: Vec<String> = (0..self.effects.len()).rev().map(|l| l.to_string()).collect();
        let columns: Vec<String> =
            if self.site == PatchSite::Heads {
                (0..self.effects.first().map_or(0, Vec::len)).map(|h| h.to_string()).collect()
            } else {
                self.clean
                    .iter()
                    .zip(&self.corrupted)
                    .map(|(a, b)| {
                        if a == b { a.text.clone() } else { format!("{}→{}", b.text, a.text.trim_start()) }
                    })
                    .collect()
            };
        let what = match self.site {
            PatchSite::ResidualStream => "residual stream",
            PatchSite::Attention => "attention output",
            PatchSite::Mlp => "feed-forward output",
            PatchSite::Heads => "attention heads",
        };
        let values: Vec<f32> = self.effects.iter().rev().flatten().copied().collect();
        let axis = if self.site == PatchSite::Heads { "head" } else { "token" };
        let limit = values.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        Ok(Grid::new(rows, columns, values)?
            .with_title(format!("{technique}: {what}"))
            .with_subtitle(claim)
            .with_axes("layer", axis)
            .with_scale(Scale::diverging_to(limit))
            .with_legend("0 = corrupted run, 1 = clean run")
            .with_values_shown(true))
    }
}
