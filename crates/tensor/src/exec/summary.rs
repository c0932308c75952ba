//! What a plan would do, as text and numbers.

use std::cell::OnceCell;
use std::fmt;

use rustc_hash::FxHashMap;

use super::plan::{Plan, Work};
use crate::dtype::DType;
use crate::graph::{Engine, Tensor};
use crate::op::Op;
use crate::shape::Dims;

/// One line of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanStep {
    /// Names of the operations done together, in order; `leaf` for a value that is there already.
    pub ops: Vec<&'static str>,
    /// The shape of the result.
    pub dims: Dims,
    /// The type of its elements.
    pub dtype: DType,
    /// The steps whose results it reads.
    pub operands: Vec<usize>,
}

/// What computing some tensors would do.
///
/// ```
/// use pellucid_tensor::{DType, Engine};
///
/// # fn main() -> Result<(), pellucid_tensor::TensorError> {
/// let engine = Engine::new();
/// let x = engine.from_vec(vec![1.0f32; 6], &[2, 3])?;
/// let w = engine.from_vec(vec![1.0f32; 12], &[3, 4])?;
/// let b = engine.from_vec(vec![1.0f32; 4], &[4])?;
/// let y = x.matmul(&w)?.add(&b)?.relu()?;
/// let plan = engine.plan(&[y]);
/// assert_eq!(plan.fused, 2);
/// assert_eq!(
///     plan.to_string(),
///     "%0 = leaf [4] float32\n\
///      %1 = reshape(%0) [1, 4] float32\n\
///      %2 = leaf [2, 3] float32\n\
///      %3 = leaf [3, 4] float32\n\
///      %4 = matmul+add+relu(%2, %3, %1) [2, 4] float32\n\
///      4 operations in 2 steps, 2 fused; 64 FLOP, 32 bytes at the peak\n"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PlanSummary {
    /// The steps, in the order in which they run; values that are there already stand before their first reader.
    pub steps: Vec<PlanStep>,
    /// The number of operations computed.
    pub nodes: usize,
    /// The number of operations whose results never reach memory, because a fused step computes on.
    pub fused: usize,
    /// Floating-point operations: two per multiply-add of products, one per element of all else.
    pub flops: u64,
    /// An estimate of the bytes that results take at the worst moment, without leaves and packed weights.
    pub peak_bytes_estimate: u64,
}

impl fmt::Display for PlanSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "%{i} = {}", step.ops.join("+"))?;
            if !step.operands.is_empty() {
                let operands: Vec<String> = step.operands.iter().map(|o| format!("%{o}")).collect();
                write!(f, "({})", operands.join(", "))?;
            }
            writeln!(f, " {:?} {}", step.dims.as_slice(), step.dtype)?;
        }
        let computed = self.steps.iter().filter(|s| s.ops != ["leaf"]).count();
        writeln!(
            f,
            "{} operations in {computed} steps, {} fused; {} FLOP, {} bytes at the peak",
            self.nodes, self.fused, self.flops, self.peak_bytes_estimate
        )
    }
}

/// Floating-point operations of a node.
fn flops(tensor: &Tensor) -> u64 {
    let x = tensor.inputs();
    let last = |t: &Tensor| t.dims().last().copied().unwrap_or(1) as u64;
    let n = tensor.numel() as u64;
    match tensor.op() {
        Op::Matmul => n.saturating_mul(2).saturating_mul(last(&x[0])),
        Op::Attention { .. } => {
            let (queries, keys) = (x[0].numel() as u64 / last(&x[0]).max(1), x[1].dims()[2] as u64);
            let each = last(&x[0]).saturating_add(last(&x[2]));
            queries.saturating_mul(2).saturating_mul(keys).saturating_mul(each)
        }
        Op::Conv2d { .. } => {
            n.saturating_mul(2).saturating_mul(crate::shape::numel(&x[1].dims()[1..]) as u64)
        }
        Op::Reduce { .. } => x[0].numel() as u64,
        Op::Full(_) => 0,
        op if op.is_view() => 0,
        _ => n,
    }
}

/// Bytes that a step's result takes of its own.
fn bytes(tensor: &Tensor) -> u64 {
    match tensor.op() {
        Op::Full(_) => 0,
        op if op.is_view() => 0,
        _ => tensor.numel().saturating_mul(tensor.dtype().size()) as u64,
    }
}

impl Engine {
    /// What [`Engine::eval`] would do for the tensors now; nothing is computed.
    #[must_use]
    pub fn plan(&self, targets: &[Tensor]) -> PlanSummary {
        let narrowed = OnceCell::new();
        let plan = Plan::new(targets, self.rewrites(), &narrowed);
        let mut summary =
            PlanSummary { steps: Vec::new(), nodes: 0, fused: 0, flops: 0, peak_bytes_estimate: 0 };
        let mut numbers: FxHashMap<usize, usize> = FxHashMap::default();
        for &i in &plan.order {
            let i = i as usize;
            if plan.work[i] == Work::Nothing {
                continue;
            }
            for &operand in plan.operands(i) {
                number(&mut summary, &mut numbers, operand as usize, || leaf(plan.nodes[operand as usize]));
            }
            let ops: Vec<&'static str> = parts(&plan, i).iter().map(|t| t.op().name()).collect();
            summary.nodes += ops.len();
            summary.fused += ops.len() - 1;
            let flops = parts(&plan, i).into_iter().map(flops).fold(0, u64::saturating_add);
            summary.flops = summary.flops.saturating_add(flops);
            let operands = plan.operands(i).iter().map(|&o| numbers[&(o as usize)]).collect();
            let tensor = plan.nodes[i];
            number(&mut summary, &mut numbers, i, || PlanStep {
                ops,
                dims: tensor.dims().into(),
                dtype: tensor.dtype(),
                operands,
            });
        }
        for target in targets.iter().filter(|t| t.is_evaluated()) {
            let i = plan.nodes.iter().position(|t| t.same_node(target)).unwrap_or(0);
            number(&mut summary, &mut numbers, i, || leaf(target));
        }
        summary.peak_bytes_estimate = peak(&plan);
        summary
    }
}

fn leaf(tensor: &Tensor) -> PlanStep {
    PlanStep { ops: vec!["leaf"], dims: tensor.dims().into(), dtype: tensor.dtype(), operands: Vec::new() }
}

fn number(
    summary: &mut PlanSummary,
    numbers: &mut FxHashMap<usize, usize>,
    i: usize,
    step: impl FnOnce() -> PlanStep,
) {
    numbers.entry(i).or_insert_with(|| {
        summary.steps.push(step());
        summary.steps.len() - 1
    });
}

/// The nodes that a step computes, operands first.
fn parts<'a>(plan: &Plan<'a>, root: usize) -> Vec<&'a Tensor> {
    let (mut out, mut pending) = (Vec::new(), vec![plan.nodes[root]]);
    if !matches!(plan.work[root], Work::Product(_) | Work::Program(_)) {
        return pending;
    }
    let boundary: Vec<&Tensor> = plan.operands(root).iter().map(|&o| plan.nodes[o as usize]).collect();
    while let Some(tensor) = pending.pop() {
        let known = out.iter().any(|t: &&Tensor| t.same_node(tensor));
        if known || boundary.iter().any(|b| b.same_node(tensor)) || tensor.is_evaluated() {
            continue;
        }
        // The expansion of a bias is no part of the work.
        if !matches!(tensor.op(), Op::Expand | Op::Reshape) {
            out.push(tensor);
        }
        pending.extend(tensor.inputs());
    }
    out.sort_unstable_by_key(|t| t.id());
    out
}

/// The largest sum of live results over the steps; a view holds what it shows.
fn peak(plan: &Plan<'_>) -> u64 {
    let mut owner: Vec<usize> = (0..plan.nodes.len()).collect();
    let mut uses = plan.uses.clone();
    // Readers of each block: those of its own value and of its views.
    let mut readers = vec![0u32; plan.nodes.len()];
    let (mut live, mut peak) = (0u64, 0);
    for &i in &plan.order {
        let i = i as usize;
        if plan.work[i] == Work::Nothing {
            continue;
        }
        let tensor = plan.nodes[i];
        if tensor.op().is_view() && plan.work[i] == Work::Node {
            owner[i] = owner[plan.operands(i)[0] as usize];
        }
        readers[owner[i]] += 1;
        live = bytes(tensor).saturating_add(live);
        peak = peak.max(live);
        for &operand in plan.operands(i) {
            let o = operand as usize;
            if plan.work[o] == Work::Ready {
                continue;
            }
            uses[o] -= 1;
            if uses[o] == 0 {
                let block = owner[o];
                readers[block] -= 1;
                if readers[block] == 0 && plan.work[block] != Work::Ready {
                    live = live.saturating_sub(bytes(plan.nodes[block]));
                }
            }
        }
    }
    peak
}
