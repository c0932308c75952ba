//! Prints the speed of the hot kernels on this machine: medians of interleaved runs.
//!
//! `cargo run --release -p pellucid-kernels --example gemm_speed [threads [part of a name]]`
//!
//! With one thread, processor time is measured instead of wall time, which other programs disturb less.

#![expect(clippy::print_stdout, reason = "a program for people")]

use half::bf16;
use pellucid_kernels::attention::{AttentionOptions, AttentionShape, attention};
use pellucid_kernels::elementwise::{BinaryKind, UnaryKind, binary, unary};
use pellucid_kernels::gemm::{
    Activation, Epilogue, MatmulShape, PackedMatrix, PanelFormat, Source, matmul_packed, matmul_strided,
};
use pellucid_kernels::rows::{layer_norm, softmax};
use pellucid_kernels::strided::copy_strided;
use pellucid_kernels::threads::{set_threads, threads};

/// Seconds on a clock: of this thread's processor time, or of the wall.
fn now(processor: bool) -> f64 {
    let clock = if processor { libc::CLOCK_THREAD_CPUTIME_ID } else { libc::CLOCK_MONOTONIC };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "the standard library has no clock for processor time")]
    // SAFETY: the structure is ours.
    unsafe {
        libc::clock_gettime(clock, &raw mut time);
    }
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5).collect()
}

/// One contestant: what it is, the work of one run, its unit, and the run.
struct Case {
    name: String,
    work: f64,
    unit: &'static str,
    run: Box<dyn FnMut()>,
}

fn gemm(cases: &mut Vec<Case>, m: usize, k: usize, n: usize, format: PanelFormat) {
    let b = match format {
        PanelFormat::F32 => PackedMatrix::pack(Source::F32(&values(k * n)), k, n, n, 1, format),
        PanelFormat::Bf16 => {
            let b: Vec<bf16> = values(k * n).into_iter().map(bf16::from_f32).collect();
            PackedMatrix::pack(Source::Bf16(&b), k, n, n, 1, format)
        }
    };
    let (a, mut c) = (values(m * k), vec![0.0; m * n]);
    cases.push(Case {
        name: format!("packed {format:?} {m}x{k}x{n}"),
        work: 2e-9 * (m * k * n) as f64,
        unit: "GFLOP/s",
        run: Box::new(move || matmul_packed(&a, k, m, &b, &mut c, n, &Epilogue::default())),
    });
}

fn attend(cases: &mut Vec<Case>, batch: usize, heads: usize, lens: [usize; 2]) {
    let shape = AttentionShape::contiguous(batch, heads, heads, lens, [64, 64]);
    let (q, k) = (values(batch * heads * lens[0] * 64), values(batch * heads * lens[1] * 64));
    let (v, mut out) = (k.clone(), q.clone());
    cases.push(Case {
        name: format!("causal attention {batch}x{heads}x{}x{}x64", lens[0], lens[1]),
        work: 4e-9 * (batch * heads * lens[0] * lens[1] * 64) as f64,
        unit: "GFLOP/s (full square)",
        run: Box::new(move || attention(&q, &k, &v, &mut out, &shape, &AttentionOptions::causal(0.125))),
    });
}

fn main() {
    if let Some(n) = std::env::args().nth(1).and_then(|n| n.parse().ok()) {
        set_threads(n);
    }
    println!("{} threads, {:?}", threads(), pellucid_kernels::isa::level());
    let mut cases = Vec::new();
    for m in [1, 2, 4, 16, 160, 2912] {
        gemm(&mut cases, m, 768, 3072, PanelFormat::F32);
    }
    gemm(&mut cases, 160, 3072, 768, PanelFormat::F32);
    gemm(&mut cases, 160, 4096, 1024, PanelFormat::F32);
    gemm(&mut cases, 1, 768, 50257, PanelFormat::F32);
    for m in [1, 16, 160] {
        gemm(&mut cases, m, 768, 3072, PanelFormat::Bf16);
    }
    gemm(&mut cases, 1, 768, 50257, PanelFormat::Bf16);
    {
        let (m, k, n) = (160, 768, 3072);
        let b = PackedMatrix::pack(Source::F32(&values(k * n)), k, n, n, 1, PanelFormat::F32);
        let (a, bias, mut c) = (values(m * k), values(n), vec![0.0; m * n]);
        cases.push(Case {
            name: "packed 160x768x3072 + bias + gelu".into(),
            work: 2e-9 * (m * k * n) as f64,
            unit: "GFLOP/s",
            run: Box::new(move || {
                let epilogue =
                    Epilogue { bias: Some(&bias), activation: Some(Activation::GeluTanh), residual: None };
                matmul_packed(&a, k, m, &b, &mut c, n, &epilogue);
            }),
        });
    }
    for (name, transposed, m, k, n) in
        [("q @ k^T", true, 15, 64, 15), ("p @ v", false, 15, 15, 64), ("q @ k^T", true, 128, 64, 128)]
    {
        let batch = 2184 * 15 / m;
        let mut shape = MatmulShape::contiguous(batch, m, n, k);
        if transposed {
            shape.b_strides = [0, k * n, 1, k];
        }
        let (a, b, mut c) = (values(batch * m * k), values(batch * k * n), vec![0.0; batch * m * n]);
        cases.push(Case {
            name: format!("{name} {batch}x[{m},{k}]x[{k},{n}]"),
            work: 2e-9 * (batch * m * k * n) as f64,
            unit: "GFLOP/s",
            run: Box::new(move || matmul_strided(&a, &b, &mut c, &shape)),
        });
    }
    {
        let (k, n) = (768, 3072);
        let source = values(k * n);
        for (name, rows, cols) in [("[k,n]", n, 1), ("[n,k]", 1, k)] {
            let source = source.clone();
            cases.push(Case {
                name: format!("pack 768x3072 from {name}"),
                work: 4e-9 * (k * n) as f64,
                unit: "GB/s",
                run: Box::new(move || {
                    drop(PackedMatrix::pack(Source::F32(&source), k, n, rows, cols, PanelFormat::F32));
                }),
            });
        }
    }
    attend(&mut cases, 182, 12, [15, 15]);
    attend(&mut cases, 1, 12, [1024, 1024]);
    attend(&mut cases, 1, 12, [1, 1024]);
    for (name, n) in [("768", 768), ("50257", 50257)] {
        let rows = 2_000_000 / n;
        let (x, mut y) = (values(rows * n), vec![0.0; rows * n]);
        let (x2, mut y2) = (x.clone(), y.clone());
        let (w, b) = (values(n), values(n));
        cases.push(Case {
            name: format!("softmax {rows}x{name}"),
            work: 1e-9 * (rows * n) as f64,
            unit: "G elements/s",
            run: Box::new(move || softmax(&x, n, &mut y)),
        });
        cases.push(Case {
            name: format!("layer norm {rows}x{name}"),
            work: 1e-9 * (rows * n) as f64,
            unit: "G elements/s",
            run: Box::new(move || layer_norm(&x2, n, Some(&w), Some(&b), 1e-5, &mut y2)),
        });
    }
    for kind in [
        UnaryKind::Exp,
        UnaryKind::GeluTanh,
        UnaryKind::GeluErf,
        UnaryKind::Tanh,
        UnaryKind::Log,
        UnaryKind::Sin,
    ] {
        let (x, mut y) = (values(1 << 18), vec![0.0; 1 << 18]);
        cases.push(Case {
            name: format!("{kind:?} 2^18"),
            work: 1e-9 * f64::from(1 << 18),
            unit: "G elements/s",
            run: Box::new(move || unary(kind, &x, &mut y)),
        });
    }
    {
        let (a, b, mut c) = (values(1 << 18), values(1 << 18), vec![0.0; 1 << 18]);
        cases.push(Case {
            name: "add 2^18".into(),
            work: 1e-9 * f64::from(1 << 18),
            unit: "G elements/s",
            run: Box::new(move || binary(BinaryKind::Add, &a, &b, &mut c)),
        });
    }
    for (name, shape, strides) in [
        ("heads apart 8x128x12x64", [8, 12, 128, 64], [128 * 768, 64, 768, 1]),
        ("transpose 1024x768", [1, 1, 768, 1024], [0, 0, 1, 768]),
    ] {
        let len = shape.iter().product();
        let (x, mut y) = (values(len), vec![0.0; len]);
        cases.push(Case {
            name: name.into(),
            work: 8e-9 * len as f64,
            unit: "GB/s read and written",
            run: Box::new(move || copy_strided(&x, 0, &shape, &strides, &mut y)),
        });
    }

    let wanted = std::env::args().nth(2).unwrap_or_default();
    cases.retain(|case| case.name.contains(&wanted));
    let processor = threads() == 1;

    // Rounds over all cases, so that a disturbance hits each of them alike.
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for round in 0..12 {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let runs = if case.work < 0.02 { 10 } else { 1 };
            (case.run)();
            for _ in 0..runs {
                let start = now(processor);
                (case.run)();
                if round > 0 {
                    times.push(now(processor) - start);
                }
            }
        }
    }
    for (case, mut times) in cases.into_iter().zip(times) {
        times.sort_unstable_by(f64::total_cmp);
        let median = times[times.len() / 2];
        println!(
            "{:40} {:10.1} us  {:8.2} (best {:.2}) {}",
            case.name,
            median * 1e6,
            case.work / median,
            case.work / times[0],
            case.unit,
        );
    }
}
