//! The blocks that architectures are assembled from.

/// Implements [`crate::Layer`] for a type without modules inside, with a `module` field and a method `run(&self, args)`.
macro_rules! leaf {
    ($($t:ty),* $(,)?) => {$(
        impl $crate::Layer for $t {
            fn module(&self) -> $crate::ModuleId {
                self.module
            }
            fn forward<'a>(
                &'a self,
                pass: &'a $crate::Forward<'a>,
                args: $crate::Args,
            ) -> $crate::LayerFuture<'a> {
                $crate::LayerFuture::built(pass, self.module, self.run(&args))
            }
        }
    )*};
}

mod attention;
mod dense;
mod embedding;
mod norm;
mod pointwise;
mod rotary;

pub use attention::{AttentionCore, Heads, padding_mask, positions};
pub use dense::{Conv1D, Linear};
pub use embedding::Embedding;
pub use norm::{LayerNorm, RmsNorm};
pub use pointwise::{Activation, ActivationKind, Dropout};
pub use rotary::{RotaryAngles, RotaryEmbedding, RotaryScaling};

/// Implements [`crate::Layer`] for a type with a `module` field and an async method `run(&self, pass, args)`.
#[macro_export]
macro_rules! layer {
    ($($t:ty),* $(,)?) => {$(
        impl $crate::Layer for $t {
            fn module(&self) -> $crate::ModuleId {
                self.module
            }
            fn forward<'a>(
                &'a self,
                pass: &'a $crate::Forward<'a>,
                args: $crate::Args,
            ) -> $crate::LayerFuture<'a> {
                $crate::LayerFuture::running(pass, self.module, async move || self.run(pass, args).await)
            }
        }
    )*};
}
