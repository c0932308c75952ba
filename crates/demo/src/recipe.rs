//! How the shipped model is trained.

use serde_json::{Value, json};

use crate::corpus::Mix;

/// Everything that decides the trained weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Seed of the corpus, the row order and the initial weights.
    pub seed: u64,
    /// Tokens of the vocabulary.
    pub d_vocab: usize,
    /// Positions of the model.
    pub n_ctx: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// Attention heads in each block.
    pub n_heads: usize,
    /// Mix of the opening steps: mostly copying and indirect objects.
    ///
    /// Looking back into the text begins as attention to everything at once, and that pays only while the text is short
    /// and facts do not fill the gradient; hence this mix and the short rows.
    pub opening_mix: Mix,
    /// How many steps use the opening mix and row length.
    pub opening_steps: u64,
    /// Predictions in each row of the opening steps; the rows of a block are so many more that its tokens stay the same.
    pub opening_seq: usize,
    /// Mix of document kinds after the opening.
    pub mix: Mix,
    /// In how many of a hundred documents' places a row holds a repeated sequence of uniformly random tokens instead.
    pub random_tokens_percent: usize,
    /// Rows of a block.
    pub rows: usize,
    /// Predictions in each row.
    pub seq: usize,
    /// Optimiser steps.
    pub steps: u64,
    /// Standard deviation of the initial matrices.
    pub initializer_range: f64,
    /// Amplitude of the sinusoids that the position table starts as.
    pub position_amplitude: f64,
    /// Highest learning rate.
    pub peak_learning_rate: f64,
    /// Learning rate of the last step, as a share of the highest.
    pub final_share: f64,
    /// Steps of linear warm-up.
    pub warm_up: u64,
    /// Steps of the linear fall at the end.
    pub fall: u64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// AdamW's ε.
    pub epsilon: f64,
    /// Decoupled weight decay of matrices; biases and norms have none.
    pub weight_decay: f64,
    /// Largest norm of all gradients together.
    pub clip_norm: f64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 1,
            d_vocab: 2304,
            n_ctx: 128,
            d_model: 128,
            n_layers: 6,
            n_heads: 4,
            opening_mix: Mix {
                facts: 4,
                indirect_object: 32,
                lists: 4,
                plain_pairs: 4,
                copying: 44,
                grammar: 5,
                stories: 7,
            },
            opening_steps: 800,
            opening_seq: 32,
            mix: Mix::default(),
            random_tokens_percent: 4,
            rows: 16,
            seq: 128,
            steps: 2_000,
            initializer_range: 0.08,
            position_amplitude: 0.1,
            peak_learning_rate: 2e-3,
            final_share: 0.02,
            warm_up: 100,
            fall: 600,
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-8,
            weight_decay: 0.05,
            clip_norm: 1.0,
        }
    }
}

impl Recipe {
    /// The model's `config.json`, as Hugging Face `transformers` reads it.
    pub fn config(&self) -> Value {
        json!({
            "activation_function": "gelu_new",
            "architectures": ["GPT2LMHeadModel"],
            "attn_pdrop": 0.0,
            "bos_token_id": 0,
            "embd_pdrop": 0.0,
            "eos_token_id": 0,
            "initializer_range": self.initializer_range,
            "layer_norm_epsilon": 1e-5,
            "model_type": "gpt2",
            "n_ctx": self.n_ctx,
            "n_embd": self.d_model,
            "n_head": self.n_heads,
            "n_inner": null,
            "n_layer": self.n_layers,
            "n_positions": self.n_ctx,
            "resid_pdrop": 0.0,
            "torch_dtype": "float32",
            "vocab_size": self.d_vocab,
        })
    }

    /// The learning rate of step `step`, counted from 0: linear warm-up, a level stretch, and a linear fall to the final share.
    pub fn learning_rate(&self, step: u64) -> f64 {
        if step < self.warm_up {
            return self.peak_learning_rate * (step + 1) as f64 / self.warm_up as f64;
        }
        let fall = self.fall.max(1);
        let left = self.steps.saturating_sub(step).min(fall) as f64 / fall as f64;
        self.peak_learning_rate * (self.final_share + (1.0 - self.final_share) * left)
    }

    /// Parameters of the model, the tied embedding counted once.
    pub const fn n_parameters(&self) -> usize {
        let d = self.d_model;
        let block = 12 * d * d + 13 * d;
        (self.d_vocab + self.n_ctx) * d + self.n_layers * block + 2 * d
    }

    /// `(rows, seq)` of the block of step `step`.
    pub const fn block(&self, step: u64) -> (usize, usize) {
        if step < self.opening_steps {
            (self.rows * self.seq / self.opening_seq, self.opening_seq)
        } else {
            (self.rows, self.seq)
        }
    }

    /// Predictions made during training.
    pub const fn n_tokens(&self) -> u64 {
        self.steps * (self.rows * self.seq) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Recipe;

    #[test]
    fn the_weights_fit_in_eight_megabytes() {
        assert!(Recipe::default().n_parameters() * 4 < 7_500_000);
    }

    #[test]
    fn parameters_are_counted_as_transformers_counts_them() {
        let recipe = Recipe { d_vocab: 2048, n_ctx: 128, d_model: 128, n_layers: 6, ..Recipe::default() };
        assert_eq!(recipe.n_parameters(), 1_468_416);
    }

    #[test]
    fn the_learning_rate_rises_holds_and_falls() {
        let recipe = Recipe::default();
        assert!(recipe.learning_rate(0) < recipe.learning_rate(recipe.warm_up / 2));
        assert_eq!(recipe.learning_rate(recipe.warm_up), recipe.peak_learning_rate);
        assert_eq!(recipe.learning_rate(recipe.steps / 2), recipe.peak_learning_rate);
        let last = recipe.learning_rate(recipe.steps);
        assert!((last - recipe.peak_learning_rate * recipe.final_share).abs() < 1e-12, "{last}");
    }
}
