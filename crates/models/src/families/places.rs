//! The operations that blocks, feed-forwards and attention of several families have in common, as they are listed.

use pellucid_nn::OpPlace;
use pellucid_nn::layers::{PER_HEAD, PER_KV_HEAD};

const RESIDUAL: &[&str] = &["batch", "seq", "d_model"];
const MLP: &[&str] = &["batch", "seq", "d_mlp"];

/// Of a block that adds attention and then the feed-forward to the residual stream.
pub(super) fn sequential() -> Vec<OpPlace> {
    vec![
        OpPlace::new("add_0", "the residual stream with attention's output added", RESIDUAL),
        OpPlace::new("add_1", "that with the feed-forward's output added", RESIDUAL),
    ]
}

/// Of a block that adds attention and the feed-forward at once.
pub(super) fn parallel() -> Vec<OpPlace> {
    vec![
        OpPlace::new("add_0", "the outputs of attention and feed-forward, added", RESIDUAL),
        OpPlace::new("add_1", "the residual stream with both added", RESIDUAL),
    ]
}

/// Of a feed-forward that calls a module, its activation and another module.
pub(super) fn feed_forward(first: &'static str) -> Vec<OpPlace> {
    vec![
        OpPlace::new(first, "what the activation is called with", MLP).named("pre"),
        OpPlace::new("act_0", "the activations", MLP).named("post"),
    ]
}

/// Of a body that makes the residual stream by one operation.
pub(super) fn embedded(label: &'static str, what: &'static str) -> Vec<OpPlace> {
    vec![OpPlace::new(label, what, RESIDUAL)]
}

/// Of attention whose queries, keys and values are projections of their own, the first two rotated.
pub(super) fn rotated() -> [OpPlace; 5] {
    [
        OpPlace::new("transpose_0", "each head's queries, before the rotation", PER_HEAD),
        OpPlace::new("transpose_1", "each head's keys, before the rotation", PER_KV_HEAD),
        OpPlace::new("transpose_2", "each head's values", PER_KV_HEAD).named("value"),
        OpPlace::new("rotary_0", "each head's queries, rotated", PER_HEAD).named("query"),
        OpPlace::new("rotary_1", "each head's keys, rotated", PER_KV_HEAD).named("key"),
    ]
}
