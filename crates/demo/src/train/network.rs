//! The model under training and its optimiser.

use std::collections::HashMap;

use pellucid_nn::{Model, NnError, Parameter, WeightSource};
use pellucid_tensor::grad::grad;
use pellucid_tensor::optim::{AdamW, AdamWOptions, Optimizer, clip_global_norm};
use pellucid_tensor::{DType, Engine, Reduction, Tensor, Value};

use super::TrainError;
use super::safetensors::NamedTensor;
use crate::{Batch, InitialTensor, Recipe, initial_weights};

/// Marks targets that do not count; no token has this number.
const IGNORED: i64 = -100;

/// The recipe's weights before the first step.
struct InitialWeights {
    engine: Engine,
    tensors: HashMap<String, InitialTensor>,
}

impl WeightSource for InitialWeights {
    fn weight(&mut self, name: &str, dims: &[usize]) -> pellucid_nn::Result<Tensor> {
        let tensor =
            self.tensors.get(name).ok_or_else(|| NnError::MissingWeight { name: name.to_owned() })?;
        if tensor.shape != dims {
            return Err(NnError::WeightShape {
                name: name.to_owned(),
                expected: dims.to_vec(),
                got: tensor.shape.clone(),
                dtype: DType::F32,
            });
        }
        let data = pellucid_tensor::HostData::from_slice(&tensor.values);
        Ok(self.engine.from_value(Value::from_bytes(&data.bytes, DType::F32, dims), Some(name)))
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

/// A model whose parameters are being trained.
pub(super) struct Network {
    model: Model,
    parameters: Vec<Parameter>,
    optimizer: AdamW,
    clip_norm: f64,
}

impl Network {
    /// The recipe's model before the first step.
    pub(super) fn new(recipe: &Recipe, engine: &Engine) -> Result<Network, TrainError> {
        let tensors = initial_weights(recipe).into_iter().map(|t| (t.name.clone(), t)).collect();
        let mut weights = InitialWeights { engine: engine.clone(), tensors };
        let model = pellucid_models::build(&recipe.config(), &mut weights, engine)?;
        let parameters = model.parameters();
        let vectors = (0..parameters.len()).filter(|&i| parameters[i].get().rank() < 2);
        let optimizer = AdamW::new(AdamWOptions {
            lr: recipe.peak_learning_rate,
            betas: (recipe.beta1, recipe.beta2),
            eps: recipe.epsilon,
            weight_decay: recipe.weight_decay,
        })
        .without_decay(vectors);
        Ok(Network { model, parameters, optimizer, clip_norm: recipe.clip_norm })
    }

    fn ids(&self, rows: usize, tokens: impl Iterator<Item = u32>) -> Result<Tensor, TrainError> {
        let tokens: Vec<i64> = tokens.map(i64::from).collect();
        let width = tokens.len() / rows.max(1);
        Ok(self.model.engine().from_vec(tokens, &[rows, width])?)
    }

    /// Logits `[rows, seq, d_vocab]` of rows of tokens, not yet computed.
    pub(super) fn logits(&self, rows: usize, tokens: &[u32]) -> Result<Tensor, TrainError> {
        Ok(self.model.logits(&self.ids(rows, tokens.iter().copied())?, None)?)
    }

    /// One step of the optimiser on the next-token predictions of a block; the mean loss before it, in nats.
    pub(super) fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<f64, TrainError> {
        let rows = || batch.tokens.chunks_exact(batch.width);
        let seq = batch.width - 1;
        let inputs = self.ids(batch.rows, rows().flat_map(|row| row[..seq].iter().copied()))?;
        let targets = self.ids(1, rows().flat_map(|row| row[1..].iter().copied()))?.reshape(&[-1])?;
        let logits = self.model.logits(&inputs, None)?;
        let scores = logits.flatten(0, 1)?;
        let loss = scores.cross_entropy(&targets, IGNORED, Reduction::Mean)?;

        let params: Vec<Tensor> = self.parameters.iter().map(Parameter::get).collect();
        let (grads, _) = clip_global_norm(&grad(&loss, &params)?, self.clip_norm)?;
        self.optimizer.set_lr(learning_rate);
        let fresh = self.optimizer.step_with(&params, &grads, std::slice::from_ref(&loss))?;
        for (parameter, tensor) in self.parameters.iter().zip(fresh) {
            parameter.set(tensor);
        }
        Ok(loss.to_f64s()?[0])
    }

    /// All parameters under their names, tied ones once.
    pub(super) fn weights(&self) -> Result<Vec<NamedTensor>, TrainError> {
        let tensors = self.parameters.iter().map(|parameter| {
            let tensor = parameter.get();
            Ok(NamedTensor {
                name: parameter.name().to_owned(),
                shape: tensor.dims().to_vec(),
                values: tensor.to_vec()?,
            })
        });
        tensors.collect()
    }
}
