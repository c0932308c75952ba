//! The root of every family: a body, and the unembedding of its last hidden states.

use std::sync::Arc;

use pellucid_nn::layers::{Embedding, Linear};
use pellucid_nn::{Args, Forward, Layer, ModuleId, Record, Result, TreeBuilder, Value, Var, layer};
use pellucid_tensor::DType;

use super::inputs::refuse;
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

layer!(CausalLm);

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
        if let (true, Value::Int(n @ 1..)) = (self.signature.keeps, args.get(usize::MAX, "logits_to_keep")) {
            let seq = hidden.get()?.dims()[1];
            let n = seq.min(n as usize);
            hidden = hidden.narrow(1, seq - n, n)?;
        }
        let logits = pass.call(&*self.head, Args::one(&hidden)).await?;
        let logits = self.finish.apply(&logits)?;
        Ok(Record::value(
            self.signature.output,
            [("logits", logits), ("past_key_values", field(&body, "past_key_values"))],
        ))
    }
}

/// Whether the unembedding is the embedding.
#[derive(Clone, Copy)]
pub(super) struct Tied(pub(super) bool);

impl Finish {
    fn apply(self, logits: &Value) -> Result<Value> {
        let x = match self {
            Finish::Plain => return Ok(logits.clone()),
            _ => tensor(logits)?.get()?,
        };
        match self {
            Finish::SoftCap(cap) => Ok(Value::Tensor(Var::new(x.div_scalar(cap)?.tanh()?.mul_scalar(cap)?))),
            // Without a conversion the output stays its module's storage.
            _ if x.dtype() == DType::F32 => Ok(logits.clone()),
            _ => Ok(Value::tensor(x.cast(DType::F32))),
        }
    }
}
