//! Optimisers make of parameters what PyTorch's make of them, and a failed step changes nothing.
//!
//! The cases are written by `scripts/goldens/optim.py`, which says what they consist of.

use pellucid_tensor::optim::{AdamW, AdamWOptions, Optimizer, Sgd, SgdOptions, clip_global_norm};
use pellucid_tensor::{Engine, HostData, Tensor, TensorError, Value};
use serde_json::Value as Json;

fn floats(json: &Json) -> Vec<f32> {
    json.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
}

fn leaf(engine: &Engine, data: &[f32], dims: &[usize]) -> Tensor {
    engine.from_value(
        Value::from_bytes(&HostData::from_slice(data).bytes, pellucid_tensor::DType::F32, dims),
        Some("parameter"),
    )
}

fn optimizer(case: &Json) -> Box<dyn Optimizer> {
    let settings = &case["settings"];
    let number = |name: &str, default: f64| settings.get(name).map_or(default, |x| x.as_f64().unwrap());
    if case["optimizer"] == "sgd" {
        let defaults = SgdOptions::default();
        return Box::new(Sgd::new(SgdOptions {
            lr: number("lr", defaults.lr),
            momentum: number("momentum", defaults.momentum),
            weight_decay: number("weight_decay", defaults.weight_decay),
            nesterov: settings.get("nesterov").is_some_and(|x| x.as_bool().unwrap()),
        }));
    }
    let defaults = AdamWOptions::default();
    let betas = settings.get("betas").map_or(defaults.betas, |b| {
        let b = b.as_array().unwrap();
        (b[0].as_f64().unwrap(), b[1].as_f64().unwrap())
    });
    let exempt = case["exempt"].as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as usize);
    Box::new(
        AdamW::new(AdamWOptions {
            lr: number("lr", defaults.lr),
            betas,
            eps: number("eps", defaults.eps),
            weight_decay: number("weight_decay", defaults.weight_decay),
        })
        .without_decay(exempt),
    )
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() <= 2e-6 * expected.abs().max(1.0)
}

#[test]
fn updates_are_those_of_pytorch() {
    let goldens: Json = serde_json::from_str(include_str!("goldens_optim.json")).unwrap();
    let shapes: Vec<Vec<usize>> = serde_json::from_value(goldens["shapes"].clone()).unwrap();
    let cases = goldens["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for (number, case) in cases.iter().enumerate() {
        let engine = Engine::new();
        let start = case["start"].as_array().unwrap();
        let mut params: Vec<Tensor> =
            start.iter().zip(&shapes).map(|(data, dims)| leaf(&engine, &floats(data), dims)).collect();
        let mut optimizer = optimizer(case);
        for (at, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            optimizer.set_lr(case["rates"][at].as_f64().unwrap());
            let grads = step["grads"].as_array().unwrap().iter().zip(&shapes);
            let mut grads: Vec<Option<Tensor>> = grads
                .map(|(data, dims)| (!data.is_null()).then(|| leaf(&engine, &floats(data), dims)))
                .collect();
            if let Some(max) = case["clip"].as_f64() {
                let norm;
                (grads, norm) = clip_global_norm(&grads, max).unwrap();
                let expected = step["norm"].as_f64().unwrap();
                params = optimizer.step_with(&params, &grads, std::slice::from_ref(&norm)).unwrap();
                assert!(norm.is_evaluated(), "asked for along with the step");
                let got = norm.to_f64s().unwrap()[0];
                assert!(close(got, expected), "case {number}, step {at}: norm {got}, expected {expected}");
            } else {
                params = optimizer.step(&params, &grads).unwrap();
            }
            for (i, param) in params.iter().enumerate() {
                assert!(param.inputs().is_empty() && param.is_evaluated(), "a new version is a leaf");
                let expected = floats(&step["params"][i]);
                for (got, &expected) in param.to_vec::<f32>().unwrap().iter().zip(&expected) {
                    assert!(
                        close(f64::from(*got), f64::from(expected)),
                        "case {number}, step {at}, parameter {i}: {got}, expected {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_step_that_cannot_be_computed_leaves_the_state_alone() {
    let engine = Engine::new();
    let options = AdamWOptions::default();
    let (mut interrupted, mut plain) = (AdamW::new(options), AdamW::new(options));
    let param = leaf(&engine, &[1.0, 2.0], &[2]);
    let grad = [Some(leaf(&engine, &[0.5, -0.5], &[2]))];
    let params = [param];
    plain.step(&params, &grad).unwrap();
    interrupted.step(&params, &grad).unwrap();

    let flag = engine.interrupt_flag();
    flag.store(true, std::sync::atomic::Ordering::Relaxed);
    // Another gradient than before, so that nothing of the step is known already.
    let other = [Some(leaf(&engine, &[0.25, 3.0], &[2]))];
    assert_eq!(interrupted.step(&params, &other).unwrap_err(), TensorError::Interrupted);
    flag.store(false, std::sync::atomic::Ordering::Relaxed);

    let after = |optimizer: &mut AdamW| optimizer.step(&params, &other).unwrap()[0].to_vec::<f32>().unwrap();
    assert_eq!(after(&mut interrupted), after(&mut plain));
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let engine = Engine::new();
    let param = leaf(&engine, &[1.0, 2.0], &[2]);
    let grad = leaf(&engine, &[1.0], &[1]);
    let mut sgd = Sgd::new(SgdOptions::default());
    let error = sgd.step(std::slice::from_ref(&param), &[]).unwrap_err();
    assert!(matches!(error, TensorError::Argument { op: "sgd", .. }), "{error}");
    let error = sgd.step(std::slice::from_ref(&param), &[Some(grad)]).unwrap_err();
    assert!(matches!(error, TensorError::Shape { op: "sgd", .. }), "{error}");
    sgd.step(std::slice::from_ref(&param), &[None]).unwrap();
    let error = sgd.step(&[param.clone(), param], &[None, None]).unwrap_err();
    assert!(matches!(error, TensorError::Argument { op: "sgd", .. }), "{error}");
    assert!(matches!(clip_global_norm(&[None], 1.0), Err(TensorError::Argument { .. })));
}
