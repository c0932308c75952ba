//! Writing the safetensors format: the length of a JSON header, the header, the bytes.

use serde_json::{Map, Value, json};

/// A named `float32` tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedTensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// The bytes of a file that holds these tensors, in this order.
pub(super) fn serialize(tensors: &[NamedTensor]) -> Vec<u8> {
    let mut header = Map::new();
    // Hugging Face's loaders ask which framework's layout the tensors have.
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut end = 0;
    for tensor in tensors {
        let start = end;
        end += 4 * tensor.values.len();
        let entry = json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end] });
        header.insert(tensor.name.clone(), entry);
    }
    let mut header = Value::Object(header).to_string();
    // The data starts at a multiple of eight.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    for value in tensors.iter().flat_map(|tensor| &tensor.values) {
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{NamedTensor, serialize};

    #[test]
    fn the_header_says_where_each_tensor_is() {
        let tensor = |name: &str, shape: &[usize], values: &[f32]| NamedTensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        let bytes = serialize(&[tensor("a", &[3], &[1.0, 2.0, 3.0]), tensor("b", &[1, 1], &[-4.0])]);
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert!(length.is_multiple_of(8));
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        assert_eq!(header["b"]["data_offsets"], serde_json::json!([12, 16]));
        assert_eq!(header["b"]["shape"], serde_json::json!([1, 1]));
        let data = &bytes[8 + length..];
        assert_eq!(data.len(), 16);
        assert_eq!(data[12..16], (-4.0_f32).to_le_bytes());
    }
}
