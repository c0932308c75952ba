//! Attribution patching: how well does one backward pass foretell what patching each place would do?
//!
//! `cargo run --release -p pellucid-techniques --example attribution_patching -- [PICTURE]`
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

mod picture;

use std::error::Error;

use pellucid::Model;
use pellucid_techniques::plot::{Panels, Scale};
use pellucid_techniques::{PatchSite, PatchSweep, attribution_patch, patch_sweep};

const PAIRS: [(&str, &str, &str); 2] = [
    (
        "IOI",
        "When Mary and John went to the store, John gave a drink to",
        "When Mary and John went to the store, Mary gave a drink to",
    ),
    ("fact", "The Eiffel Tower is in the city of", "The Prado Museum is in the city of"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::open("demo")?;
    let mut figures = Vec::new();
    for (name, clean, corrupted) in PAIRS {
        println!("{name}: {corrupted:?} towards {clean:?}");
        for site in [PatchSite::ResidualStream, PatchSite::Attention, PatchSite::Mlp, PatchSite::Heads] {
            let (clean, corrupted) = (clean.into(), corrupted.into());
            let sweep = PatchSweep { clean, corrupted, answer: None, foil: None, site };
            let estimated = attribution_patch(&model, &sweep)?;
            let measured = patch_sweep(&model, &sweep, &mut |_, _| {})?;
            let places = measured.effects.concat().len();
            let correlation = estimated.correlation(&measured)?;
            println!("  {site:?}: {places} places, correlation with activation patching {correlation:.3}");
            if site == PatchSite::Heads {
                figures.push(estimated.figure()?.with_title(format!("{name} est.")));
                figures.push(measured.figure()?.with_title(format!("{name} meas.")));
            }
        }
    }
    let figure = Panels::new(figures)
        .with_title("Attribution patching and what it estimates: heads")
        .with_subtitle("share of the logit difference that a head restores, estimated and measured: indirect object (IOI), fact")
        .with_scale(Scale::diverging())
        .with_legend("0 = corrupted run, 1 = clean run");
    println!("{}", picture::save("attribution_patching", &figure)?);
    Ok(())
}
