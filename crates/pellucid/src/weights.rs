//! Weights from files, as leaves of the graph that borrow the memory map.

use std::sync::Arc;

use pellucid_hub::{WeightDtype, Weights};
use pellucid_nn::{NnError, WeightSource};
use pellucid_tensor::{DType, Engine, Tensor, Value};

/// The weights of a folder, found under the names of the architecture.
pub(crate) struct FileWeights {
    pub engine: Engine,
    pub weights: Weights,
    /// Left out in checkpoints of a bare body.
    pub base_prefix: &'static str,
    /// The type to compute in; weights of other types are converted.
    pub dtype: Option<DType>,
}

impl FileWeights {
    /// The name under which the files hold a weight.
    fn stored_name(&self, name: &str) -> Option<String> {
        let bare = || name.strip_prefix(self.base_prefix)?.strip_prefix('.');
        if self.weights.description(name).is_some() {
            return Some(name.to_owned());
        }
        bare().filter(|n| self.weights.description(n).is_some()).map(str::to_owned)
    }
}

impl WeightSource for FileWeights {
    fn weight(&mut self, name: &str, dims: &[usize]) -> pellucid_nn::Result<Tensor> {
        let view = self
            .stored_name(name)
            .and_then(|n| self.weights.tensor(&n))
            .ok_or_else(|| NnError::MissingWeight { name: name.into() })?;
        let dtype = match view.dtype {
            WeightDtype::F64 => DType::F64,
            WeightDtype::F32 => DType::F32,
            WeightDtype::F16 => DType::F16,
            WeightDtype::Bf16 => DType::BF16,
            other => {
                let reason = format!("expected floating numbers, got {other:?}");
                return Err(NnError::Weight { name: name.into(), reason });
            }
        };
        if view.shape != dims {
            return Err(NnError::WeightShape {
                name: name.into(),
                expected: dims.to_vec(),
                got: view.shape,
                dtype,
            });
        }
        let owner = Arc::new(view.bytes);
        #[expect(unsafe_code, reason = "weights are used where they are mapped, not copied")]
        // SAFETY: the owner holds the map, whose bytes do not move; that nobody changes a model file in use is what every
        // user of memory maps relies on.
        let value = unsafe {
            let bytes: &[u8] = &owner;
            let bytes = std::slice::from_raw_parts(bytes.as_ptr(), bytes.len());
            Value::borrowed(owner.clone(), bytes, dtype, dims)
        };
        let leaf = self.engine.from_value(value, Some(name));
        match self.dtype {
            Some(wanted) if wanted != dtype => Ok(leaf.cast(wanted).detach()?),
            _ => Ok(leaf),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.stored_name(name).is_some()
    }
}
