//! The command as a user meets it: what it prints, where, and how it ends.

use std::process::{Command, Output};

fn pellucid(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pellucid"))
        .args(args)
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", std::env::temp_dir().join("pellucid-no-such-cache"))
        .env_remove("LC_ALL")
        .env("LANG", "C.UTF-8")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(args: &[&str]) -> String {
    let output = pellucid(args);
    assert!(!output.status.success(), "{args:?} succeeded");
    assert!(output.stdout.is_empty(), "a refusal writes nothing to standard output");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    text
}

const EIFFEL: &str = "The Eiffel Tower is in the city of";

#[test]
fn the_lens_shows_paris_and_fits_the_width() {
    let text = stdout(&pellucid(&["lens", EIFFEL, "--width", "90"]));
    assert!(text.contains("·Paris"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 90), "{text}");
    assert!(!text.contains('\x1b'), "no colour where there is no terminal");
}

#[test]
fn json_is_for_programs() {
    let lens: serde_json::Value =
        serde_json::from_str(&stdout(&pellucid(&["lens", EIFFEL, "--json"]))).unwrap();
    let guesses = lens["guesses"].as_array().unwrap();
    assert_eq!(guesses.len(), 6);
    assert_eq!(guesses[5].as_array().unwrap().last().unwrap()[0]["text"], " Paris");
    let ids: serde_json::Value =
        serde_json::from_str(&stdout(&pellucid(&["generate", EIFFEL, "-n", "1", "--json"]))).unwrap();
    assert!(ids["text"].as_str().unwrap().ends_with(" Paris"));
    let tree: serde_json::Value =
        serde_json::from_str(&stdout(&pellucid(&["inspect", "--shapes", "--json"]))).unwrap();
    let modules = tree["modules"].as_array().unwrap();
    let head = modules.iter().find(|m| m["path"] == "lm_head").unwrap();
    assert_eq!(head["output"], "[1, 4, 2048]");
}

#[test]
fn a_picture_is_saved_whole_under_the_name_given() {
    let folder = tempfile::tempdir().unwrap();
    for (name, start) in [("a.svg", "<svg"), ("b.html", "<!"), ("c.png", "\u{fffd}PNG")] {
        let path = folder.path().join(name);
        stdout(&pellucid(&["lens", EIFFEL, "--save", path.to_str().unwrap()]));
        let bytes = std::fs::read(&path).unwrap();
        assert!(String::from_utf8_lossy(&bytes).starts_with(start), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    let text = refusal(&["lens", EIFFEL, "--save", "picture.xyz"]);
    assert!(text.contains("hint: end the name in .svg, .png or .html"), "{text}");
}

#[test]
fn bad_input_gets_one_clear_sentence_and_a_hint() {
    for (args, error, hint) in [
        (&["lens", ""][..], "error: the prompt is empty", "hint: write some text"),
        (&["attention", EIFFEL, "--layer", "17"], "error: layer 17 does not exist", ""),
        (
            &["patch", EIFFEL, "The Louvre is in the city of"],
            "10 tokens and the corrupted one 7",
            "hint: replace",
        ),
        (&["lens", EIFFEL, "--model", "nobody/nothing"], "nobody/nothing", "hint:"),
        (&["lens", EIFFEL, "--model", "no-such-folder/"], "no-such-folder", ""),
        (&["generate", EIFFEL, "-n", "500"], "more than the model's context of 128", "hint: shorten"),
        (
            &["inspect", "--module", "transformer.h.0.atn"],
            "no module",
            "hint: did you mean `transformer.h.0.attn`?",
        ),
    ] {
        let text = refusal(args);
        assert!(text.contains(error), "{args:?}: {text}");
        assert!(text.contains(hint), "{args:?}: {text}");
    }
}

#[test]
fn a_prompt_longer_than_the_context_is_refused() {
    let long = "the ".repeat(400);
    let text = refusal(&["lens", &long]);
    assert!(text.contains("context of 128"), "{text}");
}

#[test]
fn the_tree_prints_as_pytorch_prints_it() {
    let text = stdout(&pellucid(&["inspect", "--print"]));
    assert!(
        text.starts_with("GPT2LMHeadModel(\n  (transformer): GPT2Model(\n    (wte): Embedding(2048, 128)"),
        "{text}"
    );
    assert!(text.contains("(0-5): 6 x GPT2Block("), "{text}");
}

#[test]
fn completions_and_help_name_every_command() {
    let help = stdout(&pellucid(&["--help"]));
    for command in ["lens", "patch", "attention", "generate", "inspect", "bench", "train", "completions"] {
        assert!(help.contains(command), "{help}");
        let own = stdout(&pellucid(&[command, "--help"]));
        assert!(own.contains("Examples:"), "`{command}` has no example");
    }
    assert!(stdout(&pellucid(&["completions", "bash"])).contains("_pellucid"));
}

const PATCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo/patch.pel");

#[test]
fn a_program_runs_from_its_text_and_is_explained_before() {
    let result: serde_json::Value =
        serde_json::from_str(&stdout(&pellucid(&["run", PATCH, "--json"]))).unwrap();
    assert_eq!(
        result["clean"]["data"], result["patched"]["data"],
        "the answer moves with the residual stream"
    );
    let explained = stdout(&pellucid(&["run", PATCH, "--explain"]));
    assert!(explained.contains("floating-point operations"), "{explained}");
    assert!(refusal(&["run", PATCH, "--max-memory", "1"]).contains("more than the 1.0 M allowed"));
    assert!(refusal(&["run", "no-such-file.pel"]).contains("cannot read `no-such-file.pel`"));
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert!(refusal(&["run", manifest]).contains("line 1, column 1"));
}

#[test]
fn a_seed_draws_the_same_text_again() {
    let draw = |seed: &str| {
        stdout(&pellucid(&[
            "generate",
            EIFFEL,
            "-n",
            "12",
            "--sample",
            "--temperature",
            "1.5",
            "--seed",
            seed,
        ]))
    };
    assert_eq!(draw("3"), draw("3"));
    assert!((4..12).any(|seed| draw(&seed.to_string()) != draw("3")));
    let search = stdout(&pellucid(&["generate", EIFFEL, "-n", "1", "--beams", "4"]));
    assert!(search.ends_with(" Paris\n"), "{search}");
    assert!(!pellucid(&["generate", EIFFEL, "--temperature", "2"]).status.success(), "without --sample");
}
