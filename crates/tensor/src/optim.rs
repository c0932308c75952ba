//! Optimisers: new versions of parameters from their gradients, with PyTorch's arithmetic.
//!
//! A step builds the updates as nodes of the same graph and computes them in one evaluation, together with whatever
//! else is asked for, such as the loss. What comes out are leaves: nothing of the step's graph is held afterwards,
//! so that a loop of any length runs in flat memory.
//!
//! ```
//! use pellucid_tensor::{DType, Engine, grad::grad, optim::{Optimizer as _, Sgd, SgdOptions}};
//!
//! # fn main() -> Result<(), pellucid_tensor::TensorError> {
//! let engine = Engine::new();
//! let mut x = engine.from_vec(vec![1.0f32, -2.0], &[2])?;
//! let mut sgd = Sgd::new(SgdOptions { lr: 0.25, ..SgdOptions::default() });
//! for _ in 0..2 {
//!     let loss = x.mul(&x)?.sum(&[], false)?;
//!     let gradients = grad(&loss, &[x.clone()])?;
//!     x = sgd.step(&[x], &gradients)?.remove(0);
//! }
//! assert_eq!(x.to_vec::<f32>()?, [0.25, -0.5]);
//! # Ok(())
//! # }
//! ```

use crate::dtype::DType;
use crate::error::{Result, TensorError};
use crate::graph::Tensor;

/// Turns gradients into new versions of parameters.
///
/// State belongs to positions in the list of parameters, so every step takes the same list in the same order. A
/// parameter without a gradient stays as it is, and so does its state.
pub trait Optimizer {
    /// New versions of `params`, computed together with `also`, whose values are kept.
    ///
    /// If computing fails or is interrupted, the optimiser's state is that of before the step.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if the numbers of parameters and gradients differ or are not those of earlier steps;
    /// [`TensorError::Shape`] if a gradient has another shape than its parameter; faults of computing.
    fn step_with(
        &mut self,
        params: &[Tensor],
        grads: &[Option<Tensor>],
        also: &[Tensor],
    ) -> Result<Vec<Tensor>>;

    /// New versions of `params`.
    ///
    /// # Errors
    /// As [`Optimizer::step_with`].
    fn step(&mut self, params: &[Tensor], grads: &[Option<Tensor>]) -> Result<Vec<Tensor>> {
        self.step_with(params, grads, &[])
    }

    /// The learning rate of the next step.
    fn lr(&self) -> f64;

    /// Sets the learning rate from the next step on.
    fn set_lr(&mut self, lr: f64);
}

/// Settings of [`Sgd`]; the defaults are `torch.optim.SGD`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdOptions {
    /// Learning rate.
    pub lr: f64,
    /// Share of the earlier direction that is kept.
    pub momentum: f64,
    /// Multiple of the parameter that is added to its gradient.
    pub weight_decay: f64,
    /// Whether momentum looks one step ahead (Nesterov's form).
    pub nesterov: bool,
}

impl Default for SgdOptions {
    fn default() -> Self {
        SgdOptions { lr: 1e-3, momentum: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

/// Stochastic gradient descent with momentum, as `torch.optim.SGD` without dampening.
#[derive(Debug)]
pub struct Sgd {
    options: SgdOptions,
    /// The direction of each parameter, from its first step on.
    directions: Vec<Option<Tensor>>,
}

impl Sgd {
    /// An optimiser without state.
    #[must_use]
    pub fn new(options: SgdOptions) -> Sgd {
        Sgd { options, directions: Vec::new() }
    }
}

impl Optimizer for Sgd {
    fn step_with(
        &mut self,
        params: &[Tensor],
        grads: &[Option<Tensor>],
        also: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        check("sgd", params, grads, self.directions.len())?;
        let SgdOptions { lr, momentum, weight_decay, nesterov } = self.options;
        self.directions.resize(params.len(), None);
        let mut updates = Vec::with_capacity(params.len());
        for ((param, grad), direction) in params.iter().zip(grads).zip(&self.directions) {
            let Some(grad) = grad else {
                updates.push(None);
                continue;
            };
            let mut way = grad.cast(param.dtype());
            if weight_decay != 0.0 {
                way = way.add(&param.mul_scalar(weight_decay)?)?;
            }
            let mut state = Vec::new();
            if momentum != 0.0 {
                let kept = match direction {
                    Some(earlier) => earlier.mul_scalar(momentum)?.add(&way)?,
                    None => way.clone(),
                };
                way = if nesterov { way.add(&kept.mul_scalar(momentum)?)? } else { kept.clone() };
                state.push(kept);
            }
            updates.push(Some(Update { param: param.sub(&way.mul_scalar(lr)?)?, state }));
        }
        let mut fresh = compute(params, updates, also)?;
        for (direction, state) in self.directions.iter_mut().zip(&mut fresh.state) {
            if let Some(kept) = state.pop() {
                *direction = Some(kept);
            }
        }
        Ok(fresh.params)
    }

    fn lr(&self) -> f64 {
        self.options.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.options.lr = lr;
    }
}

/// Settings of [`AdamW`]; the defaults are `torch.optim.AdamW`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWOptions {
    /// Learning rate.
    pub lr: f64,
    /// Shares of the earlier mean and mean square that are kept.
    pub betas: (f64, f64),
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Multiple of the parameter that is taken off at each step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        AdamWOptions { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2 }
    }
}

/// What [`AdamW`] remembers of a parameter.
#[derive(Clone, Debug)]
struct Moments {
    steps: i32,
    mean: Tensor,
    square: Tensor,
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019), as `torch.optim.AdamW`.
#[derive(Debug)]
pub struct AdamW {
    options: AdamWOptions,
    moments: Vec<Option<Moments>>,
    exempt: Vec<usize>,
}

impl AdamW {
    /// An optimiser without state.
    #[must_use]
    pub fn new(options: AdamWOptions) -> AdamW {
        AdamW { options, moments: Vec::new(), exempt: Vec::new() }
    }

    /// Parameters at these positions have no weight decay, as is usual for biases and norms.
    #[must_use]
    pub fn without_decay(mut self, positions: impl IntoIterator<Item = usize>) -> AdamW {
        self.exempt.extend(positions);
        self
    }
}

impl Optimizer for AdamW {
    fn step_with(
        &mut self,
        params: &[Tensor],
        grads: &[Option<Tensor>],
        also: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        check("adamw", params, grads, self.moments.len())?;
        let AdamWOptions { lr, betas: (beta1, beta2), eps, weight_decay } = self.options;
        self.moments.resize(params.len(), None);
        let mut updates = Vec::with_capacity(params.len());
        for (i, (param, grad)) in params.iter().zip(grads).enumerate() {
            let Some(grad) = grad else {
                updates.push(None);
                continue;
            };
            let grad = grad.cast(param.dtype());
            let steps = self.moments[i].as_ref().map_or(0, |m| m.steps) + 1;
            let (mean, square) = match &self.moments[i] {
                Some(Moments { mean, square, .. }) => {
                    let mean = mean.add(&grad.sub(mean)?.mul_scalar(1.0 - beta1)?)?;
                    let fresh = grad.mul(&grad)?.mul_scalar(1.0 - beta2)?;
                    (mean, square.mul_scalar(beta2)?.add(&fresh)?)
                }
                None => (grad.mul_scalar(1.0 - beta1)?, grad.mul(&grad)?.mul_scalar(1.0 - beta2)?),
            };
            let (bias1, bias2) = (1.0 - beta1.powi(steps), 1.0 - beta2.powi(steps));
            let root = square.sqrt()?.div_scalar(bias2.sqrt())?.add_scalar(eps)?;
            let way = mean.div(&root)?.mul_scalar(lr / bias1)?;
            let decayed = if weight_decay == 0.0 || self.exempt.contains(&i) {
                param.clone()
            } else {
                param.mul_scalar(1.0 - lr * weight_decay)?
            };
            updates.push(Some(Update { param: decayed.sub(&way)?, state: vec![mean, square] }));
        }
        let fresh = compute(params, updates, also)?;
        for (moments, state) in self.moments.iter_mut().zip(fresh.state) {
            if let Ok([mean, square]) = <[Tensor; 2]>::try_from(state) {
                let steps = moments.as_ref().map_or(0, |m| m.steps).saturating_add(1);
                *moments = Some(Moments { steps, mean, square });
            }
        }
        Ok(fresh.params)
    }

    fn lr(&self) -> f64 {
        self.options.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.options.lr = lr;
    }
}

/// Gradients scaled down so that their norm, all taken together, is at most `max_norm`, and the norm they had.
///
/// As `torch.nn.utils.clip_grad_norm_`; the norm is a `float32` number without dimensions, not yet computed.
///
/// # Errors
/// [`TensorError::Argument`] if there is no gradient at all.
pub fn clip_global_norm(grads: &[Option<Tensor>], max_norm: f64) -> Result<(Vec<Option<Tensor>>, Tensor)> {
    let mut squares: Vec<Tensor> = Vec::with_capacity(grads.len());
    for grad in grads.iter().flatten() {
        let grad = grad.cast(DType::F32);
        squares.push(grad.mul(&grad)?.sum(&[], false)?);
    }
    if squares.is_empty() {
        return Err(TensorError::Argument {
            op: "clip_global_norm",
            what: "there is no gradient to clip".to_owned(),
        });
    }
    let norm = Tensor::stack(&squares, 0)?.sum(&[], false)?.sqrt()?;
    let factor = norm.add_scalar(1e-6)?.scalar_binary(crate::BinaryOp::Div, max_norm)?;
    let factor = factor.clamp(None, Some(1.0.into()))?;
    let clipped = grads
        .iter()
        .map(|grad| grad.as_ref().map(|g| g.mul(&factor.cast(g.dtype()))).transpose())
        .collect::<Result<_>>()?;
    Ok((clipped, norm))
}

/// What a step makes of one parameter.
struct Update {
    param: Tensor,
    state: Vec<Tensor>,
}

/// Parameters and their state, as leaves.
struct Fresh {
    params: Vec<Tensor>,
    /// Empty where there was no update.
    state: Vec<Vec<Tensor>>,
}

fn check(op: &'static str, params: &[Tensor], grads: &[Option<Tensor>], known: usize) -> Result<()> {
    let n = params.len();
    if grads.len() != n || (known != 0 && known != n) {
        let before = if known == 0 { String::new() } else { format!(", state of {known}") };
        let what = format!("{n} parameters, {} gradients{before}", grads.len());
        return Err(TensorError::Argument { op, what });
    }
    for (param, grad) in params.iter().zip(grads) {
        if let Some(grad) = grad.as_ref().filter(|g| g.dims() != param.dims()) {
            let expected = format!("a gradient of the parameter's shape {:?}", param.dims());
            return Err(TensorError::Shape { op, expected, got: grad.dims().into() });
        }
        if !param.dtype().is_float() {
            return Err(TensorError::Type { op, expected: "floating parameters", got: param.dtype() });
        }
    }
    Ok(())
}

/// Computes all updates and `also` in one evaluation, and cuts the updates from what made them.
fn compute(params: &[Tensor], updates: Vec<Option<Update>>, also: &[Tensor]) -> Result<Fresh> {
    let mut targets: Vec<Tensor> = also.to_vec();
    for update in updates.iter().flatten() {
        targets.push(update.param.clone());
        targets.extend(update.state.iter().cloned());
    }
    if let Some(first) = targets.first() {
        first.engine().clone().eval(&targets)?;
    }
    let mut fresh =
        Fresh { params: Vec::with_capacity(params.len()), state: Vec::with_capacity(params.len()) };
    for (param, update) in params.iter().zip(updates) {
        let Some(Update { param: updated, state }) = update else {
            fresh.params.push(param.clone());
            fresh.state.push(Vec::new());
            continue;
        };
        fresh.params.push(param.engine().from_value(updated.eval()?, param.node.name.as_deref()));
        fresh.state.push(state.iter().map(Tensor::detach).collect::<Result<_>>()?);
    }
    Ok(fresh)
}
