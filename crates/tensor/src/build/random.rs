//! Random draws from a counter-based stream.

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::{Engine, Tensor};
use crate::op::{Op, RandomKind};

impl Engine {
    /// Uniform numbers in `[0, 1)`. Element `i` depends on the seed and on `offset + i` only, so that a draw can be
    /// split or repeated; a program that draws again moves its offset on by the number of elements.
    ///
    /// # Errors
    /// [`TensorError::Type`] if `dtype` is not a floating type.
    pub fn rand(&self, dims: &[usize], dtype: DType, seed: u64, offset: u64) -> Result<Tensor> {
        self.random("rand", RandomKind::Uniform, dims, dtype, seed, offset)
    }

    /// Standard normal numbers; seed and offset as in [`Engine::rand`].
    ///
    /// # Errors
    /// [`TensorError::Type`] if `dtype` is not a floating type.
    pub fn randn(&self, dims: &[usize], dtype: DType, seed: u64, offset: u64) -> Result<Tensor> {
        self.random("randn", RandomKind::Normal, dims, dtype, seed, offset)
    }

    /// Integers in `low..high`, as elements of any type; seed and offset as in [`Engine::rand`].
    ///
    /// # Errors
    /// [`TensorError::Argument`] if the range is empty.
    pub fn randint(
        &self,
        range: std::ops::Range<i64>,
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
        let op = Op::Random {
            kind: RandomKind::Integer { low: range.start, high: range.end },
            seed,
            offset,
        };
        Ok(self.node(op, SmallVec::new(), dims.into(), dtype))
    }

    fn random(
        &self,
        name: &'static str,
        kind: RandomKind,
        dims: &[usize],
        dtype: DType,
        seed: u64,
        offset: u64,
    ) -> Result<Tensor> {
        if !dtype.is_float() {
            return Err(TensorError::Type { op: name, expected: "a floating type", got: dtype });
        }
        Ok(self.node(Op::Random { kind, seed, offset }, SmallVec::new(), dims.into(), dtype))
    }
}
