//! Several traces as one program.

use pellucid::{Result, Session};

use crate::{logits, model};

#[test]
fn values_pass_from_trace_to_trace_and_between_models() -> Result<()> {
    let (a, b) = (model(), pellucid::Model::random(pellucid::tiny_config(), 8)?);
    let session = Session::new();
    let hidden = session.trace(&a, |t| t.invoke([1, 2, 3]).resid_post(0));
    let out = session.trace(&b, |t| {
        let prompt = t.invoke([4, 5, 6]);
        prompt.resid_post(0).assign(&hidden);
        prompt.logits().save()
    });
    let patched = session.run()?.floats(&out)?;
    // The same in two steps.
    let trace = a.trace();
    let hidden = trace.invoke([1, 2, 3]).resid_post(0).save();
    let hidden = trace.run()?.tensor(&hidden)?;
    let trace = b.trace();
    let constant = trace.constant(&hidden)?;
    let prompt = trace.invoke([4, 5, 6]);
    prompt.resid_post(0).assign(&constant);
    let out = prompt.logits().save();
    assert_eq!(trace.run()?.floats(&out)?, patched);
    Ok(())
}

#[test]
fn a_trace_in_a_loop_takes_its_prompt_from_the_element() -> Result<()> {
    let model = model();
    let prompts = [vec![1, 2, 3], vec![4, 5]];
    let session = Session::new();
    let batches = session.list();
    for prompt in &prompts {
        batches.append(&session.value(prompt.as_slice()));
    }
    let all = session.list().save();
    session.iter(&batches, |prompt| {
        session.trace(&model, |t| {
            let last = t.invoke(prompt).logits().at((.., -1));
            all.append(&last);
        });
    });
    let results = session.run()?;
    let found = results.tensors(&all)?;
    for (prompt, found) in prompts.iter().zip(found) {
        let plain = logits(&model, prompt);
        assert_eq!(found.to_vec::<f32>()?, plain[plain.len() - 96..]);
    }
    Ok(())
}

#[test]
fn stopping_a_trace_ends_it_alone_and_stopping_the_session_ends_all() -> Result<()> {
    let model = model();
    let session = Session::new();
    let seen = session.list().save();
    let numbers = session.list();
    (0..3i64).for_each(|i| numbers.append_value(i));
    let mut late = None;
    session.iter(&numbers, |i| {
        session.trace(&model, |t| {
            let prompt = t.invoke([1, 2, 3]);
            let hidden = prompt.resid_post(0);
            seen.append(&hidden.op("mean", []).op("mul", [0.0.into()]).op("add", [i.into()]));
            prompt.stop(&hidden);
            late = Some(prompt.logits().save());
        });
        session.cond(&i.op("eq", [1.into()]), || session.stop_session());
    });
    seen.append_value(9i64);
    let results = session.run()?;
    let found: Vec<f32> =
        results.tensors(&seen)?.iter().map(|t| t.to_vec::<f32>().expect("a number")[0]).collect();
    assert_eq!(found, [0.0, 1.0]);
    assert!(!results.has(&late.expect("recorded")));
    Ok(())
}

#[test]
fn a_trace_under_a_condition_happens_only_if_it_holds() -> Result<()> {
    let model = model();
    let session = Session::new();
    let (yes, no) = (session.value(true), session.value(false));
    let mut outs = Vec::new();
    for flag in [&yes, &no] {
        session.cond(flag, || {
            session.trace(&model, |t| outs.push(t.invoke([1, 2]).logits().save()));
        });
    }
    let results = session.run()?;
    assert_eq!((results.has(&outs[0]), results.has(&outs[1])), (true, false));
    Ok(())
}

#[test]
fn a_program_prints_and_parses_back_with_everything_in_it() -> Result<()> {
    let model = model().edit(|m| m.mlp_out(0).assign(0.0));
    let session = Session::new();
    let numbers = session.list();
    session.iter(&numbers, |i| {
        session.cond(&i.op("gt", [1.into()]), || {
            session.trace(&model, |t| t.invoke([1]).logits().save());
        });
    });
    let program = session.program();
    assert_eq!(pellucid_program::parse(&program.to_string()).expect("its own text"), program);
    Ok(())
}
