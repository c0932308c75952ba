//! The verifier, on programs in text files.
//!
//! A guilty line of a file in `tests/programs` ends in a comment with what is reported there: `; fault: message`, and `; hint: remedy` where
//! there is one. What a text is refused for stands as `; refused: ...`. With `PELLUCID_BLESS=1` in the environment the test writes
//! these comments instead of comparing them.

use std::fs;
use std::path::PathBuf;

use pellucid_program::{
    Builder, Environment, Input, Kind, Place, Point, Program, RegionKind, Signature, Subject, parse, verify,
};

/// A GPT-2 of four layers as model 0, a single linear layer as model 1, and a handful of operations.
struct Small {
    /// Modules of model 0 with when they are entered and left.
    modules: Vec<(String, u64, u64)>,
}

impl Small {
    fn new() -> Self {
        let mut small = Self { modules: Vec::new() };
        let mut clock = 0;
        small.enter("", &mut clock);
        small
    }

    fn enter(&mut self, path: &str, clock: &mut u64) {
        let index = self.modules.len();
        self.modules.push((path.to_owned(), *clock, 0));
        *clock += 10;
        let child = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let name = path.rsplit('.').next().unwrap_or_default();
        let children: &[&str] = match name {
            "" => &["transformer", "lm_head"],
            "transformer" => &["wte", "wpe", "drop", "h.0", "h.1", "h.2", "h.3", "ln_f"],
            "0" | "1" | "2" | "3" => &["ln_1", "attn", "ln_2", "mlp"],
            "attn" => &["c_attn", "c_proj"],
            "mlp" => &["c_fc", "c_proj"],
            _ => &[],
        };
        for name in children {
            self.enter(&child(name), clock);
        }
        self.modules[index].2 = *clock;
        *clock += 10;
    }

    fn module(&self, model: u32, path: &str) -> Option<(u64, u64)> {
        match model {
            0 => self.modules.iter().find(|(name, ..)| name == path).map(|&(_, start, end)| (start, end)),
            1 => ["", "linear"].contains(&path).then_some((0, 1)),
            _ => None,
        }
    }
}

impl Environment for Small {
    fn op_signature(&self, name: &str) -> Option<Signature> {
        let keywords = |required, positional, names: &[&str]| Signature {
            required,
            positional: Some(positional),
            keywords: Some(names.iter().map(|&name| name.to_owned()).collect()),
        };
        Some(match name {
            "add" => keywords(2, 2, &["alpha"]),
            "mul" => Signature::exactly(2),
            "softmax" => keywords(2, 2, &["dim", "dtype"]),
            "list" | "zeros" | "sum" | "clone" | "reshape" | "transpose" | "getitem" | "setitem"
            | "append" => Signature::at_least(0),
            _ => return None,
        })
    }

    fn similar_ops(&self, _: &str) -> Vec<String> {
        ["add", "mul", "softmax"].map(str::to_owned).to_vec()
    }

    fn module_exists(&self, model: u32, path: &str) -> bool {
        self.module(model, path).is_some()
    }

    fn similar_modules(&self, model: u32, _: &str) -> Vec<String> {
        match model {
            0 => self.modules.iter().map(|(name, ..)| name.clone()).collect(),
            _ => vec!["linear".to_owned()],
        }
    }

    fn parameter_exists(&self, _: u32, name: &str) -> bool {
        name == "transformer.wte.weight"
    }

    fn similar_parameters(&self, _: u32, _: &str) -> Vec<String> {
        vec!["transformer.wte.weight".to_owned()]
    }

    fn place_exists(&self, _: u32, place: &Place) -> bool {
        match &place.point {
            Point::Op(label) => label == "softmax_0" && place.module.ends_with("attn"),
            Point::Pattern => place.module.ends_with("attn"),
            Point::Input | Point::Inputs | Point::Output => true,
        }
    }

    fn similar_places(&self, _: u32, _: &Place) -> Vec<String> {
        vec!["softmax_0".to_owned()]
    }

    fn forward_order(&self, model: u32, place: &Place) -> Option<u64> {
        let (start, end) = self.module(model, &place.module)?;
        Some(match place.point {
            Point::Input | Point::Inputs => start,
            Point::Op(_) | Point::Pattern => end - 1,
            Point::Output => end,
        })
    }

    fn calls_per_forward(&self, _: u32, _: &str) -> Option<u64> {
        Some(1)
    }
}

/// The text with what is reported at the end of each guilty line, and without what stood there.
fn annotated(text: &str) -> String {
    let plain: Vec<&str> = text
        .lines()
        .map(|line| line.split(" ; fault: ").next().unwrap_or(line))
        .map(|line| line.split(" ; refused: ").next().unwrap_or(line))
        .collect();
    let mut notes: Vec<Vec<String>> = vec![Vec::new(); plain.len()];
    match parse(&plain.join("\n")) {
        Err(error) => notes[error.line - 1].push(format!(" ; refused: {error}")),
        Ok(program) => {
            for fault in verify(&program, &Small::new()) {
                let start = match fault.subject {
                    Subject::Program => "pellucid program".to_owned(),
                    Subject::Constant(id) => format!("const {id} "),
                    Subject::Region(id) => format!("region {id} "),
                    Subject::Invoke(id) => format!("invoke {id} "),
                    Subject::Node(id) => format!("{id} = "),
                    Subject::Binding(index) => {
                        let (name, node) = &program.bindings[index];
                        format!("bind {name:?} {node}")
                    }
                };
                let line = plain.iter().position(|line| line.trim_start().starts_with(&start));
                let hint = fault.hint().map(|hint| format!(" ; hint: {hint}")).unwrap_or_default();
                let line = line.unwrap_or_else(|| panic!("no line starts with {start:?}"));
                notes[line].push(format!(" ; fault: {fault}{hint}"));
            }
        }
    }
    let lines = plain.iter().zip(notes).map(|(line, notes)| format!("{line}{}\n", notes.concat()));
    lines.collect()
}

#[test]
fn every_program_file_has_exactly_the_faults_that_it_names() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "the program files are there");
    let mut wrong = Vec::new();
    for file in files {
        let expected = fs::read_to_string(&file).unwrap();
        let got = annotated(&expected);
        if std::env::var_os("PELLUCID_BLESS").is_some() {
            fs::write(&file, got).unwrap();
        } else if got != expected {
            let lines = expected.lines().zip(got.lines()).filter(|(expected, got)| expected != got);
            let report: Vec<String> =
                lines.map(|(expected, got)| format!("- {expected}\n+ {got}\n")).collect();
            wrong.push(format!("{}\n{}", file.display(), report.concat()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn trace() -> Builder {
    let mut b = Builder::new();
    b.open(RegionKind::trace(0));
    b.invoke(Input::text("a"));
    b
}

/// A hundred thousand operations from a late place, written to an early one.
#[test]
fn a_late_value_is_found_through_a_hundred_thousand_operations() {
    let mut b = trace();
    let mut last = b.node(Kind::Read(Place::output("transformer.h.3")));
    for _ in 0..100_000 {
        last = b.op("add", [last.into(), 1.into()]);
    }
    let place = Place::output("transformer.h.0");
    let write = b.node(Kind::Write { place, value: last.into() });
    let faults = verify(&b.finish(), &Small::new());
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].subject, Subject::Node(write));
    assert_eq!(
        faults[0].to_string(),
        "`transformer.h.0.output` is written from `transformer.h.3.output`, which is computed later"
    );
}

/// Two thousand guilty writes in one knot: reported up to the limit, in linear time.
#[test]
fn a_knot_of_guilty_writes_is_reported_up_to_the_limit() {
    let mut b = trace();
    for _ in 0..2000 {
        let late = b.node(Kind::Read(Place::output("transformer.h.3")));
        b.node(Kind::Write { place: Place::output("transformer.h.0"), value: late.into() });
    }
    let faults = verify(&b.finish(), &Small::new());
    assert_eq!(faults.len(), pellucid_program::MAX_FAULTS);
}

#[test]
fn regions_nested_ten_thousand_deep_are_checked_without_recursion() {
    let mut b = Builder::new();
    for _ in 0..10_000 {
        b.open(RegionKind::cond(true));
    }
    let value = b.op("list", []);
    b.op("append", [value.into(), 1.into()]);
    assert_eq!(verify(&b.finish(), &Small::new()), []);
}

#[test]
fn an_empty_program_lacks_its_root() {
    let faults = verify(&Program::default(), &Small::new());
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].subject, Subject::Program);
    assert_eq!(verify(&Builder::new().finish(), &Small::new()), []);
}
