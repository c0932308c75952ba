//! Where a tensor lies in its file, and the checked arithmetic of shapes.

use std::ops::Range;

use super::view::WeightDtype;

/// More axes than any weight has; bounds what a hostile header can make us allocate.
pub(crate) const MAX_RANK: usize = 32;

/// A tensor as a file's header describes it, already checked against the file's length.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TensorEntry {
    pub(crate) name: String,
    pub(crate) dtype: WeightDtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) place: Place,
}

/// The bytes of a tensor inside its file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    /// Contiguous, row-major.
    Range(Range<usize>),
    /// Element `[i, j, ...]` starts at byte `start + (i * strides[0] + j * strides[1] + ...) * size`.
    Strided { start: usize, strides: Vec<usize> },
}

/// The number of elements, or nothing if it overflows.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    // An axis of length 0 makes the tensor empty, however long the others are.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |count, &length| count.checked_mul(length))
}

/// Whether `strides` put the elements where a contiguous tensor has them; axes of length 1 may have any stride.
pub(crate) fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut step = 1_usize;
    for (&length, &stride) in shape.iter().zip(strides).rev() {
        if length != 1 && stride != step {
            return false;
        }
        step = step.saturating_mul(length);
    }
    true
}

/// One more than the largest element index that a non-empty strided tensor reaches; nothing if it overflows.
pub(crate) fn strided_extent(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .zip(strides)
        .try_fold(1_usize, |extent, (&length, &stride)| extent.checked_add((length - 1).checked_mul(stride)?))
}

/// Gathers a strided tensor of the file `bytes` into contiguous order. The entry must have been checked.
pub(crate) fn gather(bytes: &[u8], size: usize, shape: &[usize], start: usize, strides: &[usize]) -> Vec<u8> {
    let count = element_count(shape).unwrap_or(0);
    let mut out = Vec::with_capacity(count * size);
    let mut index = vec![0_usize; shape.len()];
    for _ in 0..count {
        let element: usize = index.iter().zip(strides).map(|(i, stride)| i * stride).sum();
        let at = start + element * size;
        out.extend_from_slice(&bytes[at..at + size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_tensor_is_gathered_in_row_major_order() {
        let bytes: Vec<u8> = (0..12).collect();
        // Two-byte elements 0 1 2 / 3 4 5, read as the transpose.
        let out = gather(&bytes, 2, &[3, 2], 0, &[1, 3]);
        assert_eq!(out, [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
    }

    #[test]
    fn overflowing_shapes_have_no_element_count() {
        assert_eq!(element_count(&[usize::MAX, 2]), None);
        assert_eq!(element_count(&[usize::MAX, 2, 0]), Some(0));
        assert_eq!(element_count(&[]), Some(1));
        assert_eq!(strided_extent(&[3, 2], &[usize::MAX, 1]), None);
    }

    #[test]
    fn axes_of_length_one_may_have_any_stride() {
        assert!(is_contiguous(&[2, 1, 3], &[3, 99, 1]));
        assert!(!is_contiguous(&[2, 3], &[1, 2]));
    }
}
