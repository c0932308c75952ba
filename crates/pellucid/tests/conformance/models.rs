//! The suite's models, and running a case on one.

use std::path::Path;
use std::rc::Rc;

use pellucid_hub::Tokenizer;
use pellucid_nn::{Model, Result, Value, WeightSource};
use pellucid_program::parse;
use pellucid_runtime::{Callback, Encoder, Loaded, Outcome, RunError, RunErrorKind, RunOptions, Runner};
use pellucid_tensor::{DType, Engine, HostData, Tensor, Value as Buffer};
use serde_json::Value as Json;

use crate::case::{Arrays, Case};
use crate::{compare, root};

/// Weights that follow from their names: uniform draws from splitmix64, started by a name's FNV-1a hash and a seed, as
/// `scripts/goldens/models.py` makes them.
struct Drawn {
    engine: Engine,
    seed: u64,
    /// Bound on the elements of matrices.
    matrix: f32,
}

impl WeightSource for Drawn {
    fn weight(&mut self, name: &str, dims: &[usize]) -> Result<Tensor> {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let hash = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
        let start = hash ^ self.seed.wrapping_mul(STEP);
        let elements = (1..=dims.iter().product::<usize>() as u64).map(|i| {
            let mut z = start.wrapping_add(i.wrapping_mul(STEP));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            let u = (z >> 40) as f32 * 2f32.powi(-23) - 1.0;
            match dims {
                [_, _, ..] => self.matrix * u,
                _ if name.ends_with("bias") => 0.1 * u,
                _ => 1.0 + 0.2 * u,
            }
        });
        let flat: Vec<f32> = elements.collect();
        let data = HostData::from_slice(&flat);
        Ok(self.engine.from_value(Buffer::from_bytes(&data.bytes, DType::F32, dims), Some(name)))
    }
}

fn build(name: &str) -> Model {
    let text = std::fs::read_to_string(root().join("models.json")).expect("the models");
    let text: Json = serde_json::from_str(&text).expect("JSON");
    let engine = Engine::new();
    let mut weights = Drawn {
        engine: engine.clone(),
        seed: text["seeds"][name].as_u64().expect("a seed"),
        matrix: text["matrix"].as_f64().expect("a bound") as f32,
    };
    pellucid_models::build(&text["configs"][name], &mut weights, &engine).expect("a model")
}

/// Words as tokens.
struct Words(Tokenizer);

impl Words {
    fn load(folder: &Path) -> Words {
        Words(Tokenizer::load(folder).expect("a tokenizer"))
    }
}

impl Encoder for Words {
    fn encode(&self, prompt: &str) -> std::result::Result<Vec<i64>, String> {
        let encoding = self.0.encode(prompt, true).map_err(|e| e.to_string())?;
        Ok(encoding.ids.into_iter().map(i64::from).collect())
    }

    fn pad_id(&self) -> i64 {
        0
    }
}

/// Functions that programs apply by number: 0 doubles a tensor.
fn callbacks() -> Vec<Callback> {
    let double: Callback = Rc::new(|values| match values {
        [Value::Tensor(var)] => {
            let tensor = var.get().map_err(|e| e.to_string())?;
            tensor.add(&tensor).map(Value::tensor).map_err(|e| e.to_string())
        }
        other => Err(format!("expected one tensor, got {}", other.len())),
    });
    vec![double]
}

fn outcome(case: &Case, model: &Model) -> std::result::Result<Outcome, RunError> {
    let program = parse(&case.text).unwrap_or_else(|e| panic!("{e}"));
    let encoder = Words::load(&root().join("tokenizer"));
    let callbacks = callbacks();
    let models = [Loaded { model, encoder: Some(&encoder) }];
    let runner = Runner { models: &models, callbacks: &callbacks };
    runner.run(&program, RunOptions { scan: case.is_scan, ..RunOptions::default() })
}

/// Runs a case and compares; the fault says what is not as expected.
pub(crate) fn run(case: &Case, arrays: &Arrays) -> std::result::Result<(), String> {
    let model = build(&case.model);
    let done = match (outcome(case, &model), &case.fault) {
        (Err(got), Some(expected)) => return compare::fault(case, expected, &got),
        (Err(got), None) => return Err(got.to_string()),
        (Ok(_), Some(expected)) => return Err(format!("expected the fault `{}`, got none", expected.kind)),
        (Ok(done), None) => done,
    };
    let program = parse(&case.text).unwrap_or_else(|e| panic!("{e}"));
    for (name, expected) in &case.expected {
        if name == "logged" {
            let lines = done.logs.iter().map(|line| Value::list(line.values.iter().cloned()));
            compare::value(case, arrays, true, name, &Value::list(lines.collect::<Vec<_>>()), expected)?;
            continue;
        }
        let bound = program.bindings.iter().find(|(bound, _)| bound == name);
        let (_, node) = bound.ok_or_else(|| format!("`{name}` is not bound"))?;
        let is_absent = expected.get("absent").is_some();
        match done.value(*node) {
            Ok(got) if is_absent => {
                return Err(format!("`{name}`: expected nothing, got {}", compare::show(got)));
            }
            Ok(got) => {
                let elements = !case.shapes_only.contains(name);
                compare::value(case, arrays, elements, name, got, expected)?;
            }
            Err(e) if is_absent && matches!(*e.kind, RunErrorKind::NotSaved) => {}
            Err(e) => return Err(format!("`{name}`: {e}")),
        }
    }
    Ok(())
}
