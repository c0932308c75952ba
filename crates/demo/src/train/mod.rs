//! The training run: from a recipe to a model folder.
//!
//! Every step is one evaluation of one graph, holding the loss, its gradients and the optimiser's updates; what remains
//! of it are leaves. Given the recipe, the weights are the same on every run.

mod curve;
mod folder;
mod measure;
mod network;
mod safetensors;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pellucid_models::ModelError;
use pellucid_nn::NnError;
use pellucid_tensor::{Engine, TensorError};
use thiserror::Error;
use tokenizers::Tokenizer;

pub use curve::{Curve, CurvePoint, Measured};

use crate::{Recipe, TokenizerError, TrainingRun, accuracies, model_card, train_tokenizer, training_batches};
use measure::Examination;
use network::Network;

/// Over how many steps the loss of the curve and of the progress reports is averaged.
const STRIDE: u64 = 50;

/// How a run is carried out; nothing here changes the weights that come out.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// The model folder to write. It may be absent, empty, or an earlier model folder, whose files are replaced.
    pub folder: PathBuf,
    /// Owner of the graph. Setting its interrupt flag ends the run with [`TrainError::Interrupted`] within the step.
    pub engine: Engine,
    /// Steps between two examinations of a sample of the probes; 0 for none before the end.
    pub measure_every: u64,
    /// Probes of each skill in the sample.
    pub sample: usize,
    /// Time between two intermediate model folders, each complete; `None` for none before the end.
    pub save_every: Option<Duration>,
}

impl TrainOptions {
    /// Options with sensible intervals.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            engine: Engine::new(),
            measure_every: 500,
            sample: 32,
            save_every: Some(Duration::from_secs(300)),
        }
    }
}

/// What a run says while it goes on.
#[derive(Debug, Clone)]
pub enum Progress<'a> {
    /// The vocabulary is learnt and the first step is next.
    Started {
        /// Parameters of the model.
        n_parameters: usize,
        /// Tokens of the vocabulary.
        d_vocab: usize,
    },
    /// A stretch of steps is done.
    Steps {
        /// What was added to the curve.
        point: &'a CurvePoint,
        /// Steps of the whole run.
        steps: u64,
        /// Predictions per second in this stretch.
        tokens_per_second: f64,
        /// Time to the end at this pace.
        left: Duration,
    },
    /// Skills were measured on a sample of the probes, or on all of them at the end.
    Measured(&'a Measured),
    /// A complete model folder was written.
    Saved {
        /// Steps that it has seen.
        step: u64,
    },
}

/// What a finished run knows.
#[derive(Debug, Clone)]
pub struct TrainReport {
    /// Losses and accuracies over the run.
    pub curve: Curve,
    /// The accuracies at the end, over all probes.
    pub measured: Measured,
    /// The numbers of the model card.
    pub run: TrainingRun,
}

/// A training run that did not come to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The recipe's model cannot be built.
    #[error(transparent)]
    Model(Box<ModelError>),
    /// A module failed.
    #[error(transparent)]
    Nn(Box<NnError>),
    /// A computation failed.
    #[error(transparent)]
    Tensor(Box<TensorError>),
    /// The run was interrupted; the folder holds the last complete model, if one was written.
    #[error("training was interrupted at step {step}")]
    Interrupted {
        /// Steps that were done.
        step: u64,
    },
    /// The loss is not a number any longer.
    #[error("the loss at step {step} is not finite")]
    Diverged {
        /// The step.
        step: u64,
    },
    /// A word that a probe asks for is not one token of the vocabulary.
    #[error("`{word}` is {tokens} tokens, expected one")]
    Answer {
        /// The word, with its leading space.
        word: String,
        /// How many tokens it is.
        tokens: usize,
    },
    /// The folder holds something else than a model.
    #[error("`{path}` is neither empty nor a model folder", path = path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("`{path}` could not be written: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl TrainError {
    /// What the user can do about it, if anything is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Occupied { .. } => Some("name a folder that does not exist yet"),
            Self::Diverged { .. } => Some("lower the recipe's highest learning rate"),
            Self::Answer { .. } => Some("a larger vocabulary keeps more words whole"),
            _ => None,
        }
    }
}

impl From<ModelError> for TrainError {
    fn from(error: ModelError) -> Self {
        Self::Model(Box::new(error))
    }
}

impl From<NnError> for TrainError {
    fn from(error: NnError) -> Self {
        match error {
            NnError::Tensor { source: TensorError::Interrupted, .. } => Self::from(TensorError::Interrupted),
            other => Self::Nn(Box::new(other)),
        }
    }
}

impl From<TensorError> for TrainError {
    fn from(error: TensorError) -> Self {
        match error {
            TensorError::Interrupted => Self::Interrupted { step: 0 },
            other => Self::Tensor(Box::new(other)),
        }
    }
}

/// Trains the recipe's model and writes it to the options' folder.
///
/// The folder is what Hugging Face's `save_pretrained` writes, with a model card and `curve.json`. Each file appears whole
/// or not at all. `progress` is called on the calling thread, every fifty steps and at every event.
///
/// # Errors
/// [`TrainError::Occupied`] before anything is computed; [`TrainError::Interrupted`]; [`TrainError::Write`].
pub fn train(
    recipe: &Recipe,
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<TrainReport, TrainError> {
    folder::check(&options.folder)?;
    let tokenizer = train_tokenizer(recipe.d_vocab, recipe.seed)?;
    let network = Network::new(recipe, &options.engine)?;
    progress(&Progress::Started {
        n_parameters: recipe.n_parameters(),
        d_vocab: tokenizer.get_vocab_size(true),
    });
    let mut run = Run {
        recipe,
        options,
        sample: Examination::sample(&tokenizer, options.sample)?,
        tokenizer,
        network,
        curve: Curve::default(),
        started: Instant::now(),
    };
    run.steps(progress)?;
    let all = Examination::all(&run.tokenizer)?;
    let measured = run.measure(&all, recipe.steps).map_err(|error| at(error, recipe.steps))?;
    progress(&Progress::Measured(&measured));
    let card = run.card(&measured);
    run.save(&measured, &card)?;
    progress(&Progress::Saved { step: recipe.steps });
    Ok(TrainReport { run: card, curve: run.curve, measured })
}

/// A run under way.
struct Run<'a> {
    recipe: &'a Recipe,
    options: &'a TrainOptions,
    tokenizer: Tokenizer,
    sample: Examination,
    network: Network,
    curve: Curve,
    started: Instant,
}

impl Run<'_> {
    fn steps(&mut self, progress: &mut dyn FnMut(&Progress<'_>)) -> Result<(), TrainError> {
        let steps = self.recipe.steps;
        let interrupt = self.options.engine.interrupt_flag();
        // Its own handle, because the batches borrow it while the run goes on.
        let tokenizer = self.tokenizer.clone();
        let mut batches = training_batches(&tokenizer, self.recipe, 0);
        let mut saved = Instant::now();
        let (mut sum, mut tokens, mut since, mut stretch) = (0.0, 0_u64, 0_u64, Instant::now());
        for step in 0..steps {
            if interrupt.load(Ordering::Relaxed) {
                return Err(TrainError::Interrupted { step });
            }
            let Some(batch) = batches.next().transpose()? else { break };
            let learning_rate = self.recipe.learning_rate(step);
            let loss = self.network.step(&batch, learning_rate).map_err(|error| at(error, step))?;
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step });
            }
            tokens += (batch.rows * (batch.width - 1)) as u64;
            (sum, since) = (sum + loss, since + 1);
            let done = step + 1;
            if done % STRIDE == 0 || done == steps {
                let seconds = stretch.elapsed().as_secs_f64();
                let before = self.curve.points.last().map_or(0, |point| point.tokens);
                let point = CurvePoint {
                    step: done,
                    tokens,
                    loss: sum / since as f64,
                    learning_rate,
                    seconds: self.started.elapsed().as_secs_f64(),
                };
                let left = Duration::from_secs_f64(seconds / since as f64 * (steps - done) as f64);
                let tokens_per_second = (tokens - before) as f64 / seconds.max(1e-9);
                progress(&Progress::Steps { point: &point, steps, tokens_per_second, left });
                self.curve.points.push(point);
                (sum, since) = (0.0, 0);
            }
            let every = self.options.measure_every;
            if every != 0 && done % every == 0 && done != steps {
                let measured = self.measure(&self.sample, done).map_err(|error| at(error, done))?;
                progress(&Progress::Measured(&measured));
                self.curve.measured.push(measured);
            }
            if done != steps && self.options.save_every.is_some_and(|every| saved.elapsed() >= every) {
                let all = Examination::all(&self.tokenizer)?;
                let measured = self.measure(&all, done).map_err(|error| at(error, done))?;
                self.save(&measured, &self.card(&measured))?;
                progress(&Progress::Saved { step: done });
                saved = Instant::now();
            }
            if since == 0 {
                stretch = Instant::now();
            }
        }
        Ok(())
    }

    fn measure(&self, examination: &Examination, step: u64) -> Result<Measured, TrainError> {
        let outcomes = examination.outcomes(&self.network)?;
        let random_token_induction = measure::random_token_induction(&self.network, self.recipe)?;
        let accuracies = accuracies(&examination.probes, &outcomes);
        Ok(Measured { step, accuracies, random_token_induction })
    }

    /// The numbers of the model card, as of now.
    fn card(&self, measured: &Measured) -> TrainingRun {
        let last = self.curve.points.iter().rev().take((100 / STRIDE) as usize);
        let (sum, count) = last.fold((0.0, 0.0), |(sum, count), point| (sum + point.loss, count + 1.0));
        TrainingRun {
            final_loss: if count > 0.0 { sum / count } else { f64::NAN },
            minutes: self.started.elapsed().as_secs_f64() / 60.0,
            n_threads: std::thread::available_parallelism().map_or(1, usize::from),
            random_token_induction: measured.random_token_induction,
        }
    }

    fn save(&self, measured: &Measured, run: &TrainingRun) -> Result<(), TrainError> {
        let recipe = Recipe { steps: measured.step, ..*self.recipe };
        let contents = folder::Contents {
            config: self.recipe.config(),
            weights: self.network.weights()?,
            tokenizer: &self.tokenizer,
            n_ctx: self.recipe.n_ctx,
            curve: self.curve.to_json(measured),
            card: model_card(&recipe, run, &measured.accuracies),
        };
        contents.write(&self.options.folder)
    }
}

/// Says at which step a run was interrupted.
fn at(error: TrainError, step: u64) -> TrainError {
    match error {
        TrainError::Interrupted { .. } => TrainError::Interrupted { step },
        other => other,
    }
}
