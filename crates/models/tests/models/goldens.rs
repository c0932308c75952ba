//! The files that `scripts/goldens/models.py` writes.

use std::collections::HashMap;
use std::path::Path;

use pellucid_tensor::DType;
use serde_json::Value;

/// One configuration and what the reference computes with it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: Value,
    arrays: HashMap<String, Vec<f32>>,
}

impl Case {
    /// The file of `config.json`.
    pub(crate) fn config(&self) -> &Value {
        &self.text["config"]
    }

    /// Type of the weights.
    pub(crate) fn dtype(&self) -> DType {
        if self.text["dtype"] == "bfloat16" { DType::BF16 } else { DType::F32 }
    }

    /// Seed of the weights.
    pub(crate) fn seed(&self) -> u64 {
        self.text["seed"].as_u64().expect("a seed")
    }

    /// The prompt.
    pub(crate) fn ids(&self) -> Vec<i64> {
        ints(&self.text["ids"])
    }

    /// Rows of the padded batch, without their padding.
    pub(crate) fn rows(&self) -> Vec<Vec<i64>> {
        self.text["rows"].as_array().expect("rows").iter().map(ints).collect()
    }

    /// The greedy continuation of the prompt.
    pub(crate) fn greedy(&self) -> Vec<i64> {
        ints(&self.text["greedy"])
    }

    /// The lines of a field.
    pub(crate) fn lines(&self, field: &str) -> Vec<String> {
        lines(&self.text[field])
    }

    /// An array by name.
    pub(crate) fn array(&self, name: &str) -> &[f32] {
        &self.arrays[name]
    }

    /// Every module that is called, and some elements of its output.
    pub(crate) fn outputs(&self) -> Vec<(String, &[f32])> {
        let mut rest = self.array("outputs");
        let modules = self.text["modules"].as_array().expect("modules");
        let each = modules.iter().map(|module| {
            let path = module[0].as_str().expect("a path").to_owned();
            let (own, after) = rest.split_at(module[1].as_u64().expect("a count") as usize);
            rest = after;
            (path, own)
        });
        each.collect()
    }
}

/// A list of texts.
pub(crate) fn lines(value: &Value) -> Vec<String> {
    let text = |v: &Value| v.as_str().expect("a text").to_owned();
    value.as_array().expect("a list").iter().map(text).collect()
}

fn ints(value: &Value) -> Vec<i64> {
    value.as_array().expect("a list").iter().map(|v| v.as_i64().expect("an integer")).collect()
}

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    std::fs::read(folder.join(name)).expect("a golden")
}

/// The text of a family's goldens.
pub(crate) fn text(family: &str) -> Value {
    let text: Value = serde_json::from_slice(&file(&format!("{family}.json"))).expect("JSON");
    assert_eq!(text["transformers"], "4.51.3");
    text
}

/// All cases of a family.
pub(crate) fn cases(family: &str) -> Vec<Case> {
    let text = text(family);
    let mut arrays = read_arrays(&file(&format!("{family}.safetensors")));
    let cases = text["cases"].as_array().expect("cases").iter().map(|case| {
        let name = case["name"].as_str().expect("a name").to_owned();
        Case { arrays: arrays.remove(&name).expect("arrays of the case"), name, text: case.clone() }
    });
    cases.collect()
}

/// The arrays of a file, by what stands before and after the dot in their names.
pub(crate) fn array_file(name: &str) -> HashMap<String, HashMap<String, Vec<f32>>> {
    read_arrays(&file(name))
}

/// The single-precision arrays of a safetensors file, by what stands before and after the dot in their names.
fn read_arrays(bytes: &[u8]) -> HashMap<String, HashMap<String, Vec<f32>>> {
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
    let header: Value = serde_json::from_slice(&rest[..length]).expect("a header");
    let mut found: HashMap<String, HashMap<String, Vec<f32>>> = HashMap::new();
    for (name, entry) in header.as_object().expect("an object").iter().filter(|(n, _)| *n != "__metadata__") {
        assert_eq!(entry["dtype"], "F32");
        let at = |i: usize| length + entry["data_offsets"][i].as_u64().expect("an offset") as usize;
        let elements = rest[at(0)..at(1)].chunks_exact(4);
        let elements = elements.map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
        let (case, array) = name.split_once('.').expect("two names");
        found.entry(case.into()).or_default().insert(array.into(), elements);
    }
    found
}

/// Some elements of tensors laid end to end, as the script takes them.
pub(crate) fn sample(flat: &[f64]) -> Vec<f64> {
    if flat.len() <= 24 { flat.to_vec() } else { (0..24).map(|i| flat[i * 7919 % flat.len()]).collect() }
}
