//! The direction of dependencies: which crate may know which, and which crates of others stand behind one fence.
//!
//! `ARCHITECTURE.md` says why. A new line here is a decision about the architecture, not a formality.

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use support::{files, root, text};

/// Which crates of the workspace each crate may depend on, tests and build scripts included, from the ground up.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("pellucid-kernels", &[]),
    ("pellucid-tensor", &["pellucid-kernels"]),
    ("pellucid-nn", &["pellucid-tensor"]),
    ("pellucid-models", &["pellucid-tensor", "pellucid-nn"]),
    ("pellucid-hub", &[]),
    ("pellucid-program", &[]),
    ("pellucid-runtime", &["pellucid-tensor", "pellucid-nn", "pellucid-program"]),
    (
        "pellucid",
        &[
            "pellucid-tensor",
            "pellucid-nn",
            "pellucid-models",
            "pellucid-hub",
            "pellucid-program",
            "pellucid-runtime",
        ],
    ),
    ("pellucid-techniques", &["pellucid"]),
    ("pellucid-demo", &["pellucid-tensor", "pellucid-nn", "pellucid-models"]),
    ("pellucid-cli", &["pellucid", "pellucid-techniques", "pellucid-demo"]),
    ("pellucid-python", &["pellucid"]),
];

/// Crates of others that only some crates may name, each with the reason.
const FENCES: &[(&str, &[&str], &str)] = &[
    ("libc", &["pellucid-kernels"], "the one crate that asks the operating system for memory"),
    ("memmap2", &["pellucid-hub"], "files are mapped where they are found"),
    ("hf-hub", &["pellucid-hub"], "one crate knows the network"),
    ("ureq", &["pellucid-hub"], "one crate knows the network"),
    ("tokenizers", &["pellucid-hub", "pellucid-demo"], "one crate reads tokenizers, one trains the demo's"),
    ("minijinja", &["pellucid-hub"], "chat templates are part of a model folder"),
    ("minijinja-contrib", &["pellucid-hub"], "chat templates are part of a model folder"),
    ("jiff", &["pellucid-hub"], "only chat templates ask for the time"),
    ("resvg", &["pellucid-techniques"], "one renderer draws for every face"),
    ("epaint_default_fonts", &["pellucid-techniques"], "one renderer draws for every face"),
    ("pyo3", &["pellucid-python"], "one crate knows Python"),
    ("pyo3-build-config", &["pellucid-python"], "one crate knows Python"),
    ("clap", &["pellucid-cli"], "one crate knows the command line"),
    ("clap_complete", &["pellucid-cli"], "one crate knows the command line"),
    ("indicatif", &["pellucid-cli"], "libraries report progress and never print it"),
    ("terminal_size", &["pellucid-cli"], "one crate knows the terminal"),
    (
        "serde",
        &["pellucid-hub", "pellucid-techniques", "pellucid-cli"],
        "programs and graphs are not serialised by derive: their forms are written by hand, versioned and bounded",
    ),
];

/// Crates that must be nowhere in the dependency tree, each with the reason.
const ABSENT: &[(&str, &str)] = &[
    ("torch-sys", "no tensor framework"),
    ("tch", "no tensor framework"),
    ("candle-core", "no tensor framework"),
    ("burn", "no tensor framework"),
    ("burn-core", "no tensor framework"),
    ("ndarray", "no tensor framework"),
    ("gemm", "a matrix product is one chain of fused multiply-adds, which foreign kernels do not promise"),
    (
        "matrixmultiply",
        "a matrix product is one chain of fused multiply-adds, which foreign kernels do not promise",
    ),
    (
        "openblas-src",
        "a matrix product is one chain of fused multiply-adds, which foreign kernels do not promise",
    ),
    ("tokio", "forward passes are polled by hand: there is no asynchronous runtime"),
    ("async-std", "forward passes are polled by hand: there is no asynchronous runtime"),
    ("smol", "forward passes are polled by hand: there is no asynchronous runtime"),
    ("openssl-sys", "no C library to install"),
    ("onig_sys", "no C library to install"),
];

/// The packages of the workspace, as cargo sees them.
fn packages() -> Vec<Value> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo can be run");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("a list of packages").clone()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().expect("a name")
}

/// The names a package depends on, for building, running and testing.
fn dependencies(package: &Value) -> BTreeSet<&str> {
    package["dependencies"].as_array().expect("a list of dependencies").iter().map(name).collect()
}

/// The names in `Cargo.lock`: everything that any feature on any platform would build.
fn locked() -> BTreeSet<String> {
    let lock = text("Cargo.lock").expect("Cargo.lock is text");
    let names = lock.lines().filter_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"'));
    names.map(str::to_owned).collect()
}

#[test]
fn crates_know_only_the_crates_below_them() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(name).collect();
    let mut faults = Vec::new();
    for package in &packages {
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(n, _)| *n == name(package)) else {
            faults.push(format!("{} has no line in `MAY_KNOW`", name(package)));
            continue;
        };
        for dependency in dependencies(package).intersection(&ours) {
            if !allowed.contains(dependency) {
                faults.push(format!("{} must not know {dependency}", name(package)));
            }
        }
    }
    for (gone, _) in MAY_KNOW.iter().filter(|(n, _)| !ours.contains(n)) {
        faults.push(format!("{gone} is not in the workspace"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_of_directions_is_written_from_the_ground_up() {
    for (at, (crate_name, allowed)) in MAY_KNOW.iter().enumerate() {
        for dependency in *allowed {
            let below = MAY_KNOW[..at].iter().any(|(n, _)| n == dependency);
            assert!(below, "{crate_name} may know {dependency}, which does not stand above its line");
        }
    }
}

#[test]
fn foreign_crates_stay_behind_their_fences() {
    let mut faults = Vec::new();
    for package in &packages() {
        for dependency in dependencies(package) {
            let fence = FENCES.iter().find(|(n, ..)| *n == dependency);
            if let Some((_, inside, reason)) = fence.filter(|(_, inside, _)| !inside.contains(&name(package)))
            {
                faults.push(format!("{} names {dependency}; only {inside:?} may: {reason}", name(package)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_tensor_framework_and_no_asynchronous_runtime_is_in_the_tree() {
    let locked = locked();
    let found: Vec<String> = ABSENT
        .iter()
        .filter(|(n, _)| locked.contains(*n))
        .map(|(n, reason)| format!("{n} is in Cargo.lock: {reason}"))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Files of the libraries and the command, without their tests.
fn sources() -> impl Iterator<Item = (String, String)> {
    let source = |f: &String| f.starts_with("crates/") && f.contains("/src/") && f.ends_with(".rs");
    files().into_iter().filter(source).map(|f| {
        let text = text(&f).unwrap_or_else(|| panic!("{f} is no text"));
        (f, text)
    })
}

#[test]
fn unsafe_code_stands_in_kernels_and_where_memory_is_shared() {
    // Vector instructions and threads; disjoint parts of one buffer; a mapped file, and a weight that borrows from it;
    // tensors handed to other libraries of Python's.
    const MAY: &[&str] = &[
        "crates/kernels/src/",
        "crates/tensor/src/exec/",
        "crates/tensor/src/value.rs",
        "crates/hub/src/weights/mod.rs",
        "crates/pellucid/src/weights.rs",
        "crates/python/src/dlpack.rs",
    ];
    let found: Vec<String> = sources()
        .filter(|(f, text)| text.contains("unsafe_code") && !MAY.iter().any(|m| f.starts_with(m)))
        .map(|(f, _)| f)
        .collect();
    assert!(found.is_empty(), "exemptions from `unsafe_code` outside {MAY:?}: {found:?}");
}

#[test]
fn the_environment_is_read_at_the_edges_only() {
    const MAY: &[&str] = &["crates/hub/src/environment.rs", "crates/cli/src/"];
    let reads = |text: &str| ["env::var(", "env::var_os(", "env::vars"].iter().any(|r| text.contains(r));
    let found: Vec<String> = sources()
        .filter(|(f, text)| reads(text) && !MAY.iter().any(|m| f.starts_with(m)))
        .map(|(f, _)| f)
        .collect();
    assert!(found.is_empty(), "environment variables are read outside {MAY:?}: {found:?}");
}

#[test]
fn names_are_exported_one_by_one() {
    let glob = |line: &str| line.trim_start().starts_with("pub use") && line.contains("::*");
    let found: Vec<String> = sources().filter(|(_, text)| text.lines().any(glob)).map(|(f, _)| f).collect();
    assert!(found.is_empty(), "glob exports hide where a name comes from: {found:?}");
}
