//! Whether a value or a fault is the expected one.

use pellucid_nn::{NnError, Value};
use pellucid_runtime::{RunError, RunErrorKind};
use pellucid_tensor::{DType, Engine, TensorError, Value as Buffer};
use serde_json::Value as Json;

use crate::case::{Array, Arrays, Case, ExpectedFault};

/// Compares a value with its coded expectation; the fault says where they differ.
pub(crate) fn value(
    case: &Case,
    arrays: &Arrays,
    elements: bool,
    at: &str,
    got: &Value,
    expected: &Json,
) -> Result<(), String> {
    let differ = || Err(format!("`{at}`: expected {expected}, got {}", show(got)));
    let all = |got: &[Value], expected: &[Json]| {
        if got.len() != expected.len() {
            return Err(format!("`{at}`: expected {} items, got {}", expected.len(), got.len()));
        }
        let mut pairs = got.iter().zip(expected).enumerate();
        pairs.try_for_each(|(i, (g, e))| value(case, arrays, elements, &format!("{at}[{i}]"), g, e))
    };
    match (expected, got) {
        (Json::Null, Value::None) => Ok(()),
        (Json::Bool(e), Value::Bool(g)) if e == g => Ok(()),
        (Json::Number(e), Value::Int(g)) if e.as_i64() == Some(*g) => Ok(()),
        (Json::Number(e), Value::Float(g)) if e.is_f64() => {
            let e = e.as_f64().expect("a number");
            if (e - g).abs() <= case.tolerance * (1.0 + e.abs()) { Ok(()) } else { differ() }
        }
        (Json::String(e), Value::Str(g)) if **e == **g => Ok(()),
        (Json::Array(e), Value::List(g)) => all(&g.borrow(), e),
        (Json::Object(entry), got) => match (entry.iter().next().map(|(k, v)| (k.as_str(), v)), got) {
            (Some(("tensor", name)), Value::Tensor(var)) => {
                let tensor = var.get().map_err(|e| format!("`{at}`: {e}"))?;
                let e = arrays.get(name.as_str().expect("a name"));
                let (dims, dtype) = (tensor.dims(), tensor.dtype());
                if dims != e.dims || dtype != e.dtype {
                    let (want, have) = (e.dtype.name(), dtype.name());
                    return Err(format!("`{at}`: expected {want}{:?}, got {have}{dims:?}", e.dims));
                }
                if elements && !case.is_scan {
                    let wanted = numbers(e);
                    let wide = tensor.cast(DType::F64).to_vec::<f64>().map_err(|e| format!("`{at}`: {e}"))?;
                    close(case.tolerance, at, &wide, &wanted)?;
                }
                Ok(())
            }
            (Some(("tuple", Json::Array(e))), Value::Tuple(g)) => all(g, e),
            (Some(("record", e)), Value::Record(g)) => {
                let name = g.type_name;
                let fields = g.fields.borrow();
                let set = fields.iter().filter(|(_, v)| !matches!(v, Value::None));
                let pairs: Vec<Value> =
                    set.map(|(k, v)| Value::tuple([Value::Str(k.clone()), v.clone()])).collect();
                let wanted = e[1].as_array().expect("fields").iter();
                let wanted: Vec<Json> = wanted.map(|pair| serde_json::json!({ "tuple": pair })).collect();
                if e[0] == name { all(&pairs, &wanted) } else { differ() }
            }
            (Some(("dtype", Json::String(e))), Value::DType(g)) if *e == g.name() => Ok(()),
            (Some(("dict", Json::Array(e))), Value::Dict(g)) => {
                let pairs: Vec<Value> =
                    g.borrow().iter().map(|(k, v)| Value::tuple([k.clone(), v.clone()])).collect();
                let wanted: Vec<Json> = e.iter().map(|pair| serde_json::json!({ "tuple": pair })).collect();
                all(&pairs, &wanted)
            }
            _ => differ(),
        },
        _ => differ(),
    }
}

/// A value in a few words.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Str(_) | Value::DType(_) => {
            format!("{value:?}")
        }
        Value::Tensor(var) => match var.get() {
            Ok(tensor) => format!("{}{:?}", tensor.dtype().name(), tensor.dims()),
            Err(e) => e.to_string(),
        },
        Value::Tuple(items) => format!("({})", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::List(items) => {
            format!("[{}]", items.borrow().iter().map(show).collect::<Vec<_>>().join(", "))
        }
        other => other.kind(),
    }
}

/// The elements of an array, exactly.
fn numbers(array: &Array) -> Vec<f64> {
    let buffer = Buffer::from_bytes(&array.bytes, array.dtype, &array.dims);
    let tensor = Engine::new().from_value(buffer, None);
    tensor.cast(DType::F64).to_vec::<f64>().expect("expected values")
}

fn close(tolerance: f64, at: &str, got: &[f64], expected: &[f64]) -> Result<(), String> {
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let same = g == e || (g.is_nan() && e.is_nan()) || (g - e).abs() <= tolerance * (1.0 + e.abs());
        if !same {
            return Err(format!("`{at}`: element {i}: expected {e}, got {g}"));
        }
    }
    Ok(())
}

/// Whether a fault is of the expected kind and names the expected lines.
pub(crate) fn fault(case: &Case, expected: &ExpectedFault, got: &RunError) -> Result<(), String> {
    let kinds = words(&got.kind);
    if !expected.kind.split(" or ").any(|kind| kinds.iter().any(|k| k == kind)) {
        return Err(format!("expected the fault `{}`, got {kinds:?}: {got}", expected.kind));
    }
    let text = got.to_string();
    for line in &expected.lines {
        let spot = format!("{}.py:{line}", case.name);
        let named = text
            .match_indices(&spot)
            .any(|(at, _)| !text[at + spot.len()..].starts_with(|c: char| c.is_ascii_digit()));
        if !named {
            return Err(format!("the fault does not name line {line}: {text}"));
        }
    }
    Ok(())
}

/// The kinds of a fault: several where a program was refused for several reasons.
pub(crate) fn words(kind: &RunErrorKind) -> Vec<String> {
    match kind {
        RunErrorKind::Refused(faults) => faults.iter().map(|fault| words_of(&fault.kind)).collect(),
        RunErrorKind::Tensor(e) => vec![tensor_words(e)],
        RunErrorKind::Computing { fault, .. } => vec![tensor_words(fault.cause())],
        RunErrorKind::Model(NnError::Tensor { source, .. }) => vec![tensor_words(source)],
        RunErrorKind::Model(e) => vec![words_of(e)],
        other => vec![words_of(other)],
    }
}

fn tensor_words(error: &TensorError) -> String {
    match error {
        TensorError::Broadcast { .. }
        | TensorError::Shape { .. }
        | TensorError::Dimension { .. }
        | TensorError::TooManyIndices { .. } => "shape".into(),
        TensorError::Index { .. } | TensorError::IndexValue { .. } => "index".into(),
        other => words_of(other),
    }
}

/// A variant's name in lower-case words: `AlreadyPassed` is `already passed`.
fn words_of(value: &impl std::fmt::Debug) -> String {
    let name = format!("{value:?}");
    let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}
