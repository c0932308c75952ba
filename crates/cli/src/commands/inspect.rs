//! `pellucid inspect`.

use std::collections::HashMap;
use std::fmt::Write as _;

use pellucid::{Model, Value};
use serde::Serialize;

use crate::args::InspectArgs;
use crate::error::CliError;
use crate::model;
use crate::output::Printer;

#[derive(Serialize)]
struct Inspected {
    model: String,
    model_type: String,
    parameters: usize,
    sizes: Vec<(&'static str, usize)>,
    modules: Vec<Module>,
}

#[derive(Serialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    type_name: &'static str,
    /// Shape of the output, or of each part of a tuple, for a prompt of four tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    parameters: Vec<Parameter>,
    /// Of this module and all inside.
    n_parameters: usize,
    /// Operations inside the module that can be read and replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    label: &'static str,
    /// The name that the same value has in every family.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    shape: String,
    what: &'static str,
}

#[derive(Serialize)]
struct Parameter {
    name: String,
    shape: Vec<usize>,
    dtype: String,
}

/// Tokens of the prompt whose shapes are shown.
const SHAPE_TOKENS: [i64; 4] = [0, 0, 0, 0];

pub(crate) fn run(args: &InspectArgs, printer: &Printer<'_>) -> Result<(), CliError> {
    let model = if args.skeleton { model::skeleton(&args.model)? } else { model::open(&args.model)? };
    let tree = model.network().tree();
    let root = match &args.module {
        None => tree.root(),
        Some(path) => tree.find(path).ok_or_else(|| CliError::NoModule {
            path: path.clone(),
            closest: closest(path, tree.iter().map(|(_, n)| n.path.as_str())),
        })?,
    };
    if args.print {
        let text = tree.printout_of(root);
        return printer.plain("inspect", &text, &format!("{text}\n"));
    }
    let shapes = if args.shapes { output_shapes(&model)? } else { HashMap::new() };
    let within = |path: &str| {
        let base = &tree.node(root).path;
        base.is_empty()
            || path == base
            || path.strip_prefix(base.as_str()).is_some_and(|r| r.starts_with('.'))
    };
    let count = |prefix: &str| -> usize {
        let mut seen: Vec<pellucid::Parameter> = Vec::new();
        for (_, node) in tree.iter() {
            let inside = prefix.is_empty()
                || node.path == prefix
                || node.path.strip_prefix(prefix).is_some_and(|r| r.starts_with('.'));
            for p in node.parameters.iter().filter(|_| inside) {
                if !seen.iter().any(|s| s.same(p)) {
                    seen.push(p.clone());
                }
            }
        }
        seen.iter().map(|p| p.get().numel()).sum()
    };
    let modules: Vec<Module> = tree
        .iter()
        .filter(|(_, n)| within(&n.path))
        .map(|(id, node)| Module {
            path: node.path.clone(),
            type_name: node.type_name,
            output: shapes.get(&node.path).cloned(),
            parameters: node
                .parameters
                .iter()
                .map(|p| Parameter {
                    name: p.name().to_owned(),
                    shape: p.get().dims().to_vec(),
                    dtype: p.get().dtype().name().to_owned(),
                })
                .collect(),
            n_parameters: count(&node.path),
            operations: model
                .network()
                .ops(id)
                .iter()
                .map(|op| Operation { label: op.label, name: op.alias, shape: op.shape(), what: op.what })
                .collect(),
        })
        .collect();
    let s = model.sizes();
    let mut sizes = vec![
        ("n_layers", s.n_layers),
        ("d_model", s.d_model),
        ("n_heads", s.n_heads),
        ("n_kv_heads", s.n_kv_heads),
        ("d_head", s.d_head),
        ("d_vocab", s.d_vocab),
    ];
    sizes.extend(s.n_ctx.map(|n| ("n_ctx", n)));
    let data = Inspected {
        model: model.name().to_owned(),
        model_type: s.model_type.clone(),
        parameters: count(""),
        sizes,
        modules,
    };
    let mut text = render(&data, &tree.node(root).path, printer.width());
    // One module was asked for: what lies inside it is of interest.
    if args.module.is_some()
        && let Some(asked) = data.modules.first()
    {
        text.push_str(&operations(asked, printer.width()));
    }
    printer.plain("inspect", &data, &text)
}

fn render(data: &Inspected, base: &str, width: usize) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} ({}), {} parameters", data.model, data.model_type, thousands(data.parameters));
    let sizes: Vec<String> = data.sizes.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let _ = writeln!(out, "{}\n", sizes.join("  "));
    let depth = |path: &str| {
        let rest = path.strip_prefix(base).unwrap_or(path);
        rest.split('.').filter(|p| !p.is_empty()).count()
    };
    let rows: Vec<[String; 3]> = data
        .modules
        .iter()
        .map(|m| {
            let name = m.path.rsplit('.').next().filter(|n| !n.is_empty()).unwrap_or("(root)");
            let own: Vec<String> = m
                .parameters
                .iter()
                .map(|p| format!("{} {:?}", p.name.rsplit('.').next().unwrap_or(&p.name), p.shape))
                .collect();
            let mut what = own.join("  ");
            if let Some(shape) = &m.output {
                let _ = write!(what, "{}→ {shape}", if what.is_empty() { "" } else { "  " });
            }
            [format!("{}{name}", "  ".repeat(depth(&m.path))), m.type_name.to_owned(), what]
        })
        .collect();
    out.push_str(&columns(&rows, width));
    out
}

/// The operations inside a module, with the names they go by.
fn operations(module: &Module, width: usize) -> String {
    if module.operations.is_empty() {
        return String::new();
    }
    let row = |op: &Operation| {
        let name = op.name.map(|name| format!(", {name}")).unwrap_or_default();
        [format!("  {}{name}", op.label), op.shape.clone(), op.what.to_owned()]
    };
    let rows: Vec<[String; 3]> = module.operations.iter().map(row).collect();
    format!("\noperations of {}\n{}", module.type_name, columns(&rows, width))
}

/// Rows under each other, cut to the width.
fn columns(rows: &[[String; 3]], width: usize) -> String {
    let mut out = String::new();
    let column = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let (first, second) = (column(0), column(1));
    for [name, kind, what] in rows {
        let line = format!("{name:first$}  {kind:second$}  {what}");
        let line = line.trim_end();
        let cut: String = if line.chars().count() > width {
            line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        } else {
            line.to_owned()
        };
        let _ = writeln!(out, "{cut}");
    }
    out
}

fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(d);
    }
    out
}

/// The shapes of all outputs, found by building one forward pass without computing.
fn output_shapes(model: &Model) -> Result<HashMap<String, String>, CliError> {
    let mut shapes = HashMap::new();
    let tree = model.network().tree();
    // A module that a model never calls, such as a dropout inside attention, has no shape: each is asked alone.
    for (id, node) in tree.iter() {
        if model.network().layer(id).is_none() {
            continue;
        }
        let single = model.trace();
        let value = single.invoke(SHAPE_TOKENS).output(&node.path);
        if let Ok(results) = single.scan()
            && let Ok(value) = results.value(&value)
        {
            shapes.insert(node.path.clone(), describe(value));
        }
    }
    Ok(shapes)
}

fn describe(value: &Value) -> String {
    match value {
        Value::Tensor(var) => var.get().map_or_else(|e| e.to_string(), |t| format!("{:?}", t.dims())),
        Value::Tuple(items) => {
            let parts: Vec<String> = items.iter().map(describe).collect();
            format!("({})", parts.join(", "))
        }
        Value::Record(record) => {
            let fields = record.fields.borrow();
            let parts: Vec<String> = fields
                .iter()
                .filter(|(_, v)| matches!(v, Value::Tensor(_)))
                .map(|(n, v)| format!("{n} {}", describe(v)))
                .collect();
            parts.join(", ")
        }
        other => other.kind(),
    }
}

/// The candidate that differs least.
fn closest<'a>(path: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    pellucid::closest(path, candidates).map(str::to_owned)
}
