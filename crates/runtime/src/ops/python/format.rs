//! `format(x, spec)`: Python's format specifications, as f-strings use them.

use pellucid_nn::Value;

use super::super::bad;
use super::numbers::{Number, from_scalar};
use super::repr::{MOST_CHARS, float_repr, str_of};
use crate::error::{Result, RunError, RunErrorKind};

/// `[[fill]align][sign][#][0][width][,|_][.precision][type]`.
struct Spec {
    fill: char,
    align: Option<char>,
    sign: char,
    alternate: bool,
    width: usize,
    group: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

fn fault(spec: &str, expected: &str) -> RunError {
    RunErrorKind::Argument {
        op: "format".into(),
        argument: "spec".into(),
        expected: expected.into(),
        got: format!("{spec:?}"),
    }
    .into()
}

fn parse(spec: &str) -> Result<Spec> {
    let chars: Vec<char> = spec.chars().collect();
    let mut at = 0;
    let is_align = |c: Option<&char>| matches!(c, Some('<' | '>' | '=' | '^'));
    let mut out = Spec {
        fill: ' ',
        align: None,
        sign: '-',
        alternate: false,
        width: 0,
        group: None,
        precision: None,
        kind: None,
    };
    if is_align(chars.get(1)) {
        (out.fill, out.align) = (chars[0], Some(chars[1]));
        at = 2;
    } else if is_align(chars.first()) {
        out.align = Some(chars[0]);
        at = 1;
    }
    if let Some(&sign @ ('+' | '-' | ' ')) = chars.get(at) {
        out.sign = sign;
        at += 1;
    }
    if chars.get(at) == Some(&'#') {
        out.alternate = true;
        at += 1;
    }
    if chars.get(at) == Some(&'0') {
        if out.align.is_none() {
            (out.fill, out.align) = ('0', Some('='));
        }
        at += 1;
    }
    let number = |at: &mut usize| -> Result<Option<usize>> {
        let start = *at;
        while chars.get(*at).is_some_and(char::is_ascii_digit) {
            *at += 1;
        }
        if start == *at {
            return Ok(None);
        }
        let text: String = chars[start..*at].iter().collect();
        let n: usize = text.parse().unwrap_or(usize::MAX);
        if n > MOST_CHARS {
            return Err(fault(spec, &format!("widths of at most {MOST_CHARS}")));
        }
        Ok(Some(n))
    };
    out.width = number(&mut at)?.unwrap_or(0);
    if let Some(&group @ (',' | '_')) = chars.get(at) {
        out.group = Some(group);
        at += 1;
    }
    if chars.get(at) == Some(&'.') {
        at += 1;
        out.precision = Some(number(&mut at)?.ok_or_else(|| fault(spec, "digits behind the point"))?);
    }
    if let Some(&kind) = chars.get(at) {
        out.kind = Some(kind);
        at += 1;
    }
    if at != chars.len() {
        return Err(fault(spec, "a format specification"));
    }
    Ok(out)
}

/// `format(value, spec)`.
pub(in super::super) fn format_value(value: &Value, spec: &str) -> Result<String> {
    if spec.is_empty() {
        return match value {
            // A tensor without dimensions is formatted as its number.
            Value::Tensor(var) if var.get()?.rank() == 0 => str_of(&from_scalar(var.get()?.item()?)),
            other => str_of(other),
        };
    }
    let parsed = parse(spec)?;
    let value = match value {
        Value::Tensor(var) if var.get()?.rank() == 0 => from_scalar(var.get()?.item()?),
        other => other.clone(),
    };
    match (&value, Number::of(&value)) {
        (Value::Str(text), _) => {
            if !matches!(parsed.kind, None | Some('s')) || parsed.align == Some('=') && parsed.fill != '0' {
                return Err(fault(spec, "a specification for a text"));
            }
            let shown: String = text.chars().take(parsed.precision.unwrap_or(usize::MAX)).collect();
            Ok(padded(&parsed, "", &shown, '<'))
        }
        (Value::Bool(_), _) if parsed.kind.is_none() => Ok(padded(&parsed, "", &str_of(&value)?, '<')),
        (_, Some(number)) => match (number.whole(), parsed.kind) {
            (Some(i), None | Some('d' | 'n' | 'b' | 'o' | 'x' | 'X' | 'c')) => integer(spec, &parsed, i),
            (_, None | Some('f' | 'F' | 'e' | 'E' | 'g' | 'G' | '%' | 'n')) => match number.real() {
                Some(x) => Ok(float(&parsed, x)),
                None => Err(bad("format", "input", "a real number", &value)),
            },
            _ => Err(fault(spec, "a specification for a number")),
        },
        _ => Err(bad("format", "input", "a text or a number", &value)),
    }
}

fn integer(spec: &str, parsed: &Spec, i: i64) -> Result<String> {
    if parsed.precision.is_some() {
        return Err(fault(spec, "no digits behind the point of an integer"));
    }
    let magnitude = i.unsigned_abs();
    let (prefix, digits, every) = match parsed.kind {
        Some('b') => ("0b", format!("{magnitude:b}"), 4),
        Some('o') => ("0o", format!("{magnitude:o}"), 4),
        Some('x') => ("0x", format!("{magnitude:x}"), 4),
        Some('X') => ("0X", format!("{magnitude:X}"), 4),
        Some('c') => {
            let ch = u32::try_from(i).ok().and_then(char::from_u32);
            let ch = ch.ok_or_else(|| fault(spec, "the number of a character"))?;
            return Ok(padded(parsed, "", &ch.to_string(), '<'));
        }
        _ => ("", magnitude.to_string(), 3),
    };
    let sign = sign_of(parsed, i < 0);
    let prefix = if parsed.alternate { prefix } else { "" };
    Ok(padded(parsed, &format!("{sign}{prefix}"), &grouped(parsed, &digits, every), '>'))
}

fn sign_of(parsed: &Spec, negative: bool) -> &'static str {
    match (negative, parsed.sign) {
        (true, _) => "-",
        (false, '+') => "+",
        (false, ' ') => " ",
        _ => "",
    }
}

fn float(parsed: &Spec, x: f64) -> String {
    let sign = sign_of(parsed, x.is_sign_negative() && !x.is_nan());
    let upper = matches!(parsed.kind, Some('F' | 'E' | 'G'));
    let magnitude = x.abs();
    let mut text = if magnitude.is_finite() {
        let precision = parsed.precision.unwrap_or(6);
        match parsed.kind {
            Some('f' | 'F') => format!("{magnitude:.precision$}"),
            Some('e' | 'E') => scientific(magnitude, precision),
            Some('%') => format!("{:.precision$}", magnitude * 100.0),
            Some('g' | 'G' | 'n') => general(magnitude, precision, parsed.alternate),
            _ => match parsed.precision {
                None => float_repr(magnitude),
                Some(precision) => with_fraction(general(magnitude, precision, false), magnitude, precision),
            },
        }
    } else {
        float_repr(magnitude)
    };
    if upper {
        text = text.to_uppercase();
    }
    let (whole, rest) = match text.find(['.', 'e', 'E']) {
        Some(at) if magnitude.is_finite() => text.split_at(at),
        _ => (text.as_str(), ""),
    };
    let percent = if parsed.kind == Some('%') { "%" } else { "" };
    let body = format!("{}{rest}{percent}", grouped(parsed, whole, 3));
    padded(parsed, sign, &body, '>')
}

/// Without a type, a float always shows a point or an exponent.
fn with_fraction(text: String, x: f64, precision: usize) -> String {
    if text.contains(['.', 'e']) {
        return text;
    }
    // As Python: the exponent form begins one digit earlier than with `g`.
    if x != 0.0 && text.len() >= precision.max(1) {
        let shown = scientific(x, precision.max(1) - 1);
        let (digits, exponent) = shown.split_once('e').unwrap_or((&shown, "+00"));
        let digits =
            if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        return format!("{digits}e{exponent}");
    }
    text + ".0"
}

fn scientific(x: f64, precision: usize) -> String {
    let text = format!("{x:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn general(x: f64, precision: usize, keep_zeros: bool) -> String {
    let precision = precision.max(1);
    let shown = scientific(x, precision - 1);
    let exponent: i64 = shown.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let fixed = exponent >= -4 && exponent < precision as i64;
    let text = if fixed {
        let decimals = (precision as i64 - 1 - exponent).max(0) as usize;
        format!("{x:.decimals$}")
    } else {
        shown
    };
    if keep_zeros {
        return text;
    }
    let (digits, rest) = match text.find('e') {
        Some(at) => text.split_at(at),
        None => (text.as_str(), ""),
    };
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    format!("{digits}{rest}")
}

fn grouped(parsed: &Spec, digits: &str, every: usize) -> String {
    let Some(separator) = parsed.group else { return digits.to_owned() };
    let mut out = String::new();
    for (i, ch) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(every) && ch.is_ascii_alphanumeric() {
            out.push(separator);
        }
        out.push(ch);
    }
    out
}

fn padded(parsed: &Spec, sign: &str, body: &str, default: char) -> String {
    let len = sign.chars().count() + body.chars().count();
    let gap = parsed.width.saturating_sub(len);
    let fill = |n: usize| std::iter::repeat_n(parsed.fill, n).collect::<String>();
    match parsed.align.unwrap_or(default) {
        '<' => format!("{sign}{body}{}", fill(gap)),
        '^' => format!("{}{sign}{body}{}", fill(gap / 2), fill(gap - gap / 2)),
        '=' if default == '>' => format!("{sign}{}{body}", fill(gap)),
        '=' => format!("{sign}{body}{}", fill(gap)),
        _ => format!("{}{sign}{body}", fill(gap)),
    }
}

/// `template.format(*args, **kwargs)`.
pub(super) fn fill_in(template: &str, args: &[Value]) -> Result<String> {
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    let mut next = 0;
    while let Some(ch) = chars.next() {
        match ch {
            '{' | '}' if chars.peek() == Some(&ch) => {
                chars.next();
                out.push(ch);
            }
            '{' => {
                let mut field = String::new();
                loop {
                    match chars.next() {
                        Some('}') => break,
                        Some(inner) => field.push(inner),
                        None => return Err(fault(template, "a `}` for every `{`")),
                    }
                }
                let (name, spec) = field.split_once(':').unwrap_or((&field, ""));
                let (name, conversion) = name.split_once('!').unwrap_or((name, ""));
                let at = if name.is_empty() {
                    next += 1;
                    next - 1
                } else {
                    name.parse().map_err(|_| fault(template, "fields that are empty or numbers"))?
                };
                let value = args.get(at).ok_or_else(|| fault(template, "an argument for every field"))?;
                match conversion {
                    "" => out.push_str(&format_value(value, spec)?),
                    "r" => out.push_str(&format_value(&Value::text(super::repr::repr_of(value)?), spec)?),
                    "s" => out.push_str(&format_value(&Value::text(str_of(value)?), spec)?),
                    _ => return Err(fault(template, "the conversions `!r` and `!s`")),
                }
            }
            '}' => return Err(fault(template, "a `{` for every `}`")),
            other => out.push(other),
        }
        if out.len() > MOST_CHARS {
            return Err(fault(template, &format!("a text of at most {MOST_CHARS} bytes")));
        }
    }
    Ok(out)
}
