//! Qwen 2 and 2.5 (Yang et al. 2024), after `transformers.models.qwen2`: Llama with biases on queries, keys and values.

use pellucid_nn::layers::Heads;
use pellucid_nn::{Model, WeightSource};
use pellucid_tensor::Engine;

use super::decoder::{Decoder, Names};
use super::rope::{Rope, angles};
use crate::config::Config;
use crate::error::Result;

const NAMES: Names = Names {
    model_type: "qwen2",
    causal: "Qwen2ForCausalLM",
    body: "Qwen2Model",
    block: "Qwen2DecoderLayer",
    attention: "Qwen2Attention",
    mlp: "Qwen2MLP",
    norm: "Qwen2RMSNorm",
    rotary: "Qwen2RotaryEmbedding",
};

/// Builds the family's model.
pub(super) fn build(config: &Config<'_>, weights: &mut dyn WeightSource, engine: &Engine) -> Result<Model> {
    let d_model = config.size("hidden_size", 4096)?;
    let n_heads = config.size("num_attention_heads", 32)?;
    let n_kv_heads = config.nullable_size("num_key_value_heads", 32)?.unwrap_or(n_heads);
    let d_head = config.optional_size("head_dim")?.unwrap_or(d_model / n_heads);
    let heads = Heads { n: n_heads, d_head };
    config.check_heads("num_key_value_heads", heads, n_kv_heads)?;
    let d_vocab = config.size("vocab_size", 151_936)?;
    let rope = Rope {
        d_rotary: d_head,
        theta: config.number("rope_theta", 10_000.0)?,
        n_positions: config.size("max_position_embeddings", 32_768)?,
    };
    config.only("attention_bias", true)?;
    config.only("mlp_bias", false)?;
    config.only("use_mrope", false)?;
    // The reference's masks apply the window to every layer whenever there is one. Which layers have it, and whether
    // at all, only its flash attention asks.
    config.without_effect(&["use_sliding_window", "max_window_layers", "attention_dropout"]);
    let decoder = Decoder {
        names: &NAMES,
        d_model,
        d_mlp: config.size("intermediate_size", 22_016)?,
        n_layers: config.layers("num_hidden_layers", 32)?,
        heads,
        n_kv_heads,
        d_vocab,
        padding: config.padding(None, d_vocab)?,
        eps: config.number("rms_norm_eps", 1e-6)?,
        activation: config.activation("hidden_act", "silu")?,
        qkv_bias: true,
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
