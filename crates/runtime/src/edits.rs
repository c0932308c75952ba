//! Persistent edits: a trace of an edited model starts with copies of the edits' statements.

use pellucid_program::{Dependence, Input, InvokeId, Kind, NodeId, Program, RegionId, RegionKind, Steps};
use rustc_hash::FxHashMap;

use crate::layout::Layout;
use crate::state::{Watchers, gradients};

/// The program with the statements of a model's edits added to all its traces.
///
/// Copies for every invoke with rows, on all steps, stand behind the statements of the program, in the order of the edits.
pub(crate) struct Expanded {
    model: u32,
    edits: Vec<RegionId>,
    pub program: Program,
    pub layout: Layout,
    pub dependence: Dependence,
    pub watched: Watchers,
    pub gradients: Watchers,
}

impl Expanded {
    pub(crate) fn new(program: &Program, layout: &Layout, model: u32, edits: Vec<RegionId>) -> Expanded {
        let mut out = program.clone();
        for (index, invoke) in program.invokes.iter().enumerate() {
            let trace = invoke.region;
            let is_of_model = matches!(
                program.regions[trace.index()].kind,
                RegionKind::Trace { model: number, .. } if number == model
            );
            if is_of_model && !matches!(invoke.input, Input::Empty) {
                for &edit in &edits {
                    copy(program, &mut out, layout, edit, trace, InvokeId::from_index(index));
                }
            }
        }
        let (layout, dependence) = (Layout::new(&out), Dependence::new(&out));
        let (watched, gradients) = gradients(&out, &dependence);
        Expanded { model, edits, program: out, layout, dependence, watched, gradients }
    }

    /// Whether it is for traces of this model with these edits.
    pub(crate) fn is_for(&self, model: u32, edits: &[RegionId]) -> bool {
        self.model == model && self.edits == edits
    }
}

fn copy(
    program: &Program,
    out: &mut Program,
    layout: &Layout,
    edit: RegionId,
    trace: RegionId,
    invoke: InvokeId,
) {
    let span = layout.span[edit.index()].clone();
    let shift = out.nodes.len() - span.start;
    let mut regions = FxHashMap::from_iter([(edit, trace)]);
    for index in span.clone() {
        if let Kind::RegionRef(inner) = program.nodes[index].kind {
            regions.insert(inner, RegionId::from_index(out.regions.len()));
            out.regions.push(program.regions[inner.index()].clone());
        }
    }
    let mut rename = |node: NodeId| {
        if span.contains(&node.index()) { NodeId::from_index(node.index() + shift) } else { node }
    };
    for (from, to) in &regions {
        if from == &edit {
            continue;
        }
        let region = &mut out.regions[to.index()];
        region.parent = region.parent.and_then(|parent| regions.get(&parent).copied());
        region.kind.rename_nodes(&mut rename);
        if let RegionKind::Cond { else_of: Some(before), .. } = &mut region.kind {
            *before = regions[before];
        }
    }
    for index in span.clone() {
        let mut node = program.nodes[index].clone();
        node.invoke = Some(invoke);
        node.region = regions[&node.region];
        if node.steps == Steps::First {
            node.steps = Steps::all();
        }
        node.kind.rename_nodes(&mut rename);
        match &mut node.kind {
            Kind::RegionRef(region) | Kind::Item(region) => *region = regions[region],
            _ => {}
        }
        out.nodes.push(node);
    }
}
