//! Parameters, and where their values come from.

use std::sync::{Arc, Mutex, PoisonError};

use pellucid_tensor::{DType, Engine, Tensor};

use crate::error::Result;

/// A named weight. Its tensor is a leaf; an update puts a new leaf in its place, which is its new version.
#[derive(Clone, Debug)]
pub struct Parameter {
    name: Arc<str>,
    current: Arc<Mutex<Tensor>>,
}

impl Parameter {
    /// A parameter holding `tensor`.
    #[must_use]
    pub fn new(name: &str, tensor: Tensor) -> Parameter {
        Parameter { name: name.into(), current: Arc::new(Mutex::new(tensor)) }
    }

    /// Its full name, such as `transformer.wte.weight`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its present version.
    #[must_use]
    pub fn get(&self) -> Tensor {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it by a new version.
    pub fn set(&self, tensor: Tensor) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = tensor;
    }

    /// Whether both are one parameter under two names.
    #[must_use]
    pub fn same(&self, other: &Parameter) -> bool {
        Arc::ptr_eq(&self.current, &other.current)
    }
}

/// Where a model's weights come from: files, a generator, or nowhere.
pub trait WeightSource {
    /// The weight of that full name and shape.
    ///
    /// # Errors
    /// [`crate::NnError::MissingWeight`] and [`crate::NnError::WeightShape`].
    fn weight(&mut self, name: &str, dims: &[usize]) -> Result<Tensor>;

    /// Whether a weight of that name exists, for those that an architecture may do without.
    fn has(&self, name: &str) -> bool {
        let _ = name;
        true
    }
}

/// Shapes without values, for skeletons.
#[derive(Debug)]
pub struct UnloadedWeights {
    /// Owner of the graph.
    pub engine: Engine,
    /// Type of the weights.
    pub dtype: DType,
}

impl WeightSource for UnloadedWeights {
    fn weight(&mut self, name: &str, dims: &[usize]) -> Result<Tensor> {
        Ok(self.engine.unloaded(dims, self.dtype, name))
    }
}

/// Seeded random weights for a fresh model: matrices normal with the given deviation, biases zero, norms one.
///
/// Each weight has its own stream, keyed by its name, so that it does not depend on the order of construction.
#[derive(Debug)]
pub struct RandomWeights {
    /// Owner of the graph.
    pub engine: Engine,
    /// Seed of all streams.
    pub seed: u64,
    /// Standard deviation of matrices.
    pub deviation: f64,
    /// Factor on the deviation of projections into the residual stream (GPT-2's `1 / sqrt(2 n_layers)`).
    pub residual_scale: f64,
}

impl WeightSource for RandomWeights {
    fn weight(&mut self, name: &str, dims: &[usize]) -> Result<Tensor> {
        if dims.len() < 2 {
            let value = if name.ends_with("bias") { 0.0 } else { 1.0 };
            let flat = vec![value as f32; dims.iter().product()];
            return Ok(self.engine.from_value(
                pellucid_tensor::Value::from_bytes(
                    &pellucid_tensor::HostData::from_slice(&flat).bytes,
                    DType::F32,
                    dims,
                ),
                Some(name),
            ));
        }
        // FNV-1a: a stable stream number for a name.
        let stream = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let residual = name.ends_with("c_proj.weight");
        let deviation = self.deviation * if residual { self.residual_scale } else { 1.0 };
        let draws = self.engine.randn(dims, DType::F32, self.seed ^ stream, 0);
        Ok(draws.mul_scalar(deviation)?.detach()?)
    }
}
