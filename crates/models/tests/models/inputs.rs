//! What a model is called with: what it cannot use is refused, not ignored.

use std::rc::Rc;

use crate::goldens::cases;
use crate::recorder::Recorder;
use crate::weights::Drawn;
use pellucid_models::build;
use pellucid_nn::{Args, KvCache, Model, NnError, Value};
use pellucid_tensor::{DType, Engine, Tensor};

fn model(family: &str) -> Model {
    let engine = Engine::new();
    let mut weights = Drawn { engine: engine.clone(), seed: 1, dtype: DType::F32, norm: 1.0, matrix: 0.4 };
    build(cases(family)[0].config(), &mut weights, &engine).expect("a model")
}

fn ids(model: &Model, dims: &[usize]) -> Tensor {
    let n: usize = dims.iter().product();
    model.engine().from_vec((1..=n as i64).collect(), dims).expect("tokens")
}

fn fault(model: &Model, args: Args) -> String {
    model.forward(args).expect_err("a fault").to_string()
}

#[test]
fn token_ids_of_another_rank_are_refused() {
    for (family, body) in [("gpt2", "transformer"), ("llama", "model"), ("gpt_neox", "gpt_neox")] {
        let model = model(family);
        let message = fault(&model, Model::root_args(ids(&model, &[4]), None, None));
        let expected = format!(
            "`{body}`: argument `input_ids`: expected token ids of shape [batch, seq], got int64 tensor of shape [4]"
        );
        assert_eq!(message, expected);
        let message = fault(&model, Args::default());
        assert_eq!(message, format!("`{body}`: argument `input_ids`: expected a tensor, got None"));
    }
}

#[test]
fn a_mask_of_another_shape_is_refused() {
    let model = model("llama");
    let mask = model.engine().ones(&[1, 5], DType::I64);
    let message = fault(&model, Model::root_args(ids(&model, &[1, 4]), Some(mask), None));
    assert!(message.contains("argument `attention_mask`: expected one number for each token"), "{message}");
}

#[test]
fn arguments_that_are_not_supported_are_refused_and_harmless_ones_accepted() {
    for family in ["gpt2", "gptj", "gpt_neox", "gemma2"] {
        let model = model(family);
        let call = |name, value| Model::root_args(ids(&model, &[1, 4]), None, None).with(name, value);
        for (name, value) in [
            ("token_type_ids", Value::tensor(ids(&model, &[1, 4]))),
            ("inputs_embeds", Value::tensor(ids(&model, &[1, 4]))),
        ] {
            let message = fault(&model, call(name, value));
            assert!(message.contains(&format!("argument `{name}`: expected none")), "{message}");
        }
        assert!(model.forward(call("output_attentions", Value::Bool(false))).is_ok());
    }
}

#[test]
fn more_tokens_than_learned_positions_are_refused_with_both_numbers() {
    for family in ["gpt2", "gptj"] {
        let model = model(family);
        let error = model.logits(&ids(&model, &[1, 33]), None).expect_err("a context of 32");
        assert!(matches!(error, NnError::ContextLength { got: 33, limit: 32 }), "{error}");
        let cache = Rc::new(KvCache::default());
        let first = model.forward(Model::root_args(ids(&model, &[1, 30]), None, Some(cache.clone())));
        assert!(first.is_ok());
        let error = model.forward(Model::root_args(ids(&model, &[1, 3]), None, Some(cache)));
        assert!(matches!(error, Err(NnError::ContextLength { got: 33, limit: 32 })));
    }
}

#[test]
fn logits_to_keep_unembeds_the_last_positions_only() {
    for family in ["llama", "gpt_neox", "gemma2"] {
        let model = model(family);
        let prompt = ids(&model, &[2, 5]);
        let all = model.logits(&prompt, None).expect("logits");
        for (keep, left) in [(0, 5), (1, 1), (3, 3), (9, 5)] {
            let args = Model::root_args(prompt.clone(), None, None).with("logits_to_keep", Value::Int(keep));
            let output = model.forward(args).expect("a forward pass");
            let Value::Record(record) = output else { panic!("a record") };
            let kept = record.get("logits").and_then(|v| v.as_var()?.get().ok()).expect("logits");
            let last = all.narrow(1, -left, left as usize).expect("the last positions");
            assert!(kept.to_f64s().expect("values") == last.to_f64s().expect("values"), "{family} {keep}");
        }
    }
}

#[test]
fn the_pattern_reaches_the_dropout_that_acts_on_it() {
    for family in ["gpt2", "gptj"] {
        let model = model(family);
        let recorder = Recorder::new(&model);
        recorder.run(Model::root_args(ids(&model, &[1, 4]), None, None)).expect("a forward pass");
        let outputs = recorder.outputs.take();
        let (_, pattern) =
            outputs.iter().find(|(p, _)| p.ends_with("h.0.attn.attn_dropout")).expect("a call");
        assert_eq!(pattern[0].dims(), [1, 2, 4, 4]);
        for row in pattern[0].to_f64s().expect("a pattern").chunks(4) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{row:?}");
        }
    }
}
