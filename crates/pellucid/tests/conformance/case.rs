//! The files of the suite.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pellucid_tensor::DType;
use serde_json::Value;

/// A fault that a program must give.
pub(crate) struct ExpectedFault {
    /// Its kind, as `compare::words` names kinds.
    pub(crate) kind: String,
    /// The lines that it must name.
    pub(crate) lines: Vec<u32>,
}

/// One program and what it must give.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The folder of its section.
    pub(crate) folder: PathBuf,
    /// The whole file; to the parser, what stands before the program is comments.
    pub(crate) text: String,
    pub(crate) model: String,
    pub(crate) tolerance: f64,
    /// Only shapes are asked for.
    pub(crate) is_scan: bool,
    /// Values by the name they are bound to.
    pub(crate) expected: Vec<(String, Value)>,
    /// Names of values whose elements are not compared.
    pub(crate) shapes_only: Vec<String>,
    pub(crate) fault: Option<ExpectedFault>,
}

impl Case {
    pub(crate) fn read(file: &Path) -> Case {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).expect("a case");
        let mut fields: HashMap<&str, &str> = HashMap::new();
        let mut expected = Vec::new();
        for line in text.lines().map_while(|line| line.strip_prefix("; ")) {
            if let Some(rest) = line.strip_prefix("expect ") {
                let (value, coded) = rest.split_once(": ").unwrap_or_else(|| panic!("{name}: {line}"));
                let value = value.trim_matches('"').to_owned();
                let coded = serde_json::from_str(coded).unwrap_or_else(|e| panic!("{name}: {line}: {e}"));
                expected.push((value, coded));
            } else if let Some((key, value)) = line.split_once(": ")
                && !line.starts_with(' ')
            {
                fields.insert(key, value);
            }
        }
        for field in ["title", "section", "source"] {
            assert!(fields.contains_key(field), "{name} has no {field}");
        }
        let lines = |text: &&str| text.split(", ").map(|n| n.parse().expect("a line")).collect();
        Case {
            folder: file.parent().expect("a folder").to_owned(),
            model: fields["model"].to_owned(),
            tolerance: fields["tolerance"].parse().expect("a tolerance"),
            is_scan: fields.get("run") == Some(&"scan"),
            shapes_only: fields
                .get("shapes only")
                .map(|names| names.split(", ").map(str::to_owned).collect())
                .unwrap_or_default(),
            fault: fields.get("fault").map(|kind| ExpectedFault {
                kind: (*kind).to_owned(),
                lines: fields.get("lines").map(lines).unwrap_or_default(),
            }),
            expected,
            name,
            text,
        }
    }
}

/// A tensor of a safetensors file.
pub(crate) struct Array {
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// The expected tensors of a section.
#[derive(Default)]
pub(crate) struct Arrays(HashMap<String, Array>);

impl Arrays {
    pub(crate) fn read(folder: &Path) -> Arrays {
        let Ok(bytes) = std::fs::read(folder.join("expected.safetensors")) else { return Arrays::default() };
        let (length, rest) = bytes.split_at(8);
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
        let header: Value = serde_json::from_slice(&rest[..length]).expect("a header");
        let entries =
            header.as_object().expect("an object").iter().filter(|(name, _)| *name != "__metadata__");
        Arrays(
            entries
                .map(|(name, entry)| {
                    let at = |i: usize| entry["data_offsets"][i].as_u64().expect("an offset") as usize;
                    let dims = entry["shape"].as_array().expect("a shape").iter();
                    let array = Array {
                        dtype: dtype(entry["dtype"].as_str().expect("a type")),
                        dims: dims.map(|n| n.as_u64().expect("a size") as usize).collect(),
                        bytes: rest[length + at(0)..length + at(1)].to_vec(),
                    };
                    (name.clone(), array)
                })
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> &Array {
        self.0.get(name).unwrap_or_else(|| panic!("no expected tensor `{name}`"))
    }
}

fn dtype(name: &str) -> DType {
    match name {
        "BOOL" => DType::Bool,
        "U8" => DType::U8,
        "I32" => DType::I32,
        "I64" => DType::I64,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "F32" => DType::F32,
        "F64" => DType::F64,
        other => panic!("type `{other}` in a file of expected values"),
    }
}
