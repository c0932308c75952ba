//! The program and its tables.

use crate::{Arg, Constant, ConstantId, InvokeId, Kind, NodeId, RegionId, SourceId, Steps};

/// An intervention program: what to run, what to look at, what to change.
///
/// The tables are public and may hold anything; [`verify`](crate::verify()) says whether they make sense together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Program {
    /// Inputs of traces.
    pub invokes: Vec<Invoke>,
    /// What happens, in the order written.
    pub nodes: Vec<Node>,
    /// Sessions, traces, conditions, loops; the first is the root.
    pub regions: Vec<Region>,
    /// Arrays that nodes refer to.
    pub constants: Vec<Constant>,
    /// File names that lines refer to.
    pub sources: Vec<String>,
    /// Names under which saved values are handed back.
    pub bindings: Vec<(String, NodeId)>,
}

/// One input of a trace: its rows see only their own interventions.
#[derive(Debug, Clone, PartialEq)]
pub struct Invoke {
    /// The trace it belongs to.
    pub region: RegionId,
    /// What goes in.
    pub input: Input,
    /// Keyword arguments for preparing the input and for the forward pass.
    pub options: Vec<(String, Arg)>,
    /// Where the user wrote it.
    pub line: Option<Line>,
}

/// What goes into a trace.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Nothing: the invoke sees the rows of all other invokes.
    Empty,
    /// One or more prompts.
    Text(Vec<String>),
    /// One or more sequences of token ids.
    Tokens(Vec<Vec<i64>>),
    /// Token ids with their mask.
    Batch {
        /// Token ids, `[batch, seq]`.
        input_ids: Arg,
        /// 1 where a token counts, 0 where it is padding; all ones where absent.
        attention_mask: Option<Arg>,
    },
    /// A value of the program, or an array for a model that does not take text.
    Value(Arg),
}

impl Input {
    /// One prompt.
    pub fn text(prompt: impl Into<String>) -> Self {
        Self::Text(vec![prompt.into()])
    }

    /// One sequence of token ids.
    pub fn tokens(ids: impl Into<Vec<i64>>) -> Self {
        Self::Tokens(vec![ids.into()])
    }

    /// The arguments it names.
    pub fn args(&self) -> impl Iterator<Item = &Arg> {
        let (first, second) = match self {
            Self::Batch { input_ids, attention_mask } => (Some(input_ids), attention_mask.as_ref()),
            Self::Value(value) => (Some(value), None),
            Self::Empty | Self::Text(_) | Self::Tokens(_) => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What happens.
    pub kind: Kind,
    /// Whose rows it concerns.
    pub invoke: Option<InvokeId>,
    /// In which calls of the module or steps of the generation it happens.
    pub steps: Steps,
    /// The region it stands in.
    pub region: RegionId,
    /// Where the user wrote it.
    pub line: Option<Line>,
}

/// A block of nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// The region around it; none for the root.
    pub parent: Option<RegionId>,
    /// What kind of block.
    pub kind: RegionKind,
}

/// What kind of block a region is.
#[derive(Debug, Clone, PartialEq)]
pub enum RegionKind {
    /// The whole program; the first region, and the only one of its kind.
    Root,
    /// Several traces as one program.
    Session,
    /// One run of a model.
    Trace {
        /// Which model, in the caller's table.
        model: u32,
        /// For a generation, its options (`max_new_tokens`, `do_sample`, ...).
        generate: Option<Vec<(String, Arg)>>,
    },
    /// Nodes that happen when a condition holds.
    Cond {
        /// The condition; absent for a plain `else`.
        condition: Option<Arg>,
        /// The branch before this one in the same chain: only when that one, and those before it, were not taken
        /// does this one's turn come.
        else_of: Option<RegionId>,
    },
    /// Nodes that happen once for each element.
    Iter {
        /// What is gone through: a list or a value. The element is the [`Kind::Item`] of the region.
        over: Arg,
    },
    /// Nodes that happen in the user's process though the program runs elsewhere.
    Local,
    /// Interventions that later traces of a model start with.
    Edit {
        /// The model they are built on, in the caller's table.
        model: u32,
        /// The model that has them; the same number for an edit in place.
        edited: u32,
    },
}

impl RegionKind {
    /// One forward pass of a model.
    #[must_use]
    pub fn trace(model: u32) -> Self {
        Self::Trace { model, generate: None }
    }

    /// A generation of at most so many tokens.
    #[must_use]
    pub fn generate(model: u32, max_new_tokens: i64) -> Self {
        let options = vec![("max_new_tokens".to_owned(), Arg::Int(max_new_tokens))];
        Self::Trace { model, generate: Some(options) }
    }

    /// The first branch of a condition.
    pub fn cond(condition: impl Into<Arg>) -> Self {
        Self::Cond { condition: Some(condition.into()), else_of: None }
    }

    /// The arguments it names.
    pub fn args(&self) -> impl Iterator<Item = &Arg> {
        let (one, options): (Option<&Arg>, &[(String, Arg)]) = match self {
            Self::Cond { condition, .. } => (condition.as_ref(), &[]),
            Self::Iter { over } => (Some(over), &[]),
            Self::Trace { generate: Some(options), .. } => (None, options),
            _ => (None, &[]),
        };
        one.into_iter().chain(options.iter().map(|(_, arg)| arg))
    }

    /// Puts other nodes in the place of those that its arguments name.
    pub fn rename_nodes(&mut self, rename: &mut impl FnMut(NodeId) -> NodeId) {
        match self {
            Self::Cond { condition: Some(arg), .. } | Self::Iter { over: arg } => arg.rename_nodes(rename),
            Self::Trace { generate: Some(options), .. } => {
                options.iter_mut().for_each(|(_, arg)| arg.rename_nodes(rename));
            }
            _ => {}
        }
    }

    /// Whether nodes inside may happen never or several times, so that their values are not seen outside.
    #[must_use]
    pub fn is_scope(&self) -> bool {
        matches!(self, Self::Root | Self::Cond { .. } | Self::Iter { .. } | Self::Edit { .. })
    }

    /// The word for it in messages and in the text form.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Session => "session",
            Self::Trace { .. } => "trace",
            Self::Cond { condition: Some(_), .. } => "cond",
            Self::Cond { condition: None, .. } => "else",
            Self::Iter { .. } => "iter",
            Self::Local => "local",
            Self::Edit { .. } => "edit",
        }
    }
}

/// A line of a user's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Line {
    /// The file.
    pub source: SourceId,
    /// The line number, from 1.
    pub line: u32,
}

impl Program {
    /// The node of that id, if there is one.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// The invoke of that id, if there is one.
    #[must_use]
    pub fn invoke(&self, id: InvokeId) -> Option<&Invoke> {
        self.invokes.get(id.index())
    }

    /// The region of that id, if there is one.
    #[must_use]
    pub fn region(&self, id: RegionId) -> Option<&Region> {
        self.regions.get(id.index())
    }

    /// The constant of that id, if there is one.
    #[must_use]
    pub fn constant(&self, id: ConstantId) -> Option<&Constant> {
        self.constants.get(id.index())
    }

    /// Every node with its id, in the order written.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> + ExactSizeIterator {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId::from_index(index), node))
    }

    /// Every region with its id.
    pub fn regions(&self) -> impl DoubleEndedIterator<Item = (RegionId, &Region)> + ExactSizeIterator {
        self.regions.iter().enumerate().map(|(index, region)| (RegionId::from_index(index), region))
    }

    /// Every invoke with its id.
    pub fn invokes(&self) -> impl DoubleEndedIterator<Item = (InvokeId, &Invoke)> + ExactSizeIterator {
        self.invokes.iter().enumerate().map(|(index, invoke)| (InvokeId::from_index(index), invoke))
    }

    /// The invokes of a trace, in the order written.
    pub fn invokes_of(&self, trace: RegionId) -> impl Iterator<Item = (InvokeId, &Invoke)> {
        self.invokes().filter(move |(_, invoke)| invoke.region == trace)
    }

    /// The innermost trace around a region, itself included.
    #[must_use]
    pub fn trace_of(&self, region: RegionId) -> Option<RegionId> {
        self.enclosing(region, |kind| matches!(kind, RegionKind::Trace { .. }))
    }

    /// The innermost region around a region, itself included, of a kind that passes the test.
    #[must_use]
    pub fn enclosing(&self, region: RegionId, test: impl Fn(&RegionKind) -> bool) -> Option<RegionId> {
        let mut current = Some(region);
        // A damaged program may hold a ring of parents.
        for _ in 0..=self.regions.len() {
            let id = current?;
            let region = self.region(id)?;
            if test(&region.kind) {
                return Some(id);
            }
            current = region.parent;
        }
        None
    }

    /// A line as people write it, `patch.py:12`; `None` when the file is not in the table.
    #[must_use]
    pub fn line_text(&self, line: Line) -> Option<String> {
        Some(format!("{}:{}", self.sources.get(line.source.index())?, line.line))
    }
}
