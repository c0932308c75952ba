//! Running a whole program: check, run its traces, compute what was saved.

use std::rc::Rc;

use pellucid_nn::{Model, Value};
use pellucid_program::{Kind, NodeId, Program, RegionKind, verify};
use pellucid_tensor::Tensor;
use rustc_hash::FxHashMap;

use crate::block::run_root;
use crate::environment::ModelEnvironment;
use crate::error::{Result, RunError, RunErrorKind};
use crate::explain::Budget;
use crate::input::Encoder;
use crate::state::{State, base_model};

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Shapes only: nothing is computed but what a shape depends on, and a generation is followed to its first token.
    pub scan: bool,
    /// What the program may cost at most; checked before anything is computed.
    pub budget: Budget,
}

/// A function of the host's: it is handed computed values and gives one back, or says in words why it cannot.
pub type Callback = Rc<dyn Fn(&[Value]) -> std::result::Result<Value, String>>;

/// What a `log` statement was given.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// The statement.
    pub node: NodeId,
    /// Its arguments.
    pub values: Vec<Value>,
}

/// What a run gave.
#[derive(Debug, Default)]
pub struct Outcome {
    values: FxHashMap<NodeId, Value>,
    /// Logged values, in the order in which they were logged.
    pub logs: Vec<LogLine>,
    scanned: bool,
}

impl Outcome {
    /// A saved value; after a scan, any value, uncomputed.
    ///
    /// # Errors
    /// [`RunErrorKind::NotSaved`].
    pub fn value(&self, node: NodeId) -> Result<&Value> {
        self.values.get(&node).ok_or_else(|| RunError {
            kind: Box::new(RunErrorKind::NotSaved),
            node: Some(node),
            line: None,
        })
    }

    /// Whether only shapes were asked for.
    #[must_use]
    pub fn is_scan(&self) -> bool {
        self.scanned
    }
}

/// A model and what turns text into its tokens.
#[derive(Clone, Copy)]
pub struct Loaded<'a> {
    /// The model.
    pub model: &'a Model,
    /// Turns text into tokens, if there is a tokenizer.
    pub encoder: Option<&'a dyn Encoder>,
}

impl std::fmt::Debug for Loaded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loaded")
    }
}

/// Models and functions, ready to run programs.
#[derive(Clone, Copy)]
pub struct Runner<'a> {
    /// Models, by the numbers that programs use.
    pub models: &'a [Loaded<'a>],
    /// Functions that the program's `host` statements name by position. They never leave the process.
    pub callbacks: &'a [Callback],
}

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runner")
    }
}

impl Runner<'_> {
    /// Runs a program.
    ///
    /// # Errors
    /// All faults that can be seen without running, together ([`RunErrorKind::Refused`]); else the first fault met,
    /// with its line.
    pub fn run(&self, program: &Program, options: RunOptions) -> Result<Outcome> {
        self.check(program)?;
        if !options.budget.is_unlimited() {
            options.budget.check(&self.explain(program)?)?;
        }
        if is_staged(program) {
            self.check_shapes(program)?;
        }
        let state = State::new(program, *self, options.scan);
        let mut result = run_root(&state);
        if result.is_err() && !is_staged(program) {
            // Nothing has been computed yet, so that all mistakes can be told together.
            result = self.check_shapes(program).and(result);
        }
        let State { table, logs, .. } = state;
        let (values, logs) = (table.into_values(), logs.into_inner());
        result.map_err(|e| name_lines(program, &values, e))?;

        let mut kept: FxHashMap<NodeId, Value> = FxHashMap::default();
        for (id, node) in program.nodes() {
            match &node.kind {
                _ if options.scan => {
                    if let Some(value) = &values[id.index()] {
                        kept.insert(id, value.clone());
                    }
                }
                Kind::Save { value, .. } => {
                    if let Some(saved) = &values[id.index()] {
                        kept.insert(id, saved.clone());
                        kept.insert(*value, saved.clone());
                    }
                }
                _ => {}
            }
        }
        if !options.scan {
            let mut wanted: Vec<Tensor> = Vec::new();
            let mut fault = None;
            let logged = logs.iter().flat_map(|l| &l.values);
            for value in kept.values().chain(logged) {
                value.for_each_var(&mut |var| match var.get() {
                    Ok(tensor) => wanted.push(tensor),
                    Err(e) => fault = Some(e),
                });
            }
            if let Some(e) = fault {
                return Err(e.into());
            }
            eval_each(&wanted).map_err(|e| name_lines(program, &values, e.into()))?;
        }
        Ok(Outcome { values: kept, logs, scanned: options.scan })
    }

    /// Refuses a program for everything that can be seen without running it.
    pub(crate) fn check(&self, program: &Program) -> Result<()> {
        self.check_models(program)?;
        let faults = verify(program, &ModelEnvironment::new(program, self.models));
        if faults.is_empty() { Ok(()) } else { Err(RunError::new(RunErrorKind::Refused(faults))) }
    }

    /// Every model number of a program stands for a model.
    fn check_models(&self, program: &Program) -> Result<()> {
        for region in &program.regions {
            if let RegionKind::Trace { model, .. } | RegionKind::Edit { model, .. } = region.kind
                && base_model(program, model) as usize >= self.models.len()
            {
                return Err(RunError::new(RunErrorKind::NoItem {
                    container: "the program's host".into(),
                    key: format!("model {model}"),
                }));
            }
        }
        if self.models.is_empty() {
            let what = "a program without a model".into();
            return Err(RunErrorKind::Unsupported { what }.into());
        }
        Ok(())
    }
}

/// Whether something is computed before the end of a program, so that its mistakes must be looked for before it runs.
fn is_staged(program: &Program) -> bool {
    let traces = program.regions.iter().filter(|r| matches!(r.kind, RegionKind::Trace { .. })).count();
    let region = |kind: &RegionKind| {
        matches!(
            kind,
            RegionKind::Cond { .. } | RegionKind::Iter { .. } | RegionKind::Trace { generate: Some(_), .. }
        )
    };
    traces > 1
        || program.regions.iter().any(|r| region(&r.kind))
        || program.nodes.iter().any(|n| matches!(n.kind, Kind::Host { .. } | Kind::OptimizerStep { .. }))
}

/// A fault found while computing, with the lines of the statements that asked for the value at fault.
pub(crate) fn name_lines(program: &Program, values: &[Option<Value>], error: RunError) -> RunError {
    let RunErrorKind::Tensor(fault) = *error.kind else { return error };
    let Some(node) = fault.node().cloned() else {
        return RunError { kind: Box::new(RunErrorKind::Tensor(fault)), ..error };
    };
    let mut made: Vec<(NodeId, Tensor)> = Vec::new();
    for (id, statement) in program.nodes() {
        let makes = matches!(statement.kind, Kind::Op { .. } | Kind::Module { .. } | Kind::Read(_));
        if let (true, Some(Some(value))) = (makes, values.get(id.index())) {
            value.for_each_var(&mut |var| made.extend(var.get().ok().map(|tensor| (id, tensor))));
        }
    }
    let tensors: Vec<Tensor> = made.iter().map(|(_, tensor)| tensor.clone()).collect();
    let mut statements: Vec<NodeId> = node.asked_by(&tensors).into_iter().map(|i| made[i].0).collect();
    statements.sort_unstable();
    statements.dedup();
    let line = |id: &NodeId| program.line_text(program.node(*id)?.line?);
    let mut lines: Vec<String> = statements.iter().filter_map(line).collect();
    lines.dedup();
    let first = lines.first().cloned();
    RunError {
        kind: Box::new(RunErrorKind::Computing { fault, lines }),
        node: statements.first().copied().or(error.node),
        line: first.or(error.line),
    }
}

/// Computes tensors, those of each engine together.
pub(crate) fn eval_each(tensors: &[Tensor]) -> pellucid_tensor::Result<()> {
    let mut left = tensors.to_vec();
    while let Some(engine) = left.first().map(|t| t.engine().clone()) {
        let (own, others): (Vec<Tensor>, Vec<Tensor>) = left.into_iter().partition(|t| *t.engine() == engine);
        engine.eval(&own)?;
        left = others;
    }
    Ok(())
}
