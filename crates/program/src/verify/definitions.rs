//! Ids, definitions, arguments, constants, bindings and inputs.

use std::collections::HashSet;

use super::{FaultKind, Subject, Verifier};
use crate::{Arg, Input, Kind, Line, NodeId, RegionId, RegionKind};

impl Verifier<'_> {
    pub(super) fn definitions(&mut self) {
        for index in 0..self.program.constants.len() {
            if let Err(error) = self.program.constants[index].check() {
                let id = crate::ConstantId::from_index(index);
                self.report(Subject::Constant(id), FaultKind::ConstantSize(error));
            }
        }
        for (id, region) in self.program.regions() {
            let subject = Subject::Region(id);
            // What a region names must exist where the region stands.
            let site = self.tables.placed_at(id).and_then(|node| Some((node, self.program.node(node)?)));
            let (before, within) = match site {
                Some((node, site)) => (node, site.region),
                None => (NodeId(u32::MAX), region.parent.unwrap_or(RegionId(0))),
            };
            region.kind.args().for_each(|arg| self.arg(subject, arg, before, within));
            if let RegionKind::Trace { generate: Some(options), .. } = &region.kind {
                self.keywords(subject, options);
            }
        }
        self.invokes();
        for (id, node) in self.program.nodes() {
            let subject = Subject::Node(id);
            self.line(subject, node.line);
            if let Some(invoke) = node.invoke {
                match self.program.invoke(invoke) {
                    None => self.report(subject, FaultKind::UnknownInvoke { invoke }),
                    Some(found) if self.tables.run_of(node.region) != Some(found.region) => {
                        self.report(subject, FaultKind::InvokeOfAnotherTrace { invoke });
                    }
                    Some(_) => {}
                }
            }
            node.kind.args().for_each(|arg| self.arg_shape(subject, arg));
            let is_merge = matches!(node.kind, Kind::Merge { .. });
            let mut uses = Vec::new();
            node.kind.for_each_node(|used| uses.push(used));
            for used in uses {
                self.used(subject, used, id, (!is_merge).then_some(node.region));
            }
            match &node.kind {
                Kind::Op { kwargs, .. } | Kind::Module { kwargs, .. } => self.keywords(subject, kwargs),
                Kind::Merge { values } if values.is_empty() => {
                    self.report(subject, FaultKind::EmptyMerge);
                }
                _ => {}
            }
        }
        let mut names = HashSet::new();
        for (index, (name, node)) in self.program.bindings.iter().enumerate() {
            if !names.insert(name) {
                let kind = FaultKind::DuplicateBinding { name: name.clone() };
                self.report(Subject::Binding(index), kind);
            }
            self.used(Subject::Binding(index), *node, NodeId(u32::MAX), None);
        }
    }

    fn invokes(&mut self) {
        let mut has_invoke = vec![false; self.program.regions.len()];
        for (id, invoke) in self.program.invokes() {
            let subject = Subject::Invoke(id);
            self.line(subject, invoke.line);
            self.keywords(subject, &invoke.options);
            let options = invoke.options.iter().map(|(_, arg)| arg);
            let args: Vec<&Arg> = invoke.input.args().chain(options).collect();
            match self.program.region(invoke.region).map(|region| &region.kind) {
                None => {
                    self.report(subject, FaultKind::UnknownRegion { region: invoke.region });
                    continue;
                }
                Some(RegionKind::Trace { .. }) => {
                    has_invoke[invoke.region.index()] |= invoke.input != Input::Empty;
                }
                Some(kind) => {
                    let kind = kind.name();
                    self.report(subject, FaultKind::InvokeOutsideTrace { region: invoke.region, kind });
                }
            }
            let site = self.tables.placed_at(invoke.region);
            let around = site.and_then(|site| self.program.node(site)).map(|site| site.region);
            for arg in args {
                self.arg_shape(subject, arg);
                let mut uses = Vec::new();
                arg.for_each_node(|used| uses.push(used));
                for used in uses {
                    let is_late =
                        site.is_some_and(|site| site <= used) && used.index() < self.program.nodes.len();
                    if is_late {
                        let what = self.describe(used);
                        self.report(subject, FaultKind::InputTooLate { used, what });
                    } else {
                        self.used(subject, used, NodeId(u32::MAX), around);
                    }
                }
            }
            let is_empty = match &invoke.input {
                Input::Text(prompts) => prompts.is_empty(),
                Input::Tokens(sequences) => sequences.is_empty() || sequences.iter().any(Vec::is_empty),
                Input::Empty | Input::Batch { .. } | Input::Value(_) => false,
            };
            if is_empty {
                self.report(subject, FaultKind::EmptyInput);
            }
        }
        for (id, region) in self.program.regions() {
            if matches!(region.kind, RegionKind::Trace { .. }) && !has_invoke[id.index()] {
                self.report(Subject::Region(id), FaultKind::NoInput);
            }
        }
    }

    /// An argument of an entry that stands before a node and within a region.
    fn arg(&mut self, subject: Subject, arg: &Arg, before: NodeId, within: RegionId) {
        self.arg_shape(subject, arg);
        let mut uses = Vec::new();
        arg.for_each_node(|used| uses.push(used));
        for used in uses {
            self.used(subject, used, before, Some(within));
        }
    }

    /// What can be said of an argument wherever it stands.
    fn arg_shape(&mut self, subject: Subject, arg: &Arg) {
        let mut depth = 0;
        let mut unknown = Vec::new();
        arg.walk(&mut |arg, level| {
            depth = depth.max(level);
            if let Arg::Constant(id) = arg
                && self.program.constant(*id).is_none()
            {
                unknown.push(*id);
            }
        });
        if depth > Arg::MAX_DEPTH {
            self.report(subject, FaultKind::TooDeep { most: Arg::MAX_DEPTH, got: depth });
        }
        for constant in unknown {
            self.report(subject, FaultKind::UnknownConstant { constant });
        }
    }

    /// One use of a node, by an entry that stands before a node and, where it cannot look into other regions, within a region.
    fn used(&mut self, subject: Subject, used: NodeId, before: NodeId, within: Option<RegionId>) {
        let Some(node) = self.program.node(used) else {
            return self.report(subject, FaultKind::UnknownNode { used });
        };
        if used >= before {
            return self.report(subject, FaultKind::UsedBeforeDefinition { used });
        }
        if !node.kind.has_value() {
            let word = node.kind.word();
            return self.report(subject, FaultKind::NoValue { used, word });
        }
        let scope = self.tables.scope_of(node.region);
        if let (Some(within), Some(scope)) = (within, scope)
            && self.program.region(within).is_some()
            && !self.tables.is_within(within, scope)
        {
            let kind = self.program.regions[scope.index()].kind.name();
            let what = self.describe(used);
            self.report(subject, FaultKind::OutOfScope { used, what, region: scope, kind });
        }
    }

    fn keywords(&mut self, subject: Subject, kwargs: &[(String, Arg)]) {
        let mut seen = HashSet::new();
        for (keyword, _) in kwargs {
            if !seen.insert(keyword) {
                let keyword = keyword.clone();
                self.report(subject, FaultKind::DuplicateKeyword { keyword });
            }
        }
    }

    fn line(&mut self, subject: Subject, line: Option<Line>) {
        if let Some(line) = line
            && line.source.index() >= self.program.sources.len()
        {
            self.report(subject, FaultKind::UnknownSource { source_id: line.source });
        }
    }
}
