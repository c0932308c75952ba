//! Little stories, so that generated text reads like text.

use super::fill;
use crate::{
    lexicon::{ADJECTIVES, ANIMATE_NOUNS, OBJECTS, PLACES, people},
    rng::Rng,
};

const OPENINGS: [&str; 6] = [
    "Once upon a time there was a little {c} named {N}. {H} lived in a small house near the {P}.",
    "There was once a {c} called {N}, who lived near the {P} and was very {a}.",
    "This is a story about {N}. Every day {h} went to the {P}.",
    "One morning {N} woke up early and walked to the {P}.",
    "It was a cold day, and {N} was alone in the {P}.",
    "Once upon a time {N} had a {O}. It was {p} best {O}.",
];

const EVENTS: [&str; 8] = [
    "One day {h} found a {O} under a tree.",
    "On the way {h} saw a {n} and gave it some food.",
    "A {n} came by and asked for help, so {N} helped the {n}.",
    "{H} looked for {p} {O}, but {h} could not find it.",
    "Then it began to rain, and {N} ran home with {p} {O}.",
    "{H} wanted to buy a {O}, but it was very expensive.",
    "Then {h} sat down and played with the {O} for a long time.",
    "The {n} took the {O} and ran away, and {N} ran after the {n}.",
];

const ENDINGS: [&str; 6] = [
    "In the end {N} was very {a} and went to sleep.",
    "{H} told {p} mother about the {n}, and they laughed.",
    "From that day on, {N} and the {n} were friends.",
    "{H} went home and slept until the next morning.",
    "{N} never forgot the {O}.",
    "And that was the end of a good day.",
];

const DIALOGUES: [&str; 4] = [
    "{A} and {B} were friends. \"Where is the {O}?\" asked {A}. \"It is in the {P},\" said {B}. So {A} and {B} went to the {P}.",
    "{A} met {B} in the {P}. \"Do you like my {O}?\" asked {A}. \"Yes, I like your {O},\" said {B}.",
    "\"I am {a},\" said {A}. \"Then come with me to the {P},\" said {B}. They took a {O} and walked to the {P}.",
    "Every summer {A} visited {B}. They cooked, they sang, and {B} showed {A} the {P}.",
];

/// A story about one person, or now and then a talk between two of `givers`.
pub(super) fn document(givers: &[&'static str], rng: &mut Rng) -> String {
    let (place, object, adjective) = (rng.pick(&PLACES), rng.pick(&OBJECTS), rng.pick(&ADJECTIVES));
    if rng.percent(30) {
        let (first, second) = rng.pick_two(givers);
        let values = [('A', first), ('B', second), ('O', object), ('P', place), ('a', adjective)];
        return fill(rng.pick(&DIALOGUES), &values);
    }
    let everybody = people();
    let person = rng.pick(&everybody);
    let capitalised = if person.subject == "she" { "She" } else { "He" };
    let values = [
        ('N', person.name),
        ('h', person.subject),
        ('H', capitalised),
        ('p', person.possessive),
        ('c', person.child),
        ('n', rng.pick(&ANIMATE_NOUNS).singular),
        ('P', place),
        ('O', object),
        ('a', adjective),
    ];
    let mut sentences = vec![fill(rng.pick(&OPENINGS), &values)];
    let (first, second) = rng.pick_two(&EVENTS);
    sentences.push(fill(first, &values));
    if rng.percent(50) {
        sentences.push(fill(second, &values));
    }
    sentences.push(fill(rng.pick(&ENDINGS), &values));
    sentences.join(" ")
}
