//! Just enough of the zip format to find the stored entries of a PyTorch checkpoint, in place.
//!
//! `torch.save` writes uncompressed entries, so that a tensor's bytes can be mapped; a compressed entry is refused.

use std::ops::Range;
use std::path::Path;

use crate::error::{HubError, Result};

/// An entry's name and where its bytes lie in the file.
#[derive(Debug, PartialEq)]
pub(crate) struct ZipEntry<'a> {
    pub(crate) name: &'a str,
    pub(crate) data: Range<usize>,
}

const END_LEN: usize = 22;
const END64_LOCATOR_LEN: usize = 20;
const END64_LEN: usize = 56;
const CENTRAL_LEN: usize = 46;
const LOCAL_LEN: usize = 30;
const COMMENT_LIMIT: usize = 65_535;

/// Reads little-endian numbers with checks, and makes errors that say where.
struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn fault(
        &self,
        at: usize,
        what: &'static str,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> HubError {
        HubError::InvalidCheckpoint {
            path: self.path.to_owned(),
            offset: at as u64,
            what,
            expected: expected.into(),
            got: got.into(),
        }
    }

    /// The `len` bytes at `at`, called `what` in the error.
    fn take(&self, at: usize, len: usize, what: &'static str) -> Result<&'a [u8]> {
        at.checked_add(len).and_then(|end| self.bytes.get(at..end)).ok_or_else(|| {
            self.fault(at, what, format!("{len} bytes"), format!("a file of {} bytes", self.bytes.len()))
        })
    }

    fn signature(&self, record: &[u8], at: usize, what: &'static str, signature: [u8; 4]) -> Result<()> {
        if record.get(..4) == Some(&signature[..]) {
            return Ok(());
        }
        Err(self.fault(
            at,
            what,
            format!("signature {signature:02x?}"),
            format!("{:02x?}", &record[..4.min(record.len())]),
        ))
    }

    fn to_usize(&self, value: u64, at: usize, what: &'static str) -> Result<usize> {
        usize::try_from(value)
            .map_err(|_| self.fault(at, what, "a number that fits memory", value.to_string()))
    }
}

fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([record[at], record[at + 1]])
}

fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from(u16_at(record, at)) | u32::from(u16_at(record, at + 2)) << 16
}

fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from(u32_at(record, at)) | u64::from(u32_at(record, at + 4)) << 32
}

/// Lists the entries of the zip archive `bytes`, all stored and all inside the file.
pub(crate) fn read_entries<'a>(path: &'a Path, bytes: &'a [u8]) -> Result<Vec<ZipEntry<'a>>> {
    let reader = Reader { path, bytes };
    let (count, start, len) = find_directory(&reader)?;
    let directory = reader.take(start, len, "zip directory")?;
    // Every record takes at least `CENTRAL_LEN` bytes, which bounds what a false count can make us allocate.
    if count > (len / CENTRAL_LEN) as u64 {
        return Err(reader.fault(start, "zip directory", format!("{count} records"), format!("{len} bytes")));
    }
    let mut entries = Vec::with_capacity(count as usize);
    let mut at = 0;
    for _ in 0..count {
        let (entry, next) = read_record(&reader, directory, start, at)?;
        entries.push(entry);
        at = next;
    }
    Ok(entries)
}

/// The number of records, the position and the length of the central directory.
fn find_directory(reader: &Reader<'_>) -> Result<(u64, usize, usize)> {
    let bytes = reader.bytes;
    let first = bytes.len().saturating_sub(END_LEN + COMMENT_LIMIT);
    let tail = &bytes[first..];
    let end = (0..=tail.len().saturating_sub(END_LEN))
        .rev()
        .find(|&at| tail.len() >= END_LEN && tail[at..].starts_with(b"PK\x05\x06"))
        .map(|at| first + at)
        .ok_or_else(|| {
            reader.fault(
                bytes.len(),
                "zip directory",
                "an end-of-directory record in the last 64 KiB",
                "none",
            )
        })?;
    let record = reader.take(end, END_LEN, "zip end record")?;
    let (count, len, start) = (u16_at(record, 10), u32_at(record, 12), u32_at(record, 16));
    if count != u16::MAX && len != u32::MAX && start != u32::MAX {
        return Ok((u64::from(count), start as usize, len as usize));
    }

    let Some(locator_at) = end.checked_sub(END64_LOCATOR_LEN) else {
        return Err(reader.fault(end, "zip64 locator", "20 bytes before the end record", end.to_string()));
    };
    let locator = reader.take(locator_at, END64_LOCATOR_LEN, "zip64 locator")?;
    reader.signature(locator, locator_at, "zip64 locator", *b"PK\x06\x07")?;
    let end64_at = reader.to_usize(u64_at(locator, 8), locator_at, "zip64 locator")?;
    let end64 = reader.take(end64_at, END64_LEN, "zip64 end record")?;
    reader.signature(end64, end64_at, "zip64 end record", *b"PK\x06\x06")?;
    Ok((
        u64_at(end64, 32),
        reader.to_usize(u64_at(end64, 48), end64_at, "zip64 end record")?,
        reader.to_usize(u64_at(end64, 40), end64_at, "zip64 end record")?,
    ))
}

/// The entry of the directory record at `at`, and where the next record starts.
fn read_record<'a>(
    reader: &Reader<'a>,
    directory: &'a [u8],
    directory_start: usize,
    at: usize,
) -> Result<(ZipEntry<'a>, usize)> {
    let place = directory_start + at;
    let cut = |got: usize| {
        reader.fault(
            place,
            "zip directory record",
            "a whole record",
            format!("{got} bytes before the directory's end"),
        )
    };
    let record = &directory[at..];
    if record.len() < CENTRAL_LEN {
        return Err(cut(record.len()));
    }
    reader.signature(record, place, "zip directory record", *b"PK\x01\x02")?;
    let (flags, method) = (u16_at(record, 8), u16_at(record, 10));
    let (name_len, extra_len) = (u16_at(record, 28) as usize, u16_at(record, 30) as usize);
    let next = CENTRAL_LEN + name_len + extra_len + u16_at(record, 32) as usize;
    if record.len() < next {
        return Err(cut(record.len()));
    }
    let name = std::str::from_utf8(&record[CENTRAL_LEN..CENTRAL_LEN + name_len])
        .map_err(|_| reader.fault(place, "zip entry name", "UTF-8", "other bytes"))?;
    if method != 0 || flags & 1 != 0 {
        let got =
            if flags & 1 != 0 { "an encrypted entry".into() } else { format!("compression method {method}") };
        return Err(reader.fault(place, "zip entry", "a stored entry, as `torch.save` writes them", got));
    }

    let extra = &record[CENTRAL_LEN + name_len..CENTRAL_LEN + name_len + extra_len];
    let (packed, size, header) = sizes(record, extra)
        .ok_or_else(|| reader.fault(place, "zip64 sizes", "the sizes announced by the record", "none"))?;
    if packed != size {
        return Err(reader.fault(
            place,
            "zip entry size",
            format!("{size} bytes stored"),
            packed.to_string(),
        ));
    }
    let header = reader.to_usize(header, place, "zip entry position")?;
    let size = reader.to_usize(size, place, "zip entry size")?;
    let local = reader.take(header, LOCAL_LEN, "zip entry header")?;
    reader.signature(local, header, "zip entry header", *b"PK\x03\x04")?;
    let start = header + LOCAL_LEN + u16_at(local, 26) as usize + u16_at(local, 28) as usize;
    reader.take(start, size, "zip entry data")?;
    Ok((ZipEntry { name, data: start..start + size }, at + next))
}

/// Packed size, size and position of an entry, from the zip64 field where the record is too narrow.
fn sizes(record: &[u8], extra: &[u8]) -> Option<(u64, u64, u64)> {
    let narrow = [u32_at(record, 24), u32_at(record, 20), u32_at(record, 42)];
    let mut wide = narrow.map(u64::from);
    if narrow.contains(&u32::MAX) {
        let mut field = find_extra(extra, 1)?;
        for (value, narrow) in wide.iter_mut().zip(narrow) {
            if narrow == u32::MAX {
                let (first, rest) = field.split_first_chunk::<8>()?;
                *value = u64::from_le_bytes(*first);
                field = rest;
            }
        }
    }
    let [size, packed, position] = wide;
    Some((packed, size, position))
}

/// The content of the extra field with this id.
fn find_extra(mut extra: &[u8], id: u16) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let len = u16_at(extra, 2) as usize;
        let content = extra.get(4..4 + len)?;
        if u16_at(extra, 0) == id {
            return Some(content);
        }
        extra = &extra[4 + len..];
    }
    None
}
