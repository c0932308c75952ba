//! Reading the text form: the cursor, arguments, and the statements around nodes.

use std::str::FromStr;

use super::lexer::{Lexer, Token, TokenKind};
use super::{Limits, ParseError, TEXT_VERSION, base64};
use crate::{
    Arg, Constant, ConstantId, Dtype, Input, Invoke, InvokeId, Line, Node, NodeId, Program, Region, RegionId,
    RegionKind, SourceId, Steps,
};

/// Reads a program from its text form, within the default [`Limits`].
///
/// # Errors
/// [`ParseError`] at the first thing that does not belong. Whether the program makes sense is [`verify`](crate::verify())'s matter.
///
/// ```
/// let text = "pellucid program 1\nregion ^0 root\n^0:\n%0 = op add(1, 2.5)\n";
/// let program = pellucid_program::parse(text)?;
/// assert!(program.to_string().contains("%0 = op add(1, 2.5)"));
///
/// let error = pellucid_program::parse("pellucid program 1\n%0 = sing").unwrap_err();
/// assert_eq!((error.line, error.column), (2, 6));
/// # Ok::<(), pellucid_program::ParseError>(())
/// ```
pub fn parse(text: &str) -> Result<Program, ParseError> {
    parse_with(text, &Limits::default())
}

/// Reads a program from its text form, within the given limits.
///
/// # Errors
/// [`ParseError`] at the first thing that does not belong or that is beyond a limit.
pub fn parse_with(text: &str, limits: &Limits) -> Result<Program, ParseError> {
    let mut lexer = Lexer::new(text);
    if text.len() > limits.text_bytes {
        let expected = format!("at most {} bytes of text", limits.text_bytes);
        return Err(lexer.error_with(0, &expected, format!("{} bytes", text.len())));
    }
    let current = lexer.next()?;
    let mut parser = Parser {
        lexer,
        current,
        limits,
        items: 0,
        constant_bytes: 0,
        region: RegionId(0),
        program: Program::default(),
    };
    parser.header()?;
    while parser.current.kind != TokenKind::End {
        if parser.current.kind == TokenKind::Newline {
            parser.advance()?;
        } else {
            parser.statement()?;
            parser.end_of_line()?;
        }
    }
    Ok(parser.program)
}

pub(super) type Result<T, E = ParseError> = std::result::Result<T, E>;

/// Positional and keyword arguments.
type Call = (Vec<Arg>, Vec<(String, Arg)>);

/// A cursor over the tokens, and the program read so far.
pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    pub(super) current: Token<'a>,
    limits: &'a Limits,
    /// List elements read so far, of every kind.
    items: usize,
    constant_bytes: usize,
    /// The region of the last label.
    region: RegionId,
    program: Program,
}

/// Tokens.
impl<'a> Parser<'a> {
    pub(super) fn advance(&mut self) -> Result<Token<'a>> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.current, next))
    }

    /// Whether the token after the current one is that mark.
    fn mark_follows(&self, mark: char) -> bool {
        let mut ahead = self.lexer;
        ahead.next().is_ok_and(|token| token.kind == TokenKind::Mark(mark))
    }

    pub(super) fn expected<T>(&self, what: &str) -> Result<T> {
        Err(self.error(what))
    }

    fn error(&self, expected: &str) -> ParseError {
        self.lexer.error(self.current.start, expected)
    }

    pub(super) fn at_mark(&self, mark: char) -> bool {
        self.current.kind == TokenKind::Mark(mark)
    }

    pub(super) fn at_word(&self, word: &str) -> bool {
        self.current.kind == TokenKind::Word && self.current.text == word
    }

    /// Takes the mark if it comes next.
    pub(super) fn take_mark(&mut self, mark: char) -> Result<bool> {
        let found = self.at_mark(mark);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Takes the word if it comes next.
    pub(super) fn take_word(&mut self, word: &str) -> Result<bool> {
        let found = self.at_word(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub(super) fn mark(&mut self, mark: char) -> Result<()> {
        if self.take_mark(mark)? { Ok(()) } else { self.expected(&format!("`{mark}`")) }
    }

    pub(super) fn word(&mut self, word: &str) -> Result<()> {
        if self.take_word(word)? { Ok(()) } else { self.expected(&format!("`{word}`")) }
    }

    pub(super) fn string(&mut self, what: &str) -> Result<String> {
        if self.current.kind != TokenKind::Str {
            return self.expected(what);
        }
        let token = self.current;
        let text = self.lexer.unescape(token)?;
        self.advance()?;
        Ok(text)
    }

    /// A plain word or a string.
    pub(super) fn name(&mut self, what: &str) -> Result<String> {
        if self.current.kind == TokenKind::Word {
            Ok(self.advance()?.text.to_owned())
        } else {
            self.string(what)
        }
    }

    /// A whole number that fits the type asked for.
    pub(super) fn int<T: FromStr>(&mut self, what: &str) -> Result<T> {
        match self.current.text.parse() {
            Ok(value) if self.current.kind == TokenKind::Int => {
                self.advance()?;
                Ok(value)
            }
            _ => self.expected(what),
        }
    }

    fn id(&mut self, sigil: char, what: &str) -> Result<u32> {
        match self.current.text.parse() {
            Ok(value) if self.current.kind == TokenKind::Id(sigil) => {
                self.advance()?;
                Ok(value)
            }
            _ => self.expected(what),
        }
    }

    pub(super) fn node_id(&mut self) -> Result<NodeId> {
        self.id('%', "a node such as `%0`").map(NodeId)
    }

    pub(super) fn region_id(&mut self) -> Result<RegionId> {
        self.id('^', "a region such as `^0`").map(RegionId)
    }

    /// The id of a table's next entry.
    fn next_id(&mut self, sigil: char, filled: usize, limit: usize, entries: &str) -> Result<()> {
        if filled >= limit {
            return self.expected(&format!("at most {limit} {entries}"));
        }
        let expected = format!("`{sigil}{filled}`, the next of the {entries}");
        let matches = self.current.kind == TokenKind::Id(sigil) && self.current.text.parse() == Ok(filled);
        if matches { self.advance().map(drop) } else { self.expected(&expected) }
    }

    /// Counts one element of a list against the limit.
    pub(super) fn count_item(&mut self) -> Result<()> {
        self.items += 1;
        if self.items > self.limits.items {
            return self.expected(&format!("at most {} arguments and elements", self.limits.items));
        }
        Ok(())
    }

    /// Elements with commas between them up to the closing mark, which is taken; a comma may stand before it.
    pub(super) fn list<T>(
        &mut self,
        close: char,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut items = Vec::new();
        while !self.take_mark(close)? {
            self.count_item()?;
            items.push(element(self)?);
            if !self.take_mark(',')? {
                if self.at_mark(close) {
                    continue;
                }
                return self.expected(&format!("`,` or `{close}`"));
            }
        }
        Ok(items)
    }

    fn end_of_line(&mut self) -> Result<()> {
        match self.current.kind {
            TokenKind::Newline => self.advance().map(drop),
            TokenKind::End => Ok(()),
            _ => self.expected("the end of the line"),
        }
    }
}

/// Arguments.
impl Parser<'_> {
    pub(super) fn arg(&mut self) -> Result<Arg> {
        self.nested_arg(0)
    }

    fn nested_arg(&mut self, depth: usize) -> Result<Arg> {
        if depth > Arg::MAX_DEPTH {
            return self.expected(&format!("at most {} levels of nesting", Arg::MAX_DEPTH));
        }
        let token = self.current;
        let arg = match token.kind {
            TokenKind::Id('%') => return self.node_id().map(Arg::Node),
            TokenKind::Id('#') => {
                return self.id('#', "a constant such as `#0`").map(|id| Arg::Constant(ConstantId(id)));
            }
            TokenKind::Int => return self.int("an integer of 64 bits").map(Arg::Int),
            TokenKind::Float => match token.text.parse::<f64>() {
                Ok(value) if value.is_finite() || token.text == "-inf" => Arg::Float(value),
                _ => return self.expected("a number within the range of `f64`"),
            },
            TokenKind::Str => return self.string("a string").map(Arg::Str),
            TokenKind::Ellipsis => Arg::Ellipsis,
            TokenKind::Word => return self.word_arg(),
            TokenKind::Mark('[') => {
                self.advance()?;
                return self.list(']', |p| p.nested_arg(depth + 1)).map(Arg::List);
            }
            TokenKind::Mark('(') => return self.tuple(depth),
            TokenKind::Mark('{') => {
                self.advance()?;
                let pair = |p: &mut Self| {
                    let key = p.nested_arg(depth + 1)?;
                    p.mark(':')?;
                    Ok((key, p.nested_arg(depth + 1)?))
                };
                return self.list('}', pair).map(Arg::Dict);
            }
            TokenKind::Mark('<') => return self.slice(depth),
            _ => return self.expected("an argument"),
        };
        self.advance()?;
        Ok(arg)
    }

    fn word_arg(&mut self) -> Result<Arg> {
        let arg = match self.current.text {
            "none" => Arg::None,
            "true" => Arg::Bool(true),
            "false" => Arg::Bool(false),
            "inf" => Arg::Float(f64::INFINITY),
            "nan" => {
                self.advance()?;
                return if self.take_mark('(')? { self.nan_bits() } else { Ok(Arg::Float(f64::NAN)) };
            }
            "device" => {
                self.advance()?;
                self.mark('(')?;
                let name = self.string("the name of a device in quotes")?;
                self.mark(')')?;
                return Ok(Arg::Device(name));
            }
            word => match Dtype::from_name(word) {
                Some(dtype) => Arg::Dtype(dtype),
                None => return self.expected("an argument"),
            },
        };
        self.advance()?;
        Ok(arg)
    }

    /// The bits of a NaN, after the parenthesis.
    fn nan_bits(&mut self) -> Result<Arg> {
        let digits = self.current.text.trim_matches('"');
        let bits = u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16);
        let Some(value) = bits.map(f64::from_bits).filter(|value| value.is_nan()) else {
            return self.expected("the bits of a NaN as 16 hexadecimal digits in quotes");
        };
        self.string("16 hexadecimal digits in quotes")?;
        self.mark(')')?;
        Ok(Arg::Float(value))
    }

    fn tuple(&mut self, depth: usize) -> Result<Arg> {
        self.advance()?;
        let mut items = Vec::new();
        while !self.take_mark(')')? {
            self.count_item()?;
            items.push(self.nested_arg(depth + 1)?);
            if !self.take_mark(',')? && (items.len() == 1 || !self.at_mark(')')) {
                return self.expected(if items.len() == 1 { "`,`" } else { "`,` or `)`" });
            }
        }
        Ok(Arg::Tuple(items))
    }

    fn slice(&mut self, depth: usize) -> Result<Arg> {
        self.advance()?;
        let part = |p: &mut Self| {
            p.count_item()?;
            let is_absent = p.at_mark(':') || p.at_mark('>');
            if is_absent { Ok(Box::new(Arg::None)) } else { p.nested_arg(depth + 1).map(Box::new) }
        };
        let start = part(self)?;
        self.mark(':')?;
        let stop = part(self)?;
        let step = if self.take_mark(':')? { part(self)? } else { Box::new(Arg::None) };
        self.mark('>')?;
        Ok(Arg::Slice { start, stop, step })
    }

    /// Named arguments up to the closing mark, which is taken.
    fn options(&mut self) -> Result<Vec<(String, Arg)>> {
        self.mark('{')?;
        self.list('}', Self::named_arg)
    }

    fn named_arg(&mut self) -> Result<(String, Arg)> {
        let name = self.name("a name")?;
        self.mark(':')?;
        Ok((name, self.arg()?))
    }

    /// Positional arguments, then keyword arguments, in parentheses.
    pub(super) fn call(&mut self) -> Result<Call> {
        self.mark('(')?;
        let mut args = Vec::new();
        let mut kwargs = Vec::new();
        self.list(')', |p| {
            let is_name = matches!(p.current.kind, TokenKind::Word | TokenKind::Str);
            if is_name && p.mark_follows(':') {
                kwargs.push(p.named_arg()?);
            } else if kwargs.is_empty() {
                args.push(p.arg()?);
            } else {
                return p.expected("a keyword argument");
            }
            Ok(())
        })?;
        Ok((args, kwargs))
    }
}

/// Statements.
impl Parser<'_> {
    fn header(&mut self) -> Result<()> {
        while self.current.kind == TokenKind::Newline {
            self.advance()?;
        }
        self.word("pellucid")?;
        self.word("program")?;
        if self.current.kind != TokenKind::Int || self.current.text.parse() != Ok(TEXT_VERSION) {
            return self.expected(&format!("version {TEXT_VERSION} of the text form"));
        }
        self.advance()?;
        self.end_of_line()
    }

    fn statement(&mut self) -> Result<()> {
        match self.current.kind {
            TokenKind::Id('%') => self.node(),
            TokenKind::Id('^') => {
                self.region = self.region_id()?;
                self.mark(':')
            }
            TokenKind::Word => match self.current.text {
                "source" => self.source(),
                "const" => self.constant(),
                "region" => self.region(),
                "invoke" => self.invoke(),
                "bind" => self.bind(),
                _ => self.expected("a statement"),
            },
            _ => self.expected("a statement"),
        }
    }

    fn source(&mut self) -> Result<()> {
        self.advance()?;
        self.next_id('$', self.program.sources.len(), self.limits.sources, "sources")?;
        let name = self.string("a file name in quotes")?;
        self.program.sources.push(name);
        Ok(())
    }

    fn constant(&mut self) -> Result<()> {
        self.advance()?;
        self.next_id('#', self.program.constants.len(), self.limits.constants, "constants")?;
        let Some(dtype) = Dtype::from_name(self.current.text) else {
            return self.expected("an element type");
        };
        self.advance()?;
        self.mark('[')?;
        let shape = self.list(']', |p| p.int("the length of an axis"))?;
        if self.current.kind != TokenKind::Str {
            return self.expected("bytes in base64, in quotes");
        }
        let text = self.current.text.trim_matches('"').as_bytes();
        self.constant_bytes += text.len() / 4 * 3;
        if self.constant_bytes > self.limits.constant_bytes {
            return self.expected(&format!("at most {} bytes of constants", self.limits.constant_bytes));
        }
        let start = self.current.start;
        let bytes = base64::decode(text).map_err(|at| self.lexer.error(start + 1 + at, "base64"))?;
        self.advance()?;
        self.program.constants.push(Constant { dtype, shape, bytes: bytes.into() });
        Ok(())
    }

    fn region(&mut self) -> Result<()> {
        self.advance()?;
        self.next_id('^', self.program.regions.len(), self.limits.regions, "regions")?;
        let kind = self.region_kind()?;
        let parent = if self.take_word("in")? { Some(self.region_id()?) } else { None };
        self.program.regions.push(Region { parent, kind });
        Ok(())
    }

    fn region_kind(&mut self) -> Result<RegionKind> {
        const KINDS: &str = "one of `root`, `session`, `trace`, `cond`, `else`, `iter`, `local`, `edit`";
        if self.current.kind != TokenKind::Word {
            return self.expected(KINDS);
        }
        let word = self.current;
        let kind = match word.text {
            "root" => RegionKind::Root,
            "session" => RegionKind::Session,
            "local" => RegionKind::Local,
            "trace" => {
                self.advance()?;
                let model = self.int("the number of a model")?;
                let generate = if self.take_word("generate")? { Some(self.options()?) } else { None };
                return Ok(RegionKind::Trace { model, generate });
            }
            "cond" | "else" => {
                self.advance()?;
                let condition = if word.text == "cond" { Some(self.arg()?) } else { None };
                let else_of = if self.take_word("after")? { Some(self.region_id()?) } else { None };
                return Ok(RegionKind::Cond { condition, else_of });
            }
            "iter" => {
                self.advance()?;
                return Ok(RegionKind::Iter { over: self.arg()? });
            }
            "edit" => {
                self.advance()?;
                let model = self.int("the number of a model")?;
                self.word("as")?;
                return Ok(RegionKind::Edit { model, edited: self.int("the number of a model")? });
            }
            _ => return self.expected(KINDS),
        };
        self.advance()?;
        Ok(kind)
    }

    fn invoke(&mut self) -> Result<()> {
        self.advance()?;
        self.next_id('@', self.program.invokes.len(), self.limits.invokes, "invokes")?;
        self.word("in")?;
        let region = self.region_id()?;
        let input = self.input()?;
        let options = if self.take_word("with")? { self.options()? } else { Vec::new() };
        let line = self.line()?;
        self.program.invokes.push(Invoke { region, input, options, line });
        Ok(())
    }

    fn input(&mut self) -> Result<Input> {
        if self.take_word("empty")? {
            Ok(Input::Empty)
        } else if self.take_word("text")? {
            self.mark('[')?;
            self.list(']', |p| p.string("a prompt in quotes")).map(Input::Text)
        } else if self.take_word("tokens")? {
            self.mark('[')?;
            let sequence = |p: &mut Self| {
                p.mark('[')?;
                p.list(']', |p| p.int("a token id"))
            };
            self.list(']', sequence).map(Input::Tokens)
        } else if self.take_word("batch")? {
            let input_ids = self.arg()?;
            let attention_mask = if self.take_word("mask")? { Some(self.arg()?) } else { None };
            Ok(Input::Batch { input_ids, attention_mask })
        } else if self.take_word("value")? {
            self.arg().map(Input::Value)
        } else {
            self.expected("one of `empty`, `text`, `tokens`, `batch`, `value`")
        }
    }

    fn bind(&mut self) -> Result<()> {
        self.advance()?;
        if self.program.bindings.len() >= self.limits.nodes {
            return self.expected(&format!("at most {} bindings", self.limits.nodes));
        }
        let name = self.string("a name in quotes")?;
        let node = self.node_id()?;
        self.program.bindings.push((name, node));
        Ok(())
    }

    fn node(&mut self) -> Result<()> {
        self.next_id('%', self.program.nodes.len(), self.limits.nodes, "nodes")?;
        self.mark('=')?;
        if self.current.kind != TokenKind::Word {
            return self.expected("what the node does");
        }
        let word = self.current;
        if !crate::Kind::WORDS.contains(&word.text) {
            return self.expected("what the node does, such as `read`, `op` or `save`");
        }
        self.advance()?;
        let invoke = match self.current.kind {
            TokenKind::Id('@') => Some(InvokeId(self.id('@', "an invoke such as `@0`")?)),
            _ => None,
        };
        let steps = self.steps()?;
        let kind = self.operands(word.text)?;
        let line = self.line()?;
        self.program.nodes.push(Node { kind, invoke, steps, region: self.region, line });
        Ok(())
    }

    fn steps(&mut self) -> Result<Steps> {
        const CALL: &str = "the number of a call, from 0";
        if self.take_word("step")? {
            return self.int(CALL).map(Steps::At);
        }
        if !self.take_word("steps")? {
            return Ok(Steps::First);
        }
        if self.take_word("all")? {
            return Ok(Steps::all());
        }
        if self.take_mark('[')? {
            return self.list(']', |p| p.int(CALL)).map(Steps::List);
        }
        let start = self.int("`all`, a list or the number of a call, from 0")?;
        if self.current.kind != TokenKind::Dots {
            return self.expected("`..`");
        }
        self.advance()?;
        let stop = if self.take_word("end")? {
            None
        } else {
            Some(self.int("`end` or the number of a call, from 0")?)
        };
        let step = if self.take_word("by")? { self.int("the distance between calls")? } else { 1 };
        Ok(Steps::Range { start, stop, step })
    }

    fn line(&mut self) -> Result<Option<Line>> {
        if !matches!(self.current.kind, TokenKind::Id('$')) {
            return Ok(None);
        }
        let source = SourceId(self.id('$', "a source such as `$0`")?);
        self.mark(':')?;
        Ok(Some(Line { source, line: self.int("a line number")? }))
    }
}
