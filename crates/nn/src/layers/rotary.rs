//! Rotary position embedding: the angles, with every scaling that Hugging Face's configurations name.

use std::f64::consts::PI;

use pellucid_tensor::{DType, Tensor};

use crate::error::Result;
use crate::value::Value;

/// How frequencies are changed for long contexts, by the names of `rope_scaling.rope_type`.
#[derive(Clone, Debug, PartialEq)]
pub enum RotaryScaling {
    /// Frequencies as trained.
    Default,
    /// All frequencies divided.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Base raised with the sequence length (NTK-aware), once it exceeds the trained context.
    Dynamic {
        /// The factor of the context.
        factor: f64,
        /// Trained context.
        original: usize,
    },
    /// Low frequencies divided, high ones kept, those between blended (Llama 3).
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are low frequencies.
        low: f64,
        /// Wavelengths below `original / high` are high frequencies.
        high: f64,
        /// Trained context.
        original: usize,
    },
    /// NTK-by-parts interpolation with attention scaling (Peng et al. 2023).
    Yarn {
        /// The factor of the context.
        factor: f64,
        /// Trained context.
        original: usize,
        /// Rotations above which frequencies are kept.
        beta_fast: f64,
        /// Rotations below which frequencies are divided.
        beta_slow: f64,
        /// Factor on cosines and sines.
        attention: f64,
    },
    /// A divisor for every frequency, another set beyond the trained context (Phi-3).
    LongRope {
        /// Divisors within the trained context.
        short: Vec<f64>,
        /// Divisors beyond it.
        long: Vec<f64>,
        /// Trained context.
        original: usize,
        /// Factor on cosines and sines.
        attention: f64,
    },
}

/// The angles of a model's rotary embedding.
#[derive(Clone, Debug)]
pub struct RotaryAngles {
    /// Channels that are turned.
    pub d_rotary: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// Change for long contexts.
    pub scaling: RotaryScaling,
}

impl RotaryAngles {
    /// Angle per position of each channel pair, `[d_rotary / 2]`, and the factor on cosines and sines, for a sequence of
    /// `seq_len` tokens.
    #[must_use]
    pub fn frequencies(&self, seq_len: usize) -> (Vec<f32>, f64) {
        let d = self.d_rotary as f64;
        // The reference computes these in single precision.
        let plain = |theta: f64| -> Vec<f32> {
            (0..self.d_rotary / 2)
                .map(|i| 1.0 / (theta as f32).powf((2 * i) as f32 / self.d_rotary as f32))
                .collect()
        };
        match &self.scaling {
            RotaryScaling::Default => (plain(self.theta), 1.0),
            RotaryScaling::Linear { factor } => {
                (plain(self.theta).iter().map(|f| f / *factor as f32).collect(), 1.0)
            }
            RotaryScaling::Dynamic { factor, original } => {
                let seq = seq_len.max(*original) as f64;
                let stretch = factor * seq / *original as f64 - (factor - 1.0);
                (plain(self.theta * stretch.powf(d / (d - 2.0))), 1.0)
            }
            RotaryScaling::Llama3 { factor, low, high, original } => {
                let original = *original as f64;
                let scaled = plain(self.theta).into_iter().map(|f| {
                    let wavelength = 2.0 * PI / f64::from(f);
                    let divided = f64::from(f) / factor;
                    if wavelength > original / low {
                        divided as f32
                    } else if wavelength < original / high {
                        f
                    } else {
                        let smooth = (original / wavelength - low) / (high - low);
                        ((1.0 - smooth) * divided + smooth * f64::from(f)) as f32
                    }
                });
                (scaled.collect(), 1.0)
            }
            RotaryScaling::Yarn { factor, original, beta_fast, beta_slow, attention } => {
                let at = |rotations: f64| {
                    d * (*original as f64 / (rotations * 2.0 * PI)).ln() / (2.0 * self.theta.ln())
                };
                let low = at(*beta_fast).floor().max(0.0);
                let high = at(*beta_slow).ceil().min(d - 1.0);
                let width = if low == high { 0.001 } else { high - low };
                let blended = plain(self.theta).into_iter().enumerate().map(|(i, f)| {
                    let kept = 1.0 - ((i as f64 - low) / width).clamp(0.0, 1.0);
                    (f64::from(f) / factor * (1.0 - kept) + f64::from(f) * kept) as f32
                });
                (blended.collect(), *attention)
            }
            RotaryScaling::LongRope { short, long, original, attention } => {
                let divisors = if seq_len > *original { long } else { short };
                let divided = plain(self.theta).into_iter().zip(divisors).map(|(f, d)| f / *d as f32);
                (divided.collect(), *attention)
            }
        }
    }

    /// Cosines and sines `[batch, seq, d_rotary / 2]` at positions `[batch, seq]`, for a sequence of `seq_len` tokens,
    /// in the given type.
    ///
    /// # Errors
    /// If the positions are not integers.
    pub fn at(&self, positions: &Tensor, seq_len: usize, dtype: DType) -> Result<(Tensor, Tensor)> {
        let (frequencies, factor) = self.frequencies(seq_len);
        let n = frequencies.len();
        let frequencies = positions.engine().from_vec(frequencies, &[n])?;
        let angles = positions.cast(DType::F32).unsqueeze(-1)?.mul(&frequencies)?;
        let scaled = |t: Tensor| if factor == 1.0 { Ok(t) } else { t.mul_scalar(factor) };
        Ok((scaled(angles.cos()?)?.cast(dtype), scaled(angles.sin()?)?.cast(dtype)))
    }

    /// Cosines and sines as the reference's modules hand them on: each angle twice, `[batch, seq, d_rotary]`.
    ///
    /// # Errors
    /// As [`RotaryAngles::at`].
    pub fn doubled(&self, positions: &Tensor, seq_len: usize, dtype: DType) -> Result<Value> {
        let (cos, sin) = self.at(positions, seq_len, dtype)?;
        let twice = |t: Tensor| Tensor::cat(&[t.clone(), t], -1).map(Value::tensor);
        Ok(Value::tuple([twice(cos)?, twice(sin)?]))
    }
}
