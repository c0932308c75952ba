//! Sums of products by index letters (Einstein's convention), as `torch.einsum` and `einops.einsum`.

use pellucid_nn::Value;
use pellucid_tensor::Tensor;
use rustc_hash::FxHashMap;

use super::call::MOST_DIMS;
use super::{Call, OpDef, bad, op};
use crate::error::{Result, RunError, RunErrorKind};

pub(super) const OPS: &[OpDef] = &[
    op("einsum", &["equation", "*operands"], |c| {
        // `einops.einsum` takes the pattern last; both orders are understood.
        match (c.get("equation"), c.rest().last()) {
            (Value::Str(equation), _) => contract_all(c, &letters(equation), c.many_tensors("operands")?),
            (_, Some(Value::Str(_))) => named(c),
            _ => Err(c.bad("equation", "a text such as \"ij,jk->ik\"")),
        }
    }),
    op("einops.einsum", &["*operands"], named),
];

/// A dimension's name. Dimensions that `...` stands for are numbered from the last.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Label {
    Ellipsis(usize),
    Name(String),
}

/// Names of dimensions for each operand, and for the result if they are written; `...` is one name.
struct Equation {
    inputs: Vec<Vec<String>>,
    output: Option<Vec<String>>,
    text: String,
}

fn fault(equation: &str, expected: &str) -> RunError {
    RunErrorKind::Argument {
        op: "einsum".into(),
        argument: "equation".into(),
        expected: expected.into(),
        got: format!("{equation:?}"),
    }
    .into()
}

/// PyTorch's form: every letter is a dimension.
fn letters(equation: &str) -> Equation {
    let split = |side: &str| -> Vec<String> {
        let side: String = side.chars().filter(|ch| !ch.is_whitespace()).collect();
        let side = side.replace("...", "\u{2026}");
        side.chars().map(|ch| if ch == '\u{2026}' { "...".to_owned() } else { ch.to_string() }).collect()
    };
    let (inputs, output) = match equation.split_once("->") {
        Some((inputs, output)) => (inputs, Some(split(output))),
        None => (equation, None),
    };
    Equation { inputs: inputs.split(',').map(split).collect(), output, text: equation.into() }
}

/// The form of einops: dimensions are words.
fn named(c: &Call<'_>) -> Result<Value> {
    let Some((Value::Str(pattern), tensors)) = c.rest().split_last() else {
        return Err(bad("einsum", "equation", "a pattern behind the tensors", &Value::None));
    };
    let Some((inputs, output)) = pattern.split_once("->") else {
        return Err(fault(pattern, "a pattern with `->`"));
    };
    let words = |side: &str| side.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let equation = Equation {
        inputs: inputs.split(',').map(words).collect(),
        output: Some(words(output)),
        text: (**pattern).to_owned(),
    };
    let operands = tensors
        .iter()
        .map(|v| match v {
            Value::Tensor(var) => Ok(var.get()?),
            other => Err(bad("einsum", "operands", "tensors", other)),
        })
        .collect::<Result<Vec<_>>>()?;
    contract_all(c, &equation, operands)
}

/// An operand and the names of its dimensions.
struct Operand {
    tensor: Tensor,
    labels: Vec<Label>,
}

fn contract_all(c: &Call<'_>, equation: &Equation, tensors: Vec<Tensor>) -> Result<Value> {
    let text = &equation.text;
    if equation.inputs.len() != tensors.len() || tensors.is_empty() {
        return Err(fault(text, &format!("names of the dimensions of {} operands", tensors.len())));
    }
    let mut operands = Vec::new();
    let mut written: Vec<Label> = Vec::new();
    let mut widest = 0;
    for (names, tensor) in equation.inputs.iter().zip(tensors) {
        let labels = expand(text, names, tensor.rank())?;
        widest = widest.max(labels.iter().filter(|l| matches!(l, Label::Ellipsis(_))).count());
        written.extend(labels.iter().cloned());
        operands.push(diagonals(Operand { tensor, labels })?);
    }
    let sizes = sizes_of(text, &operands)?;
    let output = match &equation.output {
        Some(names) => expand(
            text,
            names,
            names.iter().filter(|n| *n != "...").count()
                + if names.iter().any(|n| n == "...") { widest } else { 0 },
        )?,
        None => implied(&written, widest),
    };
    for (i, label) in output.iter().enumerate() {
        if output[..i].contains(label) || !sizes.contains_key(label) {
            return Err(fault(text, "names in the result that stand in the operands, each once"));
        }
    }
    // Dimensions of size one stretch to the size that the name has elsewhere.
    for operand in &mut operands {
        let dims: Vec<i64> = operand.labels.iter().map(|l| sizes[l] as i64).collect();
        c.dims("operands", &dims)?;
        operand.tensor = operand.tensor.expand(&dims)?;
    }
    let mut rest = operands.into_iter();
    let Some(mut acc) = rest.next() else { return Err(fault(text, "at least one operand")) };
    let rest: Vec<Operand> = rest.collect();
    for (i, next) in rest.iter().enumerate() {
        let later = |l: &Label| output.contains(l) || rest[i + 1..].iter().any(|o| o.labels.contains(l));
        acc = multiply(c, &acc, next, &later, &sizes)?;
    }
    let acc = summed(acc, &|l| output.contains(l))?;
    let order: Vec<i64> =
        output.iter().filter_map(|l| acc.labels.iter().position(|m| m == l)).map(|i| i as i64).collect();
    Ok(Value::tensor(acc.tensor.permute(&order)?))
}

/// The names of an operand's dimensions, with `...` standing for those not named.
fn expand(text: &str, names: &[String], rank: usize) -> Result<Vec<Label>> {
    let written = names.iter().filter(|n| *n != "...").count();
    let dots = names.len() - written;
    if dots > 1 || written > rank || (dots == 0 && written != rank) || rank > MOST_DIMS {
        return Err(fault(text, &format!("names for all {rank} dimensions of each operand")));
    }
    let mut out = Vec::with_capacity(rank);
    for name in names {
        if name == "..." {
            out.extend((0..rank - written).rev().map(Label::Ellipsis));
        } else if name.chars().all(|ch| ch.is_alphanumeric() || ch == '_') {
            out.push(Label::Name(name.clone()));
        } else {
            return Err(fault(text, "letters as names of dimensions"));
        }
    }
    Ok(out)
}

/// Without `->`: what `...` stands for, then the names that stand once, in alphabetical order.
fn implied(written: &[Label], widest: usize) -> Vec<Label> {
    let mut count: FxHashMap<&Label, usize> = FxHashMap::default();
    for label in written {
        *count.entry(label).or_default() += 1;
    }
    let mut once: Vec<Label> = count
        .into_iter()
        .filter(|(l, n)| *n == 1 && matches!(l, Label::Name(_)))
        .map(|(l, _)| l.clone())
        .collect();
    once.sort_unstable();
    (0..widest).rev().map(Label::Ellipsis).chain(once).collect()
}

/// A name that stands twice in one operand means its diagonal.
fn diagonals(mut operand: Operand) -> Result<Operand> {
    while let Some((i, j)) = (0..operand.labels.len())
        .flat_map(|j| (0..j).map(move |i| (i, j)))
        .find(|&(i, j)| operand.labels[i] == operand.labels[j])
    {
        operand.tensor = operand.tensor.diagonal(0, i as i64, j as i64)?;
        operand.labels.remove(j);
        let label = operand.labels.remove(i);
        operand.labels.push(label);
    }
    Ok(operand)
}

fn sizes_of(text: &str, operands: &[Operand]) -> Result<FxHashMap<Label, usize>> {
    let mut sizes: FxHashMap<Label, usize> = FxHashMap::default();
    for operand in operands {
        for (label, &size) in operand.labels.iter().zip(operand.tensor.dims()) {
            let known = sizes.entry(label.clone()).or_insert(size);
            if *known == 1 {
                *known = size;
            } else if size != *known && size != 1 {
                return Err(fault(
                    text,
                    &format!("one size for each name, not {known} and {size} for {label:?}"),
                ));
            }
        }
    }
    Ok(sizes)
}

/// The operand summed over the dimensions that nobody needs.
fn summed(operand: Operand, needed: &dyn Fn(&Label) -> bool) -> Result<Operand> {
    let gone: Vec<i64> =
        operand.labels.iter().enumerate().filter(|(_, l)| !needed(l)).map(|(i, _)| i as i64).collect();
    if gone.is_empty() {
        return Ok(operand);
    }
    let dtype = operand.tensor.dtype();
    Ok(Operand {
        tensor: operand.tensor.sum(&gone, false)?.cast(dtype),
        labels: operand.labels.into_iter().filter(|l| needed(l)).collect(),
    })
}

/// Two operands as one product of matrices: names that both have and that are needed later run along, those that are not
/// needed are summed.
fn multiply(
    c: &Call<'_>,
    a: &Operand,
    b: &Operand,
    later: &dyn Fn(&Label) -> bool,
    sizes: &FxHashMap<Label, usize>,
) -> Result<Operand> {
    let copy = |o: &Operand| Operand { tensor: o.tensor.clone(), labels: o.labels.clone() };
    let a = summed(copy(a), &|l| later(l) || b.labels.contains(l))?;
    let b = summed(copy(b), &|l| later(l) || a.labels.contains(l))?;
    let shared = |l: &&Label| b.labels.contains(l);
    let batch: Vec<Label> = a.labels.iter().filter(shared).filter(|l| later(l)).cloned().collect();
    let inner: Vec<Label> = a.labels.iter().filter(shared).filter(|l| !later(l)).cloned().collect();
    let left: Vec<Label> = a.labels.iter().filter(|l| !b.labels.contains(l)).cloned().collect();
    let right: Vec<Label> = b.labels.iter().filter(|l| !a.labels.contains(l)).cloned().collect();
    let size = |labels: &[Label]| labels.iter().map(|l| sizes[l] as i64).product::<i64>();
    let arranged = |o: &Operand, parts: [&[Label]; 3]| -> Result<Tensor> {
        let order: Vec<i64> = parts
            .iter()
            .flat_map(|p| p.iter())
            .filter_map(|l| o.labels.iter().position(|m| m == l))
            .map(|i| i as i64)
            .collect();
        Ok(o.tensor.permute(&order)?.reshape(&parts.map(size))?)
    };
    let labels: Vec<Label> = batch.iter().chain(&left).chain(&right).cloned().collect();
    let dims: Vec<i64> = labels.iter().map(|l| sizes[l] as i64).collect();
    c.dims("operands", &dims)?;
    let (x, y) = (arranged(&a, [&batch, &left, &inner])?, arranged(&b, [&batch, &inner, &right])?);
    // Without anything to sum, the product of matrices is a plain one.
    let product = if inner.is_empty() { x.mul(&y)? } else { x.matmul(&y)? };
    Ok(Operand { tensor: product.reshape(&dims)?, labels })
}
