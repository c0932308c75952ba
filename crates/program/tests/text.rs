//! The text form: printing and parsing are inverse, and no text harms the parser.

use pellucid_program::{
    Arg, Constant, ConstantId, Dependence, Dtype, Environment, Input, Invoke, InvokeId, Kind, Limits, Line,
    MAX_FAULTS, Node, NodeId, Place, Point, Program, Region, RegionId, RegionKind, Signature, SourceId,
    Steps, StopScope, parse, parse_with, verify,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z_.0-9]{1,8}",
        any::<String>(),
        Just("step".to_owned()),
        Just("say \"hi\"\\ \n\r\t\0 \u{202e}\u{feff} 猫 ; $0".to_owned()),
    ]
}

fn node_id() -> impl Strategy<Value = NodeId> {
    prop_oneof![4 => 0..12u32, 1 => any::<u32>()].prop_map(NodeId)
}

fn dtype() -> impl Strategy<Value = Dtype> {
    (0..Dtype::ALL.len()).prop_map(|index| Dtype::ALL[index])
}

fn float() -> impl Strategy<Value = f64> {
    // Every bit pattern, NaN payloads included.
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(f64::NAN),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(3.0),
    ]
}

fn arg() -> impl Strategy<Value = Arg> {
    let leaf = prop_oneof![
        node_id().prop_map(Arg::Node),
        Just(Arg::None),
        any::<bool>().prop_map(Arg::Bool),
        any::<i64>().prop_map(Arg::Int),
        float().prop_map(Arg::Float),
        text().prop_map(Arg::Str),
        Just(Arg::Ellipsis),
        any::<u32>().prop_map(|id| Arg::Constant(ConstantId(id))),
        dtype().prop_map(Arg::Dtype),
        text().prop_map(Arg::Device),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Arg::List),
            vec(inner.clone(), 0..4).prop_map(Arg::Tuple),
            vec((inner.clone(), inner), 0..3).prop_map(Arg::Dict),
            (boxed.clone(), boxed.clone(), boxed).prop_map(|(start, stop, step)| Arg::Slice {
                start,
                stop,
                step
            }),
        ]
    })
}

fn args() -> impl Strategy<Value = Vec<Arg>> {
    vec(arg(), 0..3)
}

fn named() -> impl Strategy<Value = Vec<(String, Arg)>> {
    vec((text(), arg()), 0..3)
}

fn place() -> impl Strategy<Value = Place> {
    let point = prop_oneof![
        Just(Point::Input),
        Just(Point::Inputs),
        Just(Point::Output),
        Just(Point::Pattern),
        text().prop_map(Point::Op),
    ];
    (text(), point).prop_map(|(module, point)| Place { module, point })
}

fn kind() -> BoxedStrategy<Kind> {
    let scope = prop_oneof![Just(StopScope::Trace), Just(StopScope::Loop), Just(StopScope::Session)];
    prop_oneof![
        place().prop_map(Kind::Read),
        (place(), arg()).prop_map(|(place, value)| Kind::Write { place, value }),
        text().prop_map(|name| Kind::Parameter { name }),
        (text(), args(), named()).prop_map(|(name, args, kwargs)| Kind::Op { name, args, kwargs }),
        (text(), args(), named(), any::<bool>())
            .prop_map(|(path, args, kwargs, hooks)| { Kind::Module { path, args, kwargs, hooks } }),
        (node_id(), option::of(text())).prop_map(|(value, name)| Kind::Save { value, name }),
        args().prop_map(|args| Kind::Log { args }),
        (scope, option::of(node_id())).prop_map(|(scope, after)| Kind::Stop { scope, after }),
        (node_id(), option::of(arg()), any::<bool>())
            .prop_map(|(loss, gradient, retain_graph)| { Kind::Backward { loss, gradient, retain_graph } }),
        node_id().prop_map(|of| Kind::Grad { of }),
        (node_id(), arg()).prop_map(|(of, value)| Kind::SetGrad { of, value }),
        (node_id(), any::<bool>()).prop_map(|(of, value)| Kind::RequiresGrad { of, value }),
        (text(), arg()).prop_map(|(module, value)| Kind::Skip { module, value }),
        node_id().prop_map(|optimizer| Kind::OptimizerStep { optimizer }),
        node_id().prop_map(|optimizer| Kind::ZeroGrad { optimizer }),
        (any::<u32>(), args()).prop_map(|(callback, args)| Kind::Host { callback, args }),
        (0..6u32).prop_map(|id| Kind::RegionRef(RegionId(id))),
        (0..6u32).prop_map(|id| Kind::Item(RegionId(id))),
        vec(node_id(), 0..4).prop_map(|values| Kind::Merge { values }),
    ]
    .boxed()
}

fn steps() -> impl Strategy<Value = Steps> {
    prop_oneof![
        Just(Steps::First),
        Just(Steps::all()),
        any::<u64>().prop_map(Steps::At),
        (any::<u64>(), option::of(any::<u64>()), 0..4u64).prop_map(|(start, stop, step)| Steps::Range {
            start,
            stop,
            step
        }),
        vec(any::<u64>(), 0..4).prop_map(Steps::List),
    ]
}

fn line() -> impl Strategy<Value = Option<Line>> {
    option::of((0..3u32, any::<u32>()).prop_map(|(id, line)| Line { source: SourceId(id), line }))
}

fn node() -> impl Strategy<Value = Node> {
    // Regions and invokes that may or may not be there.
    (kind(), option::of((0..4u32).prop_map(InvokeId)), steps(), 0..5u32, line()).prop_map(
        |(kind, invoke, steps, region, line)| Node { kind, invoke, steps, region: RegionId(region), line },
    )
}

fn region() -> impl Strategy<Value = Region> {
    let kind = prop_oneof![
        Just(RegionKind::Root),
        Just(RegionKind::Session),
        Just(RegionKind::Local),
        (any::<u32>(), option::of(named()))
            .prop_map(|(model, generate)| RegionKind::Trace { model, generate }),
        (option::of(arg()), option::of((0..4u32).prop_map(RegionId)))
            .prop_map(|(condition, else_of)| RegionKind::Cond { condition, else_of }),
        arg().prop_map(|over| RegionKind::Iter { over }),
        (any::<u32>(), any::<u32>()).prop_map(|(model, edited)| RegionKind::Edit { model, edited }),
    ];
    (option::of((0..5u32).prop_map(RegionId)), kind).prop_map(|(parent, kind)| Region { parent, kind })
}

fn invoke() -> impl Strategy<Value = Invoke> {
    let input = prop_oneof![
        Just(Input::Empty),
        vec(text(), 0..3).prop_map(Input::Text),
        vec(vec(any::<i64>(), 0..4), 0..3).prop_map(Input::Tokens),
        (arg(), option::of(arg()))
            .prop_map(|(input_ids, attention_mask)| Input::Batch { input_ids, attention_mask }),
        arg().prop_map(Input::Value),
    ];
    (0..5u32, input, named(), line()).prop_map(|(region, input, options, line)| Invoke {
        region: RegionId(region),
        input,
        options,
        line,
    })
}

fn constant() -> impl Strategy<Value = Constant> {
    (dtype(), vec(any::<usize>(), 0..4), vec(any::<u8>(), 0..20)).prop_map(|(dtype, shape, bytes)| Constant {
        dtype,
        shape,
        bytes: bytes.into(),
    })
}

/// Programs of every shape, most of them senseless: the text form must carry them all.
fn program() -> impl Strategy<Value = Program> {
    (
        vec(invoke(), 0..4),
        vec(node(), 0..12),
        vec(region(), 0..6),
        vec(constant(), 0..3),
        vec(text(), 0..3),
        vec((text(), node_id()), 0..3),
    )
        .prop_map(|(invokes, nodes, regions, constants, sources, bindings)| Program {
            invokes,
            nodes,
            regions,
            constants,
            sources,
            bindings,
        })
}

/// Knows every name, and passes places in the order of their names.
struct Anything;

impl Environment for Anything {
    fn op_signature(&self, _: &str) -> Option<Signature> {
        Some(Signature::at_least(0))
    }

    fn module_exists(&self, _: u32, _: &str) -> bool {
        true
    }

    fn parameter_exists(&self, _: u32, _: &str) -> bool {
        true
    }

    fn place_exists(&self, _: u32, _: &Place) -> bool {
        true
    }

    fn forward_order(&self, _: u32, place: &Place) -> Option<u64> {
        place.module.bytes().next().map(u64::from)
    }

    fn calls_per_forward(&self, _: u32, _: &str) -> Option<u64> {
        Some(u64::MAX)
    }
}

/// A program's content with every float by its bits, as NaN is not equal to itself.
fn content(program: &Program) -> String {
    fn bits(arg: &mut Arg) {
        match arg {
            Arg::Float(value) => *arg = Arg::Device(format!("float {:x}", value.to_bits())),
            Arg::List(items) | Arg::Tuple(items) => items.iter_mut().for_each(bits),
            Arg::Dict(pairs) => pairs.iter_mut().for_each(|(key, value)| {
                bits(key);
                bits(value);
            }),
            Arg::Slice { start, stop, step } => [start, stop, step].into_iter().for_each(|a| bits(a)),
            _ => {}
        }
    }
    let mut program = program.clone();
    for node in &mut program.nodes {
        match &mut node.kind {
            Kind::Op { args, kwargs, .. } | Kind::Module { args, kwargs, .. } => {
                args.iter_mut().chain(kwargs.iter_mut().map(|(_, arg)| arg)).for_each(bits);
            }
            Kind::Log { args } | Kind::Host { args, .. } => args.iter_mut().for_each(bits),
            Kind::Write { value, .. }
            | Kind::SetGrad { value, .. }
            | Kind::Skip { value, .. }
            | Kind::Backward { gradient: Some(value), .. } => bits(value),
            _ => {}
        }
    }
    for region in &mut program.regions {
        match &mut region.kind {
            RegionKind::Cond { condition: Some(arg), .. } | RegionKind::Iter { over: arg } => bits(arg),
            RegionKind::Trace { generate: Some(options), .. } => {
                options.iter_mut().for_each(|(_, arg)| bits(arg));
            }
            _ => {}
        }
    }
    for invoke in &mut program.invokes {
        invoke.options.iter_mut().for_each(|(_, arg)| bits(arg));
        match &mut invoke.input {
            Input::Value(arg) => bits(arg),
            Input::Batch { input_ids, attention_mask } => {
                bits(input_ids);
                attention_mask.iter_mut().for_each(bits);
            }
            _ => {}
        }
    }
    format!("{program:?}")
}

proptest! {
    #[test]
    fn every_program_prints_and_parses_back_to_itself(program in program()) {
        let printed = program.to_string();
        let parsed = parse(&printed).map_err(|error| {
            TestCaseError::fail(format!("{error}\n{printed}"))
        })?;
        prop_assert_eq!(content(&parsed), content(&program));
        prop_assert_eq!(parsed.to_string(), printed);
    }

    #[test]
    fn the_verifier_and_the_dependence_tables_take_any_program(program in program()) {
        let faults = verify(&program, &Anything);
        prop_assert!(faults.len() <= MAX_FAULTS);
        for fault in &faults {
            prop_assert!(!fault.to_string().is_empty());
            let _ = fault.hint();
        }
        let dependence = Dependence::new(&program);
        for (id, _) in program.nodes() {
            for used in program.dependencies(id).into_iter().filter(|used| program.node(*used).is_some()) {
                prop_assert!(dependence.users(used).contains(&id));
            }
        }
    }

    #[test]
    fn a_damaged_text_is_read_or_refused_with_a_position_inside_it(
        program in program(),
        cuts in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), text()), 1..4),
    ) {
        let mut characters: Vec<char> = program.to_string().chars().collect();
        for (start, length, insert) in cuts {
            let start = start.index(characters.len() + 1);
            let end = start + length.index(8).min(characters.len() - start);
            characters.splice(start..end, insert.chars().collect::<Vec<_>>());
        }
        let damaged: String = characters.into_iter().collect();
        if let Err(error) = parse(&damaged) {
            let line = damaged.split('\n').nth(error.line - 1);
            prop_assert!(line.is_some_and(|line| error.column <= line.chars().count() + 1), "{}", error);
        }
    }

    #[test]
    fn any_text_after_the_header_is_read_or_refused(noise in any::<String>(), tokens in vec(
        prop::sample::select(vec![
            "%0", "=", "op", "add", "(", ")", "[", "]", "{", "}", "<", ">", ":", ",", "..", "...", "1", "-", "1.5e",
            "\"", "\\", "nan", "step", "steps", "\n", "region ^0 root\n", "^0:\n", "const #0 f32 [", "invoke @0 in",
        ]), 0..40),
    ) {
        let _ = parse(&format!("pellucid program 1\n{noise}"));
        let _ = parse(&format!("pellucid program 1\n{}", tokens.join(" ")));
    }
}

#[test]
fn nesting_is_read_up_to_the_limit_and_refused_beyond_it() {
    let nested = |depth: usize| {
        let list = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        parse(&format!("pellucid program 1\n%0 = op list({list})\n"))
    };
    // The innermost list is empty, so `depth` brackets are `depth - 1` levels below the outermost argument.
    assert!(nested(Arg::MAX_DEPTH + 1).is_ok());
    let error = nested(Arg::MAX_DEPTH + 2).unwrap_err();
    assert_eq!(error.expected, "at most 64 levels of nesting");
    assert!(nested(1_000_000).is_err(), "however deep, the stack holds");
}

#[test]
fn what_is_beyond_a_limit_is_refused_where_it_begins() {
    let limits = Limits { nodes: 2, items: 3, constant_bytes: 4, ..Limits::default() };
    let refusal = |body: &str| {
        let error = parse_with(&format!("pellucid program 1\n{body}"), &limits).unwrap_err();
        (error.line, error.expected)
    };
    let nodes = "%0 = item ^0\n%1 = item ^0\n%2 = item ^0\n";
    assert_eq!(refusal(nodes), (4, "at most 2 nodes".to_owned()));
    assert_eq!(refusal("%0 = log(1, 2, 3, 4)"), (2, "at most 3 arguments and elements".to_owned()));
    let constant = "const #0 u8 [6] \"AAAAAAAA\"";
    assert_eq!(refusal(constant), (2, "at most 4 bytes of constants".to_owned()));
    let short = Limits { text_bytes: 10, ..Limits::default() };
    let error = parse_with("pellucid program 1\n", &short).unwrap_err();
    assert_eq!(error.got, "19 bytes");
}

#[test]
fn refusals_name_the_position_what_was_expected_and_what_is_there() {
    let cases = [
        ("", "line 1, column 1: expected `pellucid`, got the end of the text"),
        ("pellucid program 2\n", "line 1, column 18: expected version 1 of the text form, got `2`"),
        (
            "pellucid program 1\n%1 = item ^0",
            "line 2, column 1: expected `%0`, the next of the nodes, got `%1`",
        ),
        (
            "pellucid program 1\n%0 = read step -1 \"h\" output",
            "line 2, column 16: expected the number of a call, from 0, got `-1`",
        ),
        (
            "pellucid program 1\n\n%0 = op add(1, \"\\x\")",
            "line 3, column 17: expected one of `\\\"` `\\\\` `\\n` `\\r` `\\t` `\\u{…}`, got `\\\\x\\\")`",
        ),
        ("pellucid program 1\n%0 = op add(1 2)", "line 2, column 15: expected `,` or `)`, got `2)`"),
        (
            "pellucid program 1\n%0 = op add(x: 1, 2)",
            "line 2, column 19: expected a keyword argument, got `2)`",
        ),
        (
            "pellucid program 1\n%0 = log(1e999)",
            "line 2, column 10: expected a number within the range of `f64`, got `1e999)`",
        ),
        (
            "pellucid program 1\n%0 = log(99999999999999999999)",
            "line 2, column 10: expected an integer of 64 bits, got `99999999999999999999)`",
        ),
        (
            "pellucid program 1\nconst #0 u8 [1] \"A===\"",
            "line 2, column 18: expected base64, got `A===\\\"`",
        ),
        (
            "pellucid program 1\n%0 = read \"h",
            "line 2, column 13: expected `\"` at the end of the string, got the end of the text",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(parse(text).unwrap_err().to_string(), message, "{text:?}");
    }
}

#[test]
fn comments_blank_lines_and_windows_line_ends_mean_nothing() {
    let spare = "; a note\r\n\r\n pellucid program 1 ; another\r\n\tregion ^0 root;x\r\n^0 :\r\n%0=op add ( 1 , 2 , )";
    let plain = "pellucid program 1\nregion ^0 root\n^0:\n%0 = op add(1, 2)\n";
    assert_eq!(parse(spare), parse(plain));
}

#[test]
fn a_chain_of_a_hundred_thousand_operations_prints_parses_and_drops() {
    let mut b = pellucid_program::Builder::new();
    let mut last = b.op("zeros", [3.into()]);
    for _ in 0..100_000 {
        last = b.op("add", [last.into(), 1.into()]);
    }
    let program = b.finish();
    let parsed = parse(&program.to_string()).unwrap();
    assert!(parsed == program);
    assert_eq!(parsed.nodes.len(), 100_001);
}
