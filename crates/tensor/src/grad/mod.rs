//! Reverse-mode differentiation: gradients are nodes of the same graph.
//!
//! A gradient is taken at a node. Where several places share a node, [`Tensor::identity`] gives each its own.
//! Only nodes on a path from what is asked for to the loss are visited, in descending order of their numbers, which
//! is an order in which users come before operands.

mod attention;
mod conv;
mod rules;
mod second;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::{Result, TensorError};
use crate::graph::Tensor;

/// Gradients of a loss with one element at each of `wrt`; `None` where the loss does not depend on it.
///
/// Gradients are tensors like any others and have gradients of their own.
///
/// ```
/// use pellucid_tensor::{Engine, grad::grad};
///
/// # fn main() -> Result<(), pellucid_tensor::TensorError> {
/// let engine = Engine::new();
/// let x = engine.from_vec(vec![1.0f32, 2.0, 3.0], &[3])?;
/// let loss = x.mul(&x)?.sum(&[], false)?;
/// let gradients = grad(&loss, &[x])?;
/// assert_eq!(gradients[0].as_ref().unwrap().to_vec::<f32>()?, [2.0, 4.0, 6.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`TensorError::NoGradient`] if the loss is not one floating number, or if an operation on the way has no
/// derivative.
pub fn grad(loss: &Tensor, wrt: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
    if loss.numel() != 1 {
        return Err(TensorError::NoGradient {
            what: format!(
                "grad can be implicitly created only for scalar outputs, not for shape {:?}",
                loss.dims()
            ),
        });
    }
    let seed = loss.engine().ones(loss.dims(), loss.dtype());
    backward(&[(loss.clone(), seed)], wrt, &mut |_, gradient| Ok(gradient))
}

/// Gradients at `wrt` of outputs weighted by the gradients given with them.
///
/// `edit` is called once for each of `wrt` that is reached, in backward order, with its position and its complete
/// gradient; what it returns is what flows on upstream.
///
/// # Errors
/// As [`grad`], and whatever `edit` returns.
pub fn backward(
    outputs: &[(Tensor, Tensor)],
    wrt: &[Tensor],
    edit: &mut dyn FnMut(usize, Tensor) -> Result<Tensor>,
) -> Result<Vec<Option<Tensor>>> {
    for (output, gradient) in outputs {
        if !output.dtype().is_float() {
            return Err(TensorError::NoGradient {
                what: format!("only floating-point values have gradients, not {}", output.dtype()),
            });
        }
        if gradient.dims() != output.dims() {
            return Err(TensorError::Shape {
                op: "backward",
                expected: format!("a gradient of the output's shape {:?}", output.dims()),
                got: gradient.dims().into(),
            });
        }
    }
    let mut found: Vec<Option<Tensor>> = vec![None; wrt.len()];
    let mut asked: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    for (i, t) in wrt.iter().enumerate() {
        asked.entry(t.id()).or_default().push(i);
    }
    let order = between(outputs, wrt);
    let needed: FxHashSet<u64> = order.iter().map(Tensor::id).collect();

    let mut pending: FxHashMap<u64, Tensor> = FxHashMap::default();
    for (output, gradient) in outputs {
        accumulate(&mut pending, output, gradient.cast(output.dtype()))?;
    }
    for node in order.iter().rev() {
        let Some(mut gradient) = pending.remove(&node.id()) else { continue };
        for &i in asked.get(&node.id()).into_iter().flatten() {
            gradient = edit(i, gradient)?;
            found[i] = Some(gradient.clone());
        }
        let wanted = |i: usize| needed.contains(&node.inputs()[i].id());
        for (i, gradient) in rules::operand_gradients(node, &gradient, &wanted)? {
            accumulate(&mut pending, &node.inputs()[i], gradient)?;
        }
    }
    Ok(found)
}

fn accumulate(pending: &mut FxHashMap<u64, Tensor>, at: &Tensor, gradient: Tensor) -> Result<()> {
    debug_assert_eq!(gradient.dims(), at.dims(), "gradient of {at:?}");
    let sum = match pending.remove(&at.id()) {
        Some(earlier) => earlier.add(&gradient)?,
        None => gradient,
    };
    pending.insert(at.id(), sum);
    Ok(())
}

/// Floating nodes on a path from `wrt` to the outputs, by ascending number.
fn between(outputs: &[(Tensor, Tensor)], wrt: &[Tensor]) -> Vec<Tensor> {
    let Some(lowest) = wrt.iter().map(Tensor::id).min() else { return Vec::new() };
    let mut seen: FxHashSet<u64> = FxHashSet::default();
    let mut all: Vec<Tensor> = Vec::new();
    let mut pending: Vec<Tensor> = outputs.iter().map(|(t, _)| t.clone()).collect();
    while let Some(t) = pending.pop() {
        // Operands have smaller numbers than their users, so nothing below the lowest leads anywhere.
        if t.id() < lowest || !t.dtype().is_float() || !seen.insert(t.id()) {
            continue;
        }
        pending.extend(t.inputs().iter().cloned());
        all.push(t);
    }
    all.sort_unstable_by_key(Tensor::id);
    let mut on_path: FxHashSet<u64> = wrt.iter().map(Tensor::id).collect();
    all.retain(|t| {
        let leads = on_path.contains(&t.id()) || t.inputs().iter().any(|i| on_path.contains(&i.id()));
        if leads {
            on_path.insert(t.id());
        }
        leads
    });
    all
}
