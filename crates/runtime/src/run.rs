//! Running a whole program: check, run its traces, compute what was saved.

use std::rc::Rc;

use pellucid_nn::{Model, Value};
use pellucid_program::{Kind, NodeId, Program, RegionId, RegionKind, verify};
use pellucid_tensor::Tensor;
use rustc_hash::FxHashMap;

use crate::environment::ModelEnvironment;
use crate::error::{Result, RunError, RunErrorKind};
use crate::input::Encoder;
use crate::trace::Trace;

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Shapes only: nothing is computed but what a shape depends on, and a generation is followed to its first token.
    pub scan: bool,
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

/// A model and its tokenizer, ready to run programs.
#[derive(Clone, Copy)]
pub struct Runner<'a> {
    /// The model.
    pub model: &'a Model,
    /// Turns text into tokens, if there is a tokenizer.
    pub encoder: Option<&'a dyn Encoder>,
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
        let faults = verify(program, &ModelEnvironment::new(self.model));
        if !faults.is_empty() {
            return Err(RunError::new(RunErrorKind::Refused(faults)));
        }
        let mut values: Vec<Option<Value>> = vec![None; program.nodes.len()];
        let mut logs = Vec::new();
        for (id, node) in program.nodes().filter(|(_, n)| n.region == RegionId(0)) {
            let Kind::RegionRef(region) = node.kind else {
                let what = format!("`{}` outside a trace", node.kind.word());
                return Err(RunError::new(RunErrorKind::Unsupported { what }).at(program, id));
            };
            if !matches!(program.regions[region.index()].kind, RegionKind::Trace { .. }) {
                let what = format!("`{}`", program.regions[region.index()].kind.name());
                return Err(RunError::new(RunErrorKind::Unsupported { what }).at(program, id));
            }
            let trace = Trace::new(program, region, self, options.scan, values)?;
            let (after, lines) = trace.run()?;
            values = after;
            logs.extend(lines);
        }

        let mut kept: FxHashMap<NodeId, Value> = FxHashMap::default();
        for (id, node) in program.nodes() {
            match &node.kind {
                _ if options.scan => {
                    if let Some(value) = &values[id.index()] {
                        kept.insert(id, value.clone());
                    }
                }
                Kind::Save { value, .. } => {
                    if let Some(saved) = &values[value.index()]
                        && values[id.index()].is_some()
                    {
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
            self.model.engine().eval(&wanted)?;
        }
        Ok(Outcome { values: kept, logs, scanned: options.scan })
    }
}
