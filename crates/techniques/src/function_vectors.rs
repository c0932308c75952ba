//! Function vectors (Todd et al. 2024): a task, learned from examples in the prompt, as one vector.
//!
//! From prompts that show pairs of a task and end in a question, the mean output of every attention head at the last token is
//! taken. Heads are ranked by their causal effect: how much more likely the right answer becomes when a head's mean output is
//! put into prompts whose pairs show another task or none. The means of the best heads, mixed as their layers mix heads,
//! add up to the function vector. Added to the residual stream at the last token of a prompt without examples, it makes the
//! model do the task.

use pellucid::{Model, Proxy};

use crate::error::{Result, TechniqueError};
use crate::plot::{Grid, RowOrder, Scale};
use crate::predictions::{mean_probability, next_token_logits, predictions};
use crate::tokens::{answer, check_layer, rows, tensor};

/// A question after examples of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InContext {
    /// The prompt: pairs of the task, then the question.
    pub prompt: String,
    /// The same question after pairs of another task, or of none.
    pub other: String,
    /// The right answer, one token.
    pub answer: String,
}

impl InContext {
    /// Pairs and a question in the form `hot -> cold, tall -> short, big ->`, after pairs of the task and after others.
    #[must_use]
    pub fn arrows(shown: &[(&str, &str)], other: &[(&str, &str)], question: &str, answer: &str) -> InContext {
        let write = |pairs: &[(&str, &str)]| {
            let shown: String = pairs.iter().map(|(left, right)| format!("{left} -> {right}, ")).collect();
            shown + question + " ->"
        };
        InContext { prompt: write(shown), other: write(other), answer: format!(" {answer}") }
    }
}

/// A task as a vector.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct FunctionVector {
    /// The sum of the best heads' mean outputs, mixed, `[d_model]`.
    pub vector: Vec<f32>,
    /// The heads in it, `(layer, head)`, best first.
    pub heads: Vec<(usize, usize)>,
    /// For each layer and head: how much the head's mean output adds to the answer's probability in the other prompts.
    pub effects: Vec<Vec<f32>>,
    /// The answer's mean probability in the prompts.
    pub prompted: f32,
    /// The same in the other prompts.
    pub otherwise: f32,
}

/// Makes the function vector of a task from prompts, of the `n_heads` heads with the largest causal effect.
///
/// # Errors
/// No examples, no heads, answers of several tokens, empty or too long prompts; whatever the model reports.
pub fn function_vector(model: &Model, examples: &[InContext], n_heads: usize) -> Result<FunctionVector> {
    let sizes = model.sizes().clone();
    if n_heads == 0 {
        return Err(TechniqueError::Nothing { what: "heads" });
    }
    let prompts: Vec<&str> = examples.iter().map(|e| e.prompt.as_str()).collect();
    let others: Vec<&str> = examples.iter().map(|e| e.other.as_str()).collect();
    let (prompts, others) = (rows(model, &prompts)?, rows(model, &others)?);
    let answers = examples.iter().map(|e| Ok(answer(model, &e.answer)?.id)).collect::<Result<Vec<i64>>>()?;
    let answers = model.engine().from_vec(answers, &[examples.len(), 1]).map_err(pellucid::Error::from)?;

    // What every head says at the last token, on average.
    let trace = model.trace();
    let invoke = trace.invoke(prompts.clone());
    let at_answers = |logits: Proxy, answers: &Proxy| {
        logits.softmax(-1).op("gather", [(-1).into(), answers.into()]).op("mean", [])
    };
    let means: Vec<Proxy> = (0..sizes.n_layers)
        .map(|layer| invoke.heads(layer).at((.., -1)).op("mean", [0.into()]).save())
        .collect();
    let prompted = at_answers(next_token_logits(model, &invoke), &trace.constant(&answers)?).save();
    let plain = trace.invoke(others.clone());
    let without = at_answers(next_token_logits(model, &plain), &trace.constant(&answers)?).save();
    let results = trace.run()?;
    let (prompted, without) = (results.floats(&prompted)?[0], results.floats(&without)?[0]);
    let means = means.iter().map(|m| Ok(results.floats(m)?)).collect::<Result<Vec<Vec<f32>>>>()?;

    // What each head causes, put into prompts that do not show the task.
    let mut effects = Vec::with_capacity(sizes.n_layers);
    for (layer, means) in means.iter().enumerate() {
        let trace = model.trace();
        let means = trace.constant(&tensor(model, means, &[sizes.n_heads, sizes.d_head])?)?;
        let answers = trace.constant(&answers)?;
        let saved: Vec<Proxy> = (0..sizes.n_heads)
            .map(|head| {
                let invoke = trace.invoke(others.clone());
                invoke.heads(layer).set((.., -1, head), means.at(head));
                at_answers(next_token_logits(model, &invoke), &answers).save()
            })
            .collect();
        let results = trace.run()?;
        effects
            .push(saved.iter().map(|s| Ok(results.floats(s)?[0] - without)).collect::<Result<Vec<f32>>>()?);
    }
    let mut heads: Vec<(usize, usize)> =
        (0..sizes.n_layers).flat_map(|layer| (0..sizes.n_heads).map(move |head| (layer, head))).collect();
    heads.sort_by(|a, b| effects[b.0][b.1].total_cmp(&effects[a.0][a.1]));
    heads.truncate(n_heads);
    let vector = mixed(model, &means, &heads)?;
    Ok(FunctionVector { vector, heads, effects, prompted, otherwise: without })
}

/// The sum of some heads' outputs, each mixed by its layer, without the layers' biases: `[d_model]`.
fn mixed(model: &Model, outputs: &[Vec<f32>], heads: &[(usize, usize)]) -> Result<Vec<f32>> {
    let sizes = model.sizes();
    let trace = model.trace();
    let invoke = trace.invoke([0]);
    let mut sum: Option<Proxy> = None;
    for (layer, outputs) in outputs.iter().enumerate() {
        let mut chosen = vec![0.0; outputs.len()];
        for &(_, head) in heads.iter().filter(|(l, _)| *l == layer) {
            let channels = head * sizes.d_head..(head + 1) * sizes.d_head;
            chosen[channels.clone()].copy_from_slice(&outputs[channels]);
        }
        let path = model.block(layer, &sizes.head_output);
        let chosen = trace.constant(&tensor(model, &chosen, &[1, chosen.len()])?)?;
        let part = invoke.call(&path, &chosen) - invoke.call(&path, &chosen * 0.0);
        sum = Some(sum.map_or_else(|| part.clone(), |sum| sum + &part));
    }
    let sum = sum.ok_or(TechniqueError::Nothing { what: "layers" })?.save();
    Ok(trace.run()?.floats(&sum)?)
}

impl FunctionVector {
    /// The same model with `strength` times the vector added after a layer, at the last token of every prompt.
    ///
    /// # Errors
    /// [`TechniqueError::Layer`]; whatever the model reports.
    pub fn apply(&self, model: &Model, layer: usize, strength: f32) -> Result<Model> {
        check_layer(model, layer)?;
        let scaled: Vec<f32> = self.vector.iter().map(|x| x * strength).collect();
        let vector = tensor(model, &scaled, &[scaled.len()])?;
        model.try_edit(|m| {
            let last = m.resid_post(layer).at((.., -1));
            last.assign(&last + m.constant(&vector)?);
            Ok(())
        })
    }

    /// The layer after which adding the vector makes the answers likeliest, and their mean probability there.
    ///
    /// # Errors
    /// As [`predictions`].
    pub fn best_layer<P: AsRef<str>, A: AsRef<str>>(
        &self,
        model: &Model,
        questions: &[(P, A)],
        strength: f32,
    ) -> Result<(usize, f32)> {
        let mut best = (0, f32::NEG_INFINITY);
        for layer in 0..model.sizes().n_layers {
            let probability =
                mean_probability(&predictions(&self.apply(model, layer, strength)?, questions)?);
            if probability > best.1 {
                best = (layer, probability);
            }
        }
        Ok(best)
    }

    /// The layer × head heatmap of causal effects, the last layer on top.
    ///
    /// # Errors
    /// If the grid is too large to draw.
    pub fn figure(&self) -> Result<Grid> {
        let heads = self.effects.first().map_or(0, Vec::len);
        let limit = self.effects.iter().flatten().fold(0.05f32, |m, v| m.max(v.abs()));
        Ok(Grid::new(
            (0..self.effects.len()).map(|l| l.to_string()),
            (0..heads).map(|h| h.to_string()),
            self.effects.concat(),
        )?
        .with_row_order(RowOrder::BottomUp)
        .with_title("Function vector: the heads that carry the task")
        .with_subtitle(
            "what a head's mean output adds to the answer's probability in prompts that show another task",
        )
        .with_axes("layer", "head")
        .with_scale(Scale::diverging_to(limit))
        .with_legend("added probability")
        .with_values_shown(true))
    }
}
