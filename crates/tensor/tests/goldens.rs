//! The crate computes what PyTorch computes: values, types, shapes and gradients of small programs.
//!
//! The cases are written by `scripts/goldens/ops.py`, which says what they consist of.

mod vocabulary;

use std::fmt::Write as _;

use pellucid_tensor::{DType, Engine, HostData, Rewrites, Tensor, TensorError, Value, grad::grad};
use serde_json::Value as Json;

/// `type[sizes] elements`, as the goldens write tensors.
struct Written {
    dtype: DType,
    dims: Vec<usize>,
    elements: Vec<f64>,
    bytes: Vec<u8>,
}

fn read(text: &str) -> Written {
    let open = text.find('[').expect("a shape");
    let close = text.find(']').expect("the end of a shape");
    let dtype = DType::parse(&text[..open]).expect("a type");
    let sizes = text[open + 1..close].split(',').filter(|s| !s.is_empty());
    let dims = sizes.map(|s| s.parse().expect("a size")).collect();
    let mut written = Written { dtype, dims, elements: Vec::new(), bytes: Vec::new() };
    for word in text[close + 1..].split_whitespace() {
        let x: f64 = word.parse().expect("a number");
        // What an element of the type holds, of which the text may be a rounding.
        written.elements.push(match dtype {
            DType::F16 => half::f16::from_f64(x).to_f64(),
            DType::BF16 => half::bf16::from_f64(x).to_f64(),
            DType::F32 => f64::from(x as f32),
            _ => x,
        });
        let integer = || word.parse::<i64>().expect("an integer");
        match dtype {
            DType::Bool | DType::U8 => written.bytes.push(integer() as u8),
            DType::I32 => written.bytes.extend((integer() as i32).to_ne_bytes()),
            DType::I64 => written.bytes.extend(integer().to_ne_bytes()),
            DType::F16 => written.bytes.extend(half::f16::from_f64(x).to_ne_bytes()),
            DType::BF16 => written.bytes.extend(half::bf16::from_f64(x).to_ne_bytes()),
            DType::F32 => written.bytes.extend((x as f32).to_ne_bytes()),
            DType::F64 => written.bytes.extend(x.to_ne_bytes()),
        }
    }
    written
}

impl Written {
    /// A leaf of its own, even where another holds equal elements.
    fn leaf(&self, engine: &Engine) -> Tensor {
        let data = HostData { dtype: self.dtype, bytes: self.bytes.clone() };
        engine.from_value(Value::from_bytes(&data.bytes, data.dtype, &self.dims), None)
    }

    /// What differs from `got`, if anything.
    fn differs(&self, got: &Tensor, tolerance: f64) -> Option<String> {
        if got.dtype() != self.dtype || got.dims() != self.dims {
            return Some(format!(
                "{} {:?} instead of {} {:?}",
                got.dtype(),
                got.dims(),
                self.dtype,
                self.dims
            ));
        }
        let value = match got.eval() {
            Ok(value) => value.contiguous(),
            Err(e) => return Some(format!("error: {e}")),
        };
        if !self.dtype.is_float() {
            let same = value.bytes() == self.bytes;
            return (!same).then(|| format!("{:?} instead of {:?}", got.to_f64s(), self.elements));
        }
        let got = got.to_f64s().expect("evaluated before");
        // Cancellation leaves errors of the size of what was cancelled, but a half is rounded from a better number.
        let floor = if matches!(self.dtype, DType::F16 | DType::BF16) { 0.5 } else { 1.0 };
        let close = |a: f64, b: f64| {
            let near = tolerance * (floor + b.abs().max(a.abs()));
            a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= near
        };
        let same = got.iter().zip(&self.elements).all(|(&a, &b)| close(a, b));
        (!same).then(|| format!("{got:?} instead of {:?}", self.elements))
    }
}

/// How far apart results of one rounding may lie, relative to `|x|`, or to one for small `x`.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::BF16 => 1.0 / 128.0,
        DType::F16 => 1.0 / 1024.0,
        DType::F32 => 2e-6,
        _ => 2e-12,
    }
}

/// The kind of an error, as the goldens name it.
fn kind(e: &TensorError) -> &'static str {
    match e.cause() {
        TensorError::Broadcast { .. } => "Broadcast",
        TensorError::Shape { .. } => "Shape",
        TensorError::Dimension { .. } => "Dimension",
        TensorError::Index { .. } => "Index",
        TensorError::TooManyIndices { .. } => "TooManyIndices",
        TensorError::Type { .. } => "Type",
        TensorError::Argument { .. } => "Argument",
        TensorError::IndexValue { .. } => "IndexValue",
        TensorError::DivisionByZero { .. } => "DivisionByZero",
        _ => "other",
    }
}

/// The inputs and results of a program.
fn run(engine: &Engine, case: &Json) -> Result<Vec<Tensor>, TensorError> {
    let inputs = case["in"].as_array().expect("inputs");
    let mut values: Vec<Tensor> =
        inputs.iter().map(|t| read(t.as_str().expect("a tensor")).leaf(engine)).collect();
    for step in case["steps"].as_array().expect("steps") {
        let step = step.as_array().expect("a step");
        let operands = step[1].as_array().expect("operands");
        let operands: Vec<Tensor> =
            operands.iter().map(|i| values[i.as_u64().expect("a number") as usize].clone()).collect();
        let name = step[0].as_str().expect("an operation");
        values.extend(vocabulary::apply(engine, name, &operands, &step[2..])?);
    }
    Ok(values)
}

/// What is wrong with a case, if anything.
fn fault(case: &Json, rewrites: Rewrites) -> Option<String> {
    let engine = Engine::new();
    engine.set_rewrites(rewrites);
    let values = run(&engine, case);
    if let Some(expected) = case["error"].as_str() {
        let result = values.and_then(|v| v.iter().try_for_each(|t| t.eval().map(|_| ())));
        return match result {
            Ok(()) => Some(format!("accepted, though PyTorch says: {}", case["torch"])),
            Err(e) if !expected.is_empty() && kind(&e) != expected => {
                Some(format!("{} instead of {expected}: {e}", kind(&e)))
            }
            Err(_) => None,
        };
    }
    let values = match values {
        Ok(values) => values,
        Err(e) => return Some(format!("refused: {e}")),
    };
    if values.len() as u64 != case["count"].as_u64().unwrap_or(values.len() as u64) {
        return Some(format!("{} inputs and results instead of {}", values.len(), case["count"]));
    }
    let out = case["out"].as_array().expect("results");
    let out: Vec<&Tensor> = out.iter().map(|i| &values[i.as_u64().expect("a number") as usize]).collect();
    let expected = case["is"].as_array().expect("results");
    for (got, expected) in out.iter().zip(expected) {
        let expected = read(expected.as_str().expect("a tensor"));
        let tolerance = case["tol"].as_f64().unwrap_or(tolerance(expected.dtype));
        if let Some(fault) = expected.differs(got, tolerance) {
            return Some(fault);
        }
    }
    gradient_fault(&engine, case, &values, &out)
}

/// The weighted sum of tensors, as the goldens weigh them.
fn weighted<'a>(engine: &Engine, all: impl Iterator<Item = &'a Tensor>) -> Result<Tensor, TensorError> {
    let mut loss = engine.zeros(&[], DType::F64);
    for t in all.filter(|t| t.dtype().is_float()) {
        let weights = (0..t.numel()).map(|k| ((7 * k % 13) as f64 - 6.0) / 4.0).collect();
        let weights = engine.from_vec::<f64>(weights, t.dims())?.cast(t.dtype());
        loss = loss.add(&t.mul(&weights)?.sum(&[], false)?)?;
    }
    Ok(loss)
}

fn gradient_fault(engine: &Engine, case: &Json, values: &[Tensor], out: &[&Tensor]) -> Option<String> {
    let gradients = case["grads"].as_array()?;
    let asked: Vec<usize> = (0..gradients.len()).filter(|&i| gradients[i] != Json::Bool(false)).collect();
    let wrt: Vec<Tensor> = asked.iter().map(|&i| values[i].clone()).collect();
    let found = weighted(engine, out.iter().copied()).and_then(|loss| grad(&loss, &wrt));
    let found = match found {
        Ok(found) => found,
        Err(e) => return Some(format!("no gradient: {e}")),
    };
    if let Some(fault) = compared(case, values, gradients, &asked, &found) {
        return Some(fault);
    }
    let second = case["second"].as_array()?;
    let found = weighted(engine, found.iter().flatten()).and_then(|loss| grad(&loss, &wrt));
    match found {
        Ok(found) => compared(case, values, second, &asked, &found).map(|fault| format!("second {fault}")),
        Err(e) => Some(format!("no second gradient: {e}")),
    }
}

/// The first gradient that differs.
fn compared(
    case: &Json,
    values: &[Tensor],
    gradients: &[Json],
    asked: &[usize],
    found: &[Option<Tensor>],
) -> Option<String> {
    for (&i, found) in asked.iter().zip(found.iter().cloned()) {
        let x = &values[i];
        let got = found.unwrap_or_else(|| x.engine().zeros(x.dims(), x.dtype()));
        let fault = match gradients[i].as_str() {
            Some(text) => {
                let expected = read(text);
                expected.differs(&got, case["tol"].as_f64().unwrap_or(4.0 * tolerance(expected.dtype)))
            }
            None => got.to_f64s().map_or_else(
                |e| Some(e.to_string()),
                |all| all.iter().any(|&g| g != 0.0).then(|| format!("{all:?} instead of nothing")),
            ),
        };
        if let Some(fault) = fault {
            return Some(format!("gradient at input {i}: {fault}"));
        }
    }
    None
}

/// Where we differ from PyTorch, and why. A case that agrees again must leave this list.
const DIFFERENCES: &[(&str, &str)] = &[
    ("gelu of infinity", "PyTorch's vectorised error function gives NaN; the limit is infinity"),
    ("two ellipses", "PyTorch ignores a second `...`; as NumPy, we refuse it"),
    (
        "a slice behind a mask of two dimensions",
        "PyTorch counts the mask as one dimension, so the slice falls on a masked one; as NumPy, we count two",
    ),
];

fn check(theme: &str) {
    let path = format!("{}/tests/goldens/{theme}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the goldens are in the repository");
    let goldens: Json = serde_json::from_str(&text).expect("goldens are JSON");
    let cases = goldens["cases"].as_array().expect("cases");
    let mut faults = String::new();
    for case in cases {
        if DIFFERENCES.iter().any(|(name, _)| case["name"] == *name) {
            if fault(case, Rewrites::OFF).is_none() {
                writeln!(faults, "{} agrees again", case["name"]).expect("writing to a string");
            }
            continue;
        }
        for (how, rewrites) in [("as written", Rewrites::OFF), ("rewritten", Rewrites::default())] {
            if let Some(fault) = fault(case, rewrites) {
                writeln!(faults, "{} ({how}): {fault}", case["name"]).expect("writing to a string");
                break;
            }
        }
    }
    let count = faults.lines().count();
    assert!(faults.is_empty(), "{count} of {} cases of {theme} differ from PyTorch:\n{faults}", cases.len());
}

#[test]
fn elementwise_functions_agree_with_pytorch() {
    check("elementwise");
}

#[test]
fn promoted_types_agree_with_pytorch() {
    check("promotion");
}

#[test]
fn reductions_agree_with_pytorch() {
    check("reduce");
}

#[test]
fn orders_and_running_reductions_agree_with_pytorch() {
    check("order");
}

#[test]
fn softmax_norms_and_losses_agree_with_pytorch() {
    check("norm");
}

#[test]
fn contractions_agree_with_pytorch() {
    check("contract");
}

#[test]
fn indexing_agrees_with_pytorch() {
    check("index");
}

#[test]
fn convolutions_and_resizing_agree_with_pytorch() {
    check("conv");
}

#[test]
fn gradients_of_gradients_agree_with_pytorch() {
    check("second");
}

#[test]
fn rearrangements_agree_with_pytorch() {
    check("view");
}
