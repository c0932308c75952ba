//! What the statements of a trace are bound to, found before it starts.

use pellucid_nn::{ModuleId, Reach};
use pellucid_program::{Input, InvokeId, Kind, NodeId, Point};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Block;
use crate::environment::{GENERATOR, STREAMER};
use crate::error::{Result, RunError, RunErrorKind};

/// A place within the model of one invoke.
pub(super) type Spot = (ModuleId, Inner);

/// Which value of a module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Inner {
    Inputs,
    Output,
    /// An operation inside, by its label.
    Op(&'static str),
}

/// The module number of the pseudo module whose output is the generated ids.
pub(super) const GENERATOR_ID: ModuleId = ModuleId(u32::MAX);
/// The module number of the pseudo module whose outputs are the prompt's ids and then each new token.
pub(super) const STREAMER_ID: ModuleId = ModuleId(u32::MAX - 1);

/// Statements at a place that are carried out together.
#[derive(Debug)]
pub(super) struct Group {
    /// The invoke without input that they belong to, if it is one.
    pub all_rows: Option<InvokeId>,
    pub nodes: Vec<NodeId>,
    /// Groups are carried out in this order.
    order: (bool, u32),
}

/// What an invoke's statements are bound to.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    pub spots: FxHashMap<Spot, Vec<Group>>,
    pub reach: Vec<Reach>,
    /// Modules in which an operation is bound.
    pub watched: FxHashSet<ModuleId>,
}

impl Block<'_> {
    /// Binds every statement that names a place, in edits first, then invoke by invoke.
    pub(super) fn bind(&mut self) -> Result<()> {
        let modules = self.model.tree().iter().count();
        for &invoke in &self.invokes {
            let reach = vec![Reach::None; modules];
            self.bindings.insert(invoke, Bindings { reach, ..Bindings::default() });
        }
        let members = std::mem::take(&mut self.members);
        for &id in &members {
            match &self.program.nodes[id.index()].kind {
                Kind::Read(place) | Kind::Write { place, .. } => {
                    self.bind_one(id, &place.module, &place.point)?;
                }
                Kind::Skip { module, .. } => self.bind_one(id, module, &Point::Inputs)?,
                _ => {}
            }
        }
        self.members = members;
        for bindings in self.bindings.values_mut() {
            for groups in bindings.spots.values_mut() {
                groups.sort_by_key(|group| group.order);
            }
        }
        self.find_streamed();
        Ok(())
    }

    fn bind_one(&mut self, node: NodeId, path: &str, point: &Point) -> Result<()> {
        let missing = |what: String| {
            RunError::new(RunErrorKind::NoItem { container: "the model".into(), key: what })
                .at(self.program, node)
        };
        let Some(invoke) = self.program.nodes[node.index()].invoke else {
            return Err(missing(format!("invoke for `{path}`")));
        };
        let tree = self.model.tree();
        let module = match path {
            GENERATOR => GENERATOR_ID,
            STREAMER => STREAMER_ID,
            path => tree.find(path).ok_or_else(|| missing(format!("module `{path}`")))?,
        };
        // Several names of one value are one place.
        let op = |name: &str| match self.model.op(module, name) {
            Some(op) => Ok(Inner::Op(op.label)),
            None => Err(missing(format!("operation `{name}` in `{path}`"))),
        };
        let inner = match point {
            Point::Input | Point::Inputs => Inner::Inputs,
            Point::Output => Inner::Output,
            Point::Pattern => op("pattern")?,
            Point::Op(label) => op(label)?,
        };
        let is_edit = self.first_edit > 0 && node.index() >= self.first_edit;
        let gathers = matches!(self.program.invokes[invoke.index()].input, Input::Empty);
        let rows: Vec<InvokeId> = if gathers { self.invokes.clone() } else { vec![invoke] };
        for row in rows {
            let Some(bindings) = self.bindings.get_mut(&row) else { continue };
            let groups = bindings.spots.entry((module, inner.clone())).or_default();
            let order = (!is_edit, invoke.0);
            match groups.iter_mut().find(|group| group.order == order) {
                Some(group) => group.nodes.push(node),
                None => {
                    let all_rows = gathers.then_some(invoke);
                    groups.push(Group { all_rows, nodes: vec![node], order });
                }
            }
            if module == GENERATOR_ID || module == STREAMER_ID {
                continue;
            }
            if let Inner::Op(_) = inner {
                bindings.watched.insert(module);
            }
            bindings.reach[module.0 as usize] = Reach::Here;
            let mut at = module;
            while let Some(parent) = tree.node(at).parent {
                let reach = &mut bindings.reach[parent.0 as usize];
                *reach = (*reach).max(Reach::Inside);
                at = parent;
            }
        }
        Ok(())
    }

    /// Statements that depend on streamed tokens and repeat happen once for each of them.
    fn find_streamed(&mut self) {
        let repeats = |id: NodeId| self.program.nodes[id.index()].steps.is_repeated();
        let mut stack: Vec<NodeId> = Vec::new();
        for &id in &self.members {
            if let Kind::Read(place) | Kind::Write { place, .. } = &self.program.nodes[id.index()].kind
                && place.module == STREAMER
            {
                stack.push(id);
            }
        }
        while let Some(id) = stack.pop() {
            if self.streamed.insert(id) {
                stack.extend(self.dependence.users(id).iter().copied().filter(|&user| repeats(user)));
            }
        }
    }
}
