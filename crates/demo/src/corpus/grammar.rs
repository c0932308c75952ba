//! Agreement: verbs with their subjects across a distracting noun, pronouns with the people they stand for.

use super::fill;
use crate::{
    lexicon::{ADJECTIVES, ANIMATE_NOUNS, NOUNS, OBJECTS, PLACES, Person, people},
    rng::Rng,
    split::agreement_is_held_out,
};

/// What stands between the subject and its verb.
pub const PREPOSITIONS: [&str; 4] = ["near", "behind", "beside", "with"];

/// The first word of a sentence with the `(singular, plural)` forms of the verb that it asks for.
pub const VERBS: [(&str, (&str, &str)); 4] = [
    ("Today", ("is", "are")),
    ("Yesterday", ("was", "were")),
    ("Now", ("has", "have")),
    ("Often", ("likes", "like")),
];

/// Templates that a pronoun completes: `{N}` is a name; the pronoun's case is the second field.
pub const PRONOUN_TEMPLATES: [(&str, Case); 6] = [
    ("Today {N} said that", Case::Subject),
    ("When {N} came home,", Case::Subject),
    ("Everyone knows that {N} likes", Case::Possessive),
    ("In the evening {N} played with", Case::Possessive),
    ("It was cold, and {N} wanted", Case::Possessive),
    ("We saw {N} and talked to", Case::Object),
];

/// The case of a pronoun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `she`, `he`
    Subject,
    /// `her`, `him`
    Object,
    /// `her`, `his`
    Possessive,
}

impl Case {
    /// The pronoun that stands for `person` in this case.
    pub const fn of(self, person: &Person) -> &'static str {
        match self {
            Self::Subject => person.subject,
            Self::Object => person.object,
            Self::Possessive => person.possessive,
        }
    }
}

/// The subject with a distractor of the other number: the prompt that a verb of [`VERBS`] completes, `first` its first word.
pub fn agreement_prompt(
    first: &str,
    subject: usize,
    distractor: usize,
    preposition: &str,
    plural: bool,
) -> String {
    let (subject, distractor) = (ANIMATE_NOUNS[subject], NOUNS[distractor]);
    let (subject, distractor) =
        if plural { (subject.plural, distractor.singular) } else { (subject.singular, distractor.plural) };
    format!("{first} the {subject} {preposition} the {distractor}")
}

fn agreement(rng: &mut Rng) -> String {
    let subject = rng.below(ANIMATE_NOUNS.len());
    let mut distractor = rng.below(NOUNS.len());
    if agreement_is_held_out(subject, distractor) {
        distractor = (distractor + 1) % NOUNS.len();
    }
    let plural = rng.percent(50);
    let (first, (singular_verb, plural_verb)) = rng.pick(&VERBS);
    let verb = if plural { plural_verb } else { singular_verb };
    let start = if rng.percent(70) {
        agreement_prompt(first, subject, distractor, rng.pick(&PREPOSITIONS), plural)
    } else {
        let noun = ANIMATE_NOUNS[subject];
        format!("{first} the {}", if plural { noun.plural } else { noun.singular })
    };
    let rest = match verb {
        "is" | "are" | "was" | "were" => rng.pick(&ADJECTIVES).to_owned(),
        "has" | "have" => format!("a {}", rng.pick(&OBJECTS)),
        _ => format!("the {}", rng.pick(&PLACES)),
    };
    format!("{start} {verb} {rest}.")
}

fn pronoun(rng: &mut Rng) -> String {
    let everybody = people();
    let person = rng.pick(&everybody);
    let (template, case) = rng.pick(&PRONOUN_TEMPLATES);
    let start = fill(template, &[('N', person.name)]);
    let pronoun = case.of(&person);
    match case {
        Case::Subject => format!("{start} {pronoun} was {}.", rng.pick(&ADJECTIVES)),
        Case::Object => format!("{start} {pronoun}."),
        Case::Possessive => format!("{start} {pronoun} {}.", rng.pick(&OBJECTS)),
    }
}

/// Two to four sentences about unrelated subjects.
pub(super) fn document(rng: &mut Rng) -> String {
    let sentences: Vec<String> =
        (0..rng.between(2, 4)).map(|_| if rng.percent(65) { agreement(rng) } else { pronoun(rng) }).collect();
    sentences.join(" ")
}
