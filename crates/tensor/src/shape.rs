//! Shapes: sizes of dimensions, broadcasting, and normalising what people write.

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::{Result, TensorError};

/// Sizes of a tensor's dimensions, outermost first.
pub type Dims = SmallVec<[usize; 6]>;

/// The number of elements of a shape; the greatest number there is if they cannot be counted.
#[must_use]
pub fn numel(dims: &[usize]) -> usize {
    if dims.contains(&0) { 0 } else { dims.iter().fold(1, |n: usize, &d| n.saturating_mul(d)) }
}

/// Refuses a shape whose elements no memory could hold, a size of zero counted as one.
///
/// # Errors
/// [`TensorError::TooLarge`].
pub fn check_size(op: &'static str, dims: &[usize], dtype: DType) -> Result<()> {
    let bytes = dims.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d.max(1)));
    if bytes.is_some_and(|n| isize::try_from(n).is_ok()) {
        return Ok(());
    }
    Err(TensorError::TooLarge { op, dims: dims.into(), dtype })
}

/// Row-major strides, in elements.
#[must_use]
pub fn contiguous_strides(dims: &[usize]) -> SmallVec<[isize; 6]> {
    let mut strides: SmallVec<[isize; 6]> = SmallVec::from_elem(1, dims.len());
    for i in (0..dims.len().saturating_sub(1)).rev() {
        // Of a shape that is too large, no element is ever looked for.
        strides[i] = strides[i + 1].saturating_mul(isize::try_from(dims[i + 1].max(1)).unwrap_or(isize::MAX));
    }
    strides
}

/// The shape two shapes broadcast to.
///
/// # Errors
/// [`TensorError::Broadcast`] names the first dimension, from the end, that does not fit.
pub fn broadcast(op: &'static str, lhs: &[usize], rhs: &[usize]) -> Result<Dims> {
    if lhs == rhs {
        return Ok(lhs.into());
    }
    let rank = lhs.len().max(rhs.len());
    let mut out: Dims = SmallVec::from_elem(1, rank);
    for i in 1..=rank {
        let a = if i <= lhs.len() { lhs[lhs.len() - i] } else { 1 };
        let b = if i <= rhs.len() { rhs[rhs.len() - i] } else { 1 };
        out[rank - i] = match (a, b) {
            (a, b) if a == b => a,
            (1, b) => b,
            (a, 1) => a,
            _ => {
                return Err(TensorError::Broadcast {
                    op,
                    lhs: lhs.into(),
                    rhs: rhs.into(),
                    dim: -(i as i64),
                });
            }
        };
    }
    Ok(out)
}

/// The dimension that a possibly negative number means; a tensor without dimensions is treated as having one.
///
/// # Errors
/// [`TensorError::Dimension`].
pub fn axis(dim: i64, rank: usize) -> Result<usize> {
    let n = rank.max(1) as i64;
    if dim < -n || dim >= n {
        return Err(TensorError::Dimension { dim, rank: rank as i64 });
    }
    Ok(if dim < 0 { dim + n } else { dim } as usize)
}

/// The shape that `sizes` (with at most one -1) means for `count` elements.
///
/// # Errors
/// [`TensorError::Shape`] if the elements do not fit.
pub fn infer(op: &'static str, from: &[usize], sizes: &[i64]) -> Result<Dims> {
    let count = numel(from);
    let bad = |expected: String| TensorError::Shape { op, expected, got: from.into() };
    let mut known = 1usize;
    let mut hole = None;
    for (i, &s) in sizes.iter().enumerate() {
        if s == -1 {
            if hole.replace(i).is_some() {
                return Err(bad("at most one size of -1".into()));
            }
        } else if s < 0 {
            return Err(bad(format!("sizes of at least -1, not {s}")));
        } else {
            known = known.saturating_mul(s as usize);
        }
    }
    let mut dims: Dims = sizes.iter().map(|&s| s.max(0) as usize).collect();
    match hole {
        Some(i) if count.is_multiple_of(known) && known > 0 => dims[i] = count / known,
        Some(_) => return Err(bad(format!("a shape that can be viewed as {sizes:?}"))),
        None if known == count => {}
        None => return Err(bad(format!("a shape of {known} elements for {sizes:?}"))),
    }
    Ok(dims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_counts_from_the_last_dimension() {
        assert_eq!(broadcast("add", &[3, 1], &[2, 1, 4]).unwrap().as_slice(), [2, 3, 4]);
        let e = broadcast("add", &[3, 2], &[3, 4]).unwrap_err();
        assert_eq!(
            e.to_string(),
            "`add`: shapes [3, 2] and [3, 4] cannot be broadcast together (dimension -1)"
        );
    }

    #[test]
    fn a_missing_size_is_inferred_and_an_impossible_one_refused() {
        assert_eq!(infer("reshape", &[2, 6], &[3, -1]).unwrap().as_slice(), [3, 4]);
        assert!(infer("reshape", &[2, 6], &[5, -1]).is_err());
        assert!(infer("reshape", &[2, 6], &[-1, -1]).is_err());
    }

    #[test]
    fn what_cannot_be_counted_is_too_large_and_nothing_is_not() {
        assert_eq!(numel(&[usize::MAX, 2, 0]), 0);
        assert_eq!(numel(&[usize::MAX, 2]), usize::MAX);
        let most = isize::MAX as usize / 4;
        assert!(check_size("zeros", &[most], DType::F32).is_ok());
        let e = check_size("zeros", &[most + 1], DType::F32).unwrap_err();
        assert_eq!(e.to_string(), "`zeros`: no memory holds a float32 tensor of shape [2305843009213693952]");
        assert!(check_size("zeros", &[usize::MAX, 2, 0], DType::U8).is_err());
    }

    #[test]
    fn strides_of_a_shape_with_a_zero_are_those_of_pytorch() {
        assert_eq!(contiguous_strides(&[2, 0, 3]).as_slice(), [3, 3, 1]);
    }
}
