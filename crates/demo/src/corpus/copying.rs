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

/// A sequence of 4 to 24 words, two or three times over, sometimes with something else in between.
pub(super) fn document(words: &[&'static str], rng: &mut Rng) -> String {
    let invented = rng.percent(25);
    let length = if invented { rng.between(3, 10) } else { rng.between(4, 24) };
    let repeated = sequence(words, length, invented, rng);
    let mut text = repeated.clone();
    for _ in 0..rng.between(1, 2) {
        if rng.percent(30) {
            let gap = rng.between(1, 6);
            text.push_str(&sequence(words, gap, false, rng));
        }
        text.push_str(&repeated);
    }
    text
}
