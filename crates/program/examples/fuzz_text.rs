//! Fuzzes the text form: mutated programs are parsed, printed, parsed again and verified.
//!
//! ```text
//! cargo run --release -p pellucid-program --example fuzz_text -- FOLDER [SECONDS] [SEED]
//! ```
//!
//! FOLDER holds programs as `.pel` files, at any depth, such as `crates/pellucid/tests/conformance`. A panic, a program that
//! does not print and parse back to itself, or an input that takes longer than two seconds ends the run with the input on the
//! standard output.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pellucid_program::{Environment, Place, Signature, parse, verify};

/// A world in which every name exists.
struct Everything;

impl Environment for Everything {
    fn op_signature(&self, _: &str) -> Option<Signature> {
        Some(Signature::at_least(0))
    }
    fn module_exists(&self, _: u32, _: &str) -> bool {
        true
    }
    fn parameter_exists(&self, _: u32, _: &str) -> bool {
        true
    }
    fn place_exists(&self, _: u32, _: &Place) -> bool {
        true
    }
    fn forward_order(&self, _: u32, place: &Place) -> Option<u64> {
        Some(place.module.len() as u64)
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Pieces that mean something to the parser.
const PIECES: &[&str] = &[
    "%0",
    "%1",
    "%999999999",
    "^0",
    "^1",
    "@0",
    "$0:1",
    "#0",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<:>",
    "...",
    ",",
    "\"",
    "none",
    "true",
    "steps all",
    "step 2",
    "steps 0..end by 0",
    "steps [1, 1]",
    "-9223372036854775808",
    "1e308",
    "nan",
    "inf",
    "\\u{10ffff}",
    "region ^2 iter %0 in ^1",
    "region ^2 cond true in ^1",
    "merge [%0]",
    "item ^2",
    "\n",
    ";",
    "const #0 f32 [4611686018427387904, 4] \"\"",
    "stop session",
    "((((((((((",
    "[[[[[[[[[[",
    "\u{0}",
];

fn mutated(random: &mut Random, corpus: &[String]) -> String {
    let mut text = corpus[random.below(corpus.len())].clone().into_bytes();
    for _ in 0..1 + random.below(8) {
        let at = random.below(text.len() + 1);
        match random.below(6) {
            0 if at < text.len() => text[at] = random.next() as u8,
            1 => {
                let end = (at + random.below(40)).min(text.len());
                text.drain(at..end);
            }
            2 => {
                let piece = PIECES[random.below(PIECES.len())].bytes();
                text.splice(at..at, piece.collect::<Vec<_>>());
            }
            3 => {
                let other = corpus[random.below(corpus.len())].as_bytes();
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                text.splice(at..at, other[from..to].to_vec());
            }
            4 => {
                let end = (at + random.below(60)).min(text.len());
                let copy = text[at..end].to_vec();
                for _ in 0..random.below(20) {
                    text.splice(at..at, copy.iter().copied());
                }
            }
            // A digit changes.
            _ => {
                if let Some(digit) = text[at..].iter_mut().find(|b| b.is_ascii_digit()) {
                    *digit = b'0' + random.below(10) as u8;
                }
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn programs(folder: &Path, into: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            programs(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "pel") {
            into.push(std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Whether a text is a program, and one without faults.
fn tried(text: &str) -> Result<(bool, bool), String> {
    let Ok(program) = parse(text) else { return Ok((false, false)) };
    match parse(&program.to_string()) {
        Ok(again) if again.to_string() == program.to_string() => {}
        Ok(_) => return Err("prints another program".to_owned()),
        Err(e) => return Err(format!("does not parse back: {e}")),
    }
    Ok((true, verify(&program, &Everything).is_empty()))
}

#[expect(clippy::print_stdout, reason = "an example reports what it finds")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("say a folder of programs")?;
    let seconds: u64 = args.next().map_or(Ok(60), |s| s.parse())?;
    let mut random = Random(args.next().map_or(Ok(1), |s| s.parse())?);
    let mut corpus = Vec::new();
    programs(Path::new(&folder), &mut corpus)?;
    if corpus.is_empty() {
        return Err("the folder has no programs".into());
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut inputs, mut parsed, mut sound) = (0u64, 0u64, 0u64);
    while Instant::now() < end {
        let text = mutated(&mut random, &corpus);
        let start = Instant::now();
        let outcome = std::panic::catch_unwind(|| tried(&text)).unwrap_or_else(|_| Err("panics".into()));
        let late = start.elapsed() > Duration::from_secs(2);
        match outcome {
            Ok((is_program, is_sound)) if !late => {
                inputs += 1;
                parsed += u64::from(is_program);
                sound += u64::from(is_sound);
            }
            Ok(_) => {
                println!("{text}");
                return Err("takes too long".into());
            }
            Err(what) => {
                println!("{text}");
                return Err(what.into());
            }
        }
    }
    println!("{inputs} inputs, {parsed} of them programs, {sound} of these without faults; nothing found");
    Ok(())
}
