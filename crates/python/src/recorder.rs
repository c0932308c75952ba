//! A program being written by Python code: every access and operation becomes a statement, in the order written.

use std::collections::HashMap;

use pellucid::SharedModel;
use pellucid::program::{
    Arg, Builder, Input, InvokeId, Kind, Line, NodeId, Place, Point, RegionId, RegionKind, SourceId, Steps,
    StopScope,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::data::{Data, Reader};
use crate::model::PyModel;
use crate::run;

/// The first of the numbers that edited models go by.
const FIRST_EDITED: u32 = 1 << 16;

/// A value of a program: the base of the proxies that Python's users see.
#[pyclass(module = "pellucid._pellucid", subclass, weakref)]
pub(crate) struct Node {
    /// The program.
    #[pyo3(get)]
    pub(crate) recorder: Py<Recorder>,
    /// The statement; none for an attribute that is not yet known to be a field or a method.
    #[pyo3(get, set, name = "_id")]
    pub(crate) id: Option<u32>,
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (recorder, id=None))]
    fn new(recorder: Py<Recorder>, id: Option<u32>) -> Node {
        Node { recorder, id }
    }
}

/// The steps in which a value is made; none for one that no step makes.
type Happens = Option<Steps>;

/// Writes a program and, in the end, runs it.
#[pyclass(module = "pellucid._pellucid", subclass, weakref)]
pub(crate) struct Recorder {
    pub(crate) builder: Builder,
    /// Models by the numbers that the program uses.
    pub(crate) models: Vec<SharedModel>,
    /// Functions of the user's that the program applies.
    pub(crate) callbacks: Vec<Py<PyAny>>,
    /// What was saved, once the program has run; after a scan, what is known of every value.
    pub(crate) results: HashMap<u32, Data>,
    /// Edited models: base, edits, number.
    edited: Vec<(u32, Vec<Py<Recorder>>, u32)>,
    /// By node: when its value is made.
    happens: Vec<Happens>,
    /// The same of the open regions.
    around: Vec<Happens>,
    /// Selections of steps in force, by the modules that they are about.
    selected: Vec<(String, Steps)>,
    /// How many calls modules have been moved on.
    moved: HashMap<String, u64>,
    /// The last invoke of each open trace: what is read outside of invokes belongs to it.
    last_invoke: Vec<Option<InvokeId>>,
    sources: HashMap<String, SourceId>,
}

fn is_within(path: &str, other: &str) -> bool {
    other.is_empty() || path == other || path.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'))
}

/// A selection of steps as the Python part writes it: `n`, a list, or `(start, stop, step)`.
fn steps(key: &Bound<'_, PyAny>) -> PyResult<Steps> {
    if let Ok(step) = key.extract::<u64>() {
        return Ok(Steps::At(step));
    }
    if let Ok((start, stop, step)) = key.extract::<(u64, Option<u64>, u64)>() {
        return Ok(Steps::Range { start, stop, step });
    }
    Ok(Steps::List(key.extract()?))
}

impl Recorder {
    /// What is made of values of repeated steps is repeated; else it belongs to the last of its values' steps. What is
    /// made of free values alone happens in the steps that are selected around it; what is made of nothing, once.
    fn join(&self, operands: &[NodeId]) -> Happens {
        let mut found = operands.iter().map(|id| &self.happens[id.index()]).peekable();
        found.peek()?;
        let (mut free, mut latest) = (true, None::<&Steps>);
        for happens in found {
            let Some(steps) = happens else { continue };
            free = false;
            let later = match (latest, steps) {
                (None, _) => true,
                (Some(Steps::Range { .. } | Steps::List(_)), _) => false,
                (Some(_), Steps::Range { .. } | Steps::List(_)) => true,
                (Some(Steps::First), Steps::At(_)) => true,
                (Some(Steps::At(a)), Steps::At(b)) => b > a,
                _ => false,
            };
            if later {
                latest = Some(steps);
            }
        }
        if free { self.selected.last().map(|(_, steps)| steps.clone()) } else { latest.cloned() }
    }

    fn push_at(&mut self, kind: Kind, happens: Happens) -> u32 {
        let happens = happens.or_else(|| self.around.last().cloned().flatten());
        self.builder.set_steps(happens.clone().unwrap_or_default());
        let id = self.builder.node(kind);
        self.happens.resize(id.index(), None);
        self.happens.push(happens);
        id.0
    }

    fn push(&mut self, kind: Kind) -> u32 {
        let mut operands = Vec::new();
        kind.for_each_node(|id| operands.push(id));
        let happens = self.join(&operands);
        self.push_at(kind, happens)
    }

    /// A statement about a place of a module: of the steps selected there, and of an invoke.
    fn push_place(&mut self, path: &str, own: Option<Steps>, kind: Kind) -> u32 {
        let happens = own.unwrap_or_else(|| {
            let selected = self.selected.iter().rev().find(|(at, _)| is_within(path, at));
            let moved = || -> u64 {
                self.moved.iter().filter(|(at, _)| is_within(path, at)).map(|(_, count)| count).sum()
            };
            match selected {
                Some((_, steps)) => steps.clone(),
                None => match moved() {
                    0 => Steps::First,
                    count => Steps::At(count),
                },
            }
        });
        let outside = self.builder.current_invoke().is_none();
        if outside {
            let last = self.last_invoke.last().copied().flatten();
            self.builder.set_invoke(last);
        }
        let id = self.push_at(kind, Some(happens));
        if outside {
            self.builder.set_invoke(None);
        }
        id
    }

    fn open(&mut self, kind: RegionKind) -> u32 {
        let mut operands = Vec::new();
        match &kind {
            RegionKind::Cond { condition: Some(arg), .. } | RegionKind::Iter { over: arg } => {
                arg.for_each_node(|id| operands.push(id));
            }
            _ => {}
        }
        let happens = self.join(&operands).or_else(|| self.around.last().cloned().flatten());
        self.builder.set_steps(happens.clone().unwrap_or_default());
        let region = self.builder.open(kind);
        self.happens.resize(self.builder.program().nodes.len(), happens.clone());
        self.around.push(happens);
        region.0
    }

    fn arg(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<Arg> {
        let data = Reader { recorder: Some(slf), tensors: Vec::new() }.read(value)?;
        data.to_arg(&mut slf.borrow_mut().builder)
    }

    fn args(slf: &Bound<'_, Self>, values: &Bound<'_, PyTuple>) -> PyResult<Vec<Arg>> {
        values.iter().map(|value| Recorder::arg(slf, &value)).collect()
    }

    fn options(slf: &Bound<'_, Self>, values: Option<&Bound<'_, PyDict>>) -> PyResult<Vec<(String, Arg)>> {
        let mut options = Vec::new();
        for (name, value) in values.iter().flat_map(|v| v.iter()) {
            options.push((name.extract()?, Recorder::arg(slf, &value)?));
        }
        Ok(options)
    }
}

fn place(path: &str, point: &str, label: Option<String>) -> PyResult<Place> {
    let point = match (point, label) {
        ("input", _) => Point::Input,
        ("inputs", _) => Point::Inputs,
        ("output", _) => Point::Output,
        ("pattern", _) => Point::Pattern,
        ("op", Some(label)) => Point::Op(label),
        _ => return Err(PyValueError::new_err(format!("a module has no point `{point}`"))),
    };
    Ok(Place { module: path.into(), point })
}

#[pymethods]
impl Recorder {
    #[new]
    fn new() -> Recorder {
        Recorder {
            builder: Builder::new(),
            models: Vec::new(),
            callbacks: Vec::new(),
            results: HashMap::new(),
            edited: Vec::new(),
            happens: Vec::new(),
            around: vec![None],
            selected: Vec::new(),
            moved: HashMap::new(),
            last_invoke: Vec::new(),
            sources: HashMap::new(),
        }
    }

    /// Sets the line of whatever comes next.
    fn at(&mut self, file: &str, line: u32) {
        let source = match self.sources.get(file) {
            Some(source) => *source,
            None => {
                let source = self.builder.source(file);
                self.sources.insert(file.to_owned(), source);
                source
            }
        };
        self.builder.at(Some(Line { source, line }));
    }

    /// The number of a model in this program; the edits it starts with are put into the region open now.
    fn model(&mut self, py: Python<'_>, model: &Bound<'_, PyModel>, edits: Vec<Bound<'_, Recorder>>) -> u32 {
        let shared = model.get().shared.clone();
        let base = match self.models.iter().position(|known| *known == shared) {
            Some(at) => at as u32,
            None => {
                self.models.push(shared);
                self.models.len() as u32 - 1
            }
        };
        if edits.is_empty() {
            return base;
        }
        let known = self.edited.iter().find(|(of, list, _)| {
            *of == base && list.len() == edits.len() && list.iter().zip(&edits).all(|(a, b)| a.is(b))
        });
        let last = match known {
            Some((.., number)) => *number,
            None => {
                let number = FIRST_EDITED + self.edited.len() as u32;
                self.edited.push((base, edits.iter().map(|e| e.clone().unbind()).collect(), number));
                number
            }
        };
        for (i, edit) in edits.iter().enumerate() {
            // Each edit builds on the one before; only the last has a number of its own.
            let kind = RegionKind::Edit { model: if i == 0 { base } else { last }, edited: last };
            let edit = edit.borrow();
            let first = self.callbacks.len() as u32;
            self.builder.include(edit.builder.program(), RegionId(1), kind, first);
            self.happens.resize(self.builder.program().nodes.len(), None);
            self.callbacks.extend(edit.callbacks.iter().map(|f| f.clone_ref(py)));
        }
        last
    }

    /// Opens a trace of a model by its number; with options, a generation.
    #[pyo3(signature = (model, generate=None))]
    fn open_trace(slf: &Bound<'_, Self>, model: u32, generate: Option<&Bound<'_, PyDict>>) -> PyResult<u32> {
        let generate = match generate {
            Some(_) => Some(Recorder::options(slf, generate)?),
            None => None,
        };
        let mut own = slf.borrow_mut();
        own.last_invoke.push(None);
        own.moved.clear();
        own.selected.clear();
        Ok(own.open(RegionKind::Trace { model, generate }))
    }

    /// Closes a trace.
    fn close_trace(&mut self) {
        self.last_invoke.pop();
        self.selected.clear();
        self.moved.clear();
        self.close();
    }

    /// Opens the record of what every later trace of a model starts with.
    fn open_edit(&mut self) -> u32 {
        self.open(RegionKind::Edit { model: 0, edited: 0 })
    }

    fn open_session(&mut self) -> u32 {
        self.open(RegionKind::Session)
    }

    fn open_local(&mut self) -> u32 {
        self.open(RegionKind::Local)
    }

    /// Opens a condition; behind another one, only when that and those before it were not taken.
    #[pyo3(signature = (condition, behind=None))]
    fn open_cond(slf: &Bound<'_, Self>, condition: &Bound<'_, PyAny>, behind: Option<u32>) -> PyResult<u32> {
        let condition = match behind {
            Some(_) if condition.is_none() => None,
            _ => Some(Recorder::arg(slf, condition)?),
        };
        Ok(slf.borrow_mut().open(RegionKind::Cond { condition, else_of: behind.map(RegionId) }))
    }

    /// Opens a loop; its region and the node that is its current element.
    fn open_iter(slf: &Bound<'_, Self>, over: &Bound<'_, PyAny>) -> PyResult<(u32, u32)> {
        let over = Recorder::arg(slf, over)?;
        let mut own = slf.borrow_mut();
        let region = own.open(RegionKind::Iter { over });
        let item = own.push_at(Kind::Item(RegionId(region)), None);
        Ok((region, item))
    }

    /// Closes the innermost open region.
    fn close(&mut self) {
        self.builder.close();
        self.around.pop();
    }

    /// Begins an invoke of the innermost trace; its number.
    #[pyo3(signature = (kind, value, mask, options=None))]
    fn invoke(
        slf: &Bound<'_, Self>,
        kind: &str,
        value: &Bound<'_, PyAny>,
        mask: &Bound<'_, PyAny>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u32> {
        let input = match kind {
            "empty" => Input::Empty,
            "text" => Input::Text(value.extract()?),
            "tokens" => Input::Tokens(value.extract()?),
            "batch" => Input::Batch {
                input_ids: Recorder::arg(slf, value)?,
                attention_mask: if mask.is_none() { None } else { Some(Recorder::arg(slf, mask)?) },
            },
            _ => Input::Value(Recorder::arg(slf, value)?),
        };
        let options = Recorder::options(slf, options)?;
        let mut own = slf.borrow_mut();
        let id = own.builder.invoke_with(input, options);
        if let Some(last) = own.last_invoke.last_mut() {
            *last = Some(id);
        }
        own.selected.clear();
        own.moved.clear();
        Ok(id.0)
    }

    /// Ends the current invoke.
    fn end_invoke(&mut self) {
        self.builder.set_invoke(None);
    }

    #[pyo3(signature = (name, args, kwargs=None))]
    fn op(
        slf: &Bound<'_, Self>,
        name: &str,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u32> {
        let args = Recorder::args(slf, args)?;
        let kwargs = Recorder::options(slf, kwargs)?;
        Ok(slf.borrow_mut().push(Kind::Op { name: name.into(), args, kwargs }))
    }

    #[pyo3(signature = (path, point, own=None, label=None))]
    fn read(
        &mut self,
        path: &str,
        point: &str,
        own: Option<&Bound<'_, PyAny>>,
        label: Option<String>,
    ) -> PyResult<u32> {
        let place = place(path, point, label)?;
        Ok(self.push_place(path, own.map(steps).transpose()?, Kind::Read(place)))
    }

    #[pyo3(signature = (path, point, value, own=None, label=None))]
    fn write(
        slf: &Bound<'_, Self>,
        path: &str,
        point: &str,
        value: &Bound<'_, PyAny>,
        own: Option<&Bound<'_, PyAny>>,
        label: Option<String>,
    ) -> PyResult<()> {
        let place = place(path, point, label)?;
        let value = Recorder::arg(slf, value)?;
        let own = own.map(steps).transpose()?;
        slf.borrow_mut().push_place(path, own, Kind::Write { place, value });
        Ok(())
    }

    fn skip(slf: &Bound<'_, Self>, path: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = Recorder::arg(slf, value)?;
        slf.borrow_mut().push_place(path, None, Kind::Skip { module: path.into(), value });
        Ok(())
    }

    fn parameter(&mut self, name: String) -> u32 {
        self.push_at(Kind::Parameter { name }, None)
    }

    fn module(
        slf: &Bound<'_, Self>,
        path: String,
        args: &Bound<'_, PyTuple>,
        kwargs: &Bound<'_, PyDict>,
        hooks: bool,
    ) -> PyResult<u32> {
        let args = Recorder::args(slf, args)?;
        let kwargs = Recorder::options(slf, Some(kwargs))?;
        Ok(slf.borrow_mut().push(Kind::Module { path, args, kwargs, hooks }))
    }

    fn save(&mut self, value: u32) -> u32 {
        self.push(Kind::Save { value: NodeId(value), name: None })
    }

    fn log(slf: &Bound<'_, Self>, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        let args = Recorder::args(slf, args)?;
        slf.borrow_mut().push(Kind::Log { args });
        Ok(())
    }

    #[pyo3(signature = (scope, after=None))]
    fn stop(&mut self, scope: &str, after: Option<u32>) {
        let scope = match scope {
            "trace" => StopScope::Trace,
            "loop" => StopScope::Loop,
            _ => StopScope::Session,
        };
        self.push(Kind::Stop { scope, after: after.map(NodeId) });
    }

    fn backward(
        slf: &Bound<'_, Self>,
        loss: u32,
        gradient: &Bound<'_, PyAny>,
        retain_graph: bool,
    ) -> PyResult<()> {
        let gradient = if gradient.is_none() { None } else { Some(Recorder::arg(slf, gradient)?) };
        slf.borrow_mut().push(Kind::Backward { loss: NodeId(loss), gradient, retain_graph });
        Ok(())
    }

    fn grad(&mut self, of: u32) -> u32 {
        self.push(Kind::Grad { of: NodeId(of) })
    }

    fn set_grad(slf: &Bound<'_, Self>, of: u32, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = Recorder::arg(slf, value)?;
        slf.borrow_mut().push(Kind::SetGrad { of: NodeId(of), value });
        Ok(())
    }

    fn requires_grad(&mut self, of: u32, value: bool) {
        self.push(Kind::RequiresGrad { of: NodeId(of), value });
    }

    fn optimizer_step(&mut self, optimizer: u32) {
        self.push(Kind::OptimizerStep { optimizer: NodeId(optimizer) });
    }

    fn zero_grad(&mut self, optimizer: u32) {
        self.push(Kind::ZeroGrad { optimizer: NodeId(optimizer) });
    }

    /// Calls a function of the user's on values, while the program runs.
    fn host(slf: &Bound<'_, Self>, function: Py<PyAny>, args: &Bound<'_, PyTuple>) -> PyResult<u32> {
        let args = Recorder::args(slf, args)?;
        let mut own = slf.borrow_mut();
        let callback = own.callbacks.len() as u32;
        own.callbacks.push(function);
        Ok(own.push(Kind::Host { callback, args }))
    }

    fn merge(&mut self, values: Vec<u32>) -> u32 {
        self.push(Kind::Merge { values: values.into_iter().map(NodeId).collect() })
    }

    /// Selects steps of a module and all inside, from here on.
    fn select(&mut self, path: String, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let steps = steps(key)?;
        self.selected.push((path, steps));
        Ok(())
    }

    /// Ends a selection.
    fn unselect(&mut self, path: &str, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let steps = steps(key)?;
        let at = self.selected.iter().rposition(|(of, selected)| of == path && *selected == steps);
        if let Some(at) = at {
            self.selected.remove(at);
        }
        Ok(())
    }

    /// Moves a module and all inside to a later call.
    fn next(&mut self, path: String, count: u64) {
        *self.moved.entry(path).or_default() += count;
    }

    /// Whether a loop is open.
    fn in_loop(&self) -> bool {
        let within = |kind: &RegionKind| matches!(kind, RegionKind::Iter { .. });
        self.builder.program().enclosing(self.builder.region(), within).is_some()
    }

    /// How many statements there are.
    fn __len__(&self) -> usize {
        self.builder.program().nodes.len()
    }

    /// Whether a value is made once, in the first step: what a scan knows of it is true of it.
    fn is_single(&self, id: u32) -> bool {
        let within = |kind: &RegionKind| matches!(kind, RegionKind::Iter { .. });
        let program = self.builder.program();
        let in_loop = program.node(NodeId(id)).and_then(|n| program.enclosing(n.region, within)).is_some();
        !in_loop && matches!(self.happens.get(id as usize), Some(None | Some(Steps::First)))
    }

    /// The program's text form.
    fn text(&self) -> String {
        self.builder.program().to_string()
    }

    /// Runs the program, and keeps what it gives. After a scan it is known of every value what can be known without
    /// computing. What was logged is returned.
    #[pyo3(signature = (scan=false))]
    fn run<'py>(slf: &Bound<'py, Self>, scan: bool) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let py = slf.py();
        let (results, logs) = run::run(slf, scan)?;
        slf.borrow_mut().results = results;
        let line = |values: &Vec<Data>| {
            PyTuple::new(py, values.iter().map(|v| v.to_python(py, false)).collect::<PyResult<Vec<_>>>()?)
        };
        logs.iter().map(line).collect()
    }

    /// What running the program would do, in words.
    fn explain(slf: &Bound<'_, Self>) -> PyResult<String> {
        run::explain(slf)
    }

    /// Whether a statement's value is known.
    fn has(&self, id: u32) -> bool {
        self.results.contains_key(&id)
    }

    /// A statement's value, once the program has run.
    fn value<'py>(slf: &Bound<'py, Self>, id: u32) -> PyResult<Bound<'py, PyAny>> {
        let value = slf.borrow().results.get(&id).cloned();
        match value {
            Some(value) => value.to_python(slf.py(), false),
            None => Err(PyTypeError::new_err("the statement has no value")),
        }
    }
}
