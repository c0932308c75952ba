//! Matrix products, with what is applied to them before they leave the cache.

use pellucid_kernels::elementwise::{BinaryKind, binary_in_place, binary_row_in_place, unary_in_place};
use pellucid_kernels::gemm::{Activation, Epilogue, MatmulShape, Residual, matmul_packed, matmul_strided};
use smallvec::SmallVec;

use super::packed::weight;
use super::strided::reshape_strides;
use super::{narrowed, widened};
use crate::dtype::DType;
use crate::graph::Tensor;
use crate::shape::{contiguous_strides, numel};
use crate::value::Value;

/// Rows for which the kernel multiplies a right side of contiguous rows where it stands.
const DIRECT_ROWS: usize = 8;

/// What follows a product: a bias per column, an activation, a residual of the product's shape.
#[derive(Clone, Debug, Default)]
pub(super) struct Finish {
    pub(super) bias: Option<Value>,
    pub(super) activation: Option<Activation>,
    pub(super) residual: Option<Value>,
}

/// A view of two dimensions with strides that do not walk backwards.
struct Matrix {
    value: Value,
    strides: [usize; 2],
}

/// The value as `[rows, last]`, copied if no strides show it so.
fn matrix(value: &Value) -> Matrix {
    let cols = value.dims().last().copied().unwrap_or(1);
    let dims = [value.numel().checked_div(cols).unwrap_or(0), cols];
    let strides = reshape_strides(&value.dims, &value.strides, &dims)
        .and_then(|s| Some([usize::try_from(s[0]).ok()?, usize::try_from(s[1]).ok()?]));
    match strides {
        Some(strides) => Matrix { value: value.clone(), strides },
        None => Matrix { value: value.contiguous(), strides: [cols, 1] },
    }
}

impl Matrix {
    fn elements(&self) -> &[f32] {
        &self.value.block::<f32>()[self.value.offset..]
    }
}

/// The product of `product`'s operands, finished, in the shape `dims`.
pub(super) fn matmul(
    product: &Tensor,
    lhs: &Value,
    rhs: &Value,
    finish: &Finish,
    dims: &[usize],
) -> Option<Value> {
    let dtype = product.dtype();
    if !matches!(dtype, DType::F32 | DType::F16 | DType::BF16) {
        return None;
    }
    let mut out = Value::alloc(dims, DType::F32);
    if out.numel() == 0 {
        return Some(narrowed(out, dtype));
    }
    let lhs = widened(lhs);
    if rhs.dims().len() == 2 {
        let (k, n) = (rhs.dims()[0], rhs.dims()[1]);
        let mut a = matrix(&lhs);
        let m = out.numel() / n;
        let weight = weight(&product.inputs()[1]);
        let panels = weight.and_then(|(leaf, transposed)| {
            let direct = m <= DIRECT_ROWS && rhs.strides[1] == 1 && dtype == DType::F32;
            product.engine().packed().panels(leaf, transposed, rhs, direct)
        });
        if let Some(panels) = panels {
            if a.strides[1] != 1 || (m > 1 && a.strides[0] < k) {
                a = matrix(&copied(&lhs));
            }
            let bias = finish.bias.as_ref().map(Value::contiguous);
            let residual = finish.residual.as_ref().map(Value::contiguous);
            let epilogue = Epilogue {
                bias: bias.as_ref().map(|b| b.slice::<f32>()),
                activation: finish.activation,
                residual: residual.as_ref().map(|r| Residual { values: r.slice(), ld: n }),
            };
            let lda = if m > 1 { a.strides[0] } else { k };
            matmul_packed(a.elements(), lda, m, &panels, out.slice_mut(), n, &epilogue);
            return Some(narrowed(out, dtype));
        }
        let b = matrix(&widened(rhs));
        let shape = MatmulShape {
            batch: [1, 1],
            m,
            n,
            k,
            a_strides: [0, 0, a.strides[0], a.strides[1]],
            b_strides: [0, 0, b.strides[0], b.strides[1]],
            c_strides: [0, 0, n, 1],
        };
        matmul_strided(a.elements(), b.elements(), out.slice_mut(), &shape);
    } else {
        batched(&lhs, &widened(rhs), &mut out);
    }
    apply(finish, &mut out);
    Some(narrowed(out, dtype))
}

fn copied(value: &Value) -> Value {
    let mut out = super::result_like(value);
    super::copy_strided(value, out.bytes_mut());
    out
}

/// Batch dimensions that both sides walk with one stride each are joined: sizes, strides of the left, of the right.
fn batches(lhs: &Value, rhs: &Value) -> SmallVec<[(usize, usize, usize); 4]> {
    let mut out: SmallVec<[(usize, usize, usize); 4]> = SmallVec::new();
    for d in 0..lhs.dims().len() - 2 {
        let (size, a, b) = (lhs.dims[d], lhs.strides[d] as usize, rhs.strides[d] as usize);
        if size == 1 {
            continue;
        }
        match out.last_mut() {
            Some((count, a_outer, b_outer)) if *a_outer == a * size && *b_outer == b * size => {
                (*count, *a_outer, *b_outer) = (*count * size, a, b);
            }
            _ => out.push((size, a, b)),
        }
    }
    out
}

/// Products of two stacks of matrices.
fn batched(lhs: &Value, rhs: &Value, out: &mut Value) {
    let forwards = |v: &Value| if v.strides.iter().any(|&s| s < 0) { copied(v) } else { v.clone() };
    let (lhs, rhs) = (forwards(lhs), forwards(rhs));
    let rank = lhs.dims.len();
    let (m, k, n) = (lhs.dims[rank - 2], lhs.dims[rank - 1], rhs.dims[rank - 1]);
    let tail = |v: &Value| [v.strides[rank - 2] as usize, v.strides[rank - 1] as usize];
    let (a_tail, b_tail) = (tail(&lhs), tail(&rhs));
    let mut batches = batches(&lhs, &rhs);
    let inner = batches.pop().unwrap_or((1, 0, 0));
    let outer = batches.pop().unwrap_or((1, 0, 0));
    let shape = MatmulShape {
        batch: [outer.0, inner.0],
        m,
        n,
        k,
        a_strides: [outer.1, inner.1, a_tail[0], a_tail[1]],
        b_strides: [outer.2, inner.2, b_tail[0], b_tail[1]],
        c_strides: [inner.0 * m * n, m * n, n, 1],
    };
    let (a, b) = (&lhs.block::<f32>()[lhs.offset..], &rhs.block::<f32>()[rhs.offset..]);
    // Further batch dimensions, which hardly occur, go one by one.
    let block = outer.0 * inner.0 * m * n;
    for (i, c) in out.slice_mut::<f32>().chunks_exact_mut(block).enumerate() {
        let (mut rest, mut at_a, mut at_b) = (i, 0, 0);
        for &(size, a, b) in batches.iter().rev() {
            at_a += rest % size * a;
            at_b += rest % size * b;
            rest /= size;
        }
        matmul_strided(&a[at_a..], &b[at_b..], c, &shape);
    }
}

/// What an epilogue does, as passes over the finished product: the same roundings.
fn apply(finish: &Finish, out: &mut Value) {
    if let Some(bias) = &finish.bias {
        binary_row_in_place(BinaryKind::Add, out.slice_mut(), bias.contiguous().slice());
    }
    if let Some(activation) = finish.activation {
        unary_in_place(activation.into(), out.slice_mut());
    }
    if let Some(residual) = &finish.residual {
        binary_in_place(BinaryKind::Add, out.slice_mut(), residual.contiguous().slice());
    }
}

/// A two-dimensional convolution as a product of the kernel matrix with columns of the image's patches.
pub(super) struct Patches {
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) groups: usize,
}

impl Patches {
    pub(super) fn convolve(&self, x: &Value, weight: &Value, dims: &[usize]) -> Value {
        let (x, weight) = (x.contiguous(), weight.contiguous());
        let [c_in, h, w] = [x.dims[1], x.dims[2], x.dims[3]];
        let [c_out, c_group, kh, kw] = [weight.dims[0], weight.dims[1], weight.dims[2], weight.dims[3]];
        let mut out = Value::alloc(dims, DType::F32);
        let (out_h, out_w) = (dims[2], dims[3]);
        let (k, n) = (c_group * kh * kw, out_h * out_w);
        let m = c_out / self.groups.max(1);
        if out.numel() == 0 || k == 0 {
            out.slice_mut::<f32>().fill(0.0);
            return out;
        }
        let mut patches = Value::alloc(&[k, n], DType::F32);
        let shape = MatmulShape::contiguous(1, m, n, k);
        for (i, c) in out.slice_mut::<f32>().chunks_exact_mut(m * n).enumerate() {
            let (batch, group) = (i / self.groups, i % self.groups);
            let image = &x.slice::<f32>()[(batch * c_in + group * c_group) * h * w..][..c_group * h * w];
            super::parts::over_parts(patches.slice_mut::<f32>(), 16_384, n, &|start, part| {
                for (row, part) in part.chunks_exact_mut(n).enumerate() {
                    let row = start / n + row;
                    let (channel, ky, kx) = (row / (kh * kw), row / kw % kh, row % kw);
                    for (at, y) in part.iter_mut().enumerate() {
                        let inside = |o: usize, axis: usize, tap: usize, size: usize| {
                            let place = o * self.stride[axis] + tap * self.dilation[axis];
                            place.checked_sub(self.padding[axis]).filter(|&p| p < size)
                        };
                        let place = inside(at / out_w, 0, ky, h).zip(inside(at % out_w, 1, kx, w));
                        *y = place.map_or(0.0, |(py, px)| image[(channel * h + py) * w + px]);
                    }
                }
            });
            let kernel = &weight.slice::<f32>()[group * m * k..][..m * k];
            matmul_strided(kernel, patches.slice(), c, &shape);
        }
        out
    }
}

/// An undefined value for an attention output that lies as `[batch, seq, n_heads, d_value]`, so that joining
/// the heads copies nothing.
pub(super) fn heads_last(dims: &[usize]) -> Value {
    let [b, h, s, d] = [dims[0], dims[1], dims[2], dims[3]];
    let mut out = Value::alloc(&[b, s, h, d], DType::F32);
    let strides = contiguous_strides(&[b, s, h, d]);
    out.dims = dims.into();
    out.strides = SmallVec::from_slice(&[strides[0], strides[2], strides[1], strides[3]]);
    debug_assert_eq!(numel(dims), out.numel());
    out
}
