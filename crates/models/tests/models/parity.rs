//! Models agree with transformers: logits, every module's output, gradients, continuations, padded batches.

use std::rc::Rc;

use crate::goldens::{Case, cases, sample};
use crate::recorder::Recorder;
use crate::weights::Drawn;
use pellucid_models::{FAMILIES, build};
use pellucid_nn::{KvCache, Model, Value};
use pellucid_tensor::{DType, Engine, Rewrites, Tensor, grad::grad};

/// The case's model, with the weights of the script.
pub(crate) fn model(case: &Case) -> Model {
    let engine = Engine::new();
    let norm = if case.config()["model_type"] == "gemma2" { 0.0 } else { 1.0 };
    let matrix = case.text["matrix"].as_f64().expect("a bound") as f32;
    let mut weights = Drawn { engine: engine.clone(), seed: case.seed(), dtype: case.dtype(), norm, matrix };
    build(case.config(), &mut weights, &engine).expect("a model")
}

pub(crate) fn row(model: &Model, ids: &[i64]) -> Tensor {
    model.engine().from_vec(ids.to_vec(), &[1, ids.len()]).expect("a row of tokens")
}

/// The logits a root returned.
pub(crate) fn logits(output: &Value) -> Tensor {
    let Value::Record(record) = output else { panic!("{}", output.kind()) };
    record.get("logits").and_then(|v| v.as_var()?.get().ok()).expect("logits")
}

pub(crate) fn floats(tensor: &Tensor) -> Vec<f64> {
    tensor.to_f64s().expect("values")
}

/// The largest difference, NaN included.
pub(crate) fn distance(got: &[f64], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let each = got.iter().zip(expected).map(|(&a, &b)| (a - f64::from(b)).abs());
    each.fold(0.0, |worst, d| if d <= worst { worst } else { d })
}

/// The size of the largest element.
pub(crate) fn largest(all: &[f32]) -> f64 {
    all.iter().fold(0.0, |a, b| f64::from(b.abs()).max(a))
}

/// What the reference's numbers may differ by.
pub(crate) fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F32 { 1e-4 } else { 3e-2 }
}

/// Compares logits, outputs of all modules, and gradients at all blocks, with and without the planner's rewrites.
fn agrees(family: &str) {
    let plain = cases(family).into_iter().map(|case| (case, Rewrites::OFF));
    for (case, rewrites) in plain.chain(cases(family).into_iter().map(|case| (case, Rewrites::default()))) {
        let model = model(&case);
        model.engine().set_rewrites(rewrites);
        let rewritten = if rewrites == Rewrites::OFF { "plain" } else { "rewritten" };
        let name = format!("{family} {} {rewritten}", case.name);
        let within = tolerance(case.dtype());
        let recorder = Recorder::new(&model);
        let ids = row(&model, &case.ids());
        let output = recorder.run(Model::root_args(ids.clone(), None, None)).expect("a forward pass");
        let got = logits(&output);
        let d = distance(&floats(&got), case.array("logits"));
        assert!(d <= within, "{name}: logits differ by {d}");
        let unseen = model.logits(&ids, None).expect("logits");
        assert!(floats(&unseen) == floats(&got), "{name}: looking changes the logits");

        let recorded = recorder.outputs.take();
        let expected = case.outputs();
        let paths = |all: Vec<&String>| all.into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            paths(recorded.iter().map(|(p, _)| p).collect()),
            paths(expected.iter().map(|(p, _)| p).collect()),
            "{name}: modules in the order in which they return"
        );
        for ((path, tensors), (_, expected)) in recorded.iter().zip(&expected) {
            let flat: Vec<f64> = tensors.iter().flat_map(floats).collect();
            let d = distance(&sample(&flat), expected);
            let size = if case.dtype() == DType::F32 { 1.0 } else { largest(expected).max(1.0) };
            assert!(d <= within * size, "{name}: output of {path} differs by {d}");
        }

        let place = |token: i64| -> Tensor {
            let last = got.narrow(1, -1, 1).expect("the last position");
            last.narrow(2, token, 1).expect("a token").cast(DType::F32)
        };
        let loss = place(5).sub(&place(7)).expect("a difference");
        let gradients = grad(&loss, &recorder.residuals.take()).expect("gradients");
        let flat: Vec<f64> = gradients.iter().flat_map(|g| floats(g.as_ref().expect("reached"))).collect();
        let expected = case.array("gradients");
        let d = distance(&flat, expected);
        assert!(d <= within * largest(expected), "{name}: gradients differ by {d}");
    }
}

#[test]
fn gpt2_agrees_with_transformers() {
    agrees("gpt2");
}

#[test]
fn gpt_neox_agrees_with_transformers() {
    agrees("gpt_neox");
}

#[test]
fn gptj_agrees_with_transformers() {
    agrees("gptj");
}

#[test]
fn llama_agrees_with_transformers() {
    agrees("llama");
}

#[test]
fn mistral_agrees_with_transformers() {
    agrees("mistral");
}

#[test]
fn qwen2_agrees_with_transformers() {
    agrees("qwen2");
}

#[test]
fn gemma2_agrees_with_transformers() {
    agrees("gemma2");
}

fn all_cases() -> impl Iterator<Item = (String, Case)> {
    let families = FAMILIES.iter().map(|f| f.model_type);
    families.flat_map(|f| cases(f).into_iter().map(move |case| (format!("{f} {}", case.name), case)))
}

#[test]
fn continuations_with_a_cache_are_those_of_transformers() {
    for (name, case) in all_cases() {
        let model = model(&case);
        let cache = Rc::new(KvCache::default());
        let mut next = case.ids();
        let mut continuation = Vec::new();
        for _ in 0..case.greedy().len() {
            let args = Model::root_args(row(&model, &next), None, Some(cache.clone()));
            let output = model.forward(args).expect("a forward pass");
            let last = logits(&output).narrow(1, -1, 1).expect("the last position");
            let best = last.arg_extreme(true, None, false).expect("a token");
            let token = best.to_vec::<i64>().expect("a token")[0];
            continuation.push(token);
            next = vec![token];
            cache.detach().expect("keys and values");
        }
        assert_eq!(continuation, case.greedy(), "{name}");
    }
}

/// Logits after each of two passes with one cache: over `ids`, then over one more token for each row.
fn two_passes(model: &Model, ids: Tensor, next: Tensor, masks: [Option<Tensor>; 2]) -> [Tensor; 2] {
    let cache = Rc::new(KvCache::default());
    let mut passes = [ids, next].into_iter().zip(masks).map(|(ids, mask)| {
        let output = model.forward(Model::root_args(ids, mask, Some(cache.clone()))).expect("a forward pass");
        logits(&output)
    });
    [passes.next(), passes.next()].map(|logits| logits.expect("two passes"))
}

#[test]
fn rows_of_a_padded_batch_are_their_own_single_runs_with_a_cache_too() {
    for (name, case) in all_cases() {
        let model = model(&case);
        let rows = case.rows();
        let width = rows.iter().map(Vec::len).max().expect("rows");
        let batch = |of: &dyn Fn(i64) -> i64, extra: usize| -> Tensor {
            let row = |r: &Vec<i64>| -> Vec<i64> {
                let own = r.iter().map(|&id| of(id)).chain(std::iter::repeat_n(1, extra));
                std::iter::repeat_n(0, width - r.len()).chain(own).collect()
            };
            let flat = rows.iter().flat_map(row).collect::<Vec<i64>>();
            model.engine().from_vec(flat, &[rows.len(), width + extra]).expect("a batch")
        };
        let next = |n: usize| model.engine().full(&[n, 1], 9, DType::I64);
        let masks = [Some(batch(&|_| 1, 0)), Some(batch(&|_| 1, 1))];
        let [together, after] = two_passes(&model, batch(&|id| id, 0), next(rows.len()), masks);
        let expected = case.array("padded");
        for (i, ids) in rows.iter().enumerate() {
            let own = |logits: &Tensor, n: usize| -> Vec<f64> {
                let row = logits.narrow(0, i as i64, 1).and_then(|t| t.narrow(1, -(n as i64), n));
                floats(&row.expect("the row's real positions"))
            };
            let [alone, alone_after] = two_passes(&model, row(&model, ids), next(1), [None, None]);
            let single = |t: &Tensor| floats(t).into_iter().map(|x| x as f32).collect::<Vec<f32>>();
            let d = distance(&own(&together, ids.len()), &single(&alone));
            assert!(d <= 2e-6, "{name}: row {i} differs by {d} from its own run");
            let d = distance(&own(&after, 1), &single(&alone_after));
            assert!(d <= 2e-6, "{name}: the token after row {i} differs by {d} from its own run");
            let d = distance(&sample(&own(&together, ids.len())), &expected[i * 24..][..24]);
            assert!(d <= tolerance(case.dtype()), "{name}: row {i} differs by {d} from transformers");
        }
    }
}

#[test]
fn modules_are_called_as_in_transformers() {
    for family in FAMILIES {
        let case = cases(family.model_type).swap_remove(0);
        let model = model(&case);
        let two: Vec<i64> =
            [1, 2].iter().flat_map(|s| (0..4).map(move |i| (s * 31 + i * i * 7 + i * 13) % 94 + 1)).collect();
        let ids = model.engine().from_vec(two, &[2, 4]).expect("two rows");
        let mask = model.engine().ones(&[2, 4], DType::I64);
        let recorder = Recorder::new(&model);
        recorder
            .run(
                pellucid_nn::Args::default()
                    .with("input_ids", Value::tensor(ids))
                    .with("attention_mask", Value::tensor(mask)),
            )
            .expect("a forward pass");
        let expected = case.lines("calls");
        let mut got = recorder.calls.take();
        // GPT-2's fused attention, which the reference runs by default, drops out by itself; here the place exists.
        if family.model_type == "gpt2" {
            got.retain(|line| !line.contains("attn_dropout"));
        }
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got, expected, "{}", family.model_type);
        }
        assert_eq!(got.len(), expected.len(), "{}", family.model_type);
    }
}

#[test]
fn trees_print_as_in_pytorch() {
    for (name, case) in all_cases() {
        let printed = model(&case).tree().printout();
        assert_eq!(printed.lines().collect::<Vec<_>>(), case.lines("printout"), "{name}");
    }
}
