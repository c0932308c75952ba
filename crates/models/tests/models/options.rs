//! Options of the forward pass give what transformers gives: loss, hidden states, attention patterns.

use std::rc::Rc;

use crate::goldens::{Case, array_file, cases, sample};
use crate::parity::{distance, floats, largest, logits, model, row, tolerance};
use pellucid_models::FAMILIES;
use pellucid_nn::{Args, KvCache, Model, Value};
use pellucid_tensor::{DType, Tensor, grad::grad};

fn all_cases() -> impl Iterator<Item = (String, Case)> {
    let families = FAMILIES.iter().map(|f| f.model_type);
    families.flat_map(|f| cases(f).into_iter().map(move |case| (format!("{f} {}", case.name), case)))
}

fn field(output: &Value, name: &str) -> Value {
    let Value::Record(record) = output else { panic!("{}", output.kind()) };
    record.get(name).unwrap_or_else(|| panic!("no `{name}`"))
}

fn tensors(value: &Value) -> Vec<Tensor> {
    let Value::Tuple(items) = value else { panic!("{}", value.kind()) };
    items.iter().map(|item| item.as_var().expect("a tensor").get().expect("a tensor")).collect()
}

fn both() -> Args {
    Args::default()
        .with_all([("output_hidden_states", Value::Bool(true)), ("output_attentions", Value::Bool(true))])
}

/// Every fourth of the ids and the first two left out, as in the script.
fn labels(ids: &[i64]) -> Vec<i64> {
    let of = |(i, &id): (usize, &i64)| if i < 2 || i % 4 == 3 { -100 } else { id };
    ids.iter().enumerate().map(of).collect()
}

fn agree(all: &[Tensor], expected: &[f32], within: f64, what: &str) {
    let got: Vec<f64> = all.iter().flat_map(|t| sample(&floats(t))).collect();
    let d = distance(&got, expected);
    assert!(d <= within * largest(expected).max(1.0), "{what} differ by {d}");
}

#[test]
fn loss_hidden_states_and_attentions_are_those_of_transformers() {
    let mut goldens = array_file("options.safetensors");
    for (name, case) in all_cases() {
        let golden = goldens.remove(&name).expect("a golden");
        let (model, ids, within) = (model(&case), case.ids(), tolerance(case.dtype()));
        let sizes = model.skeleton();
        let mut args = Model::root_args(row(&model, &ids), None, None);
        args.named.extend(both().named);
        args.set("labels", Value::tensor(row(&model, &labels(&ids))));
        let output = model.forward(args).expect("a forward pass");

        let loss = field(&output, "loss").as_var().expect("a loss").get().expect("a loss");
        let distance = distance(&floats(&loss), &golden["loss"]);
        assert!(distance <= within, "{name}: the loss differs by {distance}");
        let plain = model.logits(&row(&model, &ids), None).expect("logits");
        assert!(floats(&logits(&output)) == floats(&plain), "{name}: asking changes the logits");

        let hidden = tensors(&field(&output, "hidden_states"));
        assert_eq!(hidden.len(), sizes.n_layers + 1, "{name}");
        assert!(hidden.iter().all(|h| h.dims() == [1, ids.len(), sizes.d_model]), "{name}");
        agree(&hidden, &golden["hidden_states"], within, &format!("{name}: hidden states"));
        let patterns = tensors(&field(&output, "attentions"));
        assert_eq!(patterns.len(), sizes.n_layers, "{name}");
        assert!(patterns.iter().all(|p| p.dims() == [1, sizes.n_heads, ids.len(), ids.len()]), "{name}");
        assert!(patterns.iter().all(|p| p.dtype() == case.dtype()), "{name}");
        agree(&patterns, &golden["attentions"], within, &format!("{name}: attentions"));
        if let Some(expected) = golden.get("cached_attentions") {
            let cache = Rc::new(KvCache::default());
            let first = Model::root_args(row(&model, &ids), None, Some(cache.clone()));
            model.forward(first).expect("a forward pass");
            let mut args = Model::root_args(row(&model, &[9]), None, Some(cache));
            args.named.extend(both().named);
            let output = model.forward(args).expect("a forward pass");
            let patterns = tensors(&field(&output, "attentions"));
            assert!(patterns.iter().all(|p| p.dims() == [1, sizes.n_heads, 1, ids.len() + 1]), "{name}");
            agree(&patterns, expected, within, &format!("{name}: attentions with a cache"));
            let hidden = tensors(&field(&output, "hidden_states"));
            agree(
                &hidden,
                &golden["cached_hidden_states"],
                within,
                &format!("{name}: hidden states with a cache"),
            );
        }
    }
    assert!(goldens.is_empty(), "goldens without a case");
}

#[test]
fn a_loss_reaches_the_residual_stream() {
    for family in FAMILIES {
        let case = cases(family.model_type).swap_remove(0);
        let model = model(&case);
        let ids = row(&model, &case.ids());
        let mut args = Model::root_args(ids.clone(), None, None);
        args.named.extend(both().named);
        args.set("labels", Value::tensor(ids));
        let output = model.forward(args).expect("a forward pass");
        let loss = field(&output, "loss").as_var().expect("a loss").get().expect("a loss");
        let hidden = tensors(&field(&output, "hidden_states"));
        let gradients = grad(&loss, &hidden[..1]).expect("a gradient");
        let gradient = gradients[0].as_ref().expect("reached");
        assert!(largest(&gradient.to_vec::<f32>().expect("values")) > 1e-6, "{}", family.model_type);
    }
}

#[test]
fn outputs_have_only_the_fields_that_were_asked_for() {
    for family in FAMILIES {
        let case = cases(family.model_type).swap_remove(0);
        let model = model(&case);
        let names = |extra: Args| -> Vec<String> {
            let mut args = Model::root_args(row(&model, &case.ids()), None, None);
            extra.named.into_iter().for_each(|(name, value)| args.set(name, value));
            let Value::Record(record) = model.forward(args).expect("a pass") else { panic!("a record") };
            record.fields.borrow().iter().map(|(name, _)| name.to_string()).collect()
        };
        assert_eq!(names(Args::default()), ["logits", "past_key_values"]);
        let one = Args::default().with("output_attentions", Value::Bool(true));
        assert_eq!(names(one), ["logits", "past_key_values", "attentions"]);
        let all = both().with("labels", Value::tensor(row(&model, &case.ids())));
        assert_eq!(names(all), ["loss", "logits", "past_key_values", "hidden_states", "attentions"]);
    }
}

#[test]
fn options_of_another_kind_or_shape_are_refused() {
    let case = cases("llama").swap_remove(0);
    let model = model(&case);
    let fault = |name, value| {
        let args = Model::root_args(row(&model, &case.ids()), None, None).with_all([(name, Value::None)]);
        let mut args = args;
        args.set(name, value);
        model.forward(args).expect_err("a fault").to_string()
    };
    assert_eq!(
        fault("output_attentions", Value::Int(2)),
        "`model`: argument `output_attentions`: expected a truth value, got int"
    );
    let short = Value::tensor(row(&model, &[1, 2]));
    let message = fault("labels", short);
    let expected =
        "argument `labels`: expected a token id for each of the logits, of shape [batch, seq], got int64";
    assert!(message.contains(expected), "{message}");
    let single = model.engine().full(&[1, 12], 1.0, DType::F32);
    assert!(fault("labels", Value::tensor(single)).contains("argument `labels`"));
}
