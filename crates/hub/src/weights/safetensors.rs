//! The header of a safetensors file: eight bytes of length, that many bytes of JSON, then the tensors' bytes.
//!
//! The header is parsed here rather than by the `safetensors` crate because its errors name neither the tensor nor the
//! values, and because a name that occurs twice must be refused rather than be overwritten.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::entry::{MAX_RANK, Place, TensorEntry, element_count};
use super::view::WeightDtype;
use crate::error::{HubError, Result};
use crate::json::strip_position;

/// The longest header accepted, in bytes: the limit of the reference implementation.
const HEADER_LIMIT: u64 = 100_000_000;

/// Reads and checks the header of a whole file; the ranges of the entries count from the file's first byte.
pub(crate) fn parse_header(path: &Path, file: &[u8]) -> Result<Vec<TensorEntry>> {
    let fault = |what, expected: String, got: String| HubError::InvalidHeader {
        path: path.to_owned(),
        what,
        expected,
        got,
    };
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(fault("header length", "8 bytes".into(), format!("a file of {} bytes", file.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > HEADER_LIMIT {
        return Err(fault("header length", format!("at most {HEADER_LIMIT} bytes"), length.to_string()));
    }
    let length = length as usize;
    if length > rest.len() {
        return Err(fault(
            "header",
            format!("{length} bytes"),
            format!("{} before the end of the file", rest.len()),
        ));
    }
    let (header, data) = rest.split_at(length);
    if header.first() != Some(&b'{') {
        let got = header.first().map_or("an empty header".into(), |byte| format!("byte {byte:#04x}"));
        return Err(fault("header", "`{` as its first byte".into(), got));
    }

    let raw = parse_raw(path, header)?;
    let mut seen = HashSet::with_capacity(raw.len());
    for tensor in &raw {
        if !seen.insert(tensor.name.as_str()) {
            return Err(HubError::DuplicateTensor {
                tensor: tensor.name.clone(),
                first: path.to_owned(),
                second: path.to_owned(),
            });
        }
    }
    drop(seen);

    let entries =
        raw.into_iter().map(|raw| check(path, raw, 8 + length, data.len())).collect::<Result<Vec<_>>>()?;
    check_cover(path, &entries, 8 + length, file.len())?;
    Ok(entries)
}

/// Checks one entry against the length of the data and turns it into file positions.
fn check(path: &Path, raw: RawTensor, data_start: usize, data_len: usize) -> Result<TensorEntry> {
    let RawTensor { name, dtype, shape, offsets } = raw;
    let fault = |what, expected: String, got: String| HubError::InvalidTensor {
        path: path.to_owned(),
        tensor: name.clone(),
        what,
        expected,
        got,
    };
    let known = dtype.as_deref().ok_or_else(|| fault("entry", "a `dtype`".into(), "none".into()))?;
    let dtype = parse_dtype(known).ok_or_else(|| {
        fault(
            "dtype",
            "one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL".into(),
            format!("`{}`", known.chars().take(40).collect::<String>()),
        )
    })?;
    let shape = shape.ok_or_else(|| fault("entry", "a `shape`".into(), "none".into()))?;
    let shape: Vec<usize> = shape
        .into_iter()
        .map(|length| {
            usize::try_from(length)
                .map_err(|_| fault("shape", "axes that fit memory".into(), length.to_string()))
        })
        .collect::<Result<_>>()?;
    let (start, end) = offsets.ok_or_else(|| fault("entry", "`data_offsets`".into(), "none".into()))?;
    if start > end || end > data_len as u64 {
        return Err(fault(
            "data offsets",
            format!("a range inside 0..{data_len}"),
            format!("{start}..{end}"),
        ));
    }
    let bytes = element_count(&shape).and_then(|count| count.checked_mul(dtype.size()));
    if bytes.is_none_or(|bytes| bytes as u64 != end - start) {
        let expected = bytes.map_or("a shape that fits memory".into(), |bytes| {
            format!("{bytes} bytes for shape {shape:?} of {known}")
        });
        return Err(fault("data length", expected, (end - start).to_string()));
    }
    let place = Place::Range(data_start + start as usize..data_start + end as usize);
    Ok(TensorEntry { name, dtype, shape, place })
}

/// The tensors' bytes must cover the data exactly: no overlap, and no hole that could hide something.
fn check_cover(path: &Path, entries: &[TensorEntry], data_start: usize, data_end: usize) -> Result<()> {
    let range = |entry: &TensorEntry| match &entry.place {
        Place::Range(range) => range.clone(),
        Place::Strided { .. } => 0..0,
    };
    let mut order: Vec<&TensorEntry> = entries.iter().collect();
    order.sort_by_key(|entry| (range(entry).start, range(entry).end));
    let mut position = data_start;
    for entry in order {
        let range = range(entry);
        if range.start != position {
            let what =
                if range.start < position { "data offsets overlap" } else { "data offsets leave a hole" };
            return Err(HubError::InvalidTensor {
                path: path.to_owned(),
                tensor: entry.name.clone(),
                what,
                expected: format!("a start of {}", position - data_start),
                got: (range.start - data_start).to_string(),
            });
        }
        position = range.end;
    }
    if position != data_end {
        return Err(HubError::InvalidHeader {
            path: path.to_owned(),
            what: "data after the last tensor",
            expected: format!("{} bytes of data", position - data_start),
            got: (data_end - data_start).to_string(),
        });
    }
    Ok(())
}

fn parse_dtype(name: &str) -> Option<WeightDtype> {
    Some(match name {
        "F64" => WeightDtype::F64,
        "F32" => WeightDtype::F32,
        "F16" => WeightDtype::F16,
        "BF16" => WeightDtype::Bf16,
        "I64" => WeightDtype::I64,
        "I32" => WeightDtype::I32,
        "I16" => WeightDtype::I16,
        "I8" => WeightDtype::I8,
        "U8" => WeightDtype::U8,
        "BOOL" => WeightDtype::Bool,
        _ => return None,
    })
}

/// A tensor's entry as written.
struct RawTensor {
    name: String,
    dtype: Option<String>,
    shape: Option<Vec<u64>>,
    offsets: Option<(u64, u64)>,
}

fn parse_raw(path: &Path, header: &[u8]) -> Result<Vec<RawTensor>> {
    let mut current = String::new();
    let mut deserializer = serde_json::Deserializer::from_slice(header);
    let parsed = HeaderSeed { current: &mut current }
        .deserialize(&mut deserializer)
        .and_then(|raw| deserializer.end().map(|()| raw));
    parsed.map_err(|error| {
        let got =
            format!("{} (header line {}, column {})", strip_position(&error), error.line(), error.column());
        if current.is_empty() {
            let expected = "a JSON object of tensors".into();
            HubError::InvalidHeader { path: path.to_owned(), what: "header", expected, got }
        } else {
            HubError::InvalidTensor {
                path: path.to_owned(),
                tensor: current.clone(),
                what: "entry",
                expected: "a JSON object with `dtype`, `shape` and `data_offsets`".into(),
                got,
            }
        }
    })
}

/// Visits the header's object; remembers the entry being read for the error message.
struct HeaderSeed<'a> {
    current: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for HeaderSeed<'_> {
    type Value = Vec<RawTensor>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderSeed<'_> {
    type Value = Vec<RawTensor>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            name.clone_into(self.current);
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
            } else {
                tensors.push(map.next_value_seed(TensorSeed { name })?);
            }
            self.current.clear();
        }
        Ok(tensors)
    }
}

struct TensorSeed {
    name: String,
}

impl<'de> DeserializeSeed<'de> for TensorSeed {
    type Value = RawTensor;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<RawTensor, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TensorSeed {
    type Value = RawTensor;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<RawTensor, A::Error> {
        let mut raw = RawTensor { name: self.name, dtype: None, shape: None, offsets: None };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "dtype" => raw.dtype = Some(map.next_value()?),
                "shape" => raw.shape = Some(map.next_value_seed(ShapeSeed)?),
                "data_offsets" => raw.offsets = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(raw)
    }
}

/// A list of at most [`MAX_RANK`] whole numbers.
struct ShapeSeed;

impl<'de> DeserializeSeed<'de> for ShapeSeed {
    type Value = Vec<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Vec<u64>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ShapeSeed {
    type Value = Vec<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_RANK} whole numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Vec<u64>, A::Error> {
        let mut shape = Vec::new();
        while let Some(length) = seq.next_element()? {
            if shape.len() == MAX_RANK {
                return Err(serde::de::Error::invalid_length(MAX_RANK + 1, &self));
            }
            shape.push(length);
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn refuse(bytes: &[u8]) -> String {
        parse_header(Path::new("m.safetensors"), bytes).unwrap_err().to_string()
    }

    #[test]
    fn positions_count_from_the_start_of_the_file() {
        let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"I64","shape":[],"data_offsets":[4,12]},"a":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]}}"#;
        let entries = parse_header(Path::new("m"), &file(header, &[0; 12])).unwrap();
        let start = 8 + header.len();
        assert_eq!(entries[0].place, Place::Range(start + 4..start + 12));
        assert_eq!((entries[1].dtype, &entries[1].shape[..]), (WeightDtype::Bf16, &[2, 1][..]));
    }

    #[test]
    fn truncated_header_is_refused_with_its_length() {
        let bytes = file(r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, &[0]);
        assert_eq!(
            refuse(&bytes[..20]),
            "`m.safetensors`: header: expected 53 bytes, got 12 before the end of the file"
        );
        assert_eq!(
            refuse(&bytes[..5]),
            "`m.safetensors`: header length: expected 8 bytes, got a file of 5 bytes"
        );
    }

    #[test]
    fn an_absurd_header_length_is_refused_before_anything_is_read() {
        assert_eq!(
            refuse(&[0xff; 64]),
            "`m.safetensors`: header length: expected at most 100000000 bytes, got 18446744073709551615"
        );
    }

    #[test]
    fn a_header_must_begin_with_a_brace() {
        let text = r#" {"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
        assert_eq!(
            refuse(&file(text, &[0])),
            "`m.safetensors`: header: expected `{` as its first byte, got byte 0x20"
        );
    }

    #[test]
    fn a_name_that_occurs_twice_is_refused() {
        let one = r#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
        let text = refuse(&file(&format!("{{{one},{one}}}"), &[0]));
        assert!(text.starts_with("tensor `a` occurs twice"), "{text}");
    }

    #[test]
    fn bytes_that_do_not_match_shape_and_dtype_are_refused() {
        let header = r#"{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,20]}}"#;
        assert_eq!(
            refuse(&file(header, &[0; 20])),
            "`m.safetensors`, tensor `w`: data length: expected 24 bytes for shape [2, 3] of F32, got 20"
        );
    }

    #[test]
    fn an_overflowing_shape_is_refused() {
        let header =
            format!(r#"{{"w":{{"dtype":"F32","shape":[{0},{0}],"data_offsets":[0,0]}}}}"#, u64::MAX / 2);
        assert!(refuse(&file(&header, &[])).contains("data length: expected a shape that fits memory"));
    }

    #[test]
    fn offsets_outside_the_file_are_refused() {
        let header = r#"{"w":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#;
        assert_eq!(
            refuse(&file(header, &[0; 8])),
            "`m.safetensors`, tensor `w`: data offsets: expected a range inside 0..8, got 0..9"
        );
        let header = r#"{"w":{"dtype":"U8","shape":[9],"data_offsets":[4,2]}}"#;
        assert!(refuse(&file(header, &[0; 8])).contains("got 4..2"));
    }

    #[test]
    fn overlaps_holes_and_trailing_bytes_are_refused() {
        let two = |second: &str| {
            format!(
                r#"{{"a":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},"b":{{"dtype":"U8","shape":[4],"data_offsets":{second}}}}}"#
            )
        };
        assert!(
            refuse(&file(&two("[2,6]"), &[0; 6]))
                .contains("`b`: data offsets overlap: expected a start of 4, got 2")
        );
        assert!(
            refuse(&file(&two("[5,9]"), &[0; 9]))
                .contains("`b`: data offsets leave a hole: expected a start of 4, got 5")
        );
        assert!(
            refuse(&file(&two("[4,8]"), &[0; 9]))
                .contains("data after the last tensor: expected 8 bytes of data, got 9")
        );
        assert!(parse_header(Path::new("m"), &file(&two("[4,8]"), &[0; 8])).is_ok());
    }

    #[test]
    fn an_unknown_dtype_names_its_tensor() {
        let header = r#"{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#;
        let text = refuse(&file(header, &[0]));
        assert!(
            text.contains("tensor `w`: dtype: expected one of F64") && text.ends_with("got `F8_E4M3`"),
            "{text}"
        );
    }

    #[test]
    fn a_malformed_entry_names_its_tensor() {
        let text = refuse(&file(r#"{"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, &[0]));
        assert!(text.contains("tensor `w`: entry: expected a JSON object"), "{text}");
        let ranks = vec!["1"; 33].join(",");
        let text = refuse(&file(
            &format!(r#"{{"w":{{"dtype":"U8","shape":[{ranks}],"data_offsets":[0,1]}}}}"#),
            &[0],
        ));
        assert!(text.contains("at most 32 whole numbers"), "{text}");
        let text = refuse(&file(r#"{"w":{"dtype":"U8","shape":[1]}}"#, &[0]));
        assert!(text.ends_with("expected `data_offsets`, got none"), "{text}");
    }
}
