//! Tensors put together, repeated and turned around: what gives new storages.

use pellucid_nn::Value;
use pellucid_tensor::{DType, Tensor, shape};

use super::call::MOST_ITEMS;
use super::{Call, OpDef, bad_shape, op, tensor};
use crate::error::Result;

pub(super) const OPS: &[OpDef] = &[
    op("cat", &["tensors", "dim?"], cat),
    op("concat", &["tensors", "dim?"], cat),
    op("concatenate", &["tensors", "dim?"], cat),
    op("stack", &["tensors", "dim?"], |c| {
        let all = c.tensors("tensors")?;
        if all.is_empty() {
            return Err(c.bad("tensors", "at least one tensor"));
        }
        tensor(Tensor::stack(&all, c.int_or("dim", 0)?))
    }),
    op("hstack", &["tensors"], |c| {
        let all = with_rank(c, 1)?;
        let dim = if all.first().is_some_and(|t| t.rank() == 1) { 0 } else { 1 };
        joined(c, &all, dim)
    }),
    op("vstack", &["tensors"], |c| joined(c, &with_rank(c, 2)?, 0)),
    op("row_stack", &["tensors"], |c| joined(c, &with_rank(c, 2)?, 0)),
    op("dstack", &["tensors"], |c| {
        let all = with_rank(c, 2)?;
        let deep = all.iter().map(|t| if t.rank() == 2 { t.unsqueeze(2) } else { Ok(t.clone()) });
        joined(c, &deep.collect::<Result<Vec<_>, _>>()?, 2)
    }),
    op("column_stack", &["tensors"], |c| {
        let columns = c.tensors("tensors")?.into_iter().map(|t| match t.rank() {
            0 => t.reshape(&[1, 1]),
            1 => t.unsqueeze(1),
            _ => Ok(t),
        });
        joined(c, &columns.collect::<Result<Vec<_>, _>>()?, 1)
    }),
    op("flip", &["input", "*dims"], |c| tensor(c.tensor("input")?.flip(&c.sizes("dims")?))),
    op("fliplr", &["input"], |c| tensor(c.tensor("input")?.flip(&[1]))),
    op("flipud", &["input"], |c| tensor(c.tensor("input")?.flip(&[0]))),
    op("roll", &["input", "shifts", "dims?"], roll),
    op("rot90", &["input", "k?", "dims?"], rot90),
    op("repeat", &["input", "*sizes|repeats"], |c| {
        let times = c.counts("sizes", &c.sizes("sizes")?)?;
        repeated(c, &c.tensor("input")?, &times)
    }),
    op("tile", &["input", "*dims"], |c| {
        let x = c.tensor("input")?;
        let mut times = c.counts("dims", &c.sizes("dims")?)?;
        while times.len() < x.rank() {
            times.insert(0, 1);
        }
        repeated(c, &x, &times)
    }),
    op("repeat_interleave", &["input", "repeats", "dim?"], repeat_interleave),
    op("unfold", &["input", "dimension|dim", "size", "step"], unfold),
    op("meshgrid", &["*tensors", "indexing?"], meshgrid),
    op("cartesian_prod", &["*tensors"], |c| {
        let all = c.many_tensors("tensors")?;
        if all.iter().any(|t| t.rank() != 1) || all.is_empty() {
            return Err(super::bad(c.name(), "tensors", "tensors of one dimension", &Value::None));
        }
        if all.len() == 1 {
            return Ok(Value::tensor(all[0].clone()));
        }
        let columns = grids(c, &all)?.iter().map(|g| g.flatten(0, -1)).collect::<Result<Vec<_>, _>>()?;
        tensor(Tensor::stack(&columns, 1))
    }),
    op("broadcast_tensors", &["*tensors"], |c| {
        let all = c.many_tensors("tensors")?;
        let mut dims = shape::Dims::new();
        for t in &all {
            dims = shape::broadcast("broadcast_tensors", &dims, t.dims())?;
        }
        c.check_size("tensors", &dims)?;
        let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        Ok(Value::tuple(all.iter().map(|t| tensor(t.expand(&dims))).collect::<Result<Vec<_>>>()?))
    }),
    op("block_diag", &["*tensors"], block_diag),
    op("diag", &["input", "diagonal?"], |c| {
        let x = c.tensor("input")?;
        let offset = c.int_or("diagonal", 0)?;
        match x.rank() {
            1 => embedded_diagonal(c, &x, offset),
            2 => tensor(x.diagonal(offset, 0, 1)),
            _ => Err(bad_shape("diag", "one or two dimensions", x.dims())),
        }
    }),
    op("diag_embed", &["input", "offset?"], |c| {
        let x = c.tensor("input")?;
        if x.rank() == 0 {
            return Err(bad_shape("diag_embed", "at least one dimension", x.dims()));
        }
        embedded_diagonal(c, &x, c.int_or("offset", 0)?)
    }),
    op("trace", &["input"], |c| {
        let x = c.tensor("input")?;
        if x.rank() != 2 {
            return Err(bad_shape("trace", "two dimensions", x.dims()));
        }
        tensor(x.diagonal(0, 0, 1)?.sum(&[], false))
    }),
];

fn cat(c: &Call<'_>) -> Result<Value> {
    joined(c, &c.tensors("tensors")?, c.int_or("dim", 0)?)
}

fn joined(c: &Call<'_>, all: &[Tensor], dim: i64) -> Result<Value> {
    if all.is_empty() {
        return Err(c.bad("tensors", "at least one tensor"));
    }
    tensor(Tensor::cat(all, dim))
}

/// The tensors with dimensions of size one in front, up to the rank.
fn with_rank(c: &Call<'_>, rank: usize) -> Result<Vec<Tensor>> {
    let widen = |mut t: Tensor| -> Result<Tensor> {
        while t.rank() < rank {
            t = t.unsqueeze(0)?;
        }
        Ok(t)
    };
    c.tensors("tensors")?.into_iter().map(widen).collect()
}

fn roll(c: &Call<'_>) -> Result<Value> {
    let mut x = c.tensor("input")?;
    let whole: Vec<i64> = x.dims().iter().map(|&d| d as i64).collect();
    let (shifts, dims) = (c.ints("shifts")?, c.ints("dims")?);
    let flat = !c.has("dims");
    let dims = if flat { vec![0] } else { dims };
    if flat {
        x = x.flatten(0, -1)?;
    }
    if shifts.len() != dims.len() {
        return Err(c.bad("shifts", "one shift for each dimension"));
    }
    for (shift, dim) in shifts.into_iter().zip(dims) {
        let n = x.dims().get(shape::axis(dim, x.rank())?).copied().unwrap_or(1) as i64;
        let by = shift.rem_euclid(n.max(1));
        if by > 0 {
            let (tail, head) = (x.narrow(dim, n - by, by as usize)?, x.narrow(dim, 0, (n - by) as usize)?);
            x = Tensor::cat(&[tail, head], dim)?;
        }
    }
    tensor(if flat { x.reshape(&whole) } else { Ok(x) })
}

fn rot90(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    let dims = if c.has("dims") { c.ints("dims")? } else { vec![0, 1] };
    let &[a, b] = dims.as_slice() else { return Err(c.bad("dims", "two dimensions")) };
    if x.rank() < 2 || shape::axis(a, x.rank())? == shape::axis(b, x.rank())? {
        return Err(c.bad("dims", "two different dimensions"));
    }
    tensor(match c.int_or("k", 1)?.rem_euclid(4) {
        0 => Ok(x),
        1 => x.flip(&[b])?.transpose(a, b),
        2 => x.flip(&[a, b]),
        _ => x.transpose(a, b)?.flip(&[b]),
    })
}

fn repeated(c: &Call<'_>, x: &Tensor, times: &[usize]) -> Result<Value> {
    if times.len() < x.rank() {
        return Err(super::bad(
            c.name(),
            "sizes",
            "a number for each dimension",
            &Value::Int(times.len() as i64),
        ));
    }
    let lead = times.len() - x.rank();
    let sizes = std::iter::repeat_n(1, lead).chain(x.dims().iter().copied());
    let dims: Option<Vec<usize>> = times.iter().zip(sizes).map(|(&t, s)| t.checked_mul(s)).collect();
    c.check_size("sizes", times)?;
    c.check_size("sizes", &dims.unwrap_or_else(|| vec![usize::MAX]))?;
    tensor(x.repeat(times))
}

fn repeat_interleave(c: &Call<'_>) -> Result<Value> {
    let mut x = c.tensor("input")?;
    let dim = match c.optional_int("dim")? {
        Some(dim) => dim,
        None => {
            x = x.flatten(0, -1)?;
            0
        }
    };
    let n = x.dims().get(shape::axis(dim, x.rank())?).copied().unwrap_or(1);
    if let Value::Tensor(times) = c.get("repeats")
        && times.get()?.rank() == 1
        && times.get()?.numel() != 1
    {
        let times = times.get()?;
        if !times.dtype().is_int() || times.numel() != n {
            return Err(c.bad("repeats", &format!("{n} integers")));
        }
        let times = c.counts("repeats", &times.cast(DType::I64).to_vec::<i64>()?)?;
        let total = times.iter().try_fold(0usize, |sum, &t| sum.checked_add(t)).filter(|&n| n <= MOST_ITEMS);
        if total.is_none() {
            return Err(c.bad("repeats", &format!("at most {MOST_ITEMS} elements in all")));
        }
        let places = times.iter().enumerate().flat_map(|(i, &t)| std::iter::repeat_n(i as i64, t));
        let places: Vec<i64> = places.collect();
        let count = places.len();
        return tensor(x.index_select(dim, &c.engine.from_vec(places, &[count])?));
    }
    let times = c.count("repeats")?;
    let mut dims = x.dims().to_vec();
    dims.push(times);
    c.check_size("repeats", &dims)?;
    tensor(x.repeat_interleave(times, dim))
}

/// All windows of a dimension, the elements of each in a new last dimension.
fn unfold(c: &Call<'_>) -> Result<Value> {
    let x = c.tensor("input")?;
    let (size, step) = (c.count("size")?, c.count("step")?);
    let at = shape::axis(c.int("dimension")?, x.rank())?;
    let n = x.dims().get(at).copied().unwrap_or(1);
    if step == 0 || size > n || x.rank() == 0 {
        return Err(c.bad("size", &format!("windows of at most {n}, and a step above zero")));
    }
    let windows = (n - size) / step + 1;
    let mut dims = x.dims().to_vec();
    dims[at] = windows;
    dims.push(size);
    c.check_size("size", &dims)?;
    let first = c.engine.arange(0, step, windows, DType::I64).unsqueeze(1)?;
    let places = first.add(&c.engine.arange(0, 1, size, DType::I64))?;
    let mut items = vec![pellucid_tensor::IndexItem::ALL; at];
    items.push(pellucid_tensor::IndexItem::Tensor(places));
    let mut order: Vec<i64> = (0..=x.rank() as i64).filter(|&d| d != at as i64 + 1).collect();
    order.push(at as i64 + 1);
    tensor(x.index(&items)?.permute(&order))
}

/// Each tensor spread over the dimensions of all.
fn grids(c: &Call<'_>, all: &[Tensor]) -> Result<Vec<Tensor>> {
    let sizes: Vec<usize> = all.iter().map(Tensor::numel).collect();
    c.check_size("tensors", &sizes)?;
    let whole: Vec<i64> = sizes.iter().map(|&d| d as i64).collect();
    let spread = all.iter().enumerate().map(|(i, t)| {
        let mut dims = vec![1i64; all.len()];
        dims[i] = t.numel() as i64;
        Ok(t.reshape(&dims)?.expand(&whole)?)
    });
    spread.collect()
}

fn meshgrid(c: &Call<'_>) -> Result<Value> {
    let mut all = c.many_tensors("tensors")?;
    if all.iter().any(|t| t.rank() > 1) {
        return Err(super::bad(c.name(), "tensors", "tensors of at most one dimension", &Value::None));
    }
    let swap = match &*c.text_or("indexing", "ij")? {
        "ij" => false,
        "xy" => all.len() > 1,
        _ => return Err(c.bad("indexing", "\"ij\" or \"xy\"")),
    };
    if swap {
        all.swap(0, 1);
    }
    let mut out = grids(c, &all)?;
    if swap {
        out.swap(0, 1);
    }
    Ok(Value::tuple(out.into_iter().map(Value::tensor)))
}

fn block_diag(c: &Call<'_>) -> Result<Value> {
    let all = c.many_tensors("tensors")?;
    let mut blocks = Vec::new();
    for t in all {
        blocks.push(match t.rank() {
            0 => t.reshape(&[1, 1])?,
            1 => t.unsqueeze(0)?,
            2 => t,
            _ => return Err(bad_shape("block_diag", "at most two dimensions", t.dims())),
        });
    }
    let columns: usize = blocks.iter().map(|b| b.dims()[1]).sum();
    let rows: usize = blocks.iter().map(|b| b.dims()[0]).sum();
    c.check_size("tensors", &[rows, columns])?;
    let mut before = 0;
    let mut bands = Vec::new();
    for b in &blocks {
        let (height, width) = (b.dims()[0], b.dims()[1]);
        let gap = |n: usize| c.engine.zeros(&[height, n], b.dtype());
        bands.push(Tensor::cat(&[gap(before), b.clone(), gap(columns - before - width)], 1)?);
        before += width;
    }
    if bands.is_empty() {
        return Ok(Value::tensor(c.engine.zeros(&[1, 0], DType::F32)));
    }
    tensor(Tensor::cat(&bands, 0))
}

/// The last dimension on the diagonal of two new ones, zeros elsewhere.
fn embedded_diagonal(c: &Call<'_>, x: &Tensor, offset: i64) -> Result<Value> {
    let n = x.dims()[x.rank() - 1];
    let gap = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
    let side = n.saturating_add(gap);
    let mut dims = x.dims()[..x.rank() - 1].to_vec();
    dims.extend([side, side]);
    c.check_size("input", &dims)?;
    // Each row holds one element: row `i` that of place `i`, moved down below the diagonal.
    let padding = |before: usize, after: usize, t: &Tensor| -> Result<Tensor> {
        let zeros = |k: usize| {
            let mut dims = t.dims().to_vec();
            *dims.last_mut().unwrap_or(&mut 0) = k;
            c.engine.zeros(&dims, t.dtype())
        };
        Ok(Tensor::cat(&[zeros(before), t.clone(), zeros(after)], -1)?)
    };
    let values = if offset >= 0 { padding(0, gap, x)? } else { padding(gap, 0, x)? };
    let row = c.engine.arange(0, 1, side, DType::I64).unsqueeze(1)?;
    let on = c.engine.arange(-offset, 1, side, DType::I64).eq(&row)?;
    tensor(on.where_(&values.unsqueeze(-1)?, &c.engine.zeros(&[], x.dtype())))
}
