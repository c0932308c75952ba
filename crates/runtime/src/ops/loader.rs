//! Batches of a data set, as PyTorch's `DataLoader` makes them.

use pellucid_nn::Value;
use pellucid_tensor::{DType, Tensor};

use super::python::{elements, items_of, limited};
use super::{Call, OpDef, bad, op};
use crate::error::Result;

pub(super) const OPS: &[OpDef] = &[
    op("data_loader", &["dataset", "batch_size?", "shuffle?", "seed?", "drop_last?"], data_loader),
    op("collate", &["batch"], |c| collate(c, &elements(c, "batch")?, 0)),
];

/// A list of batches. Shuffling is a permutation drawn from the seed, the same for every run.
fn data_loader(c: &Call<'_>) -> Result<Value> {
    let samples = match c.get("dataset") {
        Value::Str(_) | Value::Bytes(_) => return Err(c.bad("dataset", "a sequence of samples")),
        _ => elements(c, "dataset")?,
    };
    let size = c.counts("batch_size", &[c.int_or("batch_size", 1)?])?[0];
    if size == 0 {
        return Err(c.bad("batch_size", "a number above zero"));
    }
    let order: Vec<i64> = if c.flag_or("shuffle", false)? {
        let seed = c.int_or("seed", 0)? as u64;
        c.engine.rand(&[samples.len()], DType::F64, seed, 0).argsort(0, false)?.to_vec()?
    } else {
        (0..samples.len() as i64).collect()
    };
    let whole = c.flag_or("drop_last", false)?;
    let mut batches = Vec::new();
    for chunk in order.chunks(size) {
        if whole && chunk.len() < size {
            break;
        }
        let batch: Vec<Value> =
            chunk.iter().filter_map(|&i| samples.get(usize::try_from(i).ok()?)).cloned().collect();
        batches.push(collate(c, &batch, 0)?);
    }
    Ok(Value::list(batches))
}

/// Samples as one batch: tensors are stacked, numbers become tensors, texts a list; sequences and dictionaries are
/// collated field by field.
fn collate(c: &Call<'_>, batch: &[Value], depth: usize) -> Result<Value> {
    let Some(first) = batch.first() else {
        return Err(c.bad(c_argument(c), "at least one sample"));
    };
    if depth > super::python::MOST_DEPTH {
        return Err(c.bad(c_argument(c), "samples that are nested less deep"));
    }
    let uneven =
        |v: &Value| bad(c.name(), c_argument(c), &format!("samples like the first, a {}", first.kind()), v);
    match first {
        Value::Tensor(_) => {
            let all = batch
                .iter()
                .map(|v| match v {
                    Value::Tensor(var) => Ok(var.get()?),
                    other => Err(uneven(other)),
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Value::tensor(Tensor::stack(&all, 0)?))
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            let number = |v: &Value| matches!(v, Value::Bool(_) | Value::Int(_) | Value::Float(_));
            if let Some(other) = batch.iter().find(|v| !number(v)) {
                return Err(uneven(other));
            }
            let made = super::convert::tensor_of(c, &Value::list(batch.to_vec()), false, 0)?;
            // Python's floats are doubles, and stay so.
            if !matches!(first, Value::Float(_)) {
                return Ok(Value::tensor(made));
            }
            let doubles: Vec<f64> =
                batch.iter().filter_map(super::call::number).map(pellucid_tensor::Scalar::to_f64).collect();
            Ok(Value::tensor(c.engine.from_vec(doubles, &[batch.len()])?))
        }
        Value::Str(_) | Value::Bytes(_) => Ok(Value::list(batch.to_vec())),
        Value::Dict(pairs) => {
            let keys: Vec<Value> = pairs.borrow().iter().map(|(k, _)| k.clone()).collect();
            let mut out = Vec::new();
            for key in keys {
                let field = batch
                    .iter()
                    .map(|sample| super::call(c.engine, "getitem", vec![sample.clone(), key.clone()], vec![]))
                    .collect::<Result<Vec<_>>>()?;
                out.push((key, collate(c, &field, depth + 1)?));
            }
            Ok(Value::dict(out))
        }
        Value::Tuple(_) | Value::List(_) => {
            let rows = batch
                .iter()
                .map(|v| match v {
                    Value::Tuple(_) | Value::List(_) => items_of(v).unwrap_or_else(|| Err(uneven(v))),
                    other => Err(uneven(other)),
                })
                .collect::<Result<Vec<_>>>()?;
            let fields = rows[0].len();
            if let Some(at) = rows.iter().position(|r| r.len() != fields) {
                return Err(uneven(&batch[at]));
            }
            limited(c, c_argument(c), fields)?;
            let columns = (0..fields)
                .map(|f| {
                    let column: Vec<Value> = rows.iter().map(|r| r[f].clone()).collect();
                    // Texts side by side are a tuple, as PyTorch has it.
                    match column.first() {
                        Some(Value::Str(_) | Value::Bytes(_)) => Ok(Value::tuple(column)),
                        _ => collate(c, &column, depth + 1),
                    }
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Value::list(columns))
        }
        other => Err(bad(
            c.name(),
            c_argument(c),
            "tensors, numbers, texts, and sequences or dicts of them",
            other,
        )),
    }
}

fn c_argument<'c>(c: &Call<'c>) -> &'static str {
    if c.name() == "collate" { "batch" } else { "dataset" }
}
