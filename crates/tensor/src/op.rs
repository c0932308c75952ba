//! The operations a graph is made of.
//!
//! The set is small on purpose: what people write composes these (see `build`). A new operation has a shape and
//! type rule (in `build`), a gradient (in `grad`), a reference kernel (in `reference`), and a fast kernel in `exec`
//! if it is hot.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::dtype::{DType, Scalar};

/// Elementwise functions of one operand. Rounding operations and those of truth values keep their operand's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-x`.
    Neg,
    /// Absolute value.
    Abs,
    /// Minus one, zero or one.
    Sign,
    /// Natural exponential.
    Exp,
    /// `exp(x) - 1`, accurate near zero.
    Expm1,
    /// Natural logarithm.
    Log,
    /// `log(1 + x)`, accurate near zero.
    Log1p,
    /// Square root.
    Sqrt,
    /// One over the square root.
    Rsqrt,
    /// `1 / x`.
    Reciprocal,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Hyperbolic tangent.
    Tanh,
    /// Error function.
    Erf,
    /// Logistic function.
    Sigmoid,
    /// `max(x, 0)`.
    Relu,
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU with the error function (Hendrycks and Gimpel 2016).
    GeluErf,
    /// GELU with its tanh approximation, as GPT-2.
    GeluTanh,
    /// Largest integer not above.
    Floor,
    /// Smallest integer not below.
    Ceil,
    /// Nearest integer, ties to even.
    Round,
    /// Integer part.
    Trunc,
    /// Bitwise complement; logical for `bool`.
    BitNot,
    /// Logical not, of any type.
    LogicalNot,
    /// Whether not a number.
    IsNan,
    /// Whether infinite.
    IsInf,
}

/// Elementwise functions of two operands of one type and shape (the builder broadcasts and promotes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient of floats.
    Div,
    /// Quotient rounded down, as Python's `//`.
    FloorDiv,
    /// Remainder with the divisor's sign, as Python's `%`.
    Remainder,
    /// Remainder with the dividend's sign, as C's `fmod`.
    Fmod,
    /// Power.
    Pow,
    /// The larger; NaN wins.
    Maximum,
    /// The smaller; NaN wins.
    Minimum,
    /// Angle of the point (second, first).
    Atan2,
    /// Bitwise and; logical for `bool`.
    BitAnd,
    /// Bitwise or.
    BitOr,
    /// Bitwise exclusive or.
    BitXor,
    /// Shift left.
    ShiftLeft,
    /// Arithmetic shift right.
    ShiftRight,
    /// Equal; the result of this and the following is `bool`.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Gradient of tanh-GELU: first operand the input, second the output's gradient.
    GeluTanhGrad,
    /// Gradient of erf-GELU, operands likewise.
    GeluErfGrad,
    /// Gradient of SiLU, operands likewise.
    SiluGrad,
}

impl BinaryOp {
    /// Whether the result is `bool`.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge
        )
    }
}

/// Ways to reduce dimensions to one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceOp {
    /// Sum.
    Sum,
    /// Product.
    Prod,
    /// Largest; NaN wins.
    Max,
    /// Smallest; NaN wins.
    Min,
    /// Whether any is true (of `bool`).
    Any,
    /// Whether all are true (of `bool`).
    All,
}

/// Ways to accumulate along a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanOp {
    /// Running sum.
    Sum,
    /// Running product.
    Prod,
    /// Running maximum.
    Max,
    /// Running minimum.
    Min,
}

/// Distributions of random draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RandomKind {
    /// Uniform in `[0, 1)`.
    Uniform,
    /// Standard normal.
    Normal,
    /// Integers in `[low, high)`.
    Integer {
        /// Least value.
        low: i64,
        /// One above the greatest value.
        high: i64,
    },
}

/// What scaled dot-product attention does besides the products.
///
/// Operands: queries `[batch, n_heads, seq_q, d_head]`, keys `[batch, n_kv_heads, seq_k, d_head]`, values
/// `[batch, n_kv_heads, seq_k, d_value]`, and, if `masked`, a bool mask that broadcasts to
/// `[batch, n_heads, seq_q, seq_k]` and is true where a query may look.
/// A query that sees nothing gives zeros.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Factor on the scores.
    pub scale: f32,
    /// Query `i` sees keys up to `i + seq_k - seq_q` only.
    pub causal: bool,
    /// With `causal`, the number of keys, its own included, that a query sees at most.
    pub window: Option<usize>,
    /// Scores become `cap * tanh(scores / cap)`, as in Gemma 2.
    pub softcap: Option<f32>,
}

impl Eq for Attention {}

impl std::hash::Hash for Attention {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.scale.to_bits().hash(state);
        self.causal.hash(state);
        self.window.hash(state);
        self.softcap.map(f32::to_bits).hash(state);
    }
}

/// How channels are paired in a rotary embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RotaryPairs {
    /// Channel `i` with `i + d/2` (GPT-NeoX, Llama).
    Halves,
    /// Channel `2i` with `2i + 1` (GPT-J).
    Adjacent,
}

/// A permutation of dimensions.
pub type Perm = SmallVec<[u8; 8]>;

/// One operation. Shapes and types stand on the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Data given from outside, identified by a number that is never used again.
    Leaf {
        /// The identity; an updated parameter has a new one.
        id: u64,
    },
    /// Small data given from outside, identified by its bytes.
    Literal(Arc<[u8]>),
    /// One number everywhere.
    Full(Scalar),
    /// `start, start + step, ...` in one dimension.
    Arange {
        /// First value.
        start: Scalar,
        /// Difference of neighbours.
        step: Scalar,
    },
    /// Draws from a counter-based stream; equal seeds and offsets give equal draws, so draws are told apart by them.
    Random {
        /// The distribution.
        kind: RandomKind,
        /// The seed of the stream.
        seed: u64,
        /// Position in the stream of the first draw.
        offset: u64,
    },
    /// The operand itself, as a place of its own: never merged with another.
    Identity {
        /// The identity.
        id: u64,
    },
    /// The operand itself, past which gradients do not flow.
    Detach,
    /// Elementwise function of one operand.
    Unary(UnaryOp),
    /// Elementwise function of two operands of one shape.
    Binary(BinaryOp),
    /// Second operand where the first (bool) is true, else the third; all of one shape.
    Where,
    /// Conversion to the node's type.
    Cast,
    /// `[..., m, k] x [..., k, n]`; the right operand has two dimensions or the left's leading ones.
    Matmul,
    /// Reduction of the dimensions in a bit set; reduced dimensions stay with size one.
    Reduce {
        /// How.
        op: ReduceOp,
        /// Bit `i` set: dimension `i` is reduced.
        axes: u32,
    },
    /// Index of the extreme element along a dimension, the first of equals; the dimension stays with size one.
    ArgExtreme {
        /// Largest, else smallest.
        largest: bool,
        /// The dimension.
        axis: u8,
    },
    /// Softmax over the last dimension.
    Softmax,
    /// Logarithm of the softmax over the last dimension.
    LogSoftmax,
    /// Gradient of softmax: operands the softmax's output and its gradient.
    SoftmaxGrad,
    /// Gradient of log-softmax: operands the log-softmax's output and its gradient.
    LogSoftmaxGrad,
    /// `(x - mean) / sqrt(var + eps) * weight + bias` over the last dimension; weight and bias may be absent.
    LayerNorm {
        /// Bits of the `f32` added to the variance.
        eps: u32,
        /// Whether the second operand is a weight.
        weight: bool,
        /// Whether the last operand is a bias.
        bias: bool,
    },
    /// Gradient of layer norm at its input: operands input, output's gradient, and the weight if any.
    LayerNormGrad {
        /// Bits of the `f32` added to the variance.
        eps: u32,
        /// Whether there is a weight.
        weight: bool,
    },
    /// `x / sqrt(mean(x^2) + eps) * (offset + weight)` over the last dimension.
    RmsNorm {
        /// Bits of the `f32` added to the mean square.
        eps: u32,
        /// Bits of the `f32` added to the weight: 0 in Llama, 1 in Gemma.
        offset: u32,
        /// Rounds to the input's type before the weight is applied (Llama), else after (Gemma).
        round_first: bool,
    },
    /// Gradient of RMS norm at its input: operands input, weight, output's gradient.
    RmsNormGrad {
        /// As in the norm.
        eps: u32,
        /// As in the norm.
        offset: u32,
    },
    /// Scaled dot-product attention.
    Attention {
        /// Its parameters.
        spec: Attention,
        /// Whether the fourth operand is a mask.
        masked: bool,
    },
    /// Rotary position embedding of the last dimension: operands `x [..., seq, d]`, `cos` and `sin`, both
    /// `[..., seq, d/2]` (broadcast over leading dimensions).
    Rotary(RotaryPairs),
    /// Elements of the first operand at the positions in the others, which index its leading dimensions together.
    /// `x [a, b, ..rest]`, indices of shape `s` -> `[..s, ..rest]`.
    Index {
        /// The number of leading dimensions indexed.
        n: u8,
    },
    /// The first operand with the last operand's elements at indexed positions; the operands between are indices.
    IndexPut {
        /// The number of leading dimensions indexed.
        n: u8,
        /// Adds to what is there (repeated positions add up), else replaces it (the last of repeated ones stays).
        accumulate: bool,
    },
    /// `torch.gather` along a dimension.
    Gather {
        /// The dimension.
        axis: u8,
    },
    /// `torch.scatter` along a dimension: operands base, index, source.
    Scatter {
        /// The dimension.
        axis: u8,
        /// Adds, else replaces.
        accumulate: bool,
    },
    /// Every `step`-th element of a dimension; the node's shape tells how many. A negative step walks backwards.
    Slice {
        /// The dimension.
        axis: u8,
        /// The first element.
        start: usize,
        /// The distance of neighbours; not zero.
        step: isize,
    },
    /// The first operand with a slice replaced by the second.
    SliceAssign {
        /// The dimension.
        axis: u8,
        /// The first element.
        start: usize,
        /// The distance of neighbours; not zero.
        step: isize,
    },
    /// The same elements, in row-major order, in the node's shape.
    Reshape,
    /// Dimension `i` of the result is dimension `perm[i]` of the operand.
    Permute(Perm),
    /// Dimensions of size one repeated to the node's shape (of equal rank).
    Expand,
    /// Operands one after the other along a dimension.
    Concat {
        /// The dimension.
        axis: u8,
    },
    /// Positions that sort the last dimension, stable.
    Argsort {
        /// Largest first.
        descending: bool,
    },
    /// Positions of the `k` extreme elements of the last dimension, best first.
    TopK {
        /// Largest, else smallest.
        largest: bool,
    },
    /// Running reduction along a dimension.
    Scan {
        /// How.
        op: ScanOp,
        /// The dimension.
        axis: u8,
    },
    /// Two-dimensional cross-correlation of `[batch, c_in, h, w]` with `[c_out, c_in / groups, kh, kw]`.
    Conv2d {
        /// Step in height and width.
        stride: [u16; 2],
        /// Zeros around height and width.
        padding: [u16; 2],
        /// Distance of kernel elements in height and width.
        dilation: [u16; 2],
        /// Groups of channels.
        groups: u16,
    },
}

impl Op {
    /// A short name for messages and printed graphs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Op::Leaf { .. } => "leaf",
            Op::Literal(_) => "literal",
            Op::Full(_) => "full",
            Op::Arange { .. } => "arange",
            Op::Random { .. } => "random",
            Op::Identity { .. } => "identity",
            Op::Detach => "detach",
            Op::Unary(u) => u.name(),
            Op::Binary(b) => b.name(),
            Op::Where => "where",
            Op::Cast => "cast",
            Op::Matmul => "matmul",
            Op::Reduce { op, .. } => match op {
                ReduceOp::Sum => "sum",
                ReduceOp::Prod => "prod",
                ReduceOp::Max => "amax",
                ReduceOp::Min => "amin",
                ReduceOp::Any => "any",
                ReduceOp::All => "all",
            },
            Op::ArgExtreme { largest: true, .. } => "argmax",
            Op::ArgExtreme { .. } => "argmin",
            Op::Softmax => "softmax",
            Op::LogSoftmax => "log_softmax",
            Op::SoftmaxGrad => "softmax_grad",
            Op::LogSoftmaxGrad => "log_softmax_grad",
            Op::LayerNorm { .. } => "layer_norm",
            Op::LayerNormGrad { .. } => "layer_norm_grad",
            Op::RmsNorm { .. } => "rms_norm",
            Op::RmsNormGrad { .. } => "rms_norm_grad",
            Op::Attention { .. } => "attention",
            Op::Rotary(_) => "rotary",
            Op::Index { .. } => "index",
            Op::IndexPut { .. } => "index_put",
            Op::Gather { .. } => "gather",
            Op::Scatter { .. } => "scatter",
            Op::Slice { .. } => "slice",
            Op::SliceAssign { .. } => "slice_assign",
            Op::Reshape => "reshape",
            Op::Permute(_) => "permute",
            Op::Expand => "expand",
            Op::Concat { .. } => "cat",
            Op::Argsort { .. } => "argsort",
            Op::TopK { .. } => "topk",
            Op::Scan { op, .. } => match op {
                ScanOp::Sum => "cumsum",
                ScanOp::Prod => "cumprod",
                ScanOp::Max => "cummax",
                ScanOp::Min => "cummin",
            },
            Op::Conv2d { .. } => "conv2d",
        }
    }

    /// Whether the result is another arrangement of the operand's memory, with nothing computed.
    #[must_use]
    pub const fn is_view(&self) -> bool {
        matches!(
            self,
            Op::Slice { .. } | Op::Reshape | Op::Permute(_) | Op::Expand | Op::Identity { .. } | Op::Detach
        )
    }
}

macro_rules! names {
    ($t:ty { $($v:ident => $n:literal),* $(,)? }) => {
        impl $t {
            /// PyTorch's name of the function.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(<$t>::$v => $n),* }
            }
        }
    };
}

names!(UnaryOp {
    Neg => "neg", Abs => "abs", Sign => "sign", Exp => "exp", Expm1 => "expm1", Log => "log", Log1p => "log1p",
    Sqrt => "sqrt", Rsqrt => "rsqrt", Reciprocal => "reciprocal", Sin => "sin", Cos => "cos", Tan => "tan",
    Tanh => "tanh", Erf => "erf", Sigmoid => "sigmoid", Relu => "relu", Silu => "silu", GeluErf => "gelu",
    GeluTanh => "gelu_tanh", Floor => "floor", Ceil => "ceil", Round => "round", Trunc => "trunc",
    BitNot => "bitwise_not", LogicalNot => "logical_not", IsNan => "isnan", IsInf => "isinf",
});

names!(BinaryOp {
    Add => "add", Sub => "sub", Mul => "mul", Div => "div", FloorDiv => "floor_divide", Remainder => "remainder",
    Fmod => "fmod", Pow => "pow", Maximum => "maximum", Minimum => "minimum", Atan2 => "atan2",
    BitAnd => "bitwise_and", BitOr => "bitwise_or", BitXor => "bitwise_xor", ShiftLeft => "bitwise_left_shift",
    ShiftRight => "bitwise_right_shift", Eq => "eq", Ne => "ne", Lt => "lt", Le => "le", Gt => "gt", Ge => "ge",
    GeluTanhGrad => "gelu_tanh_grad", GeluErfGrad => "gelu_grad", SiluGrad => "silu_grad",
});

/// The type a float function of an operand of `dtype` computes in.
#[must_use]
pub const fn float_type(dtype: DType) -> DType {
    if dtype.is_float() { dtype } else { DType::F32 }
}
