//! Indirect objects: two people are named, one of them gives, and the sentence ends with the other.

use super::fill;
use crate::{
    lexicon::{OBJECTS, PLACES, people},
    rng::Rng,
    split::name_is_held_out,
};

/// How sentences begin. `{A}` and `{B}` are the two people in the order they are named, `{P}` is a place.
const HEADS: [&str; 15] = [
    "When {A} and {B} went to the {P},",
    "Then, {A} and {B} went to the {P}, and",
    "Then {A} and {B} had a long day at the {P}, and",
    "After {A} and {B} came to the {P},",
    "While {A} and {B} were working at the {P},",
    "Then, {A} and {B} were thinking about going to the {P}.",
    "Yesterday {A} and {B} met at the {P}.",
    "The friends {A} and {B} sat down at the {P}, and",
    "As {A} and {B} walked to the {P},",
    "One day {A} and {B} played at the {P}. In the end",
    "Last week {A} and {B} visited the {P}, where",
    "It was late, {A} and {B} were at the {P}, and",
    "At the {P}, {A} met {B}, and",
    "In the morning {A} and {B} left the {P}. Later",
    "It was early when {A} saw {B} at the {P}, so",
];

/// Beginnings that the training text never holds.
const HELD_OUT_HEADS: [&str; 4] = [
    "After a long day {A} and {B} went to the {P}, and",
    "When {A} saw {B} at the {P},",
    "While {A} and {B} played at the {P},",
    "Yesterday {A} and {B} left the {P}. Then",
];

/// How sentences go on. `{S}` is the one who gives, `{O}` an object.
const TAILS: [&str; 10] = [
    "{S} gave a {O} to",
    "{S} handed a {O} to",
    "{S} passed a {O} to",
    "{S} brought a {O} for",
    "{S} showed a {O} to",
    "{S} bought a {O} for",
    "{S} offered a {O} to",
    "{S} sent a {O} to",
    "{S} wanted to give a {O} to",
    "{S} decided to sell a {O} to",
];

/// Ways to go on that the training text never holds.
const HELD_OUT_TAILS: [&str; 2] = ["{S} told a story to", "{S} wanted to buy a {O} for"];

/// The sentence templates of the training text (`held_out` false), or those of which it never holds one half (true).
pub fn templates(held_out: bool) -> Vec<String> {
    let mut templates = Vec::new();
    let mut pair = |heads: &[&str], tails: &[&str]| {
        for head in heads {
            templates.extend(tails.iter().map(|tail| format!("{head} {tail}")));
        }
    };
    if held_out {
        pair(&HELD_OUT_HEADS, &TAILS);
        pair(&HEADS, &HELD_OUT_TAILS);
    } else {
        pair(&HEADS, &TAILS);
    }
    templates
}

/// The names that may give and receive in training (`held_out` false), or those that never do (true).
pub fn names(held_out: bool) -> Vec<&'static str> {
    let kept = |(position, _): &(usize, _)| name_is_held_out(*position) == held_out;
    people().iter().enumerate().filter(kept).map(|(_, person)| person.name).collect()
}

/// Who is named first, who gives, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scene {
    /// The one who gives: named twice.
    pub giver: &'static str,
    /// The one who receives: the answer.
    pub receiver: &'static str,
    /// Whether the giver is also named first (BABA) or second (ABBA).
    pub giver_first: bool,
    /// A place.
    pub place: &'static str,
    /// The object given.
    pub object: &'static str,
}

impl Scene {
    /// A random scene between two of `names`.
    pub fn draw(names: &[&'static str], rng: &mut Rng) -> Self {
        let (giver, receiver) = rng.pick_two(names);
        let giver_first = rng.percent(50);
        Self { giver, receiver, giver_first, place: rng.pick(&PLACES), object: rng.pick(&OBJECTS) }
    }

    /// The prompt that the receiver's name completes.
    pub fn prompt(&self, template: &str) -> String {
        let (first, second) =
            if self.giver_first { (self.giver, self.receiver) } else { (self.receiver, self.giver) };
        let values = [('A', first), ('B', second), ('S', self.giver), ('P', self.place), ('O', self.object)];
        fill(template, &values)
    }
}

/// One scene, now and then with a sentence after it.
pub(super) fn document(names: &[&'static str], templates: &[String], rng: &mut Rng) -> String {
    let scene = Scene::draw(names, rng);
    let mut text = scene.prompt(&templates[rng.below(templates.len())]);
    text.push(' ');
    text.push_str(scene.receiver);
    match rng.below(6) {
        0 => text.push_str(" and went home."),
        1 => text.push_str(&format!(". Then {} said thank you to {}.", scene.receiver, scene.giver)),
        2 => text.push_str(&format!(" and {} was happy.", scene.receiver)),
        _ => text.push('.'),
    }
    text
}
