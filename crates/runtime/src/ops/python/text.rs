//! Texts and bytes: their making, and their methods.

use pellucid_nn::Value;

use super::super::{Call, OpDef, op};
use super::format::{fill_in, format_value};
use super::repr::{MOST_CHARS, repr_of, str_of};
use super::{elements, items_of, iterate, limited};
use crate::error::Result;

macro_rules! map_text {
    ($name:literal, $f:expr) => {
        op($name, &["input"], |c| {
            let f: fn(&str) -> String = $f;
            Ok(Value::text(f(&c.text("input")?)))
        })
    };
}

macro_rules! test_text {
    ($name:literal, $f:expr) => {
        op($name, &["input"], |c| {
            let f: fn(char) -> bool = $f;
            let text = c.text("input")?;
            Ok(Value::Bool(!text.is_empty() && text.chars().all(f)))
        })
    };
}

pub(in super::super) const OPS: &[OpDef] = &[
    op("str", &["input?"], |c| {
        Ok(Value::text(if c.is_empty { String::new() } else { str_of(c.get("input"))? }))
    }),
    op("repr", &["input"], |c| Ok(Value::text(repr_of(c.get("input"))?))),
    op("format", &["input", "spec?"], |c| {
        Ok(Value::text(format_value(c.get("input"), &c.text_or("spec", "")?)?))
    }),
    op("str.format", &["input", "*values"], |c| Ok(Value::text(fill_in(&c.text("input")?, c.rest())?))),
    op("join", &["input", "items"], join),
    op("replace", &["input", "old", "new", "count?"], replace),
    op("strip", &["input", "chars?"], |c| trimmed(c, true, true)),
    op("lstrip", &["input", "chars?"], |c| trimmed(c, true, false)),
    op("rstrip", &["input", "chars?"], |c| trimmed(c, false, true)),
    op("splitlines", &["input"], |c| {
        Ok(Value::list(c.text("input")?.lines().map(Value::text).collect::<Vec<_>>()))
    }),
    op("find", &["input", "value|sub", "start?", "stop|end?"], |c| {
        Ok(Value::Int(find(c, false)?.unwrap_or(-1)))
    }),
    op("rfind", &["input", "value|sub", "start?", "stop|end?"], |c| {
        Ok(Value::Int(find(c, true)?.unwrap_or(-1)))
    }),
    op("startswith", &["input", "prefix"], |c| affix(c, "prefix", |text, part| text.starts_with(part))),
    op("endswith", &["input", "suffix"], |c| affix(c, "suffix", |text, part| text.ends_with(part))),
    op("removeprefix", &["input", "prefix"], |c| {
        let (text, part) = (c.text("input")?, c.text("prefix")?);
        Ok(Value::text(text.strip_prefix(&*part).unwrap_or(&text)))
    }),
    op("removesuffix", &["input", "suffix"], |c| {
        let (text, part) = (c.text("input")?, c.text("suffix")?);
        Ok(Value::text(text.strip_suffix(&*part).unwrap_or(&text)))
    }),
    op("zfill", &["input", "width"], |c| {
        let (text, width) = (c.text("input")?, c.count("width")?);
        limited(c, "width", width)?;
        let (sign, digits) = match text.chars().next() {
            Some(sign @ ('+' | '-')) => (sign.to_string(), &text[1..]),
            _ => (String::new(), &*text),
        };
        let gap = width.saturating_sub(text.chars().count());
        Ok(Value::text(format!("{sign}{}{digits}", "0".repeat(gap))))
    }),
    op("ljust", &["input", "width", "fillchar?"], |c| justified(c, '<')),
    op("rjust", &["input", "width", "fillchar?"], |c| justified(c, '>')),
    op("center", &["input", "width", "fillchar?"], |c| justified(c, '^')),
    map_text!("lower", |s| s.to_lowercase()),
    map_text!("upper", |s| s.to_uppercase()),
    map_text!("casefold", |s| s.to_lowercase()),
    map_text!("capitalize", |s| {
        let mut chars = s.chars();
        chars.next().map_or(String::new(), |first| {
            first.to_uppercase().collect::<String>() + &chars.as_str().to_lowercase()
        })
    }),
    map_text!("title", title),
    map_text!("swapcase", |s| {
        s.chars()
            .flat_map(|ch| -> Vec<char> {
                if ch.is_uppercase() { ch.to_lowercase().collect() } else { ch.to_uppercase().collect() }
            })
            .collect()
    }),
    test_text!("isdigit", |ch| ch.is_ascii_digit()),
    test_text!("isnumeric", char::is_numeric),
    test_text!("isalpha", char::is_alphabetic),
    test_text!("isalnum", char::is_alphanumeric),
    test_text!("isspace", char::is_whitespace),
    op("isupper", &["input"], |c| {
        let text = c.text("input")?;
        Ok(Value::Bool(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)))
    }),
    op("islower", &["input"], |c| {
        let text = c.text("input")?;
        Ok(Value::Bool(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)))
    }),
    op("encode", &["input", "encoding?"], |c| Ok(Value::Bytes(c.text("input")?.as_bytes().into()))),
    op("decode", &["input", "encoding?"], |c| match c.get("input") {
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::text(text)),
            Err(_) => Err(c.bad("input", "bytes of a text in UTF-8")),
        },
        _ => Err(c.bad("input", "bytes")),
    }),
    op("hex", &["input"], |c| match c.get("input") {
        Value::Bytes(bytes) => Ok(Value::text(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>())),
        _ => {
            let i = c.int("input")?;
            Ok(Value::text(format!("{}{:#x}", if i < 0 { "-" } else { "" }, i.unsigned_abs())))
        }
    }),
    op("bytes", &["input?", "encoding?"], bytes),
    op("ord", &["input"], |c| {
        let text = c.text("input")?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(ch), None) => Ok(Value::Int(i64::from(u32::from(ch)))),
            _ => Err(c.bad("input", "a text of one character")),
        }
    }),
    op("chr", &["input"], |c| {
        let ch = u32::try_from(c.int("input")?).ok().and_then(char::from_u32);
        ch.map(|ch| Value::text(ch.to_string())).ok_or_else(|| c.bad("input", "the number of a character"))
    }),
];

fn join(c: &Call<'_>) -> Result<Value> {
    let separator = c.text("input")?;
    let mut out = String::new();
    for (i, item) in elements(c, "items")?.iter().enumerate() {
        let Value::Str(text) = item else {
            return Err(super::bad("join", "items", "texts", item));
        };
        if i > 0 {
            out.push_str(&separator);
        }
        out.push_str(text);
        limited(c, "items", if out.len() > MOST_CHARS { usize::MAX } else { 0 })?;
    }
    Ok(Value::text(out))
}

fn replace(c: &Call<'_>) -> Result<Value> {
    let (text, old, new) = (c.text("input")?, c.text("old")?, c.text("new")?);
    let most = usize::try_from(c.int_or("count", -1)?).unwrap_or(usize::MAX);
    let places = if old.is_empty() { text.len() + 1 } else { text.matches(&*old).count() }.min(most);
    let size = text.len().saturating_add(places.saturating_mul(new.len()));
    limited(c, "new", if size > MOST_CHARS { usize::MAX } else { 0 })?;
    Ok(Value::text(text.replacen(&*old, &new, most)))
}

fn trimmed(c: &Call<'_>, left: bool, right: bool) -> Result<Value> {
    let text = c.text("input")?;
    let chars = if c.has("chars") { Some(c.text("chars")?) } else { None };
    let gone = |ch: char| chars.as_ref().map_or(ch.is_whitespace(), |chars| chars.contains(ch));
    let mut out = &*text;
    if left {
        out = out.trim_start_matches(gone);
    }
    if right {
        out = out.trim_end_matches(gone);
    }
    Ok(Value::text(out))
}

/// The first (or last) position of a text in another, in characters.
pub(super) fn find(c: &Call<'_>, last: bool) -> Result<Option<i64>> {
    let (text, part) = (c.text("input")?, c.text("value")?);
    let n = text.chars().count() as i64;
    let bound = |name: &str, default: i64| -> Result<usize> {
        let x = c.int_or(name, default)?;
        Ok((if x < 0 { x.saturating_add(n) } else { x }).clamp(0, n) as usize)
    };
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(i, _)| i);
    let (start, stop) = (bound("start", 0)?, bound("stop", n)?);
    if start > stop || c.int_or("start", 0)? > n {
        return Ok(None);
    }
    let window = &text[byte(start)..byte(stop)];
    let found = if last { window.rfind(&*part) } else { window.find(&*part) };
    Ok(found.map(|at| (start + window[..at].chars().count()) as i64))
}

fn affix(c: &Call<'_>, name: &str, test: fn(&str, &str) -> bool) -> Result<Value> {
    let text = c.text("input")?;
    if let Value::Tuple(parts) = c.get(name) {
        let any = parts.iter().map(|p| match p {
            Value::Str(p) => Ok(test(&text, p)),
            other => Err(super::bad(c.name(), name, "texts", other)),
        });
        return Ok(Value::Bool(any.collect::<Result<Vec<_>>>()?.contains(&true)));
    }
    Ok(Value::Bool(test(&text, &c.text(name)?)))
}

fn justified(c: &Call<'_>, align: char) -> Result<Value> {
    let (text, width) = (c.text("input")?, c.count("width")?);
    limited(c, "width", width)?;
    let fill = c.text_or("fillchar", " ")?;
    let mut chars = fill.chars();
    let (Some(fill), None) = (chars.next(), chars.next()) else {
        return Err(c.bad("fillchar", "one character"));
    };
    let gap = width.saturating_sub(text.chars().count());
    let some = |n: usize| std::iter::repeat_n(fill, n).collect::<String>();
    Ok(Value::text(match align {
        '<' => format!("{text}{}", some(gap)),
        '>' => format!("{}{text}", some(gap)),
        _ => {
            let left = gap / 2 + (gap & width & 1);
            format!("{}{text}{}", some(left), some(gap - left))
        }
    }))
}

fn title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for ch in text.chars() {
        if inside {
            out.extend(ch.to_lowercase());
        } else {
            out.extend(ch.to_uppercase());
        }
        inside = ch.is_alphabetic();
    }
    out
}

/// `text.split(separator)`.
pub(in super::super) fn split(
    c: &Call<'_>,
    text: &str,
    separator: &Value,
    most: Option<usize>,
) -> Result<Value> {
    let limit = most.map_or(usize::MAX, |n| n.saturating_add(1));
    let parts: Vec<Value> = match separator {
        Value::None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_start();
            while !rest.is_empty() {
                if parts.len() + 1 == limit {
                    parts.push(Value::text(rest.trim_end()));
                    break;
                }
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                parts.push(Value::text(&rest[..end]));
                rest = rest[end..].trim_start();
            }
            parts
        }
        Value::Str(separator) if !separator.is_empty() => {
            text.splitn(limit, &**separator).map(Value::text).collect()
        }
        other => return Err(super::bad(c.name(), "sep", "a text that is not empty", other)),
    };
    Ok(Value::list(parts))
}

fn bytes(c: &Call<'_>) -> Result<Value> {
    Ok(Value::Bytes(match c.get("input") {
        Value::None => [].into(),
        Value::Bytes(bytes) => bytes.clone(),
        Value::Str(text) => text.as_bytes().into(),
        Value::Int(_) => {
            let n = c.count("input")?;
            limited(c, "input", n)?;
            vec![0; n].into()
        }
        other if items_of(other).is_some() => iterate(c, "input", other)?
            .iter()
            .map(|v| match v {
                Value::Int(i) => {
                    u8::try_from(*i).map_err(|_| super::bad("bytes", "input", "integers from 0 to 255", v))
                }
                other => Err(super::bad("bytes", "input", "integers from 0 to 255", other)),
            })
            .collect::<Result<Vec<u8>>>()?
            .into(),
        _ => return Err(c.bad("input", "a text, integers or a length")),
    }))
}
