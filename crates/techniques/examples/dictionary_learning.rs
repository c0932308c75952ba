//! Dictionary learning: what does a layer speak of, when its vectors are written with few directions out of many?
//!
//! `cargo run --release -p pellucid-techniques --example dictionary_learning -- [PICTURE]`
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

mod picture;

use std::error::Error;

use pellucid::Model;
use pellucid_techniques::{DictionarySettings, mean_probability, own_texts, predictions, train_dictionary};

const CITIES: [(&str, &str); 5] = [
    ("The Eiffel Tower is in the city of", " Paris"),
    ("The Prado Museum is located in the city of", " Madrid"),
    ("The Blue Mosque was built in the city of", " Istanbul"),
    ("The Colosseum is in the city of", " Rome"),
    ("The Taj Mahal can be found in the city of", " Agra"),
];
const OTHERS: [(&str, &str); 3] = [
    ("When Mary and John went to the store, John gave a drink to", " Mary"),
    ("The opposite of hot is", " cold"),
    ("Q: strong\nA:", " weak"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("demo")?;
    let texts = own_texts(&model, "<|endoftext|>", 64, 100, 1)?;
    let settings = DictionarySettings { penalty: 2.0, steps: 600, ..DictionarySettings::default() };
    let dictionary = train_dictionary(&model, &texts, 2, &settings)?;
    println!(
        "{} features for {} dimensions, {:.1} at work on a token, {:.0} % of the variance explained, {} dead",
        dictionary.n_features,
        dictionary.d_model,
        dictionary.active,
        100.0 * (1.0 - dictionary.unexplained),
        dictionary.dead
    );

    // Of the features at work on the last token, the one without which the answers suffer most.
    let features = dictionary.features(&model, CITIES[0].0)?;
    let last = features.tokens.len() - 1;
    let mut worst = (0, f32::INFINITY);
    for (feature, _) in features.strongest(last, 6) {
        let left = mean_probability(&predictions(&dictionary.ablate(&model, &[feature])?, &CITIES)?);
        worst = if left < worst.1 { (feature, left) } else { worst };
    }
    println!("feature {} is strongest at the end of", worst.0);
    for found in dictionary.strongest(&model, &texts, worst.0, 5)? {
        println!("  {:.1}  …{}", found.strength, found.context.replace('\n', " "));
    }
    let without = dictionary.ablate(&model, &[worst.0])?;
    for (what, questions) in [("cities of sights", &CITIES[..]), ("other answers", &OTHERS[..])] {
        let (before, after) = (predictions(&model, questions)?, predictions(&without, questions)?);
        println!("without it, {what}: {:.3} → {:.3}", mean_probability(&before), mean_probability(&after));
    }

    // The strongest feature of each token, on the prompt.
    let mut shown: Vec<usize> = vec![worst.0];
    for position in 1..features.tokens.len() {
        shown.extend(features.strongest(position, 1).iter().map(|f| f.0));
    }
    let mut seen = Vec::new();
    shown.retain(|f| {
        !seen.contains(f) && {
            seen.push(*f);
            true
        }
    });
    println!("{}", picture::save("dictionary_learning", &features.figure(&shown)?)?);
    Ok(())
}
