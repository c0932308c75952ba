//! Operations inside modules and options of forward passes, as programs name them.

use pellucid::{Model, Value, tiny_config};
use pellucid_program::{Arg, Kind, NodeId, Place, Program, parse};
use pellucid_runtime::{Outcome, RunOptions};

fn model() -> Model {
    Model::random(tiny_config(), 7).expect("a tiny model")
}

/// A trace of a few tokens with some statements, which are numbered from 1.
fn program(options: &str, statements: &str) -> Program {
    trace("trace 0", options, statements)
}

fn trace(region: &str, options: &str, statements: &str) -> Program {
    let lines: String = statements.lines().map(|line| format!("  {}\n", line.trim())).collect();
    let text = format!(
        "pellucid program 1\nregion ^0 root\nregion ^1 {region} in ^0\ninvoke @0 in ^1 tokens [[1, 2, 3, 4]]{options}\n\
         ^0:\n  %0 = region ^1\n^1:\n{lines}"
    );
    parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn run(program: &Program) -> Outcome {
    model().run_program(program, RunOptions::default()).expect("a run")
}

/// What the statement saved: sizes and elements.
fn saved(outcome: &Outcome, node: usize) -> (Vec<usize>, Vec<f32>) {
    let value = outcome.value(NodeId::from_index(node)).expect("saved");
    let Value::Tensor(var) = value else { panic!("{}", value.kind()) };
    let tensor = var.get().expect("a tensor");
    (tensor.dims().to_vec(), tensor.to_vec::<f32>().expect("values"))
}

const ATTN: &str = "transformer.h.1.attn";

#[test]
fn an_operation_is_read_by_its_label_and_by_its_name() {
    let outcome = run(&program(
        "",
        &format!(
            "%1 = read @0 \"{ATTN}\" op \"softmax_0\"
             %2 = save @0 %1
             %3 = read @0 \"{ATTN}\" pattern
             %4 = save @0 %3
             %5 = read @0 \"{ATTN}\" op \"heads\"
             %6 = save @0 %5
             %7 = read @0 \"{ATTN}.c_proj\" input
             %8 = save @0 %7"
        ),
    ));
    let (label, name) = (saved(&outcome, 2), saved(&outcome, 4));
    assert_eq!(label, name);
    assert_eq!(label.0, [1, 2, 4, 4]);
    let ((dims, heads), (_, merged)) = (saved(&outcome, 6), saved(&outcome, 8));
    assert_eq!(dims, [1, 2, 4, 8]);
    // The second head of the third token.
    assert_eq!(heads[(4 + 2) * 8..][..8], merged[2 * 16 + 8..][..8]);
}

#[test]
fn a_write_by_the_name_is_seen_by_a_later_read_by_the_label() {
    let outcome = run(&program(
        "",
        &format!(
            "%1 = read @0 \"{ATTN}\" op \"scores\"
             %2 = op @0 mul(%1, 0.0)
             %3 = write @0 \"{ATTN}\" op \"scores\" with %2
             %4 = read @0 \"{ATTN}\" op \"softmax_0\"
             %5 = save @0 %4"
        ),
    ));
    let (_, pattern) = saved(&outcome, 5);
    // Equal scores look at all earlier tokens alike.
    assert_eq!(pattern[..4], [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(pattern[12..16], [0.25; 4]);
}

#[test]
fn a_label_that_does_not_exist_is_refused_with_the_closest_one() {
    let program = program("", &format!("%1 = read @0 \"{ATTN}\" op \"sofmax_0\"\n%2 = save @0 %1"));
    let error = model().run_program(&program, RunOptions::default()).expect_err("misspelt");
    assert!(error.to_string().contains("sofmax_0"), "{error}");
    assert!(error.hint().is_some_and(|h| h.contains("softmax_0")), "{:?}", error.hint());
}

#[test]
fn every_listed_operation_of_the_demo_architecture_is_a_place_of_programs() {
    let model = model();
    let network = model.network();
    let mut count = 0;
    for (id, node) in network.tree().iter() {
        for op in network.ops(id) {
            // A dropout inside fused attention is not run.
            if node.name == "attn_dropout" {
                continue;
            }
            let read = format!("%1 = read @0 \"{}\" op \"{}\"\n%2 = save @0 %1", node.path, op.label);
            let mut program = program("", &read);
            run(&program);
            let place = Place::op(node.path.clone(), op.label);
            let write = Kind::Write { place, value: Arg::Node(NodeId::from_index(1)) };
            program.nodes[2].kind = write;
            run(&program);
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
}

#[test]
fn hidden_states_and_attentions_come_with_every_step_of_a_generation() {
    let outcome = run(&trace(
        "trace 0 generate {max_new_tokens: 2, output_hidden_states: true, output_attentions: true}",
        "",
        "%1 = read @0 \"\" output
         %2 = op @0 getattr(%1, \"attentions\")
         %3 = op @0 getitem(%2, 1)
         %4 = save @0 %3
         %5 = read @0 step 1 \"\" output
         %6 = op @0 step 1 getattr(%5, \"attentions\")
         %7 = op @0 step 1 getitem(%6, 1)
         %8 = save @0 step 1 %7
         %9 = op @0 step 1 getattr(%5, \"hidden_states\")
         %10 = op @0 step 1 getitem(%9, -1)
         %11 = save @0 step 1 %10",
    ));
    assert_eq!(saved(&outcome, 4).0, [1, 2, 4, 4]);
    assert_eq!(saved(&outcome, 8).0, [1, 2, 1, 5]);
    assert_eq!(saved(&outcome, 11).0, [1, 1, 16]);
}

#[test]
fn labels_are_given_as_lists_and_count_from_the_end() {
    let loss = |labels: &str| {
        let options = format!(" with {{labels: {labels}}}");
        let read = "%1 = read @0 \"\" output\n%2 = op @0 getattr(%1, \"loss\")\n%3 = save @0 %2";
        saved(&run(&program(&options, read)), 3).1[0]
    };
    let whole = loss("[[-100, -100, 3, 4]]");
    assert!(whole.is_finite());
    assert_eq!(loss("[3, 4]").to_bits(), whole.to_bits());
    assert_ne!(loss("[4, 4]"), whole);
}

#[test]
fn an_unknown_option_is_refused_by_its_name() {
    let read = "%1 = read @0 \"\" output\n%2 = save @0 %1";
    for (options, expected) in [
        (" with {output_atentions: true}", "`output_atentions` for a forward pass"),
        (" with {labels: \"text\"}", "`invoke`: argument `labels`: expected a token id"),
        (" with {labels: [1, 2, 3, 4, 5]}", "`invoke`: argument `labels`: expected a token id"),
        (" with {output_attentions: 3}", "argument `output_attentions`: expected a truth value, got int"),
    ] {
        let error = model().run_program(&program(options, read), RunOptions::default()).expect_err("refused");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
