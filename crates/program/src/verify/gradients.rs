//! Gradients and the backwards they belong to.

use super::{FaultKind, Subject, Verifier};
use crate::{Kind, NodeId};

impl Verifier<'_> {
    pub(super) fn gradients(&mut self) {
        // The last backward of each trace before the node at hand; the last entry is for nodes outside traces.
        let outside = self.program.regions.len();
        let mut last: Vec<Option<NodeId>> = vec![None; outside + 1];
        for (id, node) in self.program.nodes() {
            let run = self.tables.run_of(node.region);
            let slot = run.map_or(outside, |run| run.index());
            match &node.kind {
                Kind::Backward { .. } => last[slot] = Some(id),
                Kind::Grad { of } | Kind::SetGrad { of, .. }
                    if self.dependence.next_backward(id).is_none() =>
                {
                    let subject = Subject::Node(id);
                    let what = self.describe(*of);
                    match last[slot] {
                        None => self.report(subject, FaultKind::GradientWithoutBackward { of: *of, what }),
                        // Outside a trace, a leaf keeps the gradient of the last backward.
                        Some(_) if run.is_none() => {}
                        Some(backward) => {
                            let backward_at = self.node_line_text(backward);
                            let kind =
                                FaultKind::GradientAfterBackward { of: *of, what, backward, backward_at };
                            self.report(subject, kind);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
