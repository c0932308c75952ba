//! Cases at the edges: several programs, several models, names and records that outlive a turn, odd logits.

use pellucid::{
    AdamWSettings, Generation, Model, Operand, Prompt, Proxy, Result, Scope, Session, SgdSettings, Value,
};

use crate::model;

fn numbers(scope: &Scope, n: usize) -> Proxy {
    scope.op("list", [Operand::from((0..n as i64).collect::<Vec<_>>().as_slice())])
}

#[test]
fn a_value_of_another_trace_is_refused_with_its_line() {
    let model = model();
    let other = model.trace();
    let foreign = other.invoke([1, 2, 3]).resid_post(0);
    type Use = fn(&pellucid::Trace, &pellucid::Invoke, &Proxy);
    let uses: [Use; 9] = [
        |_, prompt, foreign| drop(&prompt.resid_post(1) + foreign),
        |_, prompt, foreign| prompt.resid_post(1).assign(foreign),
        |_, prompt, foreign| prompt.resid_post(1).at((.., foreign)).assign(0.0),
        |_, prompt, foreign| prompt.set_output("lm_head", foreign),
        |trace, _, foreign| trace.cond(foreign, || {}).or_else(|| {}),
        |trace, _, foreign| trace.iter(foreign, |_| {}),
        |trace, _, foreign| trace.list().append(foreign),
        |trace, _, foreign| drop(trace.invoke(foreign)),
        |trace, _, foreign| drop(trace.sgd(&[foreign], SgdSettings::default())),
    ];
    for (i, give) in uses.iter().enumerate() {
        let trace = model.trace();
        give(&trace, &trace.invoke([4, 5, 6]), &foreign);
        let error = trace.run().expect_err("a value of another trace").to_string();
        assert!(error.contains("found.rs:") && error.contains("another trace"), "use {i}: {error}");
    }
}

#[test]
fn a_log_shows_what_the_value_was_then() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let hidden = trace.invoke([1, 2, 3]).resid_post(1).cloned();
    let list = trace.list();
    list.append_value(1i64);
    list.log();
    hidden.log();
    hidden.assign(0.0);
    list.append_value(2i64);
    let results = trace.run()?;
    let logs: Vec<&[Value]> = results.logs().collect();
    let Value::Tensor(logged) = &logs[1][0] else { panic!("{}", logs[1][0].kind()) };
    assert!(logged.get()?.to_vec::<f32>()?.iter().any(|x| *x != 0.0));
    assert_eq!(logs[0][0].kind(), "list of 1");
    Ok(())
}

#[test]
fn a_name_assigned_in_an_earlier_turn_keeps_its_value() -> Result<()> {
    let (session, model) = (Session::new(), model());
    let out = session.list().save();
    let before = session.value(7i64);
    session.iter(&numbers(&session, 3), |i| {
        let mut inside = None;
        session.cond(&i.op("eq", [1.into()]), || inside = Some(i.op("add", [100.into()])));
        out.append(&session.latest(&[&before, &inside.expect("recorded")]));
    });
    session.trace(&model, |t| drop(t.invoke([1])));
    let results = session.run()?;
    let Value::List(items) = results.value(&out)? else { panic!() };
    let items: Vec<String> = items.borrow().iter().map(|v| format!("{v:?}")).collect();
    assert_eq!(items, ["Int(7)", "Int(101)", "Int(101)"]);
    Ok(())
}

#[test]
fn logits_that_no_token_can_be_chosen_from_are_refused() {
    let model = model();
    for dims in [vec![5i64], vec![1, 96], vec![2, 3, 96], vec![1, 0, 96], vec![0, 3, 96]] {
        for beams in [1i64, 3] {
            let options = Generation::new(3).endless().with("num_beams", beams);
            let trace = model.generate_with(options.with("repetition_penalty", 2.0));
            let prompt = trace.invoke([1, 2, 3]);
            let zeros = trace.op("zeros", [Operand::from(dims.as_slice())]);
            prompt.set_output("lm_head", &zeros);
            let error = trace.run().expect_err("logits of another shape").to_string();
            assert!(error.contains("logits"), "{dims:?}: {error}");
        }
    }
}

#[test]
fn logits_that_are_no_numbers_still_give_tokens() -> Result<()> {
    let model = model();
    for logit in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for options in [
            Generation::new(2),
            Generation::new(2).with("num_beams", 3i64),
            Generation::new(2).sampled(1),
            Generation::new(2).sampled(1).with("top_k", 0i64).with("top_p", 0.5),
        ] {
            let trace = model.generate_with(options.endless());
            let prompt = trace.invoke([1, 2, 3]);
            prompt.all_steps().logits().assign(logit);
            let ids = prompt.generated().save();
            assert_eq!(trace.run()?.ints(&ids)?.len(), 5);
        }
    }
    Ok(())
}

#[test]
fn inputs_that_differ_in_number_cannot_be_put_together() {
    let model = model();
    let trace = model.trace();
    drop(trace.invoke([1, 2, 3]));
    let second = trace.invoke([4, 5, 6]);
    let all = trace.invoke(Prompt::all_rows());
    let none = second.inputs("transformer.h.0.mlp").item(0).at(1..);
    let named = second.inputs("transformer.h.0.mlp").item(1);
    second.set_inputs("transformer.h.0.mlp", trace.op("tuple", [Operand::from(&[&none, &named][..])]));
    let _ = all.input("transformer.h.0.mlp").save();
    assert!(trace.run().is_err());
}

#[test]
fn operations_on_a_value_of_an_earlier_trace_belong_to_the_later_one() -> Result<()> {
    let model = model();
    let session = Session::new();
    let hidden = session.trace(&model, |t| t.invoke([1, 2, 3]).resid_post(0));
    let outside = (&hidden * 3.0).save();
    let (inside, gradient) = session.trace(&model, |t| {
        let prompt = t.invoke([4, 5, 6]);
        let twice = &hidden * 2.0;
        prompt.resid_post(0).assign(&twice);
        let gradient = twice.grad().save();
        prompt.logits().sum().backward();
        (prompt.resid_post(0).save(), gradient)
    });
    let results = session.run()?;
    let (three, two) = (results.floats(&outside)?, results.floats(&inside)?);
    assert!(three.iter().zip(&two).all(|(a, b)| (a / 3.0 - b / 2.0).abs() < 1e-6));
    assert!(results.floats(&gradient)?.iter().any(|&g| g != 0.0));
    Ok(())
}

#[test]
fn a_parameter_is_trained_by_each_model_that_uses_it() -> Result<()> {
    let models = [model(), Model::random(pellucid::tiny_config(), 8)?];
    let trained = |order: &[usize], uses: &[usize]| -> Result<Vec<f32>> {
        let session = Session::new();
        let vector = session.parameter(&session.op("zeros", [[96i64].into()]));
        let sgd = session.sgd(&[&vector], SgdSettings { lr: 1.0, ..Default::default() });
        for &i in order {
            session.trace(&models[i], |t| {
                let logits = t.invoke([1, 2]).logits();
                if uses.contains(&i) {
                    let logits = (&logits + &vector).op("log_softmax", [(-1).into()]);
                    logits.at((.., .., 5)).op("mean", []).backward();
                }
            });
        }
        sgd.step();
        let vector = vector.cloned().save();
        session.run()?.floats(&vector)
    };
    for uses in [&[0][..], &[1], &[0, 1]] {
        let (one, other) = (trained(&[0, 1], uses)?, trained(&[1, 0], uses)?);
        assert!(one.iter().any(|&x| x != 0.0));
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-6), "{uses:?}");
    }
    Ok(())
}

#[test]
fn a_gradient_goes_back_through_what_a_loop_made() -> Result<()> {
    let model = model();
    let session = Session::new();
    let w = session.parameter(&session.op("ones", [[16i64].into()]));
    let sgd = session.sgd(&[&w], SgdSettings { lr: 1.0, ..Default::default() });
    let parts = session.list();
    session.iter(&numbers(&session, 3), |i| parts.append(&w.op("mul", [i.into()])));
    session.trace(&model, |t| {
        drop(t.invoke([1]));
        parts.item(2).sum().backward();
    });
    sgd.step();
    let w = w.cloned().save();
    assert_eq!(session.run()?.floats(&w)?, [-1.0; 16]);
    Ok(())
}

#[test]
fn branches_that_differ_in_form_are_no_fault_before_one_is_taken() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    let is_small = prompt.resid_post(0).op("mean", []).op("lt", [100.0.into()]);
    let (mut a, mut b) = (None, None);
    let zeros = |n: i64| Some(trace.op("zeros", [[n].into()]));
    trace.cond(&is_small, || a = zeros(3)).or_else(|| b = zeros(4));
    let sum = &trace.latest(&[&a.expect("a"), &b.expect("b")]) + &trace.op("ones", [[3i64].into()]);
    let list = trace.list();
    list.append_value(1i64);
    trace.cond(&is_small, || drop(list.op("pop", []))).or_else(|| drop(list.op("pop", [])));
    let empty = trace.list();
    trace.cond(&trace.value(true), || {}).or_else(|| drop(empty.op("pop", [])));
    let (sum, list) = (sum.save(), list.save());
    let results = trace.run()?;
    assert_eq!(results.floats(&sum)?, [1.0; 3]);
    assert_eq!(results.value(&list)?.kind(), "list of 0");
    Ok(())
}

#[test]
fn what_later_steps_collect_is_not_missed_before_the_run() -> Result<()> {
    let model = model();
    let session = Session::new();
    let seen = session.list();
    session.generate(&model, Generation::new(3).endless(), |t| {
        seen.append(&t.invoke([1, 2]).all_steps().logits());
    });
    let last = seen.item(2).save();
    assert_eq!(session.run()?.tensor(&last)?.dims(), [1, 1, 96]);
    Ok(())
}

#[test]
fn an_invoke_that_ends_early_leaves_the_others_to_go_on() -> Result<()> {
    let model = model();
    let plain = |prompt: &[i64]| -> Result<Vec<i64>> {
        let trace = model.generate_with(Generation::new(8).endless());
        let ids = trace.invoke(prompt).generated().save();
        trace.run()?.ints(&ids)
    };
    let prompts = [&[1, 2, 3][..], &[9, 8, 7, 6]];
    let (a, b) = (plain(prompts[0])?, plain(prompts[1])?);
    for end in a[3..].iter().chain(&b[4..]) {
        let trace = model.generate_with(Generation::new(8).ending_at(&[*end]));
        let (seen, ids): (Vec<_>, Vec<_>) = prompts
            .iter()
            .map(|&prompt| {
                let (seen, invoke) = (trace.list().save(), trace.invoke(prompt));
                seen.append(&invoke.all_steps().logits());
                (seen, invoke.generated().save())
            })
            .unzip();
        let rows = trace.list().save();
        rows.append(&trace.invoke(Prompt::all_rows()).all_steps().output("lm_head"));
        let results = trace.run()?;
        let steps = |new: &[i64]| new.iter().position(|id| id == end).map_or(8, |at| at + 1);
        let (na, nb) = (steps(&a[3..]), steps(&b[4..]));
        assert_eq!(results.ints(&ids[0])?, a[..3 + na]);
        assert_eq!(results.ints(&ids[1])?, b[..4 + nb]);
        assert_eq!((results.tensors(&seen[0])?.len(), results.tensors(&seen[1])?.len()), (na, nb));
        let rows: Vec<usize> = results.tensors(&rows)?.iter().map(|t| t.dims()[0]).collect();
        let expected = (0..na.max(nb)).map(|s| usize::from(s < na) + usize::from(s < nb));
        assert_eq!(rows, expected.collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn edits_hold_in_every_trace_of_a_session_and_at_every_step() -> Result<()> {
    let model = model();
    let edited = model.edit(|e| e.resid_post(0).at((.., .., 0..8)).assign(9.0));
    let twice = edited.edit(|e| drop(e.resid_post(0).op("mul_", [2.0.into()])));
    let session = Session::new();
    let (once_seen, twice_seen) = (session.list().save(), session.list().save());
    for _ in 0..2 {
        session.iter(&numbers(&session, 2), |_| {
            session.trace(&edited, |t| once_seen.append(&t.invoke([1, 2]).resid_post(0)));
            session.generate(&twice, Generation::new(2).endless(), |t| {
                for _ in 0..2 {
                    twice_seen.append(&t.invoke([1, 2, 3]).all_steps().resid_post(0));
                }
            });
        });
    }
    let results = session.run()?;
    for (list, expected, count) in [(&once_seen, 9.0, 4), (&twice_seen, 18.0, 16)] {
        let found = results.tensors(list)?;
        assert_eq!(found.len(), count);
        for hidden in found {
            assert_eq!(hidden.to_vec::<f32>()?[..8], [expected; 8]);
        }
    }
    Ok(())
}

/// Memory at the peak and nodes of the graph left after a session.
fn cost(turns: usize, body: impl Fn(&Session, &Model, &Proxy)) -> Result<(usize, usize)> {
    let model = model();
    let session = Session::new();
    session.iter(&numbers(&session, turns), |i| body(&session, &model, i));
    session.trace(&model, |t| drop(t.invoke([1])));
    session.run()?;
    Ok((turns, model.engine().interned()))
}

#[test]
fn a_session_of_any_length_holds_the_graph_of_a_few_turns() -> Result<()> {
    type Body = fn(&Session, &Model, &Proxy);
    let bodies: [(&str, Body); 3] = [
        ("a log", |s, model, i| {
            s.trace(model, |t| t.invoke([1, 2]).logits().op("add", [i.into()]).sum().log());
        }),
        ("a parameter in each turn", |s, model, _| {
            let w = s.parameter(&s.op("zeros", [[96i64].into()]));
            let adam = s.adamw(&[&w], AdamWSettings::default());
            s.trace(model, |t| (&t.invoke([1, 2]).logits() * &w).sum().backward());
            adam.step();
        }),
        ("a generation", |s, model, _| {
            s.generate(model, Generation::new(3).endless(), |t| t.invoke([1, 2]).generated().log());
        }),
    ];
    for (what, body) in bodies {
        let (turns, left) = cost(1500, body)?;
        assert!(left < 4 * turns, "{what}: {left} nodes after {turns} turns");
    }
    Ok(())
}

#[test]
fn a_change_does_not_reach_what_was_written_above_it() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let z = trace.op("zeros", [[16i64].into()]);
    let hidden = trace.invoke([1, 2, 3]).resid_post(1);
    let plain = hidden.cloned().save();
    let sum = (&hidden + &z).save();
    z.op("add_", [1.0.into()]);
    let results = trace.run()?;
    assert_eq!(results.floats(&sum)?, results.floats(&plain)?);
    Ok(())
}
