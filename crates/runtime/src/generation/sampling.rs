//! The next token of one row from its logits. Order and arithmetic follow `transformers`' logits processors: penalty for
//! repetition, least length, temperature, top-k (Fan et al. 2018), top-p (Holtzman et al. 2020).

use pellucid_tensor::{DType, Engine};

use super::Options;
use crate::error::Result;

/// Changes the logits `[d_vocab]` of a row by what has been said before: repetition and least length.
pub(crate) fn process(options: &Options, history: &[i64], added: u64, logits: &mut [f32]) {
    let penalty = options.repetition_penalty as f32;
    if penalty != 1.0 {
        let mut seen: Vec<usize> = history.iter().filter_map(|&id| usize::try_from(id).ok()).collect();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            if let Some(logit) = logits.get_mut(id) {
                *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
            }
        }
    }
    if added < options.min_new_tokens {
        for &id in &options.eos {
            if let Some(logit) = usize::try_from(id).ok().and_then(|id| logits.get_mut(id)) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}

/// The likeliest token.
pub(crate) fn likeliest(logits: &[f32]) -> i64 {
    let mut best = 0;
    for (id, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = id;
        }
    }
    best as i64
}

/// A token drawn with the number `uniform` in `[0, 1)`.
pub(crate) fn draw(options: &Options, logits: &[f32], uniform: f64) -> i64 {
    let scaled: Vec<f64> = logits.iter().map(|&l| f64::from(l) / options.temperature).collect();
    let mut order: Vec<usize> = (0..scaled.len()).collect();
    // Equal logits keep the order of their ids, so that a draw depends on nothing else.
    order.sort_by(|&a, &b| scaled[b].total_cmp(&scaled[a]).then(a.cmp(&b)));
    if options.top_k > 0 && options.top_k < order.len() {
        // All that are as likely as the last one stay, as in the reference.
        let least = scaled[order[options.top_k - 1]];
        let kept = order.iter().take_while(|&&id| scaled[id] >= least).count();
        // Nothing compares with a logit that is not a number.
        order.truncate(kept.max(options.top_k));
    }
    let highest = order.first().map_or(0.0, |&id| scaled[id]);
    let mut weights: Vec<f64> = order.iter().map(|&id| (scaled[id] - highest).exp()).collect();
    if options.top_p < 1.0 {
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let mut kept = 0;
        for weight in &weights {
            if kept > 0 && sum >= options.top_p {
                break;
            }
            sum += weight / total;
            kept += 1;
        }
        weights.truncate(kept);
    }
    let total: f64 = weights.iter().sum();
    let mut left = uniform * total;
    for (&id, weight) in order.iter().zip(&weights) {
        if left < *weight {
            return id as i64;
        }
        left -= weight;
    }
    order.get(weights.len().saturating_sub(1)).map_or(0, |&id| id as i64)
}

/// Streams of random numbers for the rows of an invoke.
///
/// A row's stream depends on the seed and on its own prompt, so that it draws the same alone and beside others; a
/// prompt that occurs again in the same invoke has a stream of its own.
pub(crate) fn streams(options: &Options, prompts: &[Vec<i64>]) -> Vec<u64> {
    let mut seen: Vec<(&[i64], u64)> = Vec::new();
    prompts
        .iter()
        .map(|prompt| {
            let occurrence = match seen.iter_mut().find(|(p, _)| *p == prompt.as_slice()) {
                Some((_, n)) => {
                    *n += 1;
                    *n
                }
                None => {
                    seen.push((prompt, 0));
                    0
                }
            };
            // FNV-1a over the ids, little-endian.
            let mut hash = 0xcbf2_9ce4_8422_2325u64;
            let words = prompt.iter().map(|&id| id as u64).chain([occurrence, options.seed]);
            for byte in words.flat_map(u64::to_le_bytes) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            hash
        })
        .collect()
}

/// The number of a stream at a step, in `[0, 1)`.
pub(crate) fn uniform(engine: &Engine, stream: u64, step: u64) -> Result<f64> {
    Ok(f64::from(engine.rand(&[1], DType::F32, stream, step).to_vec::<f32>()?[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options::new(&[], 0).unwrap()
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits = [0.0f32, (3.0f32).ln(), f32::NEG_INFINITY];
        let mut counts = [0; 3];
        for i in 0..1000 {
            counts[draw(&options(), &logits, (f64::from(i) + 0.5) / 1000.0) as usize] += 1;
        }
        assert_eq!(counts, [250, 750, 0]);
    }

    #[test]
    fn top_k_and_top_p_leave_the_likeliest() {
        let logits = [1.0f32, 4.0, 2.0, 3.0];
        let all = |o: &Options| {
            let mut ids: Vec<i64> = (0..100).map(|i| draw(o, &logits, f64::from(i) / 100.0)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        assert_eq!(all(&Options { top_k: 2, ..options() }), [1, 3]);
        // The likeliest has probability 0.64, the two likeliest 0.88.
        assert_eq!(all(&Options { top_p: 0.6, ..options() }), [1]);
        assert_eq!(all(&Options { top_p: 0.7, ..options() }), [1, 3]);
    }

    #[test]
    fn a_temperature_near_zero_takes_the_likeliest() {
        let o = Options { temperature: 1e-6, ..options() };
        assert_eq!(draw(&o, &[0.1, 0.3, 0.2], 0.999), 1);
    }

    #[test]
    fn repetition_is_penalised_on_both_sides_of_zero() {
        let mut logits = [2.0f32, -2.0, 1.0];
        process(&Options { repetition_penalty: 2.0, ..options() }, &[0, 1, 1], 0, &mut logits);
        assert_eq!(logits, [1.0, -4.0, 1.0]);
    }

    #[test]
    fn a_row_draws_the_same_alone_and_beside_others() {
        let (a, b) = (vec![1, 2], vec![3]);
        let alone = streams(&options(), std::slice::from_ref(&b));
        let beside = streams(&options(), &[a, b.clone(), b]);
        assert_eq!(alone[0], beside[1]);
        assert_ne!(beside[1], beside[2]);
    }
}
