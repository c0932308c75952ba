//! Rearrangements. Those that are views in PyTorch share their operand's storage.

use pellucid_nn::{Value, Var};
use pellucid_tensor::{ViewStep, shape};

use super::python::limited;
use super::{Call, OpDef, bad, op, tensor, var};
use crate::error::Result;

pub(super) const OPS: &[OpDef] = &[
    op("reshape", &["input", "*shape"], |c| var(c.var("input")?.reshape(&c.sizes("shape")?))),
    op("view", &["input", "*shape"], |c| var(c.var("input")?.view_as(&c.sizes("shape")?))),
    op("permute", &["input", "*dims"], |c| var(c.var("input")?.permute(&c.sizes("dims")?))),
    op("transpose", &["input", "dim0", "dim1"], transpose),
    op("swapaxes", &["input", "dim0|axis0", "dim1|axis1"], transpose),
    op("swapdims", &["input", "dim0", "dim1"], transpose),
    op("movedim", &["input", "source", "destination"], movedim),
    op("moveaxis", &["input", "source", "destination"], movedim),
    op("t", &["input"], |c| last_two(c, false)),
    op("T", &["input"], reverse_dims),
    op("mT", &["input"], |c| last_two(c, true)),
    op("H", &["input"], |c| last_two(c, false)),
    op("mH", &["input"], |c| last_two(c, true)),
    op("adjoint", &["input"], |c| last_two(c, true)),
    op("squeeze", &["input", "dim?"], squeeze),
    op("unsqueeze", &["input", "dim"], unsqueeze),
    op("flatten", &["input", "start_dim?", "end_dim?"], flatten),
    op("ravel", &["input"], |c| var(c.var("input")?.reshape(&[-1]))),
    op("unflatten", &["input", "dim", "sizes"], unflatten),
    op("expand", &["input", "*sizes"], |c| expand_view(c, &c.var("input")?, &c.sizes("sizes")?)),
    op("broadcast_to", &["input", "size"], |c| expand_view(c, &c.var("input")?, &c.ints("size")?)),
    op("expand_as", &["input", "other"], |c| {
        expand_view(c, &c.var("input")?, &signed(c.tensor("other")?.dims()))
    }),
    op("view_as", &["input", "other"], |c| {
        let o = c.tensor("other")?;
        var(c.var("input")?.view_as(&signed(o.dims())))
    }),
    op("reshape_as", &["input", "other"], |c| {
        let o = c.tensor("other")?;
        var(c.var("input")?.reshape(&signed(o.dims())))
    }),
    op("narrow", &["input", "dim", "start", "length"], narrow),
    op("select", &["input", "dim", "index"], select),
    op("chunk", &["input", "chunks", "dim?"], chunk),
    op("split", &["input", "split_size|sep|split_size_or_sections?", "dim|maxsplit?"], split),
    op("split_with_sizes", &["input", "split_size|split_sizes", "dim?"], split),
    op("tensor_split", &["input", "sections|indices|indices_or_sections", "dim?"], |c| {
        tensor_split(c, c.int_or("dim", 0)?)
    }),
    op("hsplit", &["input", "sections"], |c| {
        let rank = c.tensor("input")?.rank();
        tensor_split(c, if rank == 1 { 0 } else { 1 })
    }),
    op("vsplit", &["input", "sections"], |c| tensor_split(c, 0)),
    op("dsplit", &["input", "sections"], |c| tensor_split(c, 2)),
    op("unbind", &["input", "dim?"], unbind),
    op("diagonal", &["input", "offset?", "dim1?", "dim2?"], diagonal),
    op("atleast_1d", &["input"], |c| at_least(c, 1)),
    op("atleast_2d", &["input"], |c| at_least(c, 2)),
    op("size", &["input", "dim?"], size),
    op("shape", &["input"], size_all),
    op("stride", &["input", "dim?"], |c| {
        let x = c.var("input")?;
        let strides = x.strides().iter().map(|&s| Value::Int(s as i64));
        match c.optional_int("dim")? {
            Some(dim) => {
                let at = shape::axis(dim, x.get()?.rank())?;
                strides.clone().nth(at).ok_or_else(|| c.bad("dim", "a dimension"))
            }
            None => Ok(Value::tuple(strides)),
        }
    }),
    op("numel", &["input"], |c| Ok(Value::Int(c.tensor("input")?.numel() as i64))),
    op("nelement", &["input"], |c| Ok(Value::Int(c.tensor("input")?.numel() as i64))),
    op("dim", &["input"], |c| Ok(Value::Int(c.tensor("input")?.rank() as i64))),
    op("ndim", &["input"], |c| Ok(Value::Int(c.tensor("input")?.rank() as i64))),
    op("ndimension", &["input"], |c| Ok(Value::Int(c.tensor("input")?.rank() as i64))),
    op("dtype", &["input"], |c| Ok(Value::DType(c.tensor("input")?.dtype()))),
    op("device", &["input"], |_| Ok(Value::text("cpu"))),
    op("itemsize", &["input"], |c| Ok(Value::Int(c.tensor("input")?.dtype().size() as i64))),
    op("nbytes", &["input"], |c| {
        let x = c.tensor("input")?;
        Ok(Value::Int((x.numel() * x.dtype().size()) as i64))
    }),
];

fn signed(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|&d| d as i64).collect()
}

fn transpose(c: &Call<'_>) -> Result<Value> {
    var(c.var("input")?.transpose(c.int("dim0")?, c.int("dim1")?))
}

fn last_two(c: &Call<'_>, batched: bool) -> Result<Value> {
    let x = c.var("input")?;
    let rank = x.get()?.rank();
    if rank > 2 && !batched {
        return Err(bad(c.name(), "input", "a tensor of at most two dimensions", c.get("input")));
    }
    if rank < 2 { Ok(Value::Tensor(x)) } else { var(x.transpose(-1, -2)) }
}

fn reverse_dims(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let order: Vec<i64> = (0..x.get()?.rank() as i64).rev().collect();
    var(x.permute(&order))
}

fn squeeze(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let t = x.get()?;
    let gone = match c.get("dim") {
        Value::None => (0..t.rank()).collect(),
        _ => c.ints("dim")?.into_iter().map(|d| Ok(shape::axis(d, t.rank())?)).collect::<Result<Vec<_>>>()?,
    };
    let left = t.dims().iter().enumerate().filter(|(i, d)| **d != 1 || !gone.contains(i));
    let left: Vec<i64> = left.map(|(_, &d)| d as i64).collect();
    var(x.reshape(&left))
}

/// Dimensions moved to other places; the others keep their order.
fn movedim(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let rank = x.get()?.rank();
    let places = |name: &str| -> Result<Vec<usize>> {
        c.ints(name)?.into_iter().map(|d| Ok(shape::axis(d, rank)?)).collect()
    };
    let (from, to) = (places("source")?, places("destination")?);
    let distinct = |all: &[usize]| all.iter().enumerate().all(|(i, d)| !all[..i].contains(d));
    if from.len() != to.len() || !distinct(&from) || !distinct(&to) {
        return Err(c.bad("destination", "as many different dimensions as in `source`"));
    }
    let mut order: Vec<Option<i64>> = vec![None; rank];
    for (&f, &t) in from.iter().zip(&to) {
        if let Some(place) = order.get_mut(t) {
            *place = Some(f as i64);
        }
    }
    let mut rest = (0..rank).filter(|d| !from.contains(d)).map(|d| d as i64);
    let order: Vec<i64> = order.into_iter().filter_map(|o| o.or_else(|| rest.next())).collect();
    var(x.permute(&order))
}

fn unsqueeze(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let wider = x.get()?.unsqueeze(c.int("dim")?)?;
    var(x.reshape(&signed(wider.dims())))
}

fn flatten(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let flat = x.get()?.flatten(c.int_or("start_dim", 0)?, c.int_or("end_dim", -1)?)?;
    var(x.reshape(&signed(flat.dims())))
}

fn unflatten(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let t = x.get()?;
    let at = shape::axis(c.int("dim")?, t.rank())?;
    if t.rank() == 0 {
        return Err(c.bad("input", "a tensor with dimensions"));
    }
    let inner = shape::infer("unflatten", &t.dims()[at..=at], &c.ints("sizes")?)?;
    let dims: Vec<i64> =
        t.dims()[..at].iter().chain(&inner).chain(&t.dims()[at + 1..]).map(|&d| d as i64).collect();
    var(x.reshape(&dims))
}

fn expand_view(c: &Call<'_>, x: &Var, sizes: &[i64]) -> Result<Value> {
    let t = x.get()?;
    let known: Vec<i64> = sizes.iter().map(|&s| if s == -1 { 1 } else { s }).collect();
    c.dims("input", &known)?;
    let wide = t.expand(sizes)?;
    let lead = wide.rank() - t.rank();
    let padded: Vec<i64> = std::iter::repeat_n(1, lead).chain(signed(t.dims())).collect();
    var(x.reshape(&padded)?.step(ViewStep::Expand(wide.dims().into())))
}

fn narrow(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let (dim, length) = (c.int("dim")?, c.int("length")?);
    let t = x.get()?;
    let Some(&size) = t.dims().get(shape::axis(dim, t.rank())?) else {
        return Err(c.bad("input", "a tensor with dimensions"));
    };
    let size = size as i64;
    let start = c.int("start")?;
    let start = if start < 0 { start.saturating_add(size) } else { start };
    if length < 0 || start < 0 || start.checked_add(length).is_none_or(|end| end > size) {
        return Err(bad("narrow", "length", "a range inside the dimension", &Value::Int(length)));
    }
    var(x.narrow(dim, start as usize, length as usize))
}

fn select(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let at = shape::axis(c.int("dim")?, x.get()?.rank())?;
    let mut items = vec![pellucid_tensor::IndexItem::ALL; at];
    items.push(c.int("index")?.into());
    var(x.index(&items))
}

fn pieces(x: &Var, dim: i64, sizes: &[usize]) -> Result<Value> {
    let mut start = 0;
    let mut out = Vec::with_capacity(sizes.len());
    for &len in sizes {
        out.push(Value::Tensor(x.narrow(dim, start, len)?));
        start += len;
    }
    Ok(Value::tuple(out))
}

fn chunk(c: &Call<'_>) -> Result<Value> {
    let (x, dim) = (c.var("input")?, c.int_or("dim", 0)?);
    let n = size_of(c, &x, dim)?;
    let chunks = c.count("chunks")?;
    if chunks == 0 {
        return Err(c.bad("chunks", "a number above zero"));
    }
    let each = n.div_ceil(chunks);
    if each == 0 {
        limited(c, "chunks", chunks)?;
        return pieces(&x, dim, &vec![0; chunks]);
    }
    limited(c, "chunks", n.div_ceil(each))?;
    let sizes: Vec<usize> = (0..n.div_ceil(each)).map(|i| each.min(n - i * each)).collect();
    pieces(&x, dim, &sizes)
}

/// The size of a dimension that exists.
fn size_of(c: &Call<'_>, x: &Var, dim: i64) -> Result<usize> {
    let t = x.get()?;
    let at = shape::axis(dim, t.rank())?;
    t.dims().get(at).copied().ok_or_else(|| c.bad("input", "a tensor with dimensions"))
}

fn split(c: &Call<'_>) -> Result<Value> {
    if let Value::Str(text) = c.get("input") {
        let most = c.optional_int("dim")?.and_then(|n| usize::try_from(n).ok());
        return super::python::text::split(c, text, c.get("split_size"), most);
    }
    let (x, dim) = (c.var("input")?, c.int_or("dim", 0)?);
    let n = size_of(c, &x, dim)?;
    let sizes = match c.get("split_size") {
        Value::Tuple(_) | Value::List(_) => {
            let sizes = c.counts("split_size", &c.ints("split_size")?)?;
            if sizes.iter().try_fold(0usize, |sum, &s| sum.checked_add(s)) != Some(n) {
                return Err(c.bad("split_size", &format!("sizes that add up to {n}")));
            }
            sizes
        }
        _ => {
            let size = c.count("split_size")?;
            if size == 0 && n > 0 {
                return Err(c.bad("split_size", "a size above zero"));
            }
            let count = if n == 0 { 1 } else { n.div_ceil(size) };
            limited(c, "split_size", count)?;
            (0..count).map(|i| size.min(n - i * size)).collect()
        }
    };
    pieces(&x, dim, &sizes)
}

/// Parts that differ by one element at most, or that end at given places.
fn tensor_split(c: &Call<'_>, dim: i64) -> Result<Value> {
    let x = c.var("input")?;
    let n = size_of(c, &x, dim)?;
    let ends: Vec<usize> = match c.get("sections") {
        Value::Tuple(_) | Value::List(_) => {
            let place =
                |i: i64| (if i < 0 { i.saturating_add(n as i64) } else { i }).clamp(0, n as i64) as usize;
            c.ints("sections")?.into_iter().map(place).chain([n]).collect()
        }
        _ => {
            let parts = c.count("sections")?;
            if parts == 0 {
                return Err(c.bad("sections", "a number above zero"));
            }
            limited(c, "sections", parts)?;
            (1..=parts).map(|i| i * (n / parts) + i.min(n % parts)).collect()
        }
    };
    let mut start = 0;
    let mut out = Vec::with_capacity(ends.len());
    for end in ends {
        out.push(Value::Tensor(x.narrow(dim, start.min(n), end.saturating_sub(start))?));
        start = end;
    }
    Ok(Value::tuple(out))
}

fn unbind(c: &Call<'_>) -> Result<Value> {
    let (x, dim) = (c.var("input")?, c.int_or("dim", 0)?);
    let n = size_of(c, &x, dim)?;
    limited(c, "input", n)?;
    let at = shape::axis(dim, x.get()?.rank())?;
    let items = (0..n as i64).map(|i| {
        let mut items = vec![pellucid_tensor::IndexItem::ALL; at];
        items.push(i.into());
        Ok(Value::Tensor(x.index(&items)?))
    });
    Ok(Value::tuple(items.collect::<Result<Vec<_>>>()?))
}

/// A view where strides allow one: the diagonal is every `columns + 1`-th element of the two dimensions made one.
fn diagonal(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let t = x.get()?;
    let (offset, dim1, dim2) = (c.int_or("offset", 0)?, c.int_or("dim1", 0)?, c.int_or("dim2", 1)?);
    let (a, b) = (shape::axis(dim1, t.rank())?, shape::axis(dim2, t.rank())?);
    if a == b || t.rank() < 2 {
        return Err(c.bad("dim2", "another dimension than `dim1`"));
    }
    for (a, b, offset) in [(a, b, offset), (b, a, offset.saturating_neg())] {
        let (rows, cols) = (t.dims()[a] as i64, t.dims()[b] as i64);
        let offset = offset.clamp(-rows, cols);
        let len = (rows + offset.min(0)).min(cols - offset.max(0)).max(0) as usize;
        let mut order: Vec<i64> = (0..t.rank()).filter(|&d| d != a && d != b).map(|d| d as i64).collect();
        order.extend([a as i64, b as i64]);
        let moved = x.permute(&order)?;
        let mut flat = signed(&moved.get()?.dims()[..t.rank() - 2]);
        flat.push(rows * cols);
        if let (Ok(flat), true) = (moved.view_as(&flat), len > 0) {
            let start = if offset >= 0 { offset } else { -offset * cols } as usize;
            let step = ViewStep::Slice { axis: t.rank() - 2, start, len, step: cols as isize + 1 };
            return var(flat.step(step));
        }
    }
    tensor(t.diagonal(offset, dim1, dim2))
}

fn at_least(c: &Call<'_>, rank: usize) -> Result<Value> {
    let x = match c.get("input") {
        Value::Tensor(x) => x.clone(),
        _ => Var::new(c.tensor("input")?),
    };
    let mut dims = signed(x.get()?.dims());
    while dims.len() < rank {
        dims.insert(0, 1);
    }
    var(x.reshape(&dims))
}

fn size_all(c: &Call<'_>) -> Result<Value> {
    Ok(Value::tuple(c.tensor("input")?.dims().iter().map(|&d| Value::Int(d as i64))))
}

fn size(c: &Call<'_>) -> Result<Value> {
    let t = c.tensor("input")?;
    match c.optional_int("dim")? {
        None => size_all(c),
        Some(dim) => {
            let at = shape::axis(dim, t.rank())?;
            Ok(Value::Int(t.dims().get(at).copied().unwrap_or(1) as i64))
        }
    }
}
