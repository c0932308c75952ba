//! Resizing of images and signals.

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::Tensor;

/// Where the elements of a resized dimension come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// From the element before the place in the old size.
    Nearest,
    /// From both neighbours, weighted by their distance: linear, bilinear, trilinear.
    Linear {
        /// Whether the first and last elements of both sizes fall together, rather than the outer edges of them.
        align_corners: bool,
    },
}

/// For each new position, the positions it comes from and the weight of the second.
struct Taps {
    low: Vec<i64>,
    high: Vec<i64>,
    weight: Vec<f64>,
}

impl Taps {
    /// Computed in the precision in which PyTorch does, as a position may fall on either side of an element.
    fn new(from: usize, to: usize, how: Interpolation, double: bool) -> Taps {
        let round = |x: f64| if double { x } else { f64::from(x as f32) };
        let mut taps = Taps { low: Vec::new(), high: Vec::new(), weight: Vec::new() };
        let last = from as i64 - 1;
        for i in 0..to {
            let i = i as f64;
            let place = match how {
                Interpolation::Nearest => {
                    // Single precision whatever the type.
                    let scale = from as f32 / to as f32;
                    f64::from((i as f32 * scale).floor())
                }
                Interpolation::Linear { align_corners: true } if to > 1 => {
                    round(round((from - 1) as f64 / (to - 1) as f64) * i)
                }
                Interpolation::Linear { align_corners: true } => 0.0,
                Interpolation::Linear { align_corners: false } => {
                    round(round(round(from as f64 / to as f64) * (i + 0.5)) - 0.5).max(0.0)
                }
            };
            let low = (place as i64).min(last);
            taps.low.push(low);
            taps.high.push((low + 1).min(last));
            taps.weight.push(round(place - low as f64).clamp(0.0, 1.0));
        }
        taps
    }
}

impl Tensor {
    /// The last dimensions resized to `sizes`, one after the other, as `torch.nn.functional.interpolate` with `size`: for
    /// one size `[batch, channels, length]`, for two `[batch, channels, height, width]`.
    ///
    /// ```
    /// use pellucid_tensor::{Engine, Interpolation};
    ///
    /// # fn main() -> Result<(), pellucid_tensor::TensorError> {
    /// let engine = Engine::new();
    /// let x = engine.from_vec(vec![0.0f32, 4.0], &[1, 1, 2])?;
    /// let linear = x.resize(&[5], Interpolation::Linear { align_corners: true })?;
    /// assert_eq!(linear.to_vec::<f32>()?, [0.0, 1.0, 2.0, 3.0, 4.0]);
    /// assert_eq!(x.resize(&[4], Interpolation::Nearest)?.to_vec::<f32>()?, [0.0, 0.0, 4.0, 4.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TensorError::Shape`] for fewer dimensions than sizes; [`TensorError::Argument`] for a size of zero, or a dimension
    /// of none; [`TensorError::Type`] for linear interpolation of integers.
    pub fn resize(&self, sizes: &[usize], how: Interpolation) -> Result<Tensor> {
        let op = "resize";
        let Some(lead) = self.rank().checked_sub(sizes.len()) else {
            return Err(TensorError::Shape {
                op,
                expected: format!("at least {} dimensions", sizes.len()),
                got: self.dims().into(),
            });
        };
        if sizes.contains(&0) || self.dims()[lead..].contains(&0) {
            let what = format!("{:?} cannot become {sizes:?}", &self.dims()[lead..]);
            return Err(TensorError::Argument { op, what });
        }
        if how != Interpolation::Nearest && !self.dtype().is_float() {
            return Err(TensorError::Type { op, expected: "floating-point elements", got: self.dtype() });
        }
        // Half precision is rounded once, at the end.
        let half = matches!(self.dtype(), DType::F16 | DType::BF16);
        let mut out = if half { self.cast(DType::F32) } else { self.clone() };
        for (d, &size) in sizes.iter().enumerate() {
            out = out.resize_along(lead + d, size, how)?;
        }
        Ok(out.cast(self.dtype()))
    }

    fn resize_along(&self, axis: usize, size: usize, how: Interpolation) -> Result<Tensor> {
        let from = self.dims()[axis];
        if from == size {
            return Ok(self.clone());
        }
        let taps = Taps::new(from, size, how, self.dtype() == DType::F64);
        let engine = self.engine();
        let low = self.index_select(axis as i64, &engine.from_vec(taps.low, &[size])?)?;
        if how == Interpolation::Nearest {
            return Ok(low);
        }
        let high = self.index_select(axis as i64, &engine.from_vec(taps.high, &[size])?)?;
        let mut shape: SmallVec<[usize; 6]> = SmallVec::from_elem(1, self.rank());
        shape[axis] = size;
        let rest: Vec<f64> = taps.weight.iter().map(|w| 1.0 - w).collect();
        let at_high = engine.from_vec(taps.weight, &shape)?.cast(self.dtype());
        let at_low = engine.from_vec(rest, &shape)?.cast(self.dtype());
        low.mul(&at_low)?.add(&high.mul(&at_high)?)
    }
}
