//! The decoder that Llama, Mistral, Qwen 2 and Gemma 2 share: rotary attention over grouped heads, gated
//! feed-forward, RMS norms. What differs is configuration.

use std::sync::Arc;

use pellucid_nn::layers::{
    Activation, ActivationKind, AttentionArgs, AttentionCore, Embedding, Heads, Linear, RmsNorm,
    RotaryAngles, RotaryEmbedding,
};
use pellucid_nn::{
    Args, Forward, Layer, Model, ModuleId, OpPlace, Ops, Record, Result, Skeleton, TreeBuilder, Value,
    WeightSource, layer,
};
use pellucid_tensor::{Attention, Engine, RotaryPairs, Scalar};

use super::causal::{CausalLm, Finish, Signature, Tied};
use super::inputs::{Inputs, flag, mask};
use super::outputs::{Collected, first, item, tensor};
use super::places;

/// The reference's class names.
pub(super) struct Names {
    pub(super) model_type: &'static str,
    pub(super) causal: &'static str,
    pub(super) body: &'static str,
    pub(super) block: &'static str,
    pub(super) attention: &'static str,
    pub(super) mlp: &'static str,
    pub(super) norm: &'static str,
    pub(super) rotary: &'static str,
}

/// What tells one decoder from another.
pub(super) struct Decoder {
    pub(super) names: &'static Names,
    pub(super) d_model: usize,
    pub(super) d_mlp: usize,
    pub(super) n_layers: usize,
    pub(super) heads: Heads,
    pub(super) n_kv_heads: usize,
    pub(super) d_vocab: usize,
    /// The padding entry of the embedding, for the printout.
    pub(super) padding: Option<usize>,
    pub(super) eps: f64,
    pub(super) activation: ActivationKind,
    /// Biases of the query, key and value projections.
    pub(super) qkv_bias: bool,
    /// Bias of the output projection.
    pub(super) out_bias: bool,
    /// Biases of the feed-forward projections.
    pub(super) mlp_bias: bool,
    pub(super) angles: RotaryAngles,
    /// Factor on attention scores.
    pub(super) scale: f64,
    /// Keys that a query sees at most, its own included; in Gemma in even layers only.
    pub(super) window: Option<usize>,
    /// Cap on attention scores.
    pub(super) softcap: Option<f64>,
    /// Cap on logits.
    pub(super) final_softcap: Option<f64>,
    pub(super) tied: bool,
    /// Gemma's ways: norms centred at one and after attention and feed-forward too, embeddings scaled by the root of
    /// the width, windows in every other layer, and the order of arguments.
    pub(super) gemma: bool,
}

struct Body {
    module: ModuleId,
    embed_tokens: Arc<Embedding>,
    layers: Vec<Arc<Block>>,
    norm: Arc<RmsNorm>,
    rotary_emb: Arc<RotaryEmbedding>,
    embedding_scale: Option<f64>,
    gemma: bool,
}

struct Block {
    module: ModuleId,
    self_attn: Arc<SelfAttention>,
    mlp: Arc<Mlp>,
    before_attention: Arc<RmsNorm>,
    after_attention: Option<Arc<RmsNorm>>,
    before_mlp: Arc<RmsNorm>,
    after_mlp: Option<Arc<RmsNorm>>,
}

struct SelfAttention {
    module: ModuleId,
    q_proj: Arc<Linear>,
    k_proj: Arc<Linear>,
    v_proj: Arc<Linear>,
    o_proj: Arc<Linear>,
    heads: Heads,
    kv_heads: Heads,
    core: AttentionCore,
}

struct Mlp {
    module: ModuleId,
    gate_proj: Arc<Linear>,
    up_proj: Arc<Linear>,
    down_proj: Arc<Linear>,
    act_fn: Arc<Activation>,
}

layer!(Body, Block, SelfAttention, Mlp);

impl Body {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> Result<Value> {
        let inputs = Inputs::read(&args, None)?;
        let mut hidden = tensor(&pass.call(&*self.embed_tokens, Args::one(&inputs.ids)).await?)?;
        let rotary_args = Args::one(&hidden).and(Value::Tensor(inputs.position_ids.clone()));
        let embeddings = pass.call(&*self.rotary_emb, rotary_args).await?;
        if let Some(scale) = self.embedding_scale {
            let x = hidden.get()?;
            // The reference rounds the factor to the activations' type.
            let factor = x.engine().full(&[], Scalar::from(scale), x.dtype());
            hidden = Ops::of(pass, self.module).fresh("mul_0", x.mul(&factor)?).await?;
        }

        let mut collected = Collected::new(&inputs);
        let mut shared = Args::default();
        if self.gemma {
            shared = shared.with("position_embeddings", embeddings.clone());
        }
        shared = shared
            .with("attention_mask", inputs.mask)
            .with("position_ids", Value::Tensor(inputs.position_ids))
            .with("past_key_value", Value::Cache(inputs.cache.clone()))
            .with("output_attentions", Value::Bool(inputs.attentions))
            .with("use_cache", Value::Bool(true))
            .with("cache_position", Value::Tensor(inputs.cache_position));
        shared = if self.gemma {
            shared.with("last_cache_position", Value::Int(inputs.mask_len as i64))
        } else {
            shared.with("position_embeddings", embeddings)
        };
        for block in &self.layers {
            collected.before(&hidden);
            let mut block_args = shared.clone();
            block_args.positional.push(Value::Tensor(hidden));
            let output = pass.call(&**block, block_args).await?;
            hidden = first(&output)?;
            collected.after(&output, 1);
        }
        let last = pass.call(&*self.norm, Args::one(&hidden)).await?;
        Ok(Record::value("BaseModelOutputWithPast", collected.fields(last, Value::Cache(inputs.cache))))
    }

    fn places(&self) -> Vec<OpPlace> {
        match self.embedding_scale {
            Some(_) => places::embedded("mul_0", "the embeddings, scaled by the root of the width"),
            None => Vec::new(),
        }
    }
}

impl Block {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> Result<Value> {
        let residual = args.var(0, "hidden_states")?;
        let normed = pass.call(&*self.before_attention, Args::one(&residual)).await?;
        let mut attention_args = Args::default().with("hidden_states", normed);
        let own = ["hidden_states", "last_cache_position"];
        attention_args.named.extend(args.named.iter().filter(|(name, _)| !own.contains(name)).cloned());
        let attended = pass.call(&*self.self_attn, attention_args).await?;
        let mut mixed = first(&attended)?;
        if let Some(norm) = &self.after_attention {
            mixed = tensor(&pass.call(&**norm, Args::one(&mixed)).await?)?;
        }
        let ops = Ops::of(pass, self.module);
        let residual = ops.fresh("add_0", residual.get()?.add(&mixed.get()?)?).await?;
        let normed = tensor(&pass.call(&*self.before_mlp, Args::one(&residual)).await?)?;
        let mut fed = tensor(&pass.call(&*self.mlp, Args::one(&normed)).await?)?;
        if let Some(norm) = &self.after_mlp {
            fed = tensor(&pass.call(&**norm, Args::one(&fed)).await?)?;
        }
        let out = Value::Tensor(ops.fresh("add_1", residual.get()?.add(&fed.get()?)?).await?);
        Ok(match item(&attended, 1) {
            Value::None => Value::tuple([out]),
            pattern => Value::tuple([out, pattern]),
        })
    }

    fn places(&self) -> Vec<OpPlace> {
        places::sequential()
    }
}

impl SelfAttention {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> Result<Value> {
        let hidden = args.var(0, "hidden_states")?;
        let q = tensor(&pass.call(&*self.q_proj, Args::one(&hidden)).await?)?;
        let k = tensor(&pass.call(&*self.k_proj, Args::one(&hidden)).await?)?;
        let v = tensor(&pass.call(&*self.v_proj, Args::one(&hidden)).await?)?;
        let ops = Ops::of(pass, self.module);
        let q = ops.tensor("transpose_0", self.heads.split(&q.get()?)?).await?;
        let k = ops.tensor("transpose_1", self.kv_heads.split(&k.get()?)?).await?;
        let v = ops.tensor("transpose_2", self.kv_heads.split(&v.get()?)?).await?;
        let (cos, sin) = RotaryAngles::halves(&args.get(usize::MAX, "position_embeddings"))?;
        let q = ops.tensor("rotary_0", q.rotary(&cos, &sin, RotaryPairs::Halves)?).await?;
        let k = ops.tensor("rotary_1", k.rotary(&cos, &sin, RotaryPairs::Halves)?).await?;
        let (cache, mask) = (args.cache("past_key_value"), mask(&args)?);
        let pattern = flag(&args, "output_attentions")?;
        let core_args = AttentionArgs { mask: mask.as_ref(), cache: cache.as_deref(), pattern };
        let attended = self.core.attend(pass, ops, (q, k, v), core_args).await?;
        let output = pass.call(&*self.o_proj, Args::one(&attended.merged)).await?;
        Ok(Value::tuple([output, attended.pattern.map_or(Value::None, Value::tensor)]))
    }

    fn places(&self) -> Vec<OpPlace> {
        self.core.places(&places::rotated())
    }
}

impl Mlp {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> Result<Value> {
        let hidden = args.var(0, "x")?;
        let ops = Ops::of(pass, self.module);
        let gate = tensor(&pass.call(&*self.gate_proj, Args::one(&hidden)).await?)?;
        let gate = ops.var("gate_proj_0", gate).await?;
        let gate = tensor(&pass.call(&*self.act_fn, Args::one(&gate)).await?)?;
        let gate = ops.var("act_fn_0", gate).await?;
        let up = tensor(&pass.call(&*self.up_proj, Args::one(&hidden)).await?)?;
        let up = ops.var("up_proj_0", up).await?;
        let gated = ops.fresh("mul_0", gate.get()?.mul(&up.get()?)?).await?;
        pass.call(&*self.down_proj, Args::one(&gated)).await
    }

    fn places(&self) -> Vec<OpPlace> {
        const MLP: &[&str] = &["batch", "seq", "d_mlp"];
        vec![
            OpPlace::new("gate_proj_0", "what the activation is called with", MLP).named("pre"),
            OpPlace::new("act_fn_0", "the activations, which gate", MLP),
            OpPlace::new("up_proj_0", "what is gated", MLP),
            OpPlace::new("mul_0", "the product of both", MLP).named("post"),
        ]
    }
}

const SIGNATURE: Signature = Signature {
    positional_ids: false,
    arguments: &[
        ("attention_mask", None),
        ("position_ids", None),
        ("past_key_values", None),
        ("inputs_embeds", None),
        ("use_cache", None),
        ("output_attentions", Some(false)),
        ("output_hidden_states", Some(false)),
        ("cache_position", None),
    ],
    output: "CausalLMOutputWithPast",
    keeps: true,
};

impl Decoder {
    /// Assembles the model.
    pub(super) fn build(&self, weights: &mut dyn WeightSource, engine: &Engine) -> Result<Model> {
        let mut b = TreeBuilder::new(self.names.causal, weights);
        let body = b.child("model", self.names.body, "", |b| {
            let module = b.id();
            let embed_tokens = Embedding::build(b, "embed_tokens", self.d_vocab, self.d_model, self.padding)?;
            let layers = b.child("layers", "ModuleList", "", |b| {
                (0..self.n_layers).map(|layer| self.block(b, layer)).collect()
            })?;
            let norm = self.norm(b, "norm")?;
            let rotary_emb = RotaryEmbedding::build(b, "rotary_emb", self.names.rotary, self.angles.clone())?;
            let embedding_scale = self.gemma.then(|| (self.d_model as f64).sqrt());
            let gemma = self.gemma;
            Ok(b.register(Body { module, embed_tokens, layers, norm, rotary_emb, embedding_scale, gemma }))
        })?;
        let embedding = body.embed_tokens.clone();
        let finish = self.final_softcap.map_or(Finish::Plain, Finish::SoftCap);
        let head = ("lm_head", Tied(self.tied), false);
        let parts = CausalLm::build(b, (body as Arc<dyn Layer>, &embedding), head, &SIGNATURE, finish)?;
        Ok(Model::new(engine.clone(), parts, self.skeleton()))
    }

    fn block(&self, b: &mut TreeBuilder<'_>, layer: usize) -> Result<Arc<Block>> {
        b.child(layer.to_string(), self.names.block, "", |b| {
            let module = b.id();
            let self_attn = b.child("self_attn", self.names.attention, "", |b| self.attention(b, layer))?;
            let mlp = b.child("mlp", self.names.mlp, "", |b| self.mlp(b))?;
            let before_attention = self.norm(b, "input_layernorm")?;
            let second = self.norm(b, "post_attention_layernorm")?;
            // The same name stands before the feed-forward in Llama and after attention in Gemma.
            let (after_attention, before_mlp, after_mlp) = if self.gemma {
                let before_mlp = self.norm(b, "pre_feedforward_layernorm")?;
                (Some(second), before_mlp, Some(self.norm(b, "post_feedforward_layernorm")?))
            } else {
                (None, second, None)
            };
            Ok(b.register(Block {
                module,
                self_attn,
                mlp,
                before_attention,
                after_attention,
                before_mlp,
                after_mlp,
            }))
        })
    }

    fn norm(&self, b: &mut TreeBuilder<'_>, name: &str) -> Result<Arc<RmsNorm>> {
        let offset = if self.gemma { 1.0 } else { 0.0 };
        RmsNorm::build(b, name, self.names.norm, self.d_model, self.eps, offset)
    }

    fn attention(&self, b: &mut TreeBuilder<'_>, layer: usize) -> Result<Arc<SelfAttention>> {
        let module = b.id();
        let (heads, kv_heads) = (self.heads, Heads { n: self.n_kv_heads, ..self.heads });
        let (d_q, d_kv) = (heads.n * heads.d_head, kv_heads.n * kv_heads.d_head);
        let q_proj = Linear::build(b, "q_proj", self.d_model, d_q, self.qkv_bias)?;
        let k_proj = Linear::build(b, "k_proj", self.d_model, d_kv, self.qkv_bias)?;
        let v_proj = Linear::build(b, "v_proj", self.d_model, d_kv, self.qkv_bias)?;
        let o_proj = Linear::build(b, "o_proj", d_q, self.d_model, self.out_bias)?;
        let spec = Attention {
            scale: self.scale as f32,
            causal: true,
            window: self.window.filter(|_| !self.gemma || layer.is_multiple_of(2)),
            softcap: self.softcap.map(|cap| cap as f32),
        };
        let core = AttentionCore { layer, spec, dropout: None };
        Ok(b.register(SelfAttention { module, q_proj, k_proj, v_proj, o_proj, heads, kv_heads, core }))
    }

    fn mlp(&self, b: &mut TreeBuilder<'_>) -> Result<Arc<Mlp>> {
        let module = b.id();
        let gate_proj = Linear::build(b, "gate_proj", self.d_model, self.d_mlp, self.mlp_bias)?;
        let up_proj = Linear::build(b, "up_proj", self.d_model, self.d_mlp, self.mlp_bias)?;
        let down_proj = Linear::build(b, "down_proj", self.d_mlp, self.d_model, self.mlp_bias)?;
        let act_fn = Activation::build(b, "act_fn", self.activation)?;
        Ok(b.register(Mlp { module, gate_proj, up_proj, down_proj, act_fn }))
    }

    fn skeleton(&self) -> Skeleton {
        Skeleton {
            model_type: self.names.model_type.into(),
            d_model: self.d_model,
            n_layers: self.n_layers,
            n_heads: self.heads.n,
            n_kv_heads: self.n_kv_heads,
            d_head: self.heads.d_head,
            d_vocab: self.d_vocab,
            // Angles exist for every position; the context a model was trained on is no limit.
            n_ctx: None,
            blocks: "model.layers".into(),
            attention: "self_attn".into(),
            final_norm: "model.norm".into(),
            unembedding: "lm_head".into(),
            embedding: "model.embed_tokens".into(),
            head_output: "self_attn.o_proj".into(),
            mlp: "mlp".into(),
        }
    }
}
