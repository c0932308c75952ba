//! The interpreter on its own: what the goldens, which go through the builder and the executor, do not reach.

use super::compute;
use crate::dtype::DType;
use crate::error::TensorError;
use crate::graph::{Engine, Tensor};
use crate::op::{Attention, Op};
use crate::value::Value;

fn value(data: &[f32], dims: &[usize]) -> Value {
    Value::from_bytes(bytemuck::cast_slice(data), DType::F32, dims)
}

fn counting(count: usize, modulus: usize, less: f32) -> Vec<f32> {
    (0..count).map(|i| (i % modulus) as f32 - less).collect()
}

#[test]
fn views_as_copies_equal_views_as_strides() {
    let engine = Engine::new();
    let x = engine.from_vec(counting(24, 24, 0.0), &[2, 3, 4]).unwrap();
    let turned = x.transpose(0, 2).unwrap().flip(&[1]).unwrap();
    let views: Vec<Tensor> = vec![
        turned.narrow(1, 1, 2).unwrap(),
        turned.flip(&[0]).unwrap(),
        turned.permute(&[1, 0, 2]).unwrap().flip(&[2]).unwrap(),
        turned.reshape(&[6, 4]).unwrap(),
        turned.narrow(0, 1, 1).unwrap().expand(&[5, 3, 2]).unwrap(),
        turned.narrow(0, 0, 0).unwrap(),
        turned.identity(),
    ];
    for view in views {
        let inputs: Vec<Value> = view.inputs().iter().map(|t| t.eval().unwrap()).collect();
        let copied = compute(view.op(), &inputs, view.dims(), view.dtype()).unwrap();
        assert_eq!(copied.bytes(), view.eval().unwrap().contiguous().bytes(), "{view:?}");
    }
}

#[test]
fn a_grouped_strided_dilated_padded_convolution_is_that_of_pytorch() {
    // torch.nn.functional.conv2d(x, w, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)
    let x = value(&counting(96, 7, 3.0), &[2, 4, 3, 4]);
    let w = value(&counting(48, 5, 2.0), &[4, 2, 2, 3]);
    let op = Op::Conv2d { stride: [2, 1], padding: [1, 2], dilation: [1, 2], groups: 2 };
    let y = compute(&op, &[x, w], &[2, 4, 2, 4], DType::F32).unwrap();
    let expected = [
        -5, -8, 5, 8, -8, 3, 4, -4, 0, 0, 5, 1, 3, -8, 5, 5, 0, 3, 0, 4, 8, -7, -1, -7, 0, -4, 0, -3, -9, -2,
        -3, 8, 5, -5, -5, 5, -5, -8, 5, 4, 0, 0, -5, 5, 0, 3, 5, 5, -3, 0, -4, 0, -5, 8, 5, -1, 4, 0, 3, 0,
        5, -9, 0, -3,
    ];
    assert_eq!(y.slice::<f32>(), expected.map(|i| i as f32));
}

#[test]
fn attention_is_its_pattern_times_the_values_to_the_bit() {
    let engine = Engine::new();
    for (rewrites, dtype) in [crate::Rewrites::OFF, crate::Rewrites::default()]
        .into_iter()
        .flat_map(|r| [DType::F32, DType::BF16, DType::F16, DType::F64].map(|d| (r, d)))
    {
        engine.set_rewrites(rewrites);
        let draw = |heads, seq, seed| engine.randn(&[2, heads, seq, 8], dtype, seed, 0);
        let (q, k, v) = (draw(4, 5, 1), draw(2, 7, 2), draw(2, 7, 3));
        let hidden = engine.randn(&[2, 4, 5, 7], DType::F32, 4, 0).gt_scalar(0.8).unwrap();
        for (window, softcap) in [(None, None), (Some(3), None), (None, Some(2.0))] {
            let spec = Attention { scale: 0.3, causal: true, window, softcap };
            for mask in [None, Some(&hidden)] {
                let whole = q.attention(&k, &v, mask, spec).unwrap();
                let pattern = q.attention_pattern(&k, mask, spec).unwrap();
                let steps = pattern.attend(&v).unwrap();
                assert_eq!((whole.dtype(), steps.dtype()), (dtype, dtype));
                assert!(pattern.dtype().size() >= 4);
                let bits = |t: &crate::Tensor| t.eval().unwrap().contiguous().bytes().to_vec();
                assert_eq!(bits(&whole), bits(&steps), "{dtype} {spec:?}");
            }
        }
    }
}

#[test]
fn a_product_is_one_chain_of_fused_multiply_adds() {
    // 1 + e squared is 1 + 2e + e^2; the fused step keeps e^2, and an exact -1 - 2e before it uncovers it.
    let e = f32::EPSILON;
    let (a, b) = (value(&[-1.0 - 2.0 * e, 1.0 + e], &[1, 2]), value(&[1.0, 1.0 + e], &[2, 1]));
    let y = compute(&Op::Matmul, &[a, b], &[1, 1], DType::F32).unwrap();
    assert_eq!(y.slice::<f32>(), [e * e]);
}

#[test]
fn half_precision_rounds_once() {
    // In bf16, 256 + 1 is 256; a chain in single precision remembers the ones.
    let engine = Engine::new();
    let a = engine.from_vec(vec![256.0f32, 1.0, 1.0], &[1, 3]).unwrap().cast(DType::BF16);
    let ones = engine.ones(&[3, 1], DType::BF16);
    assert_eq!(a.matmul(&ones).unwrap().to_f64s().unwrap(), [258.0]);
    assert_eq!(a.sum(&[], false).unwrap().to_f64s().unwrap(), [258.0]);
}

#[test]
fn positions_outside_a_dimension_are_errors_that_name_them() {
    let x = value(&[0.0; 6], &[2, 3]);
    let at = |i: i64| Value::from_bytes(&i.to_ne_bytes(), DType::I64, &[1]);
    let op = Op::Index { n: 2 };
    let found = compute(&op, &[x.clone(), at(-2), at(3)], &[1], DType::F32).unwrap_err();
    assert_eq!(found, TensorError::IndexValue { op: "index", index: 3, dim: 1, size: 3 });
    let found = compute(&op, &[x, at(-3), at(0)], &[1], DType::F32).unwrap_err();
    assert_eq!(found, TensorError::IndexValue { op: "index", index: -3, dim: 0, size: 2 });
}

#[test]
fn conversions_of_what_does_not_fit_do_not_panic() {
    let wild = value(&[f32::NAN, f32::INFINITY, -1e30, 300.7, -1.5], &[5]);
    for dtype in DType::ALL {
        let cast = compute(&Op::Cast, std::slice::from_ref(&wild), &[5], dtype).unwrap();
        if dtype == DType::U8 {
            // Truncated, then wrapped.
            assert_eq!(cast.slice::<u8>()[3..], [44, 255]);
        }
    }
}

#[test]
fn the_least_integer_divided_by_minus_one_wraps() {
    let engine = Engine::new();
    let least = engine.from_vec(vec![i64::MIN], &[1]).unwrap();
    for y in [least.floor_divide_scalar(-1), least.neg(), least.abs()] {
        assert_eq!(y.unwrap().to_vec::<i64>().unwrap(), [i64::MIN]);
    }
    assert_eq!(least.remainder_scalar(-1).unwrap().to_vec::<i64>().unwrap(), [0]);
}
