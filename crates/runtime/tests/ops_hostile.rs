//! Whatever an operation is given, it answers with a value or an error: it does not panic, and it does not ask for more
//! memory than there is.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pellucid_nn::Value;
use pellucid_runtime::ops::{self, call};
use pellucid_tensor::{DType, Engine};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A recipe of a value: values themselves belong to an engine.
#[derive(Clone, Debug)]
enum Seed {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Complex(f64, f64),
    Text(String),
    Bytes(Vec<u8>),
    Tensor(Vec<usize>, DType, i64),
    Type(DType),
    Ellipsis,
    List(Vec<Seed>),
    Tuple(Vec<Seed>),
    Set(Vec<Seed>),
    Dict(Vec<(Seed, Seed)>),
    Slice(Box<[Seed; 3]>),
}

fn value(engine: &Engine, seed: &Seed) -> Value {
    let all = |items: &[Seed]| items.iter().map(|s| value(engine, s)).collect::<Vec<_>>();
    match seed {
        Seed::None => Value::None,
        Seed::Bool(b) => Value::Bool(*b),
        Seed::Int(i) => Value::Int(*i),
        Seed::Float(f) => Value::Float(*f),
        Seed::Complex(re, im) => Value::Complex(*re, *im),
        Seed::Text(s) => Value::text(s),
        Seed::Bytes(b) => Value::Bytes(b.as_slice().into()),
        Seed::Tensor(dims, dtype, start) => {
            let n = dims.iter().product();
            let flat = engine.arange(*start, 1, n, *dtype);
            let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
            Value::tensor(flat.reshape(&dims).expect("a shape of as many elements"))
        }
        Seed::Type(d) => Value::DType(*d),
        Seed::Ellipsis => Value::Ellipsis,
        Seed::List(items) => Value::list(all(items)),
        Seed::Tuple(items) => Value::tuple(all(items)),
        Seed::Set(items) => call(engine, "set", vec![Value::tuple(all(items))], vec![]).unwrap_or_default(),
        Seed::Dict(pairs) => Value::dict(pairs.iter().map(|(k, v)| (value(engine, k), value(engine, v)))),
        Seed::Slice(parts) => Value::Slice(
            [value(engine, &parts[0]), value(engine, &parts[1]), value(engine, &parts[2])].into(),
        ),
    }
}

fn ints() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -4i64..7,
        1 => prop::sample::select(vec![i64::MIN, i64::MAX, 1 << 40, -(1 << 40), 10i64.pow(15), 1 << 62, 255, 65]),
    ]
}

fn floats() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -3.0..3.0f64,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e300, 1e-300]),
    ]
}

fn texts() -> impl Strategy<Value = String> {
    let known = [
        "",
        "a",
        "mean",
        "sum",
        "none",
        "constant",
        "reflect",
        "linear",
        "float32",
        "cpu",
        "fro",
        "shape",
        ",",
        "ij,jk->ik",
        "...i,i->...",
        "a b -> b a",
        "(a b) c -> a (b c)",
        "... d -> d",
        "a -> (a 2)",
        "{:>5} {}",
        ".3f",
        "x<10",
        "99999999999d",
        "é{",
        "12",
        "xy",
        "tanh",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,6}"]
}

fn tensors() -> impl Strategy<Value = Seed> {
    let size = prop_oneof![4 => 1usize..4, 1 => Just(0)];
    let dims =
        prop_oneof![8 => prop::collection::vec(size, 0..4), 1 => prop::collection::vec(Just(1usize), 20..26)];
    (dims, prop::sample::select(DType::ALL.to_vec()), -2i64..2).prop_map(|(d, t, s)| Seed::Tensor(d, t, s))
}

fn seeds() -> impl Strategy<Value = Seed> {
    let leaf = prop_oneof![
        1 => Just(Seed::None),
        1 => any::<bool>().prop_map(Seed::Bool),
        4 => ints().prop_map(Seed::Int),
        2 => floats().prop_map(Seed::Float),
        1 => (floats(), floats()).prop_map(|(a, b)| Seed::Complex(a, b)),
        3 => texts().prop_map(Seed::Text),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(Seed::Bytes),
        8 => tensors(),
        1 => prop::sample::select(DType::ALL.to_vec()).prop_map(Seed::Type),
        1 => Just(Seed::Ellipsis),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Seed::List),
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Seed::Tuple),
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Seed::Set),
            1 => prop::collection::vec((inner.clone(), inner.clone()), 0..3).prop_map(Seed::Dict),
            1 => [inner.clone(), inner.clone(), inner].prop_map(|p| Seed::Slice(Box::new(p))),
        ]
    })
}

/// Calls an operation and computes its result; a panic becomes a failure that names the operation.
fn attempt(
    engine: &Engine,
    name: &str,
    args: Vec<Value>,
    kwargs: Vec<(String, Value)>,
) -> Result<(), TestCaseError> {
    let shown = format!("{args:?} {kwargs:?}");
    let work = || {
        if let Ok(result) = call(engine, name, args, kwargs) {
            compute(&result);
        }
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => Ok(()),
        Err(_) => Err(TestCaseError::fail(format!("`{name}` panics, given {shown}"))),
    }
}

/// Computes what is small enough and not empty; the shapes of the rest are answer enough.
fn compute(value: &Value) {
    value.for_each_var(&mut |var| {
        if let Ok(tensor) = var.get()
            && tensor
                .dims()
                .iter()
                .try_fold(1usize, |n, &d| n.checked_mul(d))
                .is_some_and(|n| (1..1 << 16).contains(&n))
        {
            // A fault that only comes to light here is an answer, too.
            _ = tensor.eval();
        }
    });
    _ = value.kind();
}

fn keywords() -> Vec<&'static str> {
    vec![
        "dim",
        "keepdim",
        "dtype",
        "reduction",
        "size",
        "seed",
        "offset",
        "a",
        "axis",
        "value",
        "largest",
        "p",
        "other",
    ]
}

#[test]
fn no_operation_panics_whatever_it_is_given() {
    let names: Vec<&str> = ops::names().collect();
    let strategy = (
        prop::collection::vec(seeds(), 0..6),
        prop::collection::vec((prop::sample::select(keywords()), seeds()), 0..2),
    );
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let test = |(args, kwargs): (Vec<Seed>, Vec<(&str, Seed)>)| {
        let engine = Engine::new();
        for name in &names {
            for form in ["", "_"] {
                let args = args.iter().map(|s| value(&engine, s)).collect();
                let kwargs = kwargs.iter().map(|(k, s)| ((*k).to_owned(), value(&engine, s))).collect();
                attempt(&engine, &format!("{name}{form}"), args, kwargs)?;
            }
        }
        Ok(())
    };
    runner.run(&strategy, test).expect("no operation panics");
}

/// Arguments of the kinds an operation wants, so that it gets further than to its first check.
#[test]
fn no_operation_panics_on_a_tensor_and_numbers() {
    let names: Vec<&str> = ops::names().collect();
    let tail = prop_oneof![
        6 => ints().prop_map(Seed::Int),
        2 => floats().prop_map(Seed::Float),
        4 => tensors(),
        2 => prop::collection::vec(ints().prop_map(Seed::Int), 0..4).prop_map(Seed::Tuple),
        1 => prop::collection::vec(tensors(), 0..3).prop_map(Seed::List),
        1 => texts().prop_map(Seed::Text),
    ];
    let first = prop_oneof![
        6 => tensors(),
        2 => prop::collection::vec(tensors(), 0..3).prop_map(Seed::List),
        2 => prop::collection::vec(ints().prop_map(Seed::Int), 0..4).prop_map(Seed::List),
        1 => texts().prop_map(Seed::Text),
    ];
    let strategy = (first, prop::collection::vec(tail, 0..6));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let test = |(first, rest): (Seed, Vec<Seed>)| {
        let engine = Engine::new();
        for name in &names {
            let args = std::iter::once(&first).chain(&rest).map(|s| value(&engine, s)).collect();
            attempt(&engine, name, args, Vec::new())?;
        }
        Ok(())
    };
    runner.run(&strategy, test).expect("no operation panics");
}

fn refused(name: &str, args: Vec<Value>) {
    let engine = Engine::new();
    let got = call(&engine, name, args.clone(), vec![]);
    assert!(got.is_err(), "`{name}` of {args:?} gave {got:?}");
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_asked_for() {
    let huge = || Value::Int(10i64.pow(15));
    let row = || Value::tensor(Engine::new().arange(0, 1, 3, DType::F32));
    refused("range", vec![Value::Int(10i64.pow(18))]);
    refused("zeros", vec![huge()]);
    refused("zeros", vec![Value::tuple([Value::Int(1 << 32), Value::Int(1 << 32)])]);
    refused("arange", vec![huge()]);
    refused("eye", vec![Value::Int(1 << 30)]);
    refused("expand", vec![row(), huge(), Value::Int(3)]);
    refused("repeat", vec![row(), huge()]);
    refused("repeat", vec![row(), Value::Int(i64::MAX)]);
    refused("tile", vec![row(), huge()]);
    refused("pad", vec![row(), Value::tuple([huge(), huge()])]);
    refused("mul", vec![Value::text("a"), huge()]);
    refused("mul", vec![Value::list([Value::None]), huge()]);
    refused("ljust", vec![Value::text("a"), huge()]);
    refused("format", vec![Value::Int(1), Value::text("999999999999d")]);
    refused("bytes", vec![huge()]);
    refused("linspace", vec![Value::Int(0), Value::Int(1), huge()]);
    refused("rand", vec![Value::tuple([huge()]), Value::Int(0), Value::Int(0)]);
    refused("diag", vec![row(), huge()]);
}

#[test]
fn a_list_cannot_be_put_into_itself() {
    let engine = Engine::new();
    let (outer, inner) = (Value::list([]), Value::list([]));
    call(&engine, "append", vec![outer.clone(), inner.clone()], vec![]).unwrap();
    refused("append", vec![outer.clone(), outer.clone()]);
    refused("append", vec![inner.clone(), outer.clone()]);
    refused("insert", vec![inner, Value::Int(0), Value::tuple([outer])]);
}

#[test]
fn nesting_beyond_what_can_be_walked_is_refused() {
    let engine = Engine::new();
    let mut value = Value::list([]);
    for _ in 0..1000 {
        let wider = Value::list([]);
        if call(&engine, "append", vec![wider.clone(), value.clone()], vec![]).is_err() {
            return;
        }
        value = wider;
    }
    panic!("a list nested a thousand deep was made");
}
