//! GPT-J (Wang and Komatsuzaki 2021), after `transformers.models.gptj`.

use std::sync::Arc;

use pellucid_nn::layers::{
    Activation, ActivationKind, AttentionArgs, AttentionCore, Dropout, Embedding, Heads, LayerNorm, Linear,
    RotaryAngles, RotaryScaling,
};
use pellucid_nn::{
    Args, Forward, Layer, Model, ModuleId, OpPlace, Ops, Record, Skeleton, TreeBuilder, Value, WeightSource,
    layer,
};
use pellucid_tensor::{Attention, DType, Engine, RotaryPairs, Scalar, Tensor};

use super::causal::{CausalLm, Finish, Signature, Tied};
use super::inputs::{Inputs, flag, mask};
use super::outputs::{Collected, first, item, tensor};
use super::places;
use crate::config::Config;
use crate::error::{ModelError, Result};

type NnResult<T> = pellucid_nn::Result<T>;

struct Body {
    module: ModuleId,
    wte: Arc<Embedding>,
    drop: Arc<Dropout>,
    blocks: Vec<Arc<Block>>,
    ln_f: Arc<LayerNorm>,
    n_ctx: usize,
}

struct Block {
    module: ModuleId,
    ln_1: Arc<LayerNorm>,
    attn: Arc<SelfAttention>,
    mlp: Arc<Mlp>,
}

struct SelfAttention {
    module: ModuleId,
    q_proj: Arc<Linear>,
    k_proj: Arc<Linear>,
    v_proj: Arc<Linear>,
    out_proj: Arc<Linear>,
    resid_dropout: Arc<Dropout>,
    heads: Heads,
    angles: RotaryAngles,
    core: AttentionCore,
}

struct Mlp {
    module: ModuleId,
    fc_in: Arc<Linear>,
    fc_out: Arc<Linear>,
    act: Arc<Activation>,
    dropout: Arc<Dropout>,
}

layer!(Body, Block, SelfAttention, Mlp);

impl Body {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let inputs = Inputs::read(&args, Some(self.n_ctx))?;
        let embedded = tensor(&pass.call(&*self.wte, Args::one(&inputs.ids)).await?)?;
        let mut hidden = tensor(&pass.call(&*self.drop, Args::one(&embedded)).await?)?;
        let mut collected = Collected::new(&inputs);
        for block in &self.blocks {
            collected.before(&hidden);
            let block_args = Args::default().with_all([
                ("hidden_states", Value::Tensor(hidden)),
                ("layer_past", Value::Cache(inputs.cache.clone())),
                ("attention_mask", inputs.mask.clone()),
                ("position_ids", Value::Tensor(inputs.position_ids.clone())),
                ("head_mask", Value::None),
                ("use_cache", Value::Bool(true)),
                ("output_attentions", Value::Bool(inputs.attentions)),
                ("cache_position", Value::Tensor(inputs.cache_position.clone())),
            ]);
            let output = pass.call(&**block, block_args).await?;
            hidden = first(&output)?;
            collected.after(&output, 2);
        }
        let last = pass.call(&*self.ln_f, Args::one(&hidden)).await?;
        // Without a cache of the caller's, the reference returns keys and values as tuples.
        let past = match args.cache("past_key_values") {
            Some(cache) => Value::Cache(cache),
            None => Value::tuple((0..self.blocks.len()).map(|layer| match inputs.cache.layer(layer) {
                Some((k, v)) => Value::tuple([Value::tensor(k), Value::tensor(v)]),
                None => Value::None,
            })),
        };
        Ok(Record::value("BaseModelOutputWithPast", collected.fields(last, past)))
    }

    fn places(&self) -> Vec<OpPlace> {
        Vec::new()
    }
}

impl Block {
    async fn run(&self, pass: &Forward<'_>, mut args: Args) -> NnResult<Value> {
        let residual = args.var(0, "hidden_states")?;
        let normed = tensor(&pass.call(&*self.ln_1, Args::one(&residual)).await?)?;
        args.positional.clear();
        args.named.retain(|(name, _)| *name != "hidden_states");
        args.named.insert(0, ("hidden_states", Value::Tensor(normed.clone())));
        let attended = pass.call(&*self.attn, args).await?;
        let fed = tensor(&pass.call(&*self.mlp, Args::one(&normed)).await?)?;
        let ops = Ops::of(pass, self.module);
        let both = ops.tensor("add_0", first(&attended)?.get()?.add(&fed.get()?)?).await?;
        let out = Value::Tensor(ops.fresh("add_1", both.add(&residual.get()?)?).await?);
        Ok(match item(&attended, 2) {
            Value::None => Value::tuple([out, item(&attended, 1)]),
            pattern => Value::tuple([out, item(&attended, 1), pattern]),
        })
    }

    fn places(&self) -> Vec<OpPlace> {
        places::parallel()
    }
}

impl SelfAttention {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let hidden = args.var(0, "hidden_states")?;
        let q = tensor(&pass.call(&*self.q_proj, Args::one(&hidden)).await?)?;
        let k = tensor(&pass.call(&*self.k_proj, Args::one(&hidden)).await?)?;
        let v = tensor(&pass.call(&*self.v_proj, Args::one(&hidden)).await?)?;
        let positions = args.var(usize::MAX, "position_ids")?.get()?;
        // Queries and keys are turned and compared in single precision, whatever the model's type.
        let (cos, sin) = self.angles.at(&positions, DType::F32)?;
        let (cos, sin) = (cos.unsqueeze(1)?, sin.unsqueeze(1)?);
        let ops = Ops::of(pass, self.module);
        let q = ops.tensor("transpose_0", self.heads.split(&q.get()?)?).await?;
        let k = ops.tensor("transpose_1", self.heads.split(&k.get()?)?).await?;
        let v = ops.tensor("transpose_2", self.heads.split(&v.get()?)?).await?;
        let turn = |x: Tensor| x.cast(DType::F32).rotary(&cos, &sin, RotaryPairs::Adjacent);
        let q = ops.tensor("rotary_0", turn(q)?).await?;
        let k = ops.tensor("rotary_1", turn(k)?).await?;
        let (cache, mask) = (args.cache("layer_past"), mask(&args)?);
        let pattern = flag(&args, "output_attentions")?;
        let core_args = AttentionArgs { mask: mask.as_ref(), cache: cache.as_deref(), pattern };
        let attended = self.core.attend(pass, ops, (q, k, v), core_args).await?;
        let projected = tensor(&pass.call(&*self.out_proj, Args::one(&attended.merged)).await?)?;
        let output = pass.call(&*self.resid_dropout, Args::one(&projected)).await?;
        let present = cache.map_or(Value::None, Value::Cache);
        Ok(match attended.pattern {
            None => Value::tuple([output, present]),
            Some(pattern) => Value::tuple([output, present, Value::tensor(pattern)]),
        })
    }

    fn places(&self) -> Vec<OpPlace> {
        self.core.places(&places::rotated())
    }
}

impl Mlp {
    async fn run(&self, pass: &Forward<'_>, args: Args) -> NnResult<Value> {
        let hidden = args.var(0, "hidden_states")?;
        let ops = Ops::of(pass, self.module);
        let wide = tensor(&pass.call(&*self.fc_in, Args::one(&hidden)).await?)?;
        let wide = ops.var("fc_in_0", wide).await?;
        let active = tensor(&pass.call(&*self.act, Args::one(&wide)).await?)?;
        let active = ops.var("act_0", active).await?;
        let narrow = tensor(&pass.call(&*self.fc_out, Args::one(&active)).await?)?;
        pass.call(&*self.dropout, Args::one(&narrow)).await
    }

    fn places(&self) -> Vec<OpPlace> {
        places::feed_forward("fc_in_0")
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
    angles: RotaryAngles,
}

impl Shape {
    fn block(&self, b: &mut TreeBuilder<'_>, layer: usize) -> NnResult<Arc<Block>> {
        b.child(layer.to_string(), "GPTJBlock", "", |b| {
            let module = b.id();
            let ln_1 = LayerNorm::build(b, "ln_1", self.d_model, self.eps)?;
            let attn = b.child("attn", "GPTJAttention", "", |b| self.attention(b, layer))?;
            let mlp = b.child("mlp", "GPTJMLP", "", |b| self.mlp(b))?;
            Ok(b.register(Block { module, ln_1, attn, mlp }))
        })
    }

    fn attention(&self, b: &mut TreeBuilder<'_>, layer: usize) -> NnResult<Arc<SelfAttention>> {
        let module = b.id();
        let attn_dropout = Dropout::build(b, "attn_dropout", self.attn_dropout)?;
        let resid_dropout = Dropout::build(b, "resid_dropout", self.resid_dropout)?;
        let k_proj = Linear::build(b, "k_proj", self.d_model, self.d_model, false)?;
        let v_proj = Linear::build(b, "v_proj", self.d_model, self.d_model, false)?;
        let q_proj = Linear::build(b, "q_proj", self.d_model, self.d_model, false)?;
        let out_proj = Linear::build(b, "out_proj", self.d_model, self.d_model, false)?;
        // The reference rounds the root to its default type, which is the weights' own.
        let root = Scalar::from((self.heads.d_head as f32).sqrt()).cast(self.angles.precision);
        let scale = 1.0 / root.to_f64() as f32;
        let spec = Attention { scale, causal: true, window: None, softcap: None };
        let core = AttentionCore { layer, spec, dropout: Some(attn_dropout) };
        let (heads, angles) = (self.heads, self.angles.clone());
        Ok(b.register(SelfAttention {
            module,
            q_proj,
            k_proj,
            v_proj,
            out_proj,
            resid_dropout,
            heads,
            angles,
            core,
        }))
    }

    fn mlp(&self, b: &mut TreeBuilder<'_>) -> NnResult<Arc<Mlp>> {
        let module = b.id();
        let fc_in = Linear::build(b, "fc_in", self.d_model, self.d_mlp, true)?;
        let fc_out = Linear::build(b, "fc_out", self.d_mlp, self.d_model, true)?;
        let act = Activation::build(b, "act", self.activation)?;
        let dropout = Dropout::build(b, "dropout", self.resid_dropout)?;
        Ok(b.register(Mlp { module, fc_in, fc_out, act, dropout }))
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
        ("use_cache", None),
        ("output_attentions", None),
        ("output_hidden_states", None),
        ("return_dict", Some(true)),
        ("cache_position", None),
    ],
    output: "CausalLMOutputWithPast",
    keeps: false,
};

/// Builds the family's model.
pub(super) fn build(config: &Config<'_>, weights: &mut dyn WeightSource, engine: &Engine) -> Result<Model> {
    let d_model = config.size("n_embd", 4096)?;
    let n_layers = config.layers("n_layer", 28)?;
    let n_heads = config.size("n_head", 16)?;
    let heads = config.even_heads("n_head", n_heads, d_model)?;
    let n_ctx = config.size("n_positions", 2048)?;
    let d_vocab = config.size("vocab_size", 50_400)?;
    let d_rotary = match config.nullable_size("rotary_dim", 64)? {
        Some(d) if d <= heads.d_head && d.is_multiple_of(2) => d,
        given => {
            return Err(ModelError::Invalid {
                attribute: "rotary_dim".into(),
                expected: format!("an even number of at most the {} channels of a head", heads.d_head),
                got: given.map_or("null".into(), |d| d.to_string()),
            });
        }
    };
    let mut shape = Shape {
        d_model,
        d_mlp: config.optional_size("n_inner")?.unwrap_or(4 * d_model),
        heads,
        eps: config.number("layer_norm_epsilon", 1e-5)?,
        activation: config.activation("activation_function", "gelu_new")?,
        attn_dropout: config.number("attn_pdrop", 0.0)?,
        resid_dropout: config.number("resid_pdrop", 0.0)?,
        angles: RotaryAngles {
            d_rotary,
            theta: 10_000.0,
            scaling: RotaryScaling::Default,
            precision: DType::F32,
        },
    };
    let embd_dropout = config.number("embd_pdrop", 0.0)?;
    let tied = config.flag("tie_word_embeddings", false)?;
    config.only("rotary", true)?;
    config.only("scale_attn_weights", true)?;
    config.without_effect(&["n_ctx"]);

    let mut b = TreeBuilder::new("GPTJForCausalLM", weights);
    let body = b.child("transformer", "GPTJModel", "", |b| {
        let module = b.id();
        let wte = Embedding::build(b, "wte", d_vocab, d_model, None)?;
        shape.angles.precision = wte.weight.get().dtype();
        let drop = Dropout::build(b, "drop", embd_dropout)?;
        let blocks =
            b.child("h", "ModuleList", "", |b| (0..n_layers).map(|layer| shape.block(b, layer)).collect())?;
        let ln_f = LayerNorm::build(b, "ln_f", d_model, shape.eps)?;
        Ok(b.register(Body { module, wte, drop, blocks, ln_f, n_ctx }))
    })?;
    let embedding = body.wte.clone();
    let head = ("lm_head", Tied(tied), true);
    let parts = CausalLm::build(b, (body as Arc<dyn Layer>, &embedding), head, &SIGNATURE, Finish::Single)?;
    let skeleton = Skeleton {
        model_type: "gptj".into(),
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
        head_output: "attn.out_proj".into(),
        mlp: "mlp".into(),
    };
    Ok(Model::new(engine.clone(), parts, skeleton))
}
