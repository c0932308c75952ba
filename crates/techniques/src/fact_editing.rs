//! Editing a fact by a rank-one change of one feed-forward matrix, after ROME (Meng et al. 2022).
//!
//! A feed-forward module's second matrix is read as a store: its input at the subject's last token is a *key*, its output the
//! *value* found there. To change what a subject is known for, a new value is found by gradient descent (a vector added to the
//! module's output at the subject's last token, until the prompts get the new answer), and the matrix is changed by
//! `W ← W + Δ ⊗ λ` with `λ = C⁻¹k / (k·C⁻¹k)`: the key `k` gets `Δ` added, and keys that are usual elsewhere, whose second
//! moments are `C`, as little as a rank-one change can.
//!
//! Simplified against the paper: the key is averaged over the given prompts rather than over random prefixes, `C` comes from
//! the tokens of a few given texts, and instead of a penalty on how the model speaks of the subject in general, `Δ` is held
//! small. The weights stay as they are: the change is an edit that adds `(in · λ) Δ` to the module's output, which is the same
//! function.

use pellucid::{AdamWSettings, Model, Proxy, Session};

use crate::error::{Result, TechniqueError};
use crate::plot::{LineChart, Series};
use crate::predictions::next_token_logits;
use crate::tokens::{answer, check_layer, ids, rows, tensor, tokens};

/// A fact to change.
#[derive(Clone, Debug, PartialEq)]
pub struct FactEdit {
    /// The subject as it stands in the prompts, such as `Eiffel Tower`.
    pub subject: String,
    /// Prompts that hold the subject and end before the answer.
    pub prompts: Vec<String>,
    /// The new answer, one token.
    pub target: String,
    /// Texts whose tokens say what keys are usual.
    pub contexts: Vec<String>,
    /// The layer whose feed-forward module is changed.
    pub layer: usize,
    /// Steps of gradient descent on the new value.
    pub steps: usize,
    /// Learning rate of AdamW.
    pub lr: f64,
    /// How strongly the change of the value is held small: weight of `‖Δ‖² / ‖value‖²` in the loss.
    pub penalty: f64,
}

/// A rank-one change of a feed-forward matrix.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RankOneEdit {
    /// Path of the module whose matrix is changed.
    pub module: String,
    /// `λ`: how much of the change a key gets, `[d_mlp]`.
    pub key: Vec<f32>,
    /// `Δ`: the change of the value, `[d_model]`.
    pub value: Vec<f32>,
    /// Length of the change over that of the old value.
    pub relative_size: f32,
    /// The loss before each step of the search for the value.
    pub losses: Vec<f32>,
}

/// Finds the rank-one change that gives the subject the new answer.
///
/// # Errors
/// No prompts or contexts, a prompt without the subject, a target of several tokens, no such layer, a family whose
/// feed-forward module is not known; whatever the model reports.
pub fn edit_fact(model: &Model, edit: &FactEdit) -> Result<RankOneEdit> {
    check_layer(model, edit.layer)?;
    if edit.contexts.is_empty() {
        return Err(TechniqueError::Nothing { what: "contexts" });
    }
    let module = down_projection(model, edit.layer)?;
    let prompts = rows(model, &edit.prompts)?;
    let ends =
        edit.prompts.iter().map(|p| subject_end(model, p, &edit.subject)).collect::<Result<Vec<i64>>>()?;
    let target = answer(model, &edit.target)?;

    // The subject's key and value, and the keys of the contexts.
    let trace = model.trace();
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for (prompt, &end) in prompts.iter().zip(&ends) {
        let invoke = trace.invoke(prompt);
        keys.push(invoke.input(&module).at((0, end)));
        values.push(invoke.output(&module).at((0, end)));
    }
    let mean = |parts: &[Proxy]| trace.op("stack", [parts.into()]).op("mean", [0.into()]).save();
    let (key, value) = (mean(&keys), mean(&values));
    let usual: Vec<Proxy> =
        rows(model, &edit.contexts)?.iter().map(|ids| trace.invoke(ids).input(&module).at(0)).collect();
    let usual = trace.op("cat", [usual.as_slice().into(), 0.into()]);
    let moments = usual.op("T", []).op("matmul", [(&usual).into()]).save();
    let count = usual.op("size", [0.into()]);
    let moments = (&moments / &count).save();
    let results = trace.run()?;
    let (key, value) = (results.floats(&key)?, results.floats(&value)?);
    let length = value.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().max(f64::MIN_POSITIVE);

    let lambda = normalised_key(&results.floats(&moments)?, &key);
    let (value, losses) = new_value(model, edit, &module, (&prompts, &ends), target.id, length)?;
    let size = value.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    let relative_size = (size / length).sqrt() as f32;
    Ok(RankOneEdit { module, key: lambda, value, relative_size, losses })
}

/// Looks for the vector that, added to the module's output at the subject's last token, gives the new answer.
fn new_value(
    model: &Model,
    edit: &FactEdit,
    module: &str,
    (prompts, ends): (&[Vec<i64>], &[i64]),
    target: i64,
    length: f64,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let session = Session::new();
    let change = session.parameter(&session.op("zeros", [[model.sizes().d_model as i64].into()]));
    let settings = AdamWSettings { lr: edit.lr, weight_decay: 0.0, ..AdamWSettings::default() };
    let adam = session.adamw(&[&change], settings);
    let losses = session.list().save();
    session.iter(&session.op("range", [(edit.steps as i64).into()]), |_| {
        session.trace(model, |trace| {
            let mut loss = (&change * &change).sum() * (edit.penalty / length);
            for (prompt, &end) in prompts.iter().zip(ends) {
                let invoke = trace.invoke(prompt);
                let out = invoke.output(module);
                out.set((.., end), out.at((.., end)) + &change);
                let said = next_token_logits(model, &invoke).op("log_softmax", [(-1).into()]);
                loss = loss - said.at((0, target)) * (1.0 / prompts.len() as f64);
            }
            losses.append(&loss);
            loss.backward();
        });
        adam.step();
        adam.zero_grad();
    });
    let change = change.save();
    let results = session.run()?;
    Ok((results.floats(&change)?, results.list_floats(&losses)?))
}

impl RankOneEdit {
    /// The same model with the change at work.
    ///
    /// # Errors
    /// Whatever the model reports.
    pub fn apply(&self, model: &Model) -> Result<Model> {
        let key = tensor(model, &self.key, &[self.key.len(), 1])?;
        let value = tensor(model, &self.value, &[1, self.value.len()])?;
        model.try_edit(|m| {
            let share = m.input(&self.module).op("matmul", [m.constant(&key)?.into()]);
            let added = share.op("matmul", [m.constant(&value)?.into()]);
            m.set_output(&self.module, m.output(&self.module) + added);
            Ok(())
        })
    }

    /// The loss of the search for the new value.
    #[must_use]
    pub fn figure(&self) -> LineChart {
        LineChart::new([Series::from_values("loss", self.losses.iter().map(|&x| f64::from(x)))])
            .with_title(format!("A new value in {}", self.module))
            .with_subtitle(format!("the change is {:.2} times as long as the old value", self.relative_size))
            .with_axes("step", "loss (nats)")
    }
}

/// Path of the second matrix of a layer's feed-forward module.
fn down_projection(model: &Model, layer: usize) -> Result<String> {
    const NAMES: [&str; 5] = ["c_proj", "down_proj", "dense_4h_to_h", "fc_out", "fc2"];
    let sizes = model.sizes();
    let path = |name: &&str| format!("{}.{name}", model.block(layer, &sizes.mlp));
    let known = NAMES.iter().map(path).find(|p| model.network().tree().find(p).is_some());
    known.ok_or_else(|| TechniqueError::Place {
        what: "second feed-forward matrix",
        model_type: sizes.model_type.clone(),
    })
}

/// The position of the last token of the subject in a prompt.
fn subject_end(model: &Model, prompt: &str, subject: &str) -> Result<i64> {
    let unknown = || TechniqueError::Subject { prompt: prompt.into(), subject: subject.into() };
    let at = prompt.find(subject).filter(|_| !subject.is_empty()).ok_or_else(unknown)?;
    let (whole, until) = (ids(&tokens(model, prompt)?), ids(&tokens(model, &prompt[..at + subject.len()])?));
    if whole.starts_with(&until) { Ok(until.len() as i64 - 1) } else { Err(unknown()) }
}

/// `C⁻¹k / (k·C⁻¹k)` by conjugate gradients, `C` being row-major with a small multiple of its mean diagonal added.
fn normalised_key(moments: &[f32], key: &[f32]) -> Vec<f32> {
    let n = key.len();
    let trace: f64 = (0..n).map(|i| f64::from(moments[i * n + i])).sum();
    let ridge = 1e-3 * trace / n.max(1) as f64 + f64::MIN_POSITIVE;
    let times = |x: &[f64]| -> Vec<f64> {
        let row =
            |i: usize| moments[i * n..(i + 1) * n].iter().zip(x).map(|(&m, x)| f64::from(m) * x).sum::<f64>();
        (0..n).map(|i| row(i) + ridge * x[i]).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let key: Vec<f64> = key.iter().map(|&x| f64::from(x)).collect();
    let (mut solution, mut rest, mut direction) = (vec![0.0; n], key.clone(), key.clone());
    let (mut size, goal) = (dot(&rest, &rest), 1e-16 * dot(&key, &key));
    for _ in 0..4 * n {
        if size <= goal {
            break;
        }
        let image = times(&direction);
        let step = size / dot(&direction, &image);
        for i in 0..n {
            solution[i] += step * direction[i];
            rest[i] -= step * image[i];
        }
        let next = dot(&rest, &rest);
        for i in 0..n {
            direction[i] = rest[i] + next / size * direction[i];
        }
        size = next;
    }
    let scale = dot(&key, &solution);
    let scale = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    solution.iter().map(|x| (x * scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normalised_key_gives_its_own_key_the_whole_change_and_usual_keys_little() {
        // Keys are usually along the first axis; the subject's key has a part of its own.
        let moments = [100.0, 0.0, 0.0, 1.0];
        let key = [1.0, 1.0];
        let lambda = normalised_key(&moments, &key);
        let share = |k: [f32; 2]| k[0] * lambda[0] + k[1] * lambda[1];
        assert!((share(key) - 1.0).abs() < 1e-5, "{lambda:?}");
        assert!(share([1.0, 0.0]).abs() < 0.02, "{lambda:?}");
    }
}
