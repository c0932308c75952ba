//! Modules that users add to a model, such as a sparse autoencoder beside a block.

use std::sync::Arc;

use crate::error::{NnError, Result};
use crate::model::{Layer, Model};
use crate::tree::TreeBuilder;
use crate::weights::WeightSource;

impl Model {
    /// The same model, weights shared, with another module below the one at `parent`. It runs only where it is called.
    ///
    /// # Errors
    /// [`NnError::Argument`] if there is no such parent or it has a child of that name; whatever `build` returns.
    pub fn attach<L: Layer + 'static>(
        &self,
        parent: &str,
        name: &str,
        type_name: &'static str,
        weights: &mut dyn WeightSource,
        build: impl FnOnce(&mut TreeBuilder<'_>) -> Result<L>,
    ) -> Result<Model> {
        let missing = |expected: &'static str| NnError::Argument {
            module: parent.to_owned(),
            argument: "parent",
            expected,
            got: format!("`{parent}`"),
        };
        let at = self.tree().find(parent).ok_or_else(|| missing("a module of the model"))?;
        let node = self.tree().node(at);
        if node.children.iter().any(|&child| self.tree().node(child).name == name) || name.is_empty() {
            return Err(missing("a module without a child of that name"));
        }
        let mut builder = TreeBuilder::within(self.tree().clone(), at, weights);
        builder.child(name, type_name, "", |b| {
            let layer = build(b)?;
            b.register(layer);
            Ok(())
        })?;
        let (tree, added) = builder.finish();
        let old = self.tree().iter().filter_map(|(id, _)| self.layer(id).cloned());
        let layers: Vec<Arc<dyn Layer>> = old.chain(added).collect();
        Ok(Model::new(self.engine().clone(), (tree, layers), self.skeleton().clone()))
    }
}
