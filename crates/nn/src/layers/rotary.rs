//! Rotary position embedding: the angles, with every scaling that Hugging Face's configurations name.

use std::f64::consts::PI;

use std::sync::Arc;

use pellucid_tensor::{DType, Scalar, Tensor};

use crate::error::{NnError, Result};
use crate::ops::{OpPlace, Ops};
use crate::tree::{ModuleId, TreeBuilder};
use crate::value::{Args, Value};

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

impl RotaryScaling {
    /// Whether frequencies depend on the length of the sequence.
    #[must_use]
    pub fn depends_on_length(&self) -> bool {
        matches!(self, RotaryScaling::Dynamic { .. } | RotaryScaling::LongRope { .. })
    }
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
    /// The type in which frequencies are computed: single precision in all families but GPT-J, which takes its weights'
    /// own if it is a half precision.
    pub precision: DType,
}

impl RotaryAngles {
    /// Angle per position of each channel pair, `[d_rotary / 2]`, and the factor on cosines and sines, for a sequence of
    /// `seq_len` tokens.
    #[must_use]
    pub fn frequencies(&self, seq_len: usize) -> (Vec<f32>, f64) {
        let d = self.d_rotary as f64;
        let half = matches!(self.precision, DType::BF16 | DType::F16);
        let round = |x: f32| if half { Scalar::from(x).cast(self.precision).to_f64() as f32 } else { x };
        let plain = |theta: f64| -> Vec<f32> {
            let exponents = (0..self.d_rotary / 2).map(|i| round((2 * i) as f32 / self.d_rotary as f32));
            exponents.map(|x| round(1.0 / round((theta as f32).powf(x)))).collect()
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

    /// Cosines and sines `[batch, seq, d_rotary / 2]` at positions `[batch, seq]`, in the given type.
    ///
    /// Where frequencies depend on the length of the sequence, the positions are computed, and each row has the
    /// frequencies of its own length, whichever rows share its batch.
    ///
    /// # Errors
    /// If the positions cannot be computed.
    pub fn at(&self, positions: &Tensor, dtype: DType) -> Result<(Tensor, Tensor)> {
        let (angles, factor) = self.turns(positions)?;
        RotaryAngles::waves(&angles, factor, dtype)
    }

    /// The angles `[batch, seq, d_rotary / 2]` at positions `[batch, seq]`, and the factor on cosines and sines.
    fn turns(&self, positions: &Tensor) -> Result<(Tensor, f64)> {
        let engine = positions.engine();
        let (first, factor) = self.frequencies(0);
        let n = first.len();
        let frequencies = if self.scaling.depends_on_length() {
            let all = positions.cast(DType::I64).to_vec::<i64>()?;
            let seq = positions.dims().last().copied().unwrap_or(1).max(1);
            let rows =
                all.chunks(seq).map(|row| row.iter().max().map_or(0, |&last| last.max(0) as usize + 1));
            let each: Vec<f32> = rows.flat_map(|len| self.frequencies(len).0).collect();
            engine.from_vec(each, &[all.len() / seq, 1, n])?
        } else {
            engine.from_vec(first, &[n])?
        };
        Ok((positions.cast(DType::F32).unsqueeze(-1)?.mul(&frequencies)?, factor))
    }

    /// Cosines and sines of angles, times a factor.
    fn waves(angles: &Tensor, factor: f64, dtype: DType) -> Result<(Tensor, Tensor)> {
        let scaled = |t: Tensor| if factor == 1.0 { Ok(t) } else { t.mul_scalar(factor) };
        Ok((scaled(angles.cos()?)?.cast(dtype), scaled(angles.sin()?)?.cast(dtype)))
    }

    /// Cosines and sines `[batch, 1, seq, d_rotary / 2]`, which broadcast over heads, from a pair that
    /// a [`RotaryEmbedding`] handed on.
    ///
    /// # Errors
    /// [`NnError::Argument`] if it is no pair of tensors.
    pub fn halves(position_embeddings: &Value) -> Result<(Tensor, Tensor)> {
        let half = |at: usize| -> Result<Tensor> {
            let found = match position_embeddings {
                Value::Tuple(items) => items.get(at).and_then(Value::as_var),
                _ => None,
            };
            let doubled = found.ok_or_else(|| NnError::Argument {
                module: String::new(),
                argument: "position_embeddings",
                expected: "cosines and sines",
                got: position_embeddings.kind(),
            })?;
            let doubled = doubled.get()?;
            let n = doubled.dims().last().copied().unwrap_or(0) / 2;
            Ok(doubled.narrow(-1, 0, n)?.unsqueeze(1)?)
        };
        Ok((half(0)?, half(1)?))
    }
}

/// The module that computes a body's cosines and sines once for all blocks: called with the hidden states, whose type
/// they take, and the positions `[batch, seq]`, it returns them as the reference does: each angle twice,
/// `[batch, seq, d_rotary]`.
#[derive(Debug)]
pub struct RotaryEmbedding {
    module: ModuleId,
    angles: RotaryAngles,
}

impl RotaryEmbedding {
    /// Adds the module to the tree. `type_name` is the reference's class, such as `LlamaRotaryEmbedding`.
    ///
    /// # Errors
    /// None so far.
    pub fn build(
        b: &mut TreeBuilder<'_>,
        name: &str,
        type_name: &'static str,
        angles: RotaryAngles,
    ) -> Result<Arc<RotaryEmbedding>> {
        b.child(name, type_name, "", |b| {
            let module = b.id();
            Ok(b.register(RotaryEmbedding { module, angles }))
        })
    }

    fn run(&self, args: &Args) -> Result<Value> {
        let like = args.var(0, "x")?.get()?;
        let positions = args.var(1, "position_ids")?.get()?;
        let (cos, sin) = self.angles.at(&positions, like.dtype())?;
        let twice = |t: Tensor| Tensor::cat(&[t.clone(), t], -1).map(Value::tensor);
        Ok(Value::tuple([twice(cos)?, twice(sin)?]))
    }

    async fn announced(&self, ops: Ops<'_>, args: Args) -> Result<Value> {
        let like = args.var(0, "x")?.get()?;
        let positions = args.var(1, "position_ids")?.get()?;
        let (angles, factor) = self.angles.turns(&positions)?;
        let angles = ops.tensor("mul_0", angles).await?;
        let (cos, sin) = RotaryAngles::waves(&angles, factor, like.dtype())?;
        let (cos, sin) = (ops.tensor("cos_0", cos).await?, ops.tensor("sin_0", sin).await?);
        let twice = |t: Tensor| Tensor::cat(&[t.clone(), t], -1);
        let (cos, sin) = (ops.fresh("cat_0", twice(cos)?).await?, ops.fresh("cat_1", twice(sin)?).await?);
        Ok(Value::tuple([Value::Tensor(cos), Value::Tensor(sin)]))
    }

    fn places(&self) -> Vec<OpPlace> {
        const HALF: &[&str] = &["rows", "seq", "d_rotary / 2"];
        const WHOLE: &[&str] = &["rows", "seq", "d_rotary"];
        vec![
            OpPlace::new("mul_0", "the angles: positions times frequencies", HALF),
            OpPlace::new("cos_0", "their cosines", HALF),
            OpPlace::new("sin_0", "their sines", HALF),
            OpPlace::new("cat_0", "the cosines, each angle twice", WHOLE),
            OpPlace::new("cat_1", "the sines, each angle twice", WHOLE),
        ]
    }
}

leaf!(RotaryEmbedding);

#[cfg(test)]
mod tests {
    use pellucid_tensor::Engine;

    use super::*;

    fn angles(scaling: RotaryScaling, precision: DType) -> RotaryAngles {
        RotaryAngles { d_rotary: 12, theta: 10_000.0, scaling, precision }
    }

    // As PyTorch 2.6 computes `1.0 / (10000 ** (torch.arange(0, 12, 2) / 12))` under each default type.
    #[test]
    fn frequencies_in_half_precision_are_rounded_at_every_step() {
        let (bf16, _) = angles(RotaryScaling::Default, DType::BF16).frequencies(0);
        assert_eq!(bf16[1..4], [0.214_843_75, 0.046_142_578, 0.010_009_766]);
        assert_eq!(bf16[4..], [0.002_120_971_7, 0.000_469_207_76]);
        let (f16, _) = angles(RotaryScaling::Default, DType::F16).frequencies(0);
        assert_eq!(f16[1..4], [0.215_454_1, 0.046_447_754, 0.010_002_136]);
        assert_eq!(f16[4..], [0.002_157_211_3, 0.000_463_485_72]);
    }

    #[test]
    fn rows_of_different_lengths_have_the_frequencies_of_their_own() {
        let engine = Engine::new();
        let scaling = RotaryScaling::Dynamic { factor: 2.0, original: 4 };
        let angles = angles(scaling, DType::F32);
        let together = engine.from_vec(vec![0i64, 0, 0, 1, 0, 1, 2, 9], &[2, 4]).unwrap();
        let (cos, sin) = angles.at(&together, DType::F32).unwrap();
        for (row, len) in [(0, 2), (1, 10)] {
            let position = [1i64, 9][row as usize];
            let (frequencies, _) = angles.frequencies(len);
            let last = |t: &Tensor| {
                let row = t.narrow(0, row, 1).unwrap();
                row.narrow(1, -1, 1).unwrap().to_vec::<f32>().unwrap()
            };
            for ((c, s), f) in last(&cos).iter().zip(last(&sin)).zip(frequencies) {
                let angle = f * position as f32;
                assert!((c - angle.cos()).abs() < 1e-6 && (s - angle.sin()).abs() < 1e-6);
            }
        }
    }
}
