//! Who needs whom: dependencies, users, and the read that a value may be a view of.

use crate::{
    Arg, Kind, NodeId, Place, Program, RegionKind, is_container_write, is_in_place_op, is_random_op,
    is_view_op,
};

/// What a node does besides having a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effects {
    /// Changes what flows through the model, by naming a place.
    pub place: bool,
    /// Writes into the memory of one of its arguments, a tensor or a container.
    pub memory: bool,
    /// Is seen outside the program: a log, a host callback, an optimizer's update, a saved value.
    pub external: bool,
    /// Decides what else happens: a stop, a region.
    pub control: bool,
    /// Draws random numbers.
    pub random: bool,
    /// Takes part in differentiation: its place among the backwards counts.
    pub gradient: bool,
}

impl Effects {
    /// Whether the node only has a value: it may be dropped, repeated or merged with an equal one.
    #[must_use]
    pub fn is_pure(self) -> bool {
        self == Self::default()
    }
}

/// What a node of that kind does besides having a value.
#[must_use]
pub fn effects(kind: &Kind) -> Effects {
    let none = Effects::default();
    match kind {
        Kind::Read(_) | Kind::Parameter { .. } | Kind::Item(_) | Kind::Merge { .. } => none,
        Kind::Write { .. } | Kind::Skip { .. } => Effects { place: true, ..none },
        Kind::Op { name, .. } => Effects {
            memory: receiver(kind).is_some() || is_in_place_op(name) || is_container_write(name),
            random: is_random_op(name),
            ..none
        },
        // Places inside the call may be bound. Dropout is the identity outside training.
        Kind::Module { hooks, .. } => Effects { place: *hooks, ..none },
        Kind::Save { .. } | Kind::Log { .. } | Kind::Host { .. } => Effects { external: true, ..none },
        Kind::OptimizerStep { .. } | Kind::ZeroGrad { .. } => {
            Effects { external: true, gradient: true, ..none }
        }
        Kind::Stop { .. } | Kind::RegionRef(_) => Effects { control: true, ..none },
        Kind::Backward { .. } | Kind::Grad { .. } | Kind::SetGrad { .. } | Kind::RequiresGrad { .. } => {
            Effects { gradient: true, ..none }
        }
    }
}

/// The value whose memory an operation writes into: the first argument of an in-place operation, the `out` argument, or
/// the first argument when `inplace` is true.
#[must_use]
pub fn receiver(kind: &Kind) -> Option<NodeId> {
    let Kind::Op { name, args, kwargs } = kind else { return None };
    let first = || args.first().and_then(Arg::as_node);
    if is_in_place_op(name) {
        return first();
    }
    kwargs.iter().find_map(|(keyword, arg)| match (keyword.as_str(), arg) {
        ("out", Arg::Node(node)) => Some(*node),
        ("inplace", Arg::Bool(true)) => first(),
        _ => None,
    })
}

/// The value whose contents a node changes: what [`receiver`] says, and the container that a container's method changes.
#[must_use]
pub fn changed(kind: &Kind) -> Option<NodeId> {
    receiver(kind).or_else(|| match kind {
        Kind::Op { name, args, .. } if is_container_write(name) => args.first().and_then(Arg::as_node),
        _ => None,
    })
}

impl Program {
    /// The nodes that a node names, in written order, each once; empty for an unknown id.
    #[must_use]
    pub fn dependencies(&self, node: NodeId) -> Vec<NodeId> {
        let mut found = Vec::new();
        if let Some(node) = self.node(node) {
            node.kind.for_each_node(|used| found.push(used));
            let mut seen = std::collections::HashSet::with_capacity(found.len());
            found.retain(|&used| seen.insert(used));
        }
        found
    }
}

/// Users and view roots of every node, found in one pass over a program.
///
/// Aliases are followed through operations and saves, not through containers: an element of a list that the program made
/// with `list` is a value of its own here.
///
/// ```
/// use pellucid_program::{Arg, Builder, Dependence, Input, Kind, Place, RegionKind};
///
/// let mut b = Builder::new();
/// b.open(RegionKind::trace(0));
/// b.invoke(Input::text("a b c"));
/// let output = b.node(Kind::Read(Place::output("transformer.h.3")));
/// let hidden = b.op("getitem", [output.into(), 0.into()]);
/// let heads = b.op("reshape", [hidden.into(), Arg::Tuple(vec![1.into(), 3.into(), 4.into(), 2.into()])]);
/// let write = b.op("setitem", [heads.into(), Arg::Ellipsis, 0.0.into()]);
/// let program = b.finish();
///
/// let dependence = Dependence::new(&program);
/// assert_eq!(dependence.root_place(&program, heads), Some((output, &Place::output("transformer.h.3"))));
/// assert_eq!(dependence.written_place(&program, write), Some((output, &Place::output("transformer.h.3"))));
/// assert_eq!(dependence.users(hidden), [heads]);
/// ```
#[derive(Debug, Clone)]
pub struct Dependence {
    /// Where the users of each node begin in `users`; one more entry than nodes.
    first_user: Vec<usize>,
    users: Vec<NodeId>,
    roots: Vec<NodeId>,
    backwards: Vec<Option<NodeId>>,
}

impl Dependence {
    /// Goes through a program once. Uses of nodes that do not exist are left out.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        let count = program.nodes.len();
        let mut uses = Vec::new();
        let mut roots: Vec<NodeId> = Vec::with_capacity(count);
        for (id, node) in program.nodes() {
            node.kind.for_each_node(|used| {
                let is_repeat = matches!(uses.last(), Some(&last) if last == (used, id));
                if used.index() < count && !is_repeat {
                    uses.push((used, id));
                }
            });
            let base = aliased(&node.kind).and_then(|base| roots.get(base.index()).copied());
            roots.push(base.unwrap_or(id));
        }
        // Stable by user already, as nodes were visited in order; equal pairs end up side by side.
        uses.sort_unstable();
        uses.dedup();
        let mut first_user = vec![0; count + 1];
        for (used, _) in &uses {
            first_user[used.index() + 1] += 1;
        }
        for index in 0..count {
            first_user[index + 1] += first_user[index];
        }
        let users = uses.into_iter().map(|(_, user)| user).collect();
        Self { first_user, users, roots, backwards: next_backwards(program) }
    }

    /// The nodes that name a node, in written order, each once; empty for an unknown id.
    #[must_use]
    pub fn users(&self, node: NodeId) -> &[NodeId] {
        match self.first_user.get(node.index()..=node.index() + 1) {
            Some(&[start, end]) => &self.users[start..end],
            _ => &[],
        }
    }

    /// The next backward after a node in the same trace (for a node outside traces and edits, outside them): the one that
    /// a gradient read or replaced at the node belongs to.
    #[must_use]
    pub fn next_backward(&self, node: NodeId) -> Option<NodeId> {
        self.backwards.get(node.index()).copied().flatten()
    }

    /// The value whose memory a value may share, as far back as views lead; the node itself when it is not a view.
    #[must_use]
    pub fn root(&self, node: NodeId) -> NodeId {
        self.roots.get(node.index()).copied().unwrap_or(node)
    }

    /// The read that a value may be a view of, with its place.
    #[must_use]
    pub fn root_place<'a>(&self, program: &'a Program, node: NodeId) -> Option<(NodeId, &'a Place)> {
        let root = self.root(node);
        match &program.node(root)?.kind {
            Kind::Read(place) => Some((root, place)),
            _ => None,
        }
    }

    /// The read whose memory an in-place operation may write into, with its place.
    #[must_use]
    pub fn written_place<'a>(&self, program: &'a Program, node: NodeId) -> Option<(NodeId, &'a Place)> {
        self.root_place(program, receiver(&program.node(node)?.kind)?)
    }
}

fn next_backwards(program: &Program) -> Vec<Option<NodeId>> {
    // The innermost trace or edit around each region; nodes outside share the slot after the last region.
    let outside = program.regions.len();
    let mut runs: Vec<usize> = Vec::with_capacity(outside);
    for (id, region) in program.regions() {
        let is_run = matches!(region.kind, RegionKind::Trace { .. } | RegionKind::Edit { .. });
        let around = region.parent.and_then(|parent| runs.get(parent.index()).copied());
        runs.push(if is_run { id.index() } else { around.unwrap_or(outside) });
    }
    let mut coming: Vec<Option<NodeId>> = vec![None; outside + 1];
    let mut next = vec![None; program.nodes.len()];
    for (id, node) in program.nodes().rev() {
        let run = runs.get(node.region.index()).copied().unwrap_or(outside);
        next[id.index()] = coming[run];
        if matches!(node.kind, Kind::Backward { .. }) {
            coming[run] = Some(id);
        }
    }
    next
}

/// The node whose memory the node's value may share.
fn aliased(kind: &Kind) -> Option<NodeId> {
    match kind {
        Kind::Save { value, .. } => Some(*value),
        // `add_` gives its receiver back.
        Kind::Op { name, args, .. } if is_view_op(name) || is_in_place_op(name) => {
            args.first().and_then(Arg::as_node)
        }
        Kind::Op { .. } => receiver(kind),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Input};

    fn traced() -> (Builder, NodeId) {
        let mut b = Builder::new();
        b.open(RegionKind::trace(0));
        b.invoke(Input::text("a"));
        let read = b.node(Kind::Read(Place::output("h.0")));
        (b, read)
    }

    #[test]
    fn a_root_is_followed_through_views_saves_and_in_place_results_but_not_through_copies() {
        let (mut b, read) = traced();
        let view = b.op("transpose", [read.into(), 1.into(), 2.into()]);
        let saved = b.node(Kind::Save { value: view, name: None });
        let added = b.op("add_", [saved.into(), 1.into()]);
        let copy = b.op("clone", [added.into()]);
        let copy_view = b.op("view", [copy.into(), (-1).into()]);
        let program = b.finish();
        let dependence = Dependence::new(&program);
        assert_eq!(dependence.root(added), read);
        assert_eq!(dependence.root(copy_view), copy);
        assert_eq!(dependence.root_place(&program, copy_view), None);
        assert_eq!(dependence.written_place(&program, added), Some((read, &Place::output("h.0"))));
        assert_eq!(dependence.written_place(&program, view), None);
    }

    #[test]
    fn users_and_dependencies_hold_each_node_once_in_written_order() {
        let (mut b, read) = traced();
        let double = b.op("add", [read.into(), read.into()]);
        let pair = b.op("mul", [double.into(), Arg::List(vec![read.into(), double.into()])]);
        let program = b.finish();
        let dependence = Dependence::new(&program);
        assert_eq!(dependence.users(read), [double, pair]);
        assert_eq!(dependence.users(pair), []);
        assert_eq!(dependence.users(NodeId(u32::MAX)), []);
        assert_eq!(program.dependencies(pair), [double, read]);
        assert_eq!(program.dependencies(NodeId(99)), []);
    }

    #[test]
    fn a_gradient_belongs_to_the_next_backward_of_its_own_trace() {
        let (mut b, read) = traced();
        let backward = |loss| Kind::Backward { loss, gradient: None, retain_graph: true };
        let first = b.node(Kind::Grad { of: read });
        let one = b.node(backward(read));
        let second = b.node(Kind::Grad { of: read });
        b.open(RegionKind::cond(true));
        let two = b.node(backward(read));
        let third = b.node(Kind::Grad { of: read });
        b.close();
        b.close();
        b.open(RegionKind::trace(0));
        b.invoke(Input::text("b"));
        b.node(backward(read));
        let program = b.finish();
        let dependence = Dependence::new(&program);
        let found = [first, second, third].map(|grad| dependence.next_backward(grad));
        assert_eq!(found, [Some(one), Some(two), None]);
    }

    #[test]
    fn out_and_inplace_arguments_count_as_writes() {
        let (mut b, read) = traced();
        let kwargs = vec![("inplace".to_owned(), Arg::Bool(true))];
        let relu = b.node(Kind::Op { name: "relu".into(), args: vec![read.into()], kwargs });
        let kwargs = vec![("out".to_owned(), Arg::Node(read))];
        let add = b.node(Kind::Op { name: "add".into(), args: vec![1.into(), 2.into()], kwargs });
        let program = b.finish();
        let dependence = Dependence::new(&program);
        for node in [relu, add] {
            assert_eq!(dependence.written_place(&program, node).map(|(node, _)| node), Some(read));
            assert!(effects(&program.nodes[node.index()].kind).memory);
        }
    }

    #[test]
    fn only_nodes_without_effects_are_pure() {
        let pure = [Kind::op("add", []), Kind::Read(Place::input("h.0"))];
        let impure = [
            Kind::op("rand", []),
            Kind::op("append", []),
            Kind::op("zero_", []),
            Kind::Log { args: vec![] },
            Kind::Host { callback: 0, args: vec![] },
            Kind::Grad { of: NodeId(0) },
            Kind::Stop { scope: crate::StopScope::Trace, after: None },
        ];
        assert!(pure.iter().all(|kind| effects(kind).is_pure()));
        assert!(impure.iter().all(|kind| !effects(kind).is_pure()));
    }
}
