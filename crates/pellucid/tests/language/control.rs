//! Conditions and loops.

use pellucid::{Proxy, Result, Value};

use crate::{logits, model};

fn ints(value: &Value) -> Vec<i64> {
    match value {
        Value::List(items) => items
            .borrow()
            .iter()
            .map(|v| match v {
                Value::Int(i) => *i,
                other => panic!("{}", other.kind()),
            })
            .collect(),
        other => panic!("{}", other.kind()),
    }
}

#[test]
fn only_the_branch_whose_turn_it_is_happens() -> Result<()> {
    let model = model();
    for (threshold, expected) in [(-9.0, "first"), (9.0, "last")] {
        let trace = model.trace();
        let prompt = trace.invoke([1, 2, 3]);
        let mean = prompt.output("transformer.wte").op("mean", []);
        let taken = trace.list().save();
        trace
            .cond(&mean.op("gt", [threshold.into()]), || taken.append_value("first"))
            .or_cond(&mean.op("gt", [100.0.into()]), || taken.append_value("second"))
            .or_else(|| taken.append_value("last"));
        assert_eq!(trace.run()?.texts(&taken)?, [expected]);
    }
    Ok(())
}

#[test]
fn a_write_in_a_branch_reaches_the_model_exactly_if_the_branch_is_taken() -> Result<()> {
    let model = model();
    let plain = logits(&model, &[1, 2, 3]);
    let ablated = {
        let trace = model.trace();
        let prompt = trace.invoke([1, 2, 3]);
        prompt.output("transformer.h.1.mlp").assign(0.0);
        let out = prompt.logits().save();
        trace.run()?.floats(&out)?
    };
    assert_ne!(plain, ablated);
    for (threshold, expected) in [(-9.0, &ablated), (9.0, &plain)] {
        let trace = model.trace();
        let prompt = trace.invoke([1, 2, 3]);
        let mean = prompt.output("transformer.h.0").item(0).op("mean", []);
        trace.cond(&mean.op("gt", [threshold.into()]), || {
            prompt.output("transformer.h.1.mlp").assign(0.0);
        });
        let out = prompt.logits().save();
        assert_eq!(&trace.run()?.floats(&out)?, expected);
    }
    Ok(())
}

#[test]
fn a_saved_value_of_a_branch_not_taken_is_absent() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    let never = trace.value(false);
    let mut inside: Option<Proxy> = None;
    trace.cond(&never, || inside = Some(prompt.output("transformer.wte").save()));
    let results = trace.run()?;
    assert!(!results.has(&inside.expect("recorded")));
    Ok(())
}

#[test]
fn a_name_assigned_in_both_branches_has_the_value_of_the_one_taken() -> Result<()> {
    let model = model();
    for (flag, expected) in [(true, 1), (false, 2)] {
        let trace = model.trace();
        trace.invoke([1, 2, 3]);
        let condition = trace.value(flag);
        let (mut a, mut b) = (None, None);
        trace.cond(&condition, || a = Some(trace.value(1i64))).or_else(|| b = Some(trace.value(2i64)));
        let latest = trace.latest(&[&a.expect("a"), &b.expect("b")]);
        let out = trace.list();
        out.append(&latest);
        let out = out.save();
        assert_eq!(ints(trace.run()?.value(&out)?), [expected]);
    }
    Ok(())
}

#[test]
fn loops_nest_and_run_in_order() -> Result<()> {
    let model = model();
    let trace = model.trace();
    trace.invoke([1, 2, 3]);
    let seen = trace.list().save();
    let outer = trace.op("list", []);
    for i in 0..3i64 {
        outer.append_value(i);
    }
    trace.iter(&outer, |i| {
        let ten = i.op("mul", [10.into()]);
        trace.iter(&outer, |j| seen.append(&ten.op("add", [j.into()])));
    });
    assert_eq!(ints(trace.run()?.value(&seen)?), [0, 1, 2, 10, 11, 12, 20, 21, 22]);
    Ok(())
}

#[test]
fn a_loop_in_a_trace_writes_through_a_place_on_every_turn() -> Result<()> {
    let model = model();
    let by_hand = {
        let trace = model.trace();
        let prompt = trace.invoke([1, 2, 3, 4]);
        let hidden = prompt.output("transformer.h.0").item(0);
        hidden.set((.., 0), 0.0);
        hidden.set((.., 2), 0.0);
        let out = prompt.logits().save();
        trace.run()?.floats(&out)?
    };
    for reads_inside in [false, true] {
        let trace = model.trace();
        let prompt = trace.invoke([1, 2, 3, 4]);
        let positions = trace.list();
        positions.append_value(0i64);
        positions.append_value(2i64);
        let before = prompt.output("transformer.h.0").item(0);
        trace.iter(&positions, |t| {
            let hidden = if reads_inside { prompt.output("transformer.h.0").item(0) } else { before.clone() };
            hidden.set((.., t), 0.0);
        });
        let out = prompt.logits().save();
        assert_eq!(trace.run()?.floats(&out)?, by_hand, "reads inside: {reads_inside}");
    }
    Ok(())
}

#[test]
fn stopping_a_loop_leaves_what_follows_it() -> Result<()> {
    let model = model();
    let trace = model.trace();
    trace.invoke([1, 2, 3]);
    let (numbers, seen) = (trace.list(), trace.list().save());
    for i in 0..5i64 {
        numbers.append_value(i);
    }
    trace.iter(&numbers, |i| {
        trace.cond(&i.op("eq", [2.into()]), || trace.stop_loop());
        seen.append(i);
    });
    seen.append_value(-1i64);
    assert_eq!(ints(trace.run()?.value(&seen)?), [0, 1, -1]);
    Ok(())
}

#[test]
fn a_condition_on_a_tensor_of_several_elements_is_refused_with_its_line() {
    let model = model();
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    trace.cond(&prompt.output("transformer.wte"), || {});
    let line = line!() - 1;
    let error = trace.run().expect_err("several elements").to_string();
    assert!(error.contains(&format!("control.rs:{line}")), "{error}");
    assert!(error.contains("one element"), "{error}");
}

#[test]
fn a_scan_looks_into_both_branches() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    let mean = prompt.output("transformer.wte").op("mean", []);
    trace.cond(&mean.op("gt", [9.0.into()]), || {
        drop(prompt.output("transformer.wte").op("matmul", [(&mean).into()]))
    });
    assert!(trace.scan().is_err());
    Ok(())
}
