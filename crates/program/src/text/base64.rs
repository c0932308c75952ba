//! Base64 with the standard alphabet and padding, strict: every byte sequence has exactly one text.

use std::fmt::{self, Write};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes as base64.
pub(super) fn encode(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        for position in 0..4 {
            let letter = if position <= chunk.len() {
                ALPHABET[(bits >> (18 - 6 * position) & 63) as usize] as char
            } else {
                '='
            };
            out.write_char(letter)?;
        }
    }
    Ok(())
}

/// Reads base64; `Err` gives the offset of the first byte that does not belong.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let groups = text.chunks(4).enumerate();
    for (index, group) in groups {
        let start = 4 * index;
        let is_last = start + group.len() == text.len();
        let padding = if is_last { group.iter().rev().take_while(|&&b| b == b'=').count() } else { 0 };
        if group.len() < 4 {
            return Err(text.len());
        }
        if padding > 2 {
            return Err(start);
        }
        let mut bits = 0u32;
        for (offset, &letter) in group[..4 - padding].iter().enumerate() {
            let value = value(letter).ok_or(start + offset)?;
            bits |= value << (18 - 6 * offset);
        }
        let count = 3 - padding;
        // Bits beyond the last byte must be zero, or two texts would mean the same bytes.
        if padding > 0 && bits << (8 + 8 * count) != 0 {
            return Err(start + 3 - padding);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=count]);
    }
    Ok(bytes)
}

fn value(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut text = String::new();
        encode(bytes, &mut text).unwrap();
        text
    }

    #[test]
    fn the_standard_examples_hold_both_ways() {
        let examples: [(&[u8], &str); 7] = [
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in examples {
            assert_eq!(encoded(bytes), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Ok(bytes));
        }
    }

    #[test]
    fn anything_but_the_one_text_is_refused_at_its_offset() {
        assert_eq!(decode(b"Zg="), Err(3), "a group cut short");
        assert_eq!(decode(b"Zh=="), Err(1), "bits set beyond the last byte");
        assert_eq!(decode(b"Zm9=Zm9v"), Err(3), "padding in the middle");
        assert_eq!(decode(b"Z==="), Err(0), "too much padding");
        assert_eq!(decode(b"Zm 9"), Err(2), "a space");
    }
}
