//! The classic findings, on the demo model.

use pellucid::Model;
use pellucid_techniques::{
    PatchSite, PatchSweep, TechniqueError, attention_patterns, logit_lens, patch_sweep, plot,
};

const EIFFEL: &str = "The Eiffel Tower is in the city of";
const PRADO: &str = "The Prado Museum is in the city of";

fn demo() -> Model {
    Model::open("demo").unwrap()
}

fn sweep(site: PatchSite) -> PatchSweep {
    PatchSweep { clean: EIFFEL.into(), corrupted: PRADO.into(), answer: None, foil: None, site }
}

#[test]
fn the_fact_rises_in_the_middle_layers() {
    let lens = logit_lens(&demo(), EIFFEL, 5).unwrap();
    let paris = |layer: usize| {
        let guesses = lens.guesses[layer].last().unwrap();
        guesses.iter().find(|g| g.token.text == " Paris").map_or(0.0, |g| g.probability)
    };
    let last = lens.guesses.len() - 1;
    assert!(paris(0) < 0.1 && paris(1) < 0.1, "{} {}", paris(0), paris(1));
    assert!(paris(last) > 0.9, "{}", paris(last));
    assert!((2..last).any(|layer| paris(layer) > 0.3));
}

#[test]
fn the_lens_at_the_last_layer_is_the_models_own_distribution() {
    let model = demo();
    let lens = logit_lens(&model, EIFFEL, 1).unwrap();
    let trace = model.trace();
    let own = trace.invoke(EIFFEL).output("lm_head").softmax(-1).op("amax", [(-1).into()]).save();
    let own = trace.run().unwrap().floats(&own).unwrap();
    let seen = lens.guesses.last().unwrap().iter().map(|g| g[0].probability);
    for (a, b) in own.iter().zip(seen) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn patching_moves_the_answer_at_the_subject_and_then_at_the_last_token() {
    let patched = patch_sweep(&demo(), &sweep(PatchSite::ResidualStream), &mut |_, _| {}).unwrap();
    assert_eq!((patched.answer.text.as_str(), patched.foil.text.as_str()), (" Paris", " Madrid"));
    let (first, last) = (&patched.effects[0], patched.effects.last().unwrap());
    let subject: f32 = first[1..5].iter().sum();
    assert!(subject > 0.4, "{first:?}");
    assert!(first[9].abs() < 0.2, "{first:?}");
    assert!((last[9] - 1.0).abs() < 1e-3, "{last:?}");
    assert!(last[..9].iter().all(|e| e.abs() < 1e-3), "{last:?}");
    // Tokens before the first difference are equal in both runs.
    assert!(patched.effects.iter().all(|layer| layer[0].abs() < 1e-5));
}

#[test]
fn induction_shows_in_attention() {
    let model = demo();
    let prompt = " cup tree road bird cup tree road";
    let n = model.encode(prompt).unwrap().len();
    let mut best = 0f32;
    for layer in 0..model.sizes().n_layers {
        for pattern in attention_patterns(&model, prompt, layer, None).unwrap().patterns {
            // The second half of the text looks at what followed the same token in the first half.
            let period = n - n / 2;
            let looks: Vec<f32> = (period..n).map(|query| pattern[query][query - period + 1]).collect();
            best = best.max(looks.iter().sum::<f32>() / looks.len() as f32);
        }
    }
    assert!(best > 0.3, "no head looks at what followed: {best}");
}

#[test]
fn prompts_of_different_lengths_are_refused_token_by_token() {
    let short = PatchSweep { corrupted: "The Louvre is in the city of".into(), ..sweep(PatchSite::Heads) };
    let error = patch_sweep(&demo(), &short, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, TechniqueError::Lengths { clean: 10, corrupted: 7, .. }), "{error}");
    assert!(error.hint().unwrap().contains("The| Louvre|"));
}

#[test]
fn answers_of_several_tokens_and_equal_answers_are_refused() {
    let model = demo();
    let answer = PatchSweep { answer: Some("Paris is far".into()), ..sweep(PatchSite::Mlp) };
    let error = patch_sweep(&model, &answer, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, TechniqueError::Answer { .. }), "{error}");
    let same = PatchSweep { corrupted: EIFFEL.into(), ..sweep(PatchSite::Attention) };
    let error = patch_sweep(&model, &same, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, TechniqueError::SameAnswer { .. }), "{error}");
}

#[test]
fn layers_and_heads_that_do_not_exist_are_refused() {
    let model = demo();
    let error = attention_patterns(&model, EIFFEL, 9, None).unwrap_err();
    assert_eq!(error.to_string(), "layer 9 does not exist: the model has layers 0 to 5");
    let error = attention_patterns(&model, EIFFEL, 0, Some(4)).unwrap_err();
    assert_eq!(error.to_string(), "head 4 does not exist: each layer has heads 0 to 3");
    assert!(matches!(logit_lens(&model, "", 1).unwrap_err(), TechniqueError::EmptyPrompt));
    let long = "the ".repeat(500);
    assert!(logit_lens(&model, &long, 1).unwrap_err().to_string().contains("context of 128"));
}

#[test]
fn every_figure_is_drawn() {
    let model = demo();
    let lens = logit_lens(&model, EIFFEL, 1).unwrap().figure().unwrap();
    assert!(plot::svg(&lens).contains("Paris"));
    let heads = patch_sweep(&model, &sweep(PatchSite::Heads), &mut |_, _| {}).unwrap().figure().unwrap();
    assert!(plot::html(&heads).contains("attention heads"));
    let attention = attention_patterns(&model, EIFFEL, 3, None).unwrap().figure().unwrap();
    assert!(plot::svg(&attention).contains("head 3"));
}
