//! Random draws from a counter-based stream.

use std::ops::Range;

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::{Engine, Tensor};
use crate::op::{Op, RandomKind};

impl Engine {
    /// Uniform numbers in `[0, 1)`, converted to `dtype`. Element `i` depends on the seed and on `offset + i` only, so
    /// that a draw can be split or repeated; who draws again moves the offset on by the number of elements.
    ///
    /// ```
    /// use pellucid_tensor::{DType, Engine};
    ///
    /// # fn main() -> Result<(), pellucid_tensor::TensorError> {
    /// let engine = Engine::new();
    /// let whole = engine.rand(&[6], DType::F32, 7, 0).to_vec::<f32>()?;
    /// let behind = engine.rand(&[2], DType::F32, 7, 4).to_vec::<f32>()?;
    /// assert_eq!(whole[4..], behind);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn rand(&self, dims: &[usize], dtype: DType, seed: u64, offset: u64) -> Tensor {
        self.random(RandomKind::Uniform, dims, dtype, seed, offset)
    }

    /// Standard normal numbers, converted to `dtype`; seed and offset as in [`Engine::rand`].
    #[must_use]
    pub fn randn(&self, dims: &[usize], dtype: DType, seed: u64, offset: u64) -> Tensor {
        self.random(RandomKind::Normal, dims, dtype, seed, offset)
    }

    /// Integers of a range, as elements of any type; seed and offset as in [`Engine::rand`].
    ///
    /// # Errors
    /// [`TensorError::Argument`] if the range is empty.
    pub fn randint(
        &self,
        range: Range<i64>,
        dims: &[usize],
        dtype: DType,
        seed: u64,
        offset: u64,
    ) -> Result<Tensor> {
        if range.is_empty() {
            return Err(TensorError::Argument {
                op: "randint",
                what: format!("no integers from {} to below {}", range.start, range.end),
            });
        }
        let kind = RandomKind::Integer { low: range.start, high: range.end };
        Ok(self.random(kind, dims, dtype, seed, offset))
    }

    fn random(&self, kind: RandomKind, dims: &[usize], dtype: DType, seed: u64, offset: u64) -> Tensor {
        self.node(Op::Random { kind, seed, offset }, SmallVec::new(), dims.into(), dtype)
    }
}
