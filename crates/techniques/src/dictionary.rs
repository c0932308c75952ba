//! Dictionary learning with a sparse autoencoder (Bricken et al. 2023; the penalty as in Conerly et al. 2024).
//!
//! A residual vector `x` is written as `Σ fᵢ dᵢ + b` with many more directions `dᵢ` than dimensions and few `fᵢ` that are not
//! zero: `f = relu((x − b) E + e)`. Encoder, decoder and biases are trained in one session on `‖x − x̂‖² + penalty · Σ fᵢ ‖dᵢ‖`.
//! Activations are centred and scaled so that their mean square length is `d_model`; tokens at position 0, whose vectors are
//! unlike all others, are left out.

use pellucid::{AdamWSettings, Generation, Model, Proxy, Session};

use crate::error::{Result, TechniqueError};
use crate::plot::{Grid, Scale};
use crate::tokens::{Token, check_layer, ids, tensor, texts, token, tokens};

/// Texts written together, so that memory does not grow with their number.
const ROWS: usize = 16;

/// How a dictionary is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct DictionarySettings {
    /// Number of directions.
    pub n_features: usize,
    /// Weight of the sparsity penalty.
    pub penalty: f64,
    /// Steps of AdamW.
    pub steps: usize,
    /// Tokens in each step, drawn at random.
    pub batch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Seed of the draws and of the start.
    pub seed: u64,
}

impl Default for DictionarySettings {
    fn default() -> Self {
        DictionarySettings { n_features: 512, penalty: 5.0, steps: 800, batch: 256, lr: 2e-3, seed: 1 }
    }
}

/// A trained dictionary of a layer's residual stream.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Dictionary {
    /// The layer after which it reads.
    pub layer: usize,
    /// Dimensions of the residual stream.
    pub d_model: usize,
    /// Number of directions.
    pub n_features: usize,
    /// `E`, `[d_model, n_features]`, row-major.
    pub encoder: Vec<f32>,
    /// `e`, `[n_features]`.
    pub encoder_bias: Vec<f32>,
    /// The directions, `[n_features, d_model]`, row-major.
    pub decoder: Vec<f32>,
    /// `b`, `[d_model]`.
    pub decoder_bias: Vec<f32>,
    /// Mean of the activations, `[d_model]`.
    pub mean: Vec<f32>,
    /// Factor that activations are multiplied with after centring.
    pub scale: f32,
    /// The loss before each step, per token.
    pub losses: Vec<f32>,
    /// Share of the activations' variance that the reconstruction leaves unexplained, over all tokens.
    pub unexplained: f32,
    /// Features at work on a token, on average.
    pub active: f32,
    /// Features that no token sets to work.
    pub dead: usize,
}

/// Token ids of texts that the model writes itself, drawn at random from its own distribution.
///
/// # Errors
/// Whatever the model reports.
pub fn own_texts(
    model: &Model,
    start: &str,
    texts: usize,
    max_new_tokens: usize,
    seed: i64,
) -> Result<Vec<Vec<i64>>> {
    let start = ids(&tokens(model, start)?);
    let mut all = Vec::with_capacity(texts);
    while all.len() < texts {
        let rows = (texts - all.len()).min(ROWS);
        // Another seed for each group, or all groups would write the same.
        let seed = seed.wrapping_add(all.len() as i64);
        let options = Generation::new(max_new_tokens).endless().sampled(seed).with("top_k", 0i64);
        let trace = model.generate_with(options);
        let generated = trace.invoke(vec![start.clone(); rows]).generated().save();
        let results = trace.run()?;
        let seq = results.tensor(&generated)?.dims().get(1).copied().unwrap_or(1);
        all.extend(results.ints(&generated)?.chunks(seq).map(<[i64]>::to_vec));
    }
    Ok(all)
}

/// Trains a dictionary on the residual stream after a layer, over texts given as token ids.
///
/// # Errors
/// No texts of two tokens or more, no such layer, no features, steps or batch; whatever the model reports.
pub fn train_dictionary(
    model: &Model,
    texts: &[Vec<i64>],
    layer: usize,
    settings: &DictionarySettings,
) -> Result<Dictionary> {
    check_layer(model, layer)?;
    let numbers = [
        ("the number of features", settings.n_features),
        ("the number of steps", settings.steps),
        ("the batch", settings.batch),
    ];
    for (what, got) in numbers {
        if got == 0 {
            return Err(TechniqueError::Setting { what, expected: "at least 1", got: 0.0 });
        }
    }
    let texts: Vec<Vec<i64>> = texts.iter().filter(|t| t.len() > 1).cloned().collect();
    if texts.is_empty() {
        return Err(TechniqueError::Nothing { what: "texts" });
    }
    let n_tokens: usize = texts.iter().map(|t| t.len() - 1).sum();
    let (d_model, n_features) = (model.sizes().d_model, settings.n_features);

    let session = Session::new();
    session.seed(settings.seed);
    let raw = session.trace(model, |trace| {
        let parts: Vec<Proxy> =
            texts.iter().map(|ids| trace.invoke(ids).resid_post(layer).at((0, 1..))).collect();
        session.op("cat", [parts.as_slice().into(), 0.into()])
    });
    let mean = raw.op("mean", [0.into()]).save();
    let centred = &raw - &mean;
    let scale = (centred.op("square", []).op("mean", []) + 1e-12).op("rsqrt", []).save();
    let data = &centred * &scale;

    let directions = session.randn(&[n_features, d_model]).op("normalize", [2.0.into(), 1.into()]) * 0.1;
    let decoder = session.parameter(&directions);
    let encoder = session.parameter(&(directions.op("T", []) * 1.0));
    let encoder_bias = session.parameter(&session.op("zeros", [[n_features as i64].into()]));
    let decoder_bias = session.parameter(&session.op("zeros", [[d_model as i64].into()]));
    let trained = [&encoder, &encoder_bias, &decoder, &decoder_bias];
    let adam =
        session.adamw(&trained, AdamWSettings { lr: settings.lr, betas: (0.9, 0.99), weight_decay: 0.0 });
    let losses = session.list().save();
    let encode =
        |x: &Proxy| ((x - &decoder_bias).op("matmul", [(&encoder).into()]) + &encoder_bias).op("relu", []);
    let decode = |f: &Proxy| f.op("matmul", [(&decoder).into()]) + &decoder_bias;
    session.iter(&session.op("range", [(settings.steps as i64).into()]), |step| {
        let at = step.op("mul", [(settings.batch as i64).into()]);
        let size = [settings.batch as i64].into();
        let seed = (settings.seed as i64 + 1).into();
        let chosen = session.op("randint", [0.into(), (n_tokens as i64).into(), size, seed, at.into()]);
        let x = data.at(&chosen);
        let features = encode(&x);
        let missed = (decode(&features) - &x).op("square", []).sum();
        let lengths = decoder.op("norm", [2.into(), 1.into()]);
        let sparsity = (&features * &lengths).sum() * settings.penalty;
        let loss = (missed + sparsity) / (settings.batch as f64);
        losses.append(&loss);
        loss.backward();
        adam.step();
        adam.zero_grad();
    });
    let features = encode(&data);
    let unexplained =
        ((decode(&features) - &data).op("square", []).sum() / data.op("square", []).sum()).save();
    let on = features.op("gt", [0.0.into()]).op("float", []);
    let active = (on.sum() / (n_tokens as f64)).save();
    let dead = on.op("sum", [0.into()]).op("eq", [0.0.into()]).sum().save();
    let saved = trained.map(Proxy::save);
    let results = session.run()?;

    let [encoder, encoder_bias, decoder, decoder_bias] = saved;
    Ok(Dictionary {
        layer,
        d_model,
        n_features,
        encoder: results.floats(&encoder)?,
        encoder_bias: results.floats(&encoder_bias)?,
        decoder: results.floats(&decoder)?,
        decoder_bias: results.floats(&decoder_bias)?,
        mean: results.floats(&mean)?,
        scale: results.floats(&scale)?[0],
        losses: results.list_floats(&losses)?,
        unexplained: results.floats(&unexplained)?[0],
        active: results.floats(&active)?[0],
        dead: results.ints(&dead)?[0] as usize,
    })
}

/// Where a feature is at work.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Activation {
    /// The text up to the token.
    pub context: String,
    /// The token.
    pub token: Token,
    /// How strongly.
    pub strength: f32,
}

/// The features of a prompt.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Features {
    /// The prompt's tokens.
    pub tokens: Vec<Token>,
    /// For each token, the strength of every feature.
    pub strengths: Vec<Vec<f32>>,
}

impl Dictionary {
    /// Strengths `[tokens, n_features]` of residual vectors `[tokens, d_model]`.
    fn encode(&self, x: &[f32]) -> Vec<Vec<f32>> {
        let row = |x: &[f32]| {
            let mut features = self.encoder_bias.clone();
            for (i, x) in x.iter().enumerate() {
                let x = (x - self.mean[i]) * self.scale - self.decoder_bias[i];
                let weights = &self.encoder[i * self.n_features..(i + 1) * self.n_features];
                features.iter_mut().zip(weights).for_each(|(f, w)| *f += x * w);
            }
            features.into_iter().map(|f| f.max(0.0)).collect()
        };
        x.chunks(self.d_model).map(row).collect()
    }

    fn residual(&self, model: &Model, ids: &[i64]) -> Result<Vec<f32>> {
        let trace = model.trace();
        let hidden = trace.invoke(ids).resid_post(self.layer).save();
        Ok(trace.run()?.floats(&hidden)?)
    }

    /// The strength of every feature on every token of a prompt.
    ///
    /// # Errors
    /// An empty or too long prompt; whatever the model reports.
    pub fn features(&self, model: &Model, prompt: &str) -> Result<Features> {
        let tokens = tokens(model, prompt)?;
        let strengths = self.encode(&self.residual(model, &ids(&tokens))?);
        Ok(Features { tokens, strengths })
    }

    /// The tokens of some texts on which a feature is strongest, one from each text, strongest first.
    ///
    /// # Errors
    /// Whatever the model reports.
    pub fn strongest(
        &self,
        model: &Model,
        texts: &[Vec<i64>],
        feature: usize,
        top: usize,
    ) -> Result<Vec<Activation>> {
        let mut found = Vec::new();
        for ids in texts {
            let strengths = self.encode(&self.residual(model, ids)?);
            let strength = |t: usize| strengths[t].get(feature).copied().unwrap_or(0.0);
            let best = (1..ids.len()).max_by(|&a, &b| strength(a).total_cmp(&strength(b)));
            if let Some(at) = best.filter(|&t| strength(t) > 0.0) {
                found.push((strength(at), &ids[..=at]));
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let activation = |(strength, ids): &(f32, &[i64])| {
            let last = ids.last().copied().unwrap_or_default();
            let from = ids.len().saturating_sub(12);
            Ok(Activation {
                context: model.decode(&ids[from..])?,
                token: token(model, last)?,
                strength: *strength,
            })
        };
        found.iter().take(top).map(activation).collect()
    }

    /// The same model with features taken out of the residual stream: what they add after the layer is taken away again, and
    /// nothing else changes.
    ///
    /// # Errors
    /// [`TechniqueError::Setting`] for a feature that does not exist; whatever the model reports.
    pub fn ablate(&self, model: &Model, features: &[usize]) -> Result<Model> {
        let (mut encoder, mut bias, mut decoder) = (Vec::new(), Vec::new(), Vec::new());
        for &feature in features {
            if feature >= self.n_features {
                let got = feature as f64;
                return Err(TechniqueError::Setting {
                    what: "the feature",
                    expected: "one of the dictionary",
                    got,
                });
            }
            let weights: Vec<f32> =
                (0..self.d_model).map(|i| self.encoder[i * self.n_features + feature] * self.scale).collect();
            // Centring and the decoder's bias become part of the feature's own bias.
            let offset = |i: usize| weights[i] * (self.mean[i] + self.decoder_bias[i] / self.scale);
            bias.push(self.encoder_bias[feature] - (0..self.d_model).map(offset).sum::<f32>());
            encoder.extend(weights);
            let direction = &self.decoder[feature * self.d_model..(feature + 1) * self.d_model];
            decoder.extend(direction.iter().map(|d| d / self.scale));
        }
        let encoder = tensor(model, &encoder, &[features.len(), self.d_model])?;
        let (bias, decoder) = (
            tensor(model, &bias, &[features.len()])?,
            tensor(model, &decoder, &[features.len(), self.d_model])?,
        );
        model.try_edit(|m| {
            let hidden = m.resid_post(self.layer);
            let inputs =
                hidden.op("matmul", [m.constant(&encoder)?.op("T", []).into()]) + m.constant(&bias)?;
            let added = inputs.op("relu", []).op("matmul", [m.constant(&decoder)?.into()]);
            hidden.assign(&hidden - added);
            Ok(())
        })
    }
}

impl Features {
    /// The features that are strongest on one token, strongest first, at most `top`.
    #[must_use]
    pub fn strongest(&self, position: usize, top: usize) -> Vec<(usize, f32)> {
        let mut all: Vec<(usize, f32)> =
            self.strengths.get(position).map_or_else(Vec::new, |s| s.iter().copied().enumerate().collect());
        all.retain(|(_, strength)| *strength > 0.0);
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(top);
        all
    }

    /// The feature × token heatmap of some features.
    ///
    /// # Errors
    /// If the grid is too large to draw.
    pub fn figure(&self, features: &[usize]) -> Result<Grid> {
        let strength = |&f: &usize| self.strengths.iter().map(move |s| s.get(f).copied().unwrap_or(0.0));
        Ok(Grid::new(
            features.iter().map(|f| format!("feature {f}")),
            texts(&self.tokens),
            features.iter().flat_map(strength).collect(),
        )?
        .with_title("Features of a dictionary")
        .with_subtitle("how strongly each feature is at work on each token")
        .with_axes("feature", "token")
        .with_scale(Scale::sequential())
        .with_legend("strength"))
    }
}
