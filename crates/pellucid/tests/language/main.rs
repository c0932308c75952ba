//! The tracing language beyond single traces, through the Rust API on tiny models with seeded random weights.

mod control;
mod edits;
mod explain;
mod found;
mod generation;
mod invokes;
mod laws;
mod places;
mod sessions;
mod training;

use pellucid::{Model, tiny_config};

/// A GPT-2 of two layers, the same in every test.
fn model() -> Model {
    Model::random(tiny_config(), 7).expect("a tiny model")
}

/// The logits `[1, seq, d_vocab]` of a plain forward pass.
fn logits(model: &Model, ids: &[i64]) -> Vec<f32> {
    let trace = model.trace();
    let logits = trace.invoke(ids).logits().save();
    trace.run().expect("a plain pass").floats(&logits).expect("logits")
}
