//! House rules that a compiler does not know.

mod support;

use support::{files, root, text};

/// Lines of logic that a file may have: neither blank nor comment, its unit tests not counted.
const MOST_LINES: usize = 800;

/// Longer files, each with the reason; only tables have one.
const LONG_FILES: &[(&str, &str)] = &[];

/// This file spells out what it forbids.
const THIS_FILE: &str = "crates/cli/tests/house_rules.rs";

/// All text files of the repository.
fn texts() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter_map(|f| text(&f).map(|t| (f, t)))
}

/// Text files that people wrote: neither the lock file, nor licences, nor data of tests and models.
fn written() -> impl Iterator<Item = (String, String)> {
    texts().filter(|(f, _)| {
        let generated = f == "Cargo.lock" || f.starts_with("LICENSE-") || f.starts_with("models/");
        let data = f.contains("/goldens") || f.contains("/fixtures/") && !f.ends_with(".py");
        !generated && !data && f != THIS_FILE
    })
}

fn rust_files() -> impl Iterator<Item = (String, String)> {
    texts().filter(|(f, _)| f.ends_with(".rs"))
}

/// The manifests of the workspace's crates.
fn manifests() -> impl Iterator<Item = (String, String)> {
    texts().filter(|(f, _)| f.starts_with("crates/") && f.ends_with("/Cargo.toml"))
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The lines in which `is_fault` finds something, as `file:line: text`.
fn faulty_lines(
    texts: impl Iterator<Item = (String, String)>,
    is_fault: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, text) in texts {
        let lines = text.lines().enumerate().filter(|(_, line)| is_fault(line));
        faults.extend(lines.map(|(i, line)| format!("{file}:{}: {}", i + 1, line.trim())));
    }
    faults
}

fn lines_of_logic(text: &str) -> usize {
    let logic = text.split_once("\n#[cfg(test)]\nmod ").map_or(text, |(logic, _)| logic);
    logic.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("//")).count()
}

#[test]
fn files_of_logic_are_short() {
    let mut faults = Vec::new();
    for (file, text) in rust_files().filter(|(f, _)| f.contains("/src/")) {
        let excused = LONG_FILES.iter().any(|(f, _)| *f == file);
        let lines = lines_of_logic(&text);
        if lines > MOST_LINES && !excused {
            faults.push(format!("{file} has {lines} lines of logic; split it by idea"));
        } else if lines <= MOST_LINES && excused {
            faults.push(format!("{file} is short enough without its line in `LONG_FILES`"));
        }
    }
    assert_none(&faults);
}

#[test]
fn nothing_is_left_to_be_done_in_a_comment() {
    assert_none(&faulty_lines(written(), |line| line.contains("TODO") || line.contains("FIXME")));
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    const FOLDERS: [&str; 5] = ["/work/", "/tmp/", "/root/", "/home/", "/opt/"];
    // A path below a variable, a home or a project folder is none of the machine's own.
    let starts = |line: &str, folder: &str| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| !c.is_alphanumeric() && !"._-~}{/)".contains(c))
        })
    };
    assert_none(&faulty_lines(written(), |line| FOLDERS.iter().any(|f| starts(line, f))));
}

#[test]
fn texts_speak_of_the_project_and_not_of_how_it_was_made() {
    const PHRASES: [&str; 8] = [
        "as you asked",
        "as requested by",
        "in this session",
        "previous session",
        "the brief says",
        "your task",
        "design page",
        "the design says",
    ];
    let faults = faulty_lines(written(), |line| {
        let line = line.to_lowercase();
        PHRASES.iter().any(|p| line.contains(p))
    });
    assert_none(&faults);
}

#[test]
fn every_crate_takes_lints_and_licence_from_the_workspace() {
    let mut faults = Vec::new();
    for (file, manifest) in manifests() {
        let flat: String = manifest.split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in
            ["[lints] workspace = true", "license.workspace = true", "rust-version.workspace = true"]
        {
            if !flat.contains(wanted) {
                faults.push(format!("{file} lacks `{wanted}`"));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_lint_exemption_has_a_reason() {
    let mut faults = Vec::new();
    for (file, text) in rust_files().filter(|(f, _)| f != THIS_FILE) {
        for start in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in text.match_indices(start) {
                let attribute = text[at..].split_once(")]").map_or(&text[at..], |(a, _)| a);
                if !attribute.contains("reason = ") {
                    let line = text[..at].lines().count() + 1;
                    faults.push(format!("{file}:{line}: an exemption without a reason"));
                }
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn both_licences_are_in_the_repository() {
    let mit = text("LICENSE-MIT").expect("LICENSE-MIT is text");
    assert!(mit.contains("Permission is hereby granted, free of charge"));
    let apache = text("LICENSE-APACHE").expect("LICENSE-APACHE is text");
    assert!(apache.contains("Apache License") && apache.contains("END OF TERMS AND CONDITIONS"));
    let manifest = text("Cargo.toml").expect("Cargo.toml is text");
    assert!(manifest.contains("license = \"MIT OR Apache-2.0\""));
}

/// The documents at the root, and the parts of each that stand between backticks.
fn quoted() -> Vec<(String, String)> {
    let mut quoted = Vec::new();
    for (file, text) in texts().filter(|(f, _)| f.ends_with(".md") && !f.contains('/')) {
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.trim_start().starts_with("```");
            if !fenced {
                quoted.extend(line.split('`').skip(1).step_by(2).map(|q| (file.clone(), q.to_owned())));
            }
        }
    }
    quoted
}

#[test]
fn documents_name_files_that_exist() {
    let is_path = |q: &str| {
        ["crates/", "scripts/", ".ci/"].iter().any(|p| q.starts_with(p)) && !q.contains(['*', '<', ' ', '…'])
    };
    let missing = quoted().into_iter().filter(|(_, q)| is_path(q) && !root().join(q).exists());
    assert_none(
        &missing.map(|(file, q)| format!("{file} names `{q}`, which does not exist")).collect::<Vec<_>>(),
    );
}

#[test]
fn documents_name_tests_that_exist() {
    let code: String = rust_files().map(|(_, t)| t).collect();
    // Names of tests are sentences: no other name has as many words.
    let is_test = |q: &str| {
        q.matches('_').count() >= 4
            && q.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let missing = quoted().into_iter().filter(|(_, q)| is_test(q) && !code.contains(&format!("fn {q}(")));
    assert_none(
        &missing
            .map(|(file, q)| format!("{file} names the test `{q}`, which does not exist"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_map_names_every_crate() {
    let map = text("ARCHITECTURE.md").expect("ARCHITECTURE.md is text");
    let missing: Vec<String> = manifests()
        .map(|(f, _)| f.trim_end_matches("/Cargo.toml").to_owned())
        .filter(|folder| !map.contains(&format!("`{folder}`")))
        .collect();
    assert_none(&missing);
}
