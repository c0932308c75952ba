//! GPT-NeoX and Pythia (Black et al. 2022; Biderman et al. 2023), after `transformers.models.gpt_neox`.

use std::sync::Arc;

use pellucid_nn::layers::{
    Activation, ActivationKind, AttentionArgs, AttentionCore, Dropout, Embedding, Heads, LayerNorm, Linear,
    PER_HEAD, RotaryAngles, RotaryEmbedding,
};
use pellucid_nn::{
    Args, Forward, Layer, Model, ModuleId, OpPlace, Ops, Record, Skeleton, TreeBuilder, Value, Var,
    WeightSource, layer,
};
use pellucid_tensor::{Attention, Engine, RotaryPairs};

use super::causal::{CausalLm, Finish, Signature, Tied};
use super::inputs::{Inputs, flag, mask};
use super::outputs::{Collected, first, item, tensor};
use super::places;
use super::rope::{Rope, angles};
use crate::config::Config;
use crate::error::Result;

type NnResult<T> = pellucid_nn::Result<T>;

struct Body {
    module: ModuleId,
    embed_in: Arc<Embedding>,
    emb_dropout: Arc<Dropout>,
    layers: Vec<Arc<Block>>,
    final_layer_norm: Arc<LayerNorm>,
    rotary_emb: Arc<RotaryEmbedding>,
}

struct Block {
    module: ModuleId,
    input_layernorm: Arc<LayerNorm>,
    post_attention_layernorm: Arc<LayerNorm>,
    post_attention_dropout: Arc<Dropout>,
    post_mlp_dropout: Arc<Dropout>,
    attention: Arc<SelfAttention>,
    mlp: Arc<Mlp>,
    parallel: bool,
}

struct SelfAttention {
    module: ModuleId,
    query_key_value: Arc<Linear>,
    dense: Arc<Linear>,
    heads: Heads,
    core: AttentionCore,
}

struct Mlp {
    module: ModuleId,
    dense_h_to_4h: Arc<Linear>,
    dense_4h_to_h: Arc<Linear>,
    act: Arc<Activation>,
}

layer!(Body, Block, SelfAttention, Mlp);

impl Body {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let inputs = Inputs::read(&args, None)?;
        let embedded = tensor(&pass.call(&*self.embed_in, Args::one(&inputs.ids)).await?)?;
        let mut hidden = tensor(&pass.call(&*self.emb_dropout, Args::one(&embedded)).await?)?;
        let rotary_args = Args::one(&hidden).and(Value::Tensor(inputs.position_ids.clone()));
        let embeddings = pass.call(&*self.rotary_emb, rotary_args).await?;
        let mut collected = Collected::new(&inputs);
        for block in &self.layers {
            collected.before(&hidden);
            let block_args = Args::one(&hidden).with_all([
                ("attention_mask", inputs.mask.clone()),
                ("position_ids", Value::Tensor(inputs.position_ids.clone())),
                ("head_mask", Value::None),
                ("layer_past", Value::Cache(inputs.cache.clone())),
                ("use_cache", Value::Bool(true)),
                ("output_attentions", Value::Bool(inputs.attentions)),
                ("cache_position", Value::Tensor(inputs.cache_position.clone())),
                ("position_embeddings", embeddings.clone()),
            ]);
            let output = pass.call(&**block, block_args).await?;
            hidden = first(&output)?;
            collected.after(&output, 1);
        }
        let last = pass.call(&*self.final_layer_norm, Args::one(&hidden)).await?;
        Ok(Record::value("BaseModelOutputWithPast", collected.fields(last, Value::Cache(inputs.cache))))
    }

    fn places(&self) -> Vec<OpPlace> {
        Vec::new()
    }
}

impl Block {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let residual = args.var(0, "hidden_states")?;
        let normed = tensor(&pass.call(&*self.input_layernorm, Args::one(&residual)).await?)?;
        let mut attention_args = Args::one(&normed);
        let order = [
            "attention_mask",
            "position_ids",
            "layer_past",
            "head_mask",
            "use_cache",
            "output_attentions",
            "cache_position",
            "position_embeddings",
        ];
        for name in order {
            attention_args = attention_args.with(name, args.get(usize::MAX, name));
        }
        let attended = pass.call(&*self.attention, attention_args).await?;
        let mixed = first(&attended)?;
        let mixed = tensor(&pass.call(&*self.post_attention_dropout, Args::one(&mixed)).await?)?;
        let ops = Ops::of(pass, self.module);
        let out = if self.parallel {
            let fed = self.feed(pass, &residual).await?;
            let both = ops.tensor("add_0", fed.get()?.add(&mixed.get()?)?).await?;
            both.add(&residual.get()?)?
        } else {
            let residual = ops.fresh("add_0", mixed.get()?.add(&residual.get()?)?).await?;
            let fed = self.feed(pass, &residual).await?;
            fed.get()?.add(&residual.get()?)?
        };
        let out = Value::Tensor(ops.fresh("add_1", out).await?);
        Ok(match item(&attended, 1) {
            Value::None => Value::tuple([out]),
            pattern => Value::tuple([out, pattern]),
        })
    }

    fn places(&self) -> Vec<OpPlace> {
        if self.parallel { places::parallel() } else { places::sequential() }
    }

    /// What the feed-forward adds to the residual stream.
    async fn feed(&self, pass: &Forward<'_>, residual: &Var) -> NnResult<Var> {
        let normed = tensor(&pass.call(&*self.post_attention_layernorm, Args::one(residual)).await?)?;
        let fed = tensor(&pass.call(&*self.mlp, Args::one(&normed)).await?)?;
        tensor(&pass.call(&*self.post_mlp_dropout, Args::one(&fed)).await?)
    }
}

impl SelfAttention {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let hidden = args.var(0, "hidden_states")?;
        let qkv = tensor(&pass.call(&*self.query_key_value, Args::one(&hidden)).await?)?;
        // Query, key and value of a head lie side by side.
        let d_head = self.heads.d_head;
        let ops = Ops::of(pass, self.module);
        let each = Heads { d_head: 3 * d_head, ..self.heads }.split(&qkv.get()?)?;
        let each = ops.tensor("transpose_0", each).await?;
        let part = |i: usize| each.narrow(-1, (i * d_head) as i64, d_head);
        let q = ops.tensor("split_0", part(0)?).await?;
        let k = ops.tensor("split_1", part(1)?).await?;
        let v = ops.tensor("split_2", part(2)?).await?;
        let (cos, sin) = RotaryAngles::halves(&args.get(usize::MAX, "position_embeddings"))?;
        let q = ops.tensor("rotary_0", q.rotary(&cos, &sin, RotaryPairs::Halves)?).await?;
        let k = ops.tensor("rotary_1", k.rotary(&cos, &sin, RotaryPairs::Halves)?).await?;
        let (cache, mask) = (args.cache("layer_past"), mask(&args)?);
        let pattern = flag(&args, "output_attentions")?;
        let core_args = AttentionArgs { mask: mask.as_ref(), cache: cache.as_deref(), pattern };
        let attended = self.core.attend(pass, ops, (q, k, v), core_args).await?;
        let output = pass.call(&*self.dense, Args::one(&attended.merged)).await?;
        Ok(Value::tuple([output, attended.pattern.map_or(Value::None, Value::tensor)]))
    }

    fn places(&self) -> Vec<OpPlace> {
        const THREE: &[&str] = &["batch", "n_heads", "seq_q", "3 * d_head"];
        self.core.places(&[
            OpPlace::new("transpose_0", "each head's query, key and value side by side", THREE),
            OpPlace::new("split_0", "each head's queries, before the rotation", PER_HEAD),
            OpPlace::new("split_1", "each head's keys, before the rotation", PER_HEAD),
            OpPlace::new("split_2", "each head's values", PER_HEAD).named("value"),
            OpPlace::new("rotary_0", "each head's queries, rotated", PER_HEAD).named("query"),
            OpPlace::new("rotary_1", "each head's keys, rotated", PER_HEAD).named("key"),
        ])
    }
}

impl Mlp {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let hidden = args.var(0, "hidden_states")?;
        let ops = Ops::of(pass, self.module);
        let wide = tensor(&pass.call(&*self.dense_h_to_4h, Args::one(&hidden)).await?)?;
        let wide = ops.var("dense_h_to_4h_0", wide).await?;
        let active = tensor(&pass.call(&*self.act, Args::one(&wide)).await?)?;
        let active = ops.var("act_0", active).await?;
        pass.call(&*self.dense_4h_to_h, Args::one(&active)).await
    }

    fn places(&self) -> Vec<OpPlace> {
        places::feed_forward("dense_h_to_4h_0")
    }
}

/// What all blocks have in common.
struct Shape {
    d_model: usize,
    d_mlp: usize,
    heads: Heads,
    eps: f64,
    activation: ActivationKind,
    dropout: f64,
    bias: bool,
    parallel: bool,
}

impl Shape {
    fn block(&self, b: &mut TreeBuilder<'_>, layer: usize) -> NnResult<Arc<Block>> {
        b.child(layer.to_string(), "GPTNeoXLayer", "", |b| {
            let module = b.id();
            let input_layernorm = LayerNorm::build(b, "input_layernorm", self.d_model, self.eps)?;
            let post_attention_layernorm =
                LayerNorm::build(b, "post_attention_layernorm", self.d_model, self.eps)?;
            let post_attention_dropout = Dropout::build(b, "post_attention_dropout", self.dropout)?;
            let post_mlp_dropout = Dropout::build(b, "post_mlp_dropout", self.dropout)?;
            let attention = b.child("attention", "GPTNeoXAttention", "", |b| self.attention(b, layer))?;
            let mlp = b.child("mlp", "GPTNeoXMLP", "", |b| self.mlp(b))?;
            Ok(b.register(Block {
                module,
                input_layernorm,
                post_attention_layernorm,
                post_attention_dropout,
                post_mlp_dropout,
                attention,
                mlp,
                parallel: self.parallel,
            }))
        })
    }

    fn attention(&self, b: &mut TreeBuilder<'_>, layer: usize) -> NnResult<Arc<SelfAttention>> {
        let module = b.id();
        let query_key_value = Linear::build(b, "query_key_value", self.d_model, 3 * self.d_model, self.bias)?;
        let dense = Linear::build(b, "dense", self.d_model, self.d_model, self.bias)?;
        let scale = 1.0 / (self.heads.d_head as f32).sqrt();
        let spec = Attention { scale, causal: true, window: None, softcap: None };
        let core = AttentionCore { layer, spec, dropout: None };
        Ok(b.register(SelfAttention { module, query_key_value, dense, heads: self.heads, core }))
    }

    fn mlp(&self, b: &mut TreeBuilder<'_>) -> NnResult<Arc<Mlp>> {
        let module = b.id();
        let dense_h_to_4h = Linear::build(b, "dense_h_to_4h", self.d_model, self.d_mlp, true)?;
        let dense_4h_to_h = Linear::build(b, "dense_4h_to_h", self.d_mlp, self.d_model, true)?;
        let act = Activation::build(b, "act", self.activation)?;
        Ok(b.register(Mlp { module, dense_h_to_4h, dense_4h_to_h, act }))
    }
}

const SIGNATURE: Signature = Signature {
    positional_ids: true,
    arguments: &[
        ("attention_mask", None),
        ("position_ids", None),
        ("head_mask", None),
        ("inputs_embeds", None),
        ("past_key_values", None),
        ("use_cache", None),
        ("output_attentions", None),
        ("output_hidden_states", None),
        ("cache_position", None),
    ],
    output: "CausalLMOutputWithPast",
    keeps: true,
};

/// Builds the family's model.
pub(super) fn build(config: &Config<'_>, weights: &mut dyn WeightSource, engine: &Engine) -> Result<Model> {
    let d_model = config.size("hidden_size", 6144)?;
    let n_layers = config.layers("num_hidden_layers", 44)?;
    let n_heads = config.size("num_attention_heads", 64)?;
    let heads = config.even_heads("num_attention_heads", n_heads, d_model)?;
    let d_vocab = config.size("vocab_size", 50_432)?;
    let rotated = config.number("rotary_pct", 0.25)?;
    let theta = config.number("rotary_emb_base", 10_000.0)?;
    // Other names of the same two, which the reference overwrites.
    for (name, value) in [("partial_rotary_factor", rotated), ("rope_theta", theta)] {
        if config.number(name, value)? != value {
            return Err(config.unhandled(name, "another value than its GPT-NeoX name"));
        }
    }
    let rope = Rope {
        d_rotary: ((heads.d_head as f64 * rotated).clamp(0.0, heads.d_head as f64)) as usize,
        theta,
        n_positions: config.size("max_position_embeddings", 2048)?,
    };
    let angles = angles(config, &rope)?;
    let shape = Shape {
        d_model,
        d_mlp: config.size("intermediate_size", 24_576)?,
        heads,
        eps: config.number("layer_norm_eps", 1e-5)?,
        activation: config.activation("hidden_act", "gelu")?,
        dropout: config.number("hidden_dropout", 0.0)?,
        bias: config.flag("attention_bias", true)?,
        parallel: config.flag("use_parallel_residual", true)?,
    };
    let tied = config.flag("tie_word_embeddings", false)?;
    config.without_effect(&[
        "attention_dropout",
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "hidden_dropout_prob",
    ]);

    let mut b = TreeBuilder::new("GPTNeoXForCausalLM", weights);
    let body = b.child("gpt_neox", "GPTNeoXModel", "", |b| {
        let module = b.id();
        let embed_in = Embedding::build(b, "embed_in", d_vocab, d_model, None)?;
        let emb_dropout = Dropout::build(b, "emb_dropout", shape.dropout)?;
        let layers = b.child("layers", "ModuleList", "", |b| {
            (0..n_layers).map(|layer| shape.block(b, layer)).collect()
        })?;
        let final_layer_norm = LayerNorm::build(b, "final_layer_norm", d_model, shape.eps)?;
        let rotary_emb = RotaryEmbedding::build(b, "rotary_emb", "GPTNeoXRotaryEmbedding", angles)?;
        Ok(b.register(Body { module, embed_in, emb_dropout, layers, final_layer_norm, rotary_emb }))
    })?;
    let embedding = body.embed_in.clone();
    let head = ("embed_out", Tied(tied), false);
    let parts = CausalLm::build(b, (body as Arc<dyn Layer>, &embedding), head, &SIGNATURE, Finish::Plain)?;
    let skeleton = Skeleton {
        model_type: "gpt_neox".into(),
        d_model,
        n_layers,
        n_heads,
        n_kv_heads: n_heads,
        d_head: heads.d_head,
        d_vocab,
        n_ctx: None,
        blocks: "gpt_neox.layers".into(),
        attention: "attention".into(),
        final_norm: "gpt_neox.final_layer_norm".into(),
        unembedding: "embed_out".into(),
        embedding: "gpt_neox.embed_in".into(),
        head_output: "attention.dense".into(),
        mlp: "mlp".into(),
    };
    Ok(Model::new(engine.clone(), parts, skeleton))
}
