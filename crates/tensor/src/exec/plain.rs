//! Elementwise loops over the types that do not run in tiles: integers, doubles, and elements that are only moved.

use bytemuck::Pod;
use half::{bf16, f16};

use super::parts::over_parts;
use crate::dtype::DType;
use crate::op::BinaryOp;
use crate::value::Value;

/// Elements that make a task worth handing to another thread.
const GRAIN: usize = 16 * 1024;

/// Whether one element stands for all.
fn is_uniform(value: &Value) -> bool {
    value.numel() > 0
        && value.dims.iter().zip(&value.strides).all(|(&size, &stride)| size == 1 || stride == 0)
}

/// An operand: all of its elements, or the one they all are.
enum Operand<'a, T> {
    All(&'a [T]),
    One(T),
}

impl<T: Copy> Operand<'_, T> {
    fn part(&self, start: usize, len: usize) -> Operand<'_, T> {
        match self {
            Operand::All(all) => Operand::All(&all[start..start + len]),
            Operand::One(x) => Operand::One(*x),
        }
    }

    fn at(&self, i: usize) -> T {
        match self {
            Operand::All(all) => all[i],
            Operand::One(x) => *x,
        }
    }
}

/// A value that [`operand`] can read.
fn readable(value: &Value) -> Value {
    if is_uniform(value) { value.clone() } else { value.contiguous() }
}

fn operand<T: Pod>(value: &Value) -> Operand<'_, T> {
    if is_uniform(value) {
        let size = size_of::<T>();
        let bytes = &value.buffer.bytes()[value.offset * size..(value.offset + 1) * size];
        return Operand::One(bytemuck::pod_read_unaligned(bytes));
    }
    Operand::All(bytemuck::cast_slice(value.bytes()))
}

/// Applies `f` to every element; to one, if that is what they all are.
fn map<S: Pod + Sync, D: Pod + Send>(x: &Value, dtype: DType, f: impl Fn(S) -> D + Sync) -> Value {
    let x = readable(x);
    let uniform = is_uniform(&x);
    let dims: &[usize] = if uniform { &[1] } else { x.dims() };
    let mut out = Value::alloc(dims, dtype);
    let elements = operand::<S>(&x);
    let all: &mut [D] = bytemuck::cast_slice_mut(out.bytes_mut());
    over_parts(all, GRAIN, 64, &|start, part| match elements.part(start, part.len()) {
        Operand::All(x) => part.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x)),
        Operand::One(x) => part.fill(f(x)),
    });
    if uniform {
        out.dims = x.dims.clone();
        out.strides = x.dims.iter().map(|_| 0).collect();
    }
    out
}

/// Applies `f` to every pair of elements.
fn zip<S: Pod + Sync, D: Pod + Send>(
    a: &Value,
    b: &Value,
    dtype: DType,
    f: impl Fn(S, S) -> D + Sync,
) -> Value {
    let (a, b) = (readable(a), readable(b));
    let mut out = Value::alloc(a.dims(), dtype);
    let (left, right) = (operand::<S>(&a), operand::<S>(&b));
    let all: &mut [D] = bytemuck::cast_slice_mut(out.bytes_mut());
    over_parts(all, GRAIN, 64, &|start, part| match (
        left.part(start, part.len()),
        right.part(start, part.len()),
    ) {
        (Operand::All(a), Operand::All(b)) => {
            part.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b));
        }
        (Operand::All(a), Operand::One(b)) => part.iter_mut().zip(a).for_each(|(y, &a)| *y = f(a, b)),
        (Operand::One(a), Operand::All(b)) => part.iter_mut().zip(b).for_each(|(y, &b)| *y = f(a, b)),
        (Operand::One(a), Operand::One(b)) => part.fill(f(a, b)),
    });
    out
}

/// The element-wise function of two operands, if there is a loop for it here.
pub(super) fn binary(op: BinaryOp, a: &Value, b: &Value, dtype: DType) -> Option<Value> {
    if op.is_comparison() {
        return Some(match a.dtype {
            DType::I64 => compare::<i64>(op, a, b),
            DType::I32 => compare::<i32>(op, a, b),
            DType::U8 => compare::<u8>(op, a, b),
            DType::F64 => compare::<f64>(op, a, b),
            _ => return None,
        });
    }
    use BinaryOp as B;
    match (a.dtype, op) {
        (DType::I64, B::Add) => Some(zip(a, b, dtype, i64::wrapping_add)),
        (DType::I64, B::Sub) => Some(zip(a, b, dtype, i64::wrapping_sub)),
        (DType::I64, B::Mul) => Some(zip(a, b, dtype, i64::wrapping_mul)),
        (DType::I64, B::Maximum) => Some(zip(a, b, dtype, |a: i64, b: i64| a.max(b))),
        (DType::I64, B::Minimum) => Some(zip(a, b, dtype, |a: i64, b: i64| a.min(b))),
        (DType::I64, B::BitAnd) => Some(zip(a, b, dtype, |a: i64, b: i64| a & b)),
        (DType::I64, B::BitOr) => Some(zip(a, b, dtype, |a: i64, b: i64| a | b)),
        (DType::F64, B::Add) => Some(zip(a, b, dtype, |a: f64, b: f64| a + b)),
        (DType::F64, B::Sub) => Some(zip(a, b, dtype, |a: f64, b: f64| a - b)),
        (DType::F64, B::Mul) => Some(zip(a, b, dtype, |a: f64, b: f64| a * b)),
        (DType::F64, B::Div) => Some(zip(a, b, dtype, |a: f64, b: f64| a / b)),
        _ => None,
    }
}

fn compare<T: Pod + PartialOrd + Sync>(op: BinaryOp, a: &Value, b: &Value) -> Value {
    use BinaryOp as B;
    let out = DType::Bool;
    match op {
        B::Eq => zip(a, b, out, |a: T, b: T| u8::from(a == b)),
        B::Ne => zip(a, b, out, |a: T, b: T| u8::from(a != b)),
        B::Lt => zip(a, b, out, |a: T, b: T| u8::from(a < b)),
        B::Le => zip(a, b, out, |a: T, b: T| u8::from(a <= b)),
        B::Gt => zip(a, b, out, |a: T, b: T| u8::from(a > b)),
        _ => zip(a, b, out, |a: T, b: T| u8::from(a >= b)),
    }
}

/// Elements of the second operand where the first is true, else of the third, of any type.
pub(super) fn choose(condition: &Value, on_true: &Value, on_false: &Value) -> Value {
    fn of<T: Pod + Send + Sync>(condition: &Value, on_true: &Value, on_false: &Value) -> Value {
        let (c, t, f) = (readable(condition), readable(on_true), readable(on_false));
        let mut out = Value::alloc(t.dims(), t.dtype);
        let (c, t, f) = (operand::<u8>(&c), operand::<T>(&t), operand::<T>(&f));
        let all: &mut [T] = bytemuck::cast_slice_mut(out.bytes_mut());
        over_parts(all, GRAIN, 64, &|start, part| {
            for (i, y) in part.iter_mut().enumerate() {
                *y = if c.at(start + i) != 0 { t.at(start + i) } else { f.at(start + i) };
            }
        });
        out
    }
    match on_true.dtype.size() {
        1 => of::<u8>(condition, on_true, on_false),
        2 => of::<u16>(condition, on_true, on_false),
        4 => of::<u32>(condition, on_true, on_false),
        _ => of::<u64>(condition, on_true, on_false),
    }
}

/// Conversions to and from types that do not run in tiles, if there is a loop for it here.
pub(super) fn cast(x: &Value, dtype: DType) -> Option<Value> {
    use DType as D;
    Some(match (x.dtype, dtype) {
        (D::Bool, D::I64) => map(x, dtype, |x: u8| i64::from(x != 0)),
        (D::Bool, D::I32) => map(x, dtype, |x: u8| i32::from(x != 0)),
        (D::Bool, D::F64) => map(x, dtype, |x: u8| f64::from(u8::from(x != 0))),
        (D::I64, D::Bool) => map(x, dtype, |x: i64| u8::from(x != 0)),
        (D::I64, D::I32) => map(x, dtype, |x: i64| x as i32),
        (D::I64, D::F32) => map(x, dtype, |x: i64| x as f32),
        (D::I64, D::F64) => map(x, dtype, |x: i64| x as f64),
        (D::I64, D::BF16) => map(x, dtype, |x: i64| bf16::from_f32(x as f32)),
        (D::I64, D::F16) => map(x, dtype, |x: i64| f16::from_f32(x as f32)),
        (D::I32, D::I64) => map(x, dtype, |x: i32| i64::from(x)),
        (D::F32, D::I64) => map(x, dtype, |x: f32| x as i64),
        (D::F32, D::F64) => map(x, dtype, |x: f32| f64::from(x)),
        (D::F16, D::F64) => map(x, dtype, |x: f16| x.to_f64()),
        (D::BF16, D::F64) => map(x, dtype, |x: bf16| x.to_f64()),
        (D::F64, D::F32) => map(x, dtype, |x: f64| x as f32),
        (D::F64, D::I64) => map(x, dtype, |x: f64| x as i64),
        _ => return None,
    })
}

/// One number everywhere, held once.
pub(super) fn full(value: crate::Scalar, dims: &[usize], dtype: DType) -> Value {
    let mut out = Value::alloc(&[1], dtype);
    match dtype {
        DType::Bool => out.slice_mut::<u8>()[0] = u8::from(value.to_i64() != 0),
        DType::U8 => out.slice_mut::<u8>()[0] = value.to_i64() as u8,
        DType::I32 => out.slice_mut::<i32>()[0] = value.to_i64() as i32,
        DType::I64 => out.slice_mut::<i64>()[0] = value.to_i64(),
        DType::F16 => out.slice_mut::<f16>()[0] = f16::from_f64(value.to_f64()),
        DType::BF16 => out.slice_mut::<bf16>()[0] = bf16::from_f64(value.to_f64()),
        DType::F32 => out.slice_mut::<f32>()[0] = value.to_f64() as f32,
        DType::F64 => out.slice_mut::<f64>()[0] = value.to_f64(),
    }
    out.dims = dims.into();
    out.strides = dims.iter().map(|_| 0).collect();
    out
}
