//! Running recorded programs without holding the interpreter, and ending them when the user interrupts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pellucid::program::{NodeId, Program};
use pellucid::run::{Callback, Loaded, RunOptions, Runner};
use pellucid::{Engine, Error, Model, SharedModel, Value};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::data::{Data, Reader};
use crate::error::Failure;
use crate::recorder::Recorder;

/// What a run gave: values by statement, and what was logged.
type Given = (HashMap<u32, Data>, Vec<Vec<Data>>);

/// A program with what it needs, in terms that any thread may hold.
struct Job {
    program: Program,
    models: Vec<SharedModel>,
    callbacks: Vec<Py<PyAny>>,
}

impl Job {
    fn of(recorder: &Bound<'_, Recorder>) -> Job {
        let py = recorder.py();
        let own = recorder.borrow();
        Job {
            program: own.builder.program().clone(),
            models: own.models.clone(),
            callbacks: own.callbacks.iter().map(|f| f.clone_ref(py)).collect(),
        }
    }

    /// Flags that end its computations.
    fn interrupts(&self) -> Vec<Arc<AtomicBool>> {
        self.models.iter().map(|shared| shared.model().engine().interrupt_flag()).collect()
    }

    /// Lends the program and a runner for it.
    fn with<T>(self, go: impl FnOnce(&Runner<'_>, &Program) -> Result<T, Failure>) -> Result<T, Failure> {
        let models: Vec<Model> = self.models.iter().map(SharedModel::model).collect();
        let loaded: Vec<Loaded<'_>> = models.iter().map(Model::loaded).collect();
        let raised: Rc<RefCell<Option<PyErr>>> = Rc::default();
        let engine = models.first().map(|m| m.engine().clone()).unwrap_or_default();
        let callback = |function: Py<PyAny>| -> Callback {
            let (raised, engine) = (raised.clone(), engine.clone());
            Rc::new(move |values| {
                Python::attach(|py| {
                    apply(py, &function, values, &engine).map_err(|e| {
                        let reason = e.to_string();
                        *raised.borrow_mut() = Some(e);
                        reason
                    })
                })
            })
        };
        let callbacks: Vec<Callback> = self.callbacks.into_iter().map(callback).collect();
        let given = go(&Runner { models: &loaded, callbacks: &callbacks }, &self.program);
        given.map_err(|failure| failure.because(raised.borrow_mut().take()))
    }
}

/// Calls a function of the user's with computed values.
fn apply(py: Python<'_>, function: &Py<PyAny>, values: &[Value], engine: &Engine) -> PyResult<Value> {
    let args =
        values.iter().map(|value| Data::of(value, false).map_err(crate::error::failed)?.to_python(py, false));
    let args = PyTuple::new(py, args.collect::<PyResult<Vec<_>>>()?)?;
    let given = function.bind(py).call1(args)?;
    Reader::default().read(&given)?.to_value(engine, &mut Vec::new())
}

type Task = Box<dyn FnOnce() + Send>;

/// The thread that computes while the interpreter's main thread listens for signals. A forked process makes its own.
fn hand_over(task: Task) {
    static WORKER: Mutex<Option<(u32, Sender<Task>)>> = Mutex::new(None);
    let mut worker = WORKER.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    let task = match &*worker {
        Some((of, tasks)) if *of == process => match tasks.send(task) {
            Ok(()) => return,
            Err(refused) => refused.0,
        },
        _ => task,
    };
    let (tasks, received) = channel::<Task>();
    // Passes are polled by hand and dropped without recursion, but people's functions may go deep.
    let thread = std::thread::Builder::new().name("pellucid".into()).stack_size(64 << 20);
    let started = thread.spawn(move || received.into_iter().for_each(|task| task()));
    match (started, tasks.send(task)) {
        (Ok(_), Ok(())) => *worker = Some((process, tasks)),
        // Without a thread there is no listening meanwhile. The channel handed the task back.
        (_, Err(refused)) => (refused.0)(),
        (Err(_), Ok(())) => {}
    }
}

/// Runs a job without holding the interpreter. On the main thread, which receives the user's interrupts, another thread
/// computes meanwhile, and an interrupt ends the computation.
fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    flags: Vec<Arc<AtomicBool>>,
    job: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    if !threading.call_method0("get_ident")?.eq(main)? {
        return Ok(py.detach(job));
    }
    let (given, receiver) = channel();
    let task: Task = Box::new(move || {
        let _ = given.send(catch_unwind(AssertUnwindSafe(job)));
    });
    py.detach(move || {
        hand_over(task);
        let set = |value| flags.iter().for_each(|flag| flag.store(value, Ordering::Relaxed));
        let mut interrupt = None;
        let given = loop {
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(given) => break Some(given),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(raised) = Python::attach(|py| py.check_signals()) {
                        set(true);
                        interrupt = Some(raised);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        if let Some(raised) = interrupt {
            set(false);
            return Err(raised);
        }
        match given {
            Some(Ok(given)) => Ok(given),
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(pyo3::exceptions::PyRuntimeError::new_err("the computing thread ended")),
        }
    })
}

/// Runs a program.
pub(crate) fn run(recorder: &Bound<'_, Recorder>, scan: bool) -> PyResult<Given> {
    let job = Job::of(recorder);
    let given = interruptible(recorder.py(), job.interrupts(), move || {
        job.with(|runner, program| {
            let outcome = runner.run(program, RunOptions { scan, ..RunOptions::default() })?;
            let mut results = HashMap::new();
            for at in 0..program.nodes.len() {
                let id = NodeId::from_index(at);
                if let Ok(value) = outcome.value(id) {
                    results.insert(id.0, Data::of(value, scan)?);
                }
            }
            let line =
                |values: &Vec<Value>| values.iter().map(|v| Data::of(v, scan)).collect::<Result<_, _>>();
            let logs = outcome.logs.iter().map(|l| line(&l.values)).collect::<Result<_, Error>>()?;
            Ok((results, logs))
        })
    })?;
    given.map_err(|failure| failure.raise(recorder.py()))
}

/// What running a program would do, in words.
pub(crate) fn explain(recorder: &Bound<'_, Recorder>) -> PyResult<String> {
    let job = Job::of(recorder);
    let given = recorder.py().detach(move || {
        job.with(|runner, program| Ok(runner.explain(program).map_err(Failure::from)?.to_string()))
    });
    given.map_err(|failure| failure.raise(recorder.py()))
}
