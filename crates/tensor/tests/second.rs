//! Gradients of gradients in half precision follow those in single precision.

use pellucid_tensor::{Attention, DType, Engine, Result, Tensor, grad::grad};

type Function<'a> = &'a dyn Fn(&Tensor, &Tensor) -> Result<Tensor>;

/// The gradient at `x` of the squared gradient of a function.
fn second(f: Function<'_>, dtype: DType) -> Result<Vec<f64>> {
    let engine = Engine::new();
    let draw = |dims: &[usize], seed| engine.randn(dims, DType::BF16, seed, 0).cast(dtype);
    let (x, w, weights) = (draw(&[1, 2, 4, 8], 1), draw(&[8], 2), draw(&[1, 2, 4, 8], 3));
    let loss = f(&x, &w)?.mul(&weights)?.sum(&[], false)?;
    let first = grad(&loss, std::slice::from_ref(&x))?.remove(0).expect("a gradient");
    let square = first.mul(&first)?.sum(&[], false)?;
    grad(&square, std::slice::from_ref(&x))?.remove(0).expect("a gradient").to_f64s()
}

#[test]
fn half_precision_follows_single_precision() {
    let spec = Attention { scale: 0.35, causal: true, window: None, softcap: Some(4.0) };
    let functions: [(&str, Function<'_>); 7] = [
        ("layer_norm", &|x, w| x.layer_norm(Some(w), None, 1e-5)),
        ("rms_norm", &|x, w| x.rms_norm(w, 1e-5, 1.0, true)),
        ("softmax", &|x, _| x.softmax(-1)),
        ("log_softmax", &|x, _| x.log_softmax(-1)),
        ("gelu", &|x, _| x.gelu()),
        ("gelu_tanh", &|x, _| x.gelu_tanh()),
        ("attention", &|x, _| x.attention(x, x, None, spec)),
    ];
    for (name, f) in functions {
        let expected = second(f, DType::F32).unwrap();
        let size = expected.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        assert!(size > 0.0, "{name}");
        for (dtype, tolerance) in [(DType::BF16, 0.05), (DType::F16, 0.01)] {
            let got = second(f, dtype).unwrap();
            let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst <= tolerance * size, "{name} in {dtype}: off by {worst} of {size}");
        }
    }
}
