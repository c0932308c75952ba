//! Generation: the forward pass repeated over new tokens, with keys and values of earlier ones kept.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use pellucid_nn::{Forward, KvCache, Layer, Model, Value};
use pellucid_program::{Input, InvokeId};
use pellucid_tensor::{DType, Tensor};

use super::Block;
use super::bindings::{GENERATOR_ID, Inner, STREAMER_ID, Spot};
use super::hooks::Here;
use crate::error::{Result, RunError, RunErrorKind, from_model};
use crate::generation::beam::{Search, Step};
use crate::generation::{Options, sampling};
use crate::input::Rows;

/// How the next tokens of an invoke's rows are chosen.
enum Chooser {
    /// The likeliest token of each row.
    Greedy,
    /// Row by row, from processed logits; a stream of random numbers for each if drawn.
    Each(Vec<u64>),
    /// A search for each prompt.
    Beams(Vec<Search>),
}

impl Block<'_> {
    /// Generates from an invoke's rows; each forward pass is called with `of_steps` as well.
    pub(super) async fn run_generation(
        &self,
        invoke: InvokeId,
        pass: &Forward<'_>,
        root: &dyn Layer,
        rows: Rows,
        given: &[(String, Value)],
        of_steps: &[(&'static str, Value)],
    ) -> Result<()> {
        let options = Options::new(given, self.encoder.map_or(0, crate::Encoder::pad_id))?;
        let engine = self.model.engine();
        let prompt = rows.ids.dims()[1];
        let ids = self.streamed(invoke, 0, rows.ids).await?;
        let prompts: Vec<Vec<i64>> = ids.to_vec::<i64>()?.chunks(prompt).map(<[i64]>::to_vec).collect();
        let real = mask_rows(&rows.mask, &prompts)?;
        let n_beams = options.num_beams;
        let expand = |t: Tensor| if n_beams == 1 { Ok(t) } else { t.repeat_interleave(n_beams, 0) };
        let mut chooser = match () {
            () if n_beams > 1 => Chooser::Beams(prompts.iter().map(|p| Search::new(&options, p)).collect()),
            () if options.is_plain_greedy() => Chooser::Greedy,
            () => Chooser::Each(sampling::streams(&options, &real)),
        };
        let mut tokens: Vec<Vec<i64>> =
            prompts.iter().flat_map(|p| std::iter::repeat_n(p.clone(), n_beams)).collect();
        let (mut ids, mut mask) = (expand(ids)?, expand(rows.mask)?);
        let mut finished = vec![false; tokens.len()];
        let cache = Rc::new(KvCache::default());
        for step in 0..options.max_new_tokens {
            if step > 0 {
                self.begin_step(Some(invoke), step);
                self.begin_step_of_all_rows(step);
                self.run_ready()?;
            }
            let mut args = Model::root_args(ids, Some(mask.clone()), Some(cache.clone()));
            args.named.extend_from_slice(of_steps);
            // Later steps are never built twice, and what is remembered would hold all their graphs.
            let memory = if step == 0 { pass.memory } else { None };
            let pass = Forward { memory, ..*pass };
            let output = pass.call(root, args).await.map_err(from_model)?;
            let logits = last_logits(&output, tokens.len())?;
            if self.state.scan {
                // The next token is a value; shapes are known up to here.
                self.state.planned.borrow_mut().push(logits);
                if options.max_new_tokens > 1 {
                    self.state.guesses.set(true);
                    let what = format!(
                        "the next token is a computed value: the first of up to {} steps is counted",
                        options.max_new_tokens
                    );
                    self.state.needs_value(None, &what);
                }
                return Ok(());
            }
            let chosen = match chooser {
                Chooser::Greedy => logits.arg_extreme(true, Some(-1), false)?,
                _ => logits,
            };
            let mut wanted = cache.tensors();
            wanted.push(chosen.clone());
            self.computed(wanted).await;
            if self.stopped.get() {
                return Ok(());
            }
            cache.detach()?;
            let mut next = self.choose(&mut chooser, &options, &chosen, &real, &tokens, prompt, step)?;
            if !matches!(chooser, Chooser::Beams(_)) {
                for (id, done) in next.tokens.iter_mut().zip(&finished) {
                    if *done {
                        *id = options.pad;
                    }
                }
            }
            let streamed = engine.from_vec(next.tokens.clone(), &[next.tokens.len()])?;
            let streamed = self.streamed(invoke, step + 1, streamed).await?;
            if self.stopped.get() {
                return Ok(());
            }
            next.tokens = streamed.to_vec::<i64>()?;
            let over = match &chooser {
                Chooser::Beams(searches) => {
                    tokens = (0..tokens.len())
                        .map(|row| searches[row / n_beams].tokens(row % n_beams).to_vec())
                        .collect();
                    reorder(&cache, &next, n_beams)?;
                    searches.iter().all(Search::is_done)
                }
                _ => {
                    for (row, (id, done)) in tokens.iter_mut().zip(next.tokens.iter().zip(&mut finished)) {
                        row.push(*id);
                        *done |= options.eos.contains(id);
                    }
                    finished.iter().all(|&done| done)
                }
            };
            if over {
                break;
            }
            let batch = tokens.len();
            ids = engine.from_vec(next.tokens, &[batch, 1])?;
            let one = engine.ones(&[batch, 1], mask.dtype());
            mask = Tensor::cat(&[mask, one], 1)?.detach()?;
        }
        if let Chooser::Beams(searches) = chooser {
            tokens = searches.into_iter().map(Search::best).collect();
            let longest = tokens.iter().map(Vec::len).max().unwrap_or(0);
            tokens.iter_mut().for_each(|row| row.resize(longest, options.pad));
        }
        let (batch, len) = (tokens.len(), tokens[0].len());
        let mut value = Value::tensor(engine.from_vec(tokens.concat(), &[batch, len])?);
        self.at_place(invoke, &(GENERATOR_ID, Inner::Output), &mut value).await
    }

    /// Tokens of all rows for the next step.
    #[expect(clippy::too_many_arguments, reason = "the state of one generation, used here alone")]
    fn choose(
        &self,
        chooser: &mut Chooser,
        options: &Options,
        chosen: &Tensor,
        real: &[Vec<i64>],
        tokens: &[Vec<i64>],
        prompt: usize,
        step: u64,
    ) -> Result<Step> {
        let rows = tokens.len();
        let from = (0..rows).collect();
        if let Chooser::Greedy = chooser {
            return Ok(Step { from, tokens: chosen.to_vec::<i64>()? });
        }
        let vocab = chosen.dims()[1];
        let mut logits: Vec<Vec<f32>> = chosen.to_vec::<f32>()?.chunks(vocab).map(<[f32]>::to_vec).collect();
        for (row, logits) in logits.iter_mut().enumerate() {
            // Padding in front of a prompt has not been said.
            let own = &real[row / (rows / real.len())];
            let history: Vec<i64> = own.iter().chain(&tokens[row][prompt..]).copied().collect();
            sampling::process(options, &history, step, logits);
        }
        match chooser {
            Chooser::Beams(searches) => {
                let mut all = Step { from: Vec::new(), tokens: Vec::new() };
                for (i, search) in searches.iter_mut().enumerate() {
                    let first = i * options.num_beams;
                    let step = search.advance(options, &logits[first..first + options.num_beams]);
                    all.from.extend(step.from.iter().map(|beam| first + beam));
                    all.tokens.extend(step.tokens);
                }
                Ok(all)
            }
            Chooser::Each(streams) if options.do_sample => {
                let engine = self.model.engine();
                let draw = |(row, logits): (usize, &Vec<f32>)| {
                    Ok(sampling::draw(options, logits, sampling::uniform(engine, streams[row], step)?))
                };
                Ok(Step { from, tokens: logits.iter().enumerate().map(draw).collect::<Result<_>>()? })
            }
            _ => Ok(Step { from, tokens: logits.iter().map(|l| sampling::likeliest(l)).collect() }),
        }
    }

    /// Invokes without input take part in the step that the first of the others begins.
    fn begin_step_of_all_rows(&self, step: u64) {
        for &invoke in &self.invokes {
            let gathers = matches!(self.program.invokes[invoke.index()].input, Input::Empty);
            if gathers && self.steps.borrow().get(&invoke).is_none_or(|&at| at < step) {
                self.begin_step(Some(invoke), step);
            }
        }
    }

    /// Announces tokens that go out: the prompt's first, then each new one. What comes back is gone on with.
    async fn streamed(&self, invoke: InvokeId, call: u64, ids: Tensor) -> Result<Tensor> {
        let spot = (STREAMER_ID, Inner::Output);
        if !self.bindings[&invoke].spots.contains_key(&spot) {
            return Ok(ids);
        }
        let mut due = Vec::new();
        for &id in self.by_invoke.get(&Some(invoke)).into_iter().flatten() {
            if self.streamed.contains(&id) && self.node(id).steps.contains(call) {
                self.reset(id);
                due.push(id);
            }
        }
        due.into_iter().for_each(|id| self.offer(id));
        let dims = ids.dims().to_vec();
        let mut value = Value::tensor(ids);
        self.at_place(invoke, &spot, &mut value).await?;
        match &value {
            Value::Tensor(var) if var.get()?.dims() == dims => {
                let ids = var.get()?.cast(DType::I64);
                self.computed(vec![ids.clone()]).await;
                Ok(ids.detach()?)
            }
            other => Err(RunErrorKind::Argument {
                op: "generate".into(),
                argument: "generator.streamer.output".into(),
                expected: format!("token ids {dims:?}"),
                got: other.kind(),
            }
            .into()),
        }
    }

    async fn at_place(&self, invoke: InvokeId, spot: &Spot, value: &mut Value) -> Result<()> {
        poll_fn(|_| match self.visit(invoke, spot, &mut Here::Value(value)) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(e) => Poll::Ready(Err(e)),
        })
        .await
    }
}

/// The prompts without their padding.
fn mask_rows(mask: &Tensor, prompts: &[Vec<i64>]) -> Result<Vec<Vec<i64>>> {
    let mask = mask.cast(DType::I64).to_vec::<i64>()?;
    let seq = prompts.first().map_or(0, Vec::len);
    Ok(prompts
        .iter()
        .zip(mask.chunks(seq.max(1)))
        .map(|(ids, mask)| ids.iter().zip(mask).filter(|(_, m)| **m != 0).map(|(id, _)| *id).collect())
        .collect())
}

/// Keys and values follow the beams that were chosen.
fn reorder(cache: &KvCache, step: &Step, n_beams: usize) -> Result<()> {
    if step.from.iter().enumerate().all(|(to, from)| to == *from) || n_beams == 1 {
        return Ok(());
    }
    let n_layers = cache.tensors().len() / 2;
    for layer in 0..n_layers {
        if let Some((k, v)) = cache.layer(layer) {
            let from: Vec<i64> = step.from.iter().map(|&f| f as i64).collect();
            let from = k.engine().from_vec(from, &[step.from.len()])?;
            cache.set_layer(layer, k.index_select(0, &from)?, v.index_select(0, &from)?);
        }
    }
    Ok(())
}

/// Logits of the last position, `[batch, d_vocab]`, of a model's output, which the program may have changed.
fn last_logits(output: &Value, batch: usize) -> Result<Tensor> {
    let logits = match output {
        Value::Record(record) => record.get("logits"),
        _ => None,
    };
    let Some(Value::Tensor(var)) = logits else {
        return Err(RunErrorKind::NoItem { container: output.kind(), key: "field `logits`".into() }.into());
    };
    let logits = var.get()?;
    let &[rows, seq, vocab] = logits.dims() else { return Err(bad_logits(output, batch)) };
    if rows != batch || seq == 0 || vocab == 0 {
        return Err(bad_logits(output, batch));
    }
    let seq = seq as i64;
    Ok(logits.cast(DType::F32).narrow(1, seq - 1, 1)?.squeeze(Some(1))?)
}

fn bad_logits(output: &Value, batch: usize) -> RunError {
    let logits = match output {
        Value::Record(record) => record.get("logits").unwrap_or_default(),
        other => other.clone(),
    };
    RunErrorKind::Argument {
        op: "generate".into(),
        argument: "logits".into(),
        expected: format!("logits `[{batch}, seq, d_vocab]`, not empty"),
        got: logits.kind(),
    }
    .into()
}
