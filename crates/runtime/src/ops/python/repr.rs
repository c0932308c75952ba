//! Values as text: `str(x)` and `repr(x)`.

use std::fmt::Write as _;

use pellucid_nn::Value;
use pellucid_tensor::{DType, Tensor};

use super::MOST_DEPTH;
use crate::error::Result;

/// The most characters of a text that an operation makes.
pub(super) const MOST_CHARS: usize = 1 << 24;

/// `str(x)`: a text is itself.
pub(in super::super) fn str_of(value: &Value) -> Result<String> {
    match value {
        Value::Str(text) => Ok((**text).to_owned()),
        other => repr_of(other),
    }
}

/// `repr(x)`.
pub(in super::super) fn repr_of(value: &Value) -> Result<String> {
    let mut out = String::new();
    write_value(&mut out, value, 0)?;
    Ok(out)
}

fn write_value(out: &mut String, value: &Value, depth: usize) -> Result<()> {
    if depth > MOST_DEPTH || out.len() > MOST_CHARS {
        out.push_str("...");
        return Ok(());
    }
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
        Value::Int(i) => _ = write!(out, "{i}"),
        Value::Float(f) => out.push_str(&float_repr(*f)),
        Value::Complex(re, im) => out.push_str(&complex_repr(*re, *im)),
        Value::Str(text) => quote(out, text),
        Value::Bytes(bytes) => quote_bytes(out, bytes),
        Value::Tensor(var) => out.push_str(&tensor_text(&var.get()?)?),
        Value::Tuple(items) => {
            write_all(out, "(", items, depth)?;
            out.push_str(if items.len() == 1 { ",)" } else { ")" });
        }
        Value::List(items) => {
            write_all(out, "[", &items.borrow(), depth)?;
            out.push(']');
        }
        Value::Set(items) if items.borrow().is_empty() => out.push_str("set()"),
        Value::Set(items) => {
            write_all(out, "{", &items.borrow(), depth)?;
            out.push('}');
        }
        Value::Dict(pairs) => {
            out.push('{');
            for (i, (key, value)) in pairs.borrow().iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_value(out, key, depth + 1)?;
                out.push_str(": ");
                write_value(out, value, depth + 1)?;
            }
            out.push('}');
        }
        Value::Record(record) => {
            _ = write!(out, "{}(", record.type_name);
            for (i, (name, value)) in record.fields.borrow().iter().enumerate() {
                _ = write!(out, "{}{name}=", if i > 0 { ", " } else { "" });
                write_value(out, value, depth + 1)?;
            }
            out.push(')');
        }
        Value::Slice(parts) => {
            write_all(out, "slice(", &parts[..], depth)?;
            out.push(')');
        }
        Value::Ellipsis => out.push_str("Ellipsis"),
        Value::DType(dtype) => _ = write!(out, "torch.{dtype}"),
        other => out.push_str(&other.kind()),
    }
    Ok(())
}

fn write_all(out: &mut String, open: &str, items: &[Value], depth: usize) -> Result<()> {
    out.push_str(open);
    for (i, item) in items.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        write_value(out, item, depth + 1)?;
    }
    Ok(())
}

/// The shortest text that reads back as the number, as Python writes it.
pub(in super::super) fn float_repr(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{x}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn complex_repr(re: f64, im: f64) -> String {
    let part = |x: f64| {
        let text = float_repr(x);
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    if re == 0.0 && re.is_sign_positive() {
        return format!("{}j", part(im));
    }
    let sign = if im.is_sign_negative() { "" } else { "+" };
    format!("({}{sign}{}j)", part(re), part(im))
}

fn quote(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for ch in text.chars() {
        match ch {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ch if ch == quote => out.extend(['\\', ch]),
            ch if (ch as u32) < 0x20 || (0x7f..0xa1).contains(&(ch as u32)) => {
                _ = write!(out, "\\x{:02x}", ch as u32);
            }
            ch => out.push(ch),
        }
    }
    out.push(quote);
}

fn quote_bytes(out: &mut String, bytes: &[u8]) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    out.push('b');
    out.push(quote);
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b if char::from(b) == quote => out.extend(['\\', quote]),
            0x20..0x7f => out.push(char::from(byte)),
            other => _ = write!(out, "\\x{other:02x}"),
        }
    }
    out.push(quote);
}

/// A computed tensor as nested lists, at most a thousand elements of it; the type where it is not the usual one.
fn tensor_text(tensor: &Tensor) -> Result<String> {
    const SHOWN: usize = 1000;
    let name = match tensor.dtype() {
        DType::F32 | DType::I64 | DType::Bool => String::new(),
        other => format!(", dtype=torch.{other}"),
    };
    if tensor.numel() > SHOWN || tensor.numel() == 0 {
        return Ok(format!("tensor(size={:?}{name})", tensor.dims()));
    }
    let text = |x: f64| match tensor.dtype() {
        DType::Bool => (if x == 0.0 { "False" } else { "True" }).to_owned(),
        d if d.is_float() => float_text(x, d),
        _ => format!("{x}"),
    };
    let elements: Vec<String> = tensor.to_f64s()?.into_iter().map(text).collect();
    Ok(format!("tensor({}{name})", nested(tensor.dims(), &elements)))
}

/// A float with the digits that its type holds.
fn float_text(x: f64, dtype: DType) -> String {
    if dtype == DType::F64 { float_repr(x) } else { float_repr(format!("{}", x as f32).parse().unwrap_or(x)) }
}

fn nested(dims: &[usize], elements: &[String]) -> String {
    match dims {
        [] => elements.first().cloned().unwrap_or_default(),
        [_] => format!("[{}]", elements.join(", ")),
        [_, rest @ ..] => {
            let each = rest.iter().product::<usize>().max(1);
            let rows: Vec<String> = elements.chunks(each).map(|row| nested(rest, row)).collect();
            format!("[{}]", rows.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (x, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-2.5e-10, "-2.5e-10"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(float_repr(x), text);
        }
    }
}
