//! The training text: short documents of seven kinds, each drawn from its own random stream.

pub mod copying;
pub mod facts;
pub mod grammar;
pub mod indirect_object;
pub mod lists;
pub mod plain_pairs;
pub mod stories;

use crate::rng::Rng;

/// A kind of document; each teaches one skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sentences about landmarks, capitals and languages.
    Facts,
    /// Two people, one of whom gives the other something.
    IndirectObject,
    /// In-context lists of pairs.
    Lists,
    /// Antonyms, plurals and past tenses in plain sentences.
    PlainPairs,
    /// Random words, repeated.
    Copying,
    /// Agreement of verbs and pronouns.
    Grammar,
    /// Little stories.
    Stories,
}

/// How often each kind of document is drawn, as relative weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Weight of [`Kind::Facts`].
    pub facts: u32,
    /// Weight of [`Kind::IndirectObject`].
    pub indirect_object: u32,
    /// Weight of [`Kind::Lists`].
    pub lists: u32,
    /// Weight of [`Kind::PlainPairs`].
    pub plain_pairs: u32,
    /// Weight of [`Kind::Copying`].
    pub copying: u32,
    /// Weight of [`Kind::Grammar`].
    pub grammar: u32,
    /// Weight of [`Kind::Stories`].
    pub stories: u32,
}

impl Mix {
    const fn weights(&self) -> [(Kind, u32); 7] {
        [
            (Kind::Facts, self.facts),
            (Kind::IndirectObject, self.indirect_object),
            (Kind::Lists, self.lists),
            (Kind::PlainPairs, self.plain_pairs),
            (Kind::Copying, self.copying),
            (Kind::Grammar, self.grammar),
            (Kind::Stories, self.stories),
        ]
    }

    fn draw(&self, rng: &mut Rng) -> Kind {
        let weights = self.weights();
        let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.below(total as usize) as u32;
        for (kind, weight) in weights {
            if left < weight {
                return kind;
            }
            left -= weight;
        }
        // Only reached when every weight is zero.
        Kind::Stories
    }
}

impl Default for Mix {
    /// The mix of the shipped model.
    fn default() -> Self {
        Self {
            facts: 24,
            indirect_object: 30,
            lists: 12,
            plain_pairs: 9,
            copying: 10,
            grammar: 8,
            stories: 7,
        }
    }
}

/// One document of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it teaches.
    pub kind: Kind,
    /// Its text, without the end-of-text token.
    pub text: String,
}

/// The endless, seeded corpus: document `n` is a function of the seed and `n` alone.
///
/// ```
/// use pellucid_demo::corpus::{Corpus, Mix};
///
/// let corpus = Corpus::new(7, Mix::default());
/// assert_eq!(corpus.document(1000), corpus.document(1000));
/// assert_ne!(corpus.document(1000).text, corpus.document(1001).text);
/// ```
#[derive(Debug, Clone)]
pub struct Corpus {
    seed: u64,
    mix: Mix,
    writers: Writers,
}

impl Corpus {
    /// The corpus of this seed and mix.
    pub fn new(seed: u64, mix: Mix) -> Self {
        Self { seed, mix, writers: Writers::new() }
    }

    /// Document `index`.
    pub fn document(&self, index: u64) -> Document {
        let mut rng = Rng::new(self.seed, index);
        let kind = self.mix.draw(&mut rng);
        Document { kind, text: self.writers.write(kind, &mut rng) }
    }

    /// A document of one kind, from stream `index` of that kind's own numbering.
    pub fn document_of(&self, kind: Kind, index: u64) -> Document {
        let mut rng = Rng::new(self.seed ^ 0x5eed, index);
        Document { kind, text: self.writers.write(kind, &mut rng) }
    }
}

/// What the writers of the kinds need at hand, built once.
#[derive(Debug, Clone)]
struct Writers {
    givers: Vec<&'static str>,
    scenes: Vec<String>,
    pools: Vec<Vec<&'static str>>,
    tasks: Vec<lists::Task>,
}

impl Writers {
    fn new() -> Self {
        Self {
            givers: indirect_object::names(false),
            scenes: indirect_object::templates(false),
            pools: copying::pools(),
            tasks: lists::tasks(),
        }
    }

    fn write(&self, kind: Kind, rng: &mut Rng) -> String {
        match kind {
            Kind::Facts => facts::document(rng),
            Kind::IndirectObject => indirect_object::document(&self.givers, &self.scenes, rng),
            Kind::Lists => lists::document(&self.tasks, rng),
            Kind::PlainPairs => plain_pairs::document(rng),
            Kind::Copying => copying::document(&self.pools, rng),
            Kind::Grammar => grammar::document(rng),
            Kind::Stories => stories::document(&self.givers, rng),
        }
    }
}

/// Replaces each `{key}` of `template` by its value.
pub(crate) fn fill(template: &str, values: &[(char, &str)]) -> String {
    let mut filled = String::with_capacity(template.len() + 24);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let key = after.chars().next();
        let value = values.iter().find(|(name, _)| Some(*name) == key).map_or("", |(_, value)| *value);
        filled.push_str(value);
        rest = after.split_once('}').map_or("", |(_, tail)| tail);
    }
    filled.push_str(rest);
    filled
}
