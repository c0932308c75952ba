//! Selections of steps, and whether their steps happen.

use std::collections::HashSet;

use super::{FaultKind, Subject, Verifier};
use crate::{Arg, Kind, RegionId, RegionKind, Steps};

impl Verifier<'_> {
    pub(super) fn steps(&mut self) {
        for (id, node) in self.program.nodes() {
            let subject = Subject::Node(id);
            match &node.steps {
                Steps::Range { step: 0, .. } => self.report(subject, FaultKind::StepZero),
                Steps::List(calls) => {
                    let mut seen = HashSet::new();
                    let mut told = HashSet::new();
                    for &step in calls {
                        if !seen.insert(step) && told.insert(step) {
                            self.report(subject, FaultKind::DuplicateStep { step });
                        }
                    }
                    if calls.is_empty() {
                        self.report(subject, FaultKind::NoSteps);
                    }
                }
                steps if steps.first().is_none() => self.report(subject, FaultKind::NoSteps),
                _ => {}
            }
            let path = match &node.kind {
                Kind::Read(place) | Kind::Write { place, .. } => &place.module,
                Kind::Skip { module, .. } => module,
                _ => continue,
            };
            // An end beyond the last call does no harm in a range, as it does none in a slice.
            let reached = match &node.steps {
                Steps::Range { .. } => node.steps.first(),
                steps => steps.last(),
            };
            if let (Some(step), Some(calls)) = (reached, self.calls(node.region, path))
                && step >= calls
            {
                let path = path.clone();
                self.report(subject, FaultKind::StepNeverReached { step, path, calls });
            }
        }
    }

    /// How often a module is called in the trace around a region, at most, where that is known.
    fn calls(&self, region: RegionId, path: &str) -> Option<u64> {
        let run = self.program.region(self.tables.run_of(region)?)?;
        let RegionKind::Trace { model, generate } = &run.kind else { return None };
        let per_forward = self.environment.calls_per_forward(*model, path)?;
        let Some(options) = generate else { return Some(per_forward) };
        let limit = options.iter().find(|(name, _)| name == "max_new_tokens").map(|(_, arg)| arg);
        // Other options may set the length; without any, one token is generated.
        let forwards = match limit {
            None if options.iter().all(|(name, _)| name != "max_length") => 1,
            Some(Arg::Int(count)) => u64::try_from(*count).ok()?,
            _ => return None,
        };
        per_forward.checked_mul(forwards)
    }
}
