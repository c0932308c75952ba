//! Written order among statements that share memory: whoever uses a value sees the changes written above it. Logs come
//! in written order too.

use pellucid_program::{Dependence, Kind, NodeId, Program, RegionKind, changed};
use rustc_hash::FxHashMap;

use super::Block;

/// For each statement, the last statements above it that changed what it uses, and for a change those that used what it
/// changes; for a log the log above it; a stop without a value waits for
/// everything above it.
pub(super) fn changes(
    program: &Program,
    dependence: &Dependence,
    members: &[NodeId],
) -> FxHashMap<NodeId, Vec<NodeId>> {
    let mut last: FxHashMap<NodeId, NodeId> = FxHashMap::default();
    let mut uses: FxHashMap<NodeId, Vec<NodeId>> = FxHashMap::default();
    let mut last_log: Option<NodeId> = None;
    let groups = containers(program, dependence, members);
    let root = |node: NodeId| {
        let root = dependence.root(node);
        groups.get(&root).copied().unwrap_or(root)
    };
    let mut found: FxHashMap<NodeId, Vec<NodeId>> = FxHashMap::default();
    for (position, &id) in members.iter().enumerate() {
        let kind = &program.nodes[id.index()].kind;
        if let Kind::Stop { after: None, .. } = kind {
            // Gradients come with a backward, wherever they are written.
            let gradient = |n: &NodeId| {
                matches!(program.nodes[n.index()].kind, Kind::Grad { .. } | Kind::SetGrad { .. })
            };
            found.insert(id, members[..position].iter().copied().filter(|n| !gradient(n)).collect());
            continue;
        }
        let is_log = matches!(kind, Kind::Log { .. });
        let change = changed(kind).map(&root);
        let mut before = Vec::new();
        before.extend(last_log.filter(|_| is_log));
        kind.for_each_node(|used| before.extend(last.get(&root(used)).copied()));
        // What the model makes changes when the model gets there; anything else when all above have used it.
        if let Some(change) = change
            && written_reads(program, dependence, id).is_empty()
        {
            before.extend(uses.remove(&change).unwrap_or_default());
        }
        before.sort_unstable();
        before.dedup();
        if !before.is_empty() {
            found.insert(id, before);
        }
        // Gradients come with a backward.
        if !matches!(kind, Kind::Grad { .. } | Kind::SetGrad { .. }) {
            kind.for_each_node(|used| {
                let used = root(used);
                if Some(used) != change {
                    uses.entry(used).or_default().push(id);
                }
            });
        }
        if is_log {
            last_log = Some(id);
        }
        if let Some(change) = change {
            last.insert(change, id);
        }
    }
    found
}

/// Containers that hold one another count as one memory: for each the first of its group.
fn containers(program: &Program, dependence: &Dependence, members: &[NodeId]) -> FxHashMap<NodeId, NodeId> {
    let mut group: FxHashMap<NodeId, NodeId> = FxHashMap::default();
    let made = |node: NodeId| {
        let root = dependence.root(node);
        let kind = &program.nodes[root.index()].kind;
        matches!(kind, Kind::Op { name, .. } if matches!(name.as_str(), "list" | "dict" | "set" | "tuple"))
            .then_some(root)
    };
    for &id in members {
        let kind = &program.nodes[id.index()].kind;
        // What is put into a container that exists, or into one that is being made.
        let Some(holder) = changed(kind).or_else(|| made(id)).and_then(made) else { continue };
        let mut held = Vec::new();
        kind.for_each_node(|used| held.extend(made(used).filter(|&held| held != holder)));
        for inner in held {
            let first = |group: &FxHashMap<NodeId, NodeId>, node| group.get(&node).copied().unwrap_or(node);
            let (a, b) = (first(&group, holder), first(&group, inner));
            let (kept, lost) = (a.min(b), a.max(b));
            group.values_mut().filter(|g| **g == lost).for_each(|g| *g = kept);
            group.insert(lost, kept);
        }
    }
    group
}

/// The reads whose memory an in-place statement may write into, through views and through merges of several.
pub(super) fn written_reads(program: &Program, dependence: &Dependence, id: NodeId) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    let mut stack: Vec<NodeId> =
        pellucid_program::receiver(&program.nodes[id.index()].kind).into_iter().collect();
    while let Some(node) = stack.pop() {
        let root = dependence.root(node);
        match &program.nodes[root.index()].kind {
            Kind::Read(_) => found.push(root),
            Kind::Merge { values } if !seen.contains(&root) => {
                seen.push(root);
                stack.extend(values);
            }
            _ => {}
        }
    }
    found
}

impl Block<'_> {
    /// Whether a change written above a statement has taken effect, or does not happen in this step or turn.
    pub(super) fn is_behind(&self, change: NodeId, node: NodeId) -> bool {
        if !self.active.borrow()[change.index()] {
            return true;
        }
        if let Kind::RegionRef(region) = self.node(change).kind
            && self.encloses(region, node)
        {
            return true;
        }
        self.is_done(change) && !self.is_in_open_loop_without(change, node)
    }

    fn encloses(&self, region: pellucid_program::RegionId, node: NodeId) -> bool {
        self.layout.span[region.index()].contains(&node.index())
    }

    /// Whether a statement stands in a loop that goes on and that another statement is not in.
    fn is_in_open_loop_without(&self, inside: NodeId, outside: NodeId) -> bool {
        let mut at = self.node(inside).region;
        while at != self.region {
            let region = &self.program.regions[at.index()];
            if matches!(region.kind, RegionKind::Iter { .. })
                && !self.encloses(at, outside)
                && !self.is_over(at)
            {
                return true;
            }
            let Some(parent) = region.parent else { return false };
            at = parent;
        }
        false
    }
}
