//! Weights that follow from their names, as the script draws them.

use pellucid_nn::{Result, WeightSource};
use pellucid_tensor::{DType, Engine, HostData, Tensor, Value};

/// Uniform draws from splitmix64, started by a name's FNV-1a hash and a seed.
pub(crate) struct Drawn {
    pub(crate) engine: Engine,
    pub(crate) seed: u64,
    pub(crate) dtype: DType,
    /// Middle of the weights of norms.
    pub(crate) norm: f32,
    /// Bound on the elements of matrices.
    pub(crate) matrix: f32,
}

impl WeightSource for Drawn {
    fn weight(&mut self, name: &str, dims: &[usize]) -> Result<Tensor> {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let hash = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
        let start = hash ^ self.seed.wrapping_mul(STEP);
        let elements = (1..=dims.iter().product::<usize>() as u64).map(|i| {
            let mut z = start.wrapping_add(i.wrapping_mul(STEP));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            let u = (z >> 40) as f32 * 2f32.powi(-23) - 1.0;
            match dims {
                [_, _, ..] => self.matrix * u,
                _ if name.ends_with("bias") => 0.1 * u,
                _ => self.norm + 0.2 * u,
            }
        });
        let flat: Vec<f32> = elements.collect();
        let data = HostData::from_slice(&flat);
        let value = Value::from_bytes(&data.bytes, DType::F32, dims);
        let tensor = self.engine.from_value(value, Some(name));
        if self.dtype == DType::F32 { Ok(tensor) } else { Ok(tensor.cast(self.dtype).detach()?) }
    }
}
