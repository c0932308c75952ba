//! The module tree: names, types and parameters, as the reference implementation has them.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::error::Result;
use crate::model::Layer;
use crate::weights::{Parameter, WeightSource};

/// A module of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(pub u32);

/// One module: its place in the tree and how it prints.
#[derive(Clone, Debug)]
pub struct ModuleNode {
    /// Dotted path from the root; empty for the root.
    pub path: String,
    /// The last part of the path.
    pub name: String,
    /// The reference implementation's class name.
    pub type_name: &'static str,
    /// What the class prints in its parentheses, if it has no children.
    pub detail: String,
    /// The module it belongs to.
    pub parent: Option<ModuleId>,
    /// Modules that belong to it, in order.
    pub children: Vec<ModuleId>,
    /// Its own parameters, in order.
    pub parameters: Vec<Parameter>,
}

/// All modules of a model, the root first, parents before children.
#[derive(Clone, Debug, Default)]
pub struct ModuleTree {
    nodes: Vec<ModuleNode>,
    /// How many modules the model's own tree has, once others were attached.
    own: Option<usize>,
}

impl ModuleTree {
    /// The root.
    #[must_use]
    pub fn root(&self) -> ModuleId {
        ModuleId(0)
    }

    /// A module's description.
    ///
    /// # Panics
    /// If the module belongs to another tree.
    #[must_use]
    pub fn node(&self, id: ModuleId) -> &ModuleNode {
        &self.nodes[id.0 as usize]
    }

    /// All modules, parents before children, in order.
    pub fn iter(&self) -> impl Iterator<Item = (ModuleId, &ModuleNode)> {
        self.nodes.iter().enumerate().map(|(i, n)| (ModuleId(i as u32), n))
    }

    /// Whether the module was attached: it runs only where it is called.
    #[must_use]
    pub fn is_attached(&self, id: ModuleId) -> bool {
        self.own.is_some_and(|own| id.0 as usize >= own)
    }

    /// The module at a dotted path; a leading dot is allowed, as nnsight prints it.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<ModuleId> {
        let path = path.strip_prefix('.').unwrap_or(path);
        let mut at = self.root();
        if path.is_empty() {
            return Some(at);
        }
        for part in path.split('.') {
            at = *self.node(at).children.iter().find(|c| self.node(**c).name == part)?;
        }
        Some(at)
    }

    /// All parameters with their full names, in order; tied ones once.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all: Vec<Parameter> = Vec::new();
        for p in self.nodes.iter().flat_map(|n| &n.parameters) {
            if !all.iter().any(|q| q.same(p)) {
                all.push(p.clone());
            }
        }
        all
    }

    /// The printout of `print(model)` in PyTorch; equal neighbours in a list are folded as `(0-11): 12 x Block(...)`.
    #[must_use]
    pub fn printout(&self) -> String {
        self.printout_of(self.root())
    }

    /// The same of one module and all inside.
    #[must_use]
    pub fn printout_of(&self, id: ModuleId) -> String {
        let mut out = String::new();
        self.print(id, &mut out);
        out
    }

    fn print(&self, id: ModuleId, out: &mut String) {
        let node = self.node(id);
        let _ = write!(out, "{}({}", node.type_name, node.detail);
        if node.children.is_empty() {
            out.push(')');
            return;
        }
        let printed: Vec<(&str, String)> = node
            .children
            .iter()
            .map(|&c| {
                let mut text = String::new();
                self.print(c, &mut text);
                (self.node(c).name.as_str(), text.replace('\n', "\n  "))
            })
            .collect();
        let folds = node.type_name == "ModuleList";
        let mut i = 0;
        while i < printed.len() {
            let same =
                if folds { printed[i..].iter().take_while(|p| p.1 == printed[i].1).count() } else { 1 };
            let (name, text) = &printed[i];
            let _ = if same == 1 {
                write!(out, "\n  ({name}): {text}")
            } else {
                write!(out, "\n  ({name}-{}): {same} x {text}", printed[i + same - 1].0)
            };
            i += same;
        }
        out.push_str("\n)");
    }
}

/// Assembles a tree from the root down while layers are made.
pub struct TreeBuilder<'a> {
    tree: ModuleTree,
    at: ModuleId,
    layers: Vec<Arc<dyn Layer>>,
    weights: &'a mut dyn WeightSource,
}

impl<'a> TreeBuilder<'a> {
    /// Starts a tree whose parameters come from `weights`.
    pub fn new(root_type: &'static str, weights: &'a mut dyn WeightSource) -> TreeBuilder<'a> {
        let root = ModuleNode {
            path: String::new(),
            name: String::new(),
            type_name: root_type,
            detail: String::new(),
            parent: None,
            children: Vec::new(),
            parameters: Vec::new(),
        };
        TreeBuilder {
            tree: ModuleTree { nodes: vec![root], own: None },
            at: ModuleId(0),
            layers: Vec::new(),
            weights,
        }
    }

    /// Goes on with a finished tree, at one of its modules. What is added counts as attached.
    pub fn within(tree: ModuleTree, at: ModuleId, weights: &'a mut dyn WeightSource) -> TreeBuilder<'a> {
        let mut tree = tree;
        tree.own = tree.own.or(Some(tree.nodes.len()));
        TreeBuilder { tree, at, layers: Vec::new(), weights }
    }

    /// The module being assembled.
    #[must_use]
    pub fn id(&self) -> ModuleId {
        self.at
    }

    /// Adds a module and assembles it in `build`.
    ///
    /// # Errors
    /// Whatever `build` returns.
    pub fn child<T>(
        &mut self,
        name: impl Into<String>,
        type_name: &'static str,
        detail: impl Into<String>,
        build: impl FnOnce(&mut TreeBuilder<'a>) -> Result<T>,
    ) -> Result<T> {
        let name = name.into();
        let parent = &self.tree.nodes[self.at.0 as usize];
        let path = if parent.path.is_empty() { name.clone() } else { format!("{}.{name}", parent.path) };
        let id = ModuleId(self.tree.nodes.len() as u32);
        self.tree.nodes.push(ModuleNode {
            path,
            name,
            type_name,
            detail: detail.into(),
            parent: Some(self.at),
            children: Vec::new(),
            parameters: Vec::new(),
        });
        self.tree.nodes[self.at.0 as usize].children.push(id);
        let outer = std::mem::replace(&mut self.at, id);
        let built = build(self);
        self.at = outer;
        built
    }

    /// A parameter of the module being assembled.
    ///
    /// # Errors
    /// Whatever the source of weights returns: a missing weight, another shape.
    pub fn parameter(&mut self, name: &str, dims: &[usize]) -> Result<Parameter> {
        let node = &mut self.tree.nodes[self.at.0 as usize];
        let full = if node.path.is_empty() { name.to_owned() } else { format!("{}.{name}", node.path) };
        let parameter = Parameter::new(&full, self.weights.weight(&full, dims)?);
        node.parameters.push(parameter.clone());
        Ok(parameter)
    }

    /// A parameter of the module being assembled that is another module's as well.
    pub fn tied(&mut self, parameter: &Parameter) {
        self.tree.nodes[self.at.0 as usize].parameters.push(parameter.clone());
    }

    /// Makes a layer callable by its place in the tree.
    pub fn register<L: Layer + 'static>(&mut self, layer: L) -> Arc<L> {
        let layer = Arc::new(layer);
        self.layers.push(layer.clone());
        layer
    }

    /// The finished tree, and its layers.
    #[must_use]
    pub fn finish(self) -> (ModuleTree, Vec<Arc<dyn Layer>>) {
        (self.tree, self.layers)
    }
}
