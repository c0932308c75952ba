//! Convolutions.

use smallvec::smallvec;

use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::op::Op;
use crate::shape::{Dims, check_size};

/// How a kernel walks over `N` dimensions.
///
/// ```
/// use pellucid_tensor::{Convolution, Engine};
///
/// # fn main() -> Result<(), pellucid_tensor::TensorError> {
/// let engine = Engine::new();
/// let signal = engine.from_vec(vec![1.0f32, 2.0, 4.0, 8.0], &[1, 1, 4])?;
/// let kernel = engine.from_vec(vec![-1.0f32, 1.0], &[1, 1, 2])?;
/// let steps = signal.conv1d(&kernel, None, Convolution::default())?;
/// assert_eq!(steps.to_vec::<f32>()?, [1.0, 2.0, 4.0]);
/// let padded = Convolution { padding: [1], stride: [2], ..Convolution::default() };
/// assert_eq!(signal.conv1d(&kernel, None, padded)?.to_vec::<f32>()?, [1.0, 2.0, -8.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution<const N: usize> {
    /// Distance of neighbouring places of the kernel; at least one.
    pub stride: [usize; N],
    /// Zeros put in front and behind.
    pub padding: [usize; N],
    /// Distance of neighbouring elements of the kernel; at least one.
    pub dilation: [usize; N],
    /// Into how many groups the channels are divided that do not see each other.
    pub groups: usize,
}

impl<const N: usize> Default for Convolution<N> {
    /// Every place, no padding, a dense kernel, one group.
    fn default() -> Self {
        Convolution { stride: [1; N], padding: [0; N], dilation: [1; N], groups: 1 }
    }
}

fn wrong(op: &'static str, what: String) -> TensorError {
    TensorError::Argument { op, what }
}

impl Tensor {
    /// Cross-correlation of `[batch, c_in, length]` (or without `batch`) with a weight
    /// `[c_out, c_in / groups, kernel]`, plus a bias `[c_out]`, as `torch.nn.functional.conv1d`.
    ///
    /// # Errors
    /// As [`Tensor::conv2d`].
    pub fn conv1d(&self, weight: &Tensor, bias: Option<&Tensor>, how: Convolution<1>) -> Result<Tensor> {
        let wide = Convolution {
            stride: [1, how.stride[0]],
            padding: [0, how.padding[0]],
            dilation: [1, how.dilation[0]],
            groups: how.groups,
        };
        self.check_ranks("conv1d", weight, 1)?;
        self.unsqueeze(-2)?.convolve("conv1d", &weight.unsqueeze(-2)?, bias, wide)?.squeeze(Some(-2))
    }

    /// Cross-correlation of `[batch, c_in, height, width]` (or without `batch`) with a weight
    /// `[c_out, c_in / groups, kernel height, kernel width]`, plus a bias `[c_out]`, as `torch.nn.functional.conv2d`.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if the operands do not fit each other or the kernel is larger than the padded input;
    /// [`TensorError::Type`] unless all are of one floating type; [`TensorError::Argument`] for a stride, dilation or
    /// number of groups of zero, or above 65535.
    pub fn conv2d(&self, weight: &Tensor, bias: Option<&Tensor>, how: Convolution<2>) -> Result<Tensor> {
        self.check_ranks("conv2d", weight, 2)?;
        self.convolve("conv2d", weight, bias, how)
    }

    /// Refuses operands without the dimensions of a convolution over `spatial` of them.
    fn check_ranks(&self, op: &'static str, weight: &Tensor, spatial: usize) -> Result<()> {
        let bad = |expected: String, t: &Tensor| TensorError::Shape { op, expected, got: t.dims().into() };
        if weight.rank() != spatial + 2 {
            return Err(bad(format!("a weight of {} dimensions", spatial + 2), weight));
        }
        if self.rank() != spatial + 1 && self.rank() != spatial + 2 {
            return Err(bad(format!("an input of {} or {} dimensions", spatial + 1, spatial + 2), self));
        }
        Ok(())
    }

    fn convolve(
        &self,
        op: &'static str,
        weight: &Tensor,
        bias: Option<&Tensor>,
        how: Convolution<2>,
    ) -> Result<Tensor> {
        if self.rank() == 3 {
            return self.unsqueeze(0)?.convolve(op, weight, bias, how)?.squeeze(Some(0));
        }
        for t in std::iter::once(weight).chain(bias) {
            self.same_engine(op, t)?;
            if !t.dtype().is_float() || t.dtype() != self.dtype() {
                let expected = "operands of one floating type";
                return Err(TensorError::Type { op, expected, got: t.dtype() });
            }
        }
        let steps = how.stride.iter().chain(&how.dilation).chain([&how.groups]);
        if steps.clone().any(|&n| n == 0) || steps.chain(&how.padding).any(|&n| n > usize::from(u16::MAX)) {
            let what =
                format!("steps and groups must lie between 1 and {}, and padding below: {how:?}", u16::MAX);
            return Err(wrong(op, what));
        }
        let (x, w, groups) = (self.dims(), weight.dims(), how.groups);
        let fits =
            w[1].checked_mul(groups) == Some(x[1]) && w[0].is_multiple_of(groups) && w[0] > 0 && w[1] > 0;
        if !fits {
            return Err(TensorError::Shape {
                op,
                expected: format!("a weight for {} channels in {groups} groups", x[1]),
                got: w.into(),
            });
        }
        if let Some(bias) = bias
            && bias.dims() != [w[0]]
        {
            return Err(TensorError::Shape {
                op,
                expected: format!("a bias of {} channels", w[0]),
                got: bias.dims().into(),
            });
        }
        let size = |d: usize| -> Option<usize> {
            let reach = w[2 + d].checked_sub(1)?.checked_mul(how.dilation[d])?.checked_add(1)?;
            let room = x[2 + d].checked_add(2 * how.padding[d])?.checked_sub(reach)?;
            Some(room / how.stride[d] + 1)
        };
        let (Some(height), Some(width)) = (size(0), size(1)) else {
            return Err(TensorError::Shape {
                op,
                expected: format!(
                    "a kernel of at least one element and no larger than the padded input {x:?}"
                ),
                got: w.into(),
            });
        };
        let dims: Dims = smallvec![x[0], w[0], height, width];
        check_size(op, &dims, self.dtype())?;
        let op = Op::Conv2d {
            stride: how.stride.map(|n| n as u16),
            padding: how.padding.map(|n| n as u16),
            dilation: how.dilation.map(|n| n as u16),
            groups: groups as u16,
        };
        let out = self.engine().node(op, smallvec![self.clone(), weight.clone()], dims, self.dtype());
        match bias {
            Some(bias) => out.add(&bias.reshape_to(&[w[0], 1, 1])),
            None => Ok(out),
        }
    }
}
