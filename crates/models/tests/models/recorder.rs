//! Hooks that look at everything: what modules are called with, what they return, and where gradients are read.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};

use pellucid_nn::{Args, Forward, Hooks, Model, ModuleId, Reach, Result, Value};
use pellucid_tensor::Tensor;

/// A record of one forward pass.
pub(crate) struct Recorder<'a> {
    model: &'a Model,
    open: RefCell<Vec<String>>,
    /// One line for each call, in the order in which modules return.
    pub(crate) calls: RefCell<Vec<String>>,
    /// Path and leading tensors of each module's output.
    pub(crate) outputs: RefCell<Vec<(String, Vec<Tensor>)>>,
    /// The residual stream after each block, as a place of its own.
    pub(crate) residuals: RefCell<Vec<Tensor>>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(model: &'a Model) -> Recorder<'a> {
        Recorder {
            model,
            open: RefCell::default(),
            calls: RefCell::default(),
            outputs: RefCell::default(),
            residuals: RefCell::default(),
        }
    }

    /// Builds the model's forward pass while recording it.
    pub(crate) fn run(&self, args: Args) -> Result<Value> {
        let pass = Forward { model: self.model, hooks: self, memory: None };
        let root = self.model.layer(self.model.tree().root()).expect("a root");
        let future = std::pin::pin!(pass.call(&**root, args));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("these hooks never wait"),
        }
    }

    fn is_block(&self, path: &str) -> bool {
        let inside = path.strip_prefix(&self.model.skeleton().blocks).and_then(|p| p.strip_prefix('.'));
        inside.is_some_and(|p| p.parse::<usize>().is_ok())
    }
}

impl Hooks for Recorder<'_> {
    fn reach(&self, _: ModuleId) -> Reach {
        Reach::Here
    }

    fn poll_enter(&self, _: ModuleId, args: &mut Args) -> Poll<Result<Option<Value>>> {
        let positional: Vec<String> = args.positional.iter().map(|v| show("", v)).collect();
        let named: Vec<String> = args.named.iter().map(|(n, v)| format!("{n}={}", show(n, v))).collect();
        self.open.borrow_mut().push(format!("{} | {}", positional.join(", "), named.join(", ")));
        Poll::Ready(Ok(None))
    }

    fn poll_exit(&self, module: ModuleId, output: &mut Value) -> Poll<Result<()>> {
        let path = self.model.tree().node(module).path.clone();
        let called = self.open.borrow_mut().pop().expect("an entered module");
        let name = if path.is_empty() { "root" } else { &path };
        self.calls.borrow_mut().push(format!("{name} | {called} | {}", show("", output)));
        let mut found = Vec::new();
        output.for_each_var(&mut |var| found.push(var.clone()));
        if self.is_block(&path) {
            found[0].isolate()?;
            self.residuals.borrow_mut().push(found[0].get()?);
        }
        let leading = if path.ends_with("rotary_emb") { 2 } else { 1 };
        let tensors: Result<Vec<Tensor>> = found[..leading].iter().map(|var| Ok(var.get()?)).collect();
        self.outputs.borrow_mut().push((path, tensors?));
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

/// A value in short, as the script shows it: caches and masks, whose kinds differ from the reference's, by name.
fn show(name: &str, value: &Value) -> String {
    if ["past_key_value", "past_key_values", "layer_past"].contains(&name) {
        return "cache".into();
    }
    if name == "attention_mask" {
        return "mask".into();
    }
    match value {
        Value::None => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Int(i) => i.to_string(),
        Value::Tensor(var) => {
            let tensor = var.get().expect("a tensor");
            format!("{}{:?}", tensor.dtype(), tensor.dims())
        }
        Value::Tuple(items) => {
            format!("({})", items.iter().map(|v| show("", v)).collect::<Vec<_>>().join(", "))
        }
        Value::Record(record) => {
            let fields = record.fields.borrow();
            let fields: Vec<String> = fields.iter().map(|(n, v)| format!("{n}={}", show(n, v))).collect();
            format!("{}{{{}}}", record.type_name, fields.join(", "))
        }
        Value::Cache(_) => "cache".into(),
        other => other.kind(),
    }
}
