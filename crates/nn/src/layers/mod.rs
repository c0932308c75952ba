//! The blocks that architectures are assembled from.

/// Implements [`crate::Layer`] for a type without modules inside, with a `module` field, a method `run(&self, args)`, an
/// async method `announced(&self, ops, args)` that does the same and announces the operations, and a method `places` that
/// lists them.
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
                let ops = $crate::Ops::of(pass, self.module);
                if ops.is_watched() {
                    return $crate::LayerFuture::running(pass, self.module, async move || self.announced(ops, args).await);
                }
                $crate::LayerFuture::built(pass, self.module, self.run(&args))
            }
            fn ops(&self) -> Vec<$crate::OpPlace> {
                self.places()
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

pub use attention::{
    Attended, AttentionArgs, AttentionCore, Heads, PER_HEAD, PER_KV_HEAD, padding_mask, positions,
};
pub use dense::{Conv1D, Linear};
pub use embedding::Embedding;
pub use norm::{LayerNorm, RmsNorm};
pub use pointwise::{Activation, ActivationKind, Dropout};
pub use rotary::{RotaryAngles, RotaryEmbedding, RotaryScaling};

/// Implements [`crate::Layer`] for a type with a `module` field, an async method `run(&self, pass, args)`, and a method
/// `places` that lists the operations it announces.
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
            fn ops(&self) -> Vec<$crate::OpPlace> {
                self.places()
            }
        }
    )*};
}
