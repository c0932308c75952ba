//! Random words repeated: only a mechanism that looks back for the last occurrence can predict the second half.

use crate::{
    lexicon::{COUNTRIES, OBJECTS, PLACES, all_words, people},
    rng::Rng,
};

/// Words that are drawn together: the whole lexicon, and three kinds of word.
///
/// A sequence of one kind is told apart only by which word it is, so that copying cannot rest on the kind.
pub(super) fn pools() -> Vec<Vec<&'static str>> {
    vec![
        all_words(),
        people().iter().map(|person| person.name).collect(),
        COUNTRIES.iter().flat_map(|country| [country.name, country.capital]).collect(),
        OBJECTS.iter().chain(&PLACES).copied().collect(),
    ]
}

/// A random sequence of `length` different words, each after a space: from `words`, which must hold at least as many, or
/// invented ones made of random letters.
pub fn sequence(words: &[&'static str], length: usize, invented: bool, rng: &mut Rng) -> String {
    let mut text = String::new();
    let mut used: Vec<&str> = Vec::with_capacity(length);
    for _ in 0..length {
        text.push(' ');
        if invented {
            for _ in 0..rng.between(2, 6) {
                text.push(char::from(b'a' + rng.below(26) as u8));
            }
            continue;
        }
        let mut word = rng.pick(words);
        while used.contains(&word) {
            word = rng.pick(words);
        }
        used.push(word);
        text.push_str(word);
    }
    text
}

/// Two in three documents repeat a short sequence many times, which is easy to learn from; the others repeat a long one once
/// or twice, sometimes with something else in between.
pub(super) fn document(pools: &[Vec<&'static str>], rng: &mut Rng) -> String {
    let words = match rng.below(100) {
        0..45 => &pools[0],
        45..75 => &pools[1],
        75..88 => &pools[2],
        _ => &pools[3],
    };
    let invented = rng.percent(10);
    let often = rng.percent(65);
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
