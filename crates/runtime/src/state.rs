//! What a running program holds: values of its statements, what was logged, what is being trained.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pellucid_nn::{Model, Value};
use pellucid_program::{Dependence, Kind, NodeId, Program, RegionId, RegionKind, StopScope};
use pellucid_tensor::Tensor;
use rustc_hash::FxHashMap;

use crate::edits::Expanded;
use crate::error::RunError;
use crate::explain::Unknown;
use crate::input::Encoder;
use crate::layout::Layout;
use crate::run::{LogLine, Runner};
use crate::training::Training;

/// Values of statements.
#[derive(Default)]
pub(crate) struct Table {
    values: RefCell<Vec<Option<Value>>>,
    /// Whether the statement has taken effect in the present turn or step.
    done: RefCell<Vec<bool>>,
    /// When the value was computed last; 0 for never.
    when: RefCell<Vec<u64>>,
    clock: Cell<u64>,
}

impl Table {
    pub(crate) fn resize(&self, n: usize) {
        self.values.borrow_mut().resize(n, None);
        self.done.borrow_mut().resize(n, false);
        self.when.borrow_mut().resize(n, 0);
    }

    pub(crate) fn value(&self, node: NodeId) -> Option<Value> {
        self.values.borrow()[node.index()].clone()
    }

    pub(crate) fn set(&self, node: NodeId, value: Value) {
        self.clock.set(self.clock.get() + 1);
        self.when.borrow_mut()[node.index()] = self.clock.get();
        self.values.borrow_mut()[node.index()] = Some(value);
    }

    /// Lets go of a value that nothing will read again.
    pub(crate) fn forget(&self, node: NodeId) {
        self.values.borrow_mut()[node.index()] = None;
    }

    /// The one of several that was computed last.
    pub(crate) fn latest(&self, nodes: &[NodeId]) -> Option<Value> {
        let when = self.when.borrow();
        let last = nodes.iter().copied().max_by_key(|n| when[n.index()])?;
        self.value(last)
    }

    pub(crate) fn is_done(&self, node: NodeId) -> bool {
        self.done.borrow()[node.index()]
    }

    pub(crate) fn mark(&self, node: NodeId, done: bool) {
        self.done.borrow_mut()[node.index()] = done;
    }

    pub(crate) fn into_values(self) -> Vec<Option<Value>> {
        self.values.into_inner()
    }
}

/// What the whole run shares.
pub(crate) struct State<'r> {
    pub program: &'r Program,
    pub runner: Runner<'r>,
    /// Shapes only.
    pub scan: bool,
    /// Shapes only, and not even what shapes depend on is computed; what would be is noted.
    pub explain: bool,
    /// What would be computed though nobody saves it, when explaining.
    pub planned: RefCell<Vec<Tensor>>,
    /// Whether values differ from those of a run, when explaining.
    pub guesses: Cell<bool>,
    /// Every fault met, when explaining.
    pub faults: RefCell<Vec<RunError>>,
    /// Where going on needs a computed value, when explaining.
    pub unknown: RefCell<Vec<Unknown>>,
    pub layout: Layout,
    pub dependence: Dependence,
    pub table: Table,
    pub logs: RefCell<Vec<LogLine>>,
    /// How many of the logged values are computed and hold no graph.
    pub settled_logs: Cell<usize>,
    pub training: Training,
    /// The edits that each model number starts with, in the order made.
    pub edits: RefCell<FxHashMap<u32, Vec<RegionId>>>,
    /// The program as traces of an edited model carry it out: that of the last one.
    pub expanded: RefCell<Option<Rc<Expanded>>>,
    /// For a value, the statements that read or write its gradient.
    pub watched: FxHashMap<NodeId, Vec<NodeId>>,
    /// For a backward, the gradients that belong to it.
    pub gradients: FxHashMap<NodeId, Vec<NodeId>>,
    /// The node of a watched value at which its gradient is taken.
    pub watch_points: RefCell<FxHashMap<NodeId, Tensor>>,
    /// A stop inside a trace that ends something around it.
    pub ended: Cell<Option<StopScope>>,
    /// Whether a trace was stopped, so that statements after it may lack their inputs.
    pub cut_short: Cell<bool>,
}

impl<'r> State<'r> {
    pub(crate) fn new(program: &'r Program, runner: Runner<'r>, scan: bool) -> State<'r> {
        let dependence = Dependence::new(program);
        let (watched, gradients) = gradients(program, &dependence);
        let table = Table::default();
        table.resize(program.nodes.len());
        State {
            program,
            runner,
            scan,
            explain: false,
            planned: RefCell::default(),
            guesses: Cell::new(false),
            faults: RefCell::default(),
            unknown: RefCell::default(),
            layout: Layout::new(program),
            dependence,
            table,
            logs: RefCell::default(),
            settled_logs: Cell::new(0),
            training: Training::default(),
            edits: RefCell::default(),
            expanded: RefCell::default(),
            watched,
            gradients,
            watch_points: RefCell::default(),
            ended: Cell::new(None),
            cut_short: Cell::new(false),
        }
    }

    /// To explain a program.
    pub(crate) fn explaining(program: &'r Program, runner: Runner<'r>) -> State<'r> {
        State { explain: true, ..State::new(program, runner, true) }
    }

    /// The model that a number of the program means, and its encoder.
    pub(crate) fn model(&self, number: u32) -> (&'r Model, Option<&'r dyn Encoder>) {
        let loaded = &self.runner.models[base_model(self.program, number) as usize];
        (loaded.model, loaded.encoder)
    }
}

/// The model that a number stands for, edits aside.
pub(crate) fn base_model(program: &Program, number: u32) -> u32 {
    let mut base = number;
    // An edited model's number is explained by an earlier region only.
    for region in program.regions.iter().rev() {
        if let RegionKind::Edit { model, edited } = region.kind
            && edited == base
        {
            base = model;
        }
    }
    base
}

pub(crate) type Watchers = FxHashMap<NodeId, Vec<NodeId>>;

/// Statements about gradients, by the value and by the backward they belong to.
pub(crate) fn gradients(program: &Program, dependence: &Dependence) -> (Watchers, Watchers) {
    let (mut watched, mut gradients) = (Watchers::default(), Watchers::default());
    for (id, node) in program.nodes() {
        if let Kind::Grad { of } | Kind::SetGrad { of, .. } = &node.kind {
            watched.entry(*of).or_default().push(id);
            if let Some(backward) = dependence.next_backward(id) {
                gradients.entry(backward).or_default().push(id);
            }
        }
    }
    (watched, gradients)
}
