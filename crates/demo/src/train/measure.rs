//! What the model can do: the probes, and copying of random tokens.

use tokenizers::Tokenizer;

use super::TrainError;
use super::network::Network;
use crate::{HeldOut, Outcome, Probe, Recipe, Rng, Skill, encode, evaluation};

/// Prompts in one forward pass.
const ROWS: usize = 64;

/// A probe in tokens.
struct Question {
    /// Its place among the probes.
    index: usize,
    tokens: Vec<u32>,
    answer: usize,
    distractor: usize,
}

/// Probes, ready to be asked.
pub(super) struct Examination {
    pub(super) probes: Vec<Probe>,
    /// By ascending length, so that little of a pass is filling.
    questions: Vec<Question>,
}

fn one_token(tokenizer: &Tokenizer, word: &str) -> Result<usize, TrainError> {
    match encode(tokenizer, word)?[..] {
        [token] => Ok(token as usize),
        ref tokens => Err(TrainError::Answer { word: word.to_owned(), tokens: tokens.len() }),
    }
}

impl Examination {
    /// All probes.
    pub(super) fn all(tokenizer: &Tokenizer) -> Result<Self, TrainError> {
        Self::of(tokenizer, evaluation())
    }

    /// At most `n` probes of each skill and split, evenly spread.
    pub(super) fn sample(tokenizer: &Tokenizer, n: usize) -> Result<Self, TrainError> {
        let mut groups: Vec<((Skill, HeldOut), Vec<Probe>)> = Vec::new();
        for probe in evaluation() {
            let key = (probe.skill, probe.held_out);
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, group)) => group.push(probe),
                None => groups.push((key, vec![probe])),
            }
        }
        let picked = groups.into_iter().flat_map(|(_, group)| {
            let kept = n.min(group.len());
            let chosen: Vec<Probe> = (0..kept).map(|i| group[i * group.len() / kept].clone()).collect();
            chosen
        });
        Self::of(tokenizer, picked.collect())
    }

    fn of(tokenizer: &Tokenizer, probes: Vec<Probe>) -> Result<Self, TrainError> {
        let mut questions = Vec::with_capacity(probes.len());
        for (index, probe) in probes.iter().enumerate() {
            questions.push(Question {
                index,
                tokens: encode(tokenizer, &probe.prompt)?,
                answer: one_token(tokenizer, &probe.answer)?,
                distractor: one_token(tokenizer, &probe.distractor)?,
            });
        }
        questions.sort_by_key(|question| question.tokens.len());
        Ok(Self { probes, questions })
    }

    /// One outcome for each probe, in the probes' order.
    pub(super) fn outcomes(&self, network: &Network) -> Result<Vec<Outcome>, TrainError> {
        let unknown = Outcome { first: false, above_distractor: false };
        let mut outcomes = vec![unknown; self.probes.len()];
        for chunk in self.questions.chunks(ROWS) {
            let width = chunk.iter().map(|question| question.tokens.len()).max().unwrap_or(0);
            let mut tokens = Vec::with_capacity(chunk.len() * width);
            let mut last = Vec::with_capacity(chunk.len());
            for question in chunk {
                let start = tokens.len();
                tokens.extend(&question.tokens);
                last.push(tokens.len() as i64 - 1);
                // Filling on the right: nothing before it looks there.
                tokens.resize(start + width, 0);
            }
            let logits = network.logits(chunk.len(), &tokens)?;
            let d_vocab = logits.dims()[2];
            let last = logits.engine().from_vec(last, &[chunk.len()])?;
            let rows: Vec<f32> = logits.flatten(0, 1)?.index_select(0, &last)?.to_vec()?;
            for (question, row) in chunk.iter().zip(rows.chunks_exact(d_vocab)) {
                outcomes[question.index] = Outcome {
                    first: largest(row) == question.answer,
                    above_distractor: row[question.answer] > row[question.distractor],
                };
            }
        }
        Ok(outcomes)
    }
}

/// Where the largest number is, the first of several.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, &x) in row.iter().enumerate() {
        if x > row[best] {
            best = i;
        }
    }
    best
}

/// The share of right predictions in the second half of uniformly random tokens repeated once, after the token that
/// starts the repetition.
pub(super) fn random_token_induction(network: &Network, recipe: &Recipe) -> Result<f64, TrainError> {
    let length = 24.min(recipe.n_ctx / 2);
    let (mut right, mut asked) = (0, 0);
    let mut rng = Rng::new(recipe.seed ^ 0x1d0c, 0);
    let mut tokens: Vec<u32> = Vec::with_capacity(2 * length * ROWS);
    for _ in 0..ROWS {
        let once: Vec<u32> = (0..length).map(|_| 1 + rng.below(recipe.d_vocab - 1) as u32).collect();
        tokens.extend(&once);
        tokens.extend(&once);
    }
    let best = network.logits(ROWS, &tokens)?.arg_extreme(true, Some(-1), false)?;
    let best: Vec<i64> = best.to_vec()?;
    for (row, guesses) in tokens.chunks_exact(2 * length).zip(best.chunks_exact(2 * length)) {
        for at in length..2 * length - 1 {
            asked += 1;
            right += usize::from(guesses[at] == i64::from(row[at + 1]));
        }
    }
    Ok(f64::from(right as u32) / f64::from(asked.max(1)))
}
