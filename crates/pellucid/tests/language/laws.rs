//! Laws over random programs: rewrites change nothing, an invoke is what it is alone, text is the program, and the order
//! of statements that do not touch each other does not matter.

use pellucid::nn::Value;
use pellucid::{Model, RunOptions};
use pellucid_program::{Arg, Builder, Input, Kind, NodeId, Place, Program, RegionKind, parse};
use pellucid_tensor::Rewrites;
use proptest::prelude::*;

use crate::model;

/// What is done at a place.
#[derive(Clone, Debug)]
enum Action {
    /// Its value, changed by an operation, is saved.
    Look(&'static str),
    /// A position is overwritten with a number.
    Set(usize, f64),
    /// The value is replaced by a multiple.
    Scale(f64),
    /// A position takes the first saved value of an earlier invoke, if it has the shape.
    Patch(usize),
}

/// One statement group: layer, whether of the block or its feed-forward module, and what is done there.
type Step = (usize, bool, Action);

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        prop::sample::select(vec!["neg", "tanh", "exp", "clone"]).prop_map(Action::Look),
        (0..3usize, -1.0..1.0f64).prop_map(|(t, x)| Action::Set(t, x)),
        (-2.0..2.0f64).prop_map(Action::Scale),
        (0..3usize).prop_map(Action::Patch),
    ]
}

fn invoke() -> impl Strategy<Value = (Vec<i64>, Vec<Step>)> {
    let steps = prop::collection::vec((0..2usize, any::<bool>(), action()), 0..5);
    (prop::collection::vec(0..96i64, 3..5), steps).prop_map(|(ids, mut steps)| {
        // The feed-forward module comes before the end of its block.
        steps.sort_by_key(|(layer, is_block, _)| (*layer, *is_block));
        (ids, steps)
    })
}

/// The program, and the nodes saved by each invoke.
fn program(
    invokes: &[(Vec<i64>, Vec<Step>)],
    crossing: bool,
    backwards: bool,
) -> (Program, Vec<Vec<NodeId>>) {
    let mut b = Builder::new();
    b.open(RegionKind::trace(0));
    let ids: Vec<_> = invokes.iter().map(|(ids, _)| b.invoke(Input::tokens(ids.clone()))).collect();
    let mut saved = vec![Vec::new(); invokes.len()];
    let mut first: Option<(usize, NodeId)> = None;
    let mut order: Vec<usize> = (0..invokes.len()).collect();
    if backwards {
        order.reverse();
    }
    for i in order {
        b.set_invoke(Some(ids[i]));
        for (layer, is_block, action) in &invokes[i].1 {
            let path = if *is_block {
                format!("transformer.h.{layer}")
            } else {
                format!("transformer.h.{layer}.mlp")
            };
            let read = b.node(Kind::Read(Place::output(path.clone())));
            let value = if *is_block { b.op("getitem", [read.into(), 0.into()]) } else { read };
            let at = |t: usize| Arg::Tuple(vec![Arg::full_slice(), Arg::Int(t as i64)]);
            match action {
                Action::Look(name) => {
                    let seen = b.op(name, [value.into()]);
                    saved[i].push(b.node(Kind::Save { value: seen, name: None }));
                    first = first.or(Some((*layer, value)));
                }
                Action::Set(t, x) => drop(b.op("setitem", [value.into(), at(*t), (*x).into()])),
                Action::Scale(x) => {
                    let scaled = b.op("mul", [value.into(), (*x).into()]);
                    let value = if *is_block {
                        let rest = b.op("getitem", [read.into(), Arg::slice(Some(1), None, None)]);
                        let head = b.op("tuple", [Arg::List(vec![scaled.into()])]);
                        b.op("add", [head.into(), rest.into()])
                    } else {
                        scaled
                    };
                    b.node(Kind::Write { place: Place::output(path), value: value.into() });
                }
                Action::Patch(t) => {
                    if let (true, Some((from, source))) = (crossing, first)
                        && from < *layer
                    {
                        let row = b.op("getitem", [source.into(), at(*t)]);
                        b.op("setitem", [value.into(), at(*t), row.into()]);
                    }
                }
            }
        }
        let logits = b.node(Kind::Read(Place::output("lm_head")));
        saved[i].push(b.node(Kind::Save { value: logits, name: None }));
    }
    (b.finish(), saved)
}

fn values(model: &Model, program: &Program, saved: &[NodeId]) -> Vec<Vec<f32>> {
    let outcome = model.run_program(program, RunOptions::default()).expect("a valid program");
    let tensor = |id: &NodeId| match outcome.value(*id).expect("saved") {
        Value::Tensor(var) => var.get().and_then(|t| t.to_vec::<f32>()).expect("numbers"),
        other => panic!("{}", other.kind()),
    };
    saved.iter().map(tensor).collect()
}

fn close(a: &[Vec<f32>], b: &[Vec<f32>]) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        prop_assert_eq!(a.len(), b.len());
        for (x, y) in a.iter().zip(b) {
            prop_assert!(
                (x - y).abs() <= 1e-5 * (1.0 + x.abs()) || (x.is_nan() && y.is_nan()),
                "{} {}",
                x,
                y
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rewrites_leave_every_saved_value(invokes in prop::collection::vec(invoke(), 1..4)) {
        let (program, saved) = program(&invokes, true, false);
        let saved = saved.concat();
        let plain = {
            let model = model();
            model.engine().set_rewrites(Rewrites::OFF);
            values(&model, &program, &saved)
        };
        close(&values(&model(), &program, &saved), &plain)?;
    }

    #[test]
    fn an_invoke_is_what_it_is_alone(invokes in prop::collection::vec(invoke(), 2..4)) {
        let model = model();
        let (together, saved) = program(&invokes, false, false);
        for (i, invoke) in invokes.iter().enumerate() {
            let (alone, own) = program(std::slice::from_ref(invoke), false, false);
            close(&values(&model, &together, &saved[i]), &values(&model, &alone, &own[0]))?;
        }
    }

    #[test]
    fn the_order_of_independent_statements_does_not_matter(invokes in prop::collection::vec(invoke(), 2..4)) {
        let model = model();
        let (forwards, first) = program(&invokes, false, false);
        let (backwards, second) = program(&invokes, false, true);
        for (first, second) in first.iter().zip(&second) {
            prop_assert_eq!(values(&model, &forwards, first), values(&model, &backwards, second));
        }
    }

    #[test]
    fn text_is_the_program(invokes in prop::collection::vec(invoke(), 1..4)) {
        let model = model();
        let (program, saved) = program(&invokes, true, false);
        let again = parse(&program.to_string()).expect("its own text");
        prop_assert_eq!(&again, &program);
        let saved = saved.concat();
        prop_assert_eq!(values(&model, &again, &saved), values(&model, &program, &saved));
    }
}

#[test]
fn a_chain_of_a_hundred_thousand_operations_runs_and_prints_and_parses() {
    let mut b = Builder::new();
    b.open(RegionKind::trace(0));
    b.invoke(Input::tokens(vec![1, 2, 3]));
    let mut x = b.node(Kind::Read(Place::output("transformer.wte")));
    x = b.op("mul", [x.into(), 0.0.into()]);
    for _ in 0..100_000 {
        x = b.op("add", [x.into(), 1.into()]);
    }
    let save = b.node(Kind::Save { value: x, name: None });
    let program = parse(&b.finish().to_string()).expect("its own text");
    let found = values(&model(), &program, &[save]);
    assert!(found[0].iter().all(|&x| x == 100_000.0));
}
