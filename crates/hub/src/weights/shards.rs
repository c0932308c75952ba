//! The index of a sharded model: which file holds which tensor.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::{HubError, Result};
use crate::json::{INDEX_LIMIT, read_object, wrong_field};

/// A shard index.
#[derive(Debug)]
pub(crate) struct ShardIndex {
    /// From the tensor's name to the file name of its shard.
    pub(crate) weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// The file names of all shards, sorted, each once.
    pub(crate) fn shards(&self) -> Vec<String> {
        let mut shards: Vec<String> = self.weight_map.values().cloned().collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }
}

/// Reads a `*.index.json` file. Shards must be plain file names of the same folder.
pub(crate) fn read_index(path: &Path) -> Result<ShardIndex> {
    let object = read_object(path, INDEX_LIMIT)?;
    let Some(map) = object.get("weight_map") else {
        return Err(wrong_field(path, "weight_map", "an object from tensors to files", &Value::Null));
    };
    let Value::Object(map) = map else {
        return Err(wrong_field(path, "weight_map", "an object from tensors to files", map));
    };
    let mut weight_map = BTreeMap::new();
    for (tensor, shard) in map {
        let name =
            shard.as_str().filter(|name| is_plain_file_name(name)).ok_or_else(|| HubError::InvalidField {
                path: path.to_owned(),
                field: format!("weight_map.{tensor}"),
                expected: "the name of a file in the same folder",
                got: crate::error::describe(shard),
            })?;
        weight_map.insert(tensor.clone(), name.to_owned());
    }
    Ok(ShardIndex { weight_map })
}

/// Whether a name from a file may be used as a file name: nothing that leaves the folder.
fn is_plain_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 255 && name.bytes().all(plain) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_outside_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors.index.json");
        for shard in ["../secret", "/etc/passwd", "", "..", "a\\b"] {
            std::fs::write(&path, serde_json::json!({"weight_map": {"w": shard}}).to_string()).unwrap();
            let error = read_index(&path).unwrap_err();
            assert!(
                matches!(&error, HubError::InvalidField { field, .. } if field == "weight_map.w"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn an_index_without_a_weight_map_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors.index.json");
        std::fs::write(&path, "{}").unwrap();
        assert!(read_index(&path).unwrap_err().to_string().contains("`weight_map`"));
    }
}
