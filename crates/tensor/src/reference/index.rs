//! Moving elements: views as copies, concatenation, and positions given by tensors.

use super::number::{Along, Bits, Number, by_kind};
use crate::error::{Result, TensorError};
use crate::shape::{contiguous_strides, numel};
use crate::value::Value;

/// The same elements in another shape.
pub(super) fn copy(x: &Value, dims: &[usize]) -> Value {
    Bits::write(&Bits::read(x), dims, x.dtype())
}

/// Elements of `x` at the places that `from` gives for every position of the result.
fn pick(x: &Value, dims: &[usize], from: impl Fn(&[usize]) -> usize) -> Value {
    let all = Bits::read(x);
    let out: Vec<Bits> = (0..numel(dims)).map(|flat| all[from(&position(flat, dims))]).collect();
    Bits::write(&out, dims, x.dtype())
}

/// The position in each dimension of a row-major element.
fn position(flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut rest = flat;
    let mut at: Vec<usize> = dims
        .iter()
        .rev()
        .map(|&size| {
            let i = rest % size;
            rest /= size;
            i
        })
        .collect();
    at.reverse();
    at
}

/// The row-major place of a position.
fn place(at: impl IntoIterator<Item = usize>, dims: &[usize]) -> usize {
    at.into_iter().zip(contiguous_strides(dims)).map(|(i, stride)| i * stride as usize).sum()
}

/// The place in a dimension of the `i`-th element of a slice.
fn slice_place(start: usize, step: isize, i: usize) -> usize {
    (start as isize + i as isize * step) as usize
}

pub(super) fn slice(axis: usize, start: usize, step: isize, x: &Value, dims: &[usize]) -> Value {
    pick(x, dims, |at| {
        let moved = |(d, &i): (usize, &usize)| if d == axis { slice_place(start, step, i) } else { i };
        place(at.iter().enumerate().map(moved), x.dims())
    })
}

pub(super) fn permute(perm: &[u8], x: &Value, dims: &[usize]) -> Value {
    pick(x, dims, |at| {
        let mut from = vec![0; at.len()];
        for (&i, &p) in at.iter().zip(perm) {
            from[p as usize] = i;
        }
        place(from, x.dims())
    })
}

pub(super) fn expand(x: &Value, dims: &[usize]) -> Value {
    pick(x, dims, |at| {
        place(at.iter().zip(x.dims()).map(|(&i, &size)| if size == 1 { 0 } else { i }), x.dims())
    })
}

pub(super) fn slice_assign(axis: usize, start: usize, step: isize, x: &Value, part: &Value) -> Value {
    let (whole, piece) = (Along::new(x.dims(), axis), Along::new(part.dims(), axis));
    let (mut all, new) = (Bits::read(x), Bits::read(part));
    for (outer, inner) in piece.lines() {
        for i in 0..piece.size {
            all[whole.at(outer, slice_place(start, step, i), inner)] = new[piece.at(outer, i, inner)];
        }
    }
    Bits::write(&all, x.dims(), x.dtype())
}

pub(super) fn concat(axis: usize, inputs: &[Value], dims: &[usize]) -> Value {
    let whole = Along::new(dims, axis);
    let mut out = vec![Bits::default(); numel(dims)];
    let mut first = 0;
    for x in inputs {
        let piece = Along::new(x.dims(), axis);
        let all = Bits::read(x);
        for (outer, inner) in piece.lines() {
            for i in 0..piece.size {
                out[whole.at(outer, first + i, inner)] = all[piece.at(outer, i, inner)];
            }
        }
        first += piece.size;
    }
    Bits::write(&out, dims, inputs[0].dtype())
}

/// The position that an index means in a dimension of the given size; negative ones count from the end.
fn resolve(op: &'static str, index: i64, dim: usize, size: usize) -> Result<usize> {
    let n = size as i64;
    if index < -n || index >= n {
        return Err(TensorError::IndexValue { op, index, dim, size });
    }
    Ok(if index < 0 { index + n } else { index } as usize)
}

/// For every combined index, the place of the block of trailing dimensions it means, in blocks.
fn blocks(op: &'static str, dims: &[usize], positions: &[Value]) -> Result<Vec<usize>> {
    let mut out = vec![0; positions[0].numel()];
    for (dim, positions) in positions.iter().enumerate() {
        for (block, index) in out.iter_mut().zip(i64::read(positions)) {
            *block = *block * dims[dim] + resolve(op, index, dim, dims[dim])?;
        }
    }
    Ok(out)
}

pub(super) fn index(x: &Value, positions: &[Value], dims: &[usize]) -> Result<Value> {
    let len = numel(&x.dims()[positions.len()..]);
    let all = Bits::read(x);
    let mut out = Vec::with_capacity(numel(dims));
    for block in blocks("index", x.dims(), positions)? {
        out.extend_from_slice(&all[block * len..(block + 1) * len]);
    }
    Ok(Bits::write(&out, dims, x.dtype()))
}

pub(super) fn index_put(x: &Value, positions: &[Value], part: &Value, accumulate: bool) -> Result<Value> {
    let len = numel(&x.dims()[positions.len()..]);
    let blocks = blocks("index_put", x.dims(), positions)?;
    let places: Vec<usize> = blocks.into_iter().flat_map(|b| b * len..(b + 1) * len).collect();
    Ok(write_at(x, &places, part, accumulate))
}

/// Writes or adds the elements of `part` at places of `x`, in order. Sums are rounded once.
fn write_at(x: &Value, places: &[usize], part: &Value, accumulate: bool) -> Value {
    fn add<N: Number + Sum>(x: &Value, places: &[usize], part: &Value) -> Value {
        let (mut all, new) = (N::read(x), N::read(part));
        for (&at, new) in places.iter().zip(new) {
            all[at] = all[at].plus(new);
        }
        N::write(&all, x.dims(), x.dtype())
    }
    if accumulate {
        return by_kind!(x.dtype(), add(x, places, part));
    }
    let (mut all, new) = (Bits::read(x), Bits::read(part));
    for (&at, new) in places.iter().zip(new) {
        all[at] = new;
    }
    Bits::write(&all, x.dims(), x.dtype())
}

/// Addition of numbers of any kind.
trait Sum {
    fn plus(self, other: Self) -> Self;
}

impl Sum for i64 {
    fn plus(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }
}

impl Sum for f32 {
    fn plus(self, other: f32) -> f32 {
        self + other
    }
}

impl Sum for f64 {
    fn plus(self, other: f64) -> f64 {
        self + other
    }
}

/// For every element of an index tensor, its place in an array of shape `dims`, with the index along one dimension.
fn places_along(op: &'static str, axis: usize, dims: &[usize], index: &Value) -> Result<Vec<usize>> {
    let size = dims[axis];
    i64::read(index)
        .into_iter()
        .enumerate()
        .map(|(flat, i)| {
            let mut at = position(flat, index.dims());
            at[axis] = resolve(op, i, axis, size)?;
            Ok(place(at, dims))
        })
        .collect()
}

pub(super) fn gather(axis: usize, x: &Value, index: &Value) -> Result<Value> {
    let all = Bits::read(x);
    let places = places_along("gather", axis, x.dims(), index)?;
    let out: Vec<Bits> = places.into_iter().map(|at| all[at]).collect();
    Ok(Bits::write(&out, index.dims(), x.dtype()))
}

pub(super) fn scatter(
    axis: usize,
    x: &Value,
    index: &Value,
    part: &Value,
    accumulate: bool,
) -> Result<Value> {
    let places = places_along("scatter", axis, x.dims(), index)?;
    Ok(write_at(x, &places, part, accumulate))
}
