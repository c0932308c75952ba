//! Random words repeated: only a mechanism that looks back for the last occurrence can predict the second half.

use crate::rng::Rng;

/// A random sequence of `length` words, each after a space: lexicon words, or invented ones made of random letters.
pub fn sequence(words: &[&'static str], length: usize, invented: bool, rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..length {
        text.push(' ');
        if invented {
            for _ in 0..rng.between(2, 6) {
                text.push(char::from(b'a' + rng.below(26) as u8));
            }
        } else {
            text.push_str(rng.pick(words));
        }
    }
    text
}

/// Half of the documents repeat a short sequence many times, which is easy to learn from; the others repeat a long one once
/// or twice, sometimes with something else in between.
pub(super) fn document(words: &[&'static str], rng: &mut Rng) -> String {
    let invented = rng.percent(20);
    let often = rng.percent(50);
    let length = match (often, invented) {
        (true, false) => rng.between(3, 9),
        (true, true) => rng.between(2, 4),
        (false, false) => rng.between(8, 24),
        (false, true) => rng.between(4, 10),
    };
    let repeated = sequence(words, length, invented, rng);
    let repeats = if often { rng.between(3, 6) } else { rng.between(1, 2) };
    let mut text = repeated.clone();
    for _ in 0..repeats {
        if !often && rng.percent(30) {
            let gap = rng.between(1, 6);
            text.push_str(&sequence(words, gap, false, rng));
        }
        text.push_str(&repeated);
    }
    text
}
