//! How loss and skills went over a run.

use serde_json::{Value, json};

use crate::Accuracy;

/// The loss over a stretch of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Steps done at the end of the stretch.
    pub step: u64,
    /// Predictions made so far.
    pub tokens: u64,
    /// Mean cross-entropy over the stretch, in nats per token.
    pub loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Wall-clock time since the first step, in seconds.
    pub seconds: f64,
}

/// Skills measured at one point of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Steps done.
    pub step: u64,
    /// By skill and by what was held out.
    pub accuracies: Vec<Accuracy>,
    /// Share of right predictions in the second half of repeated random tokens, 0 to 1.
    pub random_token_induction: f64,
}

/// Losses and accuracies over a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    /// The loss of every stretch.
    pub points: Vec<CurvePoint>,
    /// Every examination before the end, on a sample of the probes.
    pub measured: Vec<Measured>,
}

/// A number with as many digits as are worth keeping.
fn rounded(x: f64) -> f64 {
    (x * 1e5).round() / 1e5
}

impl Measured {
    fn to_json(&self) -> Value {
        let mut skills = serde_json::Map::new();
        for row in &self.accuracies {
            let skill = skills.entry(row.skill.clone()).or_insert_with(|| json!({}));
            let share = |count: usize| rounded(count as f64 / row.n_probes.max(1) as f64);
            skill[row.held_out] = json!([share(row.n_first), share(row.n_above_distractor)]);
        }
        json!({
            "step": self.step,
            "random_token_induction": rounded(self.random_token_induction),
            "first_and_above_by_skill_and_held_out": skills,
        })
    }
}

impl Curve {
    /// The curve as `curve.json` holds it, `last` being the examination of all probes.
    pub fn to_json(&self, last: &Measured) -> Value {
        let column = |of: fn(&CurvePoint) -> Value| self.points.iter().map(of).collect::<Vec<_>>();
        json!({
            "step": column(|p| json!(p.step)),
            "tokens": column(|p| json!(p.tokens)),
            "loss": column(|p| json!(rounded(p.loss))),
            "learning_rate": column(|p| json!((p.learning_rate * 1e8).round() / 1e8)),
            "seconds": column(|p| json!(p.seconds.round())),
            "samples": self.measured.iter().map(Measured::to_json).collect::<Vec<_>>(),
            "end": last.to_json(),
        })
    }
}
