//! Driving the forward passes of all invokes: polling, computing what they wait for.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pellucid_nn::{Forward, Model, Value};
use pellucid_program::{Arg, Input, InvokeId, Kind, NodeId, RegionKind};
use pellucid_tensor::{DType, Engine, Tensor};

use super::Block;
use super::hooks::InvokeHooks;
use crate::error::{Result, RunError, RunErrorKind, from_model};
use crate::input::{Rows, rows};

/// Options of a generation that each of its forward passes is called with.
const EACH_STEP: &[&str] = &["output_attentions", "output_hidden_states"];

/// A forward pass, or a call inside one.
type Pass<'t> = Pin<Box<dyn Future<Output = Result<()>> + 't>>;

impl Block<'_> {
    /// Runs every invoke to its end, or until the trace is stopped.
    pub(super) fn run_passes(&self) -> Result<()> {
        let mut running: Vec<(InvokeId, Pass<'_>)> = Vec::with_capacity(self.invokes.len());
        for &invoke in &self.invokes {
            if !matches!(self.program.invokes[invoke.index()].input, Input::Empty) {
                self.running.borrow_mut().insert(invoke);
                running.push((invoke, Box::pin(self.run_invoke(invoke))));
            }
        }
        if running.is_empty() {
            let what = "a trace whose invokes all lack an input".into();
            return Err(RunErrorKind::Unsupported { what }.into());
        }
        let mut context = Context::from_waker(Waker::noop());
        while !running.is_empty() {
            let (before, count) = (self.progress.get(), running.len());
            let mut i = 0;
            while i < running.len() {
                match running[i].1.as_mut().poll(&mut context) {
                    Poll::Ready(Ok(())) => drop(running.remove(i)),
                    Poll::Ready(Err(e)) => {
                        let invoke = running[i].0;
                        let fault = match self.last_write.borrow().get(&invoke) {
                            Some(&write) if e.node.is_none() => e.at(self.program, write),
                            _ => e,
                        };
                        if !self.state.explain {
                            return Err(fault);
                        }
                        self.state.faults.borrow_mut().push(fault);
                        self.state.cut_short.set(true);
                        self.running.borrow_mut().remove(&invoke);
                        drop(running.remove(i));
                    }
                    Poll::Pending => i += 1,
                }
                if self.stopped.get() {
                    return Ok(());
                }
            }
            for (node, invoke) in std::mem::take(&mut *self.calls.borrow_mut()) {
                running.push((invoke, Box::pin(self.run_call(node, invoke))));
            }
            if self.progress.get() != before || running.len() != count {
                continue;
            }
            let mut wanted = std::mem::take(&mut *self.wanted.borrow_mut());
            if wanted.is_empty() {
                return self.check_finished();
            }
            if self.generates() {
                wanted.extend(self.saved_tensors());
            }
            self.model.engine().eval(&wanted)?;
            if self.generates() {
                self.detach_saved()?;
            }
            self.resume()?;
            if self.stopped.get() {
                return Ok(());
            }
        }
        // Statements that waited for values only.
        loop {
            let wanted = std::mem::take(&mut *self.wanted.borrow_mut());
            if wanted.is_empty() || self.stopped.get() {
                return Ok(());
            }
            self.model.engine().eval(&wanted)?;
            self.resume()?;
        }
    }

    /// Waits until the tensors are computed, together with what all other invokes wait for.
    pub(super) async fn computed(&self, tensors: Vec<Tensor>) {
        let mut asked = false;
        poll_fn(|_| {
            if tensors.iter().all(Tensor::is_evaluated) {
                return Poll::Ready(());
            }
            if !asked {
                asked = true;
                self.wanted.borrow_mut().extend(tensors.iter().cloned());
            }
            Poll::Pending
        })
        .await;
    }

    async fn run_invoke(&self, invoke: InvokeId) -> Result<()> {
        let description = &self.program.invokes[invoke.index()];
        let argument = |arg: &pellucid_program::Arg| self.argument(arg);
        let rows =
            rows(self.model.engine(), &description.input, self.encoder, &argument).map_err(|mut e| {
                e.line = e.line.or_else(|| description.line.and_then(|l| self.program.line_text(l)));
                e
            })?;
        let hooks = InvokeHooks { block: self, invoke, is_call: false };
        let pass = Forward { model: self.model, hooks: &hooks, memory: Some(&self.memory) };
        let root = self.model.layer(self.model.tree().root()).cloned().ok_or_else(|| {
            RunError::new(RunErrorKind::Unsupported { what: "a model that cannot be called".into() })
        })?;
        let RegionKind::Trace { generate, .. } = &self.program.regions[self.region.index()].kind else {
            return Err(RunErrorKind::Unsupported { what: "an invoke outside a trace".into() }.into());
        };
        match generate {
            None => {
                let options = self.forward_options(invoke, &rows)?;
                let mut args = Model::root_args(rows.ids, Some(rows.mask), None);
                options.into_iter().for_each(|(name, value)| args.set(name, value));
                pass.call(&*root, args).await.map_err(from_model)?;
            }
            Some(options) => {
                let given = options
                    .iter()
                    .chain(&description.options)
                    .map(|(name, arg)| Ok((name.clone(), self.argument(arg)?)))
                    .collect::<Result<Vec<(String, Value)>>>()?;
                // As in the reference, every step's output has them.
                let (of_steps, given): (Vec<_>, Vec<_>) =
                    given.into_iter().partition(|(name, _)| EACH_STEP.contains(&name.as_str()));
                let of_steps = self.root_args(of_steps)?;
                self.run_generation(invoke, &pass, &*root, rows, &given, &of_steps).await?;
            }
        }
        self.running.borrow_mut().remove(&invoke);
        self.progress.set(self.progress.get() + 1);
        Ok(())
    }

    /// An invoke's options as arguments of the model's root.
    fn forward_options(&self, invoke: InvokeId, rows: &Rows) -> Result<Vec<(&'static str, Value)>> {
        let given = &self.program.invokes[invoke.index()].options;
        let option = |(name, arg): &(String, Arg)| {
            let value = self.argument(arg)?;
            let is_labels = name == "labels";
            let value = if is_labels { labels(self.model.engine(), value, rows)? } else { value };
            Ok((name.clone(), value))
        };
        self.root_args(given.iter().map(option).collect::<Result<_>>()?)
    }

    /// Options under the root's own names.
    fn root_args(&self, given: Vec<(String, Value)>) -> Result<Vec<(&'static str, Value)>> {
        let known = self.model.options();
        let own = |(name, value): (String, Value)| match known.iter().find(|known| **known == name) {
            Some(&name) => Ok((name, value)),
            None => {
                let what = format!("`{name}` for a forward pass");
                Err(RunErrorKind::Unsupported { what }.into())
            }
        };
        given.into_iter().map(own).collect()
    }

    /// Calls a module whose places are bound, as a part of an invoke's forward pass.
    async fn run_call(&self, node: NodeId, invoke: InvokeId) -> Result<()> {
        let Kind::Module { path, args, kwargs, .. } = &self.node(node).kind else { return Ok(()) };
        let at = |e: RunError| e.at(self.program, node);
        let call = self.module_args(args, kwargs).map_err(at)?;
        let layer = self.layer(path).map_err(at)?;
        let hooks = InvokeHooks { block: self, invoke, is_call: true };
        let pass = Forward { model: self.model, hooks: &hooks, memory: None };
        let value = pass.call(&*layer, call).await.map_err(from_model).map_err(at)?;
        self.finish(node, Some(value))?;
        if let Some(calls) = self.called.borrow_mut().get_mut(&invoke) {
            *calls -= 1;
        }
        self.run_ready()
    }

    /// Whether a call that the program made in an invoke's forward pass has not returned yet.
    pub(super) fn is_calling(&self, invoke: InvokeId) -> bool {
        self.called.borrow().get(&invoke).is_some_and(|&calls| calls > 0)
    }

    /// Tensors saved so far that are not computed yet.
    fn saved_tensors(&self) -> Vec<Tensor> {
        let mut all = Vec::new();
        if !self.gradients.is_empty() {
            return all;
        }
        self.for_each_saved(&mut |var| all.extend(var.get()));
        all
    }

    /// Lets go of the graph behind saved values that are computed; gradients, if any, would need it.
    fn detach_saved(&self) -> Result<()> {
        if !self.gradients.is_empty() {
            return Ok(());
        }
        let mut result = Ok(());
        let mut all_computed = true;
        self.for_each_saved(&mut |var| {
            let base = var.base();
            if result.is_ok() {
                result = base.get().and_then(|t| {
                    all_computed &= t.is_evaluated();
                    if t.is_evaluated() && !t.inputs().is_empty() { base.set(t.detach()?) } else { Ok(()) }
                });
            }
        });
        if all_computed && result.is_ok() {
            // What a list holds now need not be looked at again.
            let mut seen = self.seen.borrow_mut();
            for value in self.saved_values() {
                if let Value::List(items) = &value {
                    seen.insert(Rc::as_ptr(items) as usize, items.borrow().len());
                }
            }
        }
        Ok(result?)
    }

    fn saved_values(&self) -> impl Iterator<Item = Value> {
        let saved = |&id: &NodeId| match &self.node(id).kind {
            Kind::Save { value, .. } if self.is_done(id) => self.value(*value),
            _ => None,
        };
        self.saves.iter().filter_map(saved)
    }

    fn for_each_saved(&self, visit: &mut dyn FnMut(&pellucid_nn::Var)) {
        let seen = self.seen.borrow();
        for value in self.saved_values() {
            match &value {
                Value::List(list) => {
                    let items = list.borrow();
                    let from = seen.get(&(Rc::as_ptr(list) as usize)).copied().unwrap_or(0).min(items.len());
                    items[from..].iter().for_each(|item| item.for_each_var(visit));
                }
                other => other.for_each_var(visit),
            }
        }
    }
}

/// Labels as a tensor `[batch, seq]`: lists of ids are put below the ends of their rows, and nothing counts in front.
fn labels(engine: &Engine, value: Value, rows: &Rows) -> Result<Value> {
    let bad = |got: &Value| {
        RunError::new(RunErrorKind::Argument {
            op: "invoke".into(),
            argument: "labels".into(),
            expected: "a token id for each of the input's, in a tensor, a list, or a list of lists".into(),
            got: got.kind(),
        })
    };
    let items = |value: &Value| match value {
        Value::Tuple(items) => Ok(items.to_vec()),
        Value::List(items) => Ok(items.borrow().clone()),
        other => Err(bad(other)),
    };
    let given = match &value {
        Value::None => return Ok(value),
        Value::Tensor(var) => {
            let tensor = var.get()?;
            return match (tensor.rank(), tensor.dtype().is_float()) {
                (1, false) => Ok(Value::tensor(tensor.cast(DType::I64).unsqueeze(0)?)),
                (2, false) => Ok(Value::tensor(tensor.cast(DType::I64))),
                _ => Err(bad(&value)),
            };
        }
        other => items(other)?,
    };
    let lines = match given.first() {
        Some(Value::Int(_)) => vec![given],
        _ => given.iter().map(items).collect::<Result<_>>()?,
    };
    let seq = rows.ids.dims()[1];
    if lines.len() != rows.ids.dims()[0] || lines.iter().any(|line| line.len() > seq) {
        return Err(bad(&value));
    }
    let mut flat: Vec<i64> = Vec::with_capacity(lines.len() * seq);
    for line in &lines {
        flat.extend(std::iter::repeat_n(-100, seq - line.len()));
        for id in line {
            let Value::Int(id) = id else { return Err(bad(id)) };
            flat.push(*id);
        }
    }
    Ok(Value::tensor(engine.from_vec(flat, &[lines.len(), seq])?))
}
