//! PyTorch checkpoints (`pytorch_model.bin`): a zip archive of a pickle that describes tensors and their storages.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::entry::{Place, TensorEntry, element_count, is_contiguous, strided_extent};
use super::pickle::{PickledTensor, read_state_dict};
use super::zip::read_entries;
use crate::error::{HubError, Result};

/// A strided tensor is copied when it is read; one that is larger than its storage (an expanded tensor) may take
/// this many bytes at most, so that a small file cannot ask for any amount of memory.
const EXPANDED_LIMIT: usize = 16 << 20;

/// The first bytes of the format of PyTorch before 1.6: a pickled magic number.
const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";

/// Reads and checks the tensors of a whole checkpoint file.
pub(crate) fn parse_checkpoint(path: &Path, file: &[u8]) -> Result<Vec<TensorEntry>> {
    let fault = |what, expected: &str, got: String| HubError::InvalidCheckpoint {
        path: path.to_owned(),
        offset: 0,
        what,
        expected: expected.into(),
        got,
    };
    if file.starts_with(LEGACY_MAGIC) {
        return Err(HubError::LegacyCheckpoint { path: path.to_owned() });
    }
    if !file.starts_with(b"PK\x03\x04") {
        let got =
            format!("a file of {} bytes that begins with {:02x?}", file.len(), &file[..file.len().min(4)]);
        return Err(fault("checkpoint", "a zip archive", got));
    }

    let mut places: HashMap<&str, Range<usize>> = HashMap::new();
    for entry in read_entries(path, file)? {
        if places.insert(entry.name, entry.data).is_some() {
            return Err(fault("zip archive", "one entry of each name", format!("two of `{}`", entry.name)));
        }
    }
    let mut pickles =
        places.keys().filter_map(|name| name.strip_suffix("data.pkl")).filter(|prefix| prefix.ends_with('/'));
    let (Some(prefix), None) = (pickles.next(), pickles.next()) else {
        return Err(fault("zip archive", "one entry `<name>/data.pkl`", "none or several".into()));
    };
    if let Some(order) = places.get(format!("{prefix}byteorder").as_str()) {
        let order = &file[order.clone()];
        if order != b"little" {
            let got = String::from_utf8_lossy(&order[..order.len().min(16)]).into_owned();
            return Err(fault("byte order", "little", got));
        }
    }

    let pickle = &file[places[format!("{prefix}data.pkl").as_str()].clone()];
    // A later value of a name replaces an earlier one, as in Python.
    let mut order: HashMap<&str, usize> = HashMap::new();
    let mut entries: Vec<TensorEntry> = Vec::new();
    for (name, tensor) in read_state_dict(path, pickle)? {
        let storage = places.get(format!("{prefix}data/{}", tensor.storage).as_str());
        let entry = check(path, name, tensor, storage.cloned())?;
        match order.get(name) {
            Some(&index) => entries[index] = entry,
            None => {
                order.insert(name, entries.len());
                entries.push(entry);
            }
        }
    }
    Ok(entries)
}

/// Compares a tensor with the storage it lies in.
fn check(
    path: &Path,
    name: &str,
    tensor: PickledTensor<'_>,
    storage: Option<Range<usize>>,
) -> Result<TensorEntry> {
    let PickledTensor { dtype, storage: key, storage_len, offset, shape, strides } = tensor;
    let fault = |what, expected: String, got: String| HubError::InvalidTensor {
        path: path.to_owned(),
        tensor: name.to_owned(),
        what,
        expected,
        got,
    };
    let Some(storage) = storage else {
        return Err(fault("storage", format!("an entry `data/{key}` in the archive"), "none".into()));
    };
    let size = dtype.size();
    if storage_len.checked_mul(size) != Some(storage.len()) {
        return Err(fault(
            "storage",
            format!("{storage_len} elements of {size} bytes"),
            format!("{} bytes", storage.len()),
        ));
    }
    let end = strided_extent(&shape, &strides)
        .and_then(|extent| if extent == 0 { Some(0) } else { extent.checked_add(offset) })
        .filter(|&end| end <= storage_len);
    let count = element_count(&shape);
    let (Some(end), Some(count)) = (end, count) else {
        let got = format!("shape {shape:?} with strides {strides:?} from element {offset}");
        return Err(fault("extent", format!("a tensor inside {storage_len} elements"), got));
    };
    if count.checked_mul(size).is_none_or(|bytes| bytes > storage.len().max(EXPANDED_LIMIT)) {
        let expected = format!("an expanded tensor of at most {EXPANDED_LIMIT} bytes");
        return Err(fault("size", expected, format!("shape {shape:?} of {size} bytes each")));
    }
    let place = if end == 0 {
        Place::Range(storage.start..storage.start)
    } else if is_contiguous(&shape, &strides) {
        let start = storage.start + offset * size;
        Place::Range(start..start + count * size)
    } else {
        Place::Strided { start: storage.start + offset * size, strides }
    };
    Ok(TensorEntry { name: name.to_owned(), dtype, shape, place })
}
