//! Writes what an experiment outside this workspace needs: the tokenizer, `tokens.u16` (the blocks one after another, rows of
//! `seq + 1` little-endian ids), `config.json`, `probes.json` and `sample.txt`.
//!
//! `cargo run --release -p pellucid-demo --example write_tokens -- FOLDER STEPS`
#![expect(clippy::print_stdout, reason = "an example reports what it wrote")]

use std::{error::Error, fs, io::Write, path::PathBuf};

use pellucid_demo::{
    Recipe, corpus::Corpus, encode, evaluation, train_tokenizer, training_batches, write_tokenizer,
};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: write_tokens FOLDER STEPS")?);
    let steps: u64 = arguments.next().ok_or("usage: write_tokens FOLDER STEPS")?.parse()?;
    fs::create_dir_all(&folder)?;

    let recipe = Recipe::default();
    let tokenizer = train_tokenizer(recipe.d_vocab, recipe.seed)?;
    write_tokenizer(&tokenizer, recipe.n_ctx, &folder)?;
    fs::write(folder.join("config.json"), format!("{:#}\n", recipe.config()))?;

    let mut probes = Vec::new();
    for probe in evaluation() {
        let (answer, distractor) =
            (encode(&tokenizer, &probe.answer)?, encode(&tokenizer, &probe.distractor)?);
        if answer.len() != 1 || distractor.len() != 1 {
            println!("not a single token: {:?} or {:?}", probe.answer, probe.distractor);
        }
        probes.push(json!({
            "skill": probe.skill.name(), "prompt": probe.prompt, "tokens": encode(&tokenizer, &probe.prompt)?,
            "answer": answer[0], "distractor": distractor[0], "held_out": probe.held_out.name(),
        }));
    }
    fs::write(folder.join("probes.json"), serde_json::to_string(&probes)?)?;

    let corpus = Corpus::new(recipe.seed, recipe.mix);
    let sample: Vec<String> = (0..200).map(|index| corpus.document(index).text).collect();
    fs::write(folder.join("sample.txt"), sample.join("\n----\n"))?;

    let mut file = std::io::BufWriter::new(fs::File::create(folder.join("tokens.u16"))?);
    for batch in training_batches(&tokenizer, &recipe, 0).take(steps as usize) {
        for token in batch?.tokens {
            file.write_all(&u16::try_from(token)?.to_le_bytes())?;
        }
    }
    println!(
        "{} tokens in the vocabulary, {} probes, {steps} steps",
        tokenizer.get_vocab_size(true),
        probes.len()
    );
    Ok(())
}
