//! The conformance suite of the tracing language: programs as data, with the values or the faults they must give.
//!
//! `README.md` beside this file says what a case is; `scripts/conformance/build.py` builds them with nnsight and PyTorch.

mod case;
mod compare;
mod models;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use pellucid_program::parse;

use case::{Arrays, Case};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// Every case, by name; with the environment variable `CONFORMANCE_CASE`, only those whose name contains it.
fn cases() -> BTreeMap<String, Case> {
    let wanted = std::env::var("CONFORMANCE_CASE").unwrap_or_default();
    let mut found = BTreeMap::new();
    for section in std::fs::read_dir(root()).expect("the suite's folder") {
        let section = section.expect("an entry").path();
        if !section.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&section).expect("a section") {
            let file = file.expect("an entry").path();
            if file.extension().is_some_and(|e| e == "pel") {
                let case = Case::read(&file);
                if case.name.contains(&wanted) {
                    let before = found.insert(case.name.clone(), case);
                    assert!(before.is_none(), "two cases of one name");
                }
            }
        }
    }
    found
}

/// The cases that the engine does not pass yet, each with the reason.
fn pending() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("pending.txt")).expect("the list of pending cases");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, reason) = line.split_once(": ").unwrap_or_else(|| panic!("no reason: {line}"));
            (name.to_owned(), reason.to_owned())
        })
        .collect()
}

/// What a case did, in words where it is not what was expected.
fn outcome(case: &Case, arrays: &Arrays) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| models::run(case, arrays))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

#[test]
fn every_case_gives_what_it_must_unless_it_is_listed_as_pending() {
    let pending = pending();
    let mut report = String::new();
    let mut arrays: BTreeMap<PathBuf, Arrays> = BTreeMap::new();
    for (name, case) in cases() {
        let own = arrays.entry(case.folder.clone()).or_insert_with(|| Arrays::read(&case.folder));
        match (outcome(&case, own), pending.get(&name)) {
            (Err(fault), None) => writeln!(report, "{name}: {fault}"),
            (Ok(()), Some(reason)) => {
                writeln!(report, "{name}: passes, but is listed as pending ({reason})")
            }
            _ => Ok(()),
        }
        .expect("writing to a string");
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn every_program_is_printed_as_it_is_read() {
    for (name, case) in cases() {
        let program = parse(&case.text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let printed = program.to_string();
        assert_eq!(parse(&printed).unwrap_or_else(|e| panic!("{name}: {e}")), program, "{name}");
    }
}

#[test]
fn every_pending_case_exists() {
    let cases = cases();
    if std::env::var("CONFORMANCE_CASE").is_err() {
        for name in pending().keys() {
            assert!(cases.contains_key(name), "`{name}` is listed as pending, but there is no such case");
        }
    }
}

#[test]
fn there_are_at_least_150_cases_and_none_is_without_an_expectation() {
    if std::env::var("CONFORMANCE_CASE").is_err() {
        let cases = cases();
        assert!(cases.len() >= 150, "{} cases", cases.len());
        for (name, case) in &cases {
            assert!(!case.expected.is_empty() || case.fault.is_some(), "{name} expects nothing");
        }
    }
}
