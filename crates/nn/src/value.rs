//! What modules take and return: tensors, and tuples, dictionaries and records of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pellucid_tensor::{DType, Tensor};
use smallvec::SmallVec;

use crate::error::{NnError, Result};
use crate::var::Var;

/// A value of a forward pass or of a program. Lists, dictionaries and records are shared and can change in place.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating number.
    Float(f64),
    /// A complex number: real part, imaginary part.
    Complex(f64, f64),
    /// Text.
    Str(Rc<str>),
    /// Bytes.
    Bytes(Rc<[u8]>),
    /// A tensor.
    Tensor(Var),
    /// A fixed sequence.
    Tuple(Rc<[Value]>),
    /// A growing sequence.
    List(Rc<RefCell<Vec<Value>>>),
    /// Pairs in the order they were put in.
    Dict(Rc<RefCell<Vec<(Value, Value)>>>),
    /// Values that differ from each other, in the order they were put in.
    Set(Rc<RefCell<Vec<Value>>>),
    /// Named fields, as Hugging Face's output objects.
    Record(Rc<Record>),
    /// Keys and values of earlier tokens.
    Cache(Rc<KvCache>),
    /// `start:stop:step`, as an index.
    Slice(Rc<[Value; 3]>),
    /// `...`, as an index.
    Ellipsis,
    /// An element type, as an argument.
    DType(DType),
}

/// An output object: a type name and fields that can be replaced.
#[derive(Debug)]
pub struct Record {
    /// The name of the reference implementation's class.
    pub type_name: &'static str,
    /// Names and values, in order.
    pub fields: RefCell<Vec<(Rc<str>, Value)>>,
}

impl Record {
    /// A record value.
    #[must_use]
    pub fn value<'n>(type_name: &'static str, fields: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
        let fields = fields.into_iter().map(|(name, value)| (Rc::from(name), value)).collect();
        Value::Record(Rc::new(Record { type_name, fields: RefCell::new(fields) }))
    }

    /// The field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        self.fields.borrow().iter().find(|(n, _)| &**n == name).map(|(_, v)| v.clone())
    }

    /// Replaces a field; false if there is none of that name.
    pub fn set(&self, name: &str, value: Value) -> bool {
        let mut fields = self.fields.borrow_mut();
        match fields.iter_mut().find(|(n, _)| &**n == name) {
            Some(field) => field.1 = value,
            None => return false,
        }
        true
    }
}

/// Keys and values of the tokens seen so far, for each layer `[batch, n_kv_heads, seq, d_head]`.
#[derive(Debug, Default)]
pub struct KvCache {
    past: Cell<usize>,
    layers: RefCell<Vec<Option<(Tensor, Tensor)>>>,
    /// Layers in the order in which the present forward pass wrote them.
    written: RefCell<Vec<usize>>,
}

impl KvCache {
    /// The number of tokens held.
    #[must_use]
    pub fn seq_len(&self) -> usize {
        self.layers.borrow().iter().flatten().next().map_or(0, |(k, _)| k.dims()[2])
    }

    /// Marks the start of a forward pass: what is held now is the past.
    pub fn begin_pass(&self) {
        self.past.set(self.seq_len());
        self.written.borrow_mut().clear();
    }

    /// How often the present forward pass has written a layer.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.written.borrow().len()
    }

    /// Keys and values of the layers written since there were `before` writes.
    #[must_use]
    pub fn written_since(&self, before: usize) -> Vec<(usize, Tensor, Tensor)> {
        let written = self.written.borrow();
        let later = written.get(before..).unwrap_or_default();
        later.iter().filter_map(|&layer| self.layer(layer).map(|(k, v)| (layer, k, v))).collect()
    }

    /// Tokens held when the present forward pass started.
    #[must_use]
    pub fn past_len(&self) -> usize {
        self.past.get()
    }

    /// Keys and values of a layer.
    #[must_use]
    pub fn layer(&self, layer: usize) -> Option<(Tensor, Tensor)> {
        self.layers.borrow().get(layer).cloned().flatten()
    }

    /// Replaces keys and values of a layer.
    pub fn set_layer(&self, layer: usize, keys: Tensor, values: Tensor) {
        let mut layers = self.layers.borrow_mut();
        if layers.len() <= layer {
            layers.resize(layer + 1, None);
        }
        layers[layer] = Some((keys, values));
        self.written.borrow_mut().push(layer);
    }

    /// Adds the keys and values of new tokens behind those held, and returns all.
    ///
    /// # Errors
    /// [`pellucid_tensor::TensorError::Shape`] if they do not fit those held.
    pub fn append(
        &self,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> pellucid_tensor::Result<(Tensor, Tensor)> {
        let all = match self.layer(layer) {
            Some((k, v)) => (Tensor::cat(&[k, keys.clone()], 2)?, Tensor::cat(&[v, values.clone()], 2)?),
            None => (keys.clone(), values.clone()),
        };
        self.set_layer(layer, all.0.clone(), all.1.clone());
        Ok(all)
    }

    /// All tensors held, for computing them together.
    #[must_use]
    pub fn tensors(&self) -> Vec<Tensor> {
        self.layers.borrow().iter().flatten().flat_map(|(k, v)| [k.clone(), v.clone()]).collect()
    }

    /// Replaces every tensor by its computed value, so that the graph that made it can go.
    ///
    /// # Errors
    /// As [`Tensor::eval`].
    pub fn detach(&self) -> pellucid_tensor::Result<()> {
        for (k, v) in self.layers.borrow_mut().iter_mut().flatten() {
            (*k, *v) = (k.detach()?, v.detach()?);
        }
        Ok(())
    }
}

impl Value {
    /// A new storage holding a tensor.
    #[must_use]
    pub fn tensor(tensor: Tensor) -> Value {
        Value::Tensor(Var::new(tensor))
    }

    /// A tuple.
    #[must_use]
    pub fn tuple(items: impl IntoIterator<Item = Value>) -> Value {
        Value::Tuple(items.into_iter().collect())
    }

    /// A list.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(Rc::new(RefCell::new(items.into_iter().collect())))
    }

    /// A text.
    #[must_use]
    pub fn text(text: impl AsRef<str>) -> Value {
        Value::Str(text.as_ref().into())
    }

    /// A dictionary; keys differ from each other.
    #[must_use]
    pub fn dict(pairs: impl IntoIterator<Item = (Value, Value)>) -> Value {
        Value::Dict(Rc::new(RefCell::new(pairs.into_iter().collect())))
    }

    /// What kind of value this is, in the users' words.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Value::None => "None".into(),
            Value::Bool(_) => "bool".into(),
            Value::Int(_) => "int".into(),
            Value::Float(_) => "float".into(),
            Value::Complex(..) => "complex".into(),
            Value::Str(_) => "str".into(),
            Value::Bytes(bytes) => format!("bytes of {}", bytes.len()),
            Value::Tensor(var) => match var.get() {
                Ok(t) => format!("{} tensor of shape {:?}", t.dtype(), t.dims()),
                Err(e) => e.to_string(),
            },
            Value::Tuple(items) => format!("tuple of {}", items.len()),
            Value::List(items) => format!("list of {}", items.borrow().len()),
            Value::Dict(items) => format!("dict of {}", items.borrow().len()),
            Value::Set(items) => format!("set of {}", items.borrow().len()),
            Value::Record(record) => record.type_name.into(),
            Value::Cache(_) => "DynamicCache".into(),
            Value::Slice(_) => "slice".into(),
            Value::Ellipsis => "ellipsis".into(),
            Value::DType(dtype) => format!("dtype {dtype}"),
        }
    }

    /// The tensor in it, if it is one.
    #[must_use]
    pub fn as_var(&self) -> Option<&Var> {
        match self {
            Value::Tensor(var) => Some(var),
            _ => None,
        }
    }

    /// Calls `visit` for every tensor in the value, in order, through tuples, lists, dictionaries and records.
    pub fn for_each_var(&self, visit: &mut dyn FnMut(&Var)) {
        match self {
            Value::Tensor(var) => visit(var),
            Value::Tuple(items) => items.iter().for_each(|v| v.for_each_var(visit)),
            Value::List(items) | Value::Set(items) => {
                items.borrow().iter().for_each(|v| v.for_each_var(visit));
            }
            Value::Dict(items) => items.borrow().iter().for_each(|(k, v)| {
                k.for_each_var(visit);
                v.for_each_var(visit);
            }),
            Value::Record(record) => record.fields.borrow().iter().for_each(|(_, v)| v.for_each_var(visit)),
            _ => {}
        }
    }
}

/// The arguments of a call: positional ones, and named ones in order.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// Positional arguments.
    pub positional: SmallVec<[Value; 1]>,
    /// Named arguments.
    pub named: Vec<(&'static str, Value)>,
}

impl Args {
    /// One positional tensor.
    #[must_use]
    pub fn one(var: &Var) -> Args {
        Args { positional: SmallVec::from_iter([Value::Tensor(var.clone())]), named: Vec::new() }
    }

    /// With a positional argument added.
    #[must_use]
    pub fn and(mut self, value: Value) -> Args {
        self.positional.push(value);
        self
    }

    /// With a named argument added.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Args {
        self.named.push((name, value));
        self
    }

    /// With named arguments added.
    #[must_use]
    pub fn with_all<const N: usize>(mut self, named: [(&'static str, Value); N]) -> Args {
        self.named.extend(named);
        self
    }

    /// Gives a named argument another value, or adds it.
    pub fn set(&mut self, name: &'static str, value: Value) {
        match self.named.iter_mut().find(|(n, _)| *n == name) {
            Some(slot) => slot.1 = value,
            None => self.named.push((name, value)),
        }
    }

    /// The argument at a position or of a name; `None` if absent.
    #[must_use]
    pub fn get(&self, position: usize, name: &str) -> Value {
        let named = || self.named.iter().find(|(n, _)| *n == name).map(|(_, v)| v);
        self.positional.get(position).or_else(named).cloned().unwrap_or_default()
    }

    /// The tensor at a position or of a name.
    ///
    /// # Errors
    /// [`NnError::Argument`] if there is none.
    pub fn var(&self, position: usize, name: &'static str) -> Result<Var> {
        match self.get(position, name) {
            Value::Tensor(var) => Ok(var),
            other => Err(NnError::Argument {
                module: String::new(),
                argument: name,
                expected: "a tensor",
                got: other.kind(),
            }),
        }
    }

    /// The tensor at a position or of a name, if given.
    ///
    /// # Errors
    /// [`NnError::Argument`] if something else than a tensor or `None` was given.
    pub fn optional_var(&self, position: usize, name: &'static str) -> Result<Option<Var>> {
        match self.get(position, name) {
            Value::None => Ok(None),
            _ => self.var(position, name).map(Some),
        }
    }

    /// The cache of a name, if given.
    #[must_use]
    pub fn cache(&self, name: &str) -> Option<Rc<KvCache>> {
        match self.get(usize::MAX, name) {
            Value::Cache(cache) => Some(cache),
            _ => None,
        }
    }
}
