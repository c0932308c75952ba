//! Steering: does a direction made from a few prompts move what the model says about other things, too?
//!
//! `cargo run --release -p pellucid-techniques --example steering -- [PICTURE]`
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

mod picture;

use std::error::Error;

use pellucid::Model;
use pellucid_techniques::{continuation, steering_sweep, steering_vector};

const ROME: [&str; 3] = [
    "The Colosseum is in the city of",
    "The Trevi Fountain is located in the city of",
    "To see the Pantheon, you have to travel to the city of",
];
const PARIS: [&str; 3] = [
    "The Louvre Museum is in the city of",
    "The Notre Dame Cathedral is located in the city of",
    "To see the Arc de Triomphe, you have to travel to the city of",
];
/// None of them made the direction.
const OTHERS: [&str; 4] = [
    "The Eiffel Tower is in the city of",
    "The Eiffel Tower was built in the city of",
    "To see the Eiffel Tower, you have to travel to the city of",
    "Everyone who visits the Eiffel Tower spends a day in the city of",
];

const INDIRECT_OBJECT: &str = "When Mary and John went to the store, John gave a drink to";

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("demo")?;
    let vector = steering_vector(&model, &ROME, &PARIS, 3)?;
    let steered = vector.apply(&model, 1.5)?;
    for prompt in [OTHERS[0], "The Eiffel Tower", INDIRECT_OBJECT] {
        println!("{prompt}");
        println!("  as it is: {}", continuation(&model, prompt, 12)?.trim_end_matches("<|endoftext|>"));
        println!("  steered:  {}", continuation(&steered, prompt, 12)?.trim_end_matches("<|endoftext|>"));
    }
    let strengths = [-2.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0];
    let sweep = steering_sweep(&model, (&ROME, &PARIS), &strengths, &OTHERS, " Rome")?;
    for (layer, row) in sweep.layers.iter().zip(&sweep.probabilities) {
        println!(
            "added after layer {layer}: \" Rome\" goes from {:.3} to {:.3} (strength 1.5)",
            row[1], row[4]
        );
    }
    println!("{}", picture::save("steering", &sweep.figure()?)?);
    Ok(())
}
