//! The questions that the model card's accuracies are measured on.

use crate::{
    corpus::{
        copying,
        facts::Relation,
        grammar,
        indirect_object::{self, Scene},
        lists::{self, Form},
        plain_pairs,
    },
    lexicon::{ANIMATE_NOUNS, ANTONYMS, COUNTRIES, NOUNS, OBJECTS, PLACES, people},
    rng::Rng,
    split::{HeldOut, agreement_is_held_out, fact_is_held_out},
};

/// The seed of every random choice of the evaluation; training never uses it.
const SEED: u64 = 0x0b5e_55ed;

/// What a probe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skill {
    /// A fact in a plain sentence.
    Fact(Relation),
    /// The indirect object of a giving.
    IndirectObject,
    /// The next pair of an in-context list; the task's name.
    List(&'static str),
    /// The opposite of a word, in a plain sentence.
    Antonym,
    /// The next word of a repeated random sequence.
    Copying,
    /// The number of a verb across a distracting noun.
    Agreement,
    /// The pronoun for a name.
    Pronoun,
}

impl Skill {
    /// The skill's name in files and tables.
    pub fn name(self) -> String {
        match self {
            Self::Fact(Relation::LandmarkCity) => "fact: landmark, city".to_owned(),
            Self::Fact(Relation::LandmarkCountry) => "fact: landmark, country".to_owned(),
            Self::Fact(Relation::Capital) => "fact: capital of country".to_owned(),
            Self::Fact(Relation::CapitalOf) => "fact: country of capital".to_owned(),
            Self::Fact(Relation::Language) => "fact: language".to_owned(),
            Self::Fact(Relation::Continent) => "fact: continent".to_owned(),
            Self::IndirectObject => "indirect object".to_owned(),
            Self::List(task) => format!("in-context {task}"),
            Self::Antonym => "antonym, plain".to_owned(),
            Self::Copying => "copying".to_owned(),
            Self::Agreement => "agreement".to_owned(),
            Self::Pronoun => "pronoun".to_owned(),
        }
    }
}

/// A prompt with the one token that should follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked for.
    pub skill: Skill,
    /// The text before the answer, without a trailing space.
    pub prompt: String,
    /// The right next token, with its leading space.
    pub answer: String,
    /// A wrong token of the same sort, for logit differences.
    pub distractor: String,
    /// What the training text never held.
    pub held_out: HeldOut,
}

fn probe(skill: Skill, prompt: String, answer: &str, distractor: &str, held_out: HeldOut) -> Probe {
    Probe { skill, prompt, answer: format!(" {answer}"), distractor: format!(" {distractor}"), held_out }
}

/// Every probe, in a fixed order.
///
/// ```
/// let probes = pellucid_demo::evaluation();
/// let eiffel = probes.iter().find(|probe| probe.prompt == "The Eiffel Tower is in the city of").unwrap();
/// assert_eq!(eiffel.answer, " Paris");
/// ```
pub fn evaluation() -> Vec<Probe> {
    let mut probes = Vec::new();
    for relation in Relation::ALL {
        facts(relation, &mut probes);
    }
    indirect_objects(&mut probes);
    in_context(&mut probes);
    antonyms(&mut probes);
    copies(&mut probes);
    agreement(&mut probes);
    pronouns(&mut probes);
    probes
}

fn facts(relation: Relation, probes: &mut Vec<Probe>) {
    let mut rng = Rng::new(SEED, relation as u64);
    for subject in 0..relation.n_subjects() {
        let answer = relation.answer(subject);
        for template in 0..relation.templates().len() {
            let mut distractor = answer;
            while distractor == answer {
                distractor = relation.answer(rng.below(relation.n_subjects()));
            }
            let held_out = if fact_is_held_out(relation as usize, subject, template) {
                HeldOut::Pairing
            } else {
                HeldOut::Nothing
            };
            let prompt = relation.prompt(subject, template);
            probes.push(probe(Skill::Fact(relation), prompt, answer, distractor, held_out));
        }
    }
}

fn indirect_objects(probes: &mut Vec<Probe>) {
    let mut rng = Rng::new(SEED, 100);
    let (known, unknown) = (indirect_object::names(false), indirect_object::names(true));
    let (usual, unusual) = (indirect_object::templates(false), indirect_object::templates(true));
    let groups = [
        (&known, &usual, HeldOut::Nothing),
        (&unknown, &usual, HeldOut::Names),
        (&known, &unusual, HeldOut::Template),
    ];
    for (names, templates, held_out) in groups {
        for _ in 0..200 {
            let scene = Scene::draw(names, &mut rng);
            let prompt = scene.prompt(&templates[rng.below(templates.len())]);
            probes.push(probe(Skill::IndirectObject, prompt, scene.receiver, scene.giver, held_out));
        }
    }
}

fn in_context(probes: &mut Vec<Probe>) {
    let mut rng = Rng::new(SEED, 200);
    for task in lists::tasks() {
        let (shown, hidden) = (task.pairs_where(false), task.pairs_where(true));
        for form in Form::ALL {
            for (asked, held_out) in [(&shown, HeldOut::Nothing), (&hidden, HeldOut::Pairing)] {
                for _ in 0..16 {
                    let (question, answer) = rng.pick(asked);
                    let mut context = shown.clone();
                    context.retain(|pair| pair.0 != question && pair.1 != answer);
                    rng.shuffle(&mut context);
                    context.truncate(5);
                    let prompt = form.prompt(&context, question);
                    probes.push(probe(Skill::List(task.name), prompt, answer, context[4].1, held_out));
                }
            }
        }
    }
}

fn antonyms(probes: &mut Vec<Probe>) {
    let mut rng = Rng::new(SEED, 300);
    for (word, opposite) in ANTONYMS {
        for (a, b) in [(word, opposite), (opposite, word)] {
            for template in &plain_pairs::ANTONYM_TEMPLATES[..2] {
                let sentence = template.replace("{a}", a);
                let prompt = sentence.split(" {b}").next().unwrap_or_default().to_owned();
                let mut distractor = b;
                while distractor == b {
                    distractor = rng.pick(&ANTONYMS).1;
                }
                probes.push(probe(Skill::Antonym, prompt, b, distractor, HeldOut::Nothing));
            }
        }
    }
}

fn copies(probes: &mut Vec<Probe>) {
    let mut rng = Rng::new(SEED, 400);
    let mut words: Vec<&str> = people().iter().map(|person| person.name).collect();
    words.extend(OBJECTS);
    words.extend(PLACES);
    words.extend(COUNTRIES.iter().map(|country| country.capital));
    for _ in 0..200 {
        rng.shuffle(&mut words);
        let sequence = &words[..16];
        let known = rng.between(2, 15);
        let mut prompt = String::new();
        for word in sequence.iter().chain(&sequence[..known]) {
            prompt.push(' ');
            prompt.push_str(word);
        }
        probes.push(probe(Skill::Copying, prompt, sequence[known], sequence[known - 2], HeldOut::Sequence));
    }
    // The corpus's own generator writes the same kind of text; naming it here ties the two together.
    debug_assert!(copying::sequence(&["word"], 1, false, &mut rng).starts_with(' '));
}

fn agreement(probes: &mut Vec<Probe>) {
    let mut rng = Rng::new(SEED, 500);
    let mut left = [120, 120];
    while left.iter().any(|count| *count > 0) {
        let (subject, distractor) = (rng.below(ANIMATE_NOUNS.len()), rng.below(NOUNS.len()));
        let hidden = agreement_is_held_out(subject, distractor);
        let plural = rng.percent(50);
        let preposition = rng.pick(&grammar::PREPOSITIONS);
        if left[usize::from(hidden)] == 0 {
            continue;
        }
        left[usize::from(hidden)] -= 1;
        let (first, (singular, several)) = rng.pick(&grammar::VERBS);
        let prompt = grammar::agreement_prompt(first, subject, distractor, preposition, plural);
        let (answer, wrong) = if plural { (several, singular) } else { (singular, several) };
        let held_out = if hidden { HeldOut::Pairing } else { HeldOut::Nothing };
        probes.push(probe(Skill::Agreement, prompt, answer, wrong, held_out));
    }
}

fn pronouns(probes: &mut Vec<Probe>) {
    let everybody = people();
    for (position, person) in everybody.iter().enumerate() {
        let (template, case) = &grammar::PRONOUN_TEMPLATES[position % grammar::PRONOUN_TEMPLATES.len()];
        let other = &everybody[(position + everybody.len() / 2) % everybody.len()];
        let prompt = template.replace("{N}", person.name);
        probes.push(probe(Skill::Pronoun, prompt, case.of(person), case.of(other), HeldOut::Nothing));
    }
}
