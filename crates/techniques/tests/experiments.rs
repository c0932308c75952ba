//! The experiments of the examples, each with the effect that it is about, on the demo model.

use pellucid::{Model, memory};
use pellucid_techniques::{
    DictionarySettings, FactEdit, InContext, LoraSettings, PatchSite, PatchSweep, TechniqueError, accuracy,
    attribution_patch, continuation, edit_fact, function_vector, logit_lens, logit_lens_of_generation,
    mean_probability, own_texts, patch_sweep, plot, predictions, steering_sweep, steering_vector,
    train_dictionary, train_lora,
};

const EIFFEL: &str = "The Eiffel Tower is in the city of";
const PRADO: &str = "The Prado Museum is in the city of";
const INDIRECT_OBJECT: &str = "When Mary and John went to the store, John gave a drink to";

fn demo() -> Model {
    Model::open("demo").unwrap()
}

fn sweep(clean: &str, corrupted: &str, site: PatchSite) -> PatchSweep {
    PatchSweep { clean: clean.into(), corrupted: corrupted.into(), answer: None, foil: None, site }
}

#[test]
fn attribution_foretells_what_patching_does() {
    let model = demo();
    let other = INDIRECT_OBJECT.replace(", John", ", Mary");
    for (clean, corrupted, least) in [(INDIRECT_OBJECT, other.as_str(), 0.95), (EIFFEL, PRADO, 0.8)] {
        for site in [PatchSite::ResidualStream, PatchSite::Attention, PatchSite::Mlp, PatchSite::Heads] {
            let sweep = sweep(clean, corrupted, site);
            let estimated = attribution_patch(&model, &sweep).unwrap();
            let measured = patch_sweep(&model, &sweep, &mut |_, _| {}).unwrap();
            let correlation = estimated.correlation(&measured).unwrap();
            assert!(correlation > least, "{clean} {site:?}: {correlation}");
            assert!(correlation < 1.0, "an estimate equals what it estimates");
            assert_eq!(estimated.estimated.answer, measured.answer);
        }
    }
}

#[test]
fn attribution_is_the_slope_of_the_effect() {
    // In the last layer, the last position goes through the final norm alone. Near the corrupted run, the effect of moving a
    // small part of the way to the clean run is that part of the estimate.
    let model = demo();
    let sweep = sweep(EIFFEL, PRADO, PatchSite::ResidualStream);
    let estimated = attribution_patch(&model, &sweep).unwrap().estimated;
    let (layer, part) = (model.sizes().n_layers - 1, 1e-2);
    let trace = model.trace();
    let clean = trace.invoke(EIFFEL).resid_post(layer).at((0, -1));
    let corrupted = trace.invoke(PRADO);
    let hidden = corrupted.resid_post(layer).at((0, -1));
    hidden.assign(&hidden + (clean - &hidden) * part);
    let logits = corrupted.logits().at((0, -1));
    let moved = (logits.at(estimated.answer.id) - logits.at(estimated.foil.id)).save();
    let moved = trace.run().unwrap().floats(&moved).unwrap()[0];
    let slope = (moved - estimated.corrupted_difference) / part as f32;
    let expected = estimated.effects[layer].last().unwrap()
        * (estimated.clean_difference - estimated.corrupted_difference);
    assert!((slope - expected).abs() < 0.05 * expected.abs(), "{slope} {expected}");
}

#[test]
fn attributions_of_another_kind_of_place_are_not_compared() {
    let model = demo();
    let estimated = attribution_patch(&model, &sweep(EIFFEL, PRADO, PatchSite::Heads)).unwrap();
    let residual = sweep(EIFFEL, PRADO, PatchSite::ResidualStream);
    let measured = patch_sweep(&model, &residual, &mut |_, _| {}).unwrap();
    let error = estimated.correlation(&measured).unwrap_err();
    assert!(matches!(error, TechniqueError::Setting { got: 60.0, .. }), "{error}");
}

#[test]
fn one_patched_place_restores_the_answer() {
    let model = demo();
    let residual =
        patch_sweep(&model, &sweep(EIFFEL, PRADO, PatchSite::ResidualStream), &mut |_, _| {}).unwrap();
    assert!(residual.effects[4][9] > 0.8, "{:?}", residual.effects[4]);
    let heads = patch_sweep(&model, &sweep(EIFFEL, PRADO, PatchSite::Heads), &mut |_, _| {}).unwrap();
    let best = heads.effects.iter().flatten().fold(0.0f32, |m, e| m.max(*e));
    assert!(best > 0.15 && best < 0.9, "the fact is moved by several heads: {best}");
}

#[test]
fn the_lens_of_a_generation_is_that_of_its_whole_text() {
    let model = demo();
    let written = logit_lens_of_generation(&model, EIFFEL, 6, 3).unwrap();
    let text: String = written.tokens.iter().map(|t| t.text.as_str()).collect();
    assert!(text.starts_with(&format!("{EIFFEL} Paris")), "{text}");
    let whole = logit_lens(&model, &text, 3).unwrap();
    assert_eq!(written.tokens, whole.tokens);
    for (a, b) in written.guesses.iter().flatten().zip(whole.guesses.iter().flatten()) {
        assert_eq!(a[0].token, b[0].token);
        assert!((a[0].probability - b[0].probability).abs() < 1e-4, "{a:?} {b:?}");
    }
}

#[test]
fn predictions_of_rows_together_are_those_of_rows_alone() {
    let model = demo();
    let questions = [(EIFFEL, " Paris"), (INDIRECT_OBJECT, " Mary"), ("The opposite of hot is", " cold")];
    let together = predictions(&model, &questions).unwrap();
    for (question, together) in questions.into_iter().zip(&together) {
        let alone = &predictions(&model, &[question]).unwrap()[0];
        assert!((alone.probability - together.probability).abs() < 1e-5, "{alone:?} {together:?}");
        assert_eq!((alone.rank, &alone.best.token), (0, &alone.answer));
    }
    assert_eq!(accuracy(&together), 1.0);
    assert_eq!((accuracy(&[]), mean_probability(&[])), (0.0, 0.0));
    let nothing: [(&str, &str); 0] = [];
    assert!(matches!(predictions(&model, &nothing), Err(TechniqueError::Nothing { what: "prompts" })));
}

#[test]
fn steering_moves_the_text_and_leaves_other_text_alone() {
    let model = demo();
    let rome = ["The Colosseum is in the city of", "The Trevi Fountain is located in the city of"];
    let paris = ["The Louvre Museum is in the city of", "The Arc de Triomphe is located in the city of"];
    let vector = steering_vector(&model, &rome, &paris, 3).unwrap();
    let steered = vector.apply(&model, 1.5).unwrap();
    assert!(continuation(&model, EIFFEL, 2).unwrap().starts_with(" Paris"));
    assert!(continuation(&steered, EIFFEL, 2).unwrap().starts_with(" Rome"));
    // At every step: the city is only the sixth token or so of this text.
    assert!(continuation(&steered, "The Eiffel Tower is", 10).unwrap().contains(" Rome"));
    assert!(continuation(&steered, INDIRECT_OBJECT, 2).unwrap().starts_with(" Mary"));

    let sweep = steering_sweep(&model, (&rome, &paris), &[0.0, 1.5], &[EIFFEL], " Rome").unwrap();
    assert!(sweep.probabilities.iter().all(|row| row[0] < 0.01));
    assert!(sweep.probabilities[3][1] > 0.5 && sweep.probabilities[0][1] < 0.2, "{:?}", sweep.probabilities);
    assert!(plot::svg(&sweep.figure().unwrap()).contains("Steering"));
    let error = steering_vector(&model, &rome, &paris, 6).unwrap_err();
    assert!(matches!(error, TechniqueError::Layer { layer: 6, n_layers: 6 }), "{error}");
}

#[test]
fn edits_that_hold_tensors_stack() {
    let model = demo();
    let vector = steering_vector(&model, &[PRADO], &[EIFFEL], 4).unwrap();
    let there = vector.apply(&model, 2.0).unwrap();
    let back = vector.apply(&there, -2.0).unwrap();
    let paris = |model: &Model| predictions(model, &[(EIFFEL, " Paris")]).unwrap()[0].probability;
    assert!(paris(&there) < 0.1 && paris(&model) > 0.9);
    assert!((paris(&back) - paris(&model)).abs() < 1e-3);
}

#[test]
fn a_function_vector_does_a_task_without_examples_and_against_others() {
    const COUNTRIES: [[&str; 3]; 12] = [
        ["France", "Paris", "French"],
        ["Italy", "Rome", "Italian"],
        ["Spain", "Madrid", "Spanish"],
        ["Germany", "Berlin", "German"],
        ["Poland", "Warsaw", "Polish"],
        ["Hungary", "Budapest", "Hungarian"],
        ["Sweden", "Stockholm", "Swedish"],
        ["Norway", "Oslo", "Norwegian"],
        ["Russia", "Moscow", "Russian"],
        ["Turkey", "Ankara", "Turkish"],
        ["Japan", "Tokyo", "Japanese"],
        ["Thailand", "Bangkok", "Thai"],
    ];
    let model = demo();
    let (shown, asked) = COUNTRIES.split_at(8);
    for (task, other) in [(2, 1), (1, 2)] {
        let pairs = |i: usize, column: usize| {
            [1, 3, 4, 6].map(|k| (shown[(i + k) % shown.len()][0], shown[(i + k) % shown.len()][column]))
        };
        let examples: Vec<InContext> = shown
            .iter()
            .enumerate()
            .map(|(i, c)| InContext::arrows(&pairs(i, task), &pairs(i, other), c[0], c[task]))
            .collect();
        let vector = function_vector(&model, &examples, 2).unwrap();
        assert!(vector.prompted > 0.7 && vector.otherwise < 0.2, "{} {}", vector.prompted, vector.otherwise);
        let with_vector = vector.apply(&model, 1, 3.0).unwrap();
        let zero_shot: Vec<_> =
            asked.iter().map(|c| (format!("Q: {}\nA:", c[0]), format!(" {}", c[task]))).collect();
        let misled: Vec<_> = asked
            .iter()
            .map(|c| (InContext::arrows(&[], &pairs(0, other), c[0], "").other, format!(" {}", c[task])))
            .collect();
        for (questions, least) in [(zero_shot, 0.15), (misled, 0.05)] {
            let before = predictions(&model, &questions).unwrap();
            let after = predictions(&with_vector, &questions).unwrap();
            let (before, after) = (mean_probability(&before), mean_probability(&after));
            assert!(after > before + least, "task {task}, {:?}: {before} → {after}", questions[0].0);
        }
        assert!(plot::svg(&vector.figure().unwrap()).contains("Function vector"));
    }
    let unknown = function_vector(&model, &[InContext::arrows(&[], &[], "hot", "not one token")], 2);
    assert!(matches!(unknown, Err(TechniqueError::Answer { .. })));
    assert!(matches!(function_vector(&model, &[], 2), Err(TechniqueError::Nothing { what: "prompts" })));
}

#[test]
fn a_rank_one_edit_changes_one_fact_in_other_wordings_and_leaves_others() {
    let model = demo();
    let edit = FactEdit {
        subject: "Eiffel Tower".into(),
        prompts: vec![EIFFEL.into(), "The Eiffel Tower is located in the city of".into()],
        target: " Rome".into(),
        contexts: vec![
            "The Leaning Tower was built in the city of Pisa. The Galata Tower is in the city of Istanbul."
                .into(),
            "The Oriental Pearl Tower is in the city of Shanghai. The capital of Peru is Lima.".into(),
            "When Anna and Paul went to the park, Paul passed a ball to Anna and went home.".into(),
        ],
        layer: 1,
        steps: 30,
        lr: 0.3,
        penalty: 0.05,
    };
    let change = edit_fact(&model, &edit).unwrap();
    assert_eq!(change.module, "transformer.h.1.mlp.c_proj");
    assert!(change.losses[29] < 0.2 * change.losses[0], "{:?}", change.losses);
    let edited = change.apply(&model).unwrap();
    let asked = [
        ("The Eiffel Tower was built in the city of", " Rome"),
        ("To see the Eiffel Tower, you have to travel to the city of", " Rome"),
    ];
    assert_eq!(accuracy(&predictions(&model, &asked).unwrap()), 0.0);
    assert_eq!(accuracy(&predictions(&edited, &asked).unwrap()), 1.0);
    let others = [
        ("The Louvre Museum is in the city of", " Paris"),
        ("The Belem Tower is in the city of", " Lisbon"),
        ("The Skytree Tower is in the city of", " Tokyo"),
        (PRADO, " Madrid"),
        (INDIRECT_OBJECT, " Mary"),
    ];
    assert_eq!(accuracy(&predictions(&edited, &others).unwrap()), 1.0);

    let unknown = FactEdit { subject: "Eiffel Towe".into(), ..edit };
    let error = edit_fact(&model, &unknown).unwrap_err();
    assert!(matches!(error, TechniqueError::Subject { .. }), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_dictionary_explains_with_few_features_and_one_of_them_matters() {
    let model = demo();
    let texts = own_texts(&model, "<|endoftext|>", 24, 60, 1).unwrap();
    let settings =
        DictionarySettings { n_features: 256, penalty: 2.0, steps: 250, batch: 128, lr: 3e-3, seed: 1 };
    let dictionary = train_dictionary(&model, &texts, 2, &settings).unwrap();
    assert!(dictionary.unexplained < 0.35, "{}", dictionary.unexplained);
    assert!(dictionary.active < 40.0, "{}", dictionary.active);
    assert!(dictionary.losses[249] < 0.6 * dictionary.losses[0]);

    let features = dictionary.features(&model, EIFFEL).unwrap();
    let last = features.tokens.len() - 1;
    let strongest = features.strongest(last, 4);
    assert!(!strongest.is_empty());
    let questions = [(EIFFEL, " Paris"), (PRADO, " Madrid"), ("The Taj Mahal is in the city of", " Agra")];
    let before = mean_probability(&predictions(&model, &questions).unwrap());
    let effect = |feature: usize| {
        let without = dictionary.ablate(&model, &[feature]).unwrap();
        before - mean_probability(&predictions(&without, &questions).unwrap())
    };
    let (most, effect) =
        strongest.iter().map(|f| (f.0, effect(f.0))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(effect > 0.02, "{effect}");
    let found = dictionary.strongest(&model, &texts, most, 3).unwrap();
    assert!(found.iter().all(|f| f.strength > 0.0) && !found.is_empty());
    // A feature that is off everywhere in a prompt changes nothing there.
    let off = (0..256).find(|&f| features.strengths.iter().all(|s| s[f] == 0.0)).unwrap();
    let without = dictionary.ablate(&model, &[off]).unwrap();
    let (a, b) =
        (predictions(&model, &questions[..1]).unwrap(), predictions(&without, &questions[..1]).unwrap());
    assert!((a[0].probability - b[0].probability).abs() < 1e-4);
    assert!(matches!(dictionary.ablate(&model, &[256]), Err(TechniqueError::Setting { .. })));
}

#[test]
fn a_model_writes_as_many_different_texts_as_asked_and_the_same_again_from_a_seed() {
    let model = demo();
    let texts = own_texts(&model, "<|endoftext|>", 20, 12, 3).unwrap();
    assert_eq!(texts.len(), 20);
    assert!(texts.iter().all(|t| t.len() == 13 && t[0] == texts[0][0]));
    let different: std::collections::BTreeSet<&Vec<i64>> = texts.iter().collect();
    assert!(different.len() > 17, "{}", different.len());
    assert_eq!(texts, own_texts(&model, "<|endoftext|>", 20, 12, 3).unwrap());
}

#[test]
fn taking_out_all_features_leaves_what_the_dictionary_does_not_explain() {
    let model = demo();
    let texts = own_texts(&model, "<|endoftext|>", 4, 20, 1).unwrap();
    let settings =
        DictionarySettings { n_features: 32, steps: 20, batch: 32, ..DictionarySettings::default() };
    let dictionary = train_dictionary(&model, &texts, 1, &settings).unwrap();
    let all: Vec<usize> = (0..32).collect();
    let read = |model: &Model| {
        let trace = model.trace();
        let hidden = trace.invoke(EIFFEL).resid_post(1).save();
        trace.run().unwrap().floats(&hidden).unwrap()
    };
    let (before, after) = (read(&model), read(&dictionary.ablate(&model, &all).unwrap()));
    let strengths = dictionary.features(&model, EIFFEL).unwrap().strengths;
    let d = dictionary.d_model;
    for (t, features) in strengths.iter().enumerate().skip(1) {
        for i in 0..d {
            let added: f32 =
                (0..32).map(|f| features[f] * dictionary.decoder[f * d + i]).sum::<f32>() / dictionary.scale;
            let (got, expected) = (after[t * d + i], before[t * d + i] - added);
            assert!((got - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{got} {expected}");
        }
    }
}

#[test]
fn an_adapter_of_rank_one_carries_over_to_what_it_was_not_taught() {
    let model = demo();
    let taught = [
        ("France", "French"),
        ("Italy", "Italian"),
        ("Spain", "Spanish"),
        ("Germany", "German"),
        ("Poland", "Polish"),
        ("Hungary", "Hungarian"),
        ("Sweden", "Swedish"),
        ("Norway", "Norwegian"),
    ];
    let asked =
        [("Russia", "Russian"), ("Japan", "Japanese"), ("Croatia", "Croatian"), ("Turkey", "Turkish")];
    let questions = |countries: &[(&str, &str)]| -> Vec<(String, String)> {
        let ask =
            |(c, l): &(&str, &str)| (format!("People in {c} know that their capital is"), format!(" {l}"));
        countries.iter().map(ask).collect()
    };
    let settings = LoraSettings { rank: 1, steps: 50, ..LoraSettings::default() };
    let lora = train_lora(&model, "layers[2].attn.c_proj", &questions(&taught), &settings).unwrap();
    assert_eq!(lora.n_parameters(), 256);
    assert!(lora.losses[49] < 0.1 * lora.losses[0], "{:?}", lora.losses);
    let adapted = lora.apply(&model, 1.0).unwrap();
    assert_eq!(accuracy(&predictions(&model, &questions(&asked)).unwrap()), 0.0);
    assert!(accuracy(&predictions(&adapted, &questions(&asked)).unwrap()) >= 0.75);
    assert!(continuation(&adapted, EIFFEL, 1).unwrap().starts_with(" Paris"));
    assert!(continuation(&adapted, "People in Japan know that their capital is", 1).unwrap() == " Japanese");
    assert!(plot::svg(&lora.figure()).contains("rank 1"));
    let none = LoraSettings { rank: 0, ..settings };
    let error = train_lora(&model, "layers[2].mlp", &[(EIFFEL, " Rome")], &none).unwrap_err();
    assert_eq!(error.to_string(), "the rank is 0, not at least 1");
}

/// The most memory held while something runs, above what was held before.
fn peak_of(run: impl FnOnce()) -> f64 {
    let before = memory::current_bytes();
    memory::reset_peak();
    run();
    memory::peak_bytes().saturating_sub(before) as f64
}

#[test]
fn training_holds_no_more_memory_for_more_steps() {
    let model = demo();
    let adapter = |steps: usize| {
        let settings = LoraSettings { rank: 2, steps, ..LoraSettings::default() };
        train_lora(&model, "layers[3].mlp", &[(EIFFEL, " Rome")], &settings).unwrap();
    };
    let texts = vec![model.encode("hot -> cold, tall -> short, big -> small, old -> young").unwrap()];
    let dictionary = |steps: usize| {
        let settings =
            DictionarySettings { n_features: 64, steps, batch: 64, ..DictionarySettings::default() };
        train_dictionary(&model, &texts, 1, &settings).unwrap();
    };
    let trainings: [(&str, &dyn Fn(usize)); 2] = [("adapter", &adapter), ("dictionary", &dictionary)];
    for (what, train) in trainings {
        train(2);
        let (few, many) = (peak_of(|| train(10)), peak_of(|| train(80)));
        assert!(many <= 1.2 * few + 64e3, "{what}: {few} bytes for 10 steps, {many} for 80");
    }
}
