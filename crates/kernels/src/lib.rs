//! The hot CPU kernels: raw slices in, raw slices out.
//!
//! Nothing here knows of graphs, tensors or models. Every kernel obeys one law: **an output element is computed by one
//! fixed sequence of roundings**, whatever the number of rows, the tiling, the number of threads or the instruction set.
//! A matrix product adds along `k` in one chain of fused multiply-adds, a row sum adds in sixteen fixed lanes, a fused
//! kernel rounds where the separate kernels would. So a row never depends on its neighbours, and looking at an
//! intermediate value changes nothing.
//!
//! Arguments are checked with `assert!`: callers are executors that have verified shapes already, so a failed check is a
//! fault of the program, never of its user.
//!
//! Suggested reading order: [`isa`], [`threads`], [`memory`], [`math`], [`elementwise`], [`rows`], [`gemm`],
//! [`attention`](mod@attention).

pub mod isa;

pub mod threads;

pub mod memory;

pub mod math;

pub mod elementwise;

pub mod convert;

pub mod strided;

pub mod rows;

pub mod gemm;

pub mod attention;

mod shared;
mod transpose;
