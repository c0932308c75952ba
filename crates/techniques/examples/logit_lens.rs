//! Logit lens: after which layer does the model know what it will say, in a prompt and while it writes?
//!
//! `cargo run --release -p pellucid-techniques --example logit_lens -- [PICTURE]`
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

mod picture;

use std::error::Error;

use pellucid::Model;
use pellucid_techniques::logit_lens_of_generation;

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("demo")?;
    let prompt = "The Eiffel Tower is in the city of";
    let n = model.encode(prompt)?.len();
    let lens = logit_lens_of_generation(&model, prompt, 12, 5)?;
    for (layer, cells) in lens.guesses.iter().enumerate() {
        let best = &cells[n - 1][0];
        println!("after layer {layer}: {:?} with {:.1} %", best.token.text, 100.0 * best.probability);
    }
    let last = &lens.guesses[lens.guesses.len() - 1];
    println!("what it writes, and the first layer from which the guess stays the same:");
    for (position, said) in last.iter().enumerate().skip(n - 1) {
        let said = &said[0].token;
        let settled =
            (0..lens.guesses.len()).rev().take_while(|&l| lens.guesses[l][position][0].token == *said);
        let settled = settled.last().unwrap_or(lens.guesses.len() - 1);
        println!("  {:?}: layer {settled}", said.text);
    }
    println!("{}", picture::save("logit_lens", &lens.figure()?)?);
    Ok(())
}
