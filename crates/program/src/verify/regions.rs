//! How regions stand in one another, and what needs a region around it.

use super::{FaultKind, Subject, Verifier};
use crate::{Kind, NodeId, Place, Point, RegionId, RegionKind, StopScope};

impl Verifier<'_> {
    pub(super) fn regions(&mut self) {
        match self.program.regions.first() {
            Some(region) if region.kind == RegionKind::Root && region.parent.is_none() => {}
            _ => self.report(Subject::Program, FaultKind::Root),
        }
        self.parents();
        self.chains();
        self.nesting();
        for (id, node) in self.program.nodes() {
            self.surroundings(id, &node.kind, node.region);
        }
    }

    /// Parents, and which kinds may stand in which.
    fn parents(&mut self) {
        // The innermost session around each region, itself included.
        let mut session: Vec<bool> = Vec::with_capacity(self.program.regions.len());
        for (id, region) in self.program.regions() {
            let subject = Subject::Region(id);
            let kind = region.kind.name();
            let parent = region.parent.filter(|parent| parent.index() < id.index());
            let in_session = parent.is_some_and(|parent| session[parent.index()]);
            session.push(in_session || region.kind == RegionKind::Session);
            if id == RegionId(0) {
                continue;
            }
            if region.kind == RegionKind::Root {
                self.report(subject, FaultKind::Root);
            }
            let Some(parent) = parent else {
                self.report(subject, FaultKind::Parent { kind });
                continue;
            };
            if self.tables.placed_at(id).is_none() {
                self.report(subject, FaultKind::NotPlaced { region: id, kind });
            }
            let run = self.tables.run_of(parent);
            match region.kind {
                RegionKind::Trace { .. } | RegionKind::Session | RegionKind::Edit { .. } => {
                    if let Some(run) = run {
                        let outer = self.program.regions[run.index()].kind.name();
                        self.report(subject, FaultKind::Nesting { inner: kind, outer });
                    }
                }
                _ => {}
            }
            if region.kind == RegionKind::Session && in_session {
                self.report(subject, FaultKind::Nesting { inner: kind, outer: kind });
            }
        }
    }

    /// Chains of conditions.
    fn chains(&mut self) {
        let mut followed = vec![false; self.program.regions.len()];
        for (id, region) in self.program.regions() {
            let subject = Subject::Region(id);
            let RegionKind::Cond { condition, else_of } = &region.kind else { continue };
            let Some(before) = *else_of else {
                if condition.is_none() {
                    self.report(subject, FaultKind::ElseAlone);
                }
                continue;
            };
            match self.program.region(before) {
                None => self.report(subject, FaultKind::UnknownRegion { region: before }),
                Some(previous) => match &previous.kind {
                    RegionKind::Cond { condition, .. } if previous.parent == region.parent && before < id => {
                        let is_over = condition.is_none() || followed[before.index()];
                        followed[before.index()] = true;
                        if is_over {
                            self.report(subject, FaultKind::ElseTwice { before });
                        }
                    }
                    _ => self.report(subject, FaultKind::ElseAlone),
                },
            }
        }
    }

    /// Goes through the nodes with the stack of open regions.
    fn nesting(&mut self) {
        let mut open = vec![RegionId(0)];
        let mut is_open = vec![false; self.program.regions.len()];
        if let Some(root) = is_open.first_mut() {
            *root = true;
        }
        for (id, node) in self.program.nodes() {
            let subject = Subject::Node(id);
            if self.program.region(node.region).is_none() {
                self.report(subject, FaultKind::UnknownRegion { region: node.region });
                continue;
            }
            if is_open[node.region.index()] {
                while let Some(&top) = open.last()
                    && top != node.region
                {
                    is_open[top.index()] = false;
                    open.pop();
                }
            } else {
                self.report(subject, FaultKind::NotNested { region: node.region });
            }
            if let Kind::RegionRef(region) = node.kind {
                self.placed(id, region, node.region);
                let first = self.tables.placed_at(region) == Some(id);
                if first && region != RegionId(0) && is_open[node.region.index()] {
                    open.push(region);
                    is_open[region.index()] = true;
                }
            }
        }
    }

    /// Where a region stands.
    fn placed(&mut self, id: NodeId, region: RegionId, found: RegionId) {
        let subject = Subject::Node(id);
        let Some(placed) = self.program.region(region) else {
            return self.report(subject, FaultKind::UnknownRegion { region });
        };
        if let Some(first) = self.tables.placed_at(region)
            && first != id
        {
            self.report(subject, FaultKind::PlacedTwice { region, first });
        } else if placed.parent != Some(found) {
            self.report(subject, FaultKind::PlacedElsewhere { region, found });
        }
    }

    /// What a node needs around it.
    fn surroundings(&mut self, id: NodeId, kind: &Kind, region: RegionId) {
        let subject = Subject::Node(id);
        match kind {
            Kind::Item(of) => match self.program.region(*of).map(|of| &of.kind) {
                None => self.report(subject, FaultKind::UnknownRegion { region: *of }),
                Some(RegionKind::Iter { .. }) if self.tables.is_within(region, *of) => {}
                Some(_) => self.report(subject, FaultKind::ItemOutsideLoop { region: *of }),
            },
            Kind::Stop { scope, .. } => {
                let found = match scope {
                    StopScope::Trace => self.program.trace_of(region),
                    StopScope::Loop => {
                        self.program.enclosing(region, |kind| matches!(kind, RegionKind::Iter { .. }))
                    }
                    StopScope::Session => Some(RegionId(0)),
                };
                if found.is_none() {
                    self.report(subject, FaultKind::StopOutside { scope: *scope });
                }
            }
            Kind::Read(place) | Kind::Write { place, .. } => self.needs_invoke(id, place, region),
            Kind::Skip { module, .. } => {
                let place = Place { module: module.clone(), point: Point::Output };
                self.needs_invoke(id, &place, region);
            }
            _ => {}
        }
    }

    fn needs_invoke(&mut self, id: NodeId, place: &Place, region: RegionId) {
        let run = self.tables.run_of(region).and_then(|run| self.program.region(run));
        match run.map(|run| &run.kind) {
            None => {
                let place = place.clone();
                self.report(Subject::Node(id), FaultKind::OutsideTrace { place });
            }
            Some(RegionKind::Trace { .. })
                if self.program.node(id).is_some_and(|node| node.invoke.is_none()) =>
            {
                let place = place.clone();
                self.report(Subject::Node(id), FaultKind::OutsideInvoke { place });
            }
            Some(_) => {}
        }
    }
}
