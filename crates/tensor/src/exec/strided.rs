//! Strides: which reshapes are views, and copying strided elements into a row-major block.

use smallvec::SmallVec;

use crate::shape::numel;
use crate::value::{Strides, Value};

/// Strides under which a strided array shows another shape, if any: PyTorch's rule for when `reshape` is a view.
pub fn reshape_strides(dims: &[usize], strides: &[isize], to: &[usize]) -> Option<Strides> {
    if numel(to) == 0 {
        return Some(crate::shape::contiguous_strides(to));
    }
    // Runs of old dimensions that lie one in another without gaps, as (elements, innermost stride).
    let mut runs: SmallVec<[(usize, isize); 6]> = SmallVec::new();
    for (&size, &stride) in dims.iter().zip(strides) {
        if size == 1 {
            continue;
        }
        match runs.last_mut() {
            Some((count, inner)) if *inner == stride * size as isize => {
                *count *= size;
                *inner = stride;
            }
            _ => runs.push((size, stride)),
        }
    }
    let mut out: Strides = SmallVec::from_elem(1, to.len());
    let mut run = runs.len();
    // Elements of the current run not yet taken by new dimensions, and the stride of the next one.
    let (mut left, mut stride) = (1usize, 1isize);
    for i in (0..to.len()).rev() {
        if to[i] == 1 {
            out[i] = stride;
            continue;
        }
        if left == 1 {
            run = run.checked_sub(1)?;
            (left, stride) = runs[run];
        }
        if !left.is_multiple_of(to[i]) {
            return None;
        }
        out[i] = stride;
        left /= to[i];
        stride *= to[i] as isize;
    }
    (left == 1 && run == 0).then_some(out)
}

/// Calls `visit(start)` for the first element of every innermost row, in row-major order; `start` counts elements.
pub(super) fn for_each_row(dims: &[usize], strides: &[isize], offset: usize, mut visit: impl FnMut(usize)) {
    if dims.contains(&0) {
        return;
    }
    let outer = dims.len().saturating_sub(1);
    let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer);
    let mut at = offset as isize;
    loop {
        visit(at as usize);
        let mut d = outer;
        loop {
            if d == 0 {
                return;
            }
            d -= 1;
            index[d] += 1;
            at += strides[d];
            if index[d] < dims[d] {
                break;
            }
            at -= strides[d] * dims[d] as isize;
            index[d] = 0;
        }
    }
}

/// Copies the elements of a value, row-major, into `out`.
pub(crate) fn copy_strided(value: &Value, out: &mut [u8]) {
    let size = value.dtype.size();
    let bytes = value.buffer.bytes();
    let whole = &bytes[..bytes.len() / size * size];
    pellucid_kernels::strided::copy_strided_bytes(
        size,
        whole,
        value.offset,
        &value.dims,
        &value.strides,
        out,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshape_is_a_view_exactly_when_strides_allow() {
        // [2, 3, 4] contiguous: every split and merge is a view.
        assert_eq!(reshape_strides(&[2, 3, 4], &[12, 4, 1], &[6, 2, 2]).unwrap().as_slice(), [4, 2, 1]);
        // Transposed [4, 6] seen as [24] needs a copy; splitting a dimension does not.
        assert!(reshape_strides(&[4, 6], &[1, 4], &[24]).is_none());
        assert_eq!(reshape_strides(&[4, 6], &[1, 4], &[2, 2, 6]).unwrap().as_slice(), [2, 1, 4]);
        // Heads: [b, h, s, d] permuted from [b, s, h, d], merged back after permuting again.
        assert!(reshape_strides(&[2, 5, 3, 4], &[60, 4, 20, 1], &[2, 5, 12]).is_none());
    }
}
