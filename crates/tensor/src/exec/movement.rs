//! Moving elements: concatenation, assignment to slices, and positions given by tensors.

use bytemuck::Pod;
use pellucid_kernels::elementwise::add_assign;

use super::parts::Parts;
use super::strided::for_each_row;
use super::{owned, result_like};
use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::shape::numel;
use crate::value::Value;

/// Bytes that make a copy worth handing to another thread.
const GRAIN: usize = 256 * 1024;

/// Copies `n` blocks of `len` bytes, the `i`-th to `to(i)`, on all threads.
fn copy_blocks<'a>(
    out: &mut [u8],
    n: usize,
    len: usize,
    to: impl Fn(usize) -> usize + Sync,
    from: impl Fn(usize) -> &'a [u8] + Sync,
) {
    if len == 0 || n == 0 {
        return;
    }
    let parts = Parts::new(out);
    pellucid_kernels::threads::parallel_ranges(n, (GRAIN / len).max(1), 1, &|start, end| {
        for i in start..end {
            #[expect(unsafe_code, reason = "blocks are disjoint parts of the result")]
            // SAFETY: every caller gives each block a place of its own.
            let target = unsafe { parts.part(to(i), len) };
            target.copy_from_slice(from(i));
        }
    });
}

pub(super) fn concat(axis: usize, inputs: &[Value], dims: &[usize]) -> Value {
    let size = inputs[0].dtype.size();
    let mut out = Value::alloc(dims, inputs[0].dtype);
    let inner = numel(&dims[axis + 1..]) * size;
    let (outer, row) = (numel(&dims[..axis]), dims[axis] * inner);
    let mut first = 0;
    for x in inputs {
        let len = x.dims()[axis] * inner;
        if outer == 1 {
            super::copy_strided(x, &mut out.bytes_mut()[first..first + len]);
        } else {
            let x = x.contiguous();
            let bytes = x.bytes();
            copy_blocks(out.bytes_mut(), outer, len, |i| i * row + first, |i| &bytes[i * len..(i + 1) * len]);
        }
        first += len;
    }
    out
}

/// A copy that may be written; the value itself where that is allowed.
fn writable(x: Value, reuse: bool) -> Value {
    match owned(x, reuse) {
        Ok(x) => x,
        Err(x) => {
            let mut out = result_like(&x);
            super::copy_strided(&x, out.bytes_mut());
            out
        }
    }
}

pub(super) fn slice_assign(
    axis: usize,
    start: usize,
    step: isize,
    base: Value,
    part: &Value,
    reuse: bool,
) -> Value {
    let mut out = writable(base, reuse);
    let size = out.dtype.size();
    let dims = out.dims.clone();
    let inner = numel(&dims[axis + 1..]) * size;
    let (outer, row, count) = (numel(&dims[..axis]), dims[axis] * inner, part.dims()[axis]);
    let part = part.contiguous();
    let bytes = part.bytes();
    if step == 1 {
        let len = count * inner;
        copy_blocks(
            out.bytes_mut(),
            outer,
            len,
            |i| i * row + start * inner,
            |i| &bytes[i * len..(i + 1) * len],
        );
    } else {
        let place = |i: usize| (start as isize + (i % count) as isize * step) as usize;
        let to = |i: usize| i / count * row + place(i) * inner;
        copy_blocks(out.bytes_mut(), outer * count, inner, to, |i| &bytes[i * inner..(i + 1) * inner]);
    }
    out
}

/// Whether the loops here read positions of these types and, where they add, numbers of this type.
pub(super) fn handles(indices: &[Value], accumulate: bool, dtype: DType) -> bool {
    let adds = matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::I64);
    indices.iter().all(|i| matches!(i.dtype, DType::I64 | DType::I32)) && (adds || !accumulate)
}

/// The elements of an index tensor that [`handles`] accepts, row-major.
fn positions(index: &Value) -> Value {
    match super::plain::cast(index, DType::I64) {
        Some(wide) if index.dtype != DType::I64 => wide.contiguous(),
        _ => index.contiguous(),
    }
}

/// The position that an index means in a dimension of the given size; negative ones count from the end.
fn resolve(op: &'static str, index: i64, dim: usize, size: usize) -> Result<usize> {
    let n = size as i64;
    if index < -n || index >= n {
        return Err(TensorError::IndexValue { op, index, dim, size });
    }
    Ok(if index < 0 { index + n } else { index } as usize)
}

/// For every combined index, where its block starts in a value of these strides, in elements from the first.
fn starts(op: &'static str, dims: &[usize], strides: &[isize], indices: &[Value]) -> Result<Vec<usize>> {
    let mut out = vec![0isize; indices.first().map_or(0, Value::numel)];
    for (dim, index) in indices.iter().enumerate() {
        let index = positions(index);
        for (start, &index) in out.iter_mut().zip(index.slice::<i64>()) {
            *start += resolve(op, index, dim, dims[dim])? as isize * strides[dim];
        }
    }
    Ok(out.into_iter().map(|start| start as usize).collect())
}

pub(super) fn index(x: &Value, indices: &[Value], dims: &[usize]) -> Result<Value> {
    let n = indices.len();
    // Leading dimensions may have any strides that go forwards; the block behind them is copied as it stands.
    let mut block = x.clone();
    block.dims = x.dims[n..].into();
    block.strides = x.strides[n..].into();
    let forwards = x.strides[..n].iter().all(|&s| s >= 0);
    let x = if block.is_contiguous() && forwards { x.clone() } else { x.contiguous() };
    let starts = starts("index", &x.dims, &x.strides, indices)?;
    let size = x.dtype.size();
    let len = numel(&x.dims[n..]) * size;
    let mut out = Value::alloc(dims, x.dtype);
    let bytes = x.buffer.bytes();
    let from = |i: usize| {
        let at = (x.offset + starts[i]) * size;
        &bytes[at..at + len]
    };
    copy_blocks(out.bytes_mut(), starts.len(), len, |i| i * len, from);
    Ok(out)
}

pub(super) fn index_put(
    base: Value,
    indices: &[Value],
    part: &Value,
    accumulate: bool,
    reuse: bool,
) -> Result<Value> {
    let n = indices.len();
    let strides = crate::shape::contiguous_strides(&base.dims);
    let starts = starts("index_put", &base.dims, &strides, indices)?;
    let mut out = writable(base, reuse);
    let len = numel(&out.dims[n..]);
    if len == 0 {
        return Ok(out);
    }
    let part = part.contiguous();
    if !accumulate {
        let len = len * out.dtype.size();
        let size = out.dtype.size();
        let all = out.bytes_mut();
        // In order, so that the last of repeated positions stays.
        for (&start, row) in starts.iter().zip(part.bytes().chunks_exact(len)) {
            all[start * size..start * size + len].copy_from_slice(row);
        }
    } else if out.dtype == DType::F32 {
        let all = out.slice_mut::<f32>();
        for (&start, row) in starts.iter().zip(part.slice::<f32>().chunks_exact(len)) {
            let target = &mut all[start..start + len];
            if let ([y], [x]) = (&mut *target, row) { *y += x } else { add_assign(target, row) }
        }
    } else {
        let all = out.slice_mut::<i64>();
        for (&start, row) in starts.iter().zip(part.slice::<i64>().chunks_exact(len)) {
            for (y, &x) in all[start..start + len].iter_mut().zip(row) {
                *y = y.wrapping_add(x);
            }
        }
    }
    Ok(out)
}

/// For every element of an index tensor along `axis`, its place in an array of these strides.
fn places(
    op: &'static str,
    axis: usize,
    dims: &[usize],
    strides: &[isize],
    index: &[i64],
    index_dims: &[usize],
) -> Result<Vec<usize>> {
    let mut across: crate::value::Strides = strides.into();
    across[axis] = 0;
    let row = index_dims.last().copied().unwrap_or(1);
    let step = across.last().copied().unwrap_or(0);
    let mut out = Vec::with_capacity(index.len());
    let mut fault = None;
    for_each_row(index_dims, &across, 0, |start| {
        let from = out.len();
        for (i, &position) in index[from..from + row].iter().enumerate() {
            match resolve(op, position, axis, dims[axis]) {
                Ok(position) => {
                    let at = start as isize + i as isize * step + position as isize * strides[axis];
                    out.push(at as usize);
                }
                Err(error) => {
                    fault.get_or_insert(error);
                    out.push(0);
                }
            }
        }
    });
    fault.map_or(Ok(out), Err)
}

pub(super) fn gather(axis: usize, x: &Value, index: &Value) -> Result<Value> {
    fn of<T: Pod>(x: &Value, places: &[usize], dims: &[usize]) -> Value {
        let mut out = Value::alloc(dims, x.dtype);
        let all: &[T] = bytemuck::cast_slice(&x.buffer.bytes()[x.offset * size_of::<T>()..]);
        let target: &mut [T] = bytemuck::cast_slice_mut(out.bytes_mut());
        target.iter_mut().zip(places).for_each(|(y, &at)| *y = all[at]);
        out
    }
    let positions = positions(index);
    let x = if x.strides.iter().any(|&s| s < 0) { x.contiguous() } else { x.clone() };
    let places = places("gather", axis, &x.dims, &x.strides, positions.slice(), &index.dims)?;
    Ok(match x.dtype.size() {
        1 => of::<u8>(&x, &places, &index.dims),
        2 => of::<u16>(&x, &places, &index.dims),
        4 => of::<u32>(&x, &places, &index.dims),
        _ => of::<u64>(&x, &places, &index.dims),
    })
}

pub(super) fn scatter(
    axis: usize,
    base: Value,
    index: &Value,
    part: &Value,
    accumulate: bool,
    reuse: bool,
) -> Result<Value> {
    let positions = positions(index);
    let strides = crate::shape::contiguous_strides(&base.dims);
    let places = places("scatter", axis, &base.dims, &strides, positions.slice(), &index.dims)?;
    let mut out = writable(base, reuse);
    let part = part.contiguous();
    let pairs = places.iter().copied();
    match (accumulate, out.dtype) {
        (true, DType::F32) => {
            let all = out.slice_mut::<f32>();
            pairs.zip(part.slice::<f32>()).for_each(|(at, x)| all[at] += x);
        }
        (true, _) => {
            let all = out.slice_mut::<i64>();
            pairs.zip(part.slice::<i64>()).for_each(|(at, &x)| all[at] = all[at].wrapping_add(x));
        }
        (false, dtype) => {
            let size = dtype.size();
            let all = out.bytes_mut();
            for (at, x) in pairs.zip(part.bytes().chunks_exact(size)) {
                all[at * size..(at + 1) * size].copy_from_slice(x);
            }
        }
    }
    Ok(out)
}
