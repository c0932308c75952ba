//! Parameters that a program trains, and their optimisers.
//!
//! A parameter is a storage whose gradients every `backward` adds up until they are forgotten, as in PyTorch. A step
//! computes the new values at once, so that a loop of any length runs in flat memory.

use std::cell::RefCell;
use std::rc::Rc;

use pellucid_nn::{Record, Value, Var};
use pellucid_program::Signature;
use pellucid_tensor::optim::{AdamW, AdamWOptions, Optimizer, Sgd, SgdOptions};
use pellucid_tensor::{Engine, Tensor};

use rustc_hash::FxHashSet;

use crate::error::{Result, RunError, RunErrorKind};

/// Operations of training: name and parameters, the first of which is required.
const OPS: &[(&str, &[&str])] = &[
    ("nn_parameter", &["data", "requires_grad"]),
    ("sgd", &["params", "lr", "momentum", "weight_decay", "nesterov"]),
    ("adamw", &["params", "lr", "betas", "eps", "weight_decay"]),
    ("adam", &["params", "lr", "betas", "eps"]),
];

/// The arguments of an operation of training.
pub(crate) fn signature(name: &str) -> Option<Signature> {
    let (_, params) = OPS.iter().find(|(op, _)| *op == name)?;
    Some(Signature {
        required: 1,
        positional: Some(params.len()),
        keywords: Some(params.iter().map(|&p| p.to_owned()).collect()),
    })
}

/// Names of the operations of training.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    OPS.iter().map(|(name, _)| *name)
}

struct Trained {
    var: Var,
    gradient: Option<Tensor>,
}

/// A parameter on the engine of another model.
struct Copied {
    var: Var,
    /// The parameter's node at the time.
    version: Tensor,
    here: Tensor,
}

struct Optimized {
    /// What the program knows it by.
    record: Rc<Record>,
    optimizer: Box<dyn Optimizer>,
    params: Vec<Var>,
}

/// What a program trains.
#[derive(Default)]
pub(crate) struct Training {
    parameters: RefCell<Vec<Trained>>,
    optimizers: RefCell<Vec<Optimized>>,
    copies: RefCell<Vec<Copied>>,
}

impl Training {
    /// The present nodes of all parameters, and of their copies for other models.
    pub(crate) fn tensors(&self) -> Result<Vec<Tensor>> {
        let (parameters, copies) = (self.parameters.borrow(), self.copies.borrow());
        let own = parameters.iter().map(|p| Ok(p.var.base().get()?));
        own.chain(copies.iter().map(|c| Ok(c.here.clone()))).collect()
    }

    /// The gradients that parameters hold.
    pub(crate) fn gradients(&self) -> Vec<Tensor> {
        self.parameters.borrow().iter().filter_map(|p| p.gradient.clone()).collect()
    }

    /// Adds what a backward found for [`Training::tensors`], in their order.
    pub(crate) fn add_gradients(&self, found: &[Option<Tensor>], scan: bool) -> Result<()> {
        let (copies, mut parameters) = (self.copies.borrow(), self.parameters.borrow_mut());
        let own: Vec<Var> = parameters.iter().map(|p| p.var.clone()).collect();
        for (var, found) in own.iter().chain(copies.iter().map(|c| &c.var)).zip(found) {
            let parameter = parameters.iter_mut().find(|p| p.var.same_storage(var));
            if let (Some(parameter), Some(found)) = (parameter, found) {
                let engine = parameter.var.get()?.engine().clone();
                let found = match *found.engine() == engine {
                    true => found.clone(),
                    false if scan => engine.unloaded(found.dims(), found.dtype(), "a gradient"),
                    false => engine.from_value(found.eval()?, None),
                };
                parameter.gradient = Some(match parameter.gradient.take() {
                    Some(sum) => sum.add(&found)?,
                    None => found,
                });
            }
        }
        Ok(())
    }

    /// A parameter as a model on another engine uses it; gradients with respect to it are the parameter's.
    pub(crate) fn on_engine(&self, var: &Var, engine: &Engine, scan: bool) -> Result<Option<Tensor>> {
        if !self.parameters.borrow().iter().any(|p| p.var.same_storage(var)) {
            return Ok(None);
        }
        let base = var.base().get()?;
        let mut copies = self.copies.borrow_mut();
        let at = copies.iter().position(|c| c.var.same_storage(var) && c.here.engine() == engine);
        if let Some(at) = at {
            if copies[at].version.same_node(&base) {
                return Ok(Some(copies[at].here.clone()));
            }
            copies.swap_remove(at);
        }
        let here = if scan {
            engine.unloaded(base.dims(), base.dtype(), "a parameter that is trained")
        } else {
            engine.from_value(base.eval()?, None)
        };
        let here = here.identity();
        copies.push(Copied { var: var.base().clone(), version: base, here: here.clone() });
        Ok(Some(here))
    }

    /// Lets go of parameters that nothing can reach any more: `live` are the tensors that statements hold.
    pub(crate) fn keep_only(&self, live: &FxHashSet<u64>) -> Result<()> {
        let mut optimizers = self.optimizers.borrow_mut();
        optimizers.retain(|o| Rc::strong_count(&o.record) > 1);
        let mut gone = Vec::new();
        for parameter in self.parameters.borrow().iter() {
            let is_optimized =
                optimizers.iter().flat_map(|o| &o.params).any(|var| var.same_storage(&parameter.var));
            gone.push(!is_optimized && !live.contains(&parameter.var.get()?.id()));
        }
        let mut gone = gone.into_iter();
        self.parameters.borrow_mut().retain(|_| !gone.next().unwrap_or(false));
        let parameters = self.parameters.borrow();
        self.copies.borrow_mut().retain(|c| parameters.iter().any(|p| p.var.same_storage(&c.var)));
        Ok(())
    }

    /// Carries out an operation of training.
    pub(crate) fn call(
        &self,
        engine: &Engine,
        name: &str,
        args: Vec<Value>,
        kwargs: Vec<(String, Value)>,
    ) -> Result<Value> {
        let Some((op, params)) = OPS.iter().find(|(op, _)| *op == name) else {
            return Err(RunErrorKind::Unsupported { what: format!("`{name}`") }.into());
        };
        let mut given: Vec<Option<Value>> = args.into_iter().map(Some).collect();
        given.resize(params.len(), None);
        for (key, value) in kwargs {
            if let Some(at) = params.iter().position(|&p| p == key) {
                given[at] = Some(value);
            }
        }
        let mut arguments = Arguments { op, params, given };
        if name == "nn_parameter" {
            return self.parameter(engine, &mut arguments);
        }
        let lr = arguments.number("lr", 1e-3)?;
        let optimizer: Box<dyn Optimizer> = match name {
            "sgd" => Box::new(Sgd::new(SgdOptions {
                lr,
                momentum: arguments.number("momentum", 0.0)?,
                weight_decay: arguments.number("weight_decay", 0.0)?,
                nesterov: arguments.number("nesterov", 0.0)? != 0.0,
            })),
            _ => {
                let defaults = AdamWOptions::default();
                let betas = arguments.pair("betas", defaults.betas)?;
                let decay = if name == "adam" {
                    0.0
                } else {
                    arguments.number("weight_decay", defaults.weight_decay)?
                };
                Box::new(AdamW::new(AdamWOptions {
                    lr,
                    betas,
                    eps: arguments.number("eps", defaults.eps)?,
                    weight_decay: decay,
                }))
            }
        };
        let mut params = Vec::new();
        arguments.take("params").for_each_var(&mut |var| params.push(var.clone()));
        if params.is_empty() {
            return Err(arguments.bad("params", "parameters", &Value::None));
        }
        // A tensor that is trained is a parameter, whoever made it.
        for var in &params {
            self.register(var)?;
        }
        let type_name = if name == "sgd" { "SGD" } else { "AdamW" };
        let record = Rc::new(Record {
            type_name,
            fields: RefCell::new(vec![
                ("params".into(), Value::list(params.iter().cloned().map(Value::Tensor))),
                ("lr".into(), Value::Float(lr)),
            ]),
        });
        let value = Value::Record(record.clone());
        self.optimizers.borrow_mut().push(Optimized { record, optimizer, params });
        Ok(value)
    }

    fn parameter(&self, engine: &Engine, arguments: &mut Arguments<'_>) -> Result<Value> {
        let data = arguments.take("data");
        let Value::Tensor(data) = &data else { return Err(arguments.bad("data", "a tensor", &data)) };
        let tensor = data.get()?;
        if !tensor.dtype().is_float() {
            return Err(arguments.bad("data", "a floating-point tensor", &Value::Tensor(data.clone())));
        }
        engine.eval(std::slice::from_ref(&tensor))?;
        let var = Var::new(tensor.detach()?.identity());
        if crate::truth::of(&arguments.take_or("requires_grad", Value::Bool(true)), true)? != Some(false) {
            self.register(&var)?;
        }
        Ok(Value::Tensor(var))
    }

    fn register(&self, var: &Var) -> Result<()> {
        let mut parameters = self.parameters.borrow_mut();
        if !parameters.iter().any(|p| p.var.same_storage(var)) {
            parameters.push(Trained { var: var.base().clone(), gradient: None });
        }
        Ok(())
    }

    /// One update of an optimiser's parameters.
    pub(crate) fn step(&self, optimizer: &Value) -> Result<()> {
        let mut optimizers = self.optimizers.borrow_mut();
        let chosen = find(&mut optimizers, optimizer)?;
        if let Some(Value::Float(lr)) = chosen.record.get("lr") {
            chosen.optimizer.set_lr(lr);
        }
        let tensors = chosen.params.iter().map(|v| v.get()).collect::<pellucid_tensor::Result<Vec<_>>>()?;
        let mut parameters = self.parameters.borrow_mut();
        let gradient =
            |var: &Var| parameters.iter().find(|p| p.var.same_storage(var)).and_then(|p| p.gradient.clone());
        let gradients: Vec<Option<Tensor>> = chosen.params.iter().map(gradient).collect();
        let fresh = chosen.optimizer.step_with(
            &tensors,
            &gradients,
            &gradients.iter().flatten().cloned().collect::<Vec<_>>(),
        )?;
        for (var, tensor) in chosen.params.iter().zip(fresh) {
            // A new node, so that gradients are taken with respect to this version.
            var.set(tensor.identity())?;
        }
        // Gradients that are kept let go of the graph they came from.
        for parameter in parameters.iter_mut() {
            if let Some(gradient) = &parameter.gradient
                && gradient.is_evaluated()
            {
                parameter.gradient = Some(gradient.detach()?);
            }
        }
        Ok(())
    }

    /// Forgets the gradients of an optimiser's parameters.
    pub(crate) fn zero(&self, optimizer: &Value) -> Result<()> {
        let mut optimizers = self.optimizers.borrow_mut();
        let chosen = find(&mut optimizers, optimizer)?;
        for parameter in self.parameters.borrow_mut().iter_mut() {
            if chosen.params.iter().any(|var| var.same_storage(&parameter.var)) {
                parameter.gradient = None;
            }
        }
        Ok(())
    }
}

fn find<'a>(optimizers: &'a mut [Optimized], optimizer: &Value) -> Result<&'a mut Optimized> {
    let found = match optimizer {
        Value::Record(record) => optimizers.iter_mut().find(|o| Rc::ptr_eq(&o.record, record)),
        _ => None,
    };
    found.ok_or_else(|| {
        RunErrorKind::Argument {
            op: "step".into(),
            argument: "optimizer".into(),
            expected: "an optimizer of this program".into(),
            got: optimizer.kind(),
        }
        .into()
    })
}

/// Arguments by name.
struct Arguments<'a> {
    op: &'a str,
    params: &'a [&'a str],
    given: Vec<Option<Value>>,
}

impl Arguments<'_> {
    fn take(&mut self, name: &str) -> Value {
        self.take_or(name, Value::None)
    }

    fn take_or(&mut self, name: &str, default: Value) -> Value {
        let at = self.params.iter().position(|&p| p == name);
        at.and_then(|at| self.given[at].take()).unwrap_or(default)
    }

    fn bad(&self, argument: &str, expected: &str, got: &Value) -> RunError {
        RunErrorKind::Argument {
            op: self.op.into(),
            argument: argument.into(),
            expected: expected.into(),
            got: got.kind(),
        }
        .into()
    }

    fn number(&mut self, name: &str, default: f64) -> Result<f64> {
        match self.take(name) {
            Value::None => Ok(default),
            Value::Float(f) => Ok(f),
            Value::Int(i) => Ok(i as f64),
            Value::Bool(b) => Ok(f64::from(u8::from(b))),
            other => Err(self.bad(name, "a number", &other)),
        }
    }

    fn pair(&mut self, name: &str, default: (f64, f64)) -> Result<(f64, f64)> {
        let value = self.take(name);
        let items = match &value {
            Value::None => return Ok(default),
            Value::Tuple(items) => items.to_vec(),
            Value::List(items) => items.borrow().clone(),
            other => return Err(self.bad(name, "two numbers", other)),
        };
        match items.as_slice() {
            [Value::Float(a), Value::Float(b)] => Ok((*a, *b)),
            _ => Err(self.bad(name, "two numbers", &value)),
        }
    }
}
