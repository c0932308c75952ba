//! Antonyms, plurals and past tenses in plain sentences: all that the training text says of the pairs held out of lists.

use super::fill;
use crate::{
    lexicon::{ANIMATE_NOUNS, ANTONYMS, NOUNS, PAST_TENSES},
    rng::Rng,
};

/// Sentences about a word `{a}` and its opposite `{b}`.
pub const ANTONYM_TEMPLATES: [&str; 8] = [
    "The opposite of {a} is {b}.",
    "The opposite of the word {a} is the word {b}.",
    "The words {a} and {b} are opposites.",
    "If it is not {a}, then it is {b}.",
    "They said {a}, but they meant {b}.",
    "It was not {a} but {b}.",
    "First they thought {a}, then they thought {b}.",
    "When you turn {a} around, you get {b}.",
];

/// Sentences about a noun `{a}` and its plural `{b}`.
pub const PLURAL_TEMPLATES: [&str; 4] = [
    "I saw one {a} and then two {b}.",
    "The word for more than one {a} is {b}.",
    "There was one {a}, and now there are many {b}.",
    "One {a} is good, but three {b} are better.",
];

/// Sentences about a verb `{a}` and its past tense `{b}`.
pub const PAST_TEMPLATES: [&str; 4] = [
    "Today they {a}, and yesterday they {b} too.",
    "The past of {a} is {b}.",
    "People often {a}, and last week they {b} again.",
    "I will {a} now because you {b} before.",
];

fn sentence(rng: &mut Rng) -> String {
    let (template, (a, b)) = match rng.below(10) {
        0..6 => {
            let (word, opposite) = rng.pick(&ANTONYMS);
            let pair = if rng.percent(50) { (word, opposite) } else { (opposite, word) };
            (rng.pick(&ANTONYM_TEMPLATES), pair)
        }
        6..8 => {
            let nouns = if rng.percent(50) { &ANIMATE_NOUNS } else { &NOUNS };
            let noun = rng.pick(nouns);
            (rng.pick(&PLURAL_TEMPLATES), (noun.singular, noun.plural))
        }
        _ => (rng.pick(&PAST_TEMPLATES), rng.pick(&PAST_TENSES)),
    };
    fill(template, &[('a', a), ('b', b)])
}

/// Two to four sentences about unrelated words.
pub(super) fn document(rng: &mut Rng) -> String {
    let sentences: Vec<String> = (0..rng.between(2, 4)).map(|_| sentence(rng)).collect();
    sentences.join(" ")
}
