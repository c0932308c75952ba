//! Weight files as written by `safetensors` and `torch.save`, read back.

use std::path::{Path, PathBuf};

use pellucid_hub::{HubError, WeightDtype, WeightView, Weights};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints").join(name)
}

fn open(name: &str) -> Result<Weights, HubError> {
    Weights::open_files(&[fixture(name)])
}

fn f32s(view: &WeightView) -> Vec<f32> {
    assert_eq!(view.dtype, WeightDtype::F32);
    view.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// A safetensors file with these `(name, dtype, shape, bytes)`.
fn write_safetensors(path: &Path, tensors: &[(&str, &str, &[usize], &[u8])]) {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(
            (*name).to_owned(),
            serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}),
        );
        data.extend_from_slice(bytes);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&data);
    std::fs::write(path, file).unwrap();
}

#[test]
fn a_safetensors_file_is_mapped_and_its_tensors_outlive_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<u8> = [1.0_f32, -2.5].iter().flat_map(|value| value.to_le_bytes()).collect();
    write_safetensors(
        &folder.path().join("model.safetensors"),
        &[("w", "F32", &[2, 1], &values), ("mask", "BOOL", &[3], &[1, 0, 1])],
    );
    let weights = Weights::open(folder.path()).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["mask", "w"]);
    assert_eq!(weights.description("mask"), Some((WeightDtype::Bool, &[3][..])));
    assert!(weights.tensor("v").is_none());
    let view = weights.tensor("w").unwrap();
    drop(weights);
    assert!(view.bytes.is_mapped());
    assert_eq!((f32s(&view), view.shape.as_slice(), view.len()), (vec![1.0, -2.5], &[2, 1][..], 2));
}

#[test]
fn alignment_is_reported_as_it_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    write_safetensors(
        &folder.path().join("model.safetensors"),
        &[
            ("pad", "U8", &[1], &[0]),
            ("a", "F32", &[1], &[0; 4]),
            ("b", "U8", &[3], &[0; 3]),
            ("c", "F32", &[1], &[0; 4]),
        ],
    );
    let weights = Weights::open(folder.path()).unwrap();
    // Eight bytes apart, so equally aligned; one of `a` and `a + 1` modulo 4 cannot be a multiple of four.
    let [a, c] = ["a", "c"].map(|name| weights.tensor(name).unwrap());
    for view in [&a, &c] {
        assert_eq!(view.is_aligned(), (view.bytes.as_ptr() as usize).is_multiple_of(4));
    }
    assert_eq!(c.bytes.as_ptr() as usize - a.bytes.as_ptr() as usize, 7);
    assert!(!(a.is_aligned() && c.is_aligned()));
}

#[test]
fn shards_are_one_set_of_tensors() {
    let folder = tempfile::tempdir().unwrap();
    write_safetensors(&folder.path().join("one.safetensors"), &[("a", "U8", &[1], &[7])]);
    write_safetensors(&folder.path().join("two.safetensors"), &[("b", "I8", &[], &[9])]);
    let index = folder.path().join("model.safetensors.index.json");
    std::fs::write(&index, r#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#).unwrap();
    let weights = Weights::open(folder.path()).unwrap();
    assert_eq!(weights.tensor("b").unwrap().bytes[..], [9]);
    assert!(weights.file_of("a").unwrap().ends_with("one.safetensors"));

    std::fs::write(&index, r#"{"weight_map": {"a": "one.safetensors", "c": "two.safetensors"}}"#).unwrap();
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(
        matches!(&error, HubError::ShardLacksTensor { shard, tensor, .. } if shard == "two.safetensors" && tensor == "c"),
        "{error:?}"
    );
    std::fs::write(&index, r#"{"weight_map": {"a": "gone.safetensors"}}"#).unwrap();
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(
        matches!(&error, HubError::MissingShard { shard, .. } if shard == "gone.safetensors"),
        "{error:?}"
    );
}

#[test]
fn a_name_in_two_shards_is_refused_with_both_files() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one.safetensors", "two.safetensors"].map(|name| folder.path().join(name));
    for path in &paths {
        write_safetensors(path, &[("a", "U8", &[1], &[7])]);
    }
    let error = Weights::open_files(&paths).unwrap_err().to_string();
    assert!(error.contains("one.safetensors") && error.contains("two.safetensors"), "{error}");
}

#[test]
fn a_folder_without_weights_names_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let error = Weights::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("`model.safetensors`") && error.contains("`pytorch_model.bin.index.json`"),
        "{error}"
    );
}

#[test]
fn every_dtype_of_a_checkpoint_is_read() {
    let weights = open("dtypes.bin").unwrap();
    let expected: [(&str, WeightDtype, &[usize], &[u8]); 10] = [
        ("f64", WeightDtype::F64, &[2], &[0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0]),
        ("f16", WeightDtype::F16, &[2], &[0x00, 0x3c, 0x00, 0x38]),
        ("bf16", WeightDtype::Bf16, &[2, 1], &[0x80, 0x3f, 0x40, 0xc0]),
        ("i64", WeightDtype::I64, &[], &[7, 0, 0, 0, 0, 0, 0, 0]),
        ("i32", WeightDtype::I32, &[2], &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
        ("i16", WeightDtype::I16, &[1], &[0x2c, 0x01]),
        ("i8", WeightDtype::I8, &[1], &[0xfb]),
        ("u8", WeightDtype::U8, &[1], &[250]),
        ("bool", WeightDtype::Bool, &[2], &[1, 0]),
        ("empty", WeightDtype::F32, &[0, 4], &[]),
    ];
    for (name, dtype, shape, bytes) in expected {
        let view = weights.tensor(name).unwrap();
        assert_eq!((view.dtype, view.shape.as_slice(), &view.bytes[..]), (dtype, shape, bytes), "{name}");
    }
    assert_eq!(f32s(&weights.tensor("parameter").unwrap()), [1.0, 1.0]);
    assert_eq!(weights.len(), 15);
}

#[test]
fn strided_tensors_are_gathered_and_contiguous_ones_mapped() {
    let weights = open("dtypes.bin").unwrap();
    let base = weights.tensor("f32").unwrap();
    assert!(base.bytes.is_mapped());
    assert_eq!(f32s(&base), (0..12).map(|value| value as f32).collect::<Vec<_>>());
    let transposed = weights.tensor("transposed").unwrap();
    assert!(!transposed.bytes.is_mapped());
    assert_eq!(transposed.shape, [4, 3]);
    assert_eq!(f32s(&transposed), [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
    assert_eq!(f32s(&weights.tensor("tail").unwrap()), [5., 6., 9., 10.]);
    let expanded = weights.tensor("expanded").unwrap();
    assert_eq!((expanded.shape.as_slice(), expanded.bytes.len()), (&[2, 3][..], 48));
}

#[test]
fn the_state_dict_of_a_module_has_its_names_and_shares_tied_storage() {
    let weights = open("module.bin").unwrap();
    assert_eq!(
        weights.names().collect::<Vec<_>>(),
        ["0.bias", "0.weight", "1.bias", "1.weight", "tied.weight"]
    );
    assert_eq!(f32s(&weights.tensor("0.bias").unwrap()), [10., 11., 12.]);
    let [tied, weight] = ["tied.weight", "0.weight"].map(|name| weights.tensor(name).unwrap());
    assert_eq!(tied.bytes.as_ptr(), weight.bytes.as_ptr());
}

#[test]
fn a_sharded_checkpoint_is_read_through_its_index() {
    let weights = Weights::open(&fixture("sharded")).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(f32s(&weights.tensor("b").unwrap())[..2], [1.0, 2.0]);
}

#[test]
fn a_legacy_checkpoint_is_refused_with_the_way_to_convert_it() {
    let error = open("legacy.bin").unwrap_err();
    assert!(matches!(error, HubError::LegacyCheckpoint { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("safe_serialization=True"));
}

#[test]
fn a_checkpoint_with_more_than_tensors_is_refused_by_name() {
    let error = open("global.bin").unwrap_err();
    assert!(
        matches!(&error, HubError::UnsupportedGlobal { global, .. } if global == "torch.device"),
        "{error:?}"
    );
    let error = open("number.bin").unwrap_err().to_string();
    assert!(error.ends_with("tensor `step`: entry: expected a tensor, got the integer 3"), "{error}");
}

#[test]
fn a_cut_checkpoint_is_refused() {
    let bytes = std::fs::read(fixture("module.bin")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    std::fs::write(&path, &bytes[..bytes.len() - 30]).unwrap();
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("end-of-directory record"), "{error}");
    std::fs::write(&path, "not a checkpoint").unwrap();
    let error = Weights::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("expected a zip archive, got a file of 16 bytes"), "{error}");
}
