//! Building a program in written order.

use std::collections::HashMap;

use crate::{
    Arg, Constant, ConstantId, Input, Invoke, InvokeId, Kind, Line, Node, NodeId, Program, Region, RegionId,
    RegionKind, SourceId, Steps,
};

/// Appends to a program in the order in which the user writes it.
///
/// It remembers the open regions, the current invoke, the current steps and the current line, and stamps every node with them.
/// It checks nothing: [`verify`](crate::verify()) does, and reports everything at once.
#[derive(Debug, Clone)]
pub struct Builder {
    program: Program,
    open: Vec<Open>,
    invoke: Option<InvokeId>,
    steps: Steps,
    line: Option<Line>,
    /// Constants by the address of their bytes, which the table keeps alive.
    known: HashMap<usize, Vec<ConstantId>>,
}

/// An open region, with what becomes current again when it closes.
#[derive(Debug, Clone)]
struct Open {
    region: RegionId,
    invoke: Option<InvokeId>,
    steps: Steps,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty program: a root region and nothing in it.
    #[must_use]
    pub fn new() -> Self {
        let root = Region { parent: None, kind: RegionKind::Root };
        Self {
            program: Program { regions: vec![root], ..Program::default() },
            open: Vec::new(),
            invoke: None,
            steps: Steps::First,
            line: None,
            known: HashMap::new(),
        }
    }

    /// The program so far.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The finished program; regions still open end here.
    #[must_use]
    pub fn finish(self) -> Program {
        self.program
    }

    /// The id of a file name, entered into the table when new.
    pub fn source(&mut self, name: &str) -> SourceId {
        let sources = &mut self.program.sources;
        let index = sources.iter().position(|source| source == name).unwrap_or_else(|| {
            sources.push(name.to_owned());
            sources.len() - 1
        });
        SourceId::from_index(index)
    }

    /// Sets the line of whatever comes next.
    pub fn at(&mut self, line: Option<Line>) -> &mut Self {
        self.line = line;
        self
    }

    /// The line of whatever comes next.
    #[must_use]
    pub fn line(&self) -> Option<Line> {
        self.line
    }

    /// The region that is open now.
    #[must_use]
    pub fn region(&self) -> RegionId {
        self.open.last().map_or(RegionId(0), |open| open.region)
    }

    /// Opens a region: enters it into the table, puts its [`Kind::RegionRef`] into the region open now, and makes it the open one.
    ///
    /// A trace or an edit starts without an invoke and at the first step.
    pub fn open(&mut self, kind: RegionKind) -> RegionId {
        let region = RegionId::from_index(self.program.regions.len());
        let fresh = matches!(kind, RegionKind::Trace { .. } | RegionKind::Edit { .. });
        self.program.regions.push(Region { parent: Some(self.region()), kind });
        self.node(Kind::RegionRef(region));
        self.open.push(Open { region, invoke: self.invoke, steps: self.steps.clone() });
        if fresh {
            self.invoke = None;
            self.steps = Steps::First;
        }
        region
    }

    /// Opens a loop and gives its region and the node that is its current element.
    pub fn open_iter(&mut self, over: impl Into<Arg>) -> (RegionId, NodeId) {
        let region = self.open(RegionKind::Iter { over: over.into() });
        (region, self.node(Kind::Item(region)))
    }

    /// Closes the open region; the invoke and steps that were current before it are current again.
    ///
    /// Gives the region that was closed, `None` at the root, which stays open.
    pub fn close(&mut self) -> Option<RegionId> {
        let open = self.open.pop()?;
        self.invoke = open.invoke;
        self.steps = open.steps;
        Some(open.region)
    }

    /// Adds an invoke to the innermost open trace and makes it the current one.
    pub fn invoke(&mut self, input: Input) -> InvokeId {
        self.invoke_with(input, Vec::new())
    }

    /// Adds an invoke with keyword arguments to the innermost open trace and makes it the current one.
    pub fn invoke_with(&mut self, input: Input, options: Vec<(String, Arg)>) -> InvokeId {
        let id = InvokeId::from_index(self.program.invokes.len());
        let region = self.program.trace_of(self.region()).unwrap_or_else(|| self.region());
        self.program.invokes.push(Invoke { region, input, options, line: self.line });
        self.invoke = Some(id);
        id
    }

    /// Sets the invoke of whatever comes next, and gives the one that was current.
    pub fn set_invoke(&mut self, invoke: Option<InvokeId>) -> Option<InvokeId> {
        std::mem::replace(&mut self.invoke, invoke)
    }

    /// The invoke of whatever comes next.
    #[must_use]
    pub fn current_invoke(&self) -> Option<InvokeId> {
        self.invoke
    }

    /// Sets the steps of whatever comes next, and gives those that were current.
    pub fn set_steps(&mut self, steps: Steps) -> Steps {
        std::mem::replace(&mut self.steps, steps)
    }

    /// The steps of whatever comes next.
    #[must_use]
    pub fn current_steps(&self) -> &Steps {
        &self.steps
    }

    /// Appends a node to the open region, with the current invoke, steps and line.
    pub fn node(&mut self, kind: Kind) -> NodeId {
        let node = Node {
            kind,
            invoke: self.invoke,
            steps: self.steps.clone(),
            region: self.region(),
            line: self.line,
        };
        self.push(node)
    }

    /// Appends a node as it is.
    pub fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId::from_index(self.program.nodes.len());
        self.program.nodes.push(node);
        id
    }

    /// Appends an operation with positional arguments.
    pub fn op(&mut self, name: &str, args: impl IntoIterator<Item = Arg>) -> NodeId {
        self.node(Kind::op(name, args))
    }

    /// Enters a constant into the table. Equal bytes in the same memory are entered once.
    pub fn constant(&mut self, constant: Constant) -> ConstantId {
        let constants = &mut self.program.constants;
        let known = self.known.entry(constant.bytes.as_ptr() as usize).or_default();
        let same = |id: &&ConstantId| {
            let old = &constants[id.index()];
            std::sync::Arc::ptr_eq(&old.bytes, &constant.bytes)
                && old.dtype == constant.dtype
                && old.shape == constant.shape
        };
        if let Some(id) = known.iter().find(same) {
            return *id;
        }
        let id = ConstantId::from_index(constants.len());
        constants.push(constant);
        known.push(id);
        id
    }

    /// Copies a region of another program, with everything inside, into the region open now, as a region of the given kind.
    ///
    /// Values that the copied nodes use must be made inside the region. Numbers of host functions are raised by
    /// `first_callback`.
    pub fn include(
        &mut self,
        from: &Program,
        region: RegionId,
        kind: RegionKind,
        first_callback: u32,
    ) -> RegionId {
        let sources: Vec<SourceId> = from.sources.iter().map(|name| self.source(name)).collect();
        let constants: Vec<ConstantId> =
            from.constants.iter().map(|constant| self.constant(constant.clone())).collect();
        let line = |line: Option<Line>| {
            line.and_then(|l| Some(Line { source: *sources.get(l.source.index())?, ..l }))
        };
        let around = self.line;
        let site = from.nodes.iter().find(|node| node.kind == Kind::RegionRef(region));
        self.line = line(site.and_then(|node| node.line)).or(around);
        let target = self.open(kind);
        self.close();
        self.line = around;
        let mut regions = HashMap::from([(region, target)]);
        let mut nodes: HashMap<NodeId, NodeId> = HashMap::new();
        for (id, node) in from.nodes() {
            let Some(&within) = regions.get(&node.region) else { continue };
            let mut copy = node.clone();
            (copy.region, copy.line) = (within, line(node.line));
            if let Kind::RegionRef(inner) = node.kind
                && let Some(description) = from.region(inner)
            {
                let copied = RegionId::from_index(self.program.regions.len());
                let mut description = description.clone();
                description.parent = Some(within);
                description.kind.rename_nodes(&mut |n| nodes.get(&n).copied().unwrap_or(n));
                if let RegionKind::Cond { else_of: Some(before), .. } = &mut description.kind {
                    *before = regions.get(before).copied().unwrap_or(*before);
                }
                self.program.regions.push(description);
                regions.insert(inner, copied);
            }
            copy.kind.rename_nodes(&mut |n| nodes.get(&n).copied().unwrap_or(n));
            copy.kind.rename_constants(&mut |c| constants.get(c.index()).copied().unwrap_or(c));
            match &mut copy.kind {
                Kind::RegionRef(inner) | Kind::Item(inner) => *inner = regions[inner],
                Kind::Host { callback, .. } => *callback += first_callback,
                _ => {}
            }
            let to = NodeId::from_index(self.program.nodes.len());
            self.program.nodes.push(copy);
            nodes.insert(id, to);
        }
        target
    }

    /// Names a saved value; a name given again takes the new value.
    pub fn bind(&mut self, name: &str, node: NodeId) {
        let bindings = &mut self.program.bindings;
        match bindings.iter_mut().find(|(bound, _)| bound == name) {
            Some((_, bound)) => *bound = node,
            None => bindings.push((name.to_owned(), node)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;

    #[test]
    fn closing_a_region_brings_back_the_invoke_and_steps_before_it() {
        let mut b = Builder::new();
        b.open(RegionKind::generate(0, 3));
        let invoke = b.invoke(Input::text("a"));
        b.set_steps(Steps::all());
        let read = b.node(Kind::Read(Place::output("lm_head")));
        b.open(RegionKind::cond(read));
        b.set_steps(Steps::At(1));
        b.set_invoke(None);
        b.close();
        assert_eq!(b.current_invoke(), Some(invoke));
        assert_eq!(b.current_steps(), &Steps::all());
        b.close();
        assert_eq!(b.current_invoke(), None);
        assert_eq!(b.close(), None);
    }

    #[test]
    fn a_constant_in_the_same_memory_is_entered_once_for_each_shape() {
        let mut b = Builder::new();
        let constant = Constant::from_f32(&[1.0, 2.0]);
        let column = Constant { shape: vec![2, 1], ..constant.clone() };
        let ids = [&constant, &column, &constant].map(|constant| b.constant(constant.clone()).0);
        assert_eq!(ids, [0, 1, 0]);
        assert_eq!(b.constant(Constant::from_f32(&[1.0, 2.0])), ConstantId(2));
    }

    #[test]
    fn an_invoke_inside_a_condition_belongs_to_the_trace_around_it() {
        let mut b = Builder::new();
        let trace = b.open(RegionKind::trace(0));
        b.open(RegionKind::cond(true));
        let invoke = b.invoke(Input::text("a"));
        assert_eq!(b.program().invokes[invoke.index()].region, trace);
    }
}
