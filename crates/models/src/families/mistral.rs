//! Mistral (Jiang et al. 2023), after `transformers.models.mistral`: Llama with a sliding window.

use pellucid_nn::layers::Heads;
use pellucid_nn::{Model, WeightSource};
use pellucid_tensor::Engine;

use super::decoder::{Decoder, Names};
use super::rope::{Rope, angles};
use crate::config::Config;
use crate::error::Result;

const NAMES: Names = Names {
    model_type: "mistral",
    causal: "MistralForCausalLM",
    body: "MistralModel",
    block: "MistralDecoderLayer",
    attention: "MistralAttention",
    mlp: "MistralMLP",
    norm: "MistralRMSNorm",
    rotary: "MistralRotaryEmbedding",
};

/// Builds the family's model.
pub(super) fn build(config: &Config<'_>, weights: &mut dyn WeightSource, engine: &Engine) -> Result<Model> {
    let d_model = config.size("hidden_size", 4096)?;
    let n_heads = config.size("num_attention_heads", 32)?;
    let n_kv_heads = config.nullable_size("num_key_value_heads", 8)?.unwrap_or(n_heads);
    let d_head = config.optional_size("head_dim")?.filter(|&d| d > 0).unwrap_or(d_model / n_heads);
    let heads = Heads { n: n_heads, d_head };
    config.check_heads("num_key_value_heads", heads, n_kv_heads)?;
    let d_vocab = config.size("vocab_size", 32_000)?;
    let rope = Rope {
        d_rotary: d_head,
        theta: config.number("rope_theta", 10_000.0)?,
        n_positions: config.size("max_position_embeddings", 4096 * 32)?,
    };
    config.only("attention_bias", false)?;
    config.only("mlp_bias", false)?;
    config.without_effect(&["attention_dropout"]);
    let decoder = Decoder {
        names: &NAMES,
        d_model,
        d_mlp: config.size("intermediate_size", 14_336)?,
        n_layers: config.layers("num_hidden_layers", 32)?,
        heads,
        n_kv_heads,
        d_vocab,
        padding: config.padding(None, d_vocab)?,
        eps: config.number("rms_norm_eps", 1e-6)?,
        activation: config.activation("hidden_act", "silu")?,
        qkv_bias: false,
        out_bias: false,
        mlp_bias: false,
        angles: angles(config, &rope)?,
        scale: 1.0 / (d_head as f64).sqrt(),
        window: config.nullable_size("sliding_window", 4096)?,
        softcap: None,
        final_softcap: None,
        tied: config.flag("tie_word_embeddings", false)?,
        gemma: false,
    };
    Ok(decoder.build(weights, engine)?)
}
