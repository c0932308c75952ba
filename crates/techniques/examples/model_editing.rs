//! Model editing: can one fact be changed in one matrix, and do the others stay?
//!
//! `cargo run --release -p pellucid-techniques --example model_editing -- [PICTURE]`
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

mod picture;

use std::error::Error;

use pellucid::Model;
use pellucid_techniques::plot::{Grid, Scale};
use pellucid_techniques::{FactEdit, accuracy, continuation, edit_fact, mean_probability, predictions};

const WRITTEN: [&str; 3] = [
    "The Eiffel Tower is in the city of",
    "The Eiffel Tower is located in the city of",
    "If you want to visit the Eiffel Tower, buy a ticket to the city of",
];
/// Other ways to ask, which the edit was not made from.
const ASKED: [(&str, &str); 5] = [
    ("The Eiffel Tower was built in the city of", " Rome"),
    ("The Eiffel Tower can be found in the city of", " Rome"),
    ("To see the Eiffel Tower, you have to travel to the city of", " Rome"),
    ("Everyone who visits the Eiffel Tower spends a day in the city of", " Rome"),
    ("The city where you can see the Eiffel Tower is", " Rome"),
];
/// What must stay, other towers and other sights of Paris among it.
const OTHERS: [(&str, &str); 12] = [
    ("The Louvre Museum is in the city of", " Paris"),
    ("The Arc de Triomphe is in the city of", " Paris"),
    ("The Belem Tower is in the city of", " Lisbon"),
    ("The Skytree Tower is in the city of", " Tokyo"),
    ("The Willis Tower is in the city of", " Chicago"),
    ("The Azadi Tower is located in the city of", " Tehran"),
    ("The Prado Museum is in the city of", " Madrid"),
    ("The Taj Mahal is in the city of", " Agra"),
    ("The Blue Mosque was built in the city of", " Istanbul"),
    ("The capital city of France is", " Paris"),
    ("The language of France is", " French"),
    ("When Mary and John went to the store, John gave a drink to", " Mary"),
];
/// Texts that say which keys are usual; none of them is asked about.
const CONTEXTS: [&str; 8] = [
    "The Notre Dame Cathedral is in the city of Paris. The Galata Tower is in the city of Istanbul.",
    "The Leaning Tower was built in the city of Pisa. The Costanera Tower is in the city of Santiago.",
    "The Oriental Pearl Tower is in the city of Shanghai. The Colosseum is in the city of Rome.",
    "To see the Red Square, you have to travel to the city of Moscow. The capital of Peru is Lima.",
    "The city where you can see the Opera House is Sydney. People in Chile speak Spanish.",
    "When Anna and Paul went to the park, Paul passed a ball to Anna and went home.",
    "hot -> cold, tall -> short, big -> small, old -> young, rich -> poor",
    "The opposite of early is late. I saw one dog and then two dogs. The capital of Egypt is Cairo.",
];

/// What tells a prompt from the others, short enough for a label.
fn telling(prompt: &str) -> &str {
    let place = prompt.split_once("Eiffel Tower").map_or(prompt, |(before, after)| {
        if after.len() > before.len() { after.trim_start_matches([' ', ',']) } else { before }
    });
    place.trim_start_matches("The ")
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("demo")?;
    let (asked, others) = (predictions(&model, &ASKED)?, predictions(&model, &OTHERS)?);
    println!(
        "before: \" Rome\" {:.3}; other facts {:.3}, {:.0} % right",
        mean_probability(&asked),
        mean_probability(&others),
        100.0 * accuracy(&others)
    );
    let mut values = Vec::new();
    let layers = 0..5;
    for layer in layers.clone() {
        let edit = FactEdit {
            subject: "Eiffel Tower".into(),
            prompts: WRITTEN.map(String::from).to_vec(),
            target: " Rome".into(),
            contexts: CONTEXTS.map(String::from).to_vec(),
            layer,
            steps: 40,
            lr: 0.3,
            penalty: 0.05,
        };
        let change = edit_fact(&model, &edit)?;
        let edited = change.apply(&model)?;
        let (asked, others) = (predictions(&edited, &ASKED)?, predictions(&edited, &OTHERS)?);
        println!(
            "{} changed: \" Rome\" {:.3}, {:.0} % of the other wordings; other facts {:.3}, {:.0} % right; change {:.1} × the old value",
            change.module,
            mean_probability(&asked),
            100.0 * accuracy(&asked),
            mean_probability(&others),
            100.0 * accuracy(&others),
            change.relative_size
        );
        values.extend(asked.iter().chain(&others).map(|p| p.probability));
        if layer == 1 {
            for prompt in ["The Eiffel Tower", "The Louvre Museum is located"] {
                println!("  {prompt}{}", continuation(&edited, prompt, 7)?);
            }
        }
    }
    let n = ASKED.len() + OTHERS.len();
    let transposed = (0..n).flat_map(|i| values.iter().skip(i).step_by(n).copied()).collect();
    let rows = ASKED
        .iter()
        .chain(&OTHERS)
        .map(|(prompt, answer)| format!("{} ← {}", answer.trim(), telling(prompt)));
    let figure = Grid::new(rows, layers.map(|l| l.to_string()), transposed)?
        .with_title("A rank-one edit: the Eiffel Tower moves to Rome")
        .with_subtitle(
            "probability of each answer, by edited layer: five new wordings, then facts that must stay",
        )
        .with_axes("prompt and answer", "edited layer")
        .with_scale(Scale::probability())
        .with_legend("probability")
        .with_spaces_marked(false);
    println!("{}", picture::save("model_editing", &figure)?);
    Ok(())
}
