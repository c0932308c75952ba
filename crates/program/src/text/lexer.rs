//! Tokens of the text form.

use super::ParseError;

/// What a token is; its text is found by its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A letter or underscore, then letters, digits, underscores and dots.
    Word,
    /// Digits, perhaps with a sign.
    Int,
    /// A number with a fraction or an exponent, or `-inf`.
    Float,
    /// A string with its quotes.
    Str,
    /// One of `% @ ^ # $` with a number.
    Id(char),
    /// One of `( ) [ ] { } < > , : =`.
    Mark(char),
    /// `..`
    Dots,
    /// `...`
    Ellipsis,
    /// The end of a line.
    Newline,
    /// The end of the text.
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    /// Its text; of an id, without the sigil.
    pub(super) text: &'a str,
    /// Where it starts, in bytes.
    pub(super) start: usize,
}

/// Reads tokens from a text, front to back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token; past the end, [`TokenKind::End`] again and again.
    pub(super) fn next(&mut self) -> Result<Token<'a>, ParseError> {
        self.skip_blank();
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let Some(&first) = rest.first() else {
            return Ok(Token { kind: TokenKind::End, text: "", start });
        };
        let (kind, length) = match first {
            b'\n' => (TokenKind::Newline, 1),
            b'.' if rest.starts_with(b"...") => (TokenKind::Ellipsis, 3),
            b'.' if rest.starts_with(b"..") => (TokenKind::Dots, 2),
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b',' | b':' | b'=' => {
                (TokenKind::Mark(first.into()), 1)
            }
            b'%' | b'@' | b'^' | b'#' | b'$' => {
                let digits = count(&rest[1..], u8::is_ascii_digit);
                if digits == 0 {
                    return Err(self.error(start, &format!("a number after `{}`", first as char)));
                }
                let text = &self.text[start + 1..start + 1 + digits];
                self.at = start + 1 + digits;
                return Ok(Token { kind: TokenKind::Id(first.into()), text, start });
            }
            b'"' => (TokenKind::Str, self.string_length(start)?),
            b'-' if rest.starts_with(b"-inf") => (TokenKind::Float, 4),
            b'-' | b'0'..=b'9' => number(rest).ok_or_else(|| self.error(start, "a digit after `-`"))?,
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'.';
                (TokenKind::Word, count(rest, word))
            }
            _ => return Err(self.error(start, "a word, a number, a string or an id")),
        };
        self.at = start + length;
        Ok(Token { kind, text: &self.text[start..self.at], start })
    }

    /// Skips spaces and comments, not the end of the line.
    fn skip_blank(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let blanks = count(rest, |b| matches!(b, b' ' | b'\t' | b'\r'));
        self.at += blanks;
        if rest.get(blanks) == Some(&b';') {
            self.at += count(&rest[blanks..], |b| *b != b'\n');
        }
    }

    /// The length of the string that starts there, quotes included.
    fn string_length(&self, start: usize) -> Result<usize, ParseError> {
        let bytes = &self.text.as_bytes()[start..];
        let mut at = 1;
        loop {
            match bytes.get(at) {
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') => at += 2,
                Some(b'\n') | None => {
                    let end = (start + at).min(self.text.len());
                    return Err(self.error(end, "`\"` at the end of the string"));
                }
                Some(_) => at += 1,
            }
        }
    }

    /// An error at a byte offset, naming what stands there.
    pub(super) fn error(&self, at: usize, expected: &str) -> ParseError {
        // A backslash at the very end, or before a wide character, may have led past a boundary.
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let got = match self.text[at..].chars().next() {
            None => "the end of the text".to_owned(),
            Some('\n') => "the end of the line".to_owned(),
            Some(_) => {
                let shown: String = self.text[at..]
                    .chars()
                    .take_while(|c| !c.is_whitespace())
                    .take(24)
                    .flat_map(char::escape_debug)
                    .collect();
                format!("`{shown}`")
            }
        };
        self.error_with(at, expected, got)
    }

    /// An error at a byte offset with a description of what stands there.
    pub(super) fn error_with(&self, at: usize, expected: &str, got: String) -> ParseError {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ParseError {
            line: before.bytes().filter(|&b| b == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            expected: expected.to_owned(),
            got,
        }
    }

    /// The characters that a string token stands for.
    pub(super) fn unescape(&self, token: Token<'a>) -> Result<String, ParseError> {
        let body = &token.text[1..token.text.len() - 1];
        if !body.contains('\\') {
            return Ok(body.to_owned());
        }
        let mut out = String::with_capacity(body.len());
        let mut rest = body;
        while let Some(backslash) = rest.find('\\') {
            out.push_str(&rest[..backslash]);
            let at = token.start + 1 + (body.len() - rest.len()) + backslash;
            let (character, length) = escape(&rest[backslash + 1..])
                .ok_or_else(|| self.error(at, "one of `\\\"` `\\\\` `\\n` `\\r` `\\t` `\\u{…}`"))?;
            out.push(character);
            rest = &rest[backslash + 1 + length..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The character of an escape, given what follows the backslash, and the length of what follows.
fn escape(text: &str) -> Option<(char, usize)> {
    let simple = match text.as_bytes().first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let hex = text.strip_prefix("u{")?;
            let hex = &hex[..hex.find('}')?];
            if hex.is_empty() || hex.len() > 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            let character = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
            return Some((character, hex.len() + 3));
        }
        _ => return None,
    };
    Some((simple, 1))
}

/// The kind and length of the number that starts a text; `None` for a lone sign.
fn number(text: &[u8]) -> Option<(TokenKind, usize)> {
    let sign = usize::from(text[0] == b'-');
    let digits_at = |at: usize| count(text.get(at..).unwrap_or_default(), u8::is_ascii_digit);
    let mut length = sign + digits_at(sign);
    if length == sign {
        return None;
    }
    let mut kind = TokenKind::Int;
    if text.get(length) == Some(&b'.') && digits_at(length + 1) > 0 {
        length += 1 + digits_at(length + 1);
        kind = TokenKind::Float;
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let exponent_sign = usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        let digits = digits_at(length + 1 + exponent_sign);
        if digits > 0 {
            length += 1 + exponent_sign + digits;
            kind = TokenKind::Float;
        }
    }
    Some((kind, length))
}

fn count(bytes: &[u8], test: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|b| test(b)).count()
}
