//! Computed values: a block of memory seen through a shape and strides.

use std::any::Any;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::dtype::{DType, Element};
use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::shape::{Dims, contiguous_strides, numel};
use pellucid_kernels::memory::Buffer;

/// Strides in elements; zero repeats, negative walks backwards.
pub type Strides = SmallVec<[isize; 6]>;

/// Row-major data on its way in or out of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct HostData {
    /// The type of the elements.
    pub dtype: DType,
    /// The elements, in the machine's byte order.
    pub bytes: Vec<u8>,
}

impl HostData {
    /// A copy of the elements.
    #[must_use]
    pub fn from_slice<T: Element>(data: &[T]) -> HostData {
        HostData { dtype: T::DTYPE, bytes: bytemuck::cast_slice(data).to_vec() }
    }

    /// A copy of truth values.
    #[must_use]
    pub fn from_bools(data: &[bool]) -> HostData {
        HostData { dtype: DType::Bool, bytes: data.iter().map(|&b| u8::from(b)).collect() }
    }
}

pub use crate::exec::reshape_strides;

/// A computed array: shared memory, element type, shape and strides.
#[derive(Clone)]
pub struct Value {
    pub(crate) buffer: Arc<Buffer>,
    pub(crate) dtype: DType,
    pub(crate) dims: Dims,
    pub(crate) strides: Strides,
    /// Of the first element, in elements.
    pub(crate) offset: usize,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({:?}, {})", self.dims.as_slice(), self.dtype)
    }
}

impl Value {
    /// A fresh row-major block with undefined contents.
    pub(crate) fn alloc(dims: &[usize], dtype: DType) -> Value {
        Value {
            buffer: Arc::new(Buffer::new(numel(dims) * dtype.size())),
            dtype,
            dims: dims.into(),
            strides: contiguous_strides(dims),
            offset: 0,
        }
    }

    /// A copy of row-major bytes.
    ///
    /// # Panics
    /// If the number of bytes is not the shape's.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], dtype: DType, dims: &[usize]) -> Value {
        let mut value = Value::alloc(dims, dtype);
        value.bytes_mut().copy_from_slice(bytes);
        value
    }

    /// Row-major memory that somebody else owns, such as a mapped file: read, never written, held while in use.
    ///
    /// Memory that is not aligned to its elements is copied.
    ///
    /// # Safety
    /// The bytes must stay readable and unchanged for as long as `owner` lives.
    #[expect(unsafe_code, reason = "the lifetime of borrowed memory is the caller's promise")]
    pub unsafe fn borrowed(
        owner: Arc<dyn Any + Send + Sync>,
        bytes: &[u8],
        dtype: DType,
        dims: &[usize],
    ) -> Value {
        assert_eq!(
            bytes.len(),
            numel(dims) * dtype.size(),
            "borrowed bytes of another size than the shape's"
        );
        if !(bytes.as_ptr() as usize).is_multiple_of(dtype.size()) {
            return Value::from_bytes(bytes, dtype, dims);
        }
        // SAFETY: the caller promises that the bytes live and stay as long as the owner.
        let buffer = unsafe { Buffer::from_owner(bytes.as_ptr(), bytes.len(), owner) };
        Value {
            buffer: Arc::new(buffer),
            dtype,
            dims: dims.into(),
            strides: contiguous_strides(dims),
            offset: 0,
        }
    }

    /// Sizes of the dimensions.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The number of elements.
    #[must_use]
    pub fn numel(&self) -> usize {
        numel(&self.dims)
    }

    /// Whether the elements stand row-major without gaps.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1isize;
        for (&size, &stride) in self.dims.iter().zip(&self.strides).rev() {
            if size != 1 && stride != expected {
                return self.numel() == 0;
            }
            expected *= size as isize;
        }
        true
    }

    /// The elements of a contiguous value as bytes.
    ///
    /// # Panics
    /// If the value is not contiguous.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        assert!(self.is_contiguous(), "bytes of a strided value");
        let size = self.dtype.size();
        &self.buffer.bytes()[self.offset * size..(self.offset + self.numel()) * size]
    }

    /// The elements of a contiguous value.
    ///
    /// # Panics
    /// If the value is not contiguous or of another type.
    #[must_use]
    pub fn slice<T: Element>(&self) -> &[T] {
        assert!(
            T::DTYPE == self.dtype || (T::DTYPE == DType::U8 && self.dtype == DType::Bool),
            "elements of {} read as {}",
            self.dtype,
            T::DTYPE
        );
        bytemuck::cast_slice(self.bytes())
    }

    /// All elements of the block, for kernels that walk strides.
    pub(crate) fn block<T: Element>(&self) -> &[T] {
        let bytes = self.buffer.bytes();
        let whole = bytes.len() / size_of::<T>() * size_of::<T>();
        bytemuck::cast_slice(&bytes[..whole])
    }

    /// The block's bytes, if nobody else holds it.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let len = numel(&self.dims) * self.dtype.size();
        let start = self.offset * self.dtype.size();
        let buffer = Arc::get_mut(&mut self.buffer).expect("a block written by its only holder");
        &mut buffer.bytes_mut()[start..start + len]
    }

    pub(crate) fn slice_mut<T: Element>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes_mut())
    }

    /// Whether the value may be overwritten in place: one holder, owned memory, row-major.
    pub(crate) fn is_reusable(&mut self) -> bool {
        self.is_contiguous() && Arc::get_mut(&mut self.buffer).is_some_and(|b| !b.is_borrowed())
    }

    /// How many hold the memory, this value included; `None` where it belongs to somebody else, such as a mapped file.
    #[must_use]
    pub fn holders(&self) -> Option<usize> {
        (!self.buffer.is_borrowed()).then(|| Arc::strong_count(&self.buffer))
    }

    /// The same elements under another shape, if the value is contiguous.
    pub(crate) fn with_dims(&self, dims: &[usize]) -> Value {
        debug_assert!(self.is_contiguous());
        Value { dims: dims.into(), strides: contiguous_strides(dims), ..self.clone() }
    }

    /// A row-major value with the same elements; itself if it is one already.
    #[must_use]
    pub fn contiguous(&self) -> Value {
        if self.is_contiguous() {
            return self.clone();
        }
        let mut out = Value::alloc(&self.dims, self.dtype);
        crate::exec::copy_strided(self, out.bytes_mut());
        out
    }
}

impl Tensor {
    /// Computes the value, if it is not known yet, and keeps it.
    ///
    /// # Errors
    /// [`TensorError::Computing`]: faults that depend on computed values, such as an index out of bounds, and
    /// [`TensorError::NotLoaded`].
    pub fn eval(&self) -> Result<Value> {
        if let Some(value) = self.node.value.get() {
            return Ok(value.clone());
        }
        self.node.engine.eval(std::slice::from_ref(self))?;
        self.node.value.get().cloned().ok_or(TensorError::NotLoaded { name: format!("{self:?}") })
    }

    /// The computed value as a leaf: nothing of what made it is held any longer, and no gradient flows through it.
    ///
    /// # Errors
    /// As [`Tensor::eval`].
    pub fn detach(&self) -> Result<Tensor> {
        Ok(self.engine().from_value(self.eval()?, None))
    }

    /// The elements, row-major.
    ///
    /// # Errors
    /// As [`Tensor::eval`]; [`TensorError::Type`] if the elements are of another type.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype() && !(T::DTYPE == DType::U8 && self.dtype() == DType::Bool) {
            return Err(TensorError::Type { op: "to_vec", expected: T::DTYPE.name(), got: self.dtype() });
        }
        Ok(self.eval()?.contiguous().slice::<T>().to_vec())
    }

    /// The elements, row-major, converted to doubles.
    ///
    /// # Errors
    /// As [`Tensor::eval`].
    pub fn to_f64s(&self) -> Result<Vec<f64>> {
        self.cast(DType::F64).to_vec()
    }

    /// The only element, as a number of its kind.
    ///
    /// # Errors
    /// [`TensorError::Shape`] if there is not exactly one element; else as [`Tensor::eval`].
    pub fn item(&self) -> Result<crate::Scalar> {
        if self.numel() != 1 {
            return Err(TensorError::Shape {
                op: "item",
                expected: "a tensor with one element".into(),
                got: self.dims().into(),
            });
        }
        Ok(if self.dtype().is_float() {
            crate::Scalar::Float(self.to_f64s()?[0])
        } else if self.dtype() == DType::Bool {
            crate::Scalar::Bool(self.to_vec::<u8>()?[0] != 0)
        } else {
            crate::Scalar::Int(self.cast(DType::I64).to_vec::<i64>()?[0])
        })
    }
}
