//! Operations by name compute what PyTorch, einops and Python compute.
//!
//! The cases are written by `scripts/goldens/runtime_ops.py`, which says what they consist of.

use std::cell::RefCell;
use std::rc::Rc;

use pellucid_nn::Value;
use pellucid_runtime::ops::{self, call};
use pellucid_tensor::{DType, Engine, HostData};
use serde_json::Value as Json;

/// A tensor from `type[sizes] elements`.
fn read_tensor(engine: &Engine, text: &str) -> Value {
    let (open, close) = (text.find('[').expect("a shape"), text.find(']').expect("a shape"));
    let dtype = DType::parse(&text[..open]).expect("a type");
    let sizes = text[open + 1..close].split(',').filter(|s| !s.is_empty());
    let dims: Vec<usize> = sizes.map(|s| s.parse().expect("a size")).collect();
    let mut bytes = Vec::new();
    for word in text[close + 1..].split_whitespace() {
        let x = || word.parse::<f64>().expect("a number");
        let i = || word.parse::<i64>().expect("an integer");
        match dtype {
            DType::Bool | DType::U8 => bytes.push(i() as u8),
            DType::I32 => bytes.extend((i() as i32).to_ne_bytes()),
            DType::I64 => bytes.extend(i().to_ne_bytes()),
            DType::F16 => bytes.extend(half::f16::from_f64(x()).to_ne_bytes()),
            DType::BF16 => bytes.extend(half::bf16::from_f64(x()).to_ne_bytes()),
            DType::F32 => bytes.extend((x() as f32).to_ne_bytes()),
            DType::F64 => bytes.extend(x().to_ne_bytes()),
        }
    }
    Value::tensor(engine.from_data(HostData { dtype, bytes }, &dims).expect("a tensor"))
}

fn read_all(engine: &Engine, items: &Json) -> Vec<Value> {
    items.as_array().expect("a list").iter().map(|v| read(engine, v)).collect()
}

fn read(engine: &Engine, json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match n.as_i64() {
            Some(i) if !n.is_f64() => Value::Int(i),
            _ => Value::Float(n.as_f64().expect("a number")),
        },
        Json::String(s) => Value::text(s),
        Json::Array(_) => Value::list(read_all(engine, json)),
        Json::Object(fields) => {
            let (kind, value) = fields.iter().next().expect("one key");
            match kind.as_str() {
                "t" => read_tensor(engine, value.as_str().expect("a text")),
                "f" => Value::Float(value.as_str().expect("a text").parse().expect("a number")),
                "dtype" => Value::DType(DType::parse(value.as_str().expect("a text")).expect("a type")),
                "complex" => Value::Complex(value[0].as_f64().unwrap(), value[1].as_f64().unwrap()),
                "bytes" => Value::Bytes(
                    value.as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect(),
                ),
                "tuple" => Value::tuple(read_all(engine, value)),
                "set" => Value::Set(Rc::new(RefCell::new(read_all(engine, value)))),
                "slice" => {
                    let parts = read_all(engine, value);
                    Value::Slice(Rc::new([parts[0].clone(), parts[1].clone(), parts[2].clone()]))
                }
                "ellipsis" => Value::Ellipsis,
                "dict" => Value::dict(
                    value
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|pair| (read(engine, &pair[0]), read(engine, &pair[1]))),
                ),
                other => panic!("`{other}` is no kind of value"),
            }
        }
    }
}

/// How far a result may be off: composed functions round in another order than PyTorch's.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2e-3,
        DType::BF16 => 1.6e-2,
        DType::F32 => 4e-6,
        _ => 1e-12,
    }
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

/// What differs, if anything.
fn differs(got: &Value, wanted: &Value) -> Option<String> {
    let plain = || Some(format!("expected {wanted:?}, got {got:?}"));
    let all = |a: &[Value], b: &[Value]| {
        if a.len() != b.len() {
            return Some(format!("expected {} items, got {}", b.len(), a.len()));
        }
        a.iter().zip(b).find_map(|(a, b)| differs(a, b))
    };
    match (got, wanted) {
        (Value::Tensor(got), Value::Tensor(wanted)) => {
            let (a, b) = (got.get().unwrap(), wanted.get().unwrap());
            if a.dtype() != b.dtype() || a.dims() != b.dims() {
                return Some(format!("expected {b:?}, got {a:?}"));
            }
            let (x, y) = match (a.to_f64s(), b.to_f64s()) {
                (Ok(x), Ok(y)) => (x, y),
                (Err(e), _) | (_, Err(e)) => return Some(format!("computing failed: {e}")),
            };
            let eps = tolerance(a.dtype());
            let off = x.iter().zip(&y).any(|(x, y)| !close(*x, *y, eps));
            off.then(|| format!("expected {y:?}, got {x:?}"))
        }
        (Value::Float(a), Value::Float(b)) => {
            if close(*a, *b, 1e-12) {
                None
            } else {
                plain()
            }
        }
        (Value::Complex(a, b), Value::Complex(x, y)) => {
            if close(*a, *x, 1e-12) && close(*b, *y, 1e-12) {
                None
            } else {
                plain()
            }
        }
        (Value::None, Value::None) | (Value::Ellipsis, Value::Ellipsis) => None,
        (Value::Bool(a), Value::Bool(b)) if a == b => None,
        (Value::Int(a), Value::Int(b)) if a == b => None,
        (Value::Str(a), Value::Str(b)) if a == b => None,
        (Value::Bytes(a), Value::Bytes(b)) if a == b => None,
        (Value::DType(a), Value::DType(b)) if a == b => None,
        (Value::Slice(a), Value::Slice(b)) => all(&a[..], &b[..]),
        (Value::Tuple(a), Value::Tuple(b)) => all(a, b),
        (Value::List(a), Value::List(b)) => all(&a.borrow(), &b.borrow()),
        (Value::Set(a), Value::Set(b)) => {
            let sorted = |items: &RefCell<Vec<Value>>| {
                let mut items = items.borrow().clone();
                items.sort_by_key(|v| format!("{v:?}"));
                items
            };
            all(&sorted(a), &sorted(b))
        }
        (Value::Dict(a), Value::Dict(b)) => {
            let flat = |pairs: &RefCell<Vec<(Value, Value)>>| -> Vec<Value> {
                pairs.borrow().iter().flat_map(|(k, v)| [k.clone(), v.clone()]).collect()
            };
            all(&flat(a), &flat(b))
        }
        // PyTorch's named results are written as tuples.
        (Value::Record(a), Value::Tuple(b)) => {
            let fields: Vec<Value> = a.fields.borrow().iter().map(|(_, v)| v.clone()).collect();
            all(&fields, b)
        }
        _ => plain(),
    }
}

/// Computes all tensors in a value, so that faults that only then come to light do.
fn computed(value: &Value) -> Result<(), String> {
    let mut fault = Ok(());
    value.for_each_var(&mut |var| {
        if let Err(e) = var.get().and_then(|t| t.eval()) {
            fault = Err(e.to_string());
        }
    });
    fault
}

fn run(case: &Json) -> Option<String> {
    let engine = Engine::new();
    let name = case[0].as_str().expect("a name");
    let args = read_all(&engine, &case[1]);
    let kwargs = case[2].as_object().expect("keywords");
    let kwargs = kwargs.iter().map(|(k, v)| (k.clone(), read(&engine, v))).collect();
    let receiver = args.first().cloned();
    let refused = case[3].get("error").is_some();
    let result = call(&engine, name, args, kwargs).map_err(|e| e.to_string());
    let result = result.and_then(|value| computed(&value).map(|()| value));
    match result {
        Err(_) if refused => None,
        Err(e) => Some(e),
        Ok(value) if refused => Some(format!("expected an error, got {value:?}")),
        Ok(value) => {
            let after = case.get(4).zip(receiver).and_then(|(after, got)| {
                differs(&got, &read(&engine, after)).map(|d| format!("first argument afterwards: {d}"))
            });
            differs(&value, &read(&engine, &case[3])).or(after)
        }
    }
}

fn cases() -> Vec<Json> {
    match serde_json::from_str(include_str!("goldens/ops.json")).expect("the goldens are JSON") {
        Json::Array(cases) => cases,
        other => panic!("expected a list of cases, got {other}"),
    }
}

#[test]
fn operations_compute_what_their_references_compute() {
    let cases = cases();
    let mut faults = Vec::new();
    for case in &cases {
        if let Some(fault) = run(case) {
            faults.push(format!("{} {} {}\n    {fault}", case[0], case[1], case[2]));
        }
    }
    assert!(faults.is_empty(), "{} of {} cases differ:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

#[test]
fn nearly_every_operation_has_a_case() {
    let cases = cases();
    let tested =
        |name: &str| cases.iter().any(|c| c[0].as_str().is_some_and(|n| n.trim_end_matches('_') == name));
    // Draws have no reference in PyTorch, and what `empty` gives is anything.
    let without: Vec<&str> = ops::names().filter(|n| !tested(n)).collect();
    let expected = |n: &&str| {
        pellucid_program::is_random_op(n)
            || n.contains("empty")
            || matches!(
                *n,
                "cuda" | "requires_grad_" | "is_complex" | "from_numpy" | "data_loader" | "setattr"
            )
    };
    let missing: Vec<&str> = without.into_iter().filter(|n| !expected(n)).collect();
    assert!(missing.is_empty(), "operations without a case: {missing:?}");
}
