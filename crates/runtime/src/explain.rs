//! What a program would do, before it does it: work, memory, how much is shared, and how far that can be known.

use std::fmt;
use std::sync::OnceLock;

use pellucid_nn::Value;
use pellucid_program::{Kind, NodeId, Program};
use pellucid_tensor::{Engine, Op, Tensor};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::{Result, RunError, RunErrorKind};
use crate::run::{Runner, name_lines};
use crate::state::State;

/// What a program would do.
///
/// Counted is what is known without computing. Where going on needs a computed value (a condition, the next token of a
/// generation, a host function's result), the count ends, and [`Explanation::unknown`] says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// Floating-point operations.
    pub flops: u64,
    /// The same if every invoke were computed alone.
    pub flops_unshared: u64,
    /// An estimate of the bytes that results take at the worst moment.
    pub peak_bytes: u64,
    /// Bytes of the parameters that are read.
    pub parameter_bytes: u64,
    /// Operations computed.
    pub operations: usize,
    /// Work with each parameter matrix, in the order of first use.
    pub products: Vec<ProductWork>,
    /// Where the count stops or guesses, and why, in written order.
    pub unknown: Vec<Unknown>,
}

/// Work with one parameter matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductWork {
    /// The parameter's full name.
    pub parameter: String,
    /// In how many variants its product is computed.
    pub variants: usize,
    /// How many rows go through it, all variants together.
    pub rows: u64,
}

/// A point where going on needs a computed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The statement.
    pub node: Option<NodeId>,
    /// Its file and line.
    pub line: Option<String>,
    /// What depends on a computed value.
    pub what: String,
}

/// What a program may cost at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Floating-point operations.
    pub flops: Option<u64>,
    /// Bytes of results at the worst moment, and of the parameters that are read.
    pub bytes: Option<u64>,
    /// Seconds of computing, as estimated from the operations and from how fast this machine multiplies matrices.
    pub seconds: Option<f64>,
}

impl Budget {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Budget::default()
    }

    /// Refuses a program that would cost more.
    ///
    /// # Errors
    /// [`RunErrorKind::OverBudget`] with the figures.
    pub fn check(&self, explanation: &Explanation) -> Result<()> {
        let bytes = explanation.peak_bytes.saturating_add(explanation.parameter_bytes);
        for (what, limit, needed) in [
            ("floating-point operations", self.flops, explanation.flops),
            ("bytes of memory", self.bytes, bytes),
        ] {
            if let Some(limit) = limit.filter(|&limit| needed > limit) {
                return Err(RunErrorKind::OverBudget { what, limit, needed }.into());
            }
        }
        if let Some(limit) = self.seconds {
            let needed = explanation.seconds();
            if needed > limit {
                let milliseconds = |s: f64| (s * 1e3).ceil() as u64;
                return Err(RunErrorKind::OverBudget {
                    what: "milliseconds of computing",
                    limit: milliseconds(limit),
                    needed: milliseconds(needed),
                }
                .into());
            }
        }
        Ok(())
    }
}

impl Explanation {
    /// How long the counted operations would take, from how fast this machine multiplies matrices; measured once in a
    /// process, in some milliseconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        static RATE: OnceLock<f64> = OnceLock::new();
        let rate = match RATE.get() {
            Some(rate) => *rate,
            None => *RATE.get_or_init(|| measured_rate().unwrap_or(1e9)),
        };
        self.flops as f64 / rate
    }
}

/// Floating-point operations a second of a matrix product that is large enough to use every core.
fn measured_rate() -> pellucid_tensor::Result<f64> {
    let engine = Engine::new();
    let (n, mut best) = (384usize, 0.0f64);
    let matrix = |seed| {
        engine.rand(&[n, n], pellucid_tensor::DType::F32, seed, 0).eval().map(|v| engine.from_value(v, None))
    };
    let weight = matrix(0)?;
    for seed in 1..4 {
        let x = matrix(seed)?;
        let start = std::time::Instant::now();
        x.matmul(&weight)?.eval()?;
        best = best.max(2.0 * (n * n * n) as f64 / start.elapsed().as_secs_f64());
    }
    Ok(best)
}

impl Runner<'_> {
    /// Goes through a program without computing. All faults met, together.
    fn all_faults(&self, state: &State<'_>) -> Result<()> {
        let last = crate::block::run_root(state);
        let mut faults = state.faults.take();
        faults.extend(last.err());
        faults.sort_by_key(|fault| fault.node);
        match faults.len() {
            0 => Ok(()),
            1 => Err(name_lines(state.program, &[], faults.remove(0))),
            _ => {
                let (node, line) = (faults[0].node, None);
                Err(RunError { kind: Box::new(RunErrorKind::Several(faults)), node, line })
            }
        }
    }

    /// Refuses a program for every mistake in it that does not depend on computed values.
    pub(crate) fn check_shapes(&self, program: &Program) -> Result<()> {
        self.all_faults(&State::explaining(program, *self))
    }

    /// What a program would do. Nothing is computed.
    ///
    /// # Errors
    /// As [`Runner::run`], for every mistake that can be seen without computing.
    pub fn explain(&self, program: &Program) -> Result<Explanation> {
        self.check(program)?;
        let state = State::explaining(program, *self);
        self.all_faults(&state)?;
        let mut wanted: Vec<Tensor> = state.planned.take();
        let mut by_invoke: FxHashMap<Option<pellucid_program::InvokeId>, Vec<Tensor>> = FxHashMap::default();
        for (id, node) in program.nodes() {
            if let Kind::Save { .. } | Kind::Log { .. } = node.kind
                && state.table.is_done(id)
            {
                let mut tensors = Vec::new();
                node.kind.for_each_node(|n| collect(state.table.value(n), &mut tensors));
                by_invoke.entry(node.invoke).or_default().extend(tensors.iter().cloned());
                wanted.append(&mut tensors);
            }
        }
        let mut explanation = Explanation { unknown: state.unknown.take(), ..Explanation::default() };
        for loaded in self.models {
            let engine = loaded.model.engine();
            let own: Vec<Tensor> = wanted.iter().filter(|t| t.engine() == engine).cloned().collect();
            if own.is_empty() {
                continue;
            }
            let plan = engine.plan(&own);
            explanation.flops += plan.flops;
            explanation.operations += plan.nodes;
            explanation.peak_bytes = explanation.peak_bytes.max(plan.peak_bytes_estimate);
            explanation.flops_unshared += match by_invoke.len() {
                0 | 1 => plan.flops,
                _ => {
                    let alone = |tensors: &Vec<Tensor>| {
                        let own: Vec<Tensor> =
                            tensors.iter().filter(|t| t.engine() == engine).cloned().collect();
                        engine.plan(&own).flops
                    };
                    by_invoke.values().map(alone).sum()
                }
            };
            let names: FxHashMap<u64, String> =
                loaded.model.parameters().iter().map(|p| (p.get().id(), p.name().to_owned())).collect();
            products(&own, &names, &mut explanation);
        }
        Ok(explanation)
    }
}

fn collect(value: Option<Value>, into: &mut Vec<Tensor>) {
    if let Some(value) = value {
        value.for_each_var(&mut |var| into.extend(var.get().ok()));
    }
}

/// Finds the products with parameters that the tensors are computed from.
fn products(wanted: &[Tensor], names: &FxHashMap<u64, String>, explanation: &mut Explanation) {
    let mut seen: FxHashSet<u64> = FxHashSet::default();
    let mut stack: Vec<Tensor> = wanted.to_vec();
    let mut found: Vec<Tensor> = Vec::new();
    while let Some(tensor) = stack.pop() {
        if tensor.is_evaluated() && tensor.inputs().is_empty() || !seen.insert(tensor.id()) {
            continue;
        }
        stack.extend(tensor.inputs().iter().cloned());
        if matches!(tensor.op(), Op::Matmul) {
            found.push(tensor);
        }
    }
    found.sort_by_key(Tensor::id);
    let mut read: FxHashSet<u64> = FxHashSet::default();
    for product in found {
        // A weight may be transposed on its way into the product.
        let mut weight = &product.inputs()[1];
        while weight.op().is_view() {
            weight = &weight.inputs()[0];
        }
        let Some(name) = names.get(&weight.id()) else { continue };
        if read.insert(weight.id()) {
            explanation.parameter_bytes += (weight.numel() * weight.dtype().size()) as u64;
        }
        let columns = product.dims().last().copied().unwrap_or(1).max(1);
        let rows = (product.numel() / columns) as u64;
        match explanation.products.iter_mut().find(|p| p.parameter == *name) {
            Some(work) => {
                work.variants += 1;
                work.rows += rows;
            }
            None => {
                let parameter = name.clone();
                explanation.products.push(ProductWork { parameter, variants: 1, rows });
            }
        }
    }
}

/// One line a figure, then runs of parameters with equal work, then what is not known.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = 1.0 - self.flops as f64 / (self.flops_unshared.max(1)) as f64;
        writeln!(f, "{} floating-point operations in {} steps", figure(self.flops), self.operations)?;
        if shared > 0.005 {
            writeln!(f, "{:.0} % of the work is shared between invokes", 100.0 * shared)?;
        }
        writeln!(
            f,
            "{}B of results at the peak, {}B of parameters",
            figure(self.peak_bytes),
            figure(self.parameter_bytes)
        )?;
        let mut at = 0;
        while at < self.products.len() {
            let first = &self.products[at];
            let same = self.products[at..]
                .iter()
                .take_while(|p| (p.variants, p.rows) == (first.variants, first.rows))
                .count();
            let last = &self.products[at + same - 1];
            let span = match same {
                1 => first.parameter.clone(),
                _ => format!("{} to {}", first.parameter, last.parameter),
            };
            let plural = if first.variants == 1 { "" } else { "s" };
            writeln!(f, "  {span}: {} rows in {} variant{plural}", first.rows, first.variants)?;
            at += same;
        }
        for unknown in &self.unknown {
            let line = unknown.line.as_ref().map(|l| format!("{l}: ")).unwrap_or_default();
            writeln!(f, "{line}{}", unknown.what)?;
        }
        Ok(())
    }
}

/// A number with a prefix: 1.5 G.
fn figure(x: u64) -> String {
    let prefixes = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match prefixes.iter().find(|(size, _)| x as f64 >= *size) {
        Some((size, prefix)) => format!("{:.1} {prefix}", x as f64 / size),
        None => format!("{x} "),
    }
}

impl State<'_> {
    /// Notes that going on needs a computed value.
    pub(crate) fn needs_value(&self, node: Option<NodeId>, what: &str) {
        let line = node.and_then(|n| self.program.node(n)).and_then(|n| n.line);
        let unknown =
            Unknown { node, line: line.and_then(|l| self.program.line_text(l)), what: what.to_owned() };
        let mut all = self.unknown.borrow_mut();
        if !all.contains(&unknown) {
            all.push(unknown);
        }
    }
}

/// The fault of a program over its budget, in words of the limit.
pub(crate) fn over_budget(what: &str, limit: u64, needed: u64) -> String {
    format!(
        "the program needs {} {what}, more than the {} allowed",
        figure(needed).trim(),
        figure(limit).trim()
    )
}
