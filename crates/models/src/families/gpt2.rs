//! GPT-2 (Radford et al. 2019), after `transformers.models.gpt2`.

use std::sync::Arc;

use pellucid_nn::layers::{
    Activation, ActivationKind, AttentionArgs, AttentionCore, Conv1D, Dropout, Embedding, Heads, LayerNorm,
    PER_HEAD,
};
use pellucid_nn::{
    Args, Forward, Layer, Model, ModuleId, OpPlace, Ops, Record, Skeleton, TreeBuilder, Value, WeightSource,
    layer,
};
use pellucid_tensor::{Attention, Engine};

use super::causal::{CausalLm, Finish, Signature, Tied};
use super::inputs::{Inputs, flag, mask};
use super::outputs::{Collected, first, item, tensor};
use super::places;
use crate::config::Config;
use crate::error::Result;

type NnResult<T> = pellucid_nn::Result<T>;

struct Body {
    module: ModuleId,
    wte: Arc<Embedding>,
    wpe: Arc<Embedding>,
    drop: Arc<Dropout>,
    blocks: Vec<Arc<Block>>,
    ln_f: Arc<LayerNorm>,
    n_ctx: usize,
}

struct Block {
    module: ModuleId,
    ln_1: Arc<LayerNorm>,
    attn: Arc<SelfAttention>,
    ln_2: Arc<LayerNorm>,
    mlp: Arc<Mlp>,
}

struct SelfAttention {
    module: ModuleId,
    c_attn: Arc<Conv1D>,
    c_proj: Arc<Conv1D>,
    resid_dropout: Arc<Dropout>,
    heads: Heads,
    core: AttentionCore,
}

struct Mlp {
    module: ModuleId,
    c_fc: Arc<Conv1D>,
    c_proj: Arc<Conv1D>,
    act: Arc<Activation>,
    dropout: Arc<Dropout>,
}

layer!(Body, Block, SelfAttention, Mlp);

impl Body {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let inputs = Inputs::read(&args, Some(self.n_ctx))?;
        let embedded = pass.call(&*self.wte, Args::one(&inputs.ids)).await?;
        let placed = pass.call(&*self.wpe, Args::one(&inputs.position_ids)).await?;
        let sum = tensor(&embedded)?.get()?.add(&tensor(&placed)?.get()?)?;
        let sum = Ops::of(pass, self.module).fresh("add_0", sum).await?;
        let mut hidden = tensor(&pass.call(&*self.drop, Args::one(&sum)).await?)?;

        let mut collected = Collected::new(&inputs);
        let mut presents = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let block_args = Args::one(&hidden).with_all([
                ("layer_past", Value::Cache(inputs.cache.clone())),
                ("attention_mask", inputs.mask.clone()),
                ("head_mask", Value::None),
                ("encoder_hidden_states", Value::None),
                ("encoder_attention_mask", Value::None),
                ("use_cache", Value::Bool(true)),
                ("output_attentions", Value::Bool(inputs.attentions)),
            ]);
            collected.before(&hidden);
            let output = pass.call(&**block, block_args).await?;
            hidden = first(&output)?;
            collected.after(&output, 2);
            presents.push(item(&output, 1));
        }
        let last = pass.call(&*self.ln_f, Args::one(&hidden)).await?;
        Ok(Record::value(
            "BaseModelOutputWithPastAndCrossAttentions",
            collected.fields(last, Value::tuple(presents)),
        ))
    }

    fn places(&self) -> Vec<OpPlace> {
        places::embedded("add_0", "the embeddings of tokens and positions, added")
    }
}

impl Block {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let ops = Ops::of(pass, self.module);
        let residual = args.var(0, "hidden_states")?;
        let normed = tensor(&pass.call(&*self.ln_1, Args::one(&residual)).await?)?;
        let mut attn_args = Args::one(&normed);
        let foreign = ["hidden_states", "encoder_hidden_states", "encoder_attention_mask"];
        attn_args.named.extend(args.named.iter().filter(|(name, _)| !foreign.contains(name)).cloned());
        let attended = pass.call(&*self.attn, attn_args).await?;
        let hidden = ops.fresh("add_0", first(&attended)?.get()?.add(&residual.get()?)?).await?;
        let normed = tensor(&pass.call(&*self.ln_2, Args::one(&hidden)).await?)?;
        let fed = tensor(&pass.call(&*self.mlp, Args::one(&normed)).await?)?;
        let out = Value::Tensor(ops.fresh("add_1", hidden.get()?.add(&fed.get()?)?).await?);
        Ok(match item(&attended, 2) {
            Value::None => Value::tuple([out, item(&attended, 1)]),
            pattern => Value::tuple([out, item(&attended, 1), pattern]),
        })
    }

    fn places(&self) -> Vec<OpPlace> {
        places::sequential()
    }
}

impl SelfAttention {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let hidden = args.var(0, "hidden_states")?;
        let cache = args.cache("layer_past");
        let qkv = tensor(&pass.call(&*self.c_attn, Args::one(&hidden)).await?)?;
        let ops = Ops::of(pass, self.module);
        let width = self.heads.n * self.heads.d_head;
        let qkv = qkv.get()?;
        let part = |i: usize| qkv.narrow(-1, (i * width) as i64, width);
        let q = ops.tensor("split_0", part(0)?).await?;
        let k = ops.tensor("split_1", part(1)?).await?;
        let v = ops.tensor("split_2", part(2)?).await?;
        let q = ops.tensor("transpose_0", self.heads.split(&q)?).await?;
        let k = ops.tensor("transpose_1", self.heads.split(&k)?).await?;
        let v = ops.tensor("transpose_2", self.heads.split(&v)?).await?;
        let mask = mask(&args)?;
        let pattern = flag(&args, "output_attentions")?;
        let core_args = AttentionArgs { mask: mask.as_ref(), cache: cache.as_deref(), pattern };
        let attended = self.core.attend(pass, ops, (q, k, v), core_args).await?;
        let projected = tensor(&pass.call(&*self.c_proj, Args::one(&attended.merged)).await?)?;
        let output = pass.call(&*self.resid_dropout, Args::one(&projected)).await?;
        let present = match cache.and_then(|c| c.layer(self.core.layer)) {
            Some((k, v)) => Value::tuple([Value::tensor(k), Value::tensor(v)]),
            None => Value::None,
        };
        Ok(match attended.pattern {
            None => Value::tuple([output, present]),
            Some(pattern) => Value::tuple([output, present, Value::tensor(pattern)]),
        })
    }

    fn places(&self) -> Vec<OpPlace> {
        const COLUMNS: &[&str] = &["batch", "seq_q", "d_model"];
        self.core.places(&[
            OpPlace::new("split_0", "the queries of all heads side by side", COLUMNS),
            OpPlace::new("split_1", "the keys of all heads side by side", COLUMNS),
            OpPlace::new("split_2", "the values of all heads side by side", COLUMNS),
            OpPlace::new("transpose_0", "each head's queries", PER_HEAD).named("query"),
            OpPlace::new("transpose_1", "each head's keys", PER_HEAD).named("key"),
            OpPlace::new("transpose_2", "each head's values", PER_HEAD).named("value"),
        ])
    }
}

impl Mlp {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let hidden = args.var(0, "hidden_states")?;
        let ops = Ops::of(pass, self.module);
        let wide = tensor(&pass.call(&*self.c_fc, Args::one(&hidden)).await?)?;
        let wide = ops.var("c_fc_0", wide).await?;
        let active = tensor(&pass.call(&*self.act, Args::one(&wide)).await?)?;
        let active = ops.var("act_0", active).await?;
        let narrow = tensor(&pass.call(&*self.c_proj, Args::one(&active)).await?)?;
        pass.call(&*self.dropout, Args::one(&narrow)).await
    }

    fn places(&self) -> Vec<OpPlace> {
        places::feed_forward("c_fc_0")
    }
}

/// What all blocks have in common.
struct Shape {
    d_model: usize,
    d_mlp: usize,
    heads: Heads,
    eps: f64,
    activation: ActivationKind,
    attn_dropout: f64,
    resid_dropout: f64,
}

impl Shape {
    fn block(&self, b: &mut TreeBuilder<'_>, layer: usize, scale: f32) -> NnResult<Arc<Block>> {
        b.child(layer.to_string(), "GPT2Block", "", |b| {
            let module = b.id();
            let ln_1 = LayerNorm::build(b, "ln_1", self.d_model, self.eps)?;
            let attn = b.child("attn", "GPT2Attention", "", |b| self.attention(b, layer, scale))?;
            let ln_2 = LayerNorm::build(b, "ln_2", self.d_model, self.eps)?;
            let mlp = b.child("mlp", "GPT2MLP", "", |b| self.mlp(b))?;
            Ok(b.register(Block { module, ln_1, attn, ln_2, mlp }))
        })
    }

    fn attention(&self, b: &mut TreeBuilder<'_>, layer: usize, scale: f32) -> NnResult<Arc<SelfAttention>> {
        let module = b.id();
        let c_attn = Conv1D::build(b, "c_attn", self.d_model, 3 * self.d_model)?;
        let c_proj = Conv1D::build(b, "c_proj", self.d_model, self.d_model)?;
        let dropout = Some(Dropout::build(b, "attn_dropout", self.attn_dropout)?);
        let resid_dropout = Dropout::build(b, "resid_dropout", self.resid_dropout)?;
        let spec = Attention { scale, causal: true, window: None, softcap: None };
        let core = AttentionCore { layer, spec, dropout };
        Ok(b.register(SelfAttention { module, c_attn, c_proj, resid_dropout, heads: self.heads, core }))
    }

    fn mlp(&self, b: &mut TreeBuilder<'_>) -> NnResult<Arc<Mlp>> {
        let module = b.id();
        let c_fc = Conv1D::build(b, "c_fc", self.d_model, self.d_mlp)?;
        let c_proj = Conv1D::build(b, "c_proj", self.d_mlp, self.d_model)?;
        let act = Activation::build(b, "act", self.activation)?;
        let dropout = Dropout::build(b, "dropout", self.resid_dropout)?;
        Ok(b.register(Mlp { module, c_fc, c_proj, act, dropout }))
    }
}

const SIGNATURE: Signature = Signature {
    positional_ids: true,
    arguments: &[
        ("past_key_values", None),
        ("attention_mask", None),
        ("token_type_ids", None),
        ("position_ids", None),
        ("head_mask", None),
        ("inputs_embeds", None),
        ("encoder_hidden_states", None),
        ("encoder_attention_mask", None),
        ("use_cache", None),
        ("output_attentions", None),
        ("output_hidden_states", None),
        ("return_dict", Some(true)),
    ],
    output: "CausalLMOutputWithCrossAttentions",
    keeps: false,
};

/// Builds the family's model.
pub(super) fn build(config: &Config<'_>, weights: &mut dyn WeightSource, engine: &Engine) -> Result<Model> {
    let d_model = config.size("n_embd", 768)?;
    let n_layers = config.layers("n_layer", 12)?;
    let n_heads = config.size("n_head", 12)?;
    let heads = config.even_heads("n_head", n_heads, d_model)?;
    let n_ctx = config.size("n_positions", 1024)?;
    let d_vocab = config.size("vocab_size", 50_257)?;
    let d_mlp = config.optional_size("n_inner")?.unwrap_or(4 * d_model);
    let eps = config.number("layer_norm_epsilon", 1e-5)?;
    let activation = config.activation("activation_function", "gelu_new")?;
    let dropout = |attribute| config.number(attribute, 0.1);
    let (embd, attn, resid) = (dropout("embd_pdrop")?, dropout("attn_pdrop")?, dropout("resid_pdrop")?);
    let scaled = config.flag("scale_attn_weights", true)?;
    let by_layer = config.flag("scale_attn_by_inverse_layer_idx", false)?;
    let tied = config.flag("tie_word_embeddings", true)?;
    config.only("reorder_and_upcast_attn", false)?;
    config.only("add_cross_attention", false)?;
    config.without_effect(&["n_ctx"]);

    let shape = Shape { d_model, d_mlp, heads, eps, activation, attn_dropout: attn, resid_dropout: resid };
    let scale_of = |layer: usize| {
        let scale = if scaled { 1.0 / (heads.d_head as f32).sqrt() } else { 1.0 };
        if by_layer { scale / (layer + 1) as f32 } else { scale }
    };

    let mut b = TreeBuilder::new("GPT2LMHeadModel", weights);
    let body = b.child("transformer", "GPT2Model", "", |b| {
        let module = b.id();
        let wte = Embedding::build(b, "wte", d_vocab, d_model, None)?;
        let wpe = Embedding::build(b, "wpe", n_ctx, d_model, None)?;
        let drop = Dropout::build(b, "drop", embd)?;
        let blocks = b.child("h", "ModuleList", "", |b| {
            (0..n_layers).map(|layer| shape.block(b, layer, scale_of(layer))).collect()
        })?;
        let ln_f = LayerNorm::build(b, "ln_f", d_model, eps)?;
        Ok(b.register(Body { module, wte, wpe, drop, blocks, ln_f, n_ctx }))
    })?;
    let embedding = body.wte.clone();
    let head = ("lm_head", Tied(tied), false);
    let parts = CausalLm::build(b, (body as Arc<dyn Layer>, &embedding), head, &SIGNATURE, Finish::Plain)?;
    let skeleton = Skeleton {
        model_type: "gpt2".into(),
        d_model,
        n_layers,
        n_heads,
        n_kv_heads: n_heads,
        d_head: heads.d_head,
        d_vocab,
        n_ctx: Some(n_ctx),
        blocks: "transformer.h".into(),
        attention: "attn".into(),
        final_norm: "transformer.ln_f".into(),
        unembedding: "lm_head".into(),
        embedding: "transformer.wte".into(),
        head_output: "attn.c_proj".into(),
        mlp: "mlp".into(),
    };
    Ok(Model::new(engine.clone(), parts, skeleton))
}
