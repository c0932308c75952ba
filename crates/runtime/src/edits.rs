//! Persistent edits: a trace of an edited model starts with copies of the edits' statements.

use pellucid_program::{Input, InvokeId, Kind, NodeId, Program, RegionId, RegionKind, Steps};
use rustc_hash::FxHashMap;

use crate::layout::Layout;

/// The program with the edits' statements added, for every invoke of the trace that has rows, on all steps.
///
/// The copies stand behind the statements of the program, in the order of the edits for each invoke.
pub(crate) fn expand(program: &Program, layout: &Layout, trace: RegionId, edits: &[RegionId]) -> Program {
    let mut out = program.clone();
    let invokes: Vec<InvokeId> = program
        .invokes_of(trace)
        .filter(|(_, invoke)| !matches!(invoke.input, Input::Empty))
        .map(|(id, _)| id)
        .collect();
    for invoke in invokes {
        for &edit in edits {
            copy(program, &mut out, layout, edit, trace, invoke);
        }
    }
    out
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
