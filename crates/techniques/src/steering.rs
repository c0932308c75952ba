//! Steering by activation addition (Turner et al. 2023; contrastive sets as in Rimsky et al. 2024).
//!
//! The residual stream after a layer is read at the last token of prompts of two kinds. The difference of the means is a
//! direction; added at every position and every step of later runs, it moves what the model says from one kind to the other.

use pellucid::{Model, Proxy};

use crate::error::{Result, TechniqueError};
use crate::plot::{Grid, RowOrder, Scale};
use crate::predictions::{mean_probability, predictions};
use crate::tokens::{check_layer, rows, tensor};

/// A direction in the residual stream after a layer.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SteeringVector {
    /// The layer after which it was read and is added.
    pub layer: usize,
    /// From the mean of the one kind to the mean of the other, `[d_model]`.
    pub vector: Vec<f32>,
}

/// The direction from prompts of one kind, `away`, to those of another, `towards`.
///
/// # Errors
/// [`TechniqueError::Layer`], no prompts on one side, empty or too long ones; whatever the model reports.
pub fn steering_vector<P: AsRef<str>>(
    model: &Model,
    towards: &[P],
    away: &[P],
    layer: usize,
) -> Result<SteeringVector> {
    check_layer(model, layer)?;
    let trace = model.trace();
    let mean = |prompts: &[P]| -> Result<Proxy> {
        let last = trace.invoke(rows(model, prompts)?).resid_post(layer).at((.., -1));
        Ok(last.op("mean", [0.into()]))
    };
    let vector = (mean(towards)? - mean(away)?).save();
    Ok(SteeringVector { layer, vector: trace.run()?.floats(&vector)? })
}

impl SteeringVector {
    /// The same model with `strength` times the vector added after the layer, at every position and step.
    ///
    /// # Errors
    /// Whatever the model reports.
    pub fn apply(&self, model: &Model, strength: f32) -> Result<Model> {
        let scaled: Vec<f32> = self.vector.iter().map(|x| x * strength).collect();
        let vector = tensor(model, &scaled, &[scaled.len()])?;
        model.try_edit(|m| {
            let hidden = m.resid_post(self.layer);
            hidden.assign(&hidden + m.constant(&vector)?);
            Ok(())
        })
    }
}

/// How likely a target becomes, by layer and strength.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SteeringSweep {
    /// The word steered towards.
    pub target: String,
    /// Layers, one row each.
    pub layers: Vec<usize>,
    /// Strengths, one column each.
    pub strengths: Vec<f32>,
    /// The target's mean probability over the prompts.
    pub probabilities: Vec<Vec<f32>>,
}

/// Steers with the vector of every layer at several strengths, and measures how likely one word becomes after prompts that
/// the vector was not made from.
///
/// # Errors
/// As [`steering_vector`]; a target of several tokens; no strengths.
pub fn steering_sweep<P: AsRef<str>>(
    model: &Model,
    (towards, away): (&[P], &[P]),
    strengths: &[f32],
    prompts: &[P],
    target: &str,
) -> Result<SteeringSweep> {
    if strengths.is_empty() {
        return Err(TechniqueError::Nothing { what: "strengths" });
    }
    let questions: Vec<(&str, &str)> = prompts.iter().map(|p| (p.as_ref(), target)).collect();
    let layers: Vec<usize> = (0..model.sizes().n_layers).collect();
    let mut probabilities = Vec::with_capacity(layers.len());
    for &layer in &layers {
        let vector = steering_vector(model, towards, away, layer)?;
        let measure = |&strength: &f32| -> Result<f32> {
            Ok(mean_probability(&predictions(&vector.apply(model, strength)?, &questions)?))
        };
        probabilities.push(strengths.iter().map(measure).collect::<Result<_>>()?);
    }
    Ok(SteeringSweep { target: target.into(), layers, strengths: strengths.to_vec(), probabilities })
}

impl SteeringSweep {
    /// The layer × strength heatmap of the target's probability, the last layer on top.
    ///
    /// # Errors
    /// If the grid is too large to draw.
    pub fn figure(&self) -> Result<Grid> {
        let text = |x: &f32| format!("{x:+}");
        Ok(Grid::new(
            self.layers.iter().map(ToString::to_string),
            self.strengths.iter().map(text),
            self.probabilities.concat(),
        )?
        .with_row_order(RowOrder::BottomUp)
        .with_title("Steering by activation addition")
        .with_subtitle(format!("mean probability of {:?} after prompts that say otherwise", self.target))
        .with_axes("layer", "strength")
        .with_scale(Scale::probability())
        .with_legend("probability")
        .with_values_shown(true))
    }
}
