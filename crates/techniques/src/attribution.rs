//! Attribution patching (Nanda 2023): activation patching of every place at once, by its slope.
//!
//! Activation patching runs the model once for each place. To first order, putting the clean activation in place of the
//! corrupted one changes the logit difference by `(clean − corrupted) · gradient`, the gradient being that of the corrupted
//! run's logit difference at the place. One trace with two invokes and one backward gives all places of a kind. The estimate
//! is good where the model is nearly linear between the two activations: for heads and late layers rather than for the early
//! residual stream.

use pellucid::{Model, Proxy};

use crate::error::{Result, TechniqueError};
use crate::patching::{Pair, PatchSite, PatchSweep, Patched, difference, site};
use crate::plot::{Grid, Panels, Scale};
use crate::tokens::ids;

/// The estimated effect of every patch.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Attributed {
    /// The estimates, in the form of what [`crate::patch_sweep`] measures: 0 is the corrupted run, 1 the clean one.
    #[serde(flatten)]
    pub estimated: Patched,
}

/// Estimates the effect of patching every place of a kind from one forward and one backward pass.
///
/// # Errors
/// Prompts of different lengths, answers of several tokens, equal answers; whatever the model reports.
pub fn attribution_patch(model: &Model, sweep: &PatchSweep) -> Result<Attributed> {
    let pair = Pair::measure(model, sweep)?;
    let sizes = model.sizes();
    let trace = model.trace();
    let (clean, corrupted) = (trace.invoke(&ids(&pair.clean)), trace.invoke(&ids(&pair.corrupted)));
    let saved: Vec<Proxy> = (0..sizes.n_layers)
        .map(|layer| {
            let (to, from) =
                (site(model, &clean, sweep.site, layer), site(model, &corrupted, sweep.site, layer));
            let share = (&to - &from) * from.grad();
            let share = if sweep.site == PatchSite::Heads {
                let dims = [sizes.n_heads as i64, sizes.d_head as i64];
                share.op("unflatten", [(-1).into(), dims.into()]).op("sum", [[0i64, 1, 3].into()])
            } else {
                share.op("sum", [[0i64, 2].into()])
            };
            share.save()
        })
        .collect();
    difference(model, &corrupted, &pair.answer, &pair.foil).backward();
    let results = trace.run()?;
    let span = pair.clean_difference - pair.corrupted_difference;
    let row = |saved: &Proxy| -> Result<Vec<f32>> {
        Ok(results.floats(saved)?.into_iter().map(|share| share / span).collect())
    };
    let effects = saved.iter().map(row).collect::<Result<_>>()?;
    Ok(Attributed {
        estimated: Patched {
            site: sweep.site,
            clean: pair.clean,
            corrupted: pair.corrupted,
            answer: pair.answer,
            foil: pair.foil,
            clean_difference: pair.clean_difference,
            corrupted_difference: pair.corrupted_difference,
            effects,
        },
    })
}

impl Attributed {
    /// Pearson's correlation between the estimates and effects measured at the same places.
    ///
    /// # Errors
    /// [`TechniqueError::Setting`] if the other sweep has another number of places.
    pub fn correlation(&self, measured: &Patched) -> Result<f32> {
        let (x, y) = (self.estimated.effects.concat(), measured.effects.concat());
        if x.len() != y.len() {
            let (expected, got) = ("that of the estimates", y.len() as f64);
            return Err(TechniqueError::Setting { what: "the number of measured places", expected, got });
        }
        Ok(pearson(&x, &y))
    }

    /// The layer × position (or head) heatmap of estimates, the last layer on top.
    ///
    /// # Errors
    /// If the grid is too large to draw.
    pub fn figure(&self) -> Result<Grid> {
        let Patched { answer, foil, .. } = &self.estimated;
        self.estimated.figure_of(
            "Attribution patching",
            format!(
                "(clean − corrupted) · gradient: estimated share of {:?} − {:?} restored",
                answer.text, foil.text
            ),
        )
    }

    /// Estimates and measured effects side by side.
    ///
    /// # Errors
    /// If the grids are too large to draw.
    pub fn figure_beside(&self, measured: &Patched) -> Result<Panels> {
        let limit = self.estimated.effects.iter().chain(&measured.effects).flatten();
        let limit = limit.fold(1.0f32, |m, v| m.max(v.abs()));
        let grids = [
            self.figure()?.with_title("attribution patching (estimated)"),
            measured.figure()?.with_title("activation patching (measured)"),
        ];
        Ok(Panels::new(grids)
            .with_title("Attribution patching and what it estimates")
            .with_subtitle(format!("correlation {:.3}", self.correlation(measured)?))
            .with_scale(Scale::diverging_to(limit))
            .with_legend("0 = corrupted run, 1 = clean run"))
    }
}

/// Pearson's correlation; 0 if one side does not vary.
pub(crate) fn pearson(x: &[f32], y: &[f32]) -> f32 {
    let mean = |v: &[f32]| v.iter().map(|&a| f64::from(a)).sum::<f64>() / v.len().max(1) as f64;
    let (mx, my) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (&a, &b) in x.iter().zip(y) {
        let (a, b) = (f64::from(a) - mx, f64::from(b) - my);
        (xy, xx, yy) = (xy + a * b, xx + a * a, yy + b * b);
    }
    if xx * yy > 0.0 { (xy / (xx * yy).sqrt()) as f32 } else { 0.0 }
}
