//! Where regions stand in a program, found in one pass.

use std::ops::Range;

use pellucid_program::{Kind, NodeId, Program, RegionId, RegionKind};

/// Where regions begin and end, and which trace or root each belongs to.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The statement at which each region stands; none for the root.
    pub site: Vec<Option<NodeId>>,
    /// The statements inside each region, nested ones included: they stand side by side.
    pub span: Vec<Range<usize>>,
    /// The innermost trace or edit around each region, itself included, or else the root.
    pub block: Vec<RegionId>,
}

impl Layout {
    /// Of a program that the verifier has passed.
    pub(crate) fn new(program: &Program) -> Layout {
        let n = program.regions.len();
        let mut site = vec![None; n];
        let mut span = vec![0..0; n];
        for (id, node) in program.nodes() {
            if let Kind::RegionRef(region) = node.kind {
                site[region.index()] = Some(id);
                span[region.index()] = id.index() + 1..id.index() + 1;
            }
            let mut around = Some(node.region);
            while let Some(region) = around {
                span[region.index()].end = id.index() + 1;
                around = program.regions[region.index()].parent;
            }
        }
        let mut block: Vec<RegionId> = Vec::with_capacity(n);
        for (id, region) in program.regions() {
            let own = matches!(region.kind, RegionKind::Trace { .. } | RegionKind::Edit { .. });
            block.push(match region.parent {
                Some(parent) if !own => block[parent.index()],
                _ => id,
            });
        }
        Layout { site, span, block }
    }

    /// The statements of a trace or of the root, without those of traces and edits inside.
    pub(crate) fn members<'a>(
        &'a self,
        program: &'a Program,
        block: RegionId,
    ) -> impl Iterator<Item = NodeId> + 'a {
        let own = move |n: &usize| self.block[program.nodes[*n].region.index()] == block;
        self.span[block.index()].clone().filter(own).map(NodeId::from_index)
    }
}
