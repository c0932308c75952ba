//! `pellucid run`: a program from its text form.

use pellucid::{Budget, DType, Program, RunOptions, Tensor, Value};
use serde_json::{Value as Json, json};

use crate::args::RunArgs;
use crate::error::CliError;
use crate::model;
use crate::output::Printer;

pub(crate) fn run(args: &RunArgs, printer: &Printer<'_>) -> Result<(), CliError> {
    let read = |source| CliError::Read { path: args.program.clone(), source };
    let text = std::fs::read_to_string(&args.program).map_err(read)?;
    let program =
        pellucid::parse(&text).map_err(|source| CliError::Program { path: args.program.clone(), source })?;
    let model = model::open(&args.model)?;
    if args.explain {
        let explanation = model.explain_program(&program)?;
        let data = json!({
            "flops": explanation.flops,
            "flops_unshared": explanation.flops_unshared,
            "peak_bytes": explanation.peak_bytes,
            "parameter_bytes": explanation.parameter_bytes,
            "operations": explanation.operations,
            "unknown": explanation.unknown.iter().map(|u| json!({ "line": u.line, "what": u.what })).collect::<Vec<_>>(),
        });
        return printer.plain("run", &data, &explanation.to_string());
    }
    let megabytes = |m: f64| (m * 1e6) as u64;
    let budget = Budget {
        flops: args.max_gflop.map(|g| (g * 1e9) as u64),
        bytes: args.max_memory.map(megabytes),
        seconds: args.max_seconds,
    };
    let outcome = model.run_program(&program, RunOptions { budget, ..RunOptions::default() })?;
    let mut saved: Vec<(String, Option<&Value>)> = Vec::new();
    for (name, node) in names(&program) {
        saved.push((name, outcome.value(node).ok()));
    }
    if printer.is_json() {
        let mut data = serde_json::Map::new();
        for (name, value) in &saved {
            data.insert(name.clone(), value.map_or(Ok(Json::Null), to_json)?);
        }
        return printer.plain("run", &Json::Object(data), "");
    }
    let mut text = String::new();
    for log in &outcome.logs {
        let values: Result<Vec<String>, CliError> = log.values.iter().map(in_words).collect();
        text.push_str(&format!("log: {}\n", values?.join(", ")));
    }
    for (name, value) in &saved {
        let words = value.map_or(Ok("absent".to_owned()), in_words)?;
        text.push_str(&format!("{name}: {words}\n"));
    }
    printer.plain("run", &(), &text)
}

/// The saved values by the names the program gives them; without names, by their numbers.
fn names(program: &Program) -> Vec<(String, pellucid::NodeId)> {
    if !program.bindings.is_empty() {
        return program.bindings.clone();
    }
    let saves = program.nodes().filter_map(|(id, node)| match &node.kind {
        pellucid::Kind::Save { name, .. } => Some((name.clone().unwrap_or_else(|| id.to_string()), id)),
        _ => None,
    });
    saves.collect()
}

/// A value in a line: shape, type and range of a tensor, everything else as it is.
fn in_words(value: &Value) -> Result<String, CliError> {
    Ok(match value {
        Value::Tensor(var) => {
            let tensor = var.get().map_err(pellucid::Error::from)?;
            if tensor.numel() <= 8 {
                return Ok(format!("{} {:?} {}", tensor.dtype(), tensor.dims(), elements(&tensor)?));
            }
            let all = tensor.to_f64s().map_err(pellucid::Error::from)?;
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let (low, high) =
                all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
            format!("{} {:?}, from {low:.4} to {high:.4}, mean {mean:.4}", tensor.dtype(), tensor.dims())
        }
        Value::List(items) => {
            let items: Result<Vec<String>, CliError> = items.borrow().iter().map(in_words).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Tuple(items) => {
            let items: Result<Vec<String>, CliError> = items.iter().map(in_words).collect();
            format!("({})", items?.join(", "))
        }
        other => to_json(other)?.to_string(),
    })
}

/// The elements of a tensor, row-major; whole numbers as such.
fn elements(tensor: &Tensor) -> Result<Json, CliError> {
    let all = match tensor.dtype().is_float() {
        true => tensor.to_f64s().map(|all| json!(all)),
        false => tensor.cast(DType::I64).to_vec::<i64>().map(|all| json!(all)),
    };
    Ok(all.map_err(pellucid::Error::from)?)
}

/// A value with all its elements.
fn to_json(value: &Value) -> Result<Json, CliError> {
    Ok(match value {
        Value::None => Json::Null,
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!(i),
        Value::Float(f) => json!(f),
        Value::Str(text) => json!(&**text),
        Value::Tensor(var) => {
            let tensor = var.get().map_err(pellucid::Error::from)?;
            json!({ "dtype": tensor.dtype().to_string(), "shape": tensor.dims(), "data": elements(&tensor)? })
        }
        Value::List(items) => Json::Array(items.borrow().iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Tuple(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Dict(pairs) => {
            let mut out = serde_json::Map::new();
            for (key, value) in pairs.borrow().iter() {
                let key = match key {
                    Value::Str(text) => text.to_string(),
                    other => to_json(other)?.to_string(),
                };
                out.insert(key, to_json(value)?);
            }
            Json::Object(out)
        }
        Value::Record(record) => {
            let mut out = serde_json::Map::new();
            for (name, value) in record.fields.borrow().iter() {
                out.insert(name.to_string(), to_json(value)?);
            }
            Json::Object(out)
        }
        other => json!(other.kind()),
    })
}
