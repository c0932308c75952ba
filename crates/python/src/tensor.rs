//! Tensors and element types as Python sees them.

use std::sync::{Mutex, PoisonError};

use pellucid::run::{HostData, RunError};
use pellucid::{DType, Tensor, Value};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::data::{Data, ENGINE, Reader, settled};
use crate::dlpack;
use crate::error::{Failure, failed};

/// An element type.
#[pyclass(name = "dtype", module = "pellucid", frozen, eq, hash)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PyDType(pub(crate) DType);

#[pymethods]
impl PyDType {
    /// The type of a name such as `float32`.
    #[new]
    fn new(name: &str) -> PyResult<PyDType> {
        DType::parse(name)
            .map(PyDType)
            .ok_or_else(|| PyTypeError::new_err(format!("there is no element type `{name}`")))
    }

    #[getter]
    fn name(&self) -> &'static str {
        self.0.name()
    }

    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size()
    }

    #[getter]
    fn is_floating_point(&self) -> bool {
        self.0.is_float()
    }

    fn __repr__(&self) -> String {
        format!("pellucid.{}", self.0.name())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        (py.get_type::<PyDType>(), (self.0.name(),)).into_pyobject(py).map(Bound::into_any)
    }
}

/// A computed tensor. Operations on it run at once.
#[pyclass(name = "Tensor", module = "pellucid", frozen, subclass, weakref)]
pub(crate) struct PyTensor {
    /// Replaced by operations that write.
    current: Mutex<Tensor>,
}

impl PyTensor {
    pub(crate) fn new(tensor: Tensor) -> PyTensor {
        PyTensor { current: Mutex::new(tensor) }
    }

    pub(crate) fn tensor(&self) -> Tensor {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[pymethods]
impl PyTensor {
    /// A tensor of row-major bytes.
    #[staticmethod]
    fn from_bytes(bytes: &[u8], dtype: &Bound<'_, PyDType>, shape: Vec<usize>) -> PyResult<PyTensor> {
        let dtype = dtype.get().0;
        let wanted = shape.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d));
        if wanted != Some(bytes.len()) {
            return Err(PyValueError::new_err(format!(
                "a {dtype} tensor of shape {shape:?} does not have {} bytes",
                bytes.len()
            )));
        }
        let data = HostData { dtype, bytes: bytes.to_vec() };
        let leaf = ENGINE.from_data(data, &shape).map_err(failed)?;
        Ok(PyTensor::new(ENGINE.from_value(leaf.eval().map_err(failed)?, None)))
    }

    /// A tensor of a DLPack capsule's contents, copied; row-major and on the CPU.
    #[staticmethod]
    fn from_dlpack(capsule: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        let (dtype, dims, bytes) = dlpack::read(capsule)?;
        let data = HostData { dtype, bytes };
        Ok(PyTensor::new(settled(&ENGINE.from_data(data, &dims).map_err(failed)?).map_err(failed)?))
    }

    /// Sizes of the dimensions.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.tensor().dims())
    }

    /// The element type.
    #[getter]
    fn dtype(&self) -> PyDType {
        PyDType(self.tensor().dtype())
    }

    /// The number of dimensions.
    #[getter]
    fn ndim(&self) -> usize {
        self.tensor().rank()
    }

    /// The number of elements.
    fn numel(&self) -> usize {
        self.tensor().numel()
    }

    /// The elements, row-major.
    fn tobytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let value = self.tensor().eval().map_err(failed)?.contiguous();
        Ok(PyBytes::new(py, value.bytes()))
    }

    /// The elements as nested lists of Python's numbers.
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.apply(py, "tolist")?.into_bound(py))
    }

    /// NumPy's view of the memory, not to be written.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let tensor = self.tensor();
        let code = match tensor.dtype() {
            DType::Bool => "|b1",
            DType::U8 => "|u1",
            DType::I32 => "<i4",
            DType::I64 => "<i8",
            DType::F16 => "<f2",
            DType::F32 => "<f4",
            DType::F64 => "<f8",
            DType::BF16 => return Err(PyTypeError::new_err("NumPy has no bfloat16; use `.float()` first")),
        };
        let value = tensor.eval().map_err(failed)?;
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("typestr", code)?;
        interface.set_item("shape", PyTuple::new(py, tensor.dims())?)?;
        interface.set_item("data", (value.bytes().as_ptr() as usize, true))?;
        Ok(interface)
    }

    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<Bound<'py, PyAny>>,
        dl_device: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = (stream, max_version, dl_device);
        let mut value = self.tensor().eval().map_err(failed)?.contiguous();
        // Whoever takes the memory may write into it: shared memory and a model's own is copied.
        if copy == Some(true) || value.holders() != Some(2) {
            value = pellucid::run::Computed::from_bytes(value.bytes(), value.dtype(), value.dims());
        }
        dlpack::capsule(py, value)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        (dlpack::CPU, 0)
    }

    fn __len__(&self) -> PyResult<usize> {
        let tensor = self.tensor();
        tensor.dims().first().copied().ok_or_else(|| PyTypeError::new_err("len() of a 0-d tensor"))
    }
}

impl PyTensor {
    fn apply(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let value = pellucid::run::call(&ENGINE, name, vec![Value::tensor(self.tensor())], Vec::new())
            .map_err(|e| Failure::from(e).raise(py))?;
        Ok(Data::of(&value, false).map_err(failed)?.to_python(py, true)?.unbind())
    }
}

/// Carries out an operation by its canonical name on values, at once.
#[pyfunction]
#[pyo3(signature = (name, args, kwargs=None))]
pub(crate) fn call_op<'py>(
    py: Python<'py>,
    name: &str,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut reader = Reader::default();
    let (mut positional, mut named) = (Vec::new(), Vec::new());
    for arg in args {
        positional.push(reader.read(&arg)?);
    }
    for (keyword, arg) in kwargs.iter().flat_map(|k| k.iter()) {
        named.push((keyword.extract::<String>()?, reader.read(&arg)?));
    }
    let tensors = reader.tensors;
    let mut vars = Vec::new();
    let positional =
        positional.iter().map(|d| d.to_value(&ENGINE, &mut vars)).collect::<PyResult<Vec<_>>>()?;
    let named = named
        .into_iter()
        .map(|(keyword, d)| Ok((keyword, d.to_value(&ENGINE, &mut vars)?)))
        .collect::<PyResult<Vec<_>>>()?;
    let receiver = positional.first().cloned();
    let raise = |e: RunError| Failure::from(e).raise(py);
    let value = pellucid::run::call(&ENGINE, name, positional, named).map_err(raise)?;
    // What the operation wrote into is written in the caller's tensors, too.
    let mut written = None;
    for (source, var) in tensors.iter().zip(&vars) {
        if let (Some(source), Value::Tensor(var)) = (source, var) {
            let now = var.get().map_err(failed)?;
            let mut current = source.get().current.lock().unwrap_or_else(PoisonError::into_inner);
            if !now.same_node(&current) {
                *current = settled(&now).map_err(failed)?;
                written = Some(source.clone());
            }
        }
    }
    if let (Some(source), Some(Value::Tensor(receiver)), Value::Tensor(result)) = (written, receiver, &value)
        && result.same_storage(&receiver)
        && name.ends_with('_')
    {
        return Ok(source.into_any());
    }
    Data::of(&value, false).map_err(failed)?.to_python(py, true)
}

/// All operations' canonical names.
#[pyfunction]
pub(crate) fn op_names() -> Vec<&'static str> {
    pellucid::run::names().collect()
}
