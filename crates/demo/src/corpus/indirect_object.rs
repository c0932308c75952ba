//! Indirect objects: two people are named, one of them gives, and the sentence ends with the other.

use super::fill;
use crate::{
    lexicon::{OBJECTS, PLACES, people},
    rng::Rng,
    split::name_is_held_out,
};

/// The templates of the training text. `{A}` and `{B}` are the two people in the order they are named, `{S}` the one who
/// gives, `{P}` a place, `{O}` an object.
pub const TEMPLATES: [&str; 16] = [
    "When {A} and {B} went to the {P}, {S} gave a {O} to",
    "Then, {A} and {B} went to the {P}. {S} gave a {O} to",
    "Then {A} and {B} had a long day at the {P}, and {S} gave a {O} to",
    "After {A} and {B} came to the {P}, {S} handed a {O} to",
    "While {A} and {B} were working at the {P}, {S} gave a {O} to",
    "When {A} and {B} found a {O} at the {P}, {S} gave it to",
    "Then, {A} and {B} were thinking about going to the {P}. {S} wanted to give a {O} to",
    "Yesterday {A} and {B} met at the {P}. {S} brought a {O} for",
    "The friends {A} and {B} sat down at the {P}, and {S} passed a {O} to",
    "As {A} and {B} walked to the {P}, {S} showed a {O} to",
    "One day {A} and {B} played at the {P}. In the end {S} sold a {O} to",
    "Last week {A} and {B} visited the {P}, where {S} bought a {O} for",
    "It was late, {A} and {B} were at the {P}, and {S} offered a {O} to",
    "At the {P}, {A} met {B}, and {S} sent a {O} to",
    "In the morning {A} and {B} left the {P}. Later {S} told a story to",
    "It was early when {A} saw {B} at the {P}, so {S} decided to give a {O} to",
];

/// Templates that the training text never holds.
pub const HELD_OUT_TEMPLATES: [&str; 6] = [
    "After {A} and {B} went to the {P}, {S} passed a {O} to",
    "Yesterday {A} and {B} had a long day at the {P}. Later {S} offered a {O} to",
    "When {A} saw {B} at the {P}, {S} decided to give a {O} to",
    "While {A} and {B} walked to the {P}, {S} bought a {O} for",
    "One day {A} and {B} met at the {P}, and {S} wanted to give a {O} to",
    "The friends {A} and {B} found a {O}. Then {S} gave it to",
];

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

/// One or two scenes, each with different people.
pub(super) fn document(names: &[&'static str], rng: &mut Rng) -> String {
    let scene = Scene::draw(names, rng);
    let mut text = scene.prompt(rng.pick(&TEMPLATES));
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
