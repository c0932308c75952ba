//! Carrying out one statement that is not bound to a place.

use std::cell::RefCell;
use std::rc::Rc;

use pellucid_nn::forward::NoHooks;
use pellucid_nn::{Args, Forward, Value};
use pellucid_program::{Arg, Dtype, Kind, NodeId, StopScope};
use pellucid_tensor::{DType, HostData, Tensor};

use super::{Trace, parameter};
use crate::error::{Result, RunError, RunErrorKind, from_model};
use crate::ops;
use crate::run::LogLine;

impl Trace<'_> {
    /// Carries out a statement whose inputs are there; its value, if it has one.
    pub(super) fn carry_out(&self, node: NodeId) -> Result<Option<Value>> {
        match &self.program.nodes[node.index()].kind {
            Kind::Op { name, args, kwargs } => {
                let args = args.iter().map(|a| self.argument(a)).collect::<Result<Vec<_>>>()?;
                let kwargs = kwargs
                    .iter()
                    .map(|(n, a)| Ok((n.clone(), self.argument(a)?)))
                    .collect::<Result<Vec<_>>>()?;
                ops::call(self.model.engine(), name, args, kwargs).map(Some)
            }
            Kind::Parameter { name } => {
                let parameter = parameter(self.model, name).ok_or_else(|| {
                    RunError::new(RunErrorKind::NoItem {
                        container: "the model".into(),
                        key: format!("parameter `{name}`"),
                    })
                })?;
                Ok(Some(Value::tensor(parameter.get())))
            }
            Kind::Module { path, args, kwargs, hooks } => {
                if *hooks {
                    return Err(unsupported("calling a module with its hooks"));
                }
                self.call_module(path, args, kwargs).map(Some)
            }
            Kind::Save { value, .. } => Ok(self.value(*value)),
            Kind::Log { args } => {
                let values = args.iter().map(|a| self.argument(a)).collect::<Result<Vec<_>>>()?;
                self.logs.borrow_mut().push(LogLine { node, values });
                Ok(None)
            }
            Kind::Host { callback, args } => self.apply(*callback, args).map(Some),
            Kind::Stop { scope: StopScope::Trace, .. } => {
                self.stopped.set(true);
                Ok(None)
            }
            Kind::Backward { loss, gradient, .. } => {
                self.run_backward(node, *loss, gradient.as_ref())?;
                Ok(None)
            }
            Kind::RequiresGrad { .. } => Ok(None),
            other => Err(unsupported(&format!("`{}` in a trace", other.word()))),
        }
    }

    /// Calls a function of the host's, on values that are computed first: once for each time its statement is reached,
    /// whether or not anybody reads what it gives.
    fn apply(&self, callback: u32, args: &[Arg]) -> Result<Value> {
        if self.scan {
            return Err(unsupported("a function of the host's in a scan"));
        }
        let function = self.callbacks.get(callback as usize).ok_or_else(|| {
            RunError::new(RunErrorKind::NoItem {
                container: "the program's host".into(),
                key: format!("function {callback}"),
            })
        })?;
        let values = args.iter().map(|a| self.argument(a)).collect::<Result<Vec<_>>>()?;
        let mut tensors = Vec::new();
        let mut fault = Ok(());
        for value in &values {
            value.for_each_var(&mut |var| match var.get() {
                Ok(tensor) => tensors.push(tensor),
                Err(e) => fault = Err(e),
            });
        }
        fault?;
        self.model.engine().eval(&tensors)?;
        function(&values).map_err(|reason| RunError::new(RunErrorKind::Host { reason }))
    }

    fn call_module(&self, path: &str, args: &[Arg], kwargs: &[(String, Arg)]) -> Result<Value> {
        let layer = self.model.tree().find(path).and_then(|id| self.model.layer(id)).ok_or_else(|| {
            RunError::new(RunErrorKind::NoItem {
                container: "the model".into(),
                key: format!("module `{path}` that can be called"),
            })
        })?;
        if let Some((name, _)) = kwargs.first() {
            return Err(unsupported(&format!("the keyword `{name}` in a call of a module")));
        }
        let mut call = Args::default();
        for arg in args {
            call = call.and(self.argument(arg)?);
        }
        let pass = Forward { model: self.model, hooks: &NoHooks, memory: None };
        let future = std::pin::pin!(pass.call(&**layer, call));
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(result) => result.map_err(from_model),
            std::task::Poll::Pending => Err(unsupported("a module that waits")),
        }
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
            Arg::Node(node) => self.value(*node).unwrap_or_default(),
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
