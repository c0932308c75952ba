//! Places by canonical and given names.

use pellucid::Result;

use crate::model;

#[test]
fn canonical_and_given_names_reach_the_same_place() -> Result<()> {
    let model = model().rename(&[("transformer", "backbone"), ("h", "blocks")]);
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    let same = [
        prompt.output("transformer.h.1.mlp"),
        prompt.output("layers[1].mlp"),
        prompt.output("backbone.blocks.1.mlp"),
        prompt.output("backbone.h[1].mlp"),
        prompt.mlp_out(1),
    ];
    let saved: Vec<_> = same.iter().map(|p| p.save()).collect();
    let results = trace.run()?;
    for proxy in &saved {
        assert_eq!(results.floats(proxy)?, results.floats(&saved[0])?);
    }
    Ok(())
}

#[test]
fn a_head_is_written_through_its_view() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    prompt.heads(0).set((.., .., 1), 0.0);
    let mixed = prompt.input("layers[0].attn.c_proj").save();
    let rows = trace.run()?.floats(&mixed)?;
    for row in rows.chunks(16) {
        assert!(row[8..].iter().all(|&x| x == 0.0) && row[..8].iter().any(|&x| x != 0.0));
    }
    Ok(())
}

#[test]
fn a_module_that_does_not_exist_is_refused_with_the_closest_one() {
    let model = model();
    let trace = model.trace();
    let _ = trace.invoke([1, 2, 3]).output("layers[1].mpl").save();
    let error = trace.run().expect_err("misspelt");
    assert!(error.to_string().contains("transformer.h.1.mpl"), "{error}");
    assert!(error.hint().is_some_and(|h| h.contains("transformer.h.1.mlp")), "{:?}", error.hint());
}

#[test]
fn a_fault_found_while_computing_names_every_line_that_asked_for_the_value() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    let far = prompt.output("transformer.wte").argmax(-1).op("add", [1000.into()]);
    let picked = prompt.parameter("transformer.wpe.weight").at(&far);
    let first = line!() - 1;
    let doubled = (&picked * 2.0).save();
    let again = prompt.parameter("transformer.wpe.weight").at(&far).save();
    let second = line!() - 1;
    let error = trace.run().expect_err("positions up to 1015 of 32");
    let text = error.to_string();
    assert!(text.contains(&format!("places.rs:{first}: ")), "{text}");
    assert!(text.contains(&format!("places.rs:{second}: asked for it as well")), "{text}");
    let _ = (doubled, again);
    Ok(())
}

#[test]
fn operations_inside_modules_are_read_and_written_by_label_or_name() -> Result<()> {
    let model = model();
    let trace = model.trace();
    let prompt = trace.invoke([1, 2, 3]);
    let (label, name) = (prompt.inner("layers[0].attn", "softmax_0"), prompt.attn_pattern(0));
    let (label, name) = (label.save(), name.save());
    let other = trace.invoke([1, 2, 3]);
    other.set_inner("layers[1].attn", "heads", &other.inner("layers[1].attn", "heads") * 0.0);
    let mixed = other.input("layers[1].attn.c_proj").save();
    let results = trace.run()?;
    assert_eq!(results.floats(&label)?, results.floats(&name)?);
    assert!(results.floats(&mixed)?.iter().all(|&x| x == 0.0));
    Ok(())
}
