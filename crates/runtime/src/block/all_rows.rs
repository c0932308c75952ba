//! Invokes without input: they see, and may change, the rows of all other invokes.
//!
//! At a place that such an invoke looks at, every forward pass of the trace stops until all have arrived. Their values
//! are put together along the batch axis; where lengths differ, shorter ones are padded with zeros on the left, for
//! these eyes only. What the statements change is written back into each pass's own rows.

use pellucid_nn::{Args, Value, Var};
use pellucid_program::{InvokeId, NodeId};
use pellucid_tensor::{Scalar, Tensor};
use rustc_hash::FxHashMap;

use super::Block;
use super::bindings::Spot as Place;
use super::hooks::Here;
use crate::error::{Result, RunError, RunErrorKind};

/// A place in a step, as an invoke without input sees it.
pub(super) type Spot = (InvokeId, Place, u64);

/// What has been gathered at a place.
#[derive(Default)]
pub(super) struct Gathered {
    arrived: FxHashMap<InvokeId, Args>,
    /// The rows of all, once everyone is there.
    whole: Option<Whole>,
    /// The statements have taken effect.
    settled: bool,
    /// Forward passes that have taken their rows back.
    taken: Vec<InvokeId>,
}

struct Whole {
    args: Args,
    skipped: Option<Value>,
    /// The tensors as they were put together, in the order of [`Args`].
    before: Vec<(Var, Tensor)>,
    order: Vec<InvokeId>,
}

impl Block<'_> {
    /// A forward pass is at a place that an invoke without input looks at; whether it may go on.
    pub(super) fn visit_all_rows(
        &self,
        all: InvokeId,
        bound: &[NodeId],
        invoke: InvokeId,
        place: &Place,
        here: &mut Here<'_>,
    ) -> Result<bool> {
        let step = self.steps.borrow().get(&invoke).copied().unwrap_or(0);
        let key = (all, place.clone(), step);
        let mut gathered = self.gathered.borrow_mut().remove(&key).unwrap_or_default();
        let result = self.gather(&mut gathered, bound, invoke, here);
        let is_over = self.running.borrow().iter().all(|i| gathered.taken.contains(i));
        if !is_over {
            self.gathered.borrow_mut().insert(key, gathered);
        }
        result
    }

    fn gather(
        &self,
        gathered: &mut Gathered,
        bound: &[NodeId],
        invoke: InvokeId,
        here: &mut Here<'_>,
    ) -> Result<bool> {
        if gathered.taken.contains(&invoke) {
            return Ok(true);
        }
        let own = match here {
            Here::Inputs(args, _) => (*args).clone(),
            Here::Value(value) => Args::default().and((**value).clone()),
        };
        if gathered.arrived.insert(invoke, own).is_none() {
            self.progress.set(self.progress.get() + 1);
        }
        if gathered.whole.is_none() {
            let running = self.running.borrow();
            if !running.iter().all(|i| gathered.arrived.contains_key(i)) {
                return Ok(false);
            }
            let order: Vec<InvokeId> =
                self.invokes.iter().copied().filter(|i| gathered.arrived.contains_key(i)).collect();
            let parts: Vec<&Args> = order.iter().map(|i| &gathered.arrived[i]).collect();
            let mut args = parts[0].clone();
            let differs =
                |a: &&&Args| (a.positional.len(), a.named.len()) != (args.positional.len(), args.named.len());
            if let Some(other) = parts.iter().find(differs) {
                return Err(mixed(&Value::tuple(other.positional.iter().cloned())));
            }
            for i in 0..args.positional.len() {
                let parts: Vec<Value> = parts.iter().map(|a| a.positional[i].clone()).collect();
                args.positional[i] = join(&parts)?;
            }
            for i in 0..args.named.len() {
                let parts: Vec<Value> = parts.iter().map(|a| a.named[i].1.clone()).collect();
                args.named[i].1 = join(&parts)?;
            }
            let before = vars(&args)
                .into_iter()
                .map(|var| Ok((var.clone(), var.get()?)))
                .collect::<Result<Vec<_>>>()?;
            gathered.whole = Some(Whole { args, skipped: None, before, order });
        }
        let Some(whole) = &mut gathered.whole else { return Ok(false) };
        if !gathered.settled {
            let is_free = match here {
                Here::Inputs(..) => {
                    let mut there = Here::Inputs(&mut whole.args, &mut whole.skipped);
                    self.visit_group(invoke, bound, &mut there)?
                }
                Here::Value(_) => {
                    self.visit_group(invoke, bound, &mut Here::Value(&mut whole.args.positional[0]))?
                }
            };
            if !is_free {
                return Ok(false);
            }
            gathered.settled = true;
        }
        whole.hand_back(&gathered.arrived, invoke, here)?;
        gathered.taken.push(invoke);
        self.progress.set(self.progress.get() + 1);
        Ok(true)
    }
}

impl Whole {
    /// Puts an invoke's rows of what has changed where its forward pass is.
    fn hand_back(
        &self,
        arrived: &FxHashMap<InvokeId, Args>,
        invoke: InvokeId,
        here: &mut Here<'_>,
    ) -> Result<()> {
        let position = self.order.iter().position(|&i| i == invoke).unwrap_or(0);
        let own = &arrived[&invoke];
        // Rows are counted by the first tensor, which has the batch axis in every module.
        let batch = |args: &Args| {
            vars(args).first().and_then(|v| v.get().ok()).and_then(|t| t.dims().first().copied()).unwrap_or(0)
        };
        let sizes: Vec<usize> = self.order.iter().map(|i| batch(&arrived[i])).collect();
        let start: usize = sizes[..position].iter().sum();
        let back = |whole: &Value, own: &Value| self.rows_of(whole, own, start, sizes[position]);
        match here {
            Here::Value(slot) => **slot = back(&self.args.positional[0], &own.positional[0])?,
            Here::Inputs(args, skipped) => {
                for (i, value) in self.args.positional.iter().enumerate() {
                    let was = own.positional.get(i).cloned().unwrap_or_default();
                    let value = back(value, &was)?;
                    match args.positional.get_mut(i) {
                        Some(slot) => *slot = value,
                        None => args.positional.push(value),
                    }
                }
                for (i, (_, value)) in self.args.named.iter().enumerate() {
                    args.named[i].1 = back(value, &own.named[i].1)?;
                }
                if let Some(value) = &self.skipped {
                    let rows = Value::tuple([]);
                    **skipped = Some(self.rows_of(value, &rows, start, sizes[position])?);
                }
            }
        }
        Ok(())
    }

    fn rows_of(&self, whole: &Value, own: &Value, start: usize, rows: usize) -> Result<Value> {
        Ok(match (whole, own) {
            (Value::Tensor(whole), own) => {
                let tensor = whole.get()?;
                let known = self.before.iter().find(|(var, _)| var.same_storage(whole));
                match (known, own) {
                    // Untouched: the pass goes on with what it had.
                    (Some((_, before)), own) if before.same_node(&tensor) => own.clone(),
                    // Written in place: every alias in the pass sees it.
                    (Some(_), Value::Tensor(own)) => {
                        own.set(slice(&tensor, own.get()?.dims(), start)?)?;
                        Value::Tensor(own.clone())
                    }
                    (_, Value::Tensor(own)) => Value::tensor(slice(&tensor, own.get()?.dims(), start)?),
                    _ => Value::tensor(tensor.narrow(0, start as i64, rows)?),
                }
            }
            (Value::Tuple(items), own) => {
                let part = |i: usize| match own {
                    Value::Tuple(own) => own.get(i).cloned().unwrap_or_default(),
                    _ => Value::None,
                };
                let items = items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| self.rows_of(item, &part(i), start, rows))
                    .collect::<Result<Vec<_>>>()?;
                Value::tuple(items)
            }
            (Value::Record(whole), Value::Record(own)) => {
                for (name, value) in whole.fields.borrow().iter() {
                    let was = own.get(name).unwrap_or_default();
                    own.set(name, self.rows_of(value, &was, start, rows)?);
                }
                Value::Record(own.clone())
            }
            (_, own) => own.clone(),
        })
    }
}

/// All tensors of the arguments.
fn vars(args: &Args) -> Vec<Var> {
    let mut all = Vec::new();
    for value in args.positional.iter().chain(args.named.iter().map(|(_, v)| v)) {
        value.for_each_var(&mut |var| all.push(var.clone()));
    }
    all
}

/// One value of the rows of several.
fn join(parts: &[Value]) -> Result<Value> {
    Ok(match &parts[0] {
        Value::Tensor(_) => {
            let tensors = parts
                .iter()
                .map(|part| match part {
                    Value::Tensor(var) => Ok(var.get()?),
                    other => Err(mixed(other)),
                })
                .collect::<Result<Vec<_>>>()?;
            Value::tensor(stack(&tensors)?)
        }
        Value::Tuple(items) => {
            let each = |i: usize| {
                let parts = parts
                    .iter()
                    .map(|part| match part {
                        Value::Tuple(items) if i < items.len() => Ok(items[i].clone()),
                        other => Err(mixed(other)),
                    })
                    .collect::<Result<Vec<_>>>()?;
                join(&parts)
            };
            Value::tuple((0..items.len()).map(each).collect::<Result<Vec<_>>>()?)
        }
        Value::Record(first) => {
            let mut fields = Vec::new();
            for (name, _) in first.fields.borrow().iter() {
                let parts: Vec<Value> = parts
                    .iter()
                    .map(|part| match part {
                        Value::Record(record) => record.get(name).unwrap_or_default(),
                        _ => Value::None,
                    })
                    .collect();
                fields.push((name.clone(), join(&parts)?));
            }
            let record = pellucid_nn::Record { type_name: first.type_name, fields: fields.into() };
            Value::Record(std::rc::Rc::new(record))
        }
        other => other.clone(),
    })
}

/// Tensors behind one another along the batch axis, shorter ones padded with zeros on the left.
fn stack(tensors: &[Tensor]) -> Result<Tensor> {
    let rank = tensors[0].rank();
    if rank == 0 {
        return Ok(tensors[0].clone());
    }
    if let Some(other) = tensors.iter().find(|t| t.rank() != rank) {
        return Err(mixed(&Value::tensor(other.clone())));
    }
    let longest: Vec<usize> =
        (0..rank).map(|d| tensors.iter().map(|t| t.dims()[d]).max().unwrap_or(0)).collect();
    let padded = tensors
        .iter()
        .map(|t| {
            let mut t = t.clone();
            for d in 1..rank {
                let missing = longest[d] - t.dims()[d];
                if missing > 0 {
                    let mut dims = t.dims().to_vec();
                    dims[d] = missing;
                    let zeros = t.engine().full(&dims, Scalar::from(0i64), t.dtype());
                    t = Tensor::cat(&[zeros, t], d as i64)?;
                }
            }
            Ok(t)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&padded, 0)?)
}

/// The rows from `start` on of what has been put together, without the padding.
fn slice(whole: &Tensor, own: &[usize], start: usize) -> Result<Tensor> {
    if own.is_empty() {
        return Ok(whole.clone());
    }
    let mut t = whole.narrow(0, start as i64, own[0])?;
    for (d, &len) in own.iter().enumerate().skip(1) {
        let all = t.dims()[d];
        t = t.narrow(d as i64, (all - len.min(all)) as i64, len.min(all))?;
    }
    Ok(t)
}

fn mixed(got: &Value) -> RunError {
    RunErrorKind::Argument {
        op: "invoke".into(),
        argument: "rows".into(),
        expected: "values of one form in all invokes".into(),
        got: got.kind(),
    }
    .into()
}
