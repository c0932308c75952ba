//! Arguments that no sensible program has are answered, never with a panic.

use pellucid_tensor::{
    Attention, Convolution, DType, Engine, HostData, IndexItem, Interpolation, Rewrites, Scalar, Tensor,
    TensorError,
};

const EXTREMES: [i64; 8] = [i64::MIN, i64::MIN + 1, -5, -1, 0, 1, 5, i64::MAX];

fn matrix(engine: &Engine) -> Tensor {
    engine.from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).unwrap()
}

/// Computes what was built; whether it was refused does not matter here.
fn settle(result: Result<Tensor, TensorError>) {
    if let Ok(t) = result {
        t.eval().expect("what was accepted can be computed");
    }
}

#[test]
fn extreme_dimensions_and_offsets_do_not_panic() {
    let engine = Engine::new();
    let x = matrix(&engine);
    for a in EXTREMES {
        settle(x.sum(&[a], false));
        settle(x.softmax(a));
        settle(x.unsqueeze(a));
        settle(x.squeeze(Some(a)));
        settle(x.flip(&[a]));
        settle(x.triangle(a, true));
        settle(x.triangle(a, false));
        settle(x.diagonal(a, 0, 1));
        settle(x.index(&[IndexItem::At(a)]));
        settle(x.reshape(&[a, 2]));
        settle(x.cumsum(a));
        settle(Tensor::cat(&[x.clone(), x.clone()], a));
        for b in EXTREMES {
            settle(x.transpose(a, b));
            settle(x.flatten(a, b));
            for len in [0, 1, 3, usize::MAX] {
                settle(x.narrow(a, b, len));
            }
        }
    }
}

#[test]
fn extreme_slices_do_not_panic() {
    let engine = Engine::new();
    let x = matrix(&engine);
    let bounds: Vec<Option<i64>> = EXTREMES.into_iter().map(Some).chain([None]).collect();
    for &start in &bounds {
        for &stop in &bounds {
            for &step in &bounds {
                let items = [IndexItem::ALL, IndexItem::Slice { start, stop, step }];
                if let Ok(part) = x.index(&items) {
                    part.eval().unwrap();
                    settle(x.index_assign(&items, &part));
                }
            }
        }
    }
}

#[test]
fn extreme_counts_do_not_panic() {
    let engine = Engine::new();
    let (x, nothing) = (matrix(&engine), engine.zeros(&[0, 3], DType::F32));
    for n in [0, 7, usize::MAX] {
        for t in [&x, &nothing] {
            assert!(t.split(n, 0).is_ok_and(|pieces| pieces.len() == 1) || n == 0);
            assert!(t.split_sizes(&[n, n], 0).is_err() || n == 0 && t.numel() == 0);
            let _ = t.chunk(n, 0);
        }
        assert!(x.topk(n, 1, true).is_ok() == (n == 0));
    }
}

#[test]
fn a_window_larger_than_any_sequence_is_no_window() {
    let engine = Engine::new();
    let q = engine.randn(&[1, 1, 4, 2], DType::F32, 1, 0);
    let spec = |window| Attention { scale: 1.0, causal: true, window, softcap: None };
    let whole = q.attention(&q, &q, None, spec(None)).unwrap().to_vec::<f32>().unwrap();
    let wide = spec(Some(usize::MAX));
    assert_eq!(q.attention(&q, &q, None, wide).unwrap().to_vec::<f32>().unwrap(), whole);
    let pattern = q.attention_pattern(&q, None, wide).unwrap();
    assert_eq!(pattern.attend(&q).unwrap().to_vec::<f32>().unwrap(), whole);
}

#[test]
fn converting_a_constant_gives_what_converting_its_elements_gives() {
    let engine = Engine::new();
    let scalars = [0.0, -0.0, 1.5, -2.75, 300.0, -1e30, 1e30, 65519.9, f64::NAN, f64::INFINITY]
        .map(Scalar::Float)
        .into_iter()
        .chain([Scalar::Bool(true), Scalar::Int(-7), Scalar::Int(i64::MAX), Scalar::Int(1 << 33)]);
    for scalar in scalars {
        for from in DType::ALL {
            let constant = engine.full(&[1], scalar, from);
            let bytes = constant.eval().unwrap().bytes().to_vec();
            let element = engine.from_data(HostData { dtype: from, bytes }, &[1]).unwrap();
            for to in DType::ALL {
                let (a, b) = (constant.cast(to).eval().unwrap(), element.cast(to).eval().unwrap());
                assert_eq!(a.bytes(), b.bytes(), "{scalar} as {from} to {to}");
            }
        }
    }
}

/// Whether a result was refused as too large, while built or while computed.
fn is_too_large(result: Result<Tensor, TensorError>) -> bool {
    let error = result.and_then(|t| t.eval()).expect_err("no memory holds this");
    matches!(error.cause(), TensorError::TooLarge { .. })
}

#[test]
fn shapes_that_no_memory_holds_are_refused() {
    for rewrites in [Rewrites::default(), Rewrites::OFF] {
        let engine = Engine::new();
        engine.set_rewrites(rewrites);
        let (most, half) = (usize::MAX, 1 << 32);
        let x = matrix(&engine);
        let (column, row) = (engine.zeros(&[half, 1], DType::U8), engine.zeros(&[1, half], DType::U8));
        let nothing = engine.zeros(&[half, 0], DType::F32);
        let wide = engine.rand(&[half, half], DType::F32, 0, 0);
        let made: [(&str, Result<Tensor, TensorError>); 23] = [
            ("zeros", Ok(engine.zeros(&[most, 2], DType::F32))),
            ("zeros of bytes", Ok(engine.zeros(&[1 << 61], DType::I64))),
            ("zeros of none", Ok(engine.zeros(&[most, most, 0], DType::F32))),
            ("arange", Ok(engine.arange(0, 1, most, DType::I64))),
            ("rand", Ok(wide.clone())),
            ("unloaded", Ok(engine.unloaded(&[most, most], DType::F32, "w"))),
            ("from_data", engine.from_vec(Vec::<f32>::new(), &[0, most, most])),
            ("sum of rand", wide.sum(&[], false)),
            ("mean of rand", wide.mean(&[0], true)),
            ("exp of rand", wide.exp()),
            ("flat rand", wide.flatten(0, 1)),
            ("rand and rand", Tensor::cat(&[wide.clone(), wide.clone()], 0)),
            ("expand", x.expand(&[i64::MAX, 2, 3])),
            ("add", engine.zeros(&[half, 1, 1], DType::U8).add(&engine.zeros(&[half, half], DType::U8))),
            ("compare", column.eq(&row)),
            ("matmul", nothing.matmul(&nothing.transpose(0, 1).unwrap())),
            ("repeat", x.repeat(&[most, 2])),
            ("repeat in place", x.repeat_interleave(most, 0)),
            ("cat", Tensor::cat(&vec![engine.zeros(&[most / 2], DType::U8); 3], 0)),
            ("stack", Tensor::stack(&vec![engine.zeros(&[half, 1 << 30], DType::U8); 4], 0)),
            ("embed", engine.zeros(&[1, half], DType::F32).embed(&engine.zeros(&[half], DType::I64))),
            ("outer", column.mul(&row)),
            ("where", x.gt_scalar(0).unwrap().where_(&x, &engine.zeros(&[half, half, 1, 1], DType::F32))),
        ];
        for (name, result) in made {
            let _ = result.as_ref().map(|t| (t.numel(), engine.plan(std::slice::from_ref(t)).to_string()));
            assert!(is_too_large(result), "{name}");
        }
    }
}

#[test]
fn extreme_convolutions_and_sizes_are_refused_or_computed() {
    let engine = Engine::new();
    let x = matrix(&engine).reshape(&[1, 1, 2, 3]).unwrap();
    let kernel = engine.ones(&[1, 1, 1, 2], DType::F32);
    let extremes = [0, 1, 2, 3, 65_535, 65_536, usize::MAX];
    for n in extremes {
        for stride in extremes {
            let plain = Convolution::default();
            for how in [
                Convolution { stride: [stride, n], ..plain },
                Convolution { dilation: [n, stride], ..plain },
                Convolution { groups: n, stride: [stride, 1], ..plain },
                Convolution { padding: [0, n], stride: [1, stride], dilation: [1, n], ..plain },
            ] {
                settle(x.conv2d(&kernel, None, how));
            }
        }
        if n <= 3 {
            settle(x.resize(&[n, 2], Interpolation::Nearest));
            settle(x.resize(&[n], Interpolation::Linear { align_corners: true }));
        }
    }
    assert!(x.resize(&[1; 5], Interpolation::Nearest).is_err());
    settle(x.resize(&[], Interpolation::Nearest));
    assert!(x.reshape(&[6]).unwrap().conv2d(&kernel, None, Convolution::default()).is_err());
}
