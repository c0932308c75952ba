//! What the verifier is told about operations and models.

use pellucid_nn::{Model, ModuleId};
use pellucid_program::{Environment, Place, Point, Signature};

use crate::ops;

/// The path of the place that generation's token ids come out of.
pub const GENERATOR: &str = "generator";

/// A model, as the verifier sees it.
#[derive(Clone, Copy, Debug)]
pub struct ModelEnvironment<'a> {
    model: &'a Model,
}

impl<'a> ModelEnvironment<'a> {
    /// Over one model, which all traces of the program run on.
    #[must_use]
    pub fn new(model: &'a Model) -> ModelEnvironment<'a> {
        ModelEnvironment { model }
    }

    /// When a module is entered and left, counted over all modules in tree order, which is the order of calls in every
    /// family but for modules that are never called.
    fn span(&self, id: ModuleId) -> (u64, u64) {
        let tree = self.model.tree();
        let mut last = id;
        while let Some(&child) = tree.node(last).children.last() {
            last = child;
        }
        let depth = |mut id: ModuleId| {
            let mut n = 0;
            while let Some(parent) = tree.node(id).parent {
                (id, n) = (parent, n + 1);
            }
            n
        };
        let width = 64;
        (u64::from(id.0) * width, u64::from(last.0) * width + width - 1 - depth(id))
    }
}

impl Environment for ModelEnvironment<'_> {
    fn op_signature(&self, name: &str) -> Option<Signature> {
        ops::signature(name)
    }

    fn similar_ops(&self, _: &str) -> Vec<String> {
        ops::names().map(str::to_owned).collect()
    }

    fn module_exists(&self, _: u32, path: &str) -> bool {
        path == GENERATOR || self.model.tree().find(path).is_some()
    }

    fn similar_modules(&self, _: u32, _: &str) -> Vec<String> {
        self.model.tree().iter().map(|(_, n)| n.path.clone()).chain([GENERATOR.to_owned()]).collect()
    }

    fn parameter_exists(&self, _: u32, name: &str) -> bool {
        crate::trace::parameter(self.model, name).is_some()
    }

    fn similar_parameters(&self, _: u32, _: &str) -> Vec<String> {
        self.model.parameters().iter().map(|p| p.name().to_owned()).collect()
    }

    fn place_exists(&self, _: u32, place: &Place) -> bool {
        if place.module == GENERATOR {
            return place.point == Point::Output;
        }
        let tree = self.model.tree();
        match (&place.point, tree.find(&place.module)) {
            (_, None) | (Point::Op(_), _) => false,
            (Point::Pattern, Some(id)) => tree.node(id).name == self.model.skeleton().attention,
            (_, Some(id)) => self.model.layer(id).is_some(),
        }
    }

    fn forward_order(&self, _: u32, place: &Place) -> Option<u64> {
        if place.module == GENERATOR {
            return Some(u64::MAX);
        }
        let (enter, exit) = self.span(self.model.tree().find(&place.module)?);
        match place.point {
            Point::Input | Point::Inputs => Some(enter),
            Point::Output => Some(exit),
            // Inside an attention module the order of its parts differs between families.
            Point::Pattern | Point::Op(_) => None,
        }
    }
}
