//! The words the corpus is made of.
//!
//! The lexicon is closed and small on purpose: with about a thousand words a model of a million and a half parameters has
//! room to learn what is said about them.

mod people;
mod things;
mod world;

pub use people::{FEMALE_NAMES, MALE_NAMES, Person, people};
pub use things::{
    ADJECTIVES, ANIMATE_NOUNS, ANTONYMS, NOUNS, Noun, OBJECTS, PAST_TENSES, PLACES, all_words, answer_words,
};
pub use world::{COUNTRIES, Country, LANDMARKS, Landmark};
