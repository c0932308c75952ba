//! Activation patching: where does the model hold the fact that it answers with?
//!
//! `cargo run --release -p pellucid-techniques --example activation_patching -- [PICTURE]`
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

mod picture;

use std::error::Error;

use pellucid::Model;
use pellucid_techniques::plot::{Panels, Scale};
use pellucid_techniques::{PatchSite, PatchSweep, patch_sweep};

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("demo")?;
    let sweep = |site| PatchSweep {
        clean: "The Eiffel Tower is in the city of".into(),
        corrupted: "The Prado Museum is in the city of".into(),
        answer: None,
        foil: None,
        site,
    };
    let residual = patch_sweep(&model, &sweep(PatchSite::ResidualStream), &mut |_, _| {})?;
    println!(
        "{:?} − {:?}: {:+.1} in the clean run, {:+.1} in the corrupted one",
        residual.answer.text, residual.foil.text, residual.clean_difference, residual.corrupted_difference
    );
    for (layer, row) in residual.effects.iter().enumerate() {
        let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
        println!(
            "after layer {layer}: the clean residual at {:?} restores {:.0} % of the difference",
            residual.clean[best].text,
            100.0 * row[best]
        );
    }
    let heads = patch_sweep(&model, &sweep(PatchSite::Heads), &mut |_, _| {})?;
    let mut all: Vec<(usize, usize, f32)> = Vec::new();
    for (layer, row) in heads.effects.iter().enumerate() {
        all.extend(row.iter().enumerate().map(|(head, &effect)| (layer, head, effect)));
    }
    all.sort_by(|a, b| b.2.total_cmp(&a.2));
    for (layer, head, effect) in &all[..3] {
        println!("head {head} of layer {layer} alone restores {:.0} %", 100.0 * effect);
    }
    let figure =
        Panels::new([residual.figure()?.with_title("residual stream"), heads.figure()?.with_title("heads")])
            .with_title("Activation patching")
            .with_subtitle("share of the difference Paris − Madrid that one clean activation restores")
            .with_scale(Scale::diverging_to(1.0))
            .with_legend("0 = corrupted run, 1 = clean run");
    println!("{}", picture::save("activation_patching", &figure)?);
    Ok(())
}
