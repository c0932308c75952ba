//! What the verifier is told about operations and models.

use pellucid_nn::{Model, ModuleId};
use pellucid_program::{Environment, Place, Point, Program, Signature};

use crate::block::parameter;
use crate::run::Loaded;
use crate::state::base_model;
use crate::{ops, training};

/// The path of the place that generation's token ids come out of.
pub const GENERATOR: &str = "generator";

/// The path of the place that each generated token comes out of: the prompt's ids first, then one id for each row.
pub const STREAMER: &str = "generator.streamer";

/// The models of a program, as the verifier sees them.
#[derive(Clone, Copy, Debug)]
pub struct ModelEnvironment<'a> {
    program: &'a Program,
    models: &'a [Loaded<'a>],
}

impl<'a> ModelEnvironment<'a> {
    /// Models by the numbers that the program uses; a number that an edit introduces is the model it is built on.
    #[must_use]
    pub fn new(program: &'a Program, models: &'a [Loaded<'a>]) -> ModelEnvironment<'a> {
        ModelEnvironment { program, models }
    }

    fn model(&self, number: u32) -> Option<&'a Model> {
        Some(self.models.get(base_model(self.program, number) as usize)?.model)
    }

    /// When a module is entered and left, counted over all modules in tree order, which is the order of calls in every
    /// family but for modules that are never called.
    fn span(model: &Model, id: ModuleId) -> (u64, u64) {
        let tree = model.tree();
        let mut last = id;
        while let Some(&child) = tree.node(last).children.iter().rfind(|&&c| !tree.is_attached(c)) {
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
        ops::signature(name).or_else(|| training::signature(name))
    }

    fn similar_ops(&self, _: &str) -> Vec<String> {
        ops::names().chain(training::names()).map(str::to_owned).collect()
    }

    fn module_exists(&self, model: u32, path: &str) -> bool {
        path == GENERATOR
            || path == STREAMER
            || self.model(model).is_some_and(|m| m.tree().find(path).is_some())
    }

    fn similar_modules(&self, model: u32, _: &str) -> Vec<String> {
        let paths = self.model(model).into_iter().flat_map(|m| m.tree().iter().map(|(_, n)| n.path.clone()));
        paths.chain([GENERATOR.to_owned(), STREAMER.to_owned()]).collect()
    }

    fn parameter_exists(&self, model: u32, name: &str) -> bool {
        self.model(model).is_some_and(|m| parameter(m, name).is_some())
    }

    fn similar_parameters(&self, model: u32, _: &str) -> Vec<String> {
        let parameters = self.model(model).into_iter().flat_map(Model::parameters);
        parameters.map(|p| p.name().to_owned()).collect()
    }

    fn place_exists(&self, model: u32, place: &Place) -> bool {
        if place.module == GENERATOR || place.module == STREAMER {
            return place.point == Point::Output;
        }
        let Some(model) = self.model(model) else { return false };
        let tree = model.tree();
        match (&place.point, tree.find(&place.module)) {
            (_, None) => false,
            (Point::Op(label), Some(id)) => model.op(id, label).is_some(),
            (Point::Pattern, Some(id)) => model.op(id, "pattern").is_some(),
            (_, Some(id)) => model.layer(id).is_some(),
        }
    }

    fn similar_places(&self, model: u32, place: &Place) -> Vec<String> {
        let ops = self.model(model).and_then(|m| Some(m.ops(m.tree().find(&place.module)?)));
        let names = ops.unwrap_or_default().iter().flat_map(|op| op.alias.into_iter().chain([op.label]));
        names.map(str::to_owned).collect()
    }

    fn forward_order(&self, model: u32, place: &Place) -> Option<u64> {
        if place.module == GENERATOR {
            return Some(u64::MAX);
        }
        let model = self.model(model)?;
        let id = model.tree().find(&place.module)?;
        if model.tree().is_attached(id) {
            return None;
        }
        let (enter, exit) = Self::span(model, id);
        match place.point {
            Point::Input | Point::Inputs => Some(enter),
            Point::Output => Some(exit),
            Point::Op(ref label) if model.tree().node(id).children.is_empty() => {
                let at = model.ops(id).iter().position(|op| op.is_called(label))? as u64;
                // Between its input and its output.
                Some((enter + 1 + at).min(exit))
            }
            // Where modules lie inside, operations come before, between and after them.
            Point::Pattern | Point::Op(_) => None,
        }
    }
}
