//! Operations that are views in PyTorch share their operand's storage; all others have their own. Draws and batches
//! depend on their seed alone.

use pellucid_nn::Value;
use pellucid_program::is_view_op;
use pellucid_runtime::ops::call;
use pellucid_tensor::{DType, Engine};

fn op(engine: &Engine, name: &str, args: Vec<Value>) -> Value {
    call(engine, name, args, vec![]).unwrap_or_else(|e| panic!("`{name}`: {e}"))
}

fn ints(items: &[i64]) -> Value {
    Value::tuple(items.iter().map(|&i| Value::Int(i)))
}

fn cube(engine: &Engine) -> Value {
    Value::tensor(engine.arange(0, 1, 24, DType::F32).reshape(&[2, 3, 4]).unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_var().expect("a tensor").get().unwrap().to_f64s().unwrap()
}

/// The first tensor of a result: views come in tuples, too.
fn first(value: Value) -> Value {
    match value {
        Value::Tuple(items) => items[0].clone(),
        other => other,
    }
}

/// Whether zeroing the result zeroes as many elements of the operand.
fn shares(name: &str, args: Vec<Value>) -> bool {
    let engine = Engine::new();
    let x = cube(&engine);
    let result = first(op(&engine, name, std::iter::once(x.clone()).chain(args).collect()));
    let count = numbers(&result).len();
    op(&engine, "fill_", vec![result, Value::Float(-1.0)]);
    let written = numbers(&x).into_iter().filter(|&v| v == -1.0).count();
    assert!(written == 0 || written == count, "`{name}` wrote {written} of {count}");
    written > 0
}

#[test]
fn what_is_a_view_in_pytorch_is_one_here() {
    let i = Value::Int;
    let cases: Vec<(&str, Vec<Value>)> = vec![
        ("reshape", vec![i(6), i(4)]),
        ("view", vec![i(-1)]),
        ("permute", vec![i(2), i(0), i(1)]),
        ("transpose", vec![i(0), i(2)]),
        ("swapaxes", vec![i(0), i(1)]),
        ("movedim", vec![i(0), i(2)]),
        ("mT", vec![]),
        ("squeeze", vec![]),
        ("unsqueeze", vec![i(0)]),
        ("flatten", vec![]),
        ("ravel", vec![]),
        ("unflatten", vec![i(2), ints(&[2, 2])]),
        ("narrow", vec![i(1), i(1), i(2)]),
        ("select", vec![i(1), i(0)]),
        ("chunk", vec![i(2)]),
        ("split", vec![i(1), i(1)]),
        ("tensor_split", vec![i(3), i(2)]),
        ("unbind", vec![i(2)]),
        ("diagonal", vec![i(0), i(1), i(2)]),
        ("diagonal", vec![i(1), i(2), i(1)]),
        ("getitem", vec![i(1)]),
        ("rearrange", vec![Value::text("b s d -> d b s")]),
        ("detach", vec![]),
        ("contiguous", vec![]),
        ("cpu", vec![]),
        ("float", vec![]),
        ("to", vec![Value::DType(DType::F32)]),
    ];
    for (name, args) in cases {
        assert!(shares(name, args), "`{name}` copies");
        assert!(is_view_op(name), "`{name}` is not in the table of views");
    }
}

#[test]
fn what_is_a_copy_in_pytorch_is_one_here() {
    let i = Value::Int;
    let cases: Vec<(&str, Vec<Value>)> = vec![
        ("clone", vec![]),
        ("double", vec![]),
        ("add", vec![i(0)]),
        ("abs", vec![]),
        ("cat", vec![]),
        ("flip", vec![i(0)]),
        ("roll", vec![i(1)]),
        ("repeat", vec![i(1), i(1), i(1)]),
        ("index_select", vec![i(0), Value::tensor(Engine::new().arange(0, 1, 1, DType::I64))]),
        ("tril", vec![]),
        ("sum", vec![]),
        ("rearrange", vec![Value::text("b s d -> (d b) s")]),
    ];
    for (name, args) in cases {
        let engine = Engine::new();
        let x = cube(&engine);
        let head = if name == "cat" { Value::list([x.clone()]) } else { x.clone() };
        let args = args.into_iter().map(|a| match a {
            // Tensors of another engine cannot be mixed in.
            Value::Tensor(_) => Value::tensor(engine.arange(0, 1, 1, DType::I64)),
            other => other,
        });
        let result = op(&engine, name, std::iter::once(head).chain(args).collect());
        op(&engine, "fill_", vec![result, Value::Float(-1.0)]);
        assert!(!numbers(&x).contains(&-1.0), "`{name}` shares its operand's storage");
    }
}

#[test]
fn a_transposed_tensor_is_copied_where_it_must_be_contiguous() {
    let engine = Engine::new();
    let x = cube(&engine);
    let turned = op(&engine, "transpose", vec![x.clone(), Value::Int(0), Value::Int(2)]);
    let copy = op(&engine, "contiguous", vec![turned.clone()]);
    assert!(matches!(op(&engine, "is_contiguous", vec![turned]), Value::Bool(false)));
    assert!(matches!(op(&engine, "is_contiguous", vec![copy.clone()]), Value::Bool(true)));
    op(&engine, "view", vec![copy.clone(), Value::Int(24)]);
    op(&engine, "zero_", vec![copy]);
    assert_eq!(numbers(&x)[5], 5.0);
}

#[test]
fn a_write_through_a_diagonal_reaches_the_matrix() {
    let engine = Engine::new();
    let x = Value::tensor(engine.zeros(&[3, 3], DType::F32));
    let turned = op(&engine, "t", vec![x.clone()]);
    let above = op(&engine, "diagonal", vec![turned, Value::Int(1)]);
    op(&engine, "fill_", vec![above, Value::Int(7)]);
    assert_eq!(numbers(&x), [0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 7.0, 0.0]);
}

#[test]
fn draws_depend_on_seed_and_offset_and_keep_to_their_range() {
    let engine = Engine::new();
    let (seed, offset) = (Value::Int(3), Value::Int(0));
    let randint = |low, high, offset| {
        let args = vec![Value::Int(low), Value::Int(high), ints(&[200]), Value::Int(3), Value::Int(offset)];
        numbers(&op(&engine, "randint", args))
    };
    assert!(randint(-2, 3, 0).iter().all(|x| (-2.0..3.0).contains(x)));
    assert_eq!(randint(0, 9, 5), randint(0, 9, 5));
    assert_ne!(randint(0, 9, 0), randint(0, 9, 500));

    let mut order = numbers(&op(&engine, "randperm", vec![Value::Int(50), seed.clone(), offset.clone()]));
    assert!(!order.is_sorted());
    order.sort_by(f64::total_cmp);
    assert_eq!(order, (0..50).map(f64::from).collect::<Vec<_>>());

    let weights = Value::tensor(engine.from_vec(vec![0.0f32, 1.0, 0.0, 3.0], &[4]).unwrap());
    let drawn = |n, replace| {
        let args = vec![weights.clone(), Value::Int(n), seed.clone(), offset.clone(), Value::Bool(replace)];
        numbers(&op(&engine, "multinomial", args))
    };
    let many = drawn(400, true);
    assert!(many.iter().all(|x| *x == 1.0 || *x == 3.0));
    let share = many.iter().filter(|x| **x == 3.0).count() as f64 / 400.0;
    assert!((share - 0.75).abs() < 0.1, "{share}");
    let mut both = drawn(2, false);
    both.sort_by(f64::total_cmp);
    assert_eq!(both, [1.0, 3.0]);

    let p = Value::tensor(engine.full(&[1000], 0.25, DType::F32));
    let hits: f64 = numbers(&op(&engine, "bernoulli", vec![p, seed.clone(), offset.clone()])).iter().sum();
    assert!((200.0..300.0).contains(&hits), "{hits}");
    let x = Value::tensor(engine.zeros(&[1000], DType::F32));
    let args = vec![x.clone(), seed, offset, Value::Float(2.0), Value::Float(4.0)];
    op(&engine, "uniform_", args);
    assert!(numbers(&x).iter().all(|v| (2.0..4.0).contains(v)));
}

#[test]
fn a_data_loader_collates_and_shuffles_by_its_seed_alone() {
    let engine = Engine::new();
    let data = Value::list((0..5).map(|i| {
        let (number, text) = (Value::Int(i), Value::text(i.to_string()));
        Value::tuple([number, text])
    }));
    let load = |args: &[Value]| {
        op(&engine, "data_loader", std::iter::once(data.clone()).chain(args.iter().cloned()).collect())
    };
    let firsts = |batches: &Value| -> Vec<f64> {
        let Value::List(batches) = batches else { panic!("expected a list, got {batches:?}") };
        let first = |b: &Value| numbers(&op(&engine, "getitem", vec![b.clone(), Value::Int(0)]));
        batches.borrow().iter().flat_map(first).collect()
    };
    assert_eq!(firsts(&load(&[Value::Int(2)])), [0.0, 1.0, 2.0, 3.0, 4.0]);
    let shuffled = |seed| firsts(&load(&[Value::Int(2), Value::Bool(true), Value::Int(seed)]));
    assert_eq!(shuffled(1), shuffled(1));
    assert_ne!(shuffled(1), shuffled(2));
    let mut all = shuffled(1);
    all.sort_by(f64::total_cmp);
    assert_eq!(all, [0.0, 1.0, 2.0, 3.0, 4.0]);
    let whole = load(&[Value::Int(2), Value::Bool(false), Value::Int(0), Value::Bool(true)]);
    assert!(matches!(op(&engine, "len", vec![whole]), Value::Int(2)));
}
