//! Values on their way between Python and the engine: plain data that any thread may hold.

use std::sync::LazyLock;

use pellucid::nn::Record;
use pellucid::program::{Arg, Builder, Constant, Dtype, NodeId};
use pellucid::{DType, Engine, Tensor, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyComplex, PyDict, PyEllipsis, PyFloat, PyInt, PyList, PySet, PySlice, PyString, PyTuple,
};

use crate::error::failed;
use crate::hooks;
use crate::recorder::{Node, Recorder};
use crate::tensor::{PyDType, PyTensor};

/// Owner of all tensors that Python holds.
pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::new);

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Complex(f64, f64),
    Str(String),
    Bytes(Vec<u8>),
    /// Computed, and owned by [`ENGINE`].
    Tensor(Tensor),
    /// A tensor of which the shape is known and no more.
    Shape(Vec<usize>, DType),
    Tuple(Vec<Data>),
    List(Vec<Data>),
    Dict(Vec<(Data, Data)>),
    Set(Vec<Data>),
    Record(&'static str, Vec<(String, Data)>),
    Slice(Box<[Data; 3]>),
    Ellipsis,
    DType(DType),
    Device(String),
    /// A value of the program that is being recorded.
    Node(NodeId),
}

/// Reads Python's values.
#[derive(Default)]
pub(crate) struct Reader<'a, 'py> {
    /// The program being recorded: its own values stay references.
    pub(crate) recorder: Option<&'a Bound<'py, Recorder>>,
    /// The tensors met, in order; none where it was somebody else's and has been copied.
    pub(crate) tensors: Vec<Option<Bound<'py, PyTensor>>>,
}

impl<'py> Reader<'_, 'py> {
    /// A value of Python's as plain data.
    pub(crate) fn read(&mut self, value: &Bound<'py, PyAny>) -> PyResult<Data> {
        self.read_at(value, 0)
    }

    fn read_at(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<Data> {
        if depth > Arg::MAX_DEPTH {
            return Err(PyTypeError::new_err(format!(
                "arguments are nested more than {} deep",
                Arg::MAX_DEPTH
            )));
        }
        if let Ok(node) = value.cast::<Node>() {
            return self.node(node, depth);
        }
        if value.is_none() {
            return Ok(Data::None);
        }
        if let Ok(flag) = value.cast::<PyBool>() {
            return Ok(Data::Bool(flag.is_true()));
        }
        if value.is_instance_of::<PyInt>() {
            return Ok(Data::Int(value.extract()?));
        }
        if value.is_instance_of::<PyFloat>() {
            return Ok(Data::Float(value.extract()?));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Data::Str(text.to_cow()?.into_owned()));
        }
        if let Ok(tensor) = value.cast::<PyTensor>() {
            self.tensors.push(Some(tensor.clone()));
            return Ok(Data::Tensor(tensor.get().tensor()));
        }
        if let Ok(items) = value.cast::<PyTuple>() {
            let items = items.iter().map(|item| self.read_at(&item, depth + 1));
            return Ok(Data::Tuple(items.collect::<PyResult<_>>()?));
        }
        if let Ok(items) = value.cast::<PyList>() {
            let items = items.iter().map(|item| self.read_at(&item, depth + 1));
            return Ok(Data::List(items.collect::<PyResult<_>>()?));
        }
        if let Ok(slice) = value.cast::<PySlice>() {
            let mut part = |name: &str| self.read_at(&slice.getattr(name)?, depth + 1);
            return Ok(Data::Slice(Box::new([part("start")?, part("stop")?, part("step")?])));
        }
        if value.is_instance_of::<PyEllipsis>() {
            return Ok(Data::Ellipsis);
        }
        if let Ok(dtype) = value.cast::<PyDType>() {
            return Ok(Data::DType(dtype.get().0));
        }
        if let Ok(pairs) = value.cast::<PyDict>() {
            let pairs = pairs
                .iter()
                .map(|(key, item)| Ok((self.read_at(&key, depth + 1)?, self.read_at(&item, depth + 1)?)));
            return Ok(Data::Dict(pairs.collect::<PyResult<_>>()?));
        }
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Ok(Data::Bytes(bytes.as_bytes().to_vec()));
        }
        if let Ok(items) = value.cast::<PySet>() {
            let items = items.iter().map(|item| self.read_at(&item, depth + 1));
            return Ok(Data::Set(items.collect::<PyResult<_>>()?));
        }
        if let Ok(number) = value.cast::<PyComplex>() {
            let part = |name: &str| number.getattr(name)?.extract::<f64>();
            return Ok(Data::Complex(part("real")?, part("imag")?));
        }
        // What other libraries made: an array, a number or an element type of theirs.
        let known = hooks::call(value.py(), "foreign", (value,))?;
        if let Ok(tensor) = known.cast::<PyTensor>() {
            self.tensors.push(None);
            return Ok(Data::Tensor(tensor.get().tensor()));
        }
        if let Ok((word, text)) = known.extract::<(String, String)>()
            && word == "device"
        {
            return Ok(Data::Device(text));
        }
        self.read_at(&known, depth + 1)
    }

    fn node(&mut self, node: &Bound<'py, Node>, depth: usize) -> PyResult<Data> {
        let own = self.recorder.is_some_and(|own| node.borrow().recorder.is(own));
        if own {
            let id = node.borrow().id;
            let id = match id {
                Some(id) => id,
                None => node.call_method0("_record")?.extract()?,
            };
            return Ok(Data::Node(NodeId(id)));
        }
        // A value of a trace that has ended.
        let value = node.getattr("value")?;
        self.read_at(&value, depth + 1)
    }
}

/// A tensor that owns its memory's whole extent in row-major order, and that [`ENGINE`] owns.
pub(crate) fn settled(tensor: &Tensor) -> Result<Tensor, pellucid::Error> {
    if *tensor.engine() == *ENGINE && tensor.is_evaluated() && tensor.inputs().is_empty() {
        return Ok(tensor.clone());
    }
    Ok(ENGINE.from_value(tensor.eval()?.contiguous(), None))
}

impl Data {
    /// The same in the engine's terms; tensors are owned by `engine`. Tensors are noted in order.
    pub(crate) fn to_value(&self, engine: &Engine, tensors: &mut Vec<Value>) -> PyResult<Value> {
        let mut all = |items: &[Data]| {
            items.iter().map(|item| item.to_value(engine, tensors)).collect::<PyResult<Vec<_>>>()
        };
        Ok(match self {
            Data::None => Value::None,
            Data::Bool(flag) => Value::Bool(*flag),
            Data::Int(number) => Value::Int(*number),
            Data::Float(number) => Value::Float(*number),
            Data::Complex(re, im) => Value::Complex(*re, *im),
            Data::Str(text) => Value::text(text),
            Data::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
            Data::Tensor(tensor) => {
                let own = if tensor.engine() == engine {
                    tensor.clone()
                } else {
                    engine.from_value(tensor.eval().map_err(failed)?, None)
                };
                let value = Value::tensor(own);
                tensors.push(value.clone());
                value
            }
            Data::Tuple(items) => Value::tuple(all(items)?),
            Data::List(items) => Value::list(all(items)?),
            Data::Set(items) => Value::Set(std::rc::Rc::new(all(items)?.into())),
            Data::Dict(pairs) => {
                let pair = |(key, item): &(Data, Data)| {
                    Ok((key.to_value(engine, tensors)?, item.to_value(engine, tensors)?))
                };
                Value::dict(pairs.iter().map(pair).collect::<PyResult<Vec<_>>>()?)
            }
            Data::Record(type_name, fields) => {
                let field = |(name, item): &(String, Data)| {
                    Ok((name.as_str().into(), item.to_value(engine, tensors)?))
                };
                let fields = fields.iter().map(field).collect::<PyResult<Vec<_>>>()?;
                Value::Record(std::rc::Rc::new(Record { type_name, fields: fields.into() }))
            }
            Data::Slice(parts) => {
                let [start, stop, step] = [
                    parts[0].to_value(engine, tensors)?,
                    parts[1].to_value(engine, tensors)?,
                    parts[2].to_value(engine, tensors)?,
                ];
                Value::Slice([start, stop, step].into())
            }
            Data::Ellipsis => Value::Ellipsis,
            Data::DType(dtype) => Value::DType(*dtype),
            Data::Device(name) => Value::text(name),
            Data::Shape(..) => return Err(PyTypeError::new_err("a value that a scan has not computed")),
            Data::Node(_) => return Err(PyTypeError::new_err("a value of a program outside of it")),
        })
    }

    /// The same as an argument of a program.
    pub(crate) fn to_arg(&self, builder: &mut Builder) -> PyResult<Arg> {
        let mut all =
            |items: &[Data]| items.iter().map(|item| item.to_arg(builder)).collect::<PyResult<Vec<_>>>();
        Ok(match self {
            Data::None => Arg::None,
            Data::Bool(flag) => Arg::Bool(*flag),
            Data::Int(number) => Arg::Int(*number),
            Data::Float(number) => Arg::Float(*number),
            Data::Str(text) => Arg::Str(text.clone()),
            Data::Tensor(tensor) => {
                let bytes = tensor.eval().map_err(failed)?.contiguous().bytes().into();
                let constant =
                    Constant { dtype: dtype(tensor.dtype()), shape: tensor.dims().to_vec(), bytes };
                Arg::Constant(builder.constant(constant))
            }
            Data::Tuple(items) => Arg::Tuple(all(items)?),
            Data::List(items) => Arg::List(all(items)?),
            Data::Dict(pairs) => {
                let pair = |(key, item): &(Data, Data)| Ok((key.to_arg(builder)?, item.to_arg(builder)?));
                Arg::Dict(pairs.iter().map(pair).collect::<PyResult<_>>()?)
            }
            Data::Record(_, fields) => {
                let pair =
                    |(name, item): &(String, Data)| Ok((Arg::Str(name.clone()), item.to_arg(builder)?));
                Arg::Dict(fields.iter().map(pair).collect::<PyResult<_>>()?)
            }
            Data::Slice(parts) => Arg::Slice {
                start: Box::new(parts[0].to_arg(builder)?),
                stop: Box::new(parts[1].to_arg(builder)?),
                step: Box::new(parts[2].to_arg(builder)?),
            },
            Data::Ellipsis => Arg::Ellipsis,
            Data::DType(d) => Arg::Dtype(dtype(*d)),
            Data::Device(name) => Arg::Device(name.clone()),
            Data::Node(node) => Arg::Node(*node),
            Data::Complex(..) => return Err(no_argument("a complex number")),
            Data::Bytes(_) => return Err(no_argument("bytes")),
            Data::Set(_) => return Err(no_argument("a set")),
            Data::Shape(..) => return Err(no_argument("a value that a scan has not computed")),
        })
    }

    /// A value of the engine as plain data: tensors computed, or their shapes alone after a scan.
    pub(crate) fn of(value: &Value, scanned: bool) -> Result<Data, pellucid::Error> {
        let all =
            |items: &[Value]| items.iter().map(|item| Data::of(item, scanned)).collect::<Result<Vec<_>, _>>();
        Ok(match value {
            Value::None => Data::None,
            Value::Bool(flag) => Data::Bool(*flag),
            Value::Int(number) => Data::Int(*number),
            Value::Float(number) => Data::Float(*number),
            Value::Complex(re, im) => Data::Complex(*re, *im),
            Value::Str(text) => Data::Str(text.to_string()),
            Value::Bytes(bytes) => Data::Bytes(bytes.to_vec()),
            Value::Tensor(var) => {
                let tensor = var.get()?;
                if scanned {
                    Data::Shape(tensor.dims().to_vec(), tensor.dtype())
                } else {
                    Data::Tensor(settled(&tensor)?)
                }
            }
            Value::Tuple(items) => Data::Tuple(all(items)?),
            Value::List(items) => Data::List(all(&items.borrow())?),
            Value::Set(items) => Data::Set(all(&items.borrow())?),
            Value::Dict(pairs) => {
                let pair = |(key, item): &(Value, Value)| {
                    Ok::<_, pellucid::Error>((Data::of(key, scanned)?, Data::of(item, scanned)?))
                };
                Data::Dict(pairs.borrow().iter().map(pair).collect::<Result<_, _>>()?)
            }
            Value::Record(record) => {
                let fields = record.fields.borrow();
                let field = |(name, item): &(std::rc::Rc<str>, Value)| {
                    Ok::<_, pellucid::Error>((name.to_string(), Data::of(item, scanned)?))
                };
                Data::Record(record.type_name, fields.iter().map(field).collect::<Result<_, _>>()?)
            }
            Value::Cache(cache) => {
                let mut layers = Vec::new();
                while let Some((keys, values)) = cache.layer(layers.len()) {
                    let pair = [Value::tensor(keys), Value::tensor(values)];
                    layers.push(Data::Tuple(all(&pair)?));
                }
                Data::Tuple(layers)
            }
            Value::Slice(parts) => Data::Slice(Box::new([
                Data::of(&parts[0], scanned)?,
                Data::of(&parts[1], scanned)?,
                Data::of(&parts[2], scanned)?,
            ])),
            Value::Ellipsis => Data::Ellipsis,
            Value::DType(dtype) => Data::DType(*dtype),
        })
    }

    /// The same as a value of Python's: tensors are `ours`, or those of PyTorch where it is installed.
    pub(crate) fn to_python<'py>(&self, py: Python<'py>, ours: bool) -> PyResult<Bound<'py, PyAny>> {
        let all =
            |items: &[Data]| items.iter().map(|item| item.to_python(py, ours)).collect::<PyResult<Vec<_>>>();
        Ok(match self {
            Data::None => py.None().into_bound(py),
            Data::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
            Data::Int(number) => number.into_pyobject(py)?.into_any(),
            Data::Float(number) => number.into_pyobject(py)?.into_any(),
            Data::Complex(re, im) => PyComplex::from_doubles(py, *re, *im).into_any(),
            Data::Str(text) | Data::Device(text) => text.into_pyobject(py)?.into_any(),
            Data::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
            Data::Tensor(tensor) => {
                let own = Bound::new(py, PyTensor::new(tensor.clone()))?;
                if ours { own.into_any() } else { hooks::call(py, "tensor", (own,))? }
            }
            Data::Shape(dims, dtype) => {
                hooks::call(py, "shape_only", (PyTuple::new(py, dims)?, Bound::new(py, PyDType(*dtype))?))?
            }
            Data::Tuple(items) => PyTuple::new(py, all(items)?)?.into_any(),
            Data::List(items) => PyList::new(py, all(items)?)?.into_any(),
            Data::Set(items) => PySet::new(py, all(items)?)?.into_any(),
            Data::Dict(pairs) => {
                let dict = PyDict::new(py);
                for (key, item) in pairs {
                    dict.set_item(key.to_python(py, ours)?, item.to_python(py, ours)?)?;
                }
                dict.into_any()
            }
            Data::Record(type_name, fields) => {
                let dict = PyDict::new(py);
                for (name, item) in fields {
                    dict.set_item(name, item.to_python(py, ours)?)?;
                }
                hooks::call(py, "record", (*type_name, dict))?
            }
            Data::Slice(parts) => {
                let slice = py.get_type::<PySlice>();
                slice.call1((
                    parts[0].to_python(py, ours)?,
                    parts[1].to_python(py, ours)?,
                    parts[2].to_python(py, ours)?,
                ))?
            }
            Data::Ellipsis => PyEllipsis::get(py).to_owned().into_any(),
            Data::DType(dtype) => {
                let own = Bound::new(py, PyDType(*dtype))?;
                if ours { own.into_any() } else { hooks::call(py, "dtype", (own,))? }
            }
            Data::Node(node) => node.0.into_pyobject(py)?.into_any(),
        })
    }
}

fn no_argument(what: &str) -> PyErr {
    PyTypeError::new_err(format!("{what} cannot be an argument of a traced operation"))
}

/// An element type, as programs name it.
pub(crate) fn dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::Bf16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::Bool,
    }
}
