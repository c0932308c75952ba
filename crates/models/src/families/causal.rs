//! The root of every family: a body, and the unembedding of its last hidden states.

use std::sync::Arc;

use pellucid_nn::layers::{Embedding, Linear};
use pellucid_nn::{
    Args, Forward, Layer, LayerFuture, ModuleId, OpPlace, Ops, Record, Result, TreeBuilder, Value,
};
use pellucid_tensor::{DType, Reduction, Tensor};

use super::inputs::{argument, refuse};
use super::outputs::{field, tensor};

/// How the reference's root calls its body, and what it returns.
pub(super) struct Signature {
    /// Whether the token ids are a positional argument.
    pub(super) positional_ids: bool,
    /// Named arguments in order: handed on from the root's own if given there, else this.
    pub(super) arguments: &'static [(&'static str, Option<bool>)],
    /// Class of the root's output.
    pub(super) output: &'static str,
    /// Whether `logits_to_keep` limits the unembedding to the last positions.
    pub(super) keeps: bool,
}

/// What happens to the logits after the unembedding.
#[derive(Clone, Copy)]
pub(super) enum Finish {
    /// Nothing.
    Plain,
    /// Single precision, whatever the model's type.
    Single,
    /// `cap * tanh(logits / cap)`.
    SoftCap(f64),
}

/// A causal language model.
pub(super) struct CausalLm {
    module: ModuleId,
    body: Arc<dyn Layer>,
    head: Arc<Linear>,
    signature: &'static Signature,
    finish: Finish,
}

/// Options of every forward pass.
const OPTIONS: &[&str] =
    &["labels", "output_attentions", "output_hidden_states", "position_ids", "logits_to_keep"];

impl Layer for CausalLm {
    fn module(&self) -> ModuleId {
        self.module
    }

    fn forward<'a>(&'a self, pass: &'a Forward<'a>, args: Args) -> LayerFuture<'a> {
        LayerFuture::running(pass, self.module, async move || self.run(pass, args).await)
    }

    fn ops(&self) -> Vec<OpPlace> {
        const HIDDEN: &[&str] = &["batch", "seq", "d_model"];
        let kept = OpPlace::new("slice_0", "the hidden states that are unembedded", HIDDEN);
        let mut places = if self.signature.keeps { vec![kept] } else { Vec::new() };
        places.extend(self.finish.places());
        places
    }

    fn options(&self) -> &'static [&'static str] {
        if self.signature.keeps { OPTIONS } else { &OPTIONS[..OPTIONS.len() - 1] }
    }
}

impl CausalLm {
    /// Makes the root of the tree: `head` is the unembedding's name, `bias` whether it has one; its weight is the
    /// embedding's if `tied`.
    pub(super) fn build(
        mut b: TreeBuilder<'_>,
        (body, embedding): (Arc<dyn Layer>, &Embedding),
        head: (&str, Tied, bool),
        signature: &'static Signature,
        finish: Finish,
    ) -> Result<(pellucid_nn::ModuleTree, Vec<Arc<dyn Layer>>)> {
        let module = b.id();
        let (name, tied, bias) = head;
        let head = if tied.0 {
            Linear::tied(&mut b, name, &embedding.weight, bias)?
        } else {
            let (d_vocab, d_model) = (embedding.weight.get().dims()[0], embedding.weight.get().dims()[1]);
            Linear::build(&mut b, name, d_model, d_vocab, bias)?
        };
        b.register(CausalLm { module, body, head, signature, finish });
        Ok(b.finish())
    }

    async fn run(&self, pass: &Forward<'_>, args: Args) -> Result<Value> {
        refuse(&args)?;
        let ops = Ops::of(pass, self.module);
        let ids = args.get(0, "input_ids");
        let mut inner = if self.signature.positional_ids {
            Args::default().and(ids)
        } else {
            Args::default().with("input_ids", ids)
        };
        for &(name, default) in self.signature.arguments {
            let value = match args.get(usize::MAX, name) {
                Value::None => default.map_or(Value::None, Value::Bool),
                given => given,
            };
            inner = inner.with(name, value);
        }
        let body = pass.call(&*self.body, inner).await?;
        let mut hidden = tensor(&field(&body, "last_hidden_state"))?;
        let dtype = hidden.get()?.dtype();
        if self.signature.keeps {
            if let Value::Int(n @ 1..) = args.get(usize::MAX, "logits_to_keep") {
                let seq = hidden.get()?.dims()[1];
                let n = seq.min(n as usize);
                hidden = hidden.narrow(1, seq - n, n)?;
            }
            hidden = ops.var("slice_0", hidden).await?;
        }
        let logits = pass.call(&*self.head, Args::one(&hidden)).await?;
        let logits = self.finish.apply(ops, logits).await?;
        let mut fields = Vec::with_capacity(4);
        if let Some(labels) = args.optional_var(usize::MAX, "labels")? {
            let loss = loss(&tensor(&logits)?.get()?, &labels.get()?)?;
            let loss = if matches!(self.finish, Finish::Single) { loss.cast(dtype) } else { loss };
            fields.push(("loss", Value::tensor(loss)));
        }
        fields.extend([("logits", logits), ("past_key_values", field(&body, "past_key_values"))]);
        for name in ["hidden_states", "attentions"] {
            match field(&body, name) {
                Value::None => {}
                given => fields.push((name, given)),
            }
        }
        Ok(Record::value(self.signature.output, fields))
    }
}

/// The mean cross entropy of each position's logits `[batch, seq, d_vocab]` with the next position's label
/// `[batch, seq]`, in single precision; labels of -100 do not count.
fn loss(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    if labels.dims() != &logits.dims()[..2] || labels.dtype().is_float() {
        let expected = "a token id for each of the logits, of shape [batch, seq]";
        return Err(argument("labels", expected, &Value::tensor(labels.clone())));
    }
    let (d_vocab, n) = (logits.dims()[2] as i64, logits.dims()[1].saturating_sub(1));
    let scores = logits.narrow(1, 0, n)?.cast(DType::F32).reshape(&[-1, d_vocab])?;
    let next = labels.narrow(1, (labels.dims()[1] - n) as i64, n)?.reshape(&[-1])?;
    Ok(scores.cross_entropy(&next, -100, Reduction::Mean)?)
}

/// Whether the unembedding is the embedding.
#[derive(Clone, Copy)]
pub(super) struct Tied(pub(super) bool);

impl Finish {
    async fn apply(self, ops: Ops<'_>, logits: Value) -> Result<Value> {
        let given = match logits {
            Value::Tensor(var) => var,
            // Whatever was put in place of the unembedding's output goes out as it is.
            other if matches!(self, Finish::Plain) => return Ok(other),
            other => tensor(&other)?,
        };
        Ok(Value::Tensor(match self {
            Finish::Plain => ops.var("logits", given).await?,
            Finish::SoftCap(cap) => {
                let x = ops.tensor("div_0", given.get()?.div_scalar(cap)?).await?;
                let x = ops.tensor("tanh_0", x.tanh()?).await?;
                ops.fresh("mul_0", x.mul_scalar(cap)?).await?
            }
            // Without a conversion the output stays its module's storage.
            Finish::Single if given.get()?.dtype() == DType::F32 => ops.var("to_0", given).await?,
            Finish::Single => ops.fresh("to_0", given.get()?.cast(DType::F32)).await?,
        }))
    }

    fn places(self) -> Vec<OpPlace> {
        const LOGITS: &[&str] = &["batch", "seq", "d_vocab"];
        match self {
            Finish::Plain => vec![OpPlace::new("logits", "the logits", LOGITS)],
            Finish::Single => {
                vec![OpPlace::new("to_0", "the logits, in single precision", LOGITS).named("logits")]
            }
            Finish::SoftCap(_) => vec![
                OpPlace::new("div_0", "the unembedding's output over the cap", LOGITS),
                OpPlace::new("tanh_0", "its hyperbolic tangents", LOGITS),
                OpPlace::new("mul_0", "the logits, capped", LOGITS).named("logits"),
            ],
        }
    }
}
