//! Elementwise operations: broadcasting and type promotion, then one node.

use smallvec::smallvec;

use crate::dtype::{DType, Priority, Scalar, result_type};
use crate::error::{Result, TensorError};
use crate::graph::Tensor;
use crate::op::{BinaryOp, Op, UnaryOp, float_type};
use crate::shape::broadcast;

impl Tensor {
    pub(crate) fn priority(&self) -> (DType, Priority) {
        let priority = if self.rank() == 0 { Priority::ZeroDim } else { Priority::Dimensioned };
        (self.dtype(), priority)
    }

    pub(crate) fn same_engine(&self, op: &'static str, other: &Tensor) -> Result<()> {
        if self.engine() == other.engine() { Ok(()) } else { Err(TensorError::Engines { op }) }
    }

    /// The elements converted to `dtype`. Floats lose their fraction on the way to integers, integers wrap to fewer
    /// bits, and all but zero is true.
    #[must_use]
    pub fn cast(&self, dtype: DType) -> Tensor {
        if dtype == self.dtype() {
            return self.clone();
        }
        if let Op::Full(value) = self.op() {
            return self.engine().full(self.dims(), value.cast(self.dtype()).cast(dtype), dtype);
        }
        self.engine().node(Op::Cast, smallvec![self.clone()], self.dims().into(), dtype)
    }

    /// An elementwise function of this tensor. Functions with fractional values turn integers into `float32`.
    ///
    /// # Errors
    /// [`TensorError::Type`] for operands that PyTorch refuses: a bitwise complement of floats, arithmetic on truth
    /// values, SiLU and GELU of integers.
    pub fn unary(&self, op: UnaryOp) -> Result<Tensor> {
        use UnaryOp::{Abs, BitNot, Ceil, Floor, IsInf, IsNan, LogicalNot, Neg, Relu, Round, Sign, Trunc};
        use UnaryOp::{GeluErf, GeluTanh, Silu};
        let dtype = self.dtype();
        let refused = |expected| Err(TensorError::Type { op: op.name(), expected, got: dtype });
        let (operand, out) = match op {
            Neg | Abs | Relu | Floor | Ceil | Round | Trunc if dtype == DType::Bool => {
                return refused("numbers");
            }
            Silu | GeluErf | GeluTanh if !dtype.is_float() => return refused("floating numbers"),
            BitNot if dtype.is_float() => return refused("integers or truth values"),
            Floor | Ceil | Round | Trunc if !dtype.is_float() => return Ok(self.clone()),
            Neg | Abs | Sign | Relu | BitNot | Floor | Ceil | Round | Trunc => (self.clone(), dtype),
            LogicalNot | IsNan | IsInf => (self.clone(), DType::Bool),
            _ => (self.cast(float_type(dtype)), float_type(dtype)),
        };
        Ok(self.engine().node(Op::Unary(op), smallvec![operand], self.dims().into(), out))
    }

    /// An elementwise function of two tensors, broadcast and promoted as PyTorch does.
    ///
    /// # Errors
    /// [`TensorError::Broadcast`]; [`TensorError::Type`] for operands that PyTorch refuses: bitwise operations on
    /// floats, `-` with truth values, and division, powers and shifts of truth values.
    pub fn binary(&self, op: BinaryOp, other: &Tensor) -> Result<Tensor> {
        check_difference(op, self.dtype(), other.dtype())?;
        let dtype = result_type(&[self.priority(), other.priority()]);
        self.binary_in(op, other, dtype)
    }

    /// An elementwise function of this tensor and a number.
    ///
    /// # Errors
    /// As [`Tensor::binary`]; [`TensorError::Argument`] for a negative power of integers.
    pub fn binary_scalar(&self, op: BinaryOp, other: impl Into<Scalar>) -> Result<Tensor> {
        let other = other.into();
        check_difference(op, self.dtype(), other.dtype())?;
        let dtype = result_type(&[self.priority(), (other.dtype(), Priority::Number)]);
        if op == BinaryOp::Pow && !dtype.is_float() && other.to_i64() < 0 {
            return Err(TensorError::Argument {
                op: op.name(),
                what: "integers to negative integer powers are not allowed".into(),
            });
        }
        let other = self.engine().full(&[], other, dtype);
        self.binary_in(op, &other, dtype)
    }

    /// An elementwise function of a number and this tensor, in this order.
    ///
    /// # Errors
    /// As [`Tensor::binary`].
    pub fn scalar_binary(&self, op: BinaryOp, other: impl Into<Scalar>) -> Result<Tensor> {
        let other = other.into();
        check_difference(op, other.dtype(), self.dtype())?;
        let dtype = result_type(&[self.priority(), (other.dtype(), Priority::Number)]);
        self.engine().full(&[], other, dtype).binary_in(op, self, dtype)
    }

    fn binary_in(&self, op: BinaryOp, other: &Tensor, dtype: DType) -> Result<Tensor> {
        use BinaryOp::{
            Atan2, BitAnd, BitOr, BitXor, Div, FloorDiv, Fmod, Pow, Remainder, ShiftLeft, ShiftRight,
        };
        let name = op.name();
        self.same_engine(name, other)?;
        let compute = match op {
            Div | Atan2 => float_type(dtype),
            BitAnd | BitOr | BitXor | ShiftLeft | ShiftRight if dtype.is_float() => {
                return Err(TensorError::Type { op: name, expected: "integers or truth values", got: dtype });
            }
            FloorDiv | Remainder | Fmod | Pow | ShiftLeft | ShiftRight if dtype == DType::Bool => {
                return Err(TensorError::Type { op: name, expected: "numbers", got: dtype });
            }
            _ => dtype,
        };
        let dims = broadcast(name, self.dims(), other.dims())?;
        let lhs = self.cast(compute).expand_to(&dims)?;
        let rhs = other.cast(compute).expand_to(&dims)?;
        let out = if op.is_comparison() { DType::Bool } else { compute };
        Ok(self.engine().node(Op::Binary(op), smallvec![lhs, rhs], dims, out))
    }

    /// Elements of `on_true` where this (`bool`) tensor is true, else of `on_false`.
    ///
    /// # Errors
    /// [`TensorError::Broadcast`]; [`TensorError::Type`] if this tensor is not of truth values.
    pub fn where_(&self, on_true: &Tensor, on_false: &Tensor) -> Result<Tensor> {
        if !matches!(self.dtype(), DType::Bool | DType::U8) {
            return Err(TensorError::Type { op: "where", expected: "truth values", got: self.dtype() });
        }
        self.same_engine("where", on_true)?;
        self.same_engine("where", on_false)?;
        let dtype = result_type(&[on_true.priority(), on_false.priority()]);
        let dims = broadcast("where", on_true.dims(), on_false.dims())?;
        let dims = broadcast("where", self.dims(), &dims)?;
        let inputs = smallvec![
            self.cast(DType::Bool).expand_to(&dims)?,
            on_true.cast(dtype).expand_to(&dims)?,
            on_false.cast(dtype).expand_to(&dims)?,
        ];
        Ok(self.engine().node(Op::Where, inputs, dims, dtype))
    }

    /// `value` where `mask` is true, else this tensor's element. The type stays.
    ///
    /// # Errors
    /// As [`Tensor::where_`].
    pub fn masked_fill(&self, mask: &Tensor, value: impl Into<Scalar>) -> Result<Tensor> {
        let value = self.engine().full(&[], value, self.dtype());
        mask.where_(&value, self)
    }

    /// Elements limited to the range; an absent bound does not limit.
    ///
    /// # Errors
    /// As [`Tensor::binary`].
    pub fn clamp(&self, min: Option<Scalar>, max: Option<Scalar>) -> Result<Tensor> {
        let bounds = [min, max].map(|b| b.map_or(self.priority(), |b| (b.dtype(), Priority::Number)));
        let dtype = result_type(&[self.priority(), bounds[0], bounds[1]]);
        let mut out = self.cast(dtype);
        // As choices, not maxima: the gradient at a bound is the element's own.
        for (bound, beyond) in [(min, BinaryOp::Lt), (max, BinaryOp::Gt)] {
            if let Some(bound) = bound {
                let bound = self.engine().full(&[], bound, dtype);
                out = out.binary(beyond, &bound)?.where_(&bound, &out)?;
            }
        }
        Ok(out)
    }

    /// `log(1 + exp(beta x)) / beta`, linear above the threshold, as `torch.nn.functional.softplus`.
    ///
    /// # Errors
    /// As [`Tensor::unary`].
    pub fn softplus(&self, beta: f64, threshold: f64) -> Result<Tensor> {
        let scaled = self.mul_scalar(beta)?;
        let linear = scaled.binary_scalar(BinaryOp::Gt, threshold)?;
        // The untaken branch must stay finite, or its gradient would spoil the taken one.
        let safe = linear.where_(&scaled.engine().zeros(&[], scaled.dtype()), &scaled)?;
        linear.where_(&self.cast(scaled.dtype()), &safe.exp()?.log1p()?.div_scalar(beta)?)
    }

    /// Logical function of truth values of both operands.
    ///
    /// # Errors
    /// [`TensorError::Broadcast`].
    pub fn logical(&self, op: BinaryOp, other: &Tensor) -> Result<Tensor> {
        self.cast(DType::Bool).binary(op, &other.cast(DType::Bool))
    }

    /// Whether each element is neither infinite nor NaN.
    ///
    /// # Errors
    /// None for tensors that exist.
    pub fn isfinite(&self) -> Result<Tensor> {
        self.isnan()?.logical(BinaryOp::BitOr, &self.isinf()?)?.logical_not()
    }
}

/// PyTorch has no `-` with truth values on either side.
fn check_difference(op: BinaryOp, lhs: DType, rhs: DType) -> Result<()> {
    if op == BinaryOp::Sub && (lhs == DType::Bool || rhs == DType::Bool) {
        return Err(TensorError::Type { op: op.name(), expected: "numbers", got: DType::Bool });
    }
    Ok(())
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $op:ident),* $(,)?) => {
        impl Tensor {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As [`Tensor::unary`].
                pub fn $name(&self) -> Result<Tensor> { self.unary(UnaryOp::$op) }
            )*
        }
    };
}

unary! {
    /// `-x`.
    neg => Neg,
    /// Absolute values.
    abs => Abs,
    /// Signs.
    sign => Sign,
    /// Exponentials.
    exp => Exp,
    /// `exp(x) - 1`.
    expm1 => Expm1,
    /// Natural logarithms.
    log => Log,
    /// `log(1 + x)`.
    log1p => Log1p,
    /// Square roots.
    sqrt => Sqrt,
    /// Inverse square roots.
    rsqrt => Rsqrt,
    /// Inverses.
    reciprocal => Reciprocal,
    /// Sines.
    sin => Sin,
    /// Cosines.
    cos => Cos,
    /// Tangents.
    tan => Tan,
    /// Hyperbolic tangents.
    tanh => Tanh,
    /// Error function.
    erf => Erf,
    /// Logistic function.
    sigmoid => Sigmoid,
    /// `max(x, 0)`.
    relu => Relu,
    /// `x * sigmoid(x)`.
    silu => Silu,
    /// GELU by the error function.
    gelu => GeluErf,
    /// GELU by the tanh approximation.
    gelu_tanh => GeluTanh,
    /// Rounded down.
    floor => Floor,
    /// Rounded up.
    ceil => Ceil,
    /// Rounded to the nearest, ties to even.
    round => Round,
    /// Integer parts.
    trunc => Trunc,
    /// Bitwise complements.
    bitwise_not => BitNot,
    /// Logical complements.
    logical_not => LogicalNot,
    /// Which elements are NaN.
    isnan => IsNan,
    /// Which elements are infinite.
    isinf => IsInf,
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident, $scalar:ident => $op:ident),* $(,)?) => {
        impl Tensor {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As [`Tensor::binary`].
                pub fn $name(&self, other: &Tensor) -> Result<Tensor> { self.binary(BinaryOp::$op, other) }

                $(#[$doc])*
                /// The second operand is a number.
                ///
                /// # Errors
                /// As [`Tensor::binary`].
                pub fn $scalar(&self, other: impl Into<Scalar>) -> Result<Tensor> {
                    self.binary_scalar(BinaryOp::$op, other)
                }
            )*
        }
    };
}

binary! {
    /// Sum.
    add, add_scalar => Add,
    /// Difference.
    sub, sub_scalar => Sub,
    /// Product.
    mul, mul_scalar => Mul,
    /// True quotient.
    div, div_scalar => Div,
    /// Quotient rounded down.
    floor_divide, floor_divide_scalar => FloorDiv,
    /// Remainder with the divisor's sign.
    remainder, remainder_scalar => Remainder,
    /// Remainder with the dividend's sign.
    fmod, fmod_scalar => Fmod,
    /// Power.
    pow, pow_scalar => Pow,
    /// Larger elements.
    maximum, maximum_scalar => Maximum,
    /// Smaller elements.
    minimum, minimum_scalar => Minimum,
    /// Equal elements.
    eq, eq_scalar => Eq,
    /// Unequal elements.
    ne, ne_scalar => Ne,
    /// Smaller elements.
    lt, lt_scalar => Lt,
    /// Smaller or equal elements.
    le, le_scalar => Le,
    /// Larger elements.
    gt, gt_scalar => Gt,
    /// Larger or equal elements.
    ge, ge_scalar => Ge,
}
