//! Search over beams: the likeliest continuations are kept side by side. Scores, ends and tie rules are those of
//! `transformers`' `BeamSearchScorer`.

use super::Options;

/// The search for one prompt.
#[derive(Debug)]
pub(crate) struct Search {
    n_beams: usize,
    length_penalty: f64,
    early_stopping: bool,
    prompt: usize,
    /// Token ids of the open continuations, and the sums of their log probabilities.
    open: Vec<(Vec<i64>, f64)>,
    /// Finished continuations with their scores, at most as many as beams.
    finished: Vec<(f64, Vec<i64>)>,
    done: bool,
}

/// What a step of a search chose.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    /// For each beam, the beam it continues.
    pub from: Vec<usize>,
    /// For each beam, the token it adds.
    pub tokens: Vec<i64>,
}

impl Search {
    /// A search that starts from a prompt.
    pub(crate) fn new(options: &Options, prompt: &[i64]) -> Search {
        let n_beams = options.num_beams;
        // Only the first beam counts at first: all are the same.
        let open = (0..n_beams).map(|i| (prompt.to_vec(), if i == 0 { 0.0 } else { -1e9 })).collect();
        Search {
            n_beams,
            length_penalty: options.length_penalty,
            early_stopping: options.early_stopping,
            prompt: prompt.len(),
            open,
            finished: Vec::new(),
            done: false,
        }
    }

    /// Token ids of a beam so far.
    pub(crate) fn tokens(&self, beam: usize) -> &[i64] {
        &self.open[beam].0
    }

    /// Whether no open continuation can become the best.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Goes on by one token from the logits `[d_vocab]` of every beam.
    pub(crate) fn advance(&mut self, options: &Options, logits: &[Vec<f32>]) -> Step {
        if self.done {
            for (tokens, _) in &mut self.open {
                tokens.push(options.pad);
            }
            return Step { from: (0..self.n_beams).collect(), tokens: vec![options.pad; self.n_beams] };
        }
        // Enough that as many as there are beams remain when every ending one is taken out.
        let enough = self.n_beams * (1 + options.eos.len()).max(2);
        let mut candidates: Vec<(f64, usize, usize)> = Vec::new();
        for (beam, logits) in logits.iter().enumerate() {
            let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|&l| f64::from(l - highest).exp()).sum();
            let base = self.open[beam].1 - f64::from(highest) - sum.ln();
            let mut own: Vec<(f64, usize, usize)> =
                logits.iter().enumerate().map(|(id, &l)| (base + f64::from(l), beam, id)).collect();
            // No beam can have more of the best than all together.
            let most = enough.min(own.len());
            if most < own.len() {
                own.select_nth_unstable_by(most, better);
                own.truncate(most);
            }
            candidates.extend(own);
        }
        candidates.sort_by(better);
        candidates.truncate(enough);
        let best = candidates.first().map_or(f64::NEG_INFINITY, |c| c.0);
        let added = self.open[0].0.len() + 1 - self.prompt;
        let mut next: Vec<(Vec<i64>, f64)> = Vec::new();
        let mut step = Step { from: Vec::new(), tokens: Vec::new() };
        for (rank, &(score, beam, id)) in candidates.iter().enumerate() {
            if options.eos.contains(&(id as i64)) {
                if rank < self.n_beams {
                    let mut tokens = self.open[beam].0.clone();
                    tokens.push(id as i64);
                    self.finish(tokens, score, added);
                }
                continue;
            }
            let mut tokens = self.open[beam].0.clone();
            tokens.push(id as i64);
            next.push((tokens, score));
            step.from.push(beam);
            step.tokens.push(id as i64);
            if next.len() == self.n_beams {
                break;
            }
        }
        self.open = next;
        self.done = self.finished.len() >= self.n_beams && {
            let worst = self.finished.iter().map(|f| f.0).fold(f64::INFINITY, f64::min);
            self.early_stopping || worst >= self.score(best, added)
        };
        step
    }

    fn score(&self, sum: f64, added: usize) -> f64 {
        sum / (added as f64).powf(self.length_penalty)
    }

    fn finish(&mut self, tokens: Vec<i64>, sum: f64, added: usize) {
        let score = self.score(sum, added);
        let worst = self.finished.iter().map(|f| f.0).fold(f64::INFINITY, f64::min);
        if self.finished.len() < self.n_beams || score > worst {
            self.finished.push((score, tokens));
            if self.finished.len() > self.n_beams {
                self.finished.sort_by(|a, b| b.0.total_cmp(&a.0));
                self.finished.truncate(self.n_beams);
            }
        }
    }

    /// The best continuation, the prompt included.
    pub(crate) fn best(mut self) -> Vec<i64> {
        if !self.done {
            for (tokens, sum) in std::mem::take(&mut self.open) {
                let added = tokens.len() - self.prompt;
                self.finish(tokens, sum, added);
            }
        }
        let best = self.finished.into_iter().reduce(|a, b| if b.0 > a.0 { b } else { a });
        best.map(|(_, tokens)| tokens).unwrap_or_default()
    }
}

/// The likelier first; of equal ones the earlier beam, then the smaller id.
fn better(a: &(f64, usize, usize), b: &(f64, usize, usize)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_a_likelier_pair_than_greedy_choice() {
        // From the prompt: token 0 has 0.6, token 1 has 0.4. After 0 everything is even; after 1 token 2 is sure.
        let options = Options { num_beams: 2, ..Options::new(&[], 0).unwrap() };
        let mut search = Search::new(&options, &[9]);
        let first = vec![0.6f32.ln(), 0.4f32.ln(), -99.0];
        let step = search.advance(&options, &[first.clone(), first]);
        assert_eq!(step, Step { from: vec![0, 0], tokens: vec![0, 1] });
        let even = vec![(1.0f32 / 3.0).ln(); 3];
        search.advance(&options, &[even, vec![-99.0, -99.0, 0.0]]);
        assert_eq!(search.best(), [9, 1, 2]);
    }
}
