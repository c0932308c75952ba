//! The model card: measured accuracies set into a text that says what the model is and is not.

use crate::{Probe, Recipe};

/// How the model did on one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the answer had the highest logit of the whole vocabulary.
    pub first: bool,
    /// Whether the answer's logit was above the distractor's.
    pub above_distractor: bool,
}

/// The outcomes of the probes of one skill that have the same part held out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accuracy {
    /// The skill's name.
    pub skill: String,
    /// The name of what was held out.
    pub held_out: &'static str,
    /// How many probes there are.
    pub n_probes: usize,
    /// How many had the answer first.
    pub n_first: usize,
    /// How many had the answer above the distractor.
    pub n_above_distractor: usize,
}

/// Counts outcomes by skill and by what was held out, in the order in which the probes first name them.
///
/// `outcomes` belong to `probes` in order; what has no partner is left out.
pub fn accuracies(probes: &[Probe], outcomes: &[Outcome]) -> Vec<Accuracy> {
    let mut rows: Vec<Accuracy> = Vec::new();
    for (probe, outcome) in probes.iter().zip(outcomes) {
        let (skill, held_out) = (probe.skill.name(), probe.held_out.name());
        let known = rows.iter().position(|row| row.skill == skill && row.held_out == held_out);
        let position = known.unwrap_or_else(|| {
            rows.push(Accuracy { skill, held_out, n_probes: 0, n_first: 0, n_above_distractor: 0 });
            rows.len() - 1
        });
        let row = &mut rows[position];
        row.n_probes += 1;
        row.n_first += usize::from(outcome.first);
        row.n_above_distractor += usize::from(outcome.above_distractor);
    }
    rows
}

/// What a finished training run knows about itself, for the card.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingRun {
    /// Mean cross-entropy of the last hundred steps, in nats per token.
    pub final_loss: f64,
    /// Wall-clock time, in minutes.
    pub minutes: f64,
    /// Threads used.
    pub n_threads: usize,
    /// Share of right predictions in the second half of repeated random tokens, 0 to 1.
    pub random_token_induction: f64,
}

/// The text of the model card, as Markdown.
///
/// ```
/// use pellucid_demo::{Outcome, Recipe, TrainingRun, accuracies, evaluation, model_card};
///
/// let probes = evaluation();
/// let outcomes = vec![Outcome { first: true, above_distractor: true }; probes.len()];
/// let run = TrainingRun { final_loss: 1.2, minutes: 40.0, n_threads: 2, random_token_induction: 0.9 };
/// let card = model_card(&Recipe::default(), &run, &accuracies(&probes, &outcomes));
/// assert!(card.contains("| indirect object | names | 200 | 100.0 % |"));
/// ```
pub fn model_card(recipe: &Recipe, run: &TrainingRun, accuracies: &[Accuracy]) -> String {
    let rows: Vec<String> = accuracies.iter().map(row).collect();
    let values = [
        ("layers", recipe.n_layers.to_string()),
        ("d_model", recipe.d_model.to_string()),
        ("heads", recipe.n_heads.to_string()),
        ("n_ctx", recipe.n_ctx.to_string()),
        ("vocabulary", recipe.d_vocab.to_string()),
        ("parameters", format!("{:.2}", recipe.n_parameters() as f64 / 1e6)),
        ("steps", recipe.steps.to_string()),
        ("rows", recipe.rows.to_string()),
        ("seq", recipe.seq.to_string()),
        ("tokens", format!("{:.1}", recipe.n_tokens() as f64 / 1e6)),
        ("peak", recipe.peak_learning_rate.to_string()),
        ("warm_up", recipe.warm_up.to_string()),
        ("decay", recipe.weight_decay.to_string()),
        ("seed", recipe.seed.to_string()),
        ("loss", format!("{:.3}", run.final_loss)),
        ("minutes", format!("{:.0}", run.minutes)),
        ("threads", run.n_threads.to_string()),
        ("induction", format!("{:.1}", 100.0 * run.random_token_induction)),
        ("accuracies", rows.join("\n")),
    ];
    let mut card = include_str!("model_card.md").to_owned();
    for (name, value) in values {
        card = card.replace(&format!("{{{name}}}"), &value);
    }
    card
}

fn row(accuracy: &Accuracy) -> String {
    let share = |count: usize| 100.0 * count as f64 / accuracy.n_probes.max(1) as f64;
    format!(
        "| {} | {} | {} | {:.1} % | {:.1} % |",
        accuracy.skill,
        accuracy.held_out,
        accuracy.n_probes,
        share(accuracy.n_first),
        share(accuracy.n_above_distractor),
    )
}

#[cfg(test)]
mod tests {
    use super::{Outcome, TrainingRun, accuracies, model_card};
    use crate::{Recipe, evaluation};

    #[test]
    fn every_placeholder_of_the_card_is_filled() {
        let run = TrainingRun { final_loss: 1.0, minutes: 1.0, n_threads: 1, random_token_induction: 0.5 };
        let card = model_card(&Recipe::default(), &run, &[]);
        assert!(!card.contains(['{', '}']), "{card}");
    }

    #[test]
    fn every_probe_is_counted_once() {
        let probes = evaluation();
        let outcomes: Vec<Outcome> = (0..probes.len())
            .map(|index| Outcome { first: index % 2 == 0, above_distractor: true })
            .collect();
        let rows = accuracies(&probes, &outcomes);
        assert_eq!(rows.iter().map(|row| row.n_probes).sum::<usize>(), probes.len());
        assert_eq!(rows.iter().map(|row| row.n_first).sum::<usize>(), probes.len().div_ceil(2));
    }
}
