//! What a node does.

use crate::{Arg, ConstantId, NodeId, Place, RegionId};

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The value at a place of the model.
    Read(Place),
    /// Replaces the value at a place.
    Write {
        /// The place.
        place: Place,
        /// What flows on from there.
        value: Arg,
    },
    /// The value of a model parameter, read-only. Outside a trace or an edit it belongs to model 0.
    Parameter {
        /// The full path, `transformer.wte.weight`.
        name: String,
    },
    /// An operation or builtin by its canonical name: `add`, `getitem`, `setitem`, `softmax`, `list`, `append`, ...
    Op {
        /// The canonical name.
        name: String,
        /// Positional arguments; for a method, the receiver comes first.
        args: Vec<Arg>,
        /// Keyword arguments in written order.
        kwargs: Vec<(String, Arg)>,
    },
    /// Calls a module of the model on values. Outside a trace or an edit it belongs to model 0.
    Module {
        /// The Hugging Face path.
        path: String,
        /// Positional arguments.
        args: Vec<Arg>,
        /// Keyword arguments in written order.
        kwargs: Vec<(String, Arg)>,
        /// Whether the places inside the call announce themselves, as in the model's own forward pass.
        hooks: bool,
    },
    /// Keeps a value after the program has run; the node has the value it saves.
    Save {
        /// The value.
        value: NodeId,
        /// The user's name for it.
        name: Option<String>,
    },
    /// Shows values to the user while the program runs.
    Log {
        /// What to show.
        args: Vec<Arg>,
    },
    /// Ends a trace, a loop or a session early.
    Stop {
        /// What ends.
        scope: StopScope,
        /// The value that must exist first; without one, the point is where the node is written.
        after: Option<NodeId>,
    },
    /// Differentiates a value with respect to whatever gradients are read.
    Backward {
        /// The value to differentiate.
        loss: NodeId,
        /// The gradient at the loss; without one, the loss is a single number and its gradient is 1.
        gradient: Option<Arg>,
        /// Whether a later backward may pass through the same values again.
        retain_graph: bool,
    },
    /// The gradient at a value, during the next backward.
    Grad {
        /// The value.
        of: NodeId,
    },
    /// Replaces the gradient at a value, during the next backward.
    SetGrad {
        /// The value.
        of: NodeId,
        /// The gradient that flows on from there.
        value: Arg,
    },
    /// Turns differentiation with respect to a value on or off.
    RequiresGrad {
        /// The value.
        of: NodeId,
        /// On or off.
        value: bool,
    },
    /// Does not run a module: its output is the given value.
    Skip {
        /// The Hugging Face path.
        module: String,
        /// What the module returns instead.
        value: Arg,
    },
    /// One update of an optimizer, itself the value of an operation such as `adamw`.
    OptimizerStep {
        /// The optimizer.
        optimizer: NodeId,
    },
    /// Forgets the gradients that an optimizer's parameters hold.
    ZeroGrad {
        /// The optimizer.
        optimizer: NodeId,
    },
    /// Calls a function of the user's process. Such a program cannot be sent elsewhere.
    Host {
        /// Which function, in the process's own table.
        callback: u32,
        /// Its arguments.
        args: Vec<Arg>,
    },
    /// Where a region stands in its parent, in written order.
    RegionRef(RegionId),
    /// The current element of an `iter` region; stands inside it.
    Item(RegionId),
    /// The one of several values that was computed last: what a name holds after a condition whose branches both
    /// assign it, or after a loop. The only kind that may look into a condition's or loop's region from outside.
    Merge {
        /// The candidates, in written order.
        values: Vec<NodeId>,
    },
}

/// What a [`Kind::Stop`] ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopScope {
    /// The enclosing trace, generation included.
    Trace,
    /// The innermost enclosing loop.
    Loop,
    /// The session, or the program where there is none.
    Session,
}

impl StopScope {
    /// The name in the text form: `trace`, `loop` or `session`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Loop => "loop",
            Self::Session => "session",
        }
    }
}

impl Kind {
    /// An operation with positional arguments.
    pub fn op(name: impl Into<String>, args: impl IntoIterator<Item = Arg>) -> Self {
        Self::Op { name: name.into(), args: args.into_iter().collect(), kwargs: Vec::new() }
    }

    /// The words that begin a node in the text form, one for each kind.
    pub const WORDS: [&'static str; 19] = [
        "read",
        "write",
        "parameter",
        "op",
        "module",
        "save",
        "log",
        "stop",
        "backward",
        "grad",
        "set_grad",
        "requires_grad",
        "skip",
        "optimizer_step",
        "zero_grad",
        "host",
        "region",
        "item",
        "merge",
    ];

    /// The word that begins the node in the text form.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let index = match self {
            Self::Read(_) => 0,
            Self::Write { .. } => 1,
            Self::Parameter { .. } => 2,
            Self::Op { .. } => 3,
            Self::Module { .. } => 4,
            Self::Save { .. } => 5,
            Self::Log { .. } => 6,
            Self::Stop { .. } => 7,
            Self::Backward { .. } => 8,
            Self::Grad { .. } => 9,
            Self::SetGrad { .. } => 10,
            Self::RequiresGrad { .. } => 11,
            Self::Skip { .. } => 12,
            Self::OptimizerStep { .. } => 13,
            Self::ZeroGrad { .. } => 14,
            Self::Host { .. } => 15,
            Self::RegionRef(_) => 16,
            Self::Item(_) => 17,
            Self::Merge { .. } => 18,
        };
        Self::WORDS[index]
    }

    /// Whether the node has a value that others can use.
    #[must_use]
    pub fn has_value(&self) -> bool {
        match self {
            Self::Read(_)
            | Self::Parameter { .. }
            | Self::Op { .. }
            | Self::Module { .. }
            | Self::Save { .. }
            | Self::Grad { .. }
            | Self::Host { .. }
            | Self::Item(_)
            | Self::Merge { .. } => true,
            Self::Write { .. }
            | Self::Log { .. }
            | Self::Stop { .. }
            | Self::Backward { .. }
            | Self::SetGrad { .. }
            | Self::RequiresGrad { .. }
            | Self::Skip { .. }
            | Self::OptimizerStep { .. }
            | Self::ZeroGrad { .. }
            | Self::RegionRef(_) => false,
        }
    }

    /// The node's [`Arg`] arguments in written order, keyword arguments last.
    pub fn args(&self) -> impl Iterator<Item = &Arg> {
        let (one, list, kwargs): (Option<&Arg>, &[Arg], &[(String, Arg)]) = match self {
            Self::Op { args, kwargs, .. } | Self::Module { args, kwargs, .. } => (None, args, kwargs),
            Self::Log { args } | Self::Host { args, .. } => (None, args, &[]),
            Self::Write { value, .. } | Self::SetGrad { value, .. } | Self::Skip { value, .. } => {
                (Some(value), &[], &[])
            }
            Self::Backward { gradient, .. } => (gradient.as_ref(), &[], &[]),
            _ => (None, &[], &[]),
        };
        one.into_iter().chain(list).chain(kwargs.iter().map(|(_, arg)| arg))
    }

    /// Visits every node that this one names, in written order, repeats included.
    pub fn for_each_node(&self, mut visit: impl FnMut(NodeId)) {
        match self {
            Self::Save { value, .. } => visit(*value),
            Self::Stop { after, .. } => after.iter().copied().for_each(&mut visit),
            Self::Backward { loss, .. } => visit(*loss),
            Self::Grad { of } | Self::SetGrad { of, .. } | Self::RequiresGrad { of, .. } => visit(*of),
            Self::OptimizerStep { optimizer } | Self::ZeroGrad { optimizer } => visit(*optimizer),
            Self::Merge { values } => values.iter().copied().for_each(&mut visit),
            _ => {}
        }
        for arg in self.args() {
            arg.for_each_node(&mut visit);
        }
    }

    /// Puts other nodes in the place of those that this one names, in written order.
    pub fn rename_nodes(&mut self, rename: &mut impl FnMut(NodeId) -> NodeId) {
        match self {
            Self::Save { value, .. } => *value = rename(*value),
            Self::Stop { after, .. } => *after = after.map(&mut *rename),
            Self::Backward { loss, .. } => *loss = rename(*loss),
            Self::Grad { of } | Self::SetGrad { of, .. } | Self::RequiresGrad { of, .. } => *of = rename(*of),
            Self::OptimizerStep { optimizer } | Self::ZeroGrad { optimizer } => {
                *optimizer = rename(*optimizer)
            }
            Self::Merge { values } => values.iter_mut().for_each(|value| *value = rename(*value)),
            _ => {}
        }
        self.args_mut().for_each(|arg| arg.rename_nodes(rename));
    }

    /// Puts other constants in the place of those that this one names.
    pub fn rename_constants(&mut self, rename: &mut impl FnMut(ConstantId) -> ConstantId) {
        self.args_mut().for_each(|arg| arg.rename_constants(rename));
    }

    fn args_mut(&mut self) -> impl Iterator<Item = &mut Arg> {
        let (one, list, kwargs): (Option<&mut Arg>, &mut [Arg], &mut [(String, Arg)]) = match self {
            Self::Op { args, kwargs, .. } | Self::Module { args, kwargs, .. } => (None, args, kwargs),
            Self::Log { args } | Self::Host { args, .. } => (None, args, &mut []),
            Self::Write { value, .. } | Self::SetGrad { value, .. } | Self::Skip { value, .. } => {
                (Some(value), &mut [], &mut [])
            }
            Self::Backward { gradient, .. } => (gradient.as_mut(), &mut [], &mut []),
            _ => (None, &mut [], &mut []),
        };
        one.into_iter().chain(list).chain(kwargs.iter_mut().map(|(_, arg)| arg))
    }

    /// The place that the node reads or writes by name, if it does.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Read(place) | Self::Write { place, .. } => Some(place),
            _ => None,
        }
    }
}
