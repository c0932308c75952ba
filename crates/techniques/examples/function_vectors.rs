//! Function vectors: can a task shown by examples be taken out of the prompt as one vector and put elsewhere?
//!
//! Asked in the form of a list, this model answers antonyms without examples, since a word that has an opposite stands in no
//! other kind of list. So the vector of antonyms is tried where nothing asks for an opposite: after a row of words. Countries
//! stand in lists of capitals and in lists of languages, and only the examples tell which.
//!
//! `cargo run --release -p pellucid-techniques --example function_vectors -- [PICTURE]`
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

mod picture;

use std::error::Error;

use pellucid::Model;
use pellucid_techniques::plot::{Panels, Scale};
use pellucid_techniques::{InContext, Prediction, accuracy, function_vector, mean_probability, predictions};

/// Country, capital, language. The first half makes the vectors, the second is asked about.
const COUNTRIES: [[&str; 3]; 24] = [
    ["France", "Paris", "French"],
    ["Italy", "Rome", "Italian"],
    ["Spain", "Madrid", "Spanish"],
    ["Germany", "Berlin", "German"],
    ["England", "London", "English"],
    ["Portugal", "Lisbon", "Portuguese"],
    ["Greece", "Athens", "Greek"],
    ["Poland", "Warsaw", "Polish"],
    ["Hungary", "Budapest", "Hungarian"],
    ["Sweden", "Stockholm", "Swedish"],
    ["Norway", "Oslo", "Norwegian"],
    ["Finland", "Helsinki", "Finnish"],
    ["Denmark", "Copenhagen", "Danish"],
    ["Croatia", "Zagreb", "Croatian"],
    ["Serbia", "Belgrade", "Serbian"],
    ["Romania", "Bucharest", "Romanian"],
    ["Russia", "Moscow", "Russian"],
    ["Turkey", "Ankara", "Turkish"],
    ["Japan", "Tokyo", "Japanese"],
    ["China", "Beijing", "Chinese"],
    ["Thailand", "Bangkok", "Thai"],
    ["Vietnam", "Hanoi", "Vietnamese"],
    ["Korea", "Seoul", "Korean"],
    ["Iran", "Tehran", "Persian"],
];
/// The first sixteen make the vector, the others are asked about.
const ANTONYMS: [(&str, &str); 28] = [
    ("hot", "cold"),
    ("big", "small"),
    ("tall", "short"),
    ("fast", "slow"),
    ("happy", "sad"),
    ("old", "young"),
    ("rich", "poor"),
    ("hard", "soft"),
    ("light", "dark"),
    ("wet", "dry"),
    ("clean", "dirty"),
    ("full", "empty"),
    ("open", "closed"),
    ("early", "late"),
    ("high", "low"),
    ("near", "far"),
    ("strong", "weak"),
    ("thick", "thin"),
    ("wide", "narrow"),
    ("deep", "shallow"),
    ("loud", "quiet"),
    ("good", "bad"),
    ("black", "white"),
    ("kind", "cruel"),
    ("brave", "timid"),
    ("polite", "rude"),
    ("safe", "dangerous"),
    ("cheap", "expensive"),
];
const STRENGTH: f32 = 3.0;

fn question(word: &str) -> String {
    format!("Q: {word}\nA:")
}

fn told(predictions: &[Prediction]) -> String {
    format!("{:.3} ({:.0} % first)", mean_probability(predictions), 100.0 * accuracy(predictions))
}

/// Antonyms, put after a row of words that asks for nothing.
fn antonyms(model: &Model) -> Result<(), Box<dyn Error>> {
    let row = |word: &str| format!("cup, tree, road, {word},");
    let (shown, asked) = ANTONYMS.split_at(16);
    let examples: Vec<InContext> = shown
        .iter()
        .enumerate()
        .map(|(i, (word, opposite))| {
            let pairs = [3, 7, 10, 5].map(|k| shown[(i + k) % shown.len()]);
            InContext { other: row(word), ..InContext::arrows(&pairs, &[], word, opposite) }
        })
        .collect();
    let vector = function_vector(model, &examples, 2)?;
    let after_row = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(word, opposite)| (row(word), format!(" {opposite}"))).collect()
    };
    let (layer, _) = vector.best_layer(model, &after_row(shown), 2.0)?;
    let with_vector = vector.apply(model, layer, 2.0)?;
    let listed: Vec<_> =
        asked.iter().map(|(word, opposite)| (question(word), format!(" {opposite}"))).collect();
    println!(
        "antonym: {:.3} after examples; as a question without examples {}",
        vector.prompted,
        told(&predictions(model, &listed)?)
    );
    println!("  heads (layer, head): {:?}", vector.heads);
    println!(
        "  after a row of words, unseen pairs: {} → {} with the vector after layer {layer}",
        told(&predictions(model, &after_row(asked))?),
        told(&predictions(&with_vector, &after_row(asked))?)
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("demo")?;
    antonyms(&model)?;
    let (shown, asked) = COUNTRIES.split_at(12);
    let mut figures = Vec::new();
    for (name, task, other) in [("language", 2, 1), ("capital", 1, 2)] {
        let pairs = |i: usize, column: usize| {
            [3, 5, 7, 10].map(|k| {
                let country = shown[(i + k) % shown.len()];
                (country[0], country[column])
            })
        };
        let examples: Vec<InContext> = shown
            .iter()
            .enumerate()
            .map(|(i, c)| InContext::arrows(&pairs(i, task), &pairs(i, other), c[0], c[task]))
            .collect();
        let vector = function_vector(&model, &examples, 2)?;
        println!(
            "{name}: {:.3} after its own examples, {:.3} after the other task's",
            vector.prompted, vector.otherwise
        );
        println!("  heads (layer, head): {:?}", vector.heads);

        // The layer is chosen on the countries that made the vector.
        let without = |countries: &[[&str; 3]]| -> Vec<(String, String)> {
            countries.iter().map(|c| (question(c[0]), format!(" {}", c[task]))).collect()
        };
        let (layer, _) = vector.best_layer(&model, &without(shown), STRENGTH)?;
        let with_vector = vector.apply(&model, layer, STRENGTH)?;
        let zero_shot = without(asked);
        println!(
            "  no examples, unseen countries: {} → {} with the vector after layer {layer}",
            told(&predictions(&model, &zero_shot)?),
            told(&predictions(&with_vector, &zero_shot)?)
        );
        let misled: Vec<_> = asked
            .iter()
            .map(|c| (InContext::arrows(&[], &pairs(0, other), c[0], "").other, format!(" {}", c[task])))
            .collect();
        println!(
            "  against examples of the other task: {} → {}",
            told(&predictions(&model, &misled)?),
            told(&predictions(&with_vector, &misled)?)
        );
        figures.push(vector.figure()?.with_title(name));
    }
    let figure = Panels::new(figures)
        .with_title("The heads that carry a task")
        .with_subtitle("probability that a head's mean output adds to the answer")
        .with_scale(Scale::diverging())
        .with_legend("added probability");
    println!("{}", picture::save("function_vectors", &figure)?);
    Ok(())
}
