//! What invokes run on, and invokes that see the rows of all others.

use pellucid::{Prompt, Result};

use crate::{logits, model};

#[test]
fn an_invoke_without_input_sees_the_rows_of_all() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let (a, b) = (trace.invoke([1, 2, 3]), trace.invoke(vec![vec![4, 5, 6], vec![7, 8, 9]]));
    let all = trace.invoke(Prompt::all_rows()).logits().save();
    let (a, b) = (a.logits().save(), b.logits().save());
    let results = trace.run()?;
    assert_eq!(results.tensor(&all)?.dims(), [3, 3, 96]);
    assert_eq!(results.floats(&all)?, [results.floats(&a)?, results.floats(&b)?].concat());
    Ok(())
}

#[test]
fn shorter_rows_are_padded_on_the_left_for_the_eyes_of_all_rows_only() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let (a, b) = (trace.invoke([1, 2, 3]), trace.invoke([4]));
    let all = trace.invoke(Prompt::all_rows()).resid_post(0).save();
    let (a, b) = (a.logits().save(), b.logits().save());
    let results = trace.run()?;
    let hidden = results.floats(&all)?;
    assert_eq!(results.tensor(&all)?.dims(), [2, 3, 16]);
    assert!(hidden[48..80].iter().all(|&x| x == 0.0) && hidden[80..].iter().any(|&x| x != 0.0));
    assert_eq!(results.floats(&a)?, logits(&model, &[1, 2, 3]));
    assert_eq!(results.floats(&b)?, logits(&model, &[4]));
    Ok(())
}

#[test]
fn what_is_written_on_all_rows_reaches_each_invoke() -> Result<()> {
    let model = model();
    let apart = |ids: &[i64], by_view: bool| -> Result<Vec<f32>> {
        let trace = model.trace();
        let prompt = trace.invoke(ids);
        if by_view {
            prompt.resid_post(0).set((.., -1), 0.5);
        } else {
            prompt.set_output("transformer.h.1.mlp", &prompt.mlp_out(1) * 2.0);
        }
        let out = prompt.logits().save();
        trace.run()?.floats(&out)
    };
    for by_view in [true, false] {
        let trace = model.trace();
        let (a, b) = (trace.invoke([1, 2, 3]), trace.invoke([4, 5]));
        let all = trace.invoke(Prompt::all_rows());
        if by_view {
            all.resid_post(0).set((.., -1), 0.5);
        } else {
            all.set_output("transformer.h.1.mlp", &all.mlp_out(1) * 2.0);
        }
        let (a, b) = (a.logits().save(), b.logits().save());
        let results = trace.run()?;
        assert_eq!(results.floats(&a)?, apart(&[1, 2, 3], by_view)?);
        assert_eq!(results.floats(&b)?, apart(&[4, 5], by_view)?);
    }
    Ok(())
}

#[test]
fn all_rows_come_after_the_invokes_written_before_and_before_those_written_after() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let a = trace.invoke([1, 2]);
    a.mlp_out(0).assign(1.0);
    let all = trace.invoke(Prompt::all_rows());
    all.set_output("transformer.h.0.mlp", &all.mlp_out(0) * 3.0);
    let b = trace.invoke([3, 4]);
    b.mlp_out(0).assign(5.0);
    let (a, b) = (a.resid_post(0).save(), b.resid_post(0).save());
    let (pre, results) = {
        let seen = trace.run()?;
        (seen.floats(&a)?, seen.floats(&b)?)
    };
    let own = |ids: [i64; 2], value: f64| -> Result<Vec<f32>> {
        let trace = model.trace();
        let prompt = trace.invoke(ids);
        prompt.mlp_out(0).assign(value);
        let out = prompt.resid_post(0).save();
        trace.run()?.floats(&out)
    };
    assert_eq!(pre, own([1, 2], 3.0)?);
    assert_eq!(results, own([3, 4], 5.0)?);
    Ok(())
}

#[test]
fn a_masked_batch_equals_its_single_rows() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let engine = model.engine();
    let ids = trace.constant(&engine.from_vec(vec![0i64, 0, 4, 1, 2, 3], &[2, 3])?)?;
    let mask = trace.constant(&engine.from_vec(vec![0i64, 0, 1, 1, 1, 1], &[2, 3])?)?;
    // The values are made before the trace, in a session of one.
    drop(trace);
    let session = pellucid::Session::new();
    let _ = (&ids, &mask);
    let ids = session.constant(&engine.from_vec(vec![0i64, 0, 4, 1, 2, 3], &[2, 3])?)?;
    let mask = session.constant(&engine.from_vec(vec![0i64, 0, 1, 1, 1, 1], &[2, 3])?)?;
    let out = session.trace(&model, |t| t.invoke(Prompt::masked(&ids, &mask)).logits().save());
    let all = session.run()?.floats(&out)?;
    assert_eq!(all[3 * 96..], logits(&model, &[1, 2, 3]));
    assert_eq!(all[2 * 96..3 * 96], logits(&model, &[4]));
    Ok(())
}

#[test]
fn what_all_invokes_apply_a_function_to_is_computed_together() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let mut outs = Vec::new();
    for i in 0..3i64 {
        let prompt = trace.invoke([1, 2, i]);
        let hidden = prompt.resid_post(0);
        let seen = seen.clone();
        let doubled = hidden.apply(move |t| {
            seen.borrow_mut().push(i);
            Ok(Some(t.mul_scalar(2.0).map_err(|e| e.to_string())?))
        });
        hidden.assign(&doubled);
        outs.push(prompt.logits().save());
    }
    let results = trace.run()?;
    assert_eq!(*seen.borrow(), [0, 1, 2]);
    for (i, out) in outs.iter().enumerate() {
        let trace = model.trace();
        let prompt = trace.invoke([1, 2, i as i64]);
        let hidden = prompt.resid_post(0);
        hidden.assign(&(&hidden * 2.0));
        let plain = prompt.logits().save();
        assert_eq!(results.floats(out)?, trace.run()?.floats(&plain)?);
    }
    Ok(())
}
