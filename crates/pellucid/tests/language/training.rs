//! Training inside a session: parameters, optimisers, losses, loops.

use pellucid::{AdamWSettings, Result, Session, SgdSettings};

use crate::model;

#[test]
fn a_parameter_trained_in_a_loop_reaches_its_goal() -> Result<()> {
    let model = model();
    let session = Session::new();
    // A vector added to the logits that makes token 5 the likeliest everywhere.
    let vector = session.parameter(&session.op("zeros", [[96i64].into()]));
    let adam = session.adamw(&[&vector], AdamWSettings { lr: 0.3, weight_decay: 0.0, ..Default::default() });
    let losses = session.list().save();
    let turns = session.op("list", [pellucid::Operand::from([0i64; 30].as_slice())]);
    session.iter(&turns, |_| {
        session.trace(&model, |t| {
            let prompt = t.invoke([1, 2, 3]);
            let logits = (&prompt.logits() + &vector).op("log_softmax", [(-1).into()]);
            let loss = -&logits.at((.., .., 5)).op("mean", []);
            loss.backward();
            losses.append(&loss);
        });
        adam.step();
        adam.zero_grad();
    });
    let vector = vector.save();
    let results = session.run()?;
    let losses: Vec<f32> =
        results.tensors(&losses)?.iter().map(|t| t.to_vec::<f32>().expect("a loss")[0]).collect();
    assert_eq!(losses.len(), 30);
    assert!(losses[29] < 0.3 * losses[0], "{losses:?}");
    assert!(results.floats(&vector)?.iter().any(|&x| x.abs() > 0.5));
    Ok(())
}

#[test]
fn gradients_add_up_until_they_are_forgotten() -> Result<()> {
    let session = Session::new();
    let w = session.parameter(&session.op("ones", [[2i64].into()]));
    let sgd = session.sgd(&[&w], SgdSettings { lr: 0.1, ..Default::default() });
    for _ in 0..2 {
        (&w * 3.0).sum().backward();
    }
    sgd.step();
    let after_two = w.cloned().save();
    sgd.zero_grad();
    (&w * 1.0).sum().backward();
    sgd.step();
    let after_one = w.cloned().save();
    let results = session.run()?;
    assert_eq!(results.floats(&after_two)?, [1.0 - 0.6; 2]);
    let left = 1.0f32 - 0.6 - 0.1;
    assert!(results.floats(&after_one)?.iter().all(|&x| (x - left).abs() < 1e-6));
    Ok(())
}

#[test]
fn gradients_do_not_flow_past_a_detached_value() -> Result<()> {
    let model = model();
    let gradient = |detached: bool| -> Result<Vec<f32>> {
        let trace = model.trace();
        let hidden = trace.invoke([1, 2, 3]).resid_post(0);
        let factor = if detached { hidden.op("detach", []) } else { hidden.clone() };
        let g = hidden.grad().save();
        (&hidden * &factor).sum().backward();
        trace.run()?.floats(&g)
    };
    let (through, past) = (gradient(false)?, gradient(true)?);
    assert!(through.iter().zip(&past).all(|(a, b)| (a - 2.0 * b).abs() < 1e-6));
    Ok(())
}
