//! Element types and constant arrays.

use std::fmt;
use std::sync::Arc;

/// The element type of a constant or of a cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Brain floating point: the upper half of an `F32`.
    Bf16,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned byte.
    U8,
    /// A truth value in one byte, 0 or 1.
    Bool,
}

impl Dtype {
    /// Every element type, in the order of their declaration.
    pub const ALL: [Self; 8] =
        [Self::F64, Self::F32, Self::F16, Self::Bf16, Self::I64, Self::I32, Self::U8, Self::Bool];

    /// The name in the text form: `f64`, `f32`, `f16`, `bf16`, `i64`, `i32`, `u8`, `bool`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }

    /// The element type of that [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes per element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::U8 | Self::Bool => 1,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An array written into the program: row-major, little endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// The element type.
    pub dtype: Dtype,
    /// The length of every axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements in row-major order, little endian.
    pub bytes: Arc<[u8]>,
}

/// The bytes of a constant do not fit its shape and element type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstantSizeError {
    /// The shape times the element size is beyond `usize`.
    #[error("a constant of shape {shape:?} and element type `{dtype}` is too large to address")]
    Overflow {
        /// The element type.
        dtype: Dtype,
        /// The shape.
        shape: Vec<usize>,
    },
    /// The number of bytes is another than the shape asks for.
    #[error("a constant of shape {shape:?} and element type `{dtype}` has {expected} bytes, got {got}")]
    Length {
        /// The element type.
        dtype: Dtype,
        /// The shape.
        shape: Vec<usize>,
        /// Bytes that the shape and the element type ask for.
        expected: usize,
        /// Bytes that are there.
        got: usize,
    },
}

impl Constant {
    /// A constant whose bytes are checked against its shape.
    ///
    /// # Errors
    /// [`ConstantSizeError`] when they do not agree.
    pub fn new(
        dtype: Dtype,
        shape: Vec<usize>,
        bytes: impl Into<Arc<[u8]>>,
    ) -> Result<Self, ConstantSizeError> {
        let constant = Self { dtype, shape, bytes: bytes.into() };
        constant.check()?;
        Ok(constant)
    }

    /// A one-dimensional `f32` constant.
    #[must_use]
    pub fn from_f32(values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: vec![values.len()], bytes: bytes.into() }
    }

    /// A one-dimensional `i64` constant.
    #[must_use]
    pub fn from_i64(values: &[i64]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::I64, shape: vec![values.len()], bytes: bytes.into() }
    }

    /// Checks that the number of bytes is the shape times the element size, without overflow.
    ///
    /// # Errors
    /// [`ConstantSizeError`] saying what was expected and what is there.
    pub fn check(&self) -> Result<(), ConstantSizeError> {
        // A zero anywhere makes the array empty, whatever the other axes say.
        let elements = if self.shape.contains(&0) {
            Some(0)
        } else {
            self.shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length))
        };
        let Some(expected) = elements.and_then(|count| count.checked_mul(self.dtype.size())) else {
            return Err(ConstantSizeError::Overflow { dtype: self.dtype, shape: self.shape.clone() });
        };
        if expected == self.bytes.len() {
            Ok(())
        } else {
            Err(ConstantSizeError::Length {
                dtype: self.dtype,
                shape: self.shape.clone(),
                expected,
                got: self.bytes.len(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_whose_bytes_do_not_fit_is_refused_with_both_lengths() {
        let error = Constant::new(Dtype::F16, vec![2, 3], vec![0; 11]).unwrap_err();
        assert_eq!(
            error,
            ConstantSizeError::Length { dtype: Dtype::F16, shape: vec![2, 3], expected: 12, got: 11 }
        );
    }

    #[test]
    fn a_shape_beyond_the_address_space_is_refused_unless_an_axis_is_empty() {
        let huge = vec![usize::MAX, 2];
        assert!(matches!(Constant::new(Dtype::U8, huge, vec![]), Err(ConstantSizeError::Overflow { .. })));
        assert!(Constant::new(Dtype::U8, vec![usize::MAX, 2, 0], vec![]).is_ok());
    }

    #[test]
    fn every_dtype_is_found_by_its_name() {
        for dtype in Dtype::ALL {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
    }
}
