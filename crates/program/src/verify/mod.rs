//! The verifier: everything that can be said about a program without computing.
//!
//! This comment is the contract. [`verify()`] reports every fault of a program, up to [`MAX_FAULTS`], each with its entry and the
//! user's line. A program without faults has these properties.
//!
//! **Ids and definitions**
//! * Every node, invoke, region, constant and source that is named exists.
//! * A node names only nodes before it, and only such as have a value.
//! * A value made inside a `cond`, `iter` or `edit` region is used only inside it, except by a `merge`, which has at least one value.
//! * Arguments are nested at most [`Arg::MAX_DEPTH`](crate::Arg::MAX_DEPTH) deep; no keyword and no binding occurs twice.
//! * The bytes of a constant are its shape times its element size.
//!
//! **Regions**
//! * The first region, and no other, is the root; every other has a parent before it and stands in it exactly once.
//! * Regions are nested: they begin where they stand, and end before anything after them in their parent.
//! * No trace, session or edit stands inside a trace or an edit, and no session inside a session.
//! * An `else` follows a condition in the same region; each condition is followed by at most one branch, an `else` without
//!   a condition by none.
//! * An `item` stands inside its loop; a `stop` has a trace, a loop, or (for a session) anything around it to end.
//!
//! **Invokes**
//! * An invoke belongs to a trace; its input is not empty and uses only values made before the trace.
//! * A trace has at least one invoke with an input.
//! * A node's invoke belongs to the trace around the node. Reads, writes and skips stand inside a trace, with an invoke, or inside an edit.
//!
//! **Names**, as the [`Environment`] knows them
//! * Operations exist and have as many arguments, and the keywords, that their signature allows.
//! * Modules, places and parameters exist.
//!
//! **Steps**
//! * A selection of steps is not empty, advances, and names no step twice.
//! * Its first and last step happen, where the number of calls is known: calls per forward pass, times `max_new_tokens` for a generation.
//!   (That a generation may end early is found while it runs.)
//!
//! **Gradients**
//! * A gradient read or replaced inside a trace has a later backward in that trace; outside traces, a backward outside traces.
//!
//! **Order**, where the environment knows when a place is passed
//! * Nothing written to a place, by name, by skipping a module or in place through a view, needs a value that the same forward pass
//!   computes later; through operations, conditions, gradients and other invokes too.
//! * Invokes do not wait for one another in a circle.
//!
//! Not checked here, because it needs shapes or values: shapes and dtypes, whether a view is one, whether a module that is not always
//! called is called, whether a condition holds.

mod definitions;
mod fault;
mod gradients;
mod names;
mod order;
mod regions;
mod steps;

pub use fault::{Fault, FaultKind, Spot, Subject};

use crate::{Dependence, Environment, Kind, Line, NodeId, Program, RegionId, RegionKind};

/// How many faults are reported at most; a damaged program could have millions.
pub const MAX_FAULTS: usize = 1000;

/// Every fault of a program, in the order of its entries; empty when there is none. The module's page says what is checked.
///
/// The time it takes grows with the size of the program, not with its square.
///
/// ```
/// use pellucid_program::{Environment, Place, Signature, parse, verify};
///
/// struct OneModule;
/// impl Environment for OneModule {
///     fn op_signature(&self, _: &str) -> Option<Signature> { Some(Signature::at_least(0)) }
///     fn module_exists(&self, _: u32, path: &str) -> bool { path == "transformer.h.3" }
///     fn similar_modules(&self, _: u32, _: &str) -> Vec<String> { vec!["transformer.h.3".into()] }
///     fn parameter_exists(&self, _: u32, _: &str) -> bool { false }
///     fn place_exists(&self, _: u32, _: &Place) -> bool { true }
///     fn forward_order(&self, _: u32, _: &Place) -> Option<u64> { None }
/// }
///
/// let program = parse(r#"pellucid program 1
/// source $0 "look.py"
/// region ^0 root
/// region ^1 trace 0 in ^0
/// invoke @0 in ^1 text ["hello"]
/// ^0:
///   %0 = region ^1 $0:1
/// ^1:
///   %1 = read @0 "transformers.h.3" output $0:2
/// "#)?;
/// let faults = verify(&program, &OneModule);
/// assert_eq!(faults[0].at.as_deref(), Some("look.py:2"));
/// assert_eq!(faults[0].to_string(), "the model has no module `transformers.h.3`");
/// assert_eq!(faults[0].hint().as_deref(), Some("did you mean `transformer.h.3`?"));
/// # Ok::<(), pellucid_program::ParseError>(())
/// ```
#[must_use]
pub fn verify(program: &Program, environment: &dyn Environment) -> Vec<Fault> {
    let mut verifier = Verifier {
        program,
        environment,
        tables: RegionTables::new(program),
        dependence: Dependence::new(program),
        faults: Vec::new(),
    };
    verifier.definitions();
    verifier.regions();
    verifier.names();
    verifier.steps();
    verifier.gradients();
    verifier.order();
    let mut faults = verifier.faults;
    faults.sort_by_key(|fault| match fault.subject {
        Subject::Program => (0, 0),
        Subject::Constant(id) => (1, id.index()),
        Subject::Region(id) => (2, id.index()),
        Subject::Invoke(id) => (3, id.index()),
        Subject::Node(id) => (4, id.index()),
        Subject::Binding(index) => (5, index),
    });
    faults
}

struct Verifier<'a> {
    program: &'a Program,
    environment: &'a dyn Environment,
    tables: RegionTables,
    dependence: Dependence,
    faults: Vec<Fault>,
}

impl Verifier<'_> {
    fn report(&mut self, subject: Subject, kind: FaultKind) {
        if self.faults.len() >= MAX_FAULTS {
            return;
        }
        let line = match subject {
            Subject::Node(id) => self.program.node(id).and_then(|node| node.line),
            Subject::Invoke(id) => self.program.invoke(id).and_then(|invoke| invoke.line),
            Subject::Region(id) => self.tables.placed_at(id).and_then(|id| self.program.node(id)?.line),
            Subject::Constant(_) | Subject::Binding(_) | Subject::Program => None,
        };
        let at = self.line_text(line);
        self.faults.push(Fault { kind, subject, line, at });
    }

    fn line_text(&self, line: Option<Line>) -> Option<String> {
        line.and_then(|line| self.program.line_text(line))
    }

    fn node_line_text(&self, node: NodeId) -> Option<String> {
        self.line_text(self.program.node(node)?.line)
    }

    /// A value in words: the place it was read from, or the operation that made it, and the line where known.
    fn describe(&self, id: NodeId) -> String {
        let Some(node) = self.program.node(id) else { return format!("`{id}`") };
        let what = match (&node.kind, self.dependence.root_place(self.program, id)) {
            (Kind::Read(place), _) => format!("`{place}`"),
            (_, Some((_, place))) => format!("a view of `{place}`"),
            (Kind::Op { name, .. }, _) => format!("`{name}`"),
            (Kind::Module { path, .. }, _) => format!("`{path}`"),
            (Kind::Parameter { name }, _) => format!("`{name}`"),
            (Kind::Item(_), _) => "the element of the loop".to_owned(),
            _ => format!("`{id}`"),
        };
        match self.line_text(node.line) {
            Some(at) => format!("{what} ({at})"),
            None => what,
        }
    }
}

/// What is asked about regions again and again, found in one pass. A region whose parent makes no sense counts as a child of the root.
struct RegionTables {
    /// Where each region stands first.
    placed: Vec<Option<NodeId>>,
    /// The innermost trace or edit around each region, itself included.
    run: Vec<Option<RegionId>>,
    /// The innermost region around each, itself included, that values do not leave.
    scope: Vec<RegionId>,
    /// The regions inside a region have numbers within its span.
    span: Vec<(u32, u32)>,
}

impl RegionTables {
    fn new(program: &Program) -> Self {
        let count = program.regions.len();
        let mut placed = vec![None; count];
        for (id, node) in program.nodes() {
            if let Kind::RegionRef(region) = node.kind
                && let Some(entry @ None) = placed.get_mut(region.index())
            {
                *entry = Some(id);
            }
        }
        let root = RegionId(0);
        let parent = |id: RegionId, parent: Option<RegionId>| {
            let parent = parent.filter(|parent| parent.index() < id.index());
            if id == root { None } else { Some(parent.unwrap_or(root)) }
        };
        let mut run: Vec<Option<RegionId>> = Vec::with_capacity(count);
        let mut scope: Vec<RegionId> = Vec::with_capacity(count);
        for (id, region) in program.regions() {
            let parent = parent(id, region.parent);
            let is_run = matches!(region.kind, RegionKind::Trace { .. } | RegionKind::Edit { .. });
            run.push(if is_run { Some(id) } else { parent.and_then(|parent| run[parent.index()]) });
            scope.push(match parent {
                Some(parent) if !region.kind.is_scope() => scope[parent.index()],
                _ => id,
            });
        }
        // Parents come before children, so sizes add up backwards and starts follow forwards.
        let mut sizes = vec![1u32; count];
        for (id, region) in program.regions().rev() {
            if let Some(parent) = parent(id, region.parent) {
                sizes[parent.index()] += sizes[id.index()];
            }
        }
        let mut span = vec![(0, 0); count];
        let mut next_child_start = vec![0u32; count];
        for (id, region) in program.regions() {
            let start = match parent(id, region.parent) {
                None => 0,
                Some(parent) => {
                    let start = next_child_start[parent.index()];
                    next_child_start[parent.index()] += sizes[id.index()];
                    start
                }
            };
            span[id.index()] = (start, start + sizes[id.index()]);
            next_child_start[id.index()] = start + 1;
        }
        Self { placed, run, scope, span }
    }

    fn placed_at(&self, region: RegionId) -> Option<NodeId> {
        self.placed.get(region.index()).copied().flatten()
    }

    /// The innermost trace or edit around a region, itself included.
    fn run_of(&self, region: RegionId) -> Option<RegionId> {
        self.run.get(region.index()).copied().flatten()
    }

    fn scope_of(&self, region: RegionId) -> Option<RegionId> {
        self.scope.get(region.index()).copied()
    }

    /// Whether a region is inside another or is that one.
    fn is_within(&self, inner: RegionId, outer: RegionId) -> bool {
        match (self.span.get(inner.index()), self.span.get(outer.index())) {
            (Some(inner), Some(outer)) => outer.0 <= inner.0 && inner.1 <= outer.1,
            _ => false,
        }
    }
}

impl Verifier<'_> {
    /// The model that a region's nodes speak of.
    fn model_of(&self, region: RegionId) -> u32 {
        let run = self.tables.run_of(region).and_then(|run| self.program.region(run));
        match run.map(|run| &run.kind) {
            Some(RegionKind::Trace { model, .. } | RegionKind::Edit { model, .. }) => *model,
            _ => 0,
        }
    }
}
