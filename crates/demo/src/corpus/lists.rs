//! In-context lists: pairs of one task, one after another, in the forms used to study in-context learning.

use crate::{
    lexicon::{ANIMATE_NOUNS, ANTONYMS, COUNTRIES, NOUNS, PAST_TENSES},
    rng::Rng,
    split::list_item_is_held_out,
};

/// A task and its pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name, as in tables of results.
    pub name: &'static str,
    /// `(question, answer)` pairs, one word each.
    pub pairs: Vec<(&'static str, &'static str)>,
}

impl Task {
    /// The pairs that lists may show (`held_out` false) or never show (true).
    pub fn pairs_where(&self, held_out: bool) -> Vec<(&'static str, &'static str)> {
        let kept = |(position, _): &(usize, _)| list_item_is_held_out(*position) == held_out;
        self.pairs.iter().enumerate().filter(kept).map(|(_, pair)| *pair).collect()
    }
}

/// Every task. The last repeats its question, so that the task can be known only from the list itself.
pub fn tasks() -> Vec<Task> {
    let task = |name, pairs| Task { name, pairs };
    let nouns = || ANIMATE_NOUNS.iter().chain(&NOUNS);
    vec![
        // Both directions of a pair stand at positions of one residue, so they are held out together.
        task("antonym", ANTONYMS.iter().copied().chain(ANTONYMS.iter().map(|(a, b)| (*b, *a))).collect()),
        task("capital", COUNTRIES.iter().map(|country| (country.name, country.capital)).collect()),
        task("country", COUNTRIES.iter().map(|country| (country.capital, country.name)).collect()),
        task("language", COUNTRIES.iter().map(|country| (country.name, country.language)).collect()),
        task("plural", nouns().map(|noun| (noun.singular, noun.plural)).collect()),
        task("past", PAST_TENSES.to_vec()),
        task(
            "same",
            COUNTRIES
                .iter()
                .map(|country| country.name)
                .chain(ANTONYMS.iter().flat_map(|(a, b)| [*a, *b]))
                .chain(nouns().map(|noun| noun.singular))
                .chain(PAST_TENSES.iter().map(|(verb, _)| *verb))
                .map(|word| (word, word))
                .collect(),
        ),
    ]
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `hot -> cold, tall -> short`
    Arrow,
    /// `Q: hot\nA: cold\n\nQ: tall\nA: short`
    QuestionAnswer,
    /// `Input: hot Output: cold\nInput: tall Output: short`
    InputOutput,
    /// `word hot : cold ; tall : short`
    Colon,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Arrow, Self::QuestionAnswer, Self::InputOutput, Self::Colon];

    /// A list of whole pairs followed by a question: the prompt that the question's answer completes.
    pub fn prompt(self, shown: &[(&str, &str)], question: &str) -> String {
        let (before, between, after) = match self {
            Self::Arrow => ("", " ->", ", "),
            Self::QuestionAnswer => ("Q: ", "\nA:", "\n\n"),
            Self::InputOutput => ("Input: ", " Output:", "\n"),
            Self::Colon => ("", " :", " ; "),
        };
        let mut text = String::new();
        if self == Self::Colon {
            text.push_str("words: ");
        }
        for (question, answer) in shown {
            text.push_str(&format!("{before}{question}{between} {answer}{after}"));
        }
        text.push_str(&format!("{before}{question}{between}"));
        text
    }
}

/// A list of three to seven different pairs of one task.
pub(super) fn document(tasks: &[Task], rng: &mut Rng) -> String {
    // Antonyms and capitals are the ones people ask about.
    let task = match rng.below(10) {
        0..3 => &tasks[0],
        3..5 => &tasks[1],
        _ => &tasks[rng.below(tasks.len())],
    };
    let mut pairs = task.pairs_where(false);
    rng.shuffle(&mut pairs);
    let length = rng.between(3, 7);
    let (question, answer) = pairs[length - 1];
    format!("{} {answer}", rng.pick(&Form::ALL).prompt(&pairs[..length - 1], question))
}
