//! Llama (Touvron et al. 2023; Grattafiori et al. 2024), after `transformers.models.llama`.

use pellucid_nn::layers::Heads;
use pellucid_nn::{Model, WeightSource};
use pellucid_tensor::Engine;

use super::decoder::{Decoder, Names};
use super::rope::{Rope, angles};
use crate::config::Config;
use crate::error::Result;

const NAMES: Names = Names {
    model_type: "llama",
    causal: "LlamaForCausalLM",
    body: "LlamaModel",
    block: "LlamaDecoderLayer",
    attention: "LlamaAttention",
    mlp: "LlamaMLP",
    norm: "LlamaRMSNorm",
    rotary: "LlamaRotaryEmbedding",
};

/// Builds the family's model.
pub(super) fn build(config: &Config<'_>, weights: &mut dyn WeightSource, engine: &Engine) -> Result<Model> {
    let d_model = config.size("hidden_size", 4096)?;
    let n_heads = config.size("num_attention_heads", 32)?;
    let n_kv_heads = config.optional_size("num_key_value_heads")?.unwrap_or(n_heads);
    let d_head = config.optional_size("head_dim")?.unwrap_or(d_model / n_heads);
    let heads = Heads { n: n_heads, d_head };
    config.check_heads("num_key_value_heads", heads, n_kv_heads)?;
    let d_vocab = config.size("vocab_size", 32_000)?;
    let bias = config.flag("attention_bias", false)?;
    let rope = Rope {
        d_rotary: d_head,
        theta: config.number("rope_theta", 10_000.0)?,
        n_positions: config.size("max_position_embeddings", 2048)?,
    };
    // Read by no part of the reference's model, and no whole head is turned with less.
    config.only("partial_rotary_factor", 1.0)?;
    config.without_effect(&["attention_dropout"]);
    let decoder = Decoder {
        names: &NAMES,
        d_model,
        d_mlp: config.size("intermediate_size", 11_008)?,
        n_layers: config.layers("num_hidden_layers", 32)?,
        heads,
        n_kv_heads,
        d_vocab,
        padding: config.padding(None, d_vocab)?,
        eps: config.number("rms_norm_eps", 1e-6)?,
        activation: config.activation("hidden_act", "silu")?,
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: config.flag("mlp_bias", false)?,
        angles: angles(config, &rope)?,
        scale: 1.0 / (d_head as f64).sqrt(),
        window: None,
        softcap: None,
        final_softcap: None,
        tied: config.flag("tie_word_embeddings", false)?,
        gemma: false,
    };
    Ok(decoder.build(weights, engine)?)
}
