//! Gradients of a convolution: convolutions again.

use smallvec::SmallVec;

use super::rules::Gradients;
use crate::build::Convolution;
use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::op::Perm;

/// `y` is the convolution of its first operand with its second; `g` is its gradient.
pub(super) fn conv2d(
    how: Convolution<2>,
    y: &Tensor,
    g: &Tensor,
    wanted: &dyn Fn(usize) -> bool,
) -> Result<Gradients> {
    let (x, weight) = (&y.inputs()[0], &y.inputs()[1]);
    let mut out = Gradients::new();
    if wanted(0) {
        out.push((0, at_input(how, x, weight, g)?));
    }
    if wanted(1) {
        out.push((1, at_weight(how, x, weight, g)?));
    }
    Ok(out)
}

fn permuted(t: &Tensor, perm: &[u8]) -> Tensor {
    t.permute_to(Perm::from_slice(perm))
}

/// The gradient, spread to the places its elements came from, met by the kernel backwards.
fn at_input(how: Convolution<2>, x: &Tensor, weight: &Tensor, g: &Tensor) -> Result<Tensor> {
    let mut spread = g.clone();
    for d in 0..2 {
        let axis = 2 + d;
        let reach = (weight.dims()[axis] - 1) * how.dilation[d];
        let size = x.dims()[axis] + reach;
        // Where the first element goes; before the start if there is more padding than kernel.
        let first = reach as isize - how.padding[d] as isize;
        let stride = how.stride[d] as isize;
        let skipped = (-first).max(0).div_euclid(stride) + isize::from((-first).max(0) % stride != 0);
        let start = first + skipped * stride;
        let count = spread.dims()[axis] as isize;
        let fitting = if start < size as isize { (size as isize - 1 - start) / stride + 1 } else { 0 };
        let taken = fitting.min(count - skipped).max(0);
        let mut dims: crate::Dims = spread.dims().into();
        dims[axis] = size;
        let zeros = g.engine().zeros(&dims, g.dtype());
        spread = if taken == 0 {
            zeros
        } else {
            let part = spread.slice_to(axis, skipped as usize, taken as usize, 1);
            zeros.slice_assign_to(axis, start as usize, stride, &part)
        };
    }
    // [groups * c_out, c_in, ..] -> [groups * c_in, c_out, ..]
    let w = weight.dims();
    let (c_out, c_in) = (w[0] / how.groups, w[1]);
    let split = weight.reshape_to(&[how.groups, c_out, c_in, w[2], w[3]]);
    let turned = permuted(&split, &[0, 2, 1, 3, 4]).reshape_to(&[how.groups * c_in, c_out, w[2], w[3]]);
    let dense = Convolution { stride: [1, 1], padding: [0, 0], ..how };
    spread.conv2d(&turned.flip(&[2, 3])?, None, dense)
}

/// The input met by the gradient, with stride and dilation exchanged: a sum over the batch, which takes the place of the
/// channels.
fn at_weight(how: Convolution<2>, x: &Tensor, weight: &Tensor, g: &Tensor) -> Result<Tensor> {
    let (w, groups, batch) = (weight.dims(), how.groups, x.dims()[0]);
    if batch == 0 {
        return Ok(g.engine().zeros(w, g.dtype()));
    }
    let (c_out, c_in) = (w[0] / groups, w[1]);
    let image = x.reshape_to(&[batch, groups, c_in, x.dims()[2], x.dims()[3]]);
    let image =
        permuted(&image, &[2, 1, 0, 3, 4]).reshape_to(&[c_in, groups * batch, x.dims()[2], x.dims()[3]]);
    let kernel = g.reshape_to(&[batch, groups, c_out, g.dims()[2], g.dims()[3]]);
    let kernel =
        permuted(&kernel, &[1, 2, 0, 3, 4]).reshape_to(&[groups * c_out, batch, g.dims()[2], g.dims()[3]]);
    let exchanged = Convolution { stride: how.dilation, dilation: how.stride, ..how };
    let met = image.conv2d(&kernel, None, exchanged)?;
    let places: SmallVec<[usize; 2]> = met.dims()[2..].into();
    if places[0] < w[2] || places[1] < w[3] {
        return Err(TensorError::Shape {
            op: "conv2d",
            expected: format!("at least the kernel's size {w:?}"),
            got: met.dims().into(),
        });
    }
    Ok(permuted(&met.slice_to(2, 0, w[2], 1).slice_to(3, 0, w[3], 1), &[1, 0, 2, 3]))
}
