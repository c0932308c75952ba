//! Gathering, scattering, masks: picking elements by positions, and putting them there.

use pellucid_nn::Value;
use pellucid_tensor::{BinaryOp, DType, IndexItem, Scalar, Tensor, shape};

use super::{Call, OpDef, op, tensor};
use crate::error::Result;

/// Operations that only read.
pub(super) const READS: &[OpDef] = &[
    op("gather", &["input", "dim", "index"], |c| {
        tensor(c.tensor("input")?.gather(c.int("dim")?, &c.tensor("index")?))
    }),
    op("index_select", &["input", "dim", "index"], |c| {
        let (x, index) = (c.tensor("input")?, c.tensor("index")?);
        if index.rank() > 1 || !index.dtype().is_int() {
            return Err(c.bad("index", "integers in one dimension"));
        }
        tensor(x.index_select(c.int("dim")?, &index))
    }),
    op("take_along_dim", &["input", "indices", "dim?"], |c| {
        let (x, index) = (c.tensor("input")?, c.tensor("indices")?);
        let Some(dim) = c.optional_int("dim")? else {
            return tensor(x.flatten(0, -1)?.gather(0, &index.flatten(0, -1)?));
        };
        let at = shape::axis(dim, x.rank())?;
        if index.rank() != x.rank() {
            return Err(c.bad("indices", &format!("positions of {} dimensions", x.rank())));
        }
        // Other dimensions broadcast.
        let others = |t: &Tensor| {
            let mut dims: Vec<usize> = t.dims().to_vec();
            if let Some(d) = dims.get_mut(at) {
                *d = 1;
            }
            dims
        };
        let common = shape::broadcast("take_along_dim", &others(&x), &others(&index))?;
        let widen = |t: &Tensor| {
            let mut dims: Vec<i64> = common.iter().map(|&d| d as i64).collect();
            if let Some(d) = dims.get_mut(at) {
                *d = t.dims()[at] as i64;
            }
            t.expand(&dims)
        };
        tensor(widen(&x)?.gather(dim, &widen(&index)?))
    }),
    op("take", &["input", "index"], |c| {
        let index = c.tensor("index")?;
        if !index.dtype().is_int() {
            return Err(c.bad("index", "integers"));
        }
        tensor(c.tensor("input")?.flatten(0, -1)?.index(&[IndexItem::Tensor(index)]))
    }),
    op("masked_select", &["input", "mask"], |c| {
        let (x, mask) = (c.tensor("input")?, c.tensor("mask")?);
        if mask.dtype() != DType::Bool {
            return Err(c.bad("mask", "a tensor of truth values"));
        }
        let dims = shape::broadcast("masked_select", x.dims(), mask.dims())?;
        c.check_size("mask", &dims)?;
        let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        let (x, mask) = (x.expand(&dims)?.flatten(0, -1)?, mask.expand(&dims)?.flatten(0, -1)?);
        tensor(x.index(&[IndexItem::Tensor(mask)]))
    }),
    op("nonzero", &["input", "as_tuple?"], |c| {
        let positions = c.tensor("input")?.nonzero()?;
        if !c.flag_or("as_tuple", false)? {
            return Ok(Value::tensor(positions));
        }
        let columns =
            (0..positions.dims()[1] as i64).map(|d| tensor(positions.index(&[IndexItem::ALL, d.into()])));
        Ok(Value::tuple(columns.collect::<Result<Vec<_>>>()?))
    }),
    op("argwhere", &["input"], |c| tensor(c.tensor("input")?.nonzero())),
    op("select_scatter", &["input", "src", "dim", "index"], |c| {
        let x = c.tensor("input")?;
        let mut items = vec![IndexItem::ALL; shape::axis(c.int("dim")?, x.rank())?];
        items.push(c.int("index")?.into());
        tensor(x.index_assign(&items, &c.tensor("src")?))
    }),
    op("slice_scatter", &["input", "src", "dim?", "start?", "end?", "step?"], |c| {
        let x = c.tensor("input")?;
        let mut items = vec![IndexItem::ALL; shape::axis(c.int_or("dim", 0)?, x.rank())?];
        items.push(IndexItem::Slice {
            start: c.optional_int("start")?,
            stop: c.optional_int("end")?,
            step: c.optional_int("step")?,
        });
        tensor(x.index_assign(&items, &c.tensor("src")?))
    }),
];

/// Operations that have in-place forms.
pub(super) const OPS: &[OpDef] = &[
    op("scatter", &["input", "dim", "index", "src|value", "reduce?"], |c| {
        match &*c.text_or("reduce", "")? {
            "" => scatter(c, false),
            "add" => scatter(c, true),
            _ => Err(c.bad("reduce", "None or \"add\"")),
        }
    }),
    op("scatter_reduce", &["input", "dim", "index", "src", "reduce", "include_self?"], scatter_reduce),
    op("scatter_add", &["input", "dim", "index", "src"], |c| scatter(c, true)),
    op("index_add", &["input", "dim", "index", "source", "alpha?"], |c| {
        let (x, items) = along(c)?;
        let source = c.tensor("source")?;
        let source = if c.has("alpha") { source.mul_scalar(c.scalar("alpha")?)? } else { source };
        tensor(x.index_add(&items, &source))
    }),
    op("index_copy", &["input", "dim", "index", "source"], |c| {
        let (x, items) = along(c)?;
        tensor(x.index_assign(&items, &c.tensor("source")?))
    }),
    op("index_fill", &["input", "dim", "index", "value"], |c| {
        let (x, items) = along(c)?;
        tensor(x.index_assign(&items, &c.engine.full(&[], c.scalar("value")?, x.dtype())))
    }),
    op("index_put", &["input", "indices", "values", "accumulate?"], |c| {
        let x = c.tensor("input")?;
        let items: Vec<IndexItem> = c.tensors("indices")?.into_iter().map(IndexItem::Tensor).collect();
        let values = c.tensor("values")?;
        tensor(if c.flag_or("accumulate", false)? {
            x.index_add(&items, &values)
        } else {
            x.index_assign(&items, &values)
        })
    }),
    op("masked_scatter", &["input", "mask", "source"], |c| {
        let (x, mask) = (c.tensor("input")?, c.tensor("mask")?);
        if mask.dtype() != DType::Bool {
            return Err(c.bad("mask", "a tensor of truth values"));
        }
        let sizes: Vec<i64> = x.dims().iter().map(|&d| d as i64).collect();
        let mask = mask.expand(&sizes)?.flatten(0, -1)?;
        let source = c.tensor("source")?.cast(x.dtype()).flatten(0, -1)?;
        // The position of each chosen element among the chosen ones.
        let rank = mask.cumsum(0)?.sub_scalar(1)?.clamp(Some(Scalar::Int(0)), None)?;
        if source.numel() == 0 {
            return Ok(Value::tensor(x));
        }
        let rank = mask.where_(&rank, &c.engine.zeros(&[], DType::I64))?;
        tensor(mask.where_(&source.index(&[IndexItem::Tensor(rank)])?, &x.flatten(0, -1)?)?.reshape(&sizes))
    }),
    op("fill_diagonal", &["input", "fill_value"], |c| {
        let x = c.tensor("input")?;
        if x.rank() != 2 {
            return Err(c.bad("input", "two dimensions"));
        }
        let row = c.engine.arange(0, 1, x.dims()[0], DType::I64).unsqueeze(1)?;
        let on = c.engine.arange(0, 1, x.dims()[1], DType::I64).eq(&row)?;
        tensor(on.where_(&c.engine.full(&[], c.scalar("fill_value")?, x.dtype()), &x))
    }),
    op("renorm", &["input", "p", "dim", "maxnorm"], |c| {
        let (x, dim) = (super::functional::floats(c)?, c.int("dim")?);
        let at = shape::axis(dim, x.rank())?;
        let others: Vec<i64> = (0..x.rank()).filter(|&d| d != at).map(|d| d as i64).collect();
        if others.is_empty() {
            return Err(c.bad("input", "at least two dimensions"));
        }
        let (norm, most) = (x.norm(c.float_or("p", 2.0)?, &others, true)?, c.scalar("maxnorm")?);
        let scale = norm.add_scalar(1e-7)?.reciprocal()?.mul_scalar(most)?;
        let ones = c.engine.ones(&[], x.dtype());
        tensor(x.mul(&norm.binary_scalar(BinaryOp::Gt, most)?.where_(&scale, &ones)?))
    }),
];

/// The positions along a dimension that `index` means.
fn along(c: &Call<'_>) -> Result<(Tensor, Vec<IndexItem>)> {
    let (x, index) = (c.tensor("input")?, c.tensor("index")?);
    if index.rank() > 1 || !index.dtype().is_int() || x.rank() == 0 {
        return Err(c.bad("index", "integers in one dimension, for a tensor with dimensions"));
    }
    let mut items = vec![IndexItem::ALL; shape::axis(c.int("dim")?, x.rank())?];
    items.push(IndexItem::Tensor(index.flatten(0, -1)?));
    Ok((x, items))
}

fn scatter(c: &Call<'_>, add: bool) -> Result<Value> {
    let x = c.tensor("input")?;
    let index = c.tensor("index")?;
    let source = match c.get("src") {
        Value::Tensor(var) => var.get()?,
        _ => c.engine.full(index.dims(), c.scalar("src")?, x.dtype()),
    };
    tensor(x.scatter(c.int("dim")?, &index, &source, add))
}

/// `scatter_reduce` for the reductions that a scatter can do.
fn scatter_reduce(c: &Call<'_>) -> Result<Value> {
    let include = c.flag_or("include_self", true)?;
    let (x, index, dim) = (c.tensor("input")?, c.tensor("index")?, c.int("dim")?);
    let source = c.tensor("src")?;
    let touched = |t: &Tensor| -> Result<Tensor> {
        let zeros = c.engine.zeros(t.dims(), DType::I64);
        Ok(zeros.scatter(dim, &index, &c.engine.ones(index.dims(), DType::I64), true)?)
    };
    let counts = touched(&x)?;
    let base =
        if include { x.clone() } else { counts.gt_scalar(0)?.where_(&c.engine.zeros(&[], x.dtype()), &x)? };
    let sum = base.scatter(dim, &index, &source, true)?;
    match &*c.text_or("reduce", "")? {
        "sum" => Ok(Value::tensor(sum)),
        "mean" => {
            let n = counts.add_scalar(i64::from(include))?.clamp(Some(Scalar::Int(1)), None)?;
            let mean = if x.dtype().is_float() { sum.div(&n)? } else { sum.floor_divide(&n)? };
            Ok(Value::tensor(mean))
        }
        _ => Err(c.bad("reduce", "\"sum\" or \"mean\"")),
    }
}
