//! Damaged and hostile files: never a panic, never more memory than the file's size justifies.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Once;

use pellucid_hub::{ChatTemplate, GenerationConfig, Tokenizer, Weights};
use proptest::prelude::*;
use proptest::sample::Index;

/// Counts the bytes that the current thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // The counters may be gone while a thread ends; nothing is measured then.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

#[expect(unsafe_code, reason = "an allocator has no safe form")]
// SAFETY: every call is passed on to the system's allocator with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises about `layout` are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `pointer` came from `System.alloc` with the same layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that the current thread came to hold during a call, beyond those it held before.
fn peak_of(call: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    call();
    usize::try_from(PEAK.get() - before).unwrap_or(0)
}

/// What any reader may hold for a small file: a multiple of its size, and a constant.
fn bound(file_len: usize) -> usize {
    200 * file_len + (1 << 20)
}

/// Panics inside the tokenizer library are caught by the reader; the report of one, with its backtrace, would be what
/// the counters see.
fn keep_contained_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_contained = panic.location().is_some_and(|place| place.file().contains("tokenizers"));
            if !is_contained {
                report(panic);
            }
        }));
    });
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Reads `bytes` as this file of a model folder, with what else is in the folder.
fn check(
    file: &str,
    bytes: &[u8],
    others: &[(&str, &[u8])],
    read: impl FnOnce(&Path),
) -> Result<(), TestCaseError> {
    keep_contained_panics_quiet();
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in others.iter().chain([&(file, bytes)]) {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let len = bytes.len() + others.iter().map(|(_, content)| content.len()).sum::<usize>();
    let peak = peak_of(|| read(folder.path()));
    prop_assert!(peak <= bound(len), "{peak} bytes held for a file of {len}");
    Ok(())
}

/// Opens the weights and looks at every byte of every tensor.
fn read_weights(folder: &Path) {
    if let Ok(weights) = Weights::open(folder) {
        for name in weights.names() {
            let view = weights.tensor(name).unwrap();
            let sum: u64 = view.bytes.iter().map(|&byte| u64::from(byte)).sum();
            assert_eq!(view.shape.iter().product::<usize>(), view.len(), "{sum}");
        }
    }
}

fn read_configuration(folder: &Path) {
    let _ = pellucid_hub::read_config(folder);
    let _ = GenerationConfig::load(folder);
    if let Ok(template) = ChatTemplate::load(folder) {
        let _ = template.render(&[], &pellucid_hub::ChatOptions::default());
    }
    if let Ok(tokenizer) = Tokenizer::load(folder) {
        let _ = tokenizer.encode("a text", true);
        let _ = tokenizer.token_text(3);
    }
}

/// Changes to a valid file: bytes replaced, a piece removed or doubled, and the end cut off.
fn mutated(original: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let interesting =
        prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(b'['), Just(b'9'), Just(b'"'), Just(b'-')];
    let replacements = prop::collection::vec((any::<Index>(), interesting), 0..8);
    let piece = prop::option::of((any::<Index>(), 0..64_usize, any::<bool>()));
    (replacements, piece, prop::option::weighted(0.2, any::<Index>())).prop_map(
        move |(replacements, piece, cut)| {
            let mut bytes = original.clone();
            for (index, byte) in replacements {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some((index, len, doubled)) = piece {
                let at = index.index(bytes.len());
                let end = (at + len).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..if doubled { at } else { end }, if doubled { piece } else { Vec::new() });
            }
            if let Some(index) = cut {
                bytes.truncate(index.index(bytes.len() + 1));
            }
            bytes
        },
    )
}

fn safetensors() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[7; 32]);
    bytes
}

fn read_fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

const CHAT: &[u8] = br#"{"bos_token":"<s>","eos_token":{"content":"</s>","lstrip":false},"added_tokens_decoder":{"0":{"content":"<unk>","special":true},"400":{"content":"<x>"}},"add_bos_token":true,"tokenizer_class":"LlamaTokenizer","clean_up_tokenization_spaces":true,"chat_template":"{% for m in messages %}{{ m.role | upper }}{{ 'x' * 3 }}{% endfor %}{{ bos_token }}"}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_no_weights_and_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check("model.safetensors", &bytes, &[], read_weights)?;
        check("pytorch_model.bin", &bytes, &[], read_weights)?;
        let zip = [b"PK\x03\x04", &bytes[..], b"PK\x05\x06", &bytes[..bytes.len().min(18)]].concat();
        check("pytorch_model.bin", &zip, &[], read_weights)?;
    }

    #[test]
    fn mutated_safetensors_do_no_harm(bytes in mutated(safetensors())) {
        check("model.safetensors", &bytes, &[], read_weights)?;
    }

    #[test]
    fn mutated_checkpoints_do_no_harm(
        bytes in prop_oneof![
            mutated(read_fixture("checkpoints/dtypes.bin")),
            mutated(read_fixture("checkpoints/module.bin")),
        ],
    ) {
        check("pytorch_model.bin", &bytes, &[], read_weights)?;
    }

    #[test]
    fn mutated_indexes_do_no_harm(
        bytes in mutated(br#"{"metadata":{"total_size":9},"weight_map":{"a.weight":"one.safetensors","b":"one.safetensors"}}"#.to_vec()),
    ) {
        check("model.safetensors.index.json", &bytes, &[("one.safetensors", &safetensors())], read_weights)?;
    }

    #[test]
    fn mutated_tokenizer_configurations_do_no_harm(bytes in mutated(CHAT.to_vec())) {
        let tokenizer = read_fixture("tokenizers/word_piece/tokenizer.json");
        check("tokenizer_config.json", &bytes, &[("tokenizer.json", &tokenizer)], read_configuration)?;
        check("special_tokens_map.json", &bytes, &[("tokenizer.json", &tokenizer)], read_configuration)?;
    }

    #[test]
    fn mutated_configurations_do_no_harm(
        bytes in mutated(br#"{"eos_token_id":[1,2],"temperature":0.7,"top_k":50,"model_type":"gpt2","x":{"y":[[]]}}"#.to_vec()),
    ) {
        check("config.json", &bytes, &[], read_configuration)?;
        check("generation_config.json", &bytes, &[], read_configuration)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_tokenizers_do_no_harm(
        bytes in prop_oneof![
            mutated(read_fixture("tokenizers/word_piece/tokenizer.json")),
            mutated(read_fixture("tokenizers/byte_fallback/tokenizer.json")),
        ],
    ) {
        check("tokenizer.json", &bytes, &[("tokenizer_config.json", CHAT)], read_configuration)?;
    }
}

/// A state dict whose shape, strides and storage length claim far more than the file holds.
#[test]
fn a_small_checkpoint_cannot_ask_for_gigabytes() {
    let original = read_fixture("checkpoints/dtypes.bin");
    // `BININT1` 12 is the element count of the first storage and part of no other number there.
    for (from, to) in [(&b"K\x0c"[..], &b"K\xff"[..]), (b"K\x03K\x04\x86", b"K\xffK\xff\x86")] {
        let mut bytes = original.clone();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pytorch_model.bin"), &bytes).unwrap();
        let peak = peak_of(|| {
            let error = Weights::open(folder.path()).unwrap_err();
            assert!(error.to_string().contains("tensor `f32`"), "{error}");
        });
        assert!(peak < bound(bytes.len()), "{peak}");
    }
}
