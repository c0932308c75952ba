//! Which elementwise operations run in tiles, and as what.

use pellucid_kernels::elementwise::{BinaryKind, UnaryKind};

use crate::dtype::DType;
use crate::op::{BinaryOp, Op, UnaryOp};

/// An elementwise function of `f32` numbers and truth values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Function {
    /// A kernel of one number.
    Unary(UnaryKind),
    /// Any function of one number.
    Map(fn(f32) -> f32),
    /// A truth about one number.
    Test(fn(f32) -> bool),
    /// The number itself, rounded to the step's type.
    Copy,
    /// Zero or one.
    FromTruth,
    /// Whether a number is not zero.
    Truth,
    /// The opposite truth value.
    Not,
    /// A kernel of two numbers.
    Binary(BinaryKind),
    /// Any function of two numbers.
    Zip(fn(f32, f32) -> f32),
    /// A comparison of numbers.
    Compare(BinaryOp),
    /// A function of two truth values.
    Logic(BinaryOp),
    /// A choice of two numbers by a truth value.
    Where,
}

/// The kernel that does the same with its operands swapped, to the bit.
pub(super) fn reversed(kind: BinaryKind) -> Option<BinaryKind> {
    Some(match kind {
        BinaryKind::Add => BinaryKind::Add,
        BinaryKind::Mul => BinaryKind::Mul,
        BinaryKind::Sub => BinaryKind::SubReversed,
        BinaryKind::Div => BinaryKind::DivReversed,
        BinaryKind::SubReversed => BinaryKind::Sub,
        BinaryKind::DivReversed => BinaryKind::Div,
        _ => return None,
    })
}

fn is_tiled(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

impl Function {
    /// The function of an operation, if it runs in tiles with operands and result of these types.
    pub(super) fn of(op: &Op, operand: DType, result: DType) -> Option<Function> {
        let number = is_tiled(operand);
        let truth = operand == DType::Bool;
        match op {
            Op::Unary(op) if number => unary(*op),
            Op::Unary(UnaryOp::LogicalNot | UnaryOp::BitNot) if truth => Some(Function::Not),
            Op::Binary(op) if number && op.is_comparison() => Some(Function::Compare(*op)),
            Op::Binary(op) if number => binary(*op),
            Op::Binary(op) if truth => match op {
                BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor => Some(Function::Logic(*op)),
                op if op.is_comparison() => Some(Function::Logic(*op)),
                _ => None,
            },
            Op::Where if is_tiled(result) => Some(Function::Where),
            Op::Cast if number && is_tiled(result) => Some(Function::Copy),
            Op::Cast if number && result == DType::Bool => Some(Function::Truth),
            Op::Cast if truth && is_tiled(result) => Some(Function::FromTruth),
            _ => None,
        }
    }

    /// Whether an element takes much longer than a sum.
    pub(super) fn is_costly(&self) -> bool {
        match self {
            Function::Map(_) | Function::Zip(_) => true,
            Function::Unary(kind) => !matches!(
                kind,
                UnaryKind::Neg | UnaryKind::Abs | UnaryKind::Square | UnaryKind::Relu | UnaryKind::Floor
            ),
            Function::Binary(kind) => matches!(
                kind,
                BinaryKind::GeluTanhBackward | BinaryKind::GeluErfBackward | BinaryKind::SiluBackward
            ),
            _ => false,
        }
    }
}

/// A function computed in double precision.
macro_rules! exact {
    ($f:expr) => {
        Function::Map(|x| {
            let f: fn(f64) -> f64 = $f;
            f(f64::from(x)) as f32
        })
    };
}

fn unary(op: UnaryOp) -> Option<Function> {
    use UnaryOp as U;
    Some(Function::Unary(match op {
        U::Neg => UnaryKind::Neg,
        U::Abs => UnaryKind::Abs,
        // Zero for NaN, as PyTorch.
        U::Sign => return Some(Function::Map(|x| f32::from(i8::from(x > 0.0) - i8::from(x < 0.0)))),
        U::Exp => UnaryKind::Exp,
        U::Expm1 => return Some(exact!(f64::exp_m1)),
        U::Log => UnaryKind::Log,
        U::Log1p => return Some(exact!(f64::ln_1p)),
        U::Sqrt => UnaryKind::Sqrt,
        U::Rsqrt => UnaryKind::Rsqrt,
        U::Reciprocal => UnaryKind::Reciprocal,
        U::Sin => UnaryKind::Sin,
        U::Cos => UnaryKind::Cos,
        U::Tan => return Some(exact!(f64::tan)),
        U::Tanh => UnaryKind::Tanh,
        U::Erf => UnaryKind::Erf,
        U::Sigmoid => UnaryKind::Sigmoid,
        U::Relu => UnaryKind::Relu,
        U::Silu => UnaryKind::Silu,
        U::GeluErf => UnaryKind::GeluErf,
        U::GeluTanh => UnaryKind::GeluTanh,
        U::Floor => UnaryKind::Floor,
        U::Ceil => UnaryKind::Ceil,
        U::Round => UnaryKind::Round,
        U::Trunc => UnaryKind::Trunc,
        U::LogicalNot => return Some(Function::Test(|x| x == 0.0)),
        U::IsNan => return Some(Function::Test(f32::is_nan)),
        U::IsInf => return Some(Function::Test(f32::is_infinite)),
        U::BitNot => return None,
    }))
}

fn binary(op: BinaryOp) -> Option<Function> {
    use BinaryOp as B;
    Some(Function::Binary(match op {
        B::Add => BinaryKind::Add,
        B::Sub => BinaryKind::Sub,
        B::Mul => BinaryKind::Mul,
        B::Div => BinaryKind::Div,
        B::Pow => return Some(Function::Zip(power)),
        B::Maximum => BinaryKind::Max,
        B::Minimum => BinaryKind::Min,
        B::GeluTanhGrad => BinaryKind::GeluTanhBackward,
        B::GeluErfGrad => BinaryKind::GeluErfBackward,
        B::SiluGrad => BinaryKind::SiluBackward,
        B::Fmod => return Some(Function::Zip(|a, b| a % b)),
        B::Remainder => return Some(Function::Zip(remainder)),
        B::Atan2 => return Some(Function::Zip(|a, b| f64::from(a).atan2(f64::from(b)) as f32)),
        _ => return None,
    }))
}

fn remainder(a: f32, b: f32) -> f32 {
    let rest = a % b;
    if rest != 0.0 && (b < 0.0) != (rest < 0.0) { rest + b } else { rest }
}

/// The power, in double precision, as the reference has it; the square of a number is exact there.
fn power(a: f32, b: f32) -> f32 {
    if b == 2.0 { a * a } else { f64::from(a).powf(f64::from(b)) as f32 }
}
