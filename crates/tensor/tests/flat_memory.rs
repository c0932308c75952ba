//! A long training loop holds one step's graph and buffers. Alone in its process, because memory is counted for all of it.

use pellucid_tensor::grad::grad;
use pellucid_tensor::memory::current_bytes;
use pellucid_tensor::optim::{AdamW, AdamWOptions, Optimizer, clip_global_norm};
use pellucid_tensor::{DType, Engine};

#[test]
fn a_thousand_steps_hold_no_more_than_the_first() {
    let engine = Engine::new();
    let draw = |dims: &[usize], seed: u64| engine.randn(dims, DType::F32, seed, 0).detach().unwrap();
    let mut params = vec![draw(&[8, 16], 1), draw(&[16], 2), draw(&[16, 1], 3)];
    let (inputs, targets) = (draw(&[32, 8], 4), draw(&[32, 1], 5));
    let mut optimizer = AdamW::new(AdamWOptions { lr: 0.01, ..AdamWOptions::default() }).without_decay([1]);
    let mut losses = Vec::new();
    let mut held = Vec::new();
    for step in 0..1000 {
        let hidden = inputs.matmul(&params[0]).unwrap().add(&params[1]).unwrap().tanh().unwrap();
        let miss = hidden.matmul(&params[2]).unwrap().sub(&targets).unwrap();
        let loss = miss.mul(&miss).unwrap().mean(&[], false).unwrap();
        let grads = grad(&loss, &params).unwrap();
        let (grads, _) = clip_global_norm(&grads, 1.0).unwrap();
        optimizer.set_lr(0.01 * (1.0 - f64::from(step) / 1000.0));
        params = optimizer.step_with(&params, &grads, std::slice::from_ref(&loss)).unwrap();
        assert!(loss.is_evaluated());
        losses.push(loss.to_f64s().unwrap()[0]);
        drop((loss, miss, hidden, grads));
        held.push(current_bytes());
        assert!(engine.interned() < 10_000, "{} nodes after step {step}", engine.interned());
    }
    assert!(losses[999] < 0.2 * losses[0], "{} after {}", losses[999], losses[0]);
    let (early, late) = (held[9..20].iter().max().unwrap(), held[900..].iter().max().unwrap());
    assert!(late <= early, "{late} bytes after a thousand steps, {early} after ten");
}
