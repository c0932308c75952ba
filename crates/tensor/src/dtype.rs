//! Element types, scalars, and PyTorch's promotion rules.

use std::fmt;

use half::{bf16, f16};

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// Truth values, one byte each, 0 or 1.
    Bool,
    /// Unsigned bytes.
    U8,
    /// 32-bit signed integers.
    I32,
    /// 64-bit signed integers, the type of token ids and indices.
    I64,
    /// IEEE half precision.
    F16,
    /// Brain floating point: the upper half of an `f32`.
    BF16,
    /// Single precision, the default floating type.
    F32,
    /// Double precision.
    F64,
}

impl DType {
    /// All element types, from the least to the most general.
    pub const ALL: [DType; 8] =
        [DType::Bool, DType::U8, DType::I32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64];

    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 => 1,
            DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 | DType::F64 => 8,
        }
    }

    /// Whether this is a floating type; only such tensors carry gradients.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }

    /// Whether this is an integer type (`Bool` is not).
    #[must_use]
    pub const fn is_int(self) -> bool {
        matches!(self, DType::U8 | DType::I32 | DType::I64)
    }

    /// The name PyTorch uses, such as `float32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "uint8",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }

    /// The type with the given PyTorch name (`float32`, `float`, `torch.float32`, ...).
    #[must_use]
    pub fn parse(name: &str) -> Option<DType> {
        Some(match name.strip_prefix("torch.").unwrap_or(name) {
            "bool" => DType::Bool,
            "uint8" | "u8" => DType::U8,
            "int32" | "int" | "i32" => DType::I32,
            "int64" | "long" | "i64" => DType::I64,
            "float16" | "half" | "f16" => DType::F16,
            "bfloat16" | "bf16" => DType::BF16,
            "float32" | "float" | "f32" => DType::F32,
            "float64" | "double" | "f64" => DType::F64,
            _ => return None,
        })
    }

    /// The type that holds both operands' values, as `torch.promote_types`.
    #[must_use]
    pub fn promote(self, other: DType) -> DType {
        use DType::{BF16, Bool, F16, F32, I32, U8};
        match (self, other) {
            (a, b) if a == b => a,
            (Bool, b) => b,
            (a, Bool) => a,
            (F16, BF16) | (BF16, F16) => F32,
            (a, b) if a.is_float() && b.is_float() => a.max(b),
            (a, b) if a.is_float() || b.is_float() => {
                if a.is_float() {
                    a
                } else {
                    b
                }
            }
            (U8, I32) | (I32, U8) => I32,
            (a, b) => a.max(b),
        }
    }

    const fn category(self) -> u8 {
        match self {
            DType::Bool => 0,
            DType::U8 | DType::I32 | DType::I64 => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How strongly an operand takes part in promotion: PyTorch lets numbers yield to zero-dimensional tensors,
/// and those to tensors with dimensions, unless their category (bool, integer, float) is higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A plain number.
    Number,
    /// A tensor without dimensions.
    ZeroDim,
    /// A tensor with at least one dimension.
    Dimensioned,
}

/// The type of the result of an operation on the operands, as `torch.result_type`.
#[must_use]
pub fn result_type(operands: &[(DType, Priority)]) -> DType {
    let of = |p: Priority| operands.iter().filter(|(_, q)| *q == p).map(|(d, _)| *d).reduce(DType::promote);
    let combine = |high: Option<DType>, low: Option<DType>| match (high, low) {
        (Some(h), Some(l)) if l.category() > h.category() => Some(h.promote(l)),
        (Some(h), _) => Some(h),
        (None, l) => l,
    };
    let low = combine(of(Priority::ZeroDim), of(Priority::Number));
    combine(of(Priority::Dimensioned), low).unwrap_or(DType::F32)
}

/// A number of one of the three kinds that code writes down.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating number.
    Float(f64),
}

impl Scalar {
    /// The element type a number stands for in promotion.
    #[must_use]
    pub const fn dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            Scalar::Float(_) => DType::F32,
        }
    }

    /// The value as a double.
    #[must_use]
    pub const fn to_f64(self) -> f64 {
        match self {
            Scalar::Bool(b) => b as u8 as f64,
            Scalar::Int(i) => i as f64,
            Scalar::Float(f) => f,
        }
    }

    /// The value as an integer, truncated.
    #[must_use]
    pub const fn to_i64(self) -> i64 {
        match self {
            Scalar::Bool(b) => b as i64,
            Scalar::Int(i) => i,
            Scalar::Float(f) => f as i64,
        }
    }

    /// The value as a truth value: anything but zero is true.
    #[must_use]
    pub fn to_bool(self) -> bool {
        match self {
            Scalar::Bool(b) => b,
            Scalar::Int(i) => i != 0,
            Scalar::Float(f) => f != 0.0,
        }
    }

    /// The same value as an element of `dtype` would hold it.
    #[must_use]
    pub fn cast(self, dtype: DType) -> Scalar {
        match dtype {
            DType::Bool => Scalar::Bool(self.to_bool()),
            DType::U8 => Scalar::Int(i64::from(self.to_i64() as u8)),
            DType::I32 => Scalar::Int(i64::from(self.to_i64() as i32)),
            DType::I64 => Scalar::Int(self.to_i64()),
            DType::F16 => Scalar::Float(f16::from_f64(self.to_f64()).to_f64()),
            DType::BF16 => Scalar::Float(bf16::from_f64(self.to_f64()).to_f64()),
            DType::F32 => Scalar::Float(f64::from(self.to_f64() as f32)),
            DType::F64 => Scalar::Float(self.to_f64()),
        }
    }

    fn key(self) -> (u8, u64) {
        match self {
            Scalar::Bool(b) => (0, u64::from(b)),
            Scalar::Int(i) => (1, i as u64),
            Scalar::Float(f) => (2, f.to_bits()),
        }
    }
}

// Equality of nodes needs bitwise equality of their constants: -0.0 differs from 0.0, and a NaN equals itself.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Scalar {}

impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(b) => write!(f, "{b}"),
            Scalar::Int(i) => write!(f, "{i}"),
            Scalar::Float(x) => write!(f, "{x:?}"),
        }
    }
}

macro_rules! scalar_from {
    ($($t:ty => $variant:ident as $w:ty),*) => {$(
        impl From<$t> for Scalar {
            fn from(x: $t) -> Scalar { Scalar::$variant(<$w>::from(x)) }
        }
    )*};
}
scalar_from!(bool => Bool as bool, i32 => Int as i64, i64 => Int as i64, u8 => Int as i64, f32 => Float as f64, f64 => Float as f64);

impl From<usize> for Scalar {
    fn from(x: usize) -> Scalar {
        Scalar::Int(x as i64)
    }
}

/// A Rust type that is the element of some [`DType`].
pub trait Element: bytemuck::NoUninit + bytemuck::AnyBitPattern + Send + Sync + 'static {
    /// The element type this Rust type is stored as.
    const DTYPE: DType;
}

macro_rules! element {
    ($($t:ty => $d:ident),*) => {$( impl Element for $t { const DTYPE: DType = DType::$d; } )*};
}
element!(u8 => U8, i32 => I32, i64 => I64, f16 => F16, bf16 => BF16, f32 => F32, f64 => F64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_number_turns_integers_into_the_default_float_but_leaves_half_precision() {
        let t = |d| (d, Priority::Dimensioned);
        let n = |d| (d, Priority::Number);
        assert_eq!(result_type(&[t(DType::I64), n(DType::F32)]), DType::F32);
        assert_eq!(result_type(&[t(DType::F16), n(DType::F32)]), DType::F16);
        assert_eq!(result_type(&[t(DType::U8), n(DType::I64)]), DType::U8);
        assert_eq!(result_type(&[t(DType::Bool), n(DType::I64)]), DType::I64);
    }

    #[test]
    fn a_tensor_without_dimensions_yields_within_its_category() {
        assert_eq!(
            result_type(&[(DType::F32, Priority::Dimensioned), (DType::F64, Priority::ZeroDim)]),
            DType::F32
        );
        assert_eq!(
            result_type(&[(DType::I32, Priority::Dimensioned), (DType::F64, Priority::ZeroDim)]),
            DType::F64
        );
    }

    #[test]
    fn promotion_is_commutative_and_idempotent() {
        for a in DType::ALL {
            assert_eq!(a.promote(a), a);
            for b in DType::ALL {
                assert_eq!(a.promote(b), b.promote(a), "{a} {b}");
            }
        }
    }
}
