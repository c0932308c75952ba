//! What can be wrong with a program.

use std::fmt;

use crate::{
    ConstantId, ConstantSizeError, InvokeId, Line, NodeId, Place, RegionId, SourceId, StopScope, closest,
};

/// One thing that is wrong with a program.
///
/// Its `Display` is the message without a position; [`Fault::at`] is the user's line, and [`Fault::hint`] a remedy where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Which entry of the program is guilty.
    pub subject: Subject,
    /// The user's line, where known.
    pub line: Option<Line>,
    /// The user's line as people write it, `patch.py:12`, where known.
    pub at: Option<String>,
}

/// An entry of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A node.
    Node(NodeId),
    /// An invoke.
    Invoke(InvokeId),
    /// A region.
    Region(RegionId),
    /// A constant.
    Constant(ConstantId),
    /// A binding, by its position.
    Binding(usize),
    /// The program as a whole.
    Program,
}

/// A read or write of a place, as faults name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The place.
    pub place: Place,
    /// The node that reads or writes it.
    pub node: NodeId,
    /// The first call or step in which it does.
    pub step: u64,
    /// Whose rows.
    pub invoke: Option<InvokeId>,
    /// The user's line, where known.
    pub line: Option<Line>,
    /// The user's line as people write it, where known.
    pub at: Option<String>,
}

/// The place, with the step unless it is the first, and the line where known: `transformer.h.3.output` at step 2 (patch.py:12).
impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.place)?;
        if self.step > 0 {
            write!(f, " at step {}", self.step)?;
        }
        match &self.at {
            Some(at) => write!(f, " ({at})"),
            None => Ok(()),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    // Ids and definitions.
    /// A node that does not exist is named.
    #[error("`{used}` is used, but the program has no such node")]
    UnknownNode {
        /// The id.
        used: NodeId,
    },
    /// A node is named before it stands in the program.
    #[error("`{used}` is used before it is computed")]
    UsedBeforeDefinition {
        /// The node.
        used: NodeId,
    },
    /// A node that only has an effect is used as a value.
    #[error("`{used}` is used as a value, but `{word}` has none")]
    NoValue {
        /// The node.
        used: NodeId,
        /// What it is.
        word: &'static str,
    },
    /// A value is used where its condition or loop may not have run.
    #[error("{what} belongs to the `{kind}` region `{region}` and is used outside of it")]
    OutOfScope {
        /// The value.
        used: NodeId,
        /// The value in words, with its line where known.
        what: String,
        /// The region that it cannot leave.
        region: RegionId,
        /// What the region is.
        kind: &'static str,
    },
    /// An invoke that does not exist is named.
    #[error("`{invoke}` is used, but the program has no such invoke")]
    UnknownInvoke {
        /// The id.
        invoke: InvokeId,
    },
    /// A region that does not exist is named.
    #[error("`{region}` is used, but the program has no such region")]
    UnknownRegion {
        /// The id.
        region: RegionId,
    },
    /// A constant that does not exist is named.
    #[error("`{constant}` is used, but the program has no such constant")]
    UnknownConstant {
        /// The id.
        constant: ConstantId,
    },
    /// A line names a file that is not in the table.
    #[error("`{source_id}` is named by a line, but the program has no such source")]
    UnknownSource {
        /// The id.
        source_id: SourceId,
    },
    /// A constant's bytes do not fit its shape.
    #[error(transparent)]
    ConstantSize(#[from] ConstantSizeError),
    /// Arguments are nested too deep.
    #[error("arguments are nested {got} levels deep, at most {most} are allowed")]
    TooDeep {
        /// The levels that are allowed.
        most: usize,
        /// The levels there are.
        got: usize,
    },
    /// A keyword is given twice.
    #[error("the keyword `{keyword}` is given twice")]
    DuplicateKeyword {
        /// The keyword.
        keyword: String,
    },
    /// Two bindings have one name.
    #[error("the name `{name}` is bound twice")]
    DuplicateBinding {
        /// The name.
        name: String,
    },
    /// A merge has nothing to choose from.
    #[error("a merge needs at least one value")]
    EmptyMerge,

    // Regions.
    /// The first region is not the root, or there is another root.
    #[error("the first region, and no other, is the `root`")]
    Root,
    /// A region has no parent, or one that does not come before it.
    #[error("a `{kind}` region needs a parent that comes before it")]
    Parent {
        /// What the region is.
        kind: &'static str,
    },
    /// A region stands nowhere in its parent.
    #[error("the `{kind}` region `{region}` stands nowhere in the program")]
    NotPlaced {
        /// The region.
        region: RegionId,
        /// What it is.
        kind: &'static str,
    },
    /// A region stands in two places.
    #[error("`{region}` stands in the program twice, first at `{first}`")]
    PlacedTwice {
        /// The region.
        region: RegionId,
        /// Where it stands first.
        first: NodeId,
    },
    /// A region stands in another region than its parent.
    #[error("`{region}` stands in `{found}`, but its parent is another")]
    PlacedElsewhere {
        /// The region.
        region: RegionId,
        /// Where it stands.
        found: RegionId,
    },
    /// A node belongs to a region that is not open where the node is written.
    #[error("the node belongs to `{region}`, which has not begun or has already ended here")]
    NotNested {
        /// The region.
        region: RegionId,
    },
    /// A kind of region stands where it cannot.
    #[error("`{inner}` cannot stand inside `{outer}`")]
    Nesting {
        /// The region inside.
        inner: &'static str,
        /// The region around it.
        outer: &'static str,
    },
    /// An `else` follows no condition beside it.
    #[error("an `else` needs a condition before it in the same region")]
    ElseAlone,
    /// A chain of conditions goes on after its `else`, or in two ways.
    #[error(
        "the branch after `{before}` is already there, or `{before}` is an `else` that leaves nothing over"
    )]
    ElseTwice {
        /// The branch before.
        before: RegionId,
    },
    /// The current element is asked for outside its loop.
    #[error("`{region}` is not a loop around this node")]
    ItemOutsideLoop {
        /// The region named.
        region: RegionId,
    },
    /// A stop has nothing around it to end.
    #[error("there is no {} around this `stop`", .scope.name())]
    StopOutside {
        /// What was to end.
        scope: StopScope,
    },

    // Invokes.
    /// An invoke belongs to a region that is not a trace.
    #[error("an invoke belongs to a trace, and `{region}` is a `{kind}` region")]
    InvokeOutsideTrace {
        /// The region.
        region: RegionId,
        /// What it is.
        kind: &'static str,
    },
    /// A node names an invoke of another trace.
    #[error("`{invoke}` belongs to another trace")]
    InvokeOfAnotherTrace {
        /// The invoke.
        invoke: InvokeId,
    },
    /// An input is a value that exists only once its trace has begun.
    #[error("the input uses {what}, which is computed only after the trace begins")]
    InputTooLate {
        /// The value.
        used: NodeId,
        /// The value in words, with its line where known.
        what: String,
    },
    /// An invoke has no prompt, or a prompt has no token ids.
    #[error("the input is empty")]
    EmptyInput,
    /// A trace has nothing to run on.
    #[error("the trace has no input")]
    NoInput,
    /// A place is used outside a trace.
    #[error("`{place}` is used outside a trace")]
    OutsideTrace {
        /// The place.
        place: Place,
    },
    /// A place is used inside a trace without an invoke.
    #[error("`{place}` is used outside an invoke")]
    OutsideInvoke {
        /// The place.
        place: Place,
    },

    // Names.
    /// There is no such operation.
    #[error("there is no operation `{name}`")]
    UnknownOp {
        /// The name.
        name: String,
        /// The closest there is.
        similar: Option<String>,
    },
    /// An operation has too few arguments.
    #[error("`{name}` needs at least {required} argument{}, got {got}", if *.required == 1 { "" } else { "s" })]
    TooFewArguments {
        /// The operation.
        name: String,
        /// How many it needs.
        required: usize,
        /// How many there are.
        got: usize,
    },
    /// An operation has too many positional arguments.
    #[error("`{name}` takes at most {most} positional argument{}, got {got}", if *.most == 1 { "" } else { "s" })]
    TooManyArguments {
        /// The operation.
        name: String,
        /// How many it takes.
        most: usize,
        /// How many there are.
        got: usize,
    },
    /// An operation does not know a keyword.
    #[error("`{name}` has no argument `{keyword}`")]
    UnknownKeyword {
        /// The operation.
        name: String,
        /// The keyword.
        keyword: String,
        /// The closest there is.
        similar: Option<String>,
    },
    /// The model has no such module.
    #[error("the model has no module `{path}`")]
    UnknownModule {
        /// The path.
        path: String,
        /// The closest there is.
        similar: Option<String>,
    },
    /// The module has no such point.
    #[error("the model has no place `{place}`")]
    UnknownPlace {
        /// The place.
        place: Place,
        /// The closest operation label there is.
        similar: Option<String>,
    },
    /// The model has no such parameter.
    #[error("the model has no parameter `{name}`")]
    UnknownParameter {
        /// The full path.
        name: String,
        /// The closest there is.
        similar: Option<String>,
    },

    // Gradients.
    /// A gradient is asked for and nothing is differentiated.
    #[error("the gradient of {what} is asked for, but there is no backward")]
    GradientWithoutBackward {
        /// The value.
        of: NodeId,
        /// The value in words, with its line where known.
        what: String,
    },
    /// A gradient is asked for when the last backward is over.
    #[error("the gradient of {what} is asked for after the last backward{}", at_text(.backward_at.as_deref()))]
    GradientAfterBackward {
        /// The value.
        of: NodeId,
        /// The value in words, with its line where known.
        what: String,
        /// The last backward before the node.
        backward: NodeId,
        /// Its line as people write it, where known.
        backward_at: Option<String>,
    },

    // Steps.
    /// A selection of steps selects none.
    #[error("the selection of steps is empty")]
    NoSteps,
    /// A range of steps does not advance.
    #[error("a range of steps must advance by at least 1")]
    StepZero,
    /// A step is selected twice.
    #[error("step {step} is selected twice")]
    DuplicateStep {
        /// The step.
        step: u64,
    },
    /// A selected call never happens.
    #[error("step {step} never happens: {} called {}", called(.path), times(*.calls))]
    StepNeverReached {
        /// The selected step.
        step: u64,
        /// The module.
        path: String,
        /// How often it is called.
        calls: u64,
    },

    // Order.
    /// A write needs a value that the same forward pass computes only later.
    #[error("{written} is written from {needs}, which is computed later")]
    AlreadyPassed {
        /// What is written.
        written: Box<Spot>,
        /// What it needs.
        needs: Box<Spot>,
    },
    /// Invokes wait for one another.
    #[error("{}", cycle_text(.spots))]
    Cycle {
        /// A write, the read that it needs, the write that this read waits for, the read that this write needs, and so on; the last
        /// read waits for the first write.
        spots: Vec<Spot>,
    },
}

fn at_text(at: Option<&str>) -> String {
    at.map(|at| format!(" ({at})")).unwrap_or_default()
}

fn called(path: &str) -> String {
    if path.is_empty() { "the model is".to_owned() } else { format!("`{path}` is") }
}

fn times(calls: u64) -> String {
    if calls == 1 { "once".to_owned() } else { format!("{calls} times") }
}

fn cycle_text(spots: &[Spot]) -> String {
    let name = |spot: &Spot| match spot.invoke {
        Some(invoke) => format!("{spot} of {invoke}"),
        None => spot.to_string(),
    };
    let pairs = spots.chunks(2).map(|pair| pair.iter().map(name).collect::<Vec<_>>().join(" needs "));
    format!("invokes wait for each other: {}", pairs.collect::<Vec<_>>().join("; "))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// A remedy, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let did_you_mean =
            |similar: &Option<String>| similar.as_ref().map(|name| format!("did you mean `{name}`?"));
        match &self.kind {
            FaultKind::UnknownOp { similar, .. }
            | FaultKind::UnknownKeyword { similar, .. }
            | FaultKind::UnknownModule { similar, .. }
            | FaultKind::UnknownPlace { similar, .. }
            | FaultKind::UnknownParameter { similar, .. } => did_you_mean(similar),
            FaultKind::OutOfScope { .. } => Some("merge the value after the region to use it there".into()),
            FaultKind::GradientWithoutBackward { .. } => {
                Some("call `backward` on a loss after the gradient is asked for".into())
            }
            FaultKind::GradientAfterBackward { .. } => {
                Some("ask for the gradient before the line that calls `backward`".into())
            }
            FaultKind::AlreadyPassed { .. } => {
                Some("use the value of a separate invoke, which has its own forward pass".into())
            }
            FaultKind::Cycle { .. } => Some("read one of the values in an invoke of its own".into()),
            FaultKind::NoInput => Some("give the trace an input or open an invoke inside it".into()),
            FaultKind::InputTooLate { .. } => Some("compute the input before the trace".into()),
            _ => None,
        }
    }
}

/// The candidate that a name was meant to be: one that ends in it, as when the first part of a path is left out, or the closest.
pub(super) fn similar(name: &str, candidates: &[String]) -> Option<String> {
    let ends_in_it = |candidate: &&String| {
        !name.is_empty() && candidate.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
    };
    if let Some(full) = candidates.iter().find(ends_in_it) {
        return Some(full.clone());
    }
    let named = candidates.iter().map(String::as_str).filter(|candidate| !candidate.is_empty());
    closest(name, named).map(str::to_owned)
}
