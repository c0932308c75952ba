//! Values of a program that is being recorded.

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::panic::Location;
use std::rc::Rc;

use pellucid_nn::Value;
use pellucid_program::{Arg, InvokeId, Kind, NodeId, Steps};
use pellucid_runtime::Callback;
use pellucid_tensor::Tensor;

use crate::index::Index;
use crate::recording::{Owner, SharedRecording, check_owner};

/// A value that a running trace will have: operations on it are recorded.
#[derive(Clone)]
pub struct Proxy {
    recording: SharedRecording,
    node: NodeId,
    invoke: Option<InvokeId>,
    steps: Steps,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.node)
    }
}

/// Something an operation takes: a proxy, a number, a text, a list of numbers.
#[derive(Clone, Debug)]
pub struct Operand(pub(crate) Arg, pub(crate) Owner);

impl Operand {
    /// What belongs to no program.
    pub(crate) fn plain(arg: Arg) -> Operand {
        Operand(arg, Owner::default())
    }

    /// The argument, to be recorded in a program; that a value of another one was given is noted.
    #[track_caller]
    pub(crate) fn given_to(self, recording: &SharedRecording) -> Arg {
        check_owner(recording, self.1);
        self.0
    }

    fn list<'a>(xs: impl Iterator<Item = &'a Proxy> + Clone) -> Operand {
        let owner = xs.clone().fold(Owner::default(), |owner, x| owner.and(x.owner()));
        Operand(Arg::List(xs.map(|x| Arg::Node(x.node)).collect()), owner)
    }
}

/// Arguments to be recorded in a program.
#[track_caller]
pub(crate) fn args_of(recording: &SharedRecording, args: impl IntoIterator<Item = Operand>) -> Vec<Arg> {
    let mut all = Vec::new();
    for arg in args {
        all.push(arg.given_to(recording));
    }
    all
}

impl From<&Proxy> for Operand {
    fn from(proxy: &Proxy) -> Operand {
        Operand(Arg::Node(proxy.node), proxy.owner())
    }
}

impl From<Proxy> for Operand {
    fn from(proxy: Proxy) -> Operand {
        Operand(Arg::Node(proxy.node), proxy.owner())
    }
}

impl From<f64> for Operand {
    fn from(x: f64) -> Operand {
        Operand::plain(Arg::Float(x))
    }
}

impl From<i64> for Operand {
    fn from(x: i64) -> Operand {
        Operand::plain(Arg::Int(x))
    }
}

impl From<i32> for Operand {
    fn from(x: i32) -> Operand {
        Operand::plain(Arg::Int(x.into()))
    }
}

impl From<bool> for Operand {
    fn from(x: bool) -> Operand {
        Operand::plain(Arg::Bool(x))
    }
}

impl From<&str> for Operand {
    fn from(x: &str) -> Operand {
        Operand::plain(Arg::Str(x.into()))
    }
}

impl From<&[i64]> for Operand {
    fn from(xs: &[i64]) -> Operand {
        Operand::plain(Arg::Tuple(xs.iter().map(|&x| Arg::Int(x)).collect()))
    }
}

impl<const N: usize> From<[i64; N]> for Operand {
    fn from(xs: [i64; N]) -> Operand {
        Operand::from(xs.as_slice())
    }
}

impl From<&[&Proxy]> for Operand {
    fn from(xs: &[&Proxy]) -> Operand {
        Operand::list(xs.iter().copied())
    }
}

impl From<&[Proxy]> for Operand {
    fn from(xs: &[Proxy]) -> Operand {
        Operand::list(xs.iter())
    }
}

impl Proxy {
    pub(crate) fn new(
        recording: SharedRecording,
        node: NodeId,
        invoke: Option<InvokeId>,
        steps: Steps,
    ) -> Proxy {
        Proxy { recording, node, invoke, steps }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// The invoke and steps that what is made of the value here belongs to: none outside its trace.
    pub(crate) fn selection(&self) -> (Option<InvokeId>, Steps) {
        match self.invoke {
            Some(invoke) if !self.recording.borrow().is_inside(invoke) => (None, Steps::First),
            invoke => (invoke, self.steps.clone()),
        }
    }

    /// The program that the value belongs to.
    pub(crate) fn owner(&self) -> Owner {
        Owner::of(&self.recording)
    }

    /// Records a statement that belongs to no invoke.
    #[track_caller]
    pub(crate) fn statement(&self, kind: Kind) {
        self.recording.borrow_mut().record(None, Steps::First, kind, Location::caller());
    }

    pub(crate) fn belongs_to(&self, recording: &SharedRecording) -> bool {
        Rc::ptr_eq(&self.recording, recording)
    }

    #[track_caller]
    fn record(&self, kind: Kind) -> Proxy {
        let (invoke, steps) = self.selection();
        let node = self.recording.borrow_mut().record(invoke, steps.clone(), kind, Location::caller());
        Proxy { recording: self.recording.clone(), node, invoke, steps }
    }

    /// Records an operation by its canonical name, with this value as its first argument.
    #[track_caller]
    pub fn op(&self, name: &str, args: impl IntoIterator<Item = Operand>) -> Proxy {
        let args = args_of(&self.recording, std::iter::once(Operand::from(self)).chain(args));
        self.record(Kind::Op { name: name.into(), args, kwargs: Vec::new() })
    }

    /// As [`Proxy::op`], with named arguments.
    #[track_caller]
    pub fn op_with(
        &self,
        name: &str,
        args: impl IntoIterator<Item = Operand>,
        named: &[(&str, Operand)],
    ) -> Proxy {
        let args = args_of(&self.recording, std::iter::once(Operand::from(self)).chain(args));
        let mut kwargs = Vec::new();
        for (name, arg) in named {
            kwargs.push(((*name).to_owned(), arg.clone().given_to(&self.recording)));
        }
        self.record(Kind::Op { name: name.into(), args, kwargs })
    }

    /// An item of a tuple or list.
    #[must_use]
    #[track_caller]
    pub fn item(&self, at: i64) -> Proxy {
        self.op("getitem", [Operand::from(at)])
    }

    /// A field of an output object, such as `logits`.
    #[must_use]
    #[track_caller]
    pub fn field(&self, name: &str) -> Proxy {
        self.op("getattr", [Operand::from(name)])
    }

    /// `x[index]`; views share the storage, so that writes to them reach the model.
    #[must_use]
    #[track_caller]
    pub fn at(&self, index: impl Into<Index>) -> Proxy {
        self.op("getitem", [index.into().into_operand()])
    }

    /// `x[index] = value`, in place.
    #[track_caller]
    pub fn set(&self, index: impl Into<Index>, value: impl Into<Operand>) {
        self.op("setitem", [index.into().into_operand(), value.into()]);
    }

    /// `x[:] = value`, in place.
    #[track_caller]
    pub fn assign(&self, value: impl Into<Operand>) {
        self.set(Index::ellipsis(), value);
    }

    /// Appends a value to this list.
    #[track_caller]
    pub fn append(&self, value: &Proxy) {
        check_owner(&value.recording, self.owner());
        check_owner(&self.recording, value.owner());
        let kind = Kind::Op {
            name: "append".into(),
            args: vec![Arg::Node(self.node), Arg::Node(value.node)],
            kwargs: Vec::new(),
        };
        value.record(kind);
    }

    /// Appends a number or text to this list.
    #[track_caller]
    pub fn append_value(&self, value: impl Into<Operand>) {
        self.op("append", [value.into()]);
    }

    /// Keeps the value beyond the trace.
    #[must_use]
    #[track_caller]
    pub fn save(&self) -> Proxy {
        self.record(Kind::Save { value: self.node, name: None });
        self.clone()
    }

    /// Hands the value to the log when it comes to hand.
    #[track_caller]
    pub fn log(&self) {
        self.record(Kind::Log { args: vec![Arg::Node(self.node)] });
    }

    /// Applies a function of the caller's to the tensor once it is computed; what it returns, if anything, is the value. It
    /// runs exactly once each time the statement is reached, and never leaves the process.
    #[track_caller]
    pub fn apply(&self, function: impl Fn(&Tensor) -> Result<Option<Tensor>, String> + 'static) -> Proxy {
        let callback: Callback = Rc::new(move |values| match values {
            [Value::Tensor(var)] => {
                let given = function(&var.get().map_err(|e| e.to_string())?)?;
                Ok(given.map_or(Value::None, Value::tensor))
            }
            other => {
                Err(format!("expected a tensor, got {}", other.first().map_or("nothing".into(), Value::kind)))
            }
        });
        let mut recording = self.recording.borrow_mut();
        let number = recording.callbacks.len() as u32;
        recording.callbacks.push(callback);
        drop(recording);
        self.record(Kind::Host { callback: number, args: vec![Arg::Node(self.node)] })
    }

    /// The gradient of the next backward at this value.
    #[must_use]
    #[track_caller]
    pub fn grad(&self) -> Proxy {
        self.record(Kind::Grad { of: self.node })
    }

    /// Replaces the gradient of the next backward at this value; what is written flows on upstream.
    #[track_caller]
    pub fn set_grad(&self, value: impl Into<Operand>) {
        let value = value.into().given_to(&self.recording);
        self.record(Kind::SetGrad { of: self.node, value });
    }

    /// Takes gradients of this value, which has one element.
    #[track_caller]
    pub fn backward(&self) {
        self.record(Kind::Backward { loss: self.node, gradient: None, retain_graph: true });
    }

    /// Softmax along a dimension.
    #[must_use]
    #[track_caller]
    pub fn softmax(&self, dim: i64) -> Proxy {
        self.op("softmax", [dim.into()])
    }

    /// Sum of all elements.
    #[must_use]
    #[track_caller]
    pub fn sum(&self) -> Proxy {
        self.op("sum", [])
    }

    /// Position of the largest element along a dimension.
    #[must_use]
    #[track_caller]
    pub fn argmax(&self, dim: i64) -> Proxy {
        self.op("argmax", [dim.into()])
    }

    /// A copy with its own storage, which later in-place writes do not reach.
    #[must_use]
    #[track_caller]
    pub fn cloned(&self) -> Proxy {
        self.op("clone", [])
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $name:literal) => {
        impl<T: Into<Operand>> $trait<T> for &Proxy {
            type Output = Proxy;
            #[track_caller]
            fn $method(self, other: T) -> Proxy {
                self.op($name, [other.into()])
            }
        }
        impl<T: Into<Operand>> $trait<T> for Proxy {
            type Output = Proxy;
            #[track_caller]
            fn $method(self, other: T) -> Proxy {
                self.op($name, [other.into()])
            }
        }
    };
}
operator!(Add, add, "add");
operator!(Sub, sub, "sub");
operator!(Mul, mul, "mul");
operator!(Div, div, "div");

impl Neg for &Proxy {
    type Output = Proxy;
    #[track_caller]
    fn neg(self) -> Proxy {
        self.op("neg", [])
    }
}
