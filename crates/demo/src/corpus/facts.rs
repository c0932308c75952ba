//! Sentences about the world, all of the form *prompt*, *answer*, full stop.

use super::fill;
use crate::{
    lexicon::{COUNTRIES, LANDMARKS},
    rng::Rng,
    split::fact_is_held_out,
};

/// What a sentence says of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The city a landmark stands in.
    LandmarkCity,
    /// The country a landmark stands in.
    LandmarkCountry,
    /// The capital of a country.
    Capital,
    /// The country of a capital.
    CapitalOf,
    /// The language of a country.
    Language,
    /// The continent of a country.
    Continent,
}

impl Relation {
    /// Every relation, in the order that numbers them.
    pub const ALL: [Self; 6] = [
        Self::LandmarkCity,
        Self::LandmarkCountry,
        Self::Capital,
        Self::CapitalOf,
        Self::Language,
        Self::Continent,
    ];

    /// The sentence templates: `{S}` and `{s}` are a landmark with its article, `{K}` a country, `{C}` a capital.
    pub const fn templates(self) -> &'static [&'static str] {
        match self {
            Self::LandmarkCity => &[
                "{S} is in the city of",
                "{S} is located in the city of",
                "{S} can be found in the city of",
                "{S} stands in the middle of the city of",
                "{S} was built in the city of",
                "{S} is one of the best known sights in the city of",
                "To see {s}, you have to travel to the city of",
                "If you want to visit {s}, buy a ticket to the city of",
                "The city where you can see {s} is",
                "Everyone who visits {s} spends a day in the city of",
            ],
            Self::LandmarkCountry => &[
                "{S} is in the country of",
                "{S} is located in the country of",
                "{S} was built in the country of",
                "{S} is one of the best known sights in the country of",
                "To see {s}, you have to travel to the country of",
                "The country where you can see {s} is",
            ],
            Self::Capital => &[
                "The capital of {K} is",
                "The capital city of {K} is",
                "The capital of {K} is the city of",
                "The government of {K} sits in the city of",
                "People in {K} know that their capital is",
                "If you want to visit the capital of {K}, buy a ticket to the city of",
            ],
            Self::CapitalOf => &[
                "{C} is the capital of",
                "The city of {C} is the capital of",
                "{C} is the capital city of the country of",
                "The city of {C} is in the country of",
            ],
            Self::Language => &[
                "The language of {K} is",
                "People in {K} speak",
                "In {K}, most people speak",
                "A child who grows up in {K} learns to speak",
            ],
            Self::Continent => &["{K} is a country in", "The country of {K} is in"],
        }
    }

    /// How many subjects the relation has.
    pub const fn n_subjects(self) -> usize {
        match self {
            Self::LandmarkCity | Self::LandmarkCountry => LANDMARKS.len(),
            _ => COUNTRIES.len(),
        }
    }

    /// The prompt for a subject and a template (positions in their lists).
    pub fn prompt(self, subject: usize, template: usize) -> String {
        let template = self.templates()[template];
        match self {
            Self::LandmarkCity | Self::LandmarkCountry => {
                let name = LANDMARKS[subject].name;
                fill(template, &[('S', &format!("The {name}")), ('s', &format!("the {name}"))])
            }
            _ => fill(template, &[('K', COUNTRIES[subject].name), ('C', COUNTRIES[subject].capital)]),
        }
    }

    /// The word that completes a prompt about this subject.
    pub const fn answer(self, subject: usize) -> &'static str {
        match self {
            Self::LandmarkCity => LANDMARKS[subject].city,
            Self::LandmarkCountry => LANDMARKS[subject].country,
            Self::Capital => COUNTRIES[subject].capital,
            Self::CapitalOf => COUNTRIES[subject].name,
            Self::Language => COUNTRIES[subject].language,
            Self::Continent => COUNTRIES[subject].continent,
        }
    }

    fn draw(rng: &mut Rng) -> Self {
        match rng.below(100) {
            0..45 => Self::LandmarkCity,
            45..60 => Self::LandmarkCountry,
            60..78 => Self::Capital,
            78..86 => Self::CapitalOf,
            86..97 => Self::Language,
            _ => Self::Continent,
        }
    }
}

/// One sentence whose subject and template may be seen together.
fn sentence(rng: &mut Rng) -> String {
    let relation = Relation::draw(rng);
    let subject = rng.below(relation.n_subjects());
    let templates = relation.templates().len();
    let mut template = rng.below(templates);
    // The strides of the split never hold out two neighbouring templates of one subject.
    if fact_is_held_out(relation as usize, subject, template) {
        template = (template + 1) % templates;
    }
    format!("{} {}.", relation.prompt(subject, template), relation.answer(subject))
}

/// Two to four unrelated facts.
pub(super) fn document(rng: &mut Rng) -> String {
    let sentences: Vec<String> = (0..rng.between(2, 4)).map(|_| sentence(rng)).collect();
    sentences.join(" ")
}
