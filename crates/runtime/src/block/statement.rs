//! Carrying out one statement that is not bound to a place.

use std::cell::RefCell;
use std::rc::Rc;

use pellucid_nn::forward::NoHooks;
use pellucid_nn::{Args, Forward, Record, Value, Var};
use pellucid_program::{Arg, Dtype, Kind, NodeId, RegionKind, StopScope, effects, is_container_write};
use pellucid_tensor::{DType, HostData, Tensor};

use super::Block;
use crate::error::{Result, RunError, RunErrorKind, from_model};
use crate::run::LogLine;
use crate::{ops, training};

/// The arguments of an operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments {
    positional: Vec<Value>,
    named: Vec<(String, Value)>,
}

impl Arguments {
    pub(super) fn first(mut self) -> Value {
        if self.positional.is_empty() { Value::None } else { self.positional.swap_remove(0) }
    }

    fn tensors(&self) -> Result<Vec<Tensor>> {
        let mut all = Vec::new();
        let mut fault = Ok(());
        for value in self.positional.iter().chain(self.named.iter().map(|(_, v)| v)) {
            value.for_each_var(&mut |var| match var.get() {
                Ok(tensor) => all.push(tensor),
                Err(e) => fault = Err(e),
            });
        }
        fault?;
        Ok(all)
    }

    /// The same values in storages of their own, which later writes do not reach.
    fn frozen(self) -> Result<Arguments> {
        let fix = |value: Value| match &value {
            Value::Tensor(var) => Ok(Value::Tensor(Var::new(var.get()?))),
            _ => Ok::<_, RunError>(value),
        };
        Ok(Arguments {
            positional: self.positional.into_iter().map(fix).collect::<Result<_>>()?,
            named: self.named.into_iter().map(|(n, v)| Ok((n, fix(v)?))).collect::<Result<_>>()?,
        })
    }
}

/// The value as it is now, which later writes do not reach.
fn snapshot(value: Value) -> Result<Value> {
    let each = |items: &[Value]| items.iter().map(|v| snapshot(v.clone())).collect::<Result<Vec<_>>>();
    Ok(match &value {
        Value::Tensor(var) => Value::tensor(var.get()?),
        Value::Tuple(items) => Value::tuple(each(items)?),
        Value::List(items) => Value::list(each(&items.borrow())?),
        Value::Dict(pairs) => {
            let fixed = |(k, v): &(Value, Value)| Ok((k.clone(), snapshot(v.clone())?));
            let pairs = pairs.borrow().iter().map(fixed).collect::<Result<Vec<_>>>()?;
            Value::Dict(Rc::new(RefCell::new(pairs)))
        }
        Value::Record(record) => {
            let fixed = |(name, v): &(Rc<str>, Value)| Ok((name.clone(), snapshot(v.clone())?));
            let fields = record.fields.borrow().iter().map(fixed).collect::<Result<Vec<_>>>()?;
            Value::Record(Rc::new(Record { type_name: record.type_name, fields: fields.into() }))
        }
        _ => value,
    })
}

/// Whether an operation's result is a number, a string or a list of them, so that its argument must be computed.
fn needs_values(name: &str) -> bool {
    matches!(
        name,
        "item"
            | "tolist"
            | "builtins.int"
            | "builtins.float"
            | "builtins.bool"
            | "builtins.any"
            | "builtins.all"
            | "str"
            | "format"
            | "str.format"
            | "contains"
            | "nonzero"
            | "argwhere"
            | "unique"
            | "bincount"
            | "masked_select"
            | "equal"
            | "allclose"
            | "is_nonzero"
            | "range"
            | "sorted"
            | "list.sort"
    )
}

impl Block<'_> {
    /// Whether a statement that is ready has to wait for computed values, or behind one that does.
    ///
    /// What all forward passes wait for is computed together when none of them can go on.
    pub(super) fn must_wait(&self, node: NodeId) -> Result<bool> {
        if !self.state.explain && (self.is_root() || self.state.scan) {
            return Ok(false);
        }
        let kind = &self.node(node).kind;
        if self.stalled.borrow().contains_key(&node) {
            let arguments = self.stalled.borrow()[&node].tensors()?;
            return Ok(!arguments.iter().all(Tensor::is_evaluated));
        }
        let effects = effects(kind);
        let container = matches!(kind, Kind::Op { name, .. } if is_container_write(name));
        if (effects.external || effects.control || container)
            && self.stalled.borrow().keys().any(|&s| self.rank(s) < self.rank(node))
        {
            self.held.borrow_mut().push(node);
            return Ok(true);
        }
        let arguments = match kind {
            Kind::Op { name, args, kwargs } if needs_values(name) => self.arguments(args, kwargs)?,
            Kind::Host { args, .. } => {
                if self.state.explain {
                    self.state.planned.borrow_mut().extend(self.arguments(args, &[])?.tensors()?);
                    self.state.needs_value(
                        Some(node),
                        "the host's function is not called: what follows is not counted",
                    );
                    self.state.cut_short.set(true);
                    return Ok(true);
                }
                self.arguments(args, &[])?
            }
            Kind::RegionRef(region) => match &self.program.regions[region.index()].kind {
                RegionKind::Cond { condition: Some(condition), .. } => {
                    self.arguments(std::slice::from_ref(condition), &[])?
                }
                _ => return Ok(false),
            },
            _ => return Ok(false),
        };
        let tensors = arguments.tensors()?;
        if tensors.iter().all(Tensor::is_evaluated) {
            return Ok(false);
        }
        if self.state.explain {
            self.state.planned.borrow_mut().extend(tensors);
            if matches!(kind, Kind::RegionRef(_)) {
                self.state.needs_value(Some(node), "depends on a computed value: both branches are counted");
                return Ok(false);
            }
            self.state.needs_value(Some(node), "depends on a computed value: what follows is not counted");
            self.give_up(node);
            return Ok(true);
        }
        self.wanted.borrow_mut().extend(tensors);
        self.stalled.borrow_mut().insert(node, arguments.frozen()?);
        Ok(true)
    }

    /// Statements whose values have been computed go on.
    pub(super) fn resume(&self) -> Result<()> {
        let held = std::mem::take(&mut *self.held.borrow_mut());
        let stalled: Vec<NodeId> = self.stalled.borrow().keys().copied().collect();
        let mut ready = self.ready.borrow_mut();
        for node in held.into_iter().chain(stalled) {
            ready.push(std::cmp::Reverse((self.rank(node), node)));
        }
        drop(ready);
        self.run_ready()
    }

    fn arguments(&self, args: &[Arg], kwargs: &[(String, Arg)]) -> Result<Arguments> {
        Ok(Arguments {
            positional: args.iter().map(|a| self.argument(a)).collect::<Result<_>>()?,
            named: kwargs.iter().map(|(n, a)| Ok((n.clone(), self.argument(a)?))).collect::<Result<_>>()?,
        })
    }

    /// The arguments of a statement, as they were if it had to wait.
    fn arguments_of(&self, node: NodeId, args: &[Arg], kwargs: &[(String, Arg)]) -> Result<Arguments> {
        match self.stalled.borrow_mut().remove(&node) {
            Some(arguments) => Ok(arguments),
            None => self.arguments(args, kwargs),
        }
    }

    /// Carries out a statement whose inputs are there; its value, if it has one. `None` outside if it goes on.
    pub(super) fn carry_out(&self, node: NodeId) -> Result<Option<Option<Value>>> {
        let engine = self.model.engine();
        let value = match &self.node(node).kind {
            Kind::Op { name, args, kwargs } => {
                if self.state.explain && is_container_write(name) && self.is_in_guess(node) {
                    // What the container holds from here on may differ from what a run puts in.
                    self.state.guesses.set(true);
                }
                let arguments = self.arguments_of(node, args, kwargs)?;
                if training::signature(name).is_some() {
                    self.state.training.call(engine, name, arguments.positional, arguments.named)?
                } else {
                    ops::call(engine, name, arguments.positional, arguments.named)?
                }
            }
            Kind::Read(_) => self.captured.borrow().get(&node).cloned().unwrap_or_default(),
            Kind::Parameter { name } => {
                let parameter = parameter(self.model, name).ok_or_else(|| {
                    RunError::new(RunErrorKind::NoItem {
                        container: "the model".into(),
                        key: format!("parameter `{name}`"),
                    })
                })?;
                Value::tensor(parameter.get())
            }
            Kind::Module { path, args, kwargs, hooks } => match (hooks, self.node(node).invoke) {
                (true, Some(invoke)) => {
                    self.calls.borrow_mut().push((node, invoke));
                    *self.called.borrow_mut().entry(invoke).or_default() += 1;
                    self.progress.set(self.progress.get() + 1);
                    return Ok(None);
                }
                _ => {
                    let call = self.module_args(args, kwargs)?;
                    self.call_module(path, call)?
                }
            },
            Kind::Save { value, .. } => return Ok(Some(self.value(*value))),
            Kind::Merge { values } => {
                if self.state.explain && values.iter().any(|&v| self.is_in_guess(v)) {
                    self.guess_between(values)?;
                }
                return Ok(Some(self.state.table.latest(values)));
            }
            Kind::Item(region) => self.element(*region),
            Kind::Log { args } => {
                let values = args.iter().map(|a| snapshot(self.argument(a)?)).collect::<Result<Vec<_>>>()?;
                self.state.logs.borrow_mut().push(LogLine { node, values });
                return Ok(Some(None));
            }
            Kind::Host { callback, args } => {
                let arguments = self.arguments_of(node, args, &[])?;
                self.apply(*callback, arguments)?
            }
            Kind::Stop { scope, .. } => {
                self.stop(node, *scope)?;
                return Ok(Some(None));
            }
            Kind::Backward { loss, gradient, .. } => {
                self.run_backward(node, *loss, gradient.as_ref())?;
                return Ok(Some(None));
            }
            Kind::RegionRef(region) => {
                return Ok(self.enter(node, *region)?.then_some(None));
            }
            Kind::OptimizerStep { optimizer } => {
                let optimizer = self.value(*optimizer).unwrap_or_default();
                if self.state.scan {
                    self.state.planned.borrow_mut().extend(self.state.training.gradients());
                } else {
                    self.state.training.step(&optimizer)?;
                }
                return Ok(Some(None));
            }
            Kind::ZeroGrad { optimizer } => {
                let optimizer = self.value(*optimizer).unwrap_or_default();
                self.state.training.zero(&optimizer)?;
                return Ok(Some(None));
            }
            Kind::RequiresGrad { .. } => return Ok(Some(None)),
            other => return Err(unsupported(&format!("`{}` here", other.word()))),
        };
        Ok(Some(Some(value)))
    }

    /// Of values that differ in form, which one a run takes is not known.
    fn guess_between(&self, values: &[NodeId]) -> Result<()> {
        let mut forms = Vec::new();
        for value in values.iter().filter_map(|&v| self.value(v)) {
            forms.push(match &value {
                Value::Tensor(var) => var.get().map(|t| format!("{:?} {:?}", t.dims(), t.dtype()))?,
                other => format!("{other:?}"),
            });
        }
        if forms.windows(2).any(|pair| pair[0] != pair[1]) {
            self.state.guesses.set(true);
        }
        Ok(())
    }

    /// Ends a trace, a loop or the whole program.
    pub(super) fn stop(&self, node: NodeId, scope: StopScope) -> Result<()> {
        match scope {
            StopScope::Loop if self.end_loop(node)? => {}
            StopScope::Trace if self.is_root() => {}
            _ => {
                self.stopped.set(true);
                if !self.is_root() && scope != StopScope::Trace {
                    self.state.ended.set(Some(scope));
                }
            }
        }
        Ok(())
    }

    /// Calls a function of the host's, on values that are computed first: once for each time its statement is reached,
    /// whether or not anybody reads what it gives.
    fn apply(&self, callback: u32, arguments: Arguments) -> Result<Value> {
        if self.state.scan {
            return Err(unsupported("a function of the host's in a scan"));
        }
        let function = self.state.runner.callbacks.get(callback as usize).ok_or_else(|| {
            RunError::new(RunErrorKind::NoItem {
                container: "the program's host".into(),
                key: format!("function {callback}"),
            })
        })?;
        crate::run::eval_each(&arguments.tensors()?)?;
        function(&arguments.positional).map_err(|reason| RunError::new(RunErrorKind::Host { reason }))
    }

    /// The arguments of a call of a module.
    pub(super) fn module_args(&self, args: &[Arg], kwargs: &[(String, Arg)]) -> Result<Args> {
        if let Some((name, _)) = kwargs.first() {
            return Err(unsupported(&format!("the keyword `{name}` in a call of a module")));
        }
        args.iter().try_fold(Args::default(), |call, arg| Ok(call.and(self.argument(arg)?)))
    }

    fn call_module(&self, path: &str, call: Args) -> Result<Value> {
        let layer = self.layer(path)?;
        let pass = Forward { model: self.model, hooks: &NoHooks, memory: None };
        let future = std::pin::pin!(pass.call(&*layer, call));
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(result) => result.map_err(from_model),
            std::task::Poll::Pending => Err(unsupported("a module that waits")),
        }
    }

    /// The module of a path, to be called.
    pub(super) fn layer(&self, path: &str) -> Result<std::sync::Arc<dyn pellucid_nn::Layer>> {
        self.model.tree().find(path).and_then(|id| self.model.layer(id)).cloned().ok_or_else(|| {
            RunError::new(RunErrorKind::NoItem {
                container: "the model".into(),
                key: format!("module `{path}` that can be called"),
            })
        })
    }

    /// The tensor a node has become.
    pub(super) fn tensor_of(&self, node: NodeId, op: &str, argument: &str) -> Result<Tensor> {
        match self.value(node) {
            Some(Value::Tensor(var)) => Ok(var.get()?),
            other => Err(RunErrorKind::Argument {
                op: op.into(),
                argument: argument.into(),
                expected: "a tensor".into(),
                got: other.unwrap_or_default().kind(),
            }
            .into()),
        }
    }

    /// The value that an argument stands for.
    pub(super) fn argument(&self, arg: &Arg) -> Result<Value> {
        let all = |items: &[Arg]| items.iter().map(|a| self.argument(a)).collect::<Result<Vec<_>>>();
        Ok(match arg {
            Arg::Node(node) => self.here(self.value(*node).unwrap_or_default())?,
            Arg::None => Value::None,
            Arg::Bool(b) => Value::Bool(*b),
            Arg::Int(i) => Value::Int(*i),
            Arg::Float(f) => Value::Float(*f),
            Arg::Str(s) => Value::Str(s.as_str().into()),
            Arg::List(items) => Value::list(all(items)?),
            Arg::Tuple(items) => Value::tuple(all(items)?),
            Arg::Dict(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(k, v)| Ok((self.argument(k)?, self.argument(v)?)))
                    .collect::<Result<Vec<_>>>()?;
                Value::Dict(Rc::new(RefCell::new(pairs)))
            }
            Arg::Slice { start, stop, step } => {
                ops::slice_value(self.argument(start)?, self.argument(stop)?, self.argument(step)?)
            }
            Arg::Ellipsis => ops::ellipsis(),
            Arg::Constant(id) => {
                let constant = &self.program.constants[id.index()];
                let data = HostData { dtype: dtype(constant.dtype), bytes: constant.bytes.to_vec() };
                Value::tensor(self.model.engine().from_data(data, &constant.shape)?)
            }
            Arg::Dtype(d) => ops::dtype_value(dtype(*d)),
            Arg::Device(name) => Value::Str(name.as_str().into()),
        })
    }
}

impl Block<'_> {
    /// A value as this block's model can use it: what another model made is computed, and goes on as a number of its own
    /// that gradients do not cross.
    fn here(&self, value: Value) -> Result<Value> {
        if self.state.runner.models.len() < 2 {
            return Ok(value);
        }
        let each = |items: &[Value]| items.iter().map(|v| self.here(v.clone())).collect::<Result<Vec<_>>>();
        Ok(match &value {
            Value::Tensor(var) => {
                let tensor = var.get()?;
                if tensor.engine() == self.model.engine() {
                    return Ok(value);
                }
                let base = var.base().get()?;
                let trained = match tensor.same_node(&base) {
                    true => self.state.training.on_engine(var, self.model.engine(), self.state.scan)?,
                    false => None,
                };
                let computed = if let Some(trained) = trained {
                    trained
                } else if self.state.scan {
                    self.model.engine().unloaded(tensor.dims(), tensor.dtype(), "a value of another model")
                } else {
                    self.model.engine().from_value(tensor.eval()?, None)
                };
                Value::tensor(computed)
            }
            Value::Tuple(items) => Value::tuple(each(items)?),
            // Lists and dictionaries are shared: whoever takes an element out of one brings it here.
            _ => value,
        })
    }
}

/// The parameter of a full name, tied names included.
pub(crate) fn parameter(model: &pellucid_nn::Model, name: &str) -> Option<pellucid_nn::Parameter> {
    let (path, own) = name.rsplit_once('.')?;
    let node = model.tree().node(model.tree().find(path)?);
    node.parameters.iter().find(|p| p.name().rsplit('.').next() == Some(own)).cloned()
}

fn unsupported(what: &str) -> RunError {
    RunError::new(RunErrorKind::Unsupported { what: what.into() })
}

fn dtype(dtype: Dtype) -> DType {
    match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::Bf16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::U8 => DType::U8,
        Dtype::Bool => DType::Bool,
    }
}
