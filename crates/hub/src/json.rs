//! Bounded reading of text and JSON files, with errors that name the file and the position.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use crate::error::{HubError, Result, describe};

/// The most bytes accepted for `config.json` and its like.
pub(crate) const CONFIG_LIMIT: u64 = 16 << 20;
/// The most bytes accepted for `tokenizer.json`.
pub(crate) const TOKENIZER_LIMIT: u64 = 256 << 20;
/// The most bytes accepted for a shard index.
pub(crate) const INDEX_LIMIT: u64 = 64 << 20;

/// Reads a whole file of at most `limit` bytes.
pub(crate) fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(HubError::io(path, "open"))?;
    let mut bytes = Vec::new();
    // One byte more than allowed is read, so that a file that grows, or has no size, is seen as too large.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(HubError::io(path, "read"))?;
    if bytes.len() as u64 > limit {
        let got = std::fs::metadata(path).map_or(limit + 1, |metadata| metadata.len().max(limit + 1));
        return Err(HubError::FileTooLarge { path: path.to_owned(), limit, got });
    }
    Ok(bytes)
}

/// Reads a JSON file of at most `limit` bytes.
pub(crate) fn read_json(path: &Path, limit: u64) -> Result<Value> {
    parse_json(path, &read_bytes(path, limit)?)
}

/// Parses the bytes of the JSON file at `path`, which is used for errors only.
fn parse_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| HubError::Json {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        problem: strip_position(&error),
    })
}

/// Checks that the bytes of the file at `path` are JSON.
pub(crate) fn check_json(path: &Path, bytes: &[u8]) -> Result<()> {
    parse_json::<IgnoredAny>(path, bytes).map(drop)
}

/// Reads a JSON file whose top level must be an object.
pub(crate) fn read_object(path: &Path, limit: u64) -> Result<Map<String, Value>> {
    match read_json(path, limit)? {
        Value::Object(fields) => Ok(fields),
        other => Err(wrong_field(path, "(top level)", "an object", &other)),
    }
}

/// Like [`read_object`], but a file that is not there is nothing.
pub(crate) fn read_object_if_there(path: &Path, limit: u64) -> Result<Option<Map<String, Value>>> {
    if path.exists() { read_object(path, limit).map(Some) } else { Ok(None) }
}

/// The parser's complaint without its position, which the error has as data.
pub(crate) fn strip_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

pub(crate) fn wrong_field(path: &Path, field: &str, expected: &'static str, got: &Value) -> HubError {
    HubError::InvalidField { path: path.to_owned(), field: field.to_owned(), expected, got: describe(got) }
}

/// Reads the typed fields of a JSON object; null is the same as absent.
pub(crate) struct Fields<'a> {
    pub(crate) path: &'a Path,
    pub(crate) object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn read<T>(
        &self,
        field: &str,
        expected: &'static str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match convert(value) {
                Some(value) => Ok(Some(value)),
                None => Err(wrong_field(self.path, field, expected, value)),
            },
        }
    }

    pub(crate) fn truth(&self, field: &str) -> Result<Option<bool>> {
        self.read(field, "true or false", Value::as_bool)
    }

    pub(crate) fn text(&self, field: &str) -> Result<Option<&'a str>> {
        self.read(field, "a text", Value::as_str)
    }

    pub(crate) fn number(&self, field: &str) -> Result<Option<f64>> {
        self.read(field, "a number", Value::as_f64)
    }

    pub(crate) fn count(&self, field: &str) -> Result<Option<usize>> {
        self.read(field, "a whole number", |value| usize::try_from(value.as_u64()?).ok())
    }

    pub(crate) fn id(&self, field: &str) -> Result<Option<u32>> {
        self.read(field, "a token id", as_id)
    }

    /// A single id or a list of ids; absent is the empty list.
    pub(crate) fn ids(&self, field: &str) -> Result<Vec<u32>> {
        let ids = self.read(field, "a token id or a list of them", |value| match value {
            Value::Array(items) => items.iter().map(as_id).collect(),
            value => as_id(value).map(|id| vec![id]),
        })?;
        Ok(ids.unwrap_or_default())
    }
}

fn as_id(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

/// Reads the `config.json` of a model folder.
///
/// # Errors
///
/// [`HubError::MissingFile`], [`HubError::Json`] with line and column, [`HubError::FileTooLarge`] above 16 MiB, and
/// [`HubError::InvalidField`] when the top level is not an object.
pub fn read_config(folder: &Path) -> Result<Value> {
    let path = folder.join("config.json");
    if !path.exists() {
        return Err(HubError::MissingFile { folder: folder.to_owned(), file: "`config.json`".into() });
    }
    read_object(&path, CONFIG_LIMIT).map(Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_config_is_refused_with_its_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{\n  \"n_layer\": 2,,\n}").unwrap();
        let error = read_config(folder.path()).unwrap_err();
        assert!(matches!(error, HubError::Json { line: 2, column: 16, .. }), "{error:?}");
        assert!(
            error.to_string().contains("config.json` is not valid JSON at line 2, column 16: "),
            "{error}"
        );
    }

    #[test]
    fn a_config_that_is_a_list_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "[1, 2]").unwrap();
        let error = read_config(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("expected an object, got a list of 2"), "{error}");
    }

    #[test]
    fn an_absent_config_is_named_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_config(folder.path()).unwrap_err();
        assert!(error.to_string().contains("has no `config.json`"), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_file_above_its_limit_is_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.json");
        std::fs::File::create(&path).unwrap().set_len(1 << 33).unwrap();
        let error = read_bytes(&path, 1000).unwrap_err();
        assert!(
            matches!(error, HubError::FileTooLarge { limit: 1000, got, .. } if got == 1 << 33),
            "{error:?}"
        );
    }
}
