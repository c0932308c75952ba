//! Reading operands and writing results: four kinds of number stand for the eight element types.
//!
//! `f32` holds `float32` and both half precisions, `f64` holds `float64`, `i64` all integers and truth values, and
//! [`Bits`] any element that is moved without being looked at. Reading is exact; writing rounds or wraps.

use std::ops::{Add, Div, Mul, Neg, Sub};

use half::{bf16, f16};

use crate::dtype::{DType, Element};
use crate::shape::numel;
use crate::value::Value;

/// A number that elements are read as and written from.
pub(super) trait Number: Copy + Default + PartialEq + PartialOrd {
    /// The elements, row-major.
    fn read(value: &Value) -> Vec<Self>;

    /// A value of the given type, to which the elements are converted.
    fn write(elements: &[Self], dims: &[usize], dtype: DType) -> Value;

    /// Whether this is no number.
    #[expect(clippy::eq_op, reason = "only NaN differs from itself")]
    fn is_nan(self) -> bool {
        self != self
    }
}

/// The arithmetic of floating numbers.
pub(super) trait Real:
    Number
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + std::ops::Rem<Output = Self>
{
    const ONE: Self;
    fn of(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn fma(self, b: Self, c: Self) -> Self;
    fn sqrt(self) -> Self;

    /// A function computed in double precision.
    fn via(self, f: impl Fn(f64) -> f64) -> Self {
        Self::of(f(self.to_f64()))
    }

    /// Rounded to an element type and back.
    fn rounded(self, dtype: DType) -> Self {
        match dtype {
            DType::F16 => Self::of(f16::from_f64(self.to_f64()).to_f64()),
            DType::BF16 => Self::of(bf16::from_f64(self.to_f64()).to_f64()),
            _ => self,
        }
    }
}

macro_rules! real {
    ($t:ty) => {
        impl Real for $t {
            const ONE: Self = 1.0;
            fn of(x: f64) -> Self {
                x as $t
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn fma(self, b: Self, c: Self) -> Self {
                self.mul_add(b, c)
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
        }
    };
}
real!(f32);
real!(f64);

/// Where in its block each element of a value stands, row-major.
pub(super) fn places(value: &Value) -> Vec<usize> {
    let mut places = Vec::with_capacity(value.numel());
    for flat in 0..value.numel() {
        let mut rest = flat;
        let mut at = value.offset as isize;
        for (&size, &stride) in value.dims.iter().zip(&value.strides).rev() {
            at += (rest % size) as isize * stride;
            rest /= size;
        }
        places.push(at as usize);
    }
    places
}

fn elements<T: Element, N>(value: &Value, f: impl Fn(T) -> N) -> Vec<N> {
    if value.numel() == 0 {
        return Vec::new();
    }
    let block = value.block::<T>();
    places(value).into_iter().map(|at| f(block[at])).collect()
}

fn fill<T: Element, N: Copy>(elements: &[N], dims: &[usize], dtype: DType, f: impl Fn(N) -> T) -> Value {
    let mut out = Value::alloc(dims, dtype);
    debug_assert_eq!(elements.len(), numel(dims));
    for (place, &x) in out.slice_mut::<T>().iter_mut().zip(elements) {
        *place = f(x);
    }
    out
}

macro_rules! number {
    ($n:ty, $x:ident, half: $half:expr) => {
        impl Number for $n {
            fn read(value: &Value) -> Vec<$n> {
                match value.dtype {
                    DType::Bool => elements(value, |x: u8| u8::from(x != 0) as $n),
                    DType::U8 => elements(value, |x: u8| x as $n),
                    DType::I32 => elements(value, |x: i32| x as $n),
                    DType::I64 => elements(value, |x: i64| x as $n),
                    DType::F16 => elements(value, |x: f16| x.to_f32() as $n),
                    DType::BF16 => elements(value, |x: bf16| x.to_f32() as $n),
                    DType::F32 => elements(value, |x: f32| x as $n),
                    DType::F64 => elements(value, |x: f64| x as $n),
                }
            }

            fn write(elements: &[$n], dims: &[usize], dtype: DType) -> Value {
                match dtype {
                    DType::Bool => fill(elements, dims, dtype, |x| u8::from(x != 0 as $n)),
                    // Through a wide integer, so that what is too large wraps around.
                    DType::U8 => fill(elements, dims, dtype, |x| x as i64 as u8),
                    DType::I32 => fill(elements, dims, dtype, |x| x as i64 as i32),
                    DType::I64 => fill(elements, dims, dtype, |x| x as i64),
                    DType::F16 => fill(elements, dims, dtype, |$x: $n| f16::from_f64($half)),
                    DType::BF16 => fill(elements, dims, dtype, |$x: $n| bf16::from_f64($half)),
                    DType::F32 => fill(elements, dims, dtype, |x| x as f32),
                    DType::F64 => fill(elements, dims, dtype, |x| x as f64),
                }
            }
        }
    };
}
number!(f32, x, half: f64::from(x));
number!(f64, x, half: x);
// As PyTorch, integers become halves by way of single precision.
number!(i64, x, half: f64::from(x as f32));

/// An element as it is stored, for moving it about.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(super) struct Bits(u64);

impl Number for Bits {
    fn read(value: &Value) -> Vec<Bits> {
        match value.dtype.size() {
            1 => elements(value, |x: u8| Bits(u64::from(x))),
            2 => read_pairs(value),
            4 => read_as::<f32>(value, |x| u64::from(x.to_bits())),
            _ => read_as::<f64>(value, f64::to_bits),
        }
    }

    fn write(elements: &[Bits], dims: &[usize], dtype: DType) -> Value {
        let mut out = Value::alloc(dims, dtype);
        let size = dtype.size();
        for (place, bits) in out.bytes_mut().chunks_exact_mut(size).zip(elements) {
            let bytes = bits.0.to_ne_bytes();
            let low = if cfg!(target_endian = "little") { &bytes[..size] } else { &bytes[8 - size..] };
            place.copy_from_slice(low);
        }
        out
    }
}

fn read_pairs(value: &Value) -> Vec<Bits> {
    elements(value, |x: f16| Bits(u64::from(x.to_bits())))
}

fn read_as<T: Element>(value: &Value, f: impl Fn(T) -> u64) -> Vec<Bits> {
    elements(value, |x: T| Bits(f(x)))
}

/// Calls `$f::<N>($args)` with the kind of number that stands for an element type.
macro_rules! by_kind {
    ($dtype:expr, $f:ident($($arg:expr),* $(,)?)) => {
        match $dtype {
            crate::dtype::DType::F64 => $f::<f64>($($arg),*),
            d if d.is_float() => $f::<f32>($($arg),*),
            _ => $f::<i64>($($arg),*),
        }
    };
}
pub(super) use by_kind;

/// Calls `$f::<R>($args)` with the floating number that stands for a floating type.
macro_rules! by_real {
    ($dtype:expr, $f:ident($($arg:expr),* $(,)?)) => {
        match $dtype {
            crate::dtype::DType::F64 => $f::<f64>($($arg),*),
            _ => $f::<f32>($($arg),*),
        }
    };
}
pub(super) use by_real;

/// The rows of a row-major array: slices of its last dimension. A row of no elements is no row.
pub(super) fn rows<'a, N>(elements: &'a [N], dims: &[usize]) -> std::slice::ChunksExact<'a, N> {
    elements.chunks_exact(dims.last().copied().unwrap_or(1).max(1))
}

/// A shape seen from one dimension: `[outer, size, inner]`.
#[derive(Clone, Copy)]
pub(super) struct Along {
    pub(super) outer: usize,
    pub(super) size: usize,
    pub(super) inner: usize,
}

impl Along {
    pub(super) fn new(dims: &[usize], axis: usize) -> Along {
        Along { outer: numel(&dims[..axis]), size: dims[axis], inner: numel(&dims[axis + 1..]) }
    }

    /// The position of an element.
    pub(super) fn at(self, outer: usize, i: usize, inner: usize) -> usize {
        (outer * self.size + i) * self.inner + inner
    }

    /// Every pair of outer and inner position.
    pub(super) fn lines(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.outer).flat_map(move |o| (0..self.inner).map(move |i| (o, i)))
    }
}
