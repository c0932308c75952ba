//! The forward pass: calling modules, announcing their inputs and outputs, remembering what was built.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pellucid_tensor::Tensor;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::error::{NnError, Result};
use crate::model::{Layer, Model};
use crate::tree::ModuleId;
use crate::value::{Args, KvCache, Value};
use crate::var::Var;

/// A module's output, once everything it has to wait for is there.
///
/// A module without modules inside has nothing to wait for: its output is there at once, without an allocation.
pub struct LayerFuture<'a> {
    state: State<'a>,
}

enum State<'a> {
    Built(Value),
    Running(Pin<Box<dyn Future<Output = Result<Value>> + 'a>>),
}

impl<'a> LayerFuture<'a> {
    /// The output of `module`, built by calling other modules. Errors get the module's path.
    pub fn running(
        pass: &'a Forward<'a>,
        module: ModuleId,
        output: impl AsyncFnOnce() -> Result<Value> + 'a,
    ) -> LayerFuture<'a> {
        LayerFuture::boxed(async move { output().await.map_err(|e| pass.locate(module, e)) })
    }

    /// The output of `module`, built already. An error gets the module's path.
    pub fn built(pass: &Forward<'_>, module: ModuleId, output: Result<Value>) -> LayerFuture<'a> {
        match output {
            Ok(value) => LayerFuture { state: State::Built(value) },
            Err(error) => LayerFuture::boxed(std::future::ready(Err(pass.locate(module, error)))),
        }
    }

    fn boxed(future: impl Future<Output = Result<Value>> + 'a) -> LayerFuture<'a> {
        LayerFuture { state: State::Running(Box::pin(future)) }
    }
}

impl Future for LayerFuture<'_> {
    type Output = Result<Value>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Value>> {
        match &mut self.state {
            State::Built(value) => Poll::Ready(Ok(std::mem::take(value))),
            State::Running(future) => future.as_mut().poll(context),
        }
    }
}

impl std::fmt::Debug for LayerFuture<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.state {
            State::Built(value) => f.debug_tuple("LayerFuture").field(value).finish(),
            State::Running(_) => f.write_str("LayerFuture(..)"),
        }
    }
}

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

    /// Whether any operation inside a module is looked at. It can be, only where the module itself is.
    fn watches(&self, module: ModuleId) -> bool {
        self.reach(module) == Reach::Here
    }

    /// Whether an operation inside a module, by its label, is looked at.
    fn wants(&self, module: ModuleId, label: &'static str) -> bool;

    /// At the result of an operation inside a module, which may be changed.
    fn poll_inner(&self, module: ModuleId, label: &'static str, value: &mut Value) -> Poll<Result<()>>;
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
    fn watches(&self, _: ModuleId) -> bool {
        false
    }
    fn wants(&self, _: ModuleId, _: &'static str) -> bool {
        false
    }
    fn poll_inner(&self, _: ModuleId, _: &'static str, _: &mut Value) -> Poll<Result<()>> {
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

impl Memory {
    /// The number of calls remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.borrow().len()
    }

    /// Whether no call is remembered yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} calls)", self.len())
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
    /// The future gives whatever the module or the hooks return, with the path of the innermost module.
    pub fn call<'b>(&'b self, layer: &'b dyn Layer, args: Args) -> LayerFuture<'b> {
        let id = layer.module();
        match (self.hooks.reach(id), self.memory) {
            (Reach::None, Some(memory)) if self.model.is_remembered(id) => {
                self.remembered(memory, layer, args)
            }
            (Reach::None | Reach::Inside, _) => layer.forward(self, args),
            (Reach::Here, _) => LayerFuture::boxed(self.announced(layer, args)),
        }
    }

    /// Runs a module that is looked at.
    async fn announced(&self, layer: &dyn Layer, mut args: Args) -> Result<Value> {
        let id = layer.module();
        let mut output = match poll_fn(|_| self.hooks.poll_enter(id, &mut args)).await? {
            Some(value) => value,
            None => layer.forward(self, args).await?,
        };
        poll_fn(|_| self.hooks.poll_exit(id, &mut output)).await?;
        Ok(output)
    }

    /// Runs a module that nobody looks at, or gives out what it gave before on the same nodes.
    fn remembered<'b>(&'b self, memory: &'b Memory, layer: &'b dyn Layer, args: Args) -> LayerFuture<'b> {
        let Some(call) = Call::recognise(layer.module(), &args) else { return layer.forward(self, args) };
        if let Some(known) = memory.calls.borrow().get(&call.key) {
            if let Some(cache) = &call.cache {
                for (layer, k, v) in &known.cached {
                    cache.set_layer(*layer, k.clone(), v.clone());
                }
            }
            return LayerFuture { state: State::Built(refreshed(&known.output)) };
        }
        LayerFuture::boxed(async move {
            let before = call.cache.as_ref().map_or(0, |c| c.writes());
            // Nothing inside needs to be remembered beside the whole.
            let inside = Forward { memory: None, ..*self };
            let output = layer.forward(&inside, args).await?;
            let mut aliases = false;
            output.for_each_var(&mut |var| aliases |= call.vars.iter().any(|own| own.same_storage(var)));
            if !aliases && is_plain(&output) {
                let cached = call.cache.map(|c| c.written_since(before)).unwrap_or_default();
                let kept = Remembered { output: refreshed(&output), cached, _args: call.tensors };
                memory.calls.borrow_mut().insert(call.key, kept);
            }
            Ok(output)
        })
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

/// A call that may have been made before.
struct Call {
    key: CallKey,
    /// The tensors among the arguments, and the nodes they are.
    vars: SmallVec<[Var; 4]>,
    tensors: Vec<Tensor>,
    cache: Option<Rc<KvCache>>,
}

impl Call {
    /// What the call is recognised by; `None` if its output depends on more than that.
    fn recognise(id: ModuleId, args: &Args) -> Option<Call> {
        let key = (id, Vec::with_capacity(2 * (args.positional.len() + args.named.len())));
        let mut call = Call { key, vars: SmallVec::new(), tensors: Vec::new(), cache: None };
        for value in args.positional.iter().chain(args.named.iter().map(|(_, v)| v)) {
            if let Value::Cache(cache) = value {
                call.cache = Some(cache.clone());
            }
            call.add(value)?;
        }
        call.key.1.extend(args.named.iter().map(|(name, _)| name.as_ptr() as u64));
        // A pass that sees earlier tokens depends on more than its arguments.
        if call.cache.as_ref().is_some_and(|c| c.past_len() > 0) {
            return None;
        }
        Some(call)
    }

    fn add(&mut self, value: &Value) -> Option<()> {
        let key = &mut self.key.1;
        match value {
            Value::None => key.push(u64::MAX),
            Value::Bool(b) => key.push(u64::MAX - 1 - u64::from(*b)),
            Value::Int(i) => key.extend([u64::MAX - 3, *i as u64]),
            Value::Tensor(var) => {
                let tensor = var.get().ok()?;
                key.push(tensor.id());
                self.tensors.push(tensor);
                self.vars.push(var.clone());
            }
            Value::Tuple(items) => {
                key.extend([u64::MAX - 4, items.len() as u64]);
                items.iter().try_for_each(|v| self.add(v))?;
            }
            // An empty cache only receives.
            Value::Cache(_) => key.push(u64::MAX - 5),
            _ => return None,
        }
        Some(())
    }
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
