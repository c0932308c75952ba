//! The forward pass: calling modules, announcing their inputs and outputs, remembering what was built.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use pellucid_tensor::Tensor;
use rustc_hash::FxHashMap;

use crate::error::{NnError, Result};
use crate::model::{Layer, Model};
use crate::tree::ModuleId;
use crate::value::{Args, KvCache, Value};
use crate::var::Var;

/// A forward pass under construction.
pub type LayerFuture<'a> = Pin<Box<dyn Future<Output = Result<Value>> + 'a>>;

/// How far interventions reach into a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Neither the module nor anything inside is looked at.
    None,
    /// Something inside is.
    Inside,
    /// The module itself is.
    Here,
}

/// What looks at and changes a forward pass as it is built.
///
/// The poll methods are called at the module's inputs and output. `Pending` pauses the forward pass: it will be polled
/// again when something else has made progress.
pub trait Hooks {
    /// Whether anything is bound to the module or inside it.
    fn reach(&self, module: ModuleId) -> Reach;

    /// At a module's inputs, which may be changed. A value returned takes the place of running the module.
    fn poll_enter(&self, module: ModuleId, args: &mut Args) -> Poll<Result<Option<Value>>>;

    /// At a module's output, which may be changed.
    fn poll_exit(&self, module: ModuleId, output: &mut Value) -> Poll<Result<()>>;

    /// Whether a value inside a module, such as its attention pattern, is looked at.
    fn wants(&self, module: ModuleId, point: &str) -> bool;

    /// At a value inside a module.
    fn poll_inner(&self, module: ModuleId, point: &str, value: &mut Value) -> Poll<Result<()>>;
}

/// No interventions.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn reach(&self, _: ModuleId) -> Reach {
        Reach::None
    }
    fn poll_enter(&self, _: ModuleId, _: &mut Args) -> Poll<Result<Option<Value>>> {
        Poll::Ready(Ok(None))
    }
    fn poll_exit(&self, _: ModuleId, _: &mut Value) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn wants(&self, _: ModuleId, _: &str) -> bool {
        false
    }
    fn poll_inner(&self, _: ModuleId, _: &str, _: &mut Value) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a call is recognised by: the module, and for each argument its node or a small code.
type CallKey = (ModuleId, Vec<u64>);

/// What a remembered call gave.
struct Remembered {
    output: Value,
    /// Keys and values that the call put into the cache.
    cached: Vec<(usize, Tensor, Tensor)>,
    /// The arguments' tensors, held so that their numbers stay theirs.
    _args: Vec<Tensor>,
}

/// Outputs of modules called before on the same nodes, shared by all forward passes of a trace.
#[derive(Default)]
pub struct Memory {
    calls: RefCell<FxHashMap<CallKey, Remembered>>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} calls)", self.calls.borrow().len())
    }
}

/// One forward pass being built.
pub struct Forward<'a> {
    /// The model it runs.
    pub model: &'a Model,
    /// What looks at it.
    pub hooks: &'a dyn Hooks,
    /// What earlier passes of the trace built.
    pub memory: Option<&'a Memory>,
}

impl<'a> Forward<'a> {
    /// Calls a module: announces its inputs, runs it unless a value takes its place, announces its output.
    ///
    /// # Errors
    /// Whatever the module or the hooks return, with the path of the innermost module.
    pub async fn call(&self, layer: &dyn Layer, mut args: Args) -> Result<Value> {
        let id = layer.module();
        let reach = self.hooks.reach(id);
        if reach == Reach::None {
            return self.run_remembered(layer, args).await;
        }
        let mut replaced = None;
        if reach == Reach::Here {
            replaced = poll_fn(|_| self.hooks.poll_enter(id, &mut args)).await?;
        }
        let mut output = match replaced {
            Some(value) => value,
            None => layer.forward(self, args).await.map_err(|e| self.locate(id, e))?,
        };
        if reach == Reach::Here {
            poll_fn(|_| self.hooks.poll_exit(id, &mut output)).await?;
        }
        Ok(output)
    }

    /// Announces a value inside a module.
    ///
    /// # Errors
    /// Whatever the hooks return.
    pub async fn inner(&self, module: ModuleId, point: &str, tensor: Tensor) -> Result<Tensor> {
        if !self.hooks.wants(module, point) {
            return Ok(tensor);
        }
        let mut value = Value::tensor(tensor);
        poll_fn(|_| self.hooks.poll_inner(module, point, &mut value)).await?;
        match value {
            Value::Tensor(var) => Ok(var.get()?),
            other => Err(NnError::Argument {
                module: self.model.tree().node(module).path.clone(),
                argument: "value",
                expected: "a tensor",
                got: other.kind(),
            }),
        }
    }

    async fn run_remembered(&self, layer: &dyn Layer, args: Args) -> Result<Value> {
        let id = layer.module();
        let run = async |args| layer.forward(self, args).await.map_err(|e| self.locate(id, e));
        // Small modules are as quickly built as recognised.
        let Some(memory) = self.memory.filter(|_| !self.model.tree().node(id).children.is_empty()) else {
            return run(args).await;
        };
        let Some((key, tensors, cache)) = call_key(id, &args) else { return run(args).await };
        if let Some(known) = memory.calls.borrow().get(&key) {
            for (layer, k, v) in &known.cached {
                if let Some(cache) = &cache {
                    cache.set_layer(*layer, k.clone(), v.clone());
                }
            }
            return Ok(refreshed(&known.output));
        }
        let before: Vec<Tensor> = cache.as_ref().map(|c| c.tensors()).unwrap_or_default();
        let mut own: Vec<Var> = Vec::new();
        args.positional.iter().chain(args.named.iter().map(|(_, v)| v)).for_each(|v| {
            v.for_each_var(&mut |var| own.push(var.clone()));
        });
        let output = run(args).await?;
        let mut aliases = false;
        output.for_each_var(&mut |var| aliases |= own.iter().any(|o| o.same_storage(var)));
        if !aliases && is_plain(&output) {
            let cached = cache.map(|c| changes(&c, &before)).unwrap_or_default();
            let kept = Remembered { output: refreshed(&output), cached, _args: tensors };
            memory.calls.borrow_mut().insert(key, kept);
        }
        Ok(output)
    }

    fn locate(&self, id: ModuleId, error: NnError) -> NnError {
        let path = || match self.model.tree().node(id).path.as_str() {
            "" => "the model".to_owned(),
            path => path.to_owned(),
        };
        match error {
            NnError::Tensor { module, source } if module.is_empty() => {
                NnError::Tensor { module: path(), source }
            }
            NnError::Argument { module, argument, expected, got } if module.is_empty() => {
                NnError::Argument { module: path(), argument, expected, got }
            }
            other => other,
        }
    }
}

/// What the call is recognised by, the tensors in it, and its cache; `None` if it cannot be recognised.
fn call_key(id: ModuleId, args: &Args) -> Option<(CallKey, Vec<Tensor>, Option<Rc<KvCache>>)> {
    fn push(value: &Value, key: &mut Vec<u64>, tensors: &mut Vec<Tensor>) -> Option<()> {
        match value {
            Value::None => key.push(u64::MAX),
            Value::Bool(b) => key.push(u64::MAX - 1 - u64::from(*b)),
            Value::Int(i) => key.extend([u64::MAX - 3, *i as u64]),
            Value::Tensor(var) => {
                let tensor = var.get().ok()?;
                key.push(tensor.id());
                tensors.push(tensor);
            }
            Value::Tuple(items) => {
                key.extend([u64::MAX - 4, items.len() as u64]);
                items.iter().try_for_each(|v| push(v, key, tensors))?;
            }
            // An empty cache only receives.
            Value::Cache(_) => key.push(u64::MAX - 5),
            _ => return None,
        }
        Some(())
    }
    let (mut key, mut tensors, mut cache) = (Vec::new(), Vec::new(), None);
    for value in args.positional.iter().chain(args.named.iter().map(|(_, v)| v)) {
        if let Value::Cache(c) = value {
            cache = Some(c.clone());
        }
        push(value, &mut key, &mut tensors)?;
    }
    for (name, _) in &args.named {
        key.push(name.as_ptr() as u64);
    }
    // A pass that sees earlier tokens depends on more than its arguments.
    if cache.as_ref().is_some_and(|c| c.past_len() > 0) {
        return None;
    }
    Some(((id, key), tensors, cache))
}

/// Layers of the cache that were not there before.
fn changes(cache: &KvCache, before: &[Tensor]) -> Vec<(usize, Tensor, Tensor)> {
    let mut found = Vec::new();
    let n_layers = cache.tensors().len();
    for layer in 0..n_layers {
        if let Some((k, v)) = cache.layer(layer)
            && !before.iter().any(|t| t.same_node(&k))
        {
            found.push((layer, k, v));
        }
    }
    found
}

/// Whether the value consists of tensors and tuples only, which can be given out again.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Tensor(_) | Value::None | Value::Cache(_) => true,
        Value::Tuple(items) => items.iter().all(is_plain),
        _ => false,
    }
}

/// The same nodes in new storages, so that a later write stays with its own forward pass.
fn refreshed(value: &Value) -> Value {
    match value {
        Value::Tensor(var) => match var.get() {
            Ok(tensor) => Value::tensor(tensor),
            Err(_) => value.clone(),
        },
        Value::Tuple(items) => Value::tuple(items.iter().map(refreshed)),
        other => other.clone(),
    }
}
