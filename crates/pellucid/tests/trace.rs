//! The tracing language on a very small model: what is read, written, shared, refused.

use pellucid::{Error, Model, Proxy, RunErrorKind, tiny_config};

fn model() -> Model {
    Model::random(tiny_config(), 7).unwrap()
}

const PROMPT: [i64; 5] = [3, 1, 4, 1, 5];

fn plain_logits(model: &Model, prompt: &[i64]) -> Vec<f32> {
    let trace = model.trace();
    let logits = trace.invoke(prompt).output("lm_head").save();
    trace.run().unwrap().floats(&logits).unwrap()
}

#[test]
fn reading_every_place_leaves_the_logits_bits() {
    let model = model();
    let plain = plain_logits(&model, &PROMPT);
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let mut saved: Vec<Proxy> = Vec::new();
    for layer in 0..2 {
        let block = model.block(layer, "");
        saved.push(invoke.input(&block).save());
        saved.push(invoke.pattern(&model.block(layer, "attn")).save());
        for module in ["ln_1", "attn.c_attn", "attn.c_proj", "mlp.act", "mlp"] {
            saved.push(invoke.output(&model.block(layer, module)).save());
        }
        saved.push(invoke.output(&block).item(0).save());
    }
    let logits = invoke.output("lm_head").save();
    let results = trace.run().unwrap();
    let looked = results.floats(&logits).unwrap();
    assert_eq!(
        looked.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        plain.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    );
    for s in &saved {
        results.floats(s).unwrap();
    }
}

#[test]
fn an_attention_pattern_is_causal_and_sums_to_one() {
    let model = model();
    let trace = model.trace();
    let pattern = trace.invoke(PROMPT).pattern("transformer.h.0.attn").save();
    let p = trace.run().unwrap().tensor(&pattern).unwrap();
    assert_eq!(p.dims(), [1, 2, 5, 5]);
    let p = p.to_vec::<f32>().unwrap();
    for (row, weights) in p.chunks(5).enumerate() {
        let query = row % 5;
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(weights[query + 1..].iter().all(|&w| w == 0.0));
    }
}

#[test]
fn a_write_at_the_input_of_a_norm_reaches_the_residual_stream() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    invoke.input("transformer.h.1.ln_1").assign(0.0);
    let after = invoke.output("transformer.h.1").item(0).save();
    let attended = invoke.output("transformer.h.1.attn").item(0).save();
    let fed = invoke.output("transformer.h.1.mlp").save();
    let r = trace.run().unwrap();
    let (after, attended, fed) =
        (r.floats(&after).unwrap(), r.floats(&attended).unwrap(), r.floats(&fed).unwrap());
    for ((a, b), c) in after.iter().zip(&attended).zip(&fed) {
        assert!((a - (b + c)).abs() < 1e-6, "the residual stream was not zeroed");
    }
}

#[test]
fn a_write_through_reshaped_heads_changes_the_model() {
    let model = model();
    let plain = plain_logits(&model, &PROMPT);
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let z = invoke.input("transformer.h.0.attn.c_proj");
    let heads = z.op("reshape", [1.into(), 5.into(), 2.into(), 8.into()]);
    heads.set((.., .., 1), 0.0);
    let logits = invoke.output("lm_head").save();
    let seen = z.save();
    let r = trace.run().unwrap();
    assert_ne!(r.floats(&logits).unwrap(), plain);
    let z = r.floats(&seen).unwrap();
    assert!(z.chunks(16).all(|row| row[8..].iter().all(|&x| x == 0.0) && row[..8].iter().any(|&x| x != 0.0)));
}

#[test]
fn patching_between_invokes_restores_the_clean_run() {
    let model = model();
    let clean_prompt = [3, 1, 4, 1, 5];
    let corrupted_prompt = [3, 9, 4, 1, 5];
    let trace = model.trace();
    let clean = trace.invoke(clean_prompt);
    let hidden = clean.output("transformer.h.0").item(0);
    let clean_logits = clean.output("lm_head").save();
    let corrupted = trace.invoke(corrupted_prompt);
    corrupted.output("transformer.h.0").item(0).assign(&hidden);
    let patched = corrupted.output("lm_head").save();
    let r = trace.run().unwrap();
    assert_eq!(r.floats(&clean_logits).unwrap(), r.floats(&patched).unwrap());
    assert_ne!(plain_logits(&model, &corrupted_prompt), r.floats(&patched).unwrap());
}

#[test]
fn values_flow_to_an_earlier_invoke() {
    let model = model();
    let trace = model.trace();
    let first = trace.invoke([3, 9, 4, 1, 5]);
    let held = first.output("transformer.h.1").item(0);
    let first_logits = first.output("lm_head").save();
    let second = trace.invoke(PROMPT);
    held.assign(second.output("transformer.h.0").item(0));
    let r = trace.run().unwrap();
    assert_ne!(r.floats(&first_logits).unwrap(), plain_logits(&model, &[3, 9, 4, 1, 5]));
}

#[test]
fn an_invoke_equals_its_own_single_run_whatever_else_is_in_the_trace() {
    let model = model();
    let trace = model.trace();
    let prompts: [&[i64]; 3] = [&[3, 1, 4, 1, 5], &[2, 7], &[3, 1, 4, 1, 5, 9, 2, 6]];
    let saved: Vec<Proxy> = prompts.iter().map(|&p| trace.invoke(p).output("lm_head").save()).collect();
    let r = trace.run().unwrap();
    for (prompt, logits) in prompts.iter().zip(&saved) {
        assert_eq!(r.floats(logits).unwrap(), plain_logits(&model, prompt));
    }
}

#[test]
fn rows_of_a_padded_list_equal_their_own_single_runs() {
    let model = model();
    let rows = vec![vec![3, 1, 4, 1, 5], vec![2, 7]];
    let trace = model.trace();
    let logits = trace.invoke(rows.clone()).output("lm_head").save();
    let all = trace.run().unwrap().floats(&logits).unwrap();
    let single = plain_logits(&model, &rows[1]);
    let padded = &all[(5 + 3) * 96..];
    assert_eq!(padded.len(), single.len());
    for (a, b) in padded.iter().zip(&single) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_module_called_on_a_value_gives_what_the_forward_pass_gives() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let last = invoke.output("transformer.h.1").item(0);
    let lens = invoke.call("lm_head", invoke.call("transformer.ln_f", &last)).save();
    let logits = invoke.output("lm_head").save();
    let r = trace.run().unwrap();
    assert_eq!(r.floats(&lens).unwrap(), r.floats(&logits).unwrap());
}

#[test]
fn the_gradient_at_a_place_is_that_of_finite_differences() {
    let model = model();
    let loss_with = |shift: f64| {
        let trace = model.trace();
        let invoke = trace.invoke(PROMPT);
        let hidden = invoke.output("transformer.h.0").item(0);
        let element = hidden.at((0, 2, 3));
        hidden.set((0, 2, 3), &(element + shift));
        let loss = (invoke.output("lm_head").at((.., -1, 7)) * 1.0).sum().save();
        f64::from(trace.run().unwrap().floats(&loss).unwrap()[0])
    };
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let hidden = invoke.output("transformer.h.0").item(0);
    let grad = hidden.grad().save();
    invoke.output("lm_head").at((.., -1, 7)).sum().backward();
    let g = trace.run().unwrap().tensor(&grad).unwrap();
    assert_eq!(g.dims(), [1, 5, 16]);
    let exact = f64::from(g.to_vec::<f32>().unwrap()[2 * 16 + 3]);
    let numeric = (loss_with(0.01) - loss_with(-0.01)) / 0.02;
    assert!((exact - numeric).abs() < 2e-3 * exact.abs().max(0.05), "{exact} {numeric}");
}

#[test]
fn gradients_of_one_prompt_in_two_invokes_are_their_own() {
    let model = model();
    let trace = model.trace();
    let mut grads = Vec::new();
    for factor in [1.0, 2.0] {
        let invoke = trace.invoke(PROMPT);
        let hidden = invoke.output("transformer.h.0").item(0);
        grads.push(hidden.grad().save());
        (invoke.output("lm_head").at((.., -1, 7)) * factor).sum().backward();
    }
    let r = trace.run().unwrap();
    let (one, two) = (r.floats(&grads[0]).unwrap(), r.floats(&grads[1]).unwrap());
    assert!(one.iter().any(|&x| x != 0.0));
    for (a, b) in one.iter().zip(&two) {
        assert!((2.0 * a - b).abs() < 1e-6);
    }
}

#[test]
fn a_gradient_set_to_zero_stops_there() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let early = invoke.output("transformer.h.0").item(0);
    let late = invoke.output("transformer.h.1").item(0);
    let at_early = early.grad().save();
    late.grad().assign(0.0);
    invoke.output("lm_head").sum().backward();
    let g = trace.run().unwrap().floats(&at_early).unwrap();
    assert!(g.iter().all(|&x| x == 0.0));
}

#[test]
fn greedy_generation_with_a_cache_equals_running_the_whole_text_again() {
    let model = model();
    let trace = model.generate(4);
    let invoke = trace.invoke(PROMPT);
    let ids = invoke.generated().save();
    let generated = trace.run().unwrap().ints(&ids).unwrap();
    let mut text = PROMPT.to_vec();
    for _ in 0..4 {
        let logits = plain_logits(&model, &text);
        let last = &logits[logits.len() - 96..];
        let best = (0..96).max_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
        text.push(best as i64);
    }
    assert_eq!(generated, text);
}

#[test]
fn values_of_every_step_of_a_generation_are_collected() {
    let model = model();
    let trace = model.generate(3);
    let invoke = trace.invoke(PROMPT);
    let list = trace.list().save();
    list.append(&invoke.all_steps().output("lm_head"));
    let steps = trace.run().unwrap().tensors(&list).unwrap();
    let dims: Vec<Vec<usize>> = steps.iter().map(|t| t.dims().to_vec()).collect();
    assert_eq!(dims, [vec![1, 5, 96], vec![1, 1, 96], vec![1, 1, 96]]);
}

#[test]
fn an_edit_on_every_step_changes_every_token() {
    let model = model();
    let trace = model.generate(3);
    let invoke = trace.invoke(PROMPT);
    invoke.all_steps().output("lm_head").set((.., .., 42), 1000.0);
    let ids = invoke.generated().save();
    let ids = trace.run().unwrap().ints(&ids).unwrap();
    assert_eq!(ids[5..], [42, 42, 42]);
}

#[test]
fn mistakes_are_found_together_before_anything_runs_with_their_lines() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let _ = invoke.output("transformer.h.7").save();
    let late = invoke.output("transformer.h.1").item(0);
    invoke.output("transformer.h.0").item(0).assign(&late);
    let error = trace.run().unwrap_err();
    let Error::Run(run) = &error else { panic!("{error}") };
    let RunErrorKind::Refused(faults) = &*run.kind else { panic!("{error}") };
    assert_eq!(faults.len(), 2, "{error}");
    let text = error.to_string();
    assert!(text.contains("tests/trace.rs:"), "{text}");
    assert!(text.contains("transformer.h.7"), "{text}");
    assert!(error.hint().unwrap().contains("did you mean"), "{:?}", error.hint());
}

#[test]
fn a_shape_mistake_names_the_line_and_nothing_is_computed() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let _ = (invoke.output("transformer.h.0").item(0) + &invoke.output("lm_head")).save();
    let error = trace.scan().unwrap_err().to_string();
    assert!(error.contains("tests/trace.rs:"), "{error}");
    assert!(error.contains("cannot be broadcast"), "{error}");
}

#[test]
fn reading_an_unsaved_value_says_to_save_it() {
    let model = model();
    let trace = model.trace();
    let logits = trace.invoke(PROMPT).output("lm_head");
    let error = trace.run().unwrap().tensor(&logits).unwrap_err();
    assert!(error.hint().unwrap().contains(".save()"));
}

#[test]
fn a_place_inside_a_skipped_module_is_reported() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let before = invoke.input("transformer.h.1.mlp");
    invoke.skip("transformer.h.1.mlp", &before);
    let _ = invoke.output("transformer.h.1.mlp.act").save();
    let error = trace.run().unwrap_err().to_string();
    assert!(error.contains("did not call it"), "{error}");
    assert!(error.contains("tests/trace.rs:"), "{error}");
}

#[test]
fn a_dropout_is_a_place_like_any_other() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let pattern = invoke.pattern("transformer.h.0.attn").save();
    let dropped = invoke.output("transformer.h.0.attn.attn_dropout").save();
    let r = trace.run().unwrap();
    assert_eq!(r.floats(&pattern).unwrap(), r.floats(&dropped).unwrap());
}

#[test]
fn a_scan_knows_every_shape_of_a_model_without_weights() {
    let model = Model::skeleton_of(tiny_config()).unwrap();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let logits = invoke.output("lm_head");
    let half = invoke.output("transformer.h.0").item(0).at((.., 1.., ..8));
    let r = trace.scan().unwrap();
    assert_eq!(r.tensor(&logits).unwrap().dims(), [1, 5, 96]);
    assert_eq!(r.tensor(&half).unwrap().dims(), [1, 4, 8]);
    let saved = trace.invoke(PROMPT).output("lm_head").save();
    let _ = saved;
    let error = trace.run().unwrap_err().to_string();
    assert!(error.contains("not loaded"), "{error}");
}

#[test]
fn stopping_ends_the_trace_and_keeps_what_was_saved_before() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let early = invoke.output("transformer.h.0").item(0).save();
    invoke.stop(&early);
    let late = invoke.output("lm_head").save();
    let r = trace.run().unwrap();
    assert!(r.tensor(&early).is_ok());
    assert!(r.tensor(&late).is_err());
}

#[test]
fn a_skipped_module_is_not_run() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let before = invoke.input("transformer.h.1.mlp");
    invoke.skip("transformer.h.1.mlp", &(&before * 0.0));
    let fed = invoke.output("transformer.h.1.mlp").save();
    assert!(trace.run().unwrap().floats(&fed).unwrap().iter().all(|&x| x == 0.0));
}

#[test]
fn a_prompt_longer_than_the_context_is_refused() {
    let model = model();
    let trace = model.trace();
    let _ = trace.invoke(vec![vec![1; 33]]).output("lm_head").save();
    let error = trace.run().unwrap_err();
    assert!(error.to_string().contains("33 tokens"), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn two_draws_differ_and_a_seed_repeats_them() {
    let model = model();
    let draws = |seed: u64| {
        let trace = model.trace();
        trace.seed(seed);
        let (a, b) = (trace.randn(&[4]).save(), trace.randn(&[4]).save());
        let _ = trace.invoke(PROMPT);
        let r = trace.run().unwrap();
        (r.floats(&a).unwrap(), r.floats(&b).unwrap())
    };
    let (a, b) = draws(3);
    assert_ne!(a, b);
    assert_eq!(draws(3), (a.clone(), b));
    assert_ne!(draws(4).0, a);
}

#[test]
fn a_function_whose_result_nobody_reads_runs_once() {
    let model = model();
    let calls = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = calls.clone();
    let trace = model.trace();
    let hidden = trace.invoke(PROMPT).output("transformer.h.0").item(0);
    hidden.apply(move |t| {
        seen.borrow_mut().push(t.dims().to_vec());
        Ok(None)
    });
    trace.run().unwrap();
    assert_eq!(*calls.borrow(), [vec![1, 5, 16]]);
}

#[test]
fn what_a_function_returns_flows_on_and_its_failure_names_the_line() {
    let model = model();
    let trace = model.trace();
    let invoke = trace.invoke(PROMPT);
    let hidden = invoke.output("transformer.h.1").item(0);
    let zeroed = hidden.apply(|t| Ok(Some(t.engine().zeros(t.dims(), t.dtype()))));
    hidden.assign(&zeroed);
    let seen = invoke.input("transformer.ln_f").save();
    assert!(trace.run().unwrap().floats(&seen).unwrap().iter().all(|&x| x == 0.0));

    let trace = model.trace();
    trace.invoke(PROMPT).output("lm_head").apply(|_| Err("no".into()));
    let error = trace.run().unwrap_err().to_string();
    assert!(
        error.contains("tests/trace.rs:") && error.contains("the applied function failed: no"),
        "{error}"
    );
}

#[test]
fn a_tensor_changed_by_its_owner_between_two_traces_is_seen_changed() {
    let model = model();
    let mut own = vec![1.0f32; 16];
    let mut sums = Vec::new();
    for _ in 0..2 {
        let tensor = model.engine().from_vec(own.clone(), &[16]).unwrap();
        let trace = model.trace();
        let steering = trace.constant(&tensor).unwrap();
        let invoke = trace.invoke(PROMPT);
        let hidden = invoke.output("transformer.h.0").item(0);
        sums.push({
            let before = hidden.cloned();
            hidden.assign(&(&hidden + &steering));
            let moved = (&hidden - &before).sum().save();
            trace.run().unwrap().floats(&moved).unwrap()[0]
        });
        own.fill(2.0);
    }
    assert!((sums[0] - 80.0).abs() < 1e-3 && (sums[1] - 160.0).abs() < 1e-3, "{sums:?}");
}
