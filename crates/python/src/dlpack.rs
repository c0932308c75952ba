//! Tensors in other libraries' hands and theirs in ours, by the DLPack protocol.

use std::ffi::{CStr, c_void};

use pellucid::DType;
use pellucid::run::Computed;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;

/// DLPack's number for memory of the CPU.
pub(crate) const CPU: i32 = 1;

const NAME: &CStr = c"dltensor";
const USED: &CStr = c"used_dltensor";

#[repr(C)]
struct DlTensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct DlManagedTensor {
    tensor: DlTensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut DlManagedTensor)>,
}

/// What an exported tensor keeps alive.
struct Export {
    managed: DlManagedTensor,
    shape: Vec<i64>,
    /// Never read here: the memory that the other side works on.
    _value: Computed,
}

const fn code(dtype: DType) -> (u8, u8) {
    match dtype {
        DType::I32 => (0, 32),
        DType::I64 => (0, 64),
        DType::U8 => (1, 8),
        DType::F16 => (2, 16),
        DType::F32 => (2, 32),
        DType::F64 => (2, 64),
        DType::BF16 => (4, 16),
        DType::Bool => (6, 8),
    }
}

#[expect(unsafe_code, reason = "DLPack hands memory over by C's means")]
unsafe extern "C" fn delete(managed: *mut DlManagedTensor) {
    // SAFETY: `context` is the box that `capsule` leaked, and DLPack calls this once.
    drop(unsafe { Box::from_raw((*managed).context.cast::<Export>()) });
}

#[expect(unsafe_code, reason = "DLPack hands memory over by C's means")]
unsafe extern "C" fn drop_capsule(capsule: *mut ffi::PyObject) {
    // SAFETY: Python calls this with the capsule that it destroys; a capsule that nobody took still has its first name.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, NAME.as_ptr()) != 0 {
            let managed = ffi::PyCapsule_GetPointer(capsule, NAME.as_ptr()).cast::<DlManagedTensor>();
            delete(managed);
        }
    }
}

/// A capsule that hands out row-major memory.
#[expect(unsafe_code, reason = "DLPack hands memory over by C's means")]
pub(crate) fn capsule(py: Python<'_>, value: Computed) -> PyResult<Bound<'_, PyAny>> {
    let (code, bits) = code(value.dtype());
    let shape: Vec<i64> = value.dims().iter().map(|&d| d as i64).collect();
    let data = value.bytes().as_ptr().cast_mut().cast::<c_void>();
    let ndim = shape.len() as i32;
    let tensor = DlTensor {
        data,
        device_type: CPU,
        device_id: 0,
        ndim,
        code,
        bits,
        lanes: 1,
        shape: std::ptr::null_mut(),
        strides: std::ptr::null_mut(),
        byte_offset: 0,
    };
    let managed = DlManagedTensor { tensor, context: std::ptr::null_mut(), deleter: Some(delete) };
    let export = Box::into_raw(Box::new(Export { managed, shape, _value: value }));
    // SAFETY: `export` was leaked just now and is ours until the capsule exists; the capsule or whoever takes the
    // tensor out of it calls `delete` once.
    unsafe {
        (*export).managed.tensor.shape = (*export).shape.as_mut_ptr();
        (*export).managed.context = export.cast::<c_void>();
        let managed = (&raw mut (*export).managed).cast::<c_void>();
        let made = ffi::PyCapsule_New(managed, NAME.as_ptr(), Some(drop_capsule));
        if made.is_null() {
            drop(Box::from_raw(export));
        }
        Bound::from_owned_ptr_or_err(py, made)
    }
}

/// A copy of a capsule's tensor: element type, shape and row-major bytes.
#[expect(unsafe_code, reason = "DLPack hands memory over by C's means")]
pub(crate) fn read(capsule: &Bound<'_, PyAny>) -> PyResult<(DType, Vec<usize>, Vec<u8>)> {
    // SAFETY: a capsule of that name holds a `DLManagedTensor`, says the protocol; it is read once, then marked as used
    // and released by its own function.
    unsafe {
        let managed = ffi::PyCapsule_GetPointer(capsule.as_ptr(), NAME.as_ptr()).cast::<DlManagedTensor>();
        if managed.is_null() {
            return Err(PyErr::fetch(capsule.py()));
        }
        let copied = copy(&(*managed).tensor);
        ffi::PyCapsule_SetName(capsule.as_ptr(), USED.as_ptr());
        if let Some(deleter) = (*managed).deleter {
            deleter(managed);
        }
        copied
    }
}

#[expect(unsafe_code, reason = "DLPack hands memory over by C's means")]
unsafe fn copy(tensor: &DlTensor) -> PyResult<(DType, Vec<usize>, Vec<u8>)> {
    let dtype = DType::ALL.into_iter().find(|&d| code(d) == (tensor.code, tensor.bits) && tensor.lanes == 1);
    let dtype = dtype.ok_or_else(|| PyTypeError::new_err("a tensor of an element type that is not known"))?;
    if tensor.device_type != CPU {
        return Err(PyBufferError::new_err("a tensor that is not in the CPU's memory; use `.cpu()` first"));
    }
    let rank = tensor.ndim.max(0) as usize;
    let list = |at: *mut i64| -> Vec<i64> {
        // SAFETY: shape and strides have as many entries as there are dimensions.
        if rank == 0 { Vec::new() } else { unsafe { std::slice::from_raw_parts(at, rank) }.to_vec() }
    };
    let dims: Vec<usize> = list(tensor.shape).iter().map(|&d| d.max(0) as usize).collect();
    let numel: usize = dims.iter().product();
    if !tensor.strides.is_null() && numel > 0 {
        let mut expected = 1;
        for (&size, stride) in dims.iter().zip(list(tensor.strides)).rev() {
            if size != 1 && stride != expected {
                return Err(PyBufferError::new_err("a tensor that is not contiguous"));
            }
            expected *= size as i64;
        }
    }
    let bytes = if numel == 0 {
        Vec::new()
    } else {
        let first = tensor.data.cast::<u8>().wrapping_add(tensor.byte_offset as usize);
        // SAFETY: row-major memory holds that many elements behind its first byte.
        unsafe { std::slice::from_raw_parts(first, numel * dtype.size()) }.to_vec()
    };
    Ok((dtype, dims, bytes))
}
