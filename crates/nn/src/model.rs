//! A model: its tree, its layers, and how its root is called.

use std::rc::Rc;
use std::sync::Arc;

use pellucid_tensor::{Engine, Tensor};

use crate::error::{NnError, Result};
use crate::forward::{Forward, LayerFuture, NoHooks};
use crate::ops::OpPlace;
use crate::tree::{ModuleId, ModuleTree};
use crate::value::{Args, KvCache, Value};
use crate::weights::Parameter;

/// A module that can be called.
pub trait Layer: Send + Sync {
    /// Its place in the tree.
    fn module(&self) -> ModuleId;

    /// Builds what the module computes from its arguments.
    fn forward<'a>(&'a self, pass: &'a Forward<'a>, args: Args) -> LayerFuture<'a>;

    /// The operations that it announces, in the order of its forward code.
    fn ops(&self) -> Vec<OpPlace> {
        Vec::new()
    }

    /// Names of the options that a program can give a forward pass, such as `labels`; a model's root has some.
    fn options(&self) -> &'static [&'static str] {
        &[]
    }
}

/// What stays the same over all passes of a model: sizes, in the field's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skeleton {
    /// Hugging Face's name of the family, such as `gpt2`.
    pub model_type: String,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// Query heads of a block.
    pub n_heads: usize,
    /// Key and value heads of a block.
    pub n_kv_heads: usize,
    /// Channels of a head.
    pub d_head: usize,
    /// Entries of the vocabulary, padding entries included.
    pub d_vocab: usize,
    /// Positions, if the model has a limit.
    pub n_ctx: Option<usize>,
    /// Path of the list of blocks, such as `transformer.h`.
    pub blocks: String,
    /// Name of the attention module in a block, such as `attn`.
    pub attention: String,
    /// Path of the last norm.
    pub final_norm: String,
    /// Path of the unembedding.
    pub unembedding: String,
    /// Path of the token embedding.
    pub embedding: String,
    /// Module of a block whose input is `[batch, seq, n_heads * d_head]`, the heads' outputs side by side.
    pub head_output: String,
    /// Name of the feed-forward module in a block.
    pub mlp: String,
}

/// A language model: module tree, layers, sizes.
pub struct Model {
    engine: Engine,
    tree: ModuleTree,
    /// By module; lists of modules have none.
    layers: Vec<Option<Arc<dyn Layer>>>,
    /// By module: whether a trace remembers what it gave.
    remembered: Vec<bool>,
    /// By module: the operations it announces.
    ops: Vec<Vec<OpPlace>>,
    skeleton: Skeleton,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.tree.printout())
    }
}

impl Model {
    /// Puts a model together from what a [`crate::TreeBuilder`] finished.
    #[must_use]
    pub fn new(
        engine: Engine,
        (tree, layers): (ModuleTree, Vec<Arc<dyn Layer>>),
        skeleton: Skeleton,
    ) -> Model {
        let mut by_module: Vec<Option<Arc<dyn Layer>>> = vec![None; tree.iter().count()];
        for layer in layers {
            let at = layer.module().0 as usize;
            by_module[at] = Some(layer);
        }
        let mut remembered: Vec<bool> = tree.iter().map(|(_, node)| !node.children.is_empty()).collect();
        for list in tree.iter().map(|(id, _)| id).filter(|id| by_module[id.0 as usize].is_none()) {
            let mut around = Some(list);
            while let Some(id) = around {
                remembered[id.0 as usize] = false;
                around = tree.node(id).parent;
            }
        }
        let ops = by_module.iter().map(|layer| layer.as_ref().map_or_else(Vec::new, |l| l.ops())).collect();
        Model { engine, tree, layers: by_module, remembered, ops, skeleton }
    }

    /// A model without modules, for programs that only compute.
    #[must_use]
    pub fn empty(engine: &Engine) -> Model {
        let mut weights =
            crate::UnloadedWeights { engine: engine.clone(), dtype: pellucid_tensor::DType::F32 };
        let parts = crate::TreeBuilder::new("Module", &mut weights).finish();
        Model::new(engine.clone(), parts, Skeleton::default())
    }

    /// Owner of the model's tensors.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The module tree.
    #[must_use]
    pub fn tree(&self) -> &ModuleTree {
        &self.tree
    }

    /// Sizes and places.
    #[must_use]
    pub fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }

    /// The layer of a module; `None` for a list of modules.
    #[must_use]
    pub fn layer(&self, id: ModuleId) -> Option<&Arc<dyn Layer>> {
        self.layers.get(id.0 as usize)?.as_ref()
    }

    /// The operations inside a module that can be read and replaced, in the order of its forward code.
    #[must_use]
    pub fn ops(&self, id: ModuleId) -> &[OpPlace] {
        self.ops.get(id.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The operation inside a module that goes by a label or by a name such as `query`.
    #[must_use]
    pub fn op(&self, id: ModuleId, name: &str) -> Option<&OpPlace> {
        self.ops(id).iter().find(|op| op.is_called(name))
    }

    /// Names of the options that a program can give a forward pass.
    #[must_use]
    pub fn options(&self) -> &'static [&'static str] {
        self.layer(self.tree.root()).map_or(&[], |root| root.options())
    }

    /// Whether a trace remembers what the module gave: a block, or a part of one that has modules inside.
    ///
    /// Modules without modules inside are as quickly built as recognised, and what holds a list of blocks would stand
    /// in the way of forward passes that agree in the first blocks only.
    #[must_use]
    pub fn is_remembered(&self, id: ModuleId) -> bool {
        self.remembered[id.0 as usize]
    }

    /// All parameters, tied ones once.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        self.tree.parameters()
    }

    /// The arguments a language model's root is called with, as the reference's data preparation makes them.
    #[must_use]
    pub fn root_args(ids: Tensor, mask: Option<Tensor>, cache: Option<Rc<KvCache>>) -> Args {
        let mut args = Args::default().with("input_ids", Value::tensor(ids));
        args = args.with("attention_mask", mask.map_or(Value::None, Value::tensor));
        args = args.with("labels", Value::None);
        match cache {
            Some(cache) => args.with("past_key_values", Value::Cache(cache)),
            None => args,
        }
    }

    /// Builds a whole forward pass without interventions.
    ///
    /// # Errors
    /// Whatever a module returns.
    pub fn forward(&self, args: Args) -> Result<Value> {
        let pass = Forward { model: self, hooks: &NoHooks, memory: None };
        let root =
            self.layer(self.tree.root()).ok_or_else(|| NnError::MissingWeight { name: "root".into() })?;
        let future = std::pin::pin!(pass.call(&**root, args));
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => unreachable!("nothing to wait for without hooks"),
        }
    }

    /// Logits `[batch, seq, d_vocab]` of token ids `[batch, seq]`, unevaluated.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn logits(&self, ids: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let output = self.forward(Model::root_args(ids.clone(), mask.cloned(), None))?;
        let logits = match &output {
            Value::Record(record) => record.get("logits"),
            _ => None,
        };
        match logits {
            Some(Value::Tensor(var)) => Ok(var.get()?),
            _ => Err(NnError::Argument {
                module: "the model".into(),
                argument: "output",
                expected: "a record with logits",
                got: output.kind(),
            }),
        }
    }
}
