//! Rearrangements. Those that are views in PyTorch share their operand's storage.

use pellucid_nn::{Value, Var};
use pellucid_tensor::{ViewStep, shape};

use super::{Call, OpDef, bad, tensor, var};
use crate::error::Result;

pub(super) const OPS: &[OpDef] = &[
    OpDef {
        name: "reshape",
        params: &["input", "*shape"],
        run: |c| var(c.var("input")?.reshape(&c.sizes("shape")?)),
    },
    OpDef {
        name: "view",
        params: &["input", "*shape"],
        run: |c| var(c.var("input")?.view_as(&c.sizes("shape")?)),
    },
    OpDef {
        name: "permute",
        params: &["input", "*dims"],
        run: |c| var(c.var("input")?.permute(&c.sizes("dims")?)),
    },
    OpDef { name: "transpose", params: &["input", "dim0", "dim1"], run: transpose },
    OpDef { name: "t", params: &["input"], run: |c| last_two(c, false) },
    OpDef { name: "T", params: &["input"], run: reverse_dims },
    OpDef { name: "mT", params: &["input"], run: |c| last_two(c, true) },
    OpDef { name: "squeeze", params: &["input", "dim?"], run: squeeze },
    OpDef { name: "unsqueeze", params: &["input", "dim"], run: unsqueeze },
    OpDef { name: "flatten", params: &["input", "start_dim?", "end_dim?"], run: flatten },
    OpDef { name: "unflatten", params: &["input", "dim", "sizes"], run: unflatten },
    OpDef { name: "expand", params: &["input", "*sizes"], run: expand },
    OpDef { name: "expand_as", params: &["input", "other"], run: |c| expand_like(c, "other") },
    OpDef {
        name: "view_as",
        params: &["input", "other"],
        run: |c| {
            let o = c.tensor("other")?;
            var(c.var("input")?.view_as(&signed(o.dims())))
        },
    },
    OpDef {
        name: "reshape_as",
        params: &["input", "other"],
        run: |c| {
            let o = c.tensor("other")?;
            var(c.var("input")?.reshape(&signed(o.dims())))
        },
    },
    OpDef { name: "narrow", params: &["input", "dim", "start", "length"], run: narrow },
    OpDef { name: "select", params: &["input", "dim", "index"], run: select },
    OpDef { name: "chunk", params: &["input", "chunks", "dim?"], run: chunk },
    OpDef { name: "split", params: &["input", "split_size", "dim?"], run: split },
    OpDef { name: "unbind", params: &["input", "dim?"], run: unbind },
    OpDef {
        name: "cat",
        params: &["tensors", "dim?"],
        run: |c| tensor(pellucid_tensor::Tensor::cat(&c.tensors("tensors")?, c.int_or("dim", 0)?)),
    },
    OpDef {
        name: "concat",
        params: &["tensors", "dim?"],
        run: |c| tensor(pellucid_tensor::Tensor::cat(&c.tensors("tensors")?, c.int_or("dim", 0)?)),
    },
    OpDef {
        name: "stack",
        params: &["tensors", "dim?"],
        run: |c| tensor(pellucid_tensor::Tensor::stack(&c.tensors("tensors")?, c.int_or("dim", 0)?)),
    },
    OpDef {
        name: "flip",
        params: &["input", "dims"],
        run: |c| tensor(c.tensor("input")?.flip(&c.ints("dims")?)),
    },
    OpDef { name: "repeat", params: &["input", "*sizes"], run: repeat },
    OpDef { name: "repeat_interleave", params: &["input", "repeats", "dim?"], run: repeat_interleave },
    OpDef {
        name: "tril",
        params: &["input", "diagonal?"],
        run: |c| tensor(c.tensor("input")?.triangle(c.int_or("diagonal", 0)?, false)),
    },
    OpDef {
        name: "triu",
        params: &["input", "diagonal?"],
        run: |c| tensor(c.tensor("input")?.triangle(c.int_or("diagonal", 0)?, true)),
    },
    OpDef { name: "diagonal", params: &["input", "offset?", "dim1?", "dim2?"], run: diagonal },
    OpDef { name: "size", params: &["input", "dim?"], run: size },
    OpDef { name: "shape", params: &["input"], run: size_all },
    OpDef { name: "numel", params: &["input"], run: |c| Ok(Value::Int(c.tensor("input")?.numel() as i64)) },
    OpDef { name: "dim", params: &["input"], run: |c| Ok(Value::Int(c.tensor("input")?.rank() as i64)) },
    OpDef { name: "ndim", params: &["input"], run: |c| Ok(Value::Int(c.tensor("input")?.rank() as i64)) },
    OpDef { name: "dtype", params: &["input"], run: |c| Ok(Value::DType(c.tensor("input")?.dtype())) },
    OpDef { name: "device", params: &["input"], run: |_| Ok(Value::Str("cpu".into())) },
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
    let squeezed = x.get()?.squeeze(c.optional_int("dim")?)?;
    var(x.reshape(&signed(squeezed.dims())))
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
    let inner = shape::infer("unflatten", &t.dims()[at..=at], &c.ints("sizes")?)?;
    let dims: Vec<i64> =
        t.dims()[..at].iter().chain(&inner).chain(&t.dims()[at + 1..]).map(|&d| d as i64).collect();
    var(x.reshape(&dims))
}

fn expand_view(x: &Var, sizes: &[i64]) -> Result<Value> {
    let t = x.get()?;
    let wide = t.expand(sizes)?;
    let lead = wide.rank() - t.rank();
    let padded: Vec<i64> = std::iter::repeat_n(1, lead).chain(signed(t.dims())).collect();
    var(x.reshape(&padded)?.step(ViewStep::Expand(wide.dims().into())))
}

fn expand(c: &Call<'_>) -> Result<Value> {
    expand_view(&c.var("input")?, &c.sizes("sizes")?)
}

fn expand_like(c: &Call<'_>, name: &str) -> Result<Value> {
    expand_view(&c.var("input")?, &signed(c.tensor(name)?.dims()))
}

fn narrow(c: &Call<'_>) -> Result<Value> {
    let x = c.var("input")?;
    let (dim, length) = (c.int("dim")?, c.int("length")?);
    let t = x.get()?;
    let size = t.dims()[shape::axis(dim, t.rank())?] as i64;
    let start = c.int("start")?;
    let start = if start < 0 { start + size } else { start };
    if length < 0 || start < 0 {
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

fn sizes_of(parts: &[pellucid_tensor::Tensor], dim: i64) -> Result<Vec<usize>> {
    parts.iter().map(|p| Ok(p.dims()[shape::axis(dim, p.rank())?])).collect()
}

fn chunk(c: &Call<'_>) -> Result<Value> {
    let (x, dim) = (c.var("input")?, c.int_or("dim", 0)?);
    let chunks = usize::try_from(c.int("chunks")?).unwrap_or(0);
    let sizes = sizes_of(&x.get()?.chunk(chunks, dim)?, dim)?;
    pieces(&x, dim, &sizes)
}

fn split(c: &Call<'_>) -> Result<Value> {
    let (x, dim) = (c.var("input")?, c.int_or("dim", 0)?);
    let sizes = match c.get("split_size") {
        Value::Tuple(_) | Value::List(_) => {
            let sizes: Vec<usize> = c
                .ints("split_size")?
                .into_iter()
                .map(|s| usize::try_from(s).unwrap_or(usize::MAX / 2))
                .collect();
            x.get()?.split_sizes(&sizes, dim)?;
            sizes
        }
        _ => {
            let size = usize::try_from(c.int("split_size")?).unwrap_or(0);
            sizes_of(&x.get()?.split(size, dim)?, dim)?
        }
    };
    pieces(&x, dim, &sizes)
}

fn unbind(c: &Call<'_>) -> Result<Value> {
    let (x, dim) = (c.var("input")?, c.int_or("dim", 0)?);
    let t = x.get()?;
    let at = shape::axis(dim, t.rank())?;
    let n = t.dims().get(at).copied().unwrap_or(0);
    let items = (0..n as i64).map(|i| {
        let mut items = vec![pellucid_tensor::IndexItem::ALL; at];
        items.push(i.into());
        Ok(Value::Tensor(x.index(&items)?))
    });
    Ok(Value::tuple(items.collect::<Result<Vec<_>>>()?))
}

fn unsigned(c: &Call<'_>, name: &str, sizes: &[i64]) -> Result<Vec<usize>> {
    sizes
        .iter()
        .map(|&s| {
            usize::try_from(s).map_err(|_| bad(c.name(), name, "numbers of at least zero", &Value::Int(s)))
        })
        .collect()
}

fn repeat(c: &Call<'_>) -> Result<Value> {
    tensor(c.tensor("input")?.repeat(&unsigned(c, "sizes", &c.sizes("sizes")?)?))
}

fn repeat_interleave(c: &Call<'_>) -> Result<Value> {
    let times = unsigned(c, "repeats", &[c.int("repeats")?])?[0];
    let x = c.tensor("input")?;
    match c.optional_int("dim")? {
        Some(dim) => tensor(x.repeat_interleave(times, dim)),
        None => tensor(x.flatten(0, -1)?.repeat_interleave(times, 0)),
    }
}

fn diagonal(c: &Call<'_>) -> Result<Value> {
    tensor(c.tensor("input")?.diagonal(c.int_or("offset", 0)?, c.int_or("dim1", 0)?, c.int_or("dim2", 1)?))
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
