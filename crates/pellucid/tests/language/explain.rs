//! What a program would do, and what it may cost.

use pellucid::{Budget, Generation, Result, RunErrorKind};

use crate::model;

#[test]
fn work_that_invokes_share_is_counted_once() -> Result<()> {
    let model = model();
    let trace = model.trace();
    for layer in 0..2 {
        let prompt = trace.invoke([1, 2, 3, 4]);
        prompt.resid_post(layer).set((.., -1), 0.0);
        let _ = prompt.logits().save();
    }
    let explanation = trace.explain()?;
    assert!(explanation.flops < explanation.flops_unshared);
    let work = |name: &str| {
        let found = explanation.products.iter().find(|p| p.parameter == name);
        found.map(|p| (p.variants, p.rows)).unwrap_or_default()
    };
    assert_eq!(work("transformer.h.0.mlp.c_fc.weight"), (1, 4), "{explanation}");
    assert_eq!(work("transformer.h.1.mlp.c_fc.weight"), (2, 8), "{explanation}");
    assert!(explanation.unknown.is_empty());
    assert!(explanation.to_string().contains("% of the work is shared between invokes"));
    Ok(())
}

#[test]
fn what_depends_on_computed_values_is_said_with_its_line() -> Result<()> {
    let model = model();
    let trace = model.generate_with(Generation::new(5));
    let prompt = trace.invoke([1, 2, 3]);
    let mean = prompt.resid_post(0).op("mean", []);
    trace.cond(&mean, || prompt.resid_post(1).assign(0.0));
    let line = line!() - 1;
    let explanation = trace.explain()?;
    let said = explanation.to_string();
    assert!(said.contains(&format!("explain.rs:{line}: ")), "{said}");
    assert!(said.contains("the first of up to 5 steps"), "{said}");
    Ok(())
}

#[test]
fn a_program_over_its_budget_is_refused_with_the_figures() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let logits = trace.invoke([1, 2, 3]).logits().save();
    let needed = trace.explain()?;
    let exact = Budget { flops: Some(needed.flops), ..Budget::default() };
    assert!(trace.run_within(exact)?.has(&logits));
    for budget in [
        Budget { flops: Some(needed.flops - 1), ..Budget::default() },
        Budget { bytes: Some(100), ..Budget::default() },
        Budget { seconds: Some(1e-12), ..Budget::default() },
    ] {
        match trace.run_within(budget).expect_err("too much") {
            pellucid::Error::Run(e) => assert!(matches!(*e.kind, RunErrorKind::OverBudget { .. }), "{e}"),
            other => panic!("{other}"),
        }
    }
    Ok(())
}

#[test]
fn a_skeleton_without_weights_is_explained() -> Result<()> {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 128_256, "hidden_size": 8192, "intermediate_size": 28_672,
        "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
    });
    let model = pellucid::Model::skeleton_of(config)?;
    let trace = model.trace();
    let _ = trace.invoke([1, 2, 3]).logits().save();
    let explanation = trace.explain()?;
    // Two operations for each of 69 billion weights and each of three tokens.
    assert!(explanation.flops > 400_000_000_000, "{explanation}");
    assert!(explanation.parameter_bytes > 270_000_000_000, "{explanation}");
    Ok(())
}

#[test]
fn many_places_are_kept_at_once() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    let names = ["layers[0]", "layers[1].attn", "layers[1].mlp"];
    let kept = prompt.cache(&names, Some((.., -1).into()), Some(pellucid::DType::F16));
    let results = trace.run()?;
    let pellucid::Value::Dict(pairs) = results.value(&kept)? else { panic!("a dictionary") };
    assert_eq!(pairs.borrow().len(), 3);
    for (_, value) in pairs.borrow().iter() {
        let tensor = value.as_var().expect("a tensor").get()?;
        assert_eq!((tensor.dims(), tensor.dtype()), ([1, 16].as_slice(), pellucid::DType::F16));
    }
    Ok(())
}

#[test]
fn all_mistakes_that_need_no_values_are_told_together_and_before_anything_happens() -> Result<()> {
    let model = model();
    let called = std::rc::Rc::new(std::cell::Cell::new(0));
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    let hidden = prompt.resid_post(0);
    let counter = called.clone();
    hidden.apply(move |_| {
        counter.set(counter.get() + 1);
        Ok(None)
    });
    hidden.set((.., 9), 0.0);
    let first = line!() - 1;
    let wrong = prompt.mlp_out(1).op("matmul", [(&hidden).into()]);
    let second = line!() - 1;
    let _ = (&wrong + 1.0).save();
    prompt.set_output("lm_head", prompt.logits().at((.., 7)));
    let third = line!() - 1;
    let error = trace.run().expect_err("three mistakes").to_string();
    for line in [first, second, third] {
        assert!(error.contains(&format!("explain.rs:{line}: ")), "{error}");
    }
    assert_eq!(error.lines().count(), 3, "{error}");
    assert_eq!(called.get(), 0);
    Ok(())
}
