//! Gemma 2 (Gemma Team 2024), after `transformers.models.gemma2` with its eager attention: the reference's fused
//! attention leaves soft-capping out.

use pellucid_nn::layers::Heads;
use pellucid_nn::{Model, WeightSource};
use pellucid_tensor::Engine;

use super::decoder::{Decoder, Names};
use super::rope::{Rope, angles};
use crate::config::Config;
use crate::error::Result;

const NAMES: Names = Names {
    model_type: "gemma2",
    causal: "Gemma2ForCausalLM",
    body: "Gemma2Model",
    block: "Gemma2DecoderLayer",
    attention: "Gemma2Attention",
    mlp: "Gemma2MLP",
    norm: "Gemma2RMSNorm",
    rotary: "Gemma2RotaryEmbedding",
};

/// Builds the family's model.
pub(super) fn build(config: &Config<'_>, weights: &mut dyn WeightSource, engine: &Engine) -> Result<Model> {
    let heads = Heads { n: config.size("num_attention_heads", 8)?, d_head: config.size("head_dim", 256)? };
    let n_kv_heads = config.size("num_key_value_heads", 4)?;
    config.check_heads("num_key_value_heads", heads, n_kv_heads)?;
    let d_vocab = config.size("vocab_size", 256_000)?;
    let bias = config.flag("attention_bias", false)?;
    let rope = Rope {
        d_rotary: heads.d_head,
        theta: config.number("rope_theta", 10_000.0)?,
        n_positions: config.size("max_position_embeddings", 8192)?,
    };
    config.only("mlp_bias", false)?;
    config.only("sliding_window_pattern", 2)?;
    // The reference takes the activation from `hidden_activation` and the window from `sliding_window` alone.
    config.without_effect(&["attention_dropout", "hidden_act", "sliding_window_size"]);
    let decoder = Decoder {
        names: &NAMES,
        d_model: config.size("hidden_size", 2304)?,
        d_mlp: config.size("intermediate_size", 9216)?,
        n_layers: config.layers("num_hidden_layers", 26)?,
        heads,
        n_kv_heads,
        d_vocab,
        padding: config.padding(Some(0), d_vocab)?,
        eps: config.number("rms_norm_eps", 1e-6)?,
        activation: config.activation("hidden_activation", "gelu_pytorch_tanh")?,
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: false,
        angles: angles(config, &rope)?,
        scale: 1.0 / config.number("query_pre_attn_scalar", 256.0)?.sqrt(),
        window: Some(config.size("sliding_window", 4096)?),
        softcap: config.nullable_number("attn_logit_softcapping", 50.0)?,
        final_softcap: config.nullable_number("final_logit_softcapping", 30.0)?,
        tied: config.flag("tie_word_embeddings", true)?,
        gemma: true,
    };
    Ok(decoder.build(weights, engine)?)
}
