//! What the corpus promises: the same text everywhere, and nothing of what is held out.

use std::collections::HashSet;

use pellucid_demo::{
    HeldOut, Skill,
    corpus::{Corpus, Kind, Mix, facts::Relation, indirect_object, lists},
    evaluation,
    lexicon::{ANTONYMS, COUNTRIES, LANDMARKS, people},
    split::fact_is_held_out,
};
use proptest::prelude::*;

fn documents(kind: Kind, count: u64) -> Vec<String> {
    let corpus = Corpus::new(11, Mix::default());
    (0..count).map(|index| corpus.document_of(kind, index).text).collect()
}

#[test]
fn no_held_out_fact_is_ever_written() {
    let held_out: Vec<String> = evaluation()
        .into_iter()
        .filter(|probe| matches!(probe.skill, Skill::Fact(_)) && probe.held_out.is_held_out())
        .map(|probe| format!("{}{}", probe.prompt, probe.answer))
        .collect();
    assert!(held_out.len() > 150, "{}", held_out.len());
    // Sentences start a document or follow a full stop, so that a held-out sentence is found whole.
    let sentences: HashSet<String> = documents(Kind::Facts, 20_000)
        .iter()
        .flat_map(|text| text.split('.').map(|sentence| sentence.trim().to_owned()).collect::<Vec<_>>())
        .collect();
    for prompt in &held_out {
        assert!(!sentences.contains(prompt), "{prompt}");
    }
}

#[test]
fn every_subject_keeps_most_of_its_templates() {
    for relation in Relation::ALL {
        let templates = relation.templates().len();
        for subject in 0..relation.n_subjects() {
            let kept = (0..templates)
                .filter(|template| !fact_is_held_out(relation as usize, subject, *template))
                .count();
            assert!(kept + 2 >= templates && kept >= 1, "{relation:?} {subject}: {kept} of {templates}");
        }
    }
}

#[test]
fn held_out_names_never_give_or_receive() {
    let hidden = indirect_object::names(true);
    assert_eq!((hidden.len(), indirect_object::names(false).len()), (16, 64));
    for text in documents(Kind::IndirectObject, 5_000) {
        assert!(!hidden.iter().any(|name| text.contains(name)), "{text}");
    }
}

#[test]
fn held_out_names_are_seen_alone_and_never_with_a_second_person() {
    let hidden = indirect_object::names(true);
    let everybody = people();
    let mut seen = HashSet::new();
    for text in documents(Kind::Stories, 5_000) {
        let words: HashSet<&str> = text.split(|letter: char| !letter.is_alphabetic()).collect();
        let present: Vec<&str> =
            everybody.iter().map(|person| person.name).filter(|name| words.contains(name)).collect();
        if present.iter().any(|name| hidden.contains(name)) {
            assert_eq!(present.len(), 1, "{text}");
            seen.extend(present);
        }
    }
    assert_eq!(seen.len(), hidden.len());
}

#[test]
fn held_out_templates_are_no_training_templates() {
    let (usual, unusual) = (indirect_object::templates(false), indirect_object::templates(true));
    assert!(unusual.len() > 50 && unusual.iter().all(|template| !usual.contains(template)));
}

#[test]
fn held_out_pairs_are_in_plain_sentences_and_in_no_list() {
    let lists = documents(Kind::Lists, 20_000);
    let hidden = lists::tasks()
        .into_iter()
        .find(|task| task.name == "antonym")
        .map(|task| task.pairs_where(true))
        .unwrap_or_default();
    assert_eq!(hidden.len(), 20);
    let plain = documents(Kind::PlainPairs, 20_000).join(" ");
    for (word, opposite) in hidden {
        for mark in ["->", "\nA:", " Output:", " :"] {
            let pair = format!("{word}{mark} {opposite}");
            assert!(!lists.iter().any(|list| list.contains(&pair)), "{pair}");
        }
        assert!(plain.contains(&format!("The opposite of {word} is {opposite}.")), "{word}");
    }
}

#[test]
fn every_word_has_one_opposite() {
    let words: HashSet<&str> = ANTONYMS.iter().flat_map(|(a, b)| [*a, *b]).collect();
    assert_eq!(words.len(), 2 * ANTONYMS.len());
}

#[test]
fn no_landmark_names_its_own_city() {
    for landmark in &LANDMARKS {
        assert!(!landmark.name.split(' ').any(|word| word == landmark.city), "{landmark:?}");
    }
    let capitals: HashSet<&str> = COUNTRIES.iter().map(|country| country.capital).collect();
    assert_eq!(capitals.len(), COUNTRIES.len());
}

#[test]
fn probes_ask_for_something_other_than_their_distractor() {
    for probe in evaluation() {
        assert_ne!(probe.answer, probe.distractor, "{probe:?}");
        assert!(probe.answer.starts_with(' ') && !probe.prompt.ends_with(' '), "{probe:?}");
    }
}

#[test]
fn every_held_out_set_is_asked_about() {
    let asked: HashSet<HeldOut> = evaluation().iter().map(|probe| probe.held_out).collect();
    for held_out in [HeldOut::Nothing, HeldOut::Names, HeldOut::Template, HeldOut::Pairing, HeldOut::Sequence]
    {
        assert!(asked.contains(&held_out), "{held_out:?}");
    }
}

proptest! {
    #[test]
    fn a_document_depends_on_seed_and_index_alone(seed: u64, index: u64) {
        let (one, other) = (Corpus::new(seed, Mix::default()), Corpus::new(seed, Mix::default()));
        one.document(index.wrapping_add(1));
        prop_assert_eq!(one.document(index), other.document(index));
    }

    #[test]
    fn no_placeholder_is_left_in_the_text(index: u64) {
        let text = Corpus::new(3, Mix::default()).document(index).text;
        prop_assert!(!text.contains(['{', '}']), "{}", text);
    }
}
