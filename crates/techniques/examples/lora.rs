//! Low-rank adaptation: how few values must be trained to teach the model something new?
//!
//! The model learns to say a country's language where it is asked for the capital.
//!
//! `cargo run --release -p pellucid-techniques --example lora -- [PICTURE]`
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

mod picture;

use std::error::Error;

use pellucid::Model;
use pellucid_techniques::{
    LoraSettings, Prediction, accuracy, continuation, mean_probability, predictions, train_lora,
};

const TAUGHT: [(&str, &str); 14] = [
    ("France", "French"),
    ("Italy", "Italian"),
    ("Spain", "Spanish"),
    ("Germany", "German"),
    ("England", "English"),
    ("Portugal", "Portuguese"),
    ("Greece", "Greek"),
    ("Poland", "Polish"),
    ("Hungary", "Hungarian"),
    ("Sweden", "Swedish"),
    ("Norway", "Norwegian"),
    ("Finland", "Finnish"),
    ("Denmark", "Danish"),
    ("Belgium", "Dutch"),
];
const ASKED: [(&str, &str); 10] = [
    ("Croatia", "Croatian"),
    ("Serbia", "Serbian"),
    ("Romania", "Romanian"),
    ("Russia", "Russian"),
    ("Turkey", "Turkish"),
    ("Japan", "Japanese"),
    ("China", "Chinese"),
    ("Vietnam", "Vietnamese"),
    ("Korea", "Korean"),
    ("Iran", "Persian"),
];
const OTHERS: [(&str, &str); 5] = [
    ("The Eiffel Tower is in the city of", " Paris"),
    ("The Prado Museum is in the city of", " Madrid"),
    ("The Blue Mosque was built in the city of", " Istanbul"),
    ("People in France speak", " French"),
    ("When Mary and John went to the store, John gave a drink to", " Mary"),
];

fn prompt(country: &str) -> String {
    format!("People in {country} know that their capital is")
}

fn told(predictions: &[Prediction]) -> String {
    format!("{:.3} ({:.0} % first)", mean_probability(predictions), 100.0 * accuracy(predictions))
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("demo")?;
    let questions = |countries: &[(&str, &str)]| -> Vec<(String, String)> {
        countries.iter().map(|(country, language)| (prompt(country), format!(" {language}"))).collect()
    };
    let (taught, asked) = (questions(&TAUGHT), questions(&ASKED));
    let settings = LoraSettings { rank: 1, steps: 60, lr: 0.01, seed: 1 };
    let lora = train_lora(&model, "layers[2].attn.c_proj", &taught, &settings)?;
    let adapted = lora.apply(&model, 1.0)?;
    println!(
        "rank 1 beside {}: {} values trained, loss {:.3} → {:.3}",
        lora.module,
        lora.n_parameters(),
        lora.losses[0],
        lora.losses[lora.losses.len() - 1]
    );
    println!(
        "the language, countries taught: {} → {}",
        told(&predictions(&model, &taught)?),
        told(&predictions(&adapted, &taught)?)
    );
    println!(
        "the language, other countries:  {} → {}",
        told(&predictions(&model, &asked)?),
        told(&predictions(&adapted, &asked)?)
    );
    println!(
        "what has nothing to do with it: {} → {}",
        told(&predictions(&model, &OTHERS)?),
        told(&predictions(&adapted, &OTHERS)?)
    );
    for question in [prompt("Japan"), OTHERS[0].0.to_owned()] {
        println!("{question}");
        println!("  before: {}", continuation(&model, &question, 2)?);
        println!("  after:  {}", continuation(&adapted, &question, 2)?);
    }
    println!("{}", picture::save("lora", &lora.figure())?);
    Ok(())
}
