//! What happens to a tile of the product while it is still in the cache.

use crate::elementwise::UnaryKind;
use crate::isa::multiversion;
use crate::math;

/// The activation functions that a product can end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// GELU, hyperbolic tangent form.
    GeluTanh,
    /// GELU, error function form.
    GeluErf,
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// `x * sigmoid(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl From<Activation> for UnaryKind {
    fn from(activation: Activation) -> UnaryKind {
        match activation {
            Activation::GeluTanh => UnaryKind::GeluTanh,
            Activation::GeluErf => UnaryKind::GeluErf,
            Activation::QuickGelu => UnaryKind::QuickGelu,
            Activation::Silu => UnaryKind::Silu,
            Activation::Relu => UnaryKind::Relu,
            Activation::Tanh => UnaryKind::Tanh,
            Activation::Sigmoid => UnaryKind::Sigmoid,
        }
    }
}

/// A matrix added to the product, of the same shape.
#[derive(Clone, Copy, Debug)]
pub struct Residual<'a> {
    /// The elements, rows contiguous.
    pub values: &'a [f32],
    /// Elements between rows.
    pub ld: usize,
}

/// What is done to each element of a product, in this order: add the bias of its column, apply the activation, add the
/// residual. Each step rounds as the separate elementwise kernel does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One value per column.
    pub bias: Option<&'a [f32]>,
    /// The activation function.
    pub activation: Option<Activation>,
    /// A matrix to add.
    pub residual: Option<Residual<'a>>,
}

impl Epilogue<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.bias.is_none() && self.activation.is_none() && self.residual.is_none()
    }

    pub(super) fn check(&self, m: usize, n: usize) {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), n, "the bias has one value per column");
        }
        if let Some(residual) = self.residual {
            assert!(
                residual.ld >= n && residual.values.len() >= (m - 1) * residual.ld + n,
                "the residual has {m} rows of {n}, {} apart, in {} elements",
                residual.ld,
                residual.values.len(),
            );
        }
    }

    /// Finishes the columns from `col` on of row `row`.
    #[inline]
    pub(super) fn apply(&self, c: &mut [f32], row: usize, col: usize) {
        let n = c.len();
        let bias = self.bias.map_or(&[][..], |bias| &bias[col..col + n]);
        let residual = self.residual.map_or(&[][..], |residual| {
            let start = row * residual.ld + col;
            &residual.values[start..start + n]
        });
        finish(c, bias, self.activation, residual);
    }
}

#[inline(always)]
fn with(c: &mut [f32], bias: &[f32], residual: &[f32], f: impl Fn(f32) -> f32 + Copy) {
    match (bias.is_empty(), residual.is_empty()) {
        (true, true) => c.iter_mut().for_each(|c| *c = f(*c)),
        (false, true) => c.iter_mut().zip(bias).for_each(|(c, b)| *c = f(*c + b)),
        (true, false) => c.iter_mut().zip(residual).for_each(|(c, r)| *c = f(*c) + r),
        (false, false) => {
            for ((c, b), r) in c.iter_mut().zip(bias).zip(residual) {
                *c = f(*c + b) + r;
            }
        }
    }
}

multiversion! {
    /// One row of a tile; an empty slice stands for an absent operand.
    fn finish(c: &mut [f32], bias: &[f32], activation: Option<Activation>, residual: &[f32]) {
        match activation {
            None => with(c, bias, residual, math::identity),
            Some(Activation::GeluTanh) => with(c, bias, residual, math::gelu_tanh),
            Some(Activation::GeluErf) => with(c, bias, residual, math::gelu_erf),
            Some(Activation::QuickGelu) => with(c, bias, residual, math::quick_gelu),
            Some(Activation::Silu) => with(c, bias, residual, math::silu),
            Some(Activation::Relu) => with(c, bias, residual, math::relu),
            Some(Activation::Tanh) => with(c, bias, residual, math::tanh),
            Some(Activation::Sigmoid) => with(c, bias, residual, math::sigmoid),
        }
    }
}
