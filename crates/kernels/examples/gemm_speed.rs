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

/// The cases whose names contain what is asked for; the others are not even set up.
struct Cases {
    wanted: String,
    list: Vec<Case>,
}

impl Cases {
    fn add(
        &mut self,
        name: impl Into<String>,
        work: f64,
        unit: &'static str,
        set_up: impl FnOnce() -> Box<dyn FnMut()>,
    ) {
        let name = name.into();
        if name.contains(&self.wanted) {
            self.list.push(Case { name, work, unit, run: set_up() });
        }
    }

    fn gemm(&mut self, [m, k, n]: [usize; 3], format: PanelFormat) {
        let name = format!("packed {format:?} {m}x{k}x{n}");
        self.add(name, 2e-9 * (m * k * n) as f64, "GFLOP/s", || {
            let b: Vec<bf16> = values(k * n).into_iter().map(bf16::from_f32).collect();
            let b = PackedMatrix::pack(Source::Bf16(&b), k, n, n, 1, format);
            let (a, mut c) = (values(m * k), vec![0.0; m * n]);
            Box::new(move || matmul_packed(&a, k, m, &b, &mut c, n, &Epilogue::default()))
        });
    }

    fn gelu(&mut self, [m, k, n]: [usize; 3]) {
        let name = format!("packed F32 {m}x{k}x{n} + bias + gelu");
        self.add(name, 2e-9 * (m * k * n) as f64, "GFLOP/s", || {
            let b = PackedMatrix::pack(Source::F32(&values(k * n)), k, n, n, 1, PanelFormat::F32);
            let (a, bias, mut c) = (values(m * k), values(n), vec![0.0; m * n]);
            Box::new(move || {
                let epilogue =
                    Epilogue { bias: Some(&bias), activation: Some(Activation::GeluTanh), residual: None };
                matmul_packed(&a, k, m, &b, &mut c, n, &epilogue);
            })
        });
    }

    fn batched(&mut self, transposed: bool, [m, k, n]: [usize; 3]) {
        let batch = 2184 * 15 / m;
        let name = if transposed { "q @ k^T" } else { "p @ v" };
        let name = format!("{name} {batch}x[{m},{k}]x[{k},{n}]");
        self.add(name, 2e-9 * (batch * m * k * n) as f64, "GFLOP/s", || {
            let mut shape = MatmulShape::contiguous(batch, m, n, k);
            if transposed {
                shape.b_strides = [0, k * n, 1, k];
            }
            let (a, b) = (values(batch * m * k), values(batch * k * n));
            let mut c = vec![0.0; batch * m * n];
            Box::new(move || matmul_strided(&a, &b, &mut c, &shape))
        });
    }

    fn pack(&mut self, k: usize, n: usize) {
        for (name, rows, cols) in [("[k,n]", n, 1), ("[n,k]", 1, k)] {
            self.add(format!("pack {k}x{n} from {name}"), 4e-9 * (k * n) as f64, "GB/s", || {
                let source = values(k * n);
                Box::new(move || {
                    drop(PackedMatrix::pack(Source::F32(&source), k, n, rows, cols, PanelFormat::F32));
                })
            });
        }
    }

    fn attention(&mut self, batch: usize, heads: usize, lens: [usize; 2]) {
        let name = format!("causal attention {batch}x{heads}x{}x{}x64", lens[0], lens[1]);
        let work = 4e-9 * (batch * heads * lens[0] * lens[1] * 64) as f64;
        self.add(name, work, "GFLOP/s of the full square", || {
            let shape = AttentionShape::contiguous(batch, heads, heads, lens, [64, 64]);
            let (q, k) = (values(batch * heads * lens[0] * 64), values(batch * heads * lens[1] * 64));
            let (v, mut out) = (k.clone(), q.clone());
            Box::new(move || attention(&q, &k, &v, &mut out, &shape, &AttentionOptions::causal(0.125)))
        });
    }

    fn rows(&mut self, n: usize) {
        let rows = 2_000_000 / n;
        let work = 1e-9 * (rows * n) as f64;
        self.add(format!("softmax {rows}x{n}"), work, "G elements/s", || {
            let (x, mut y) = (values(rows * n), vec![0.0; rows * n]);
            Box::new(move || softmax(&x, n, &mut y))
        });
        self.add(format!("layer norm {rows}x{n}"), work, "G elements/s", || {
            let (x, mut y) = (values(rows * n), vec![0.0; rows * n]);
            let (w, b) = (values(n), values(n));
            Box::new(move || layer_norm(&x, n, Some(&w), Some(&b), 1e-5, &mut y))
        });
    }

    fn elements(&mut self) {
        const LEN: usize = 1 << 18;
        let work = 1e-9 * LEN as f64;
        use UnaryKind::{Exp, GeluErf, GeluTanh, Log, Sin, Tanh};
        for kind in [Exp, GeluTanh, GeluErf, Tanh, Log, Sin] {
            self.add(format!("{kind:?} {LEN}"), work, "G elements/s", || {
                let (x, mut y) = (values(LEN), vec![0.0; LEN]);
                Box::new(move || unary(kind, &x, &mut y))
            });
        }
        self.add(format!("add {LEN}"), work, "G elements/s", || {
            let (a, b, mut c) = (values(LEN), values(LEN), vec![0.0; LEN]);
            Box::new(move || binary(BinaryKind::Add, &a, &b, &mut c))
        });
    }

    fn copies(&mut self) {
        for (name, shape, strides) in [
            ("copy heads apart 8x128x12x64", [8, 12, 128, 64], [128 * 768, 64, 768, 1]),
            ("copy transposed 1024x768", [1, 1, 768, 1024], [0, 0, 1, 768]),
        ] {
            let len = shape.iter().product();
            self.add(name, 8e-9 * len as f64, "GB/s read and written", || {
                let (x, mut y) = (values(len), vec![0.0; len]);
                Box::new(move || copy_strided(&x, 0, &shape, &strides, &mut y))
            });
        }
    }
}

fn main() {
    if let Some(n) = std::env::args().nth(1).and_then(|n| n.parse().ok()) {
        set_threads(n);
    }
    println!("{} threads, {:?}", threads(), pellucid_kernels::isa::level());
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let mut cases = Cases { wanted, list: Vec::new() };
    for m in [1, 2, 4, 16, 160, 2912] {
        cases.gemm([m, 768, 3072], PanelFormat::F32);
    }
    for shape in [[160, 3072, 768], [160, 4096, 1024], [1, 768, 50257]] {
        cases.gemm(shape, PanelFormat::F32);
    }
    for shape in [[1, 768, 3072], [16, 768, 3072], [160, 768, 3072], [1, 768, 50257]] {
        cases.gemm(shape, PanelFormat::Bf16);
    }
    cases.gelu([160, 768, 3072]);
    cases.batched(true, [15, 64, 15]);
    cases.batched(false, [15, 15, 64]);
    cases.batched(true, [128, 64, 128]);
    cases.pack(768, 3072);
    cases.attention(182, 12, [15, 15]);
    cases.attention(1, 12, [1024, 1024]);
    cases.attention(1, 12, [1, 1024]);
    cases.rows(768);
    cases.rows(50257);
    cases.elements();
    cases.copies();
    let mut cases = cases.list;

    // Rounds over all cases, so that a disturbance hits each of them alike.
    let processor = threads() == 1;

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
