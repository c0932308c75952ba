//! Arguments of nodes: values of other nodes and literals, nested as Python nests them.

use crate::{ConstantId, Dtype, NodeId};

/// One argument of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// The value of another node.
    Node(NodeId),
    /// Python's `None`; as an index, a new axis.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating point number, NaN and infinities included.
    Float(f64),
    /// A string.
    Str(String),
    /// A list.
    List(Vec<Arg>),
    /// A tuple.
    Tuple(Vec<Arg>),
    /// A dictionary, in written order.
    Dict(Vec<(Arg, Arg)>),
    /// An index range `start:stop:step`; [`Arg::None`] where Python leaves a part out.
    Slice {
        /// The first index.
        start: Box<Arg>,
        /// The index after the last.
        stop: Box<Arg>,
        /// The distance between indices.
        step: Box<Arg>,
    },
    /// `...`
    Ellipsis,
    /// An array of the program's constant table.
    Constant(ConstantId),
    /// An element type.
    Dtype(Dtype),
    /// A device name such as `cpu` or `cuda:0`.
    Device(String),
}

impl Arg {
    /// The deepest nesting of lists, tuples, dictionaries and slices that a program may hold.
    pub const MAX_DEPTH: usize = 64;

    /// The index range `start:stop`, `None` where a part is left out.
    #[must_use]
    pub fn slice(start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Self {
        let part = |value: Option<i64>| Box::new(value.map_or(Self::None, Self::Int));
        Self::Slice { start: part(start), stop: part(stop), step: part(step) }
    }

    /// The index range `:`, a whole axis.
    #[must_use]
    pub fn full_slice() -> Self {
        Self::slice(None, None, None)
    }

    /// The arguments directly inside this one, in written order.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        let list: &[Self] = match self {
            Self::List(items) | Self::Tuple(items) => items,
            _ => &[],
        };
        let pairs: &[(Self, Self)] = if let Self::Dict(pairs) = self { pairs } else { &[] };
        let parts = match self {
            Self::Slice { start, stop, step } => [start, stop, step].map(|part| Some(&**part)),
            _ => [None; 3],
        };
        list.iter()
            .chain(pairs.iter().flat_map(|(key, value)| [key, value]))
            .chain(parts.into_iter().flatten())
    }

    /// Visits this argument and everything inside it, in written order, with the nesting depth (0 for itself).
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self, usize)) {
        // An explicit stack: arguments built by hand may be nested deeper than a thread's stack.
        let mut stack = vec![(self, 0)];
        while let Some((arg, depth)) = stack.pop() {
            visit(arg, depth);
            let first = stack.len();
            stack.extend(arg.children().map(|child| (child, depth + 1)));
            stack[first..].reverse();
        }
    }

    /// Visits every node named anywhere inside, in written order, repeats included.
    pub fn for_each_node(&self, mut visit: impl FnMut(NodeId)) {
        if let Self::Node(node) = self {
            visit(*node);
            return;
        }
        self.walk(&mut |arg, _| {
            if let Self::Node(node) = arg {
                visit(*node);
            }
        });
    }

    /// Puts other nodes in the place of those named anywhere inside, in written order. For arguments nested at most
    /// [`Arg::MAX_DEPTH`] deep.
    pub fn rename_nodes(&mut self, rename: &mut impl FnMut(NodeId) -> NodeId) {
        self.for_each_leaf(&mut |leaf| {
            if let Self::Node(node) = leaf {
                *node = rename(*node);
            }
        });
    }

    /// Puts other constants in the place of those named anywhere inside. For arguments nested at most
    /// [`Arg::MAX_DEPTH`] deep.
    pub fn rename_constants(&mut self, rename: &mut impl FnMut(ConstantId) -> ConstantId) {
        self.for_each_leaf(&mut |leaf| {
            if let Self::Constant(constant) = leaf {
                *constant = rename(*constant);
            }
        });
    }

    fn for_each_leaf(&mut self, visit: &mut impl FnMut(&mut Self)) {
        match self {
            Self::List(items) | Self::Tuple(items) => {
                items.iter_mut().for_each(|item| item.for_each_leaf(visit));
            }
            Self::Dict(pairs) => pairs.iter_mut().for_each(|(key, value)| {
                key.for_each_leaf(visit);
                value.for_each_leaf(visit);
            }),
            Self::Slice { start, stop, step } => {
                [start, stop, step].into_iter().for_each(|part| part.for_each_leaf(visit));
            }
            leaf => visit(leaf),
        }
    }

    /// How deep lists, tuples, dictionaries and slices are nested; 0 for a plain value.
    #[must_use]
    pub fn depth(&self) -> usize {
        let mut deepest = 0;
        self.walk(&mut |_, depth| deepest = deepest.max(depth));
        deepest
    }

    /// The node, when the argument is exactly one node's value.
    #[must_use]
    pub fn as_node(&self) -> Option<NodeId> {
        match self {
            Self::Node(node) => Some(*node),
            _ => None,
        }
    }

    /// The integer, when it is a literal one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }
}

impl From<NodeId> for Arg {
    fn from(node: NodeId) -> Self {
        Self::Node(node)
    }
}

impl From<ConstantId> for Arg {
    fn from(constant: ConstantId) -> Self {
        Self::Constant(constant)
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Arg {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Arg {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Str(value.into())
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

impl From<Dtype> for Arg {
    fn from(dtype: Dtype) -> Self {
        Self::Dtype(dtype)
    }
}

impl From<Vec<Arg>> for Arg {
    fn from(items: Vec<Arg>) -> Self {
        Self::List(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_visited_in_written_order_at_every_depth() {
        let arg = Arg::Tuple(vec![
            NodeId(3).into(),
            Arg::Dict(vec![(NodeId(1).into(), Arg::List(vec![NodeId(4).into(), NodeId(3).into()]))]),
            Arg::Slice {
                start: Box::new(NodeId(0).into()),
                stop: Box::new(Arg::None),
                step: Box::new(NodeId(9).into()),
            },
        ]);
        let mut seen = Vec::new();
        arg.for_each_node(|node| seen.push(node.0));
        assert_eq!(seen, [3, 1, 4, 3, 0, 9]);
        assert_eq!(arg.depth(), 3);
    }
}
