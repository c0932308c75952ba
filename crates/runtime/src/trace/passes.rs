//! Driving the forward passes of all invokes: polling, evaluating what they wait for, generation.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pellucid_nn::{Forward, KvCache, Model, Value};
use pellucid_program::{Arg, InvokeId, Kind, RegionKind};
use pellucid_tensor::{DType, Tensor};

use super::hooks::{Here, InvokeHooks};
use super::{GENERATOR_ID, Inner, Trace};
use crate::error::{Result, RunError, RunErrorKind, from_model};
use crate::input::rows;

/// An invoke being run.
type Pass<'t> = Pin<Box<dyn Future<Output = Result<()>> + 't>>;

/// How a generation ends.
struct GenerateOptions {
    max_new_tokens: u64,
    eos: Vec<i64>,
    pad: i64,
}

impl Trace<'_> {
    /// Runs every invoke to its end, or until the trace is stopped.
    pub(super) fn run_passes(&self) -> Result<()> {
        let mut running: Vec<(InvokeId, Pass<'_>)> = Vec::with_capacity(self.invokes.len());
        for &invoke in &self.invokes {
            running.push((invoke, Box::pin(self.run_invoke(invoke))));
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
                        return Err(match self.last_write.borrow().get(&invoke) {
                            Some(&write) if e.node.is_none() => e.at(self.program, write),
                            _ => e,
                        });
                    }
                    Poll::Pending => i += 1,
                }
                if self.stopped.get() {
                    return Ok(());
                }
            }
            if self.progress.get() != before || running.len() != count {
                continue;
            }
            let wanted = std::mem::take(&mut *self.wanted.borrow_mut());
            if wanted.is_empty() {
                return self.check_finished();
            }
            self.model.engine().eval(&wanted)?;
        }
        Ok(())
    }

    /// Waits until the tensors are computed, together with what all other invokes wait for.
    async fn computed(&self, tensors: Vec<Tensor>) {
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
        let rows = rows(self.model.engine(), &description.input, self.encoder)?;
        let hooks = InvokeHooks { trace: self, invoke };
        let pass = Forward { model: self.model, hooks: &hooks, memory: Some(&self.memory) };
        let root = self.model.layer(self.model.tree().root()).cloned().ok_or_else(|| {
            RunError::new(RunErrorKind::Unsupported { what: "a model that cannot be called".into() })
        })?;
        let RegionKind::Trace { generate, .. } = &self.program.regions[self.region.index()].kind else {
            return Err(RunErrorKind::Unsupported { what: "an invoke outside a trace".into() }.into());
        };
        let Some(options) = generate else {
            let args = Model::root_args(rows.ids, Some(rows.mask), None);
            pass.call(&*root, args).await.map_err(from_model)?;
            return Ok(());
        };

        let options = self.generate_options(options)?;
        let (batch, prompt) = (rows.ids.dims()[0], rows.ids.dims()[1]);
        let mut tokens: Vec<Vec<i64>> =
            rows.ids.to_vec::<i64>()?.chunks(prompt).map(<[i64]>::to_vec).collect();
        let mut mask = rows.mask;
        let mut ids = rows.ids;
        let mut finished = vec![false; batch];
        let cache = Rc::new(KvCache::default());
        for step in 0..options.max_new_tokens {
            if step > 0 {
                self.begin_step(Some(invoke), step);
                self.run_ready()?;
            }
            let args = Model::root_args(ids, Some(mask.clone()), Some(cache.clone()));
            let output = pass.call(&*root, args).await.map_err(from_model)?;
            if self.scan {
                // The next token is a value; shapes are known up to here.
                return Ok(());
            }
            let next = last_logits(&output)?.arg_extreme(true, Some(-1), false)?;
            let mut wanted = cache.tensors();
            wanted.push(next.clone());
            wanted.extend(self.saved_tensors());
            self.computed(wanted).await;
            if self.stopped.get() {
                return Ok(());
            }
            cache.detach()?;
            self.detach_saved()?;
            let mut row_ids = next.to_vec::<i64>()?;
            for (id, (row, done)) in row_ids.iter_mut().zip(tokens.iter_mut().zip(&mut finished)) {
                if *done {
                    *id = options.pad;
                }
                row.push(*id);
                *done |= options.eos.contains(id);
            }
            if finished.iter().all(|&done| done) {
                break;
            }
            ids = self.model.engine().from_vec(row_ids, &[batch, 1])?;
            let one = self.model.engine().ones(&[batch, 1], mask.dtype());
            mask = Tensor::cat(&[mask, one], 1)?.detach()?;
        }
        let len = tokens[0].len();
        let all = self.model.engine().from_vec(tokens.concat(), &[batch, len])?;
        let mut value = Value::tensor(all);
        poll_fn(|_| match self.visit(invoke, &(GENERATOR_ID, Inner::Output), &mut Here::Value(&mut value)) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(e) => Poll::Ready(Err(e)),
        })
        .await
    }

    fn generate_options(&self, given: &[(String, Arg)]) -> Result<GenerateOptions> {
        let mut options = GenerateOptions {
            max_new_tokens: 1,
            eos: Vec::new(),
            pad: self.encoder.map_or(0, crate::Encoder::pad_id),
        };
        let bad = |name: &str, expected: &str, got: &Arg| {
            RunError::new(RunErrorKind::Argument {
                op: "generate".into(),
                argument: name.into(),
                expected: expected.into(),
                got: format!("{got:?}"),
            })
        };
        for (name, arg) in given {
            match (name.as_str(), arg) {
                ("max_new_tokens", Arg::Int(n)) if *n >= 1 => options.max_new_tokens = *n as u64,
                ("max_new_tokens", other) => return Err(bad(name, "a number of at least one", other)),
                ("eos_token_id", Arg::Int(id)) => options.eos = vec![*id],
                ("eos_token_id", Arg::List(ids)) => {
                    options.eos = ids.iter().filter_map(Arg::as_int).collect()
                }
                ("eos_token_id" | "pad_token_id", Arg::None) => {}
                ("pad_token_id", Arg::Int(id)) => options.pad = *id,
                ("do_sample", Arg::Bool(false)) => {}
                _ => {
                    let what = format!("`{name}` in generate");
                    return Err(RunErrorKind::Unsupported { what }.into());
                }
            }
        }
        Ok(options)
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
        self.for_each_saved(&mut |var| {
            let base = var.base();
            if result.is_ok() {
                result =
                    base.get().and_then(|t| if t.is_evaluated() { base.set(t.detach()?) } else { Ok(()) });
            }
        });
        Ok(result?)
    }

    fn for_each_saved(&self, visit: &mut dyn FnMut(&pellucid_nn::Var)) {
        for (id, node) in self.program.nodes().filter(|(_, n)| n.region == self.region) {
            if let (Kind::Save { value, .. }, true) = (&node.kind, self.is_done(id))
                && let Some(value) = self.value(*value)
            {
                value.for_each_var(visit);
            }
        }
    }
}

/// Logits of the last position, `[batch, d_vocab]`, of a model's output.
fn last_logits(output: &Value) -> Result<Tensor> {
    let logits = match output {
        Value::Record(record) => record.get("logits"),
        _ => None,
    };
    let Some(Value::Tensor(var)) = logits else {
        return Err(RunErrorKind::NoItem { container: output.kind(), key: "field `logits`".into() }.into());
    };
    let logits = var.get()?;
    let seq = logits.dims()[1] as i64;
    Ok(logits.cast(DType::F32).narrow(1, seq - 1, 1)?.squeeze(Some(1))?)
}
