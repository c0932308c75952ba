//! A training run, at a size that takes seconds: what it writes, that it repeats itself, and how it stops.

use std::path::Path;
use std::sync::atomic::Ordering;

use pellucid_demo::{Progress, Recipe, TrainError, TrainOptions, train};

fn tiny() -> Recipe {
    Recipe {
        n_ctx: 64,
        d_model: 16,
        n_layers: 1,
        n_heads: 2,
        opening_steps: 2,
        opening_seq: 8,
        rows: 2,
        seq: 16,
        steps: 6,
        warm_up: 2,
        fall: 2,
        ..Recipe::default()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_writes_a_whole_model_folder_and_repeats_itself_to_the_byte() {
    let place = tempfile::tempdir().unwrap();
    let mut weights = Vec::new();
    for name in ["first", "second"] {
        let options =
            TrainOptions { measure_every: 4, sample: 1, ..TrainOptions::new(place.path().join(name)) };
        let mut steps_seen = 0;
        let report = train(&tiny(), &options, &mut |progress| {
            if let Progress::Steps { point, .. } = progress {
                steps_seen = point.step;
            }
        })
        .unwrap();
        assert_eq!(steps_seen, 6);
        // Nearly every token is still as likely as every other.
        assert!((report.run.final_loss - 2048_f64.ln()).abs() < 1.0, "{}", report.run.final_loss);
        assert_eq!(report.curve.measured.len(), 1);
        let n_probes: usize = report.measured.accuracies.iter().map(|row| row.n_probes).sum();
        assert_eq!(n_probes, pellucid_demo::evaluation().len());
        let folder = place.path().join(name);
        assert_eq!(
            names(&folder),
            [
                "README.md",
                "config.json",
                "curve.json",
                "generation_config.json",
                "model.safetensors",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json"
            ]
        );
        weights.push(std::fs::read(folder.join("model.safetensors")).unwrap());
    }
    assert_eq!(names(place.path()), ["first", "second"], "nothing is left beside the folders");
    assert!(weights[0].len() > 4 * tiny().n_parameters());
    assert!(weights[0] == weights[1]);
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let options = TrainOptions::new(place.path().join("model"));
    let flag = options.engine.interrupt_flag();
    let error = train(&tiny(), &options, &mut |progress| {
        if matches!(progress, Progress::Started { .. }) {
            flag.store(true, Ordering::Relaxed);
        }
    })
    .unwrap_err();
    assert!(matches!(error, TrainError::Interrupted { step: 0 }), "{error}");
    assert!(names(place.path()).is_empty());
}

#[test]
fn a_folder_of_other_things_is_refused_before_anything_is_computed() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("thesis.txt"), "all of it").unwrap();
    let error = train(&tiny(), &TrainOptions::new(place.path()), &mut |_| panic!("no progress")).unwrap_err();
    assert!(matches!(error, TrainError::Occupied { .. }), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(names(place.path()), ["thesis.txt"]);
}
