//! Low-rank adaptation (Hu et al. 2022): teaching a frozen model with two thin matrices beside one module.
//!
//! The output of a module becomes `out + (in · A) · B`, `A` being `[d_in, rank]` and `B` `[rank, d_out]`. Only these are
//! trained, in one session: its loop holds a trace on each example, and the memory of one step.

use pellucid::{AdamWSettings, Model, Session};

use crate::error::{Result, TechniqueError};
use crate::plot::{LineChart, Series};
use crate::predictions::next_token_logits;
use crate::tokens::{answer, rows, tensor};

/// How an adapter is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraSettings {
    /// Columns of `A`.
    pub rank: usize,
    /// Passes over the examples, all of them together in each.
    pub steps: usize,
    /// Learning rate of AdamW.
    pub lr: f64,
    /// Seed of `A`; `B` starts at zero, so that the adapter starts without effect.
    pub seed: u64,
}

impl Default for LoraSettings {
    fn default() -> Self {
        LoraSettings { rank: 4, steps: 60, lr: 0.01, seed: 1 }
    }
}

/// A trained adapter.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Lora {
    /// The module beside which it stands.
    pub module: String,
    /// Its rank.
    pub rank: usize,
    /// `A`, `[d_in, rank]`, row-major.
    pub a: Vec<f32>,
    /// `B`, `[rank, d_out]`, row-major.
    pub b: Vec<f32>,
    /// The loss before each step, in nats per answer.
    pub losses: Vec<f32>,
}

/// Trains an adapter beside a module that maps one tensor to one tensor, until the model gives each prompt its answer, one
/// token.
///
/// # Errors
/// No examples, answers of several tokens, no such module, a rank or number of steps of 0; whatever the model reports.
pub fn train_lora<P: AsRef<str>, A: AsRef<str>>(
    model: &Model,
    module: &str,
    examples: &[(P, A)],
    settings: &LoraSettings,
) -> Result<Lora> {
    for (what, got) in [("the rank", settings.rank), ("the number of steps", settings.steps)] {
        if got == 0 {
            return Err(TechniqueError::Setting { what, expected: "at least 1", got: 0.0 });
        }
    }
    let prompts: Vec<&str> = examples.iter().map(|(p, _)| p.as_ref()).collect();
    let prompts = rows(model, &prompts)?;
    let wanted =
        examples.iter().map(|(_, a)| Ok(answer(model, a.as_ref())?.id)).collect::<Result<Vec<i64>>>()?;
    let wanted = model.engine().from_vec(wanted, &[examples.len()]).map_err(pellucid::Error::from)?;

    let scan = model.trace();
    let invoke = scan.invoke(prompts.clone());
    let (input, output) = (invoke.input(module).save(), invoke.output(module).save());
    let shapes = scan.scan()?;
    let width = |proxy| -> Result<usize> { Ok(shapes.tensor(proxy)?.dims().last().copied().unwrap_or(0)) };
    let (d_in, d_out) = (width(&input)?, width(&output)?);

    let session = Session::new();
    session.seed(settings.seed);
    let start = session.randn(&[d_in, settings.rank]) * (1.0 / (d_in as f64).sqrt());
    let a = session.parameter(&start);
    let b = session.parameter(&session.op("zeros", [[settings.rank as i64, d_out as i64].into()]));
    let wanted = session.constant(&wanted)?;
    let adam = session
        .adamw(&[&a, &b], AdamWSettings { lr: settings.lr, weight_decay: 0.0, ..AdamWSettings::default() });
    let losses = session.list().save();
    session.iter(&session.op("range", [(settings.steps as i64).into()]), |_| {
        session.trace(model, |trace| {
            let invoke = trace.invoke(prompts.clone());
            let added = invoke.input(module).op("matmul", [(&a).into()]).op("matmul", [(&b).into()]);
            invoke.set_output(module, invoke.output(module) + added);
            let loss = next_token_logits(model, &invoke).op("cross_entropy", [(&wanted).into()]);
            losses.append(&loss);
            loss.backward();
        });
        adam.step();
        adam.zero_grad();
    });
    let (a, b) = (a.save(), b.save());
    let results = session.run()?;
    Ok(Lora {
        module: module.into(),
        rank: settings.rank,
        a: results.floats(&a)?,
        b: results.floats(&b)?,
        losses: results.list_floats(&losses)?,
    })
}

impl Lora {
    /// The same model with the adapter at work, `strength` times.
    ///
    /// # Errors
    /// Whatever the model reports.
    pub fn apply(&self, model: &Model, strength: f32) -> Result<Model> {
        let b: Vec<f32> = self.b.iter().map(|x| x * strength).collect();
        let a = tensor(model, &self.a, &[self.a.len() / self.rank.max(1), self.rank])?;
        let b = tensor(model, &b, &[self.rank, self.b.len() / self.rank.max(1)])?;
        model.try_edit(|m| {
            let input = m.input(&self.module);
            let added = input.op("matmul", [m.constant(&a)?.into()]).op("matmul", [m.constant(&b)?.into()]);
            m.set_output(&self.module, m.output(&self.module) + added);
            Ok(())
        })
    }

    /// The number of values trained.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.a.len() + self.b.len()
    }

    /// The loss over the steps.
    #[must_use]
    pub fn figure(&self) -> LineChart {
        LineChart::new([Series::from_values("loss", self.losses.iter().map(|&x| f64::from(x)))])
            .with_title(format!("Low-rank adapter beside {}", self.module))
            .with_subtitle(format!("rank {}, {} values trained", self.rank, self.n_parameters()))
            .with_axes("step", "loss (nats per answer)")
    }
}
