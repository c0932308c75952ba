//! What happens when a forward pass arrives at a place.

use std::task::Poll;

use pellucid_nn::{Args, Hooks, ModuleId, NnError, Reach, Value};
use pellucid_program::{InvokeId, Kind, NodeId, Point};

use super::Block;
use super::bindings::{Inner, Spot};
use crate::error::{Result, RunError, RunErrorKind};

/// One invoke's view of the trace.
pub(super) struct InvokeHooks<'t, 'r> {
    pub block: &'t Block<'r>,
    pub invoke: InvokeId,
    /// Whether this is a call that the program makes; the forward pass waits until it returns.
    pub is_call: bool,
}

/// The value at a place, while the forward pass is there.
pub(super) enum Here<'a> {
    /// Inputs of a module, and what takes its place if it is skipped.
    Inputs(&'a mut Args, &'a mut Option<Value>),
    /// A module's output, or a value inside.
    Value(&'a mut Value),
}

type NnResult<T> = std::result::Result<T, NnError>;

impl Hooks for InvokeHooks<'_, '_> {
    fn reach(&self, module: ModuleId) -> Reach {
        self.block.bindings[&self.invoke].reach[module.0 as usize]
    }

    fn poll_enter(&self, module: ModuleId, args: &mut Args) -> Poll<NnResult<Option<Value>>> {
        let key = (self.invoke, module);
        let mut skipped = self.block.skipped.borrow_mut().remove(&key);
        match self.visit((module, Inner::Inputs), &mut Here::Inputs(args, &mut skipped)) {
            Poll::Pending => {
                if let Some(value) = skipped {
                    self.block.skipped.borrow_mut().insert(key, value);
                }
                Poll::Pending
            }
            Poll::Ready(result) => Poll::Ready(result.map(|()| skipped)),
        }
    }

    fn poll_exit(&self, module: ModuleId, output: &mut Value) -> Poll<NnResult<()>> {
        self.visit((module, Inner::Output), &mut Here::Value(output))
    }

    fn watches(&self, module: ModuleId) -> bool {
        self.block.bindings[&self.invoke].watched.contains(&module)
    }

    fn wants(&self, module: ModuleId, label: &'static str) -> bool {
        self.block.bindings[&self.invoke].spots.contains_key(&(module, Inner::Op(label)))
    }

    fn poll_inner(&self, module: ModuleId, label: &'static str, value: &mut Value) -> Poll<NnResult<()>> {
        self.visit((module, Inner::Op(label)), &mut Here::Value(value))
    }
}

impl InvokeHooks<'_, '_> {
    fn visit(&self, spot: Spot, here: &mut Here<'_>) -> Poll<NnResult<()>> {
        match self.block.visit(self.invoke, &spot, here) {
            Ok(true) if self.is_call || !self.block.is_calling(self.invoke) => Poll::Ready(Ok(())),
            Ok(_) => Poll::Pending,
            Err(e) => Poll::Ready(Err(e.into())),
        }
    }
}

impl Block<'_> {
    /// Carries out what is bound to a place; whether the forward pass may go on.
    pub(super) fn visit(&self, invoke: InvokeId, spot: &Spot, here: &mut Here<'_>) -> Result<bool> {
        let Some(groups) = self.bindings[&invoke].spots.get(spot) else { return Ok(true) };
        for group in groups {
            let is_free = match group.all_rows {
                None => self.visit_group(invoke, &group.nodes, here)?,
                Some(all) => self.visit_all_rows(all, &group.nodes, invoke, spot, here)?,
            };
            if !is_free {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Carries out the statements of a group; whether nothing more of it is to come here.
    pub(super) fn visit_group(
        &self,
        invoke: InvokeId,
        bound: &[NodeId],
        here: &mut Here<'_>,
    ) -> Result<bool> {
        loop {
            if self.stopped.get() {
                return Ok(false);
            }
            let before = self.progress.get();
            for &node in bound.iter().filter(|&&n| self.is_pending(n)) {
                let at = |e: RunError| e.at(self.program, node);
                let is_due = self.is_due(node);
                match &self.node(node).kind {
                    Kind::Read(place) => {
                        let value = read(&place.point, here);
                        if self.node(node).region != self.region {
                            self.captured.borrow_mut().insert(node, value.clone());
                        }
                        if is_due {
                            self.finish(node, Some(value)).map_err(at)?;
                        }
                    }
                    // Done in this turn of its loop.
                    _ if self.is_done(node) => {}
                    Kind::Write { place, value } if is_due && self.has_inputs(node) => {
                        let written = self.argument(value).and_then(|v| write(&place.point, here, v));
                        if let Err(e) = written {
                            self.fail(node, at(e))?;
                            continue;
                        }
                        self.last_write.borrow_mut().insert(invoke, node);
                        self.captured.borrow_mut().retain(|read, _| !bound.contains(read));
                        self.finish(node, None)?;
                    }
                    Kind::Skip { value, .. } if is_due && self.has_inputs(node) => {
                        let value = self.argument(value).map_err(at)?;
                        if let Here::Inputs(_, skipped) = here {
                            **skipped = Some(value);
                        }
                        self.last_write.borrow_mut().insert(invoke, node);
                        self.finish(node, None)?;
                    }
                    // Later statements at this place come after this one.
                    _ => break,
                }
            }
            self.run_ready()?;
            if !bound.iter().any(|&n| self.holds(n)) {
                return Ok(true);
            }
            if self.progress.get() == before {
                return Ok(false);
            }
        }
    }

    /// Whether the forward pass has to wait for a statement at the place where it is.
    fn holds(&self, node: NodeId) -> bool {
        let is_held = match self.node(node).kind {
            Kind::Read(_) => {
                !self.is_done(node) && self.is_pending(node) && !self.captured.borrow().contains_key(&node)
            }
            _ => self.is_pending(node),
        };
        is_held || self.writes_through.get(&node).is_some_and(|w| w.iter().any(|&w| self.is_pending(w)))
    }
}

/// The value of a place, sharing the storage of what flows there.
fn read(point: &Point, here: &Here<'_>) -> Value {
    match (point, here) {
        (Point::Input, Here::Inputs(args, _)) => {
            let named = || args.named.first().map(|(_, v)| v);
            args.positional.first().or_else(named).cloned().unwrap_or_default()
        }
        (_, Here::Inputs(args, _)) => {
            let named = args.named.iter().map(|(n, v)| (Value::Str((*n).into()), v.clone())).collect();
            Value::tuple([
                Value::tuple(args.positional.iter().cloned()),
                Value::Dict(std::rc::Rc::new(std::cell::RefCell::new(named))),
            ])
        }
        (_, Here::Value(value)) => (**value).clone(),
    }
}

fn write(point: &Point, here: &mut Here<'_>, value: Value) -> Result<()> {
    match (point, here) {
        (Point::Input, Here::Inputs(args, _)) => {
            match (args.positional.first_mut(), args.named.first_mut()) {
                (Some(first), _) => *first = value,
                (None, Some((_, first))) => *first = value,
                (None, None) => args.positional.push(value),
            }
        }
        (_, Here::Inputs(args, _)) => {
            let bad = |got: &Value| {
                RunError::new(RunErrorKind::Argument {
                    op: "inputs".into(),
                    argument: "value".into(),
                    expected: "a tuple (args, kwargs)".into(),
                    got: got.kind(),
                })
            };
            let Value::Tuple(parts) = &value else { return Err(bad(&value)) };
            let (Some(positional), Some(Value::Dict(named))) = (parts.first(), parts.get(1)) else {
                return Err(bad(&value));
            };
            let positional: Vec<Value> = match positional {
                Value::Tuple(items) => items.to_vec(),
                Value::List(items) => items.borrow().clone(),
                _ => return Err(bad(&value)),
            };
            for (key, value) in named.borrow().iter() {
                let Value::Str(name) = key else { return Err(bad(key)) };
                match args.named.iter_mut().find(|(n, _)| *n == &**name) {
                    Some(slot) => slot.1 = value.clone(),
                    None => {
                        return Err(RunError::new(RunErrorKind::NoItem {
                            container: "the module's inputs".into(),
                            key: format!("argument `{name}`"),
                        }));
                    }
                }
            }
            args.positional = positional.into_iter().collect();
        }
        (_, Here::Value(slot)) => **slot = value,
    }
    Ok(())
}
