//! Matrix products in `f32`.
//!
//! The law: every element is one chain, `acc = 0; for k ascending: acc = fma(a[m, k], b[k, n], acc)`. It holds for any
//! number of rows, any tiling, any number of threads and every instruction set, packed or not; so all of these agree to
//! the bit with each other and with a plain loop over [`f32::mul_add`].
//!
//! [`matmul_packed`] is for weights, which are packed once with [`PackedMatrix::pack`]; [`matmul_strided`] for everything
//! else.

mod epilogue;
pub(crate) mod kernel;
mod pack;
mod packed;
mod product;

pub use epilogue::{Activation, Epilogue, Residual};
pub use pack::{PackedMatrix, PanelFormat, Source};
pub use packed::matmul_packed;
pub(crate) use product::Part;
pub use product::{MatmulShape, matmul_strided};

/// Columns of a panel.
pub const PANEL: usize = 48;
