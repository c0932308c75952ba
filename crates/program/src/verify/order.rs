//! Whether everything can be had in time: a write when its place is passed, for every invoke.
//!
//! A graph of waiting is built and its circles are the faults. Its vertices are the nodes and, for every write, the moment at which
//! the forward pass goes beyond it. Of two vertices, one waits for the other when
//! * a node uses the other's value, stands in a condition or loop that does, uses memory that the other wrote before, or is a
//!   gradient and the other its backward;
//! * a read waits for the last write that the forward pass goes beyond on its way there;
//! * the moment beyond a write waits for the write, and for the moment beyond the write before it.
//!
//! So the graph grows with the program and not with the pairs of reads and writes. The writes of one invoke form a chain. An invoke without input
//! sees all rows: its writes form a chain that every read of the trace waits for, and its reads wait for a chain of all writes.

use std::collections::{BTreeMap, HashMap};

use super::{FaultKind, Spot, Subject, Verifier};
use crate::{Input, InvokeId, Kind, NodeId, Place, Point, RegionId, changed};

/// A read or write, and when the forward pass comes by.
#[derive(Debug, Clone)]
struct Event {
    node: NodeId,
    /// The trace or edit.
    run: RegionId,
    rows: Rows,
    /// The step, and the order within a forward pass.
    time: (u64, u64),
    place: Place,
    invoke: Option<InvokeId>,
    is_write: bool,
}

/// Whose rows an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Those of one invoke; of an edit, all.
    Of(Option<InvokeId>),
    /// All rows, through an invoke without input.
    All,
}

/// Which writes a chain holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Chain {
    Own(Option<InvokeId>),
    ByAll,
    Every,
}

impl Verifier<'_> {
    pub(super) fn order(&mut self) {
        let events = self.events();
        if !events.iter().any(|event| event.is_write) {
            return;
        }
        let waits = self.data_waits();
        let graph = Graph::new(&waits, &events, self.program.nodes.len(), &[]);
        let circles = graph.circles();
        if circles.is_empty() {
            return;
        }
        let passed = self.already_passed(&waits, &events, &circles);
        // What remains without the writes found guilty are circles through several invokes.
        let graph = Graph::new(&waits, &events, self.program.nodes.len(), &passed);
        for circle in graph.circles() {
            self.cycle(&graph, &events, &circle);
        }
    }

    /// Every read and write of a place whose time is known.
    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (id, node) in self.program.nodes() {
            let (source, place, timed, is_write) = match &node.kind {
                Kind::Read(place) => (node, place.clone(), place.clone(), false),
                Kind::Write { place, .. } => (node, place.clone(), place.clone(), true),
                // Whether to skip is settled when the module is reached.
                Kind::Skip { module, .. } => {
                    let input = Place { module: module.clone(), point: Point::Input };
                    (node, Place::output(module.clone()), input, true)
                }
                Kind::Op { .. } => match self.dependence.written_place(self.program, id) {
                    Some((read, place)) if read < id => {
                        let source = &self.program.nodes[read.index()];
                        // Outside the read's own trace the write concerns the value only.
                        if self.tables.run_of(source.region) != self.tables.run_of(node.region) {
                            continue;
                        }
                        (source, place.clone(), place.clone(), true)
                    }
                    _ => continue,
                },
                _ => continue,
            };
            let Some(run) = self.tables.run_of(source.region) else { continue };
            let order = self.environment.forward_order(self.model_of(source.region), &timed);
            let (Some(order), Some(step)) = (order, source.steps.first()) else { continue };
            let input = source.invoke.and_then(|invoke| self.program.invoke(invoke));
            let rows = match input.map(|invoke| &invoke.input) {
                Some(Input::Empty) => Rows::All,
                _ => Rows::Of(source.invoke),
            };
            events.push(Event {
                node: id,
                run,
                rows,
                time: (step, order),
                place,
                invoke: source.invoke,
                is_write,
            });
        }
        events
    }

    /// What each node waits for by what it says, without the forward pass.
    fn data_waits(&self) -> Vec<Vec<NodeId>> {
        // The last in-place write to each value's memory so far.
        let mut last_write: Vec<Option<NodeId>> = vec![None; self.program.nodes.len()];
        let mut waits = Vec::with_capacity(self.program.nodes.len());
        for (id, node) in self.program.nodes() {
            let mut found = Vec::new();
            let mut add = |used: NodeId| {
                if used < id {
                    found.push(used);
                    found.extend(last_write[self.dependence.root(used).index()]);
                }
            };
            node.kind.for_each_node(&mut add);
            match &node.kind {
                Kind::RegionRef(region) => {
                    if let Some(region) = self.program.region(*region) {
                        region.kind.args().for_each(|arg| arg.for_each_node(&mut add));
                        // Whether a branch is taken depends on the conditions before it.
                        if let crate::RegionKind::Cond { else_of: Some(before), .. } = region.kind {
                            found.extend(self.tables.placed_at(before).filter(|&site| site < id));
                        }
                    }
                }
                Kind::Grad { .. } | Kind::SetGrad { .. } => found.extend(self.dependence.next_backward(id)),
                _ => {}
            }
            if self.tables.run_of(node.region) != Some(node.region) {
                found.extend(self.tables.placed_at(node.region).filter(|&site| site < id));
            }
            found.sort_unstable();
            found.dedup();
            waits.push(found);
            if let Some(receiver) = changed(&node.kind).filter(|&receiver| receiver < id) {
                last_write[self.dependence.root(receiver).index()] = Some(id);
            }
        }
        waits
    }

    /// Reports the writes that need a later value of their own rows, and gives their nodes, sorted.
    fn already_passed(
        &mut self,
        waits: &[Vec<NodeId>],
        events: &[Event],
        circles: &[Vec<usize>],
    ) -> Vec<NodeId> {
        let mut event_of: Vec<Option<usize>> = vec![None; waits.len()];
        for (index, event) in events.iter().enumerate() {
            event_of[event.node.index()] = Some(index);
        }
        let mut circle_of: Vec<Option<usize>> = vec![None; waits.len()];
        for (number, circle) in circles.iter().enumerate() {
            for &vertex in circle.iter().filter(|&&vertex| vertex < waits.len()) {
                circle_of[vertex] = Some(number);
            }
        }
        // A search per guilty write could take time that grows with the square of a hostile program.
        let mut steps_left = 16 * waits.len() + 10_000;
        let mut seen = vec![usize::MAX; waits.len()];
        let mut guilty = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let circle = circle_of[event.node.index()];
            if !event.is_write || circle.is_none() {
                continue;
            }
            let mut latest: Option<&Event> = None;
            let mut stack = vec![event.node];
            seen[event.node.index()] = index;
            while let Some(node) = stack.pop() {
                if steps_left == 0 {
                    break;
                }
                steps_left -= 1;
                if let Some(read) = event_of[node.index()].map(|read| &events[read]) {
                    let is_later = !read.is_write
                        && (read.run, read.rows) == (event.run, event.rows)
                        && read.time > event.time;
                    if is_later && latest.is_none_or(|latest| read.time > latest.time) {
                        latest = Some(read);
                    }
                }
                for &next in &waits[node.index()] {
                    if seen[next.index()] != index && circle_of[next.index()] == circle {
                        seen[next.index()] = index;
                        stack.push(next);
                    }
                }
            }
            if let Some(read) = latest {
                let written = Box::new(self.event_spot(event));
                let needs = Box::new(self.event_spot(read));
                self.report(Subject::Node(event.node), FaultKind::AlreadyPassed { written, needs });
                guilty.push(event.node);
            }
        }
        guilty
    }

    fn event_spot(&self, event: &Event) -> Spot {
        let line = self.program.node(event.node).and_then(|node| node.line);
        Spot {
            place: event.place.clone(),
            node: event.node,
            step: event.time.0,
            invoke: event.invoke,
            line,
            at: self.line_text(line),
        }
    }

    /// Reports one circle through several invokes.
    fn cycle(&mut self, graph: &Graph, events: &[Event], circle: &[usize]) {
        let event_of = |vertex: usize| {
            events.binary_search_by_key(&vertex, |event| event.node.index()).ok().map(|at| &events[at])
        };
        // A circle goes through the moment beyond some write; start at the first such write.
        let start =
            circle.iter().copied().filter(|&vertex| event_of(vertex).is_some_and(|event| event.is_write));
        let Some(start) = start.min() else { return };
        let path = graph.path_back_to(start, circle);
        let is_moment = |vertex: usize| vertex >= self.program.nodes.len();
        let mut spots = Vec::new();
        let mut before = path.last().copied();
        for (position, &vertex) in path.iter().enumerate() {
            let after = path.get(position + 1).copied().unwrap_or(start);
            let enters = before.is_some_and(is_moment);
            let leaves = is_moment(after);
            if let Some(event) = event_of(vertex) {
                let is_told = if event.is_write { enters } else { leaves };
                if is_told {
                    spots.push(self.event_spot(event));
                }
            }
            before = Some(vertex);
        }
        // Told from a write on, also where the walk began between two.
        let first_write =
            spots.iter().position(|spot| event_of(spot.node.index()).is_some_and(|event| event.is_write));
        spots.rotate_left(first_write.unwrap_or(0));
        let subject = spots.first().map_or(Subject::Program, |spot| Subject::Node(spot.node));
        self.report(subject, FaultKind::Cycle { spots });
    }
}

/// The graph of waiting: nodes first, then moments beyond writes.
struct Graph {
    /// Where the vertices that each vertex waits for begin in `targets`.
    first: Vec<usize>,
    targets: Vec<usize>,
}

impl Graph {
    /// Builds the graph, without what the nodes in `left_out` (sorted) write.
    fn new(waits: &[Vec<NodeId>], events: &[Event], nodes: usize, left_out: &[NodeId]) -> Self {
        let mut edges: Vec<(usize, usize)> = Vec::new();
        for (node, waits) in waits.iter().enumerate() {
            edges.extend(waits.iter().map(|used| (node, used.index())));
        }
        let mut chains: BTreeMap<(RegionId, Chain), Vec<(&Event, usize)>> = BTreeMap::new();
        for event in events.iter().filter(|event| event.is_write) {
            if left_out.binary_search(&event.node).is_ok() {
                continue;
            }
            let own = match event.rows {
                Rows::Of(invoke) => Chain::Own(invoke),
                Rows::All => Chain::ByAll,
            };
            for chain in [own, Chain::Every] {
                chains.entry((event.run, chain)).or_default().push((event, 0));
            }
        }
        let mut count = nodes;
        for chain in chains.values_mut() {
            chain.sort_by_key(|(event, _)| (event.time, event.node));
            for (position, (event, moment)) in chain.iter_mut().enumerate() {
                *moment = count;
                edges.push((count, event.node.index()));
                if position > 0 {
                    edges.push((count, count - 1));
                }
                count += 1;
            }
        }
        for event in events.iter().filter(|event| !event.is_write) {
            let kinds = match event.rows {
                Rows::Of(invoke) => [Chain::Own(invoke), Chain::ByAll].into_iter().take(2),
                Rows::All => [Chain::Every, Chain::Every].into_iter().take(1),
            };
            for kind in kinds {
                let Some(chain) = chains.get(&(event.run, kind)) else { continue };
                let key = (event.time, event.node);
                let passed = chain.partition_point(|(write, _)| (write.time, write.node) < key);
                if passed > 0 {
                    edges.push((event.node.index(), chain[passed - 1].1));
                }
            }
        }
        let mut first = vec![0; count + 1];
        for (vertex, _) in &edges {
            first[vertex + 1] += 1;
        }
        for vertex in 0..count {
            first[vertex + 1] += first[vertex];
        }
        let mut next = first.clone();
        let mut targets = vec![0; edges.len()];
        for (vertex, target) in edges {
            targets[next[vertex]] = target;
            next[vertex] += 1;
        }
        Self { first, targets }
    }

    fn targets(&self, vertex: usize) -> &[usize] {
        &self.targets[self.first[vertex]..self.first[vertex + 1]]
    }

    /// The strongly connected components of more than one vertex, by Tarjan's algorithm with a stack of its own.
    fn circles(&self) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let count = self.first.len() - 1;
        let mut number = vec![UNSEEN; count];
        let mut low = vec![0; count];
        let mut on_stack = vec![false; count];
        let mut stack = Vec::new();
        let mut calls: Vec<(usize, usize)> = Vec::new();
        let mut seen = 0;
        let mut circles = Vec::new();
        for start in 0..count {
            if number[start] != UNSEEN {
                continue;
            }
            calls.push((start, self.first[start]));
            while let Some(&(vertex, edge)) = calls.last() {
                if number[vertex] == UNSEEN {
                    number[vertex] = seen;
                    low[vertex] = seen;
                    seen += 1;
                    stack.push(vertex);
                    on_stack[vertex] = true;
                }
                if edge < self.first[vertex + 1] {
                    if let Some(call) = calls.last_mut() {
                        call.1 += 1;
                    }
                    let target = self.targets[edge];
                    if number[target] == UNSEEN {
                        calls.push((target, self.first[target]));
                    } else if on_stack[target] {
                        low[vertex] = low[vertex].min(number[target]);
                    }
                    continue;
                }
                calls.pop();
                if let Some(&(caller, _)) = calls.last() {
                    low[caller] = low[caller].min(low[vertex]);
                }
                if low[vertex] == number[vertex] {
                    let from = stack.iter().rposition(|&other| other == vertex).unwrap_or(0);
                    let circle = stack.split_off(from);
                    for &member in &circle {
                        on_stack[member] = false;
                    }
                    if circle.len() > 1 {
                        circles.push(circle);
                    }
                }
            }
        }
        circles
    }

    /// A shortest way from a vertex of a circle back to itself, the vertex first.
    fn path_back_to(&self, start: usize, circle: &[usize]) -> Vec<usize> {
        let mut came_from: HashMap<usize, Option<usize>> =
            circle.iter().map(|&vertex| (vertex, None)).collect();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(vertex) = queue.pop_front() {
            for &target in self.targets(vertex) {
                if target == start {
                    let mut path = vec![vertex];
                    let mut current = vertex;
                    while current != start
                        && let Some(&Some(before)) = came_from.get(&current)
                    {
                        path.push(before);
                        current = before;
                    }
                    path.reverse();
                    return path;
                }
                if let Some(entry @ None) = came_from.get_mut(&target) {
                    *entry = Some(vertex);
                    queue.push_back(target);
                }
            }
        }
        vec![start]
    }
}
