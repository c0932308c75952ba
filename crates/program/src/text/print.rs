//! Printing a program.

use std::fmt::{self, Display, Formatter, Write};

use super::base64;
use crate::{Arg, Input, Invoke, Kind, Line, Node, Place, Point, Program, RegionKind, Steps};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "pellucid program {}", super::TEXT_VERSION)?;
        blank_line(f, !self.sources.is_empty())?;
        for (index, source) in self.sources.iter().enumerate() {
            writeln!(f, "source ${index} {}", Quoted(source))?;
        }
        blank_line(f, !self.constants.is_empty())?;
        for (index, constant) in self.constants.iter().enumerate() {
            write!(f, "const #{index} {} {:?} \"", constant.dtype, constant.shape)?;
            base64::encode(&constant.bytes, f)?;
            f.write_str("\"\n")?;
        }
        blank_line(f, true)?;
        Body::new(self).print(f)?;
        for (name, node) in &self.bindings {
            writeln!(f, "bind {} {node}", Quoted(name))?;
        }
        Ok(())
    }
}

fn blank_line(f: &mut Formatter<'_>, when: bool) -> fmt::Result {
    if when { f.write_char('\n') } else { Ok(()) }
}

/// Regions, invokes and nodes, interleaved: an entry stands just before the first node that needs it.
struct Body<'a> {
    program: &'a Program,
    depths: Vec<usize>,
    regions_done: usize,
    invokes_done: usize,
}

impl<'a> Body<'a> {
    fn new(program: &'a Program) -> Self {
        let mut depths: Vec<usize> = Vec::with_capacity(program.regions.len());
        for region in &program.regions {
            // A damaged program may name a parent that comes later; deep nesting stops moving to the right.
            let parent = region.parent.and_then(|parent| depths.get(parent.index()));
            depths.push(parent.map_or(0, |depth| (depth + 1).min(16)));
        }
        Self { program, depths, regions_done: 0, invokes_done: 0 }
    }

    fn print(&mut self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut label = None;
        for (id, node) in self.program.nodes() {
            self.regions_up_to(node.region.index(), f)?;
            let depth = self.depth(node.region.index());
            if label != Some(node.region) {
                writeln!(f, "{:1$}{2}:", "", 2 * depth, node.region)?;
                label = Some(node.region);
            }
            if let Kind::RegionRef(region) = node.kind {
                self.regions_up_to(region.index(), f)?;
            }
            if let Some(invoke) = node.invoke {
                self.invokes_up_to(invoke.index(), f)?;
            }
            writeln!(f, "{:1$}{id} = {node}", "", 2 * depth + 2)?;
        }
        self.regions_up_to(usize::MAX, f)?;
        self.invokes_up_to(usize::MAX, f)
    }

    fn depth(&self, region: usize) -> usize {
        self.depths.get(region).copied().unwrap_or(0)
    }

    fn regions_up_to(&mut self, last: usize, f: &mut Formatter<'_>) -> fmt::Result {
        while self.regions_done <= last {
            let index = self.regions_done;
            let Some(region) = self.program.regions.get(index) else {
                break;
            };
            write!(f, "{:1$}region ^{index} {2}", "", 2 * self.depth(index), region.kind)?;
            if let Some(parent) = region.parent {
                write!(f, " in {parent}")?;
            }
            f.write_char('\n')?;
            self.regions_done += 1;
        }
        Ok(())
    }

    fn invokes_up_to(&mut self, last: usize, f: &mut Formatter<'_>) -> fmt::Result {
        while self.invokes_done <= last {
            let index = self.invokes_done;
            let Some(invoke) = self.program.invokes.get(index) else {
                break;
            };
            let indent = 2 * self.depth(invoke.region.index()) + 2;
            writeln!(f, "{:indent$}invoke @{index} {invoke}", "")?;
            self.invokes_done += 1;
        }
        Ok(())
    }
}

impl Display for RegionKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Root | Self::Session | Self::Local => Ok(()),
            Self::Trace { model, generate } => {
                write!(f, " {model}")?;
                match generate {
                    Some(options) => write!(f, " generate {}", Options(options)),
                    None => Ok(()),
                }
            }
            Self::Cond { condition, else_of } => {
                if let Some(condition) = condition {
                    write!(f, " {condition}")?;
                }
                match else_of {
                    Some(before) => write!(f, " after {before}"),
                    None => Ok(()),
                }
            }
            Self::Iter { over } => write!(f, " {over}"),
            Self::Edit { model, edited } => write!(f, " {model} as {edited}"),
        }
    }
}

/// What follows the id in the text form.
impl Display for Invoke {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "in {} ", self.region)?;
        match &self.input {
            Input::Empty => f.write_str("empty")?,
            Input::Text(prompts) => {
                f.write_str("text [")?;
                separated(f, prompts, |f, prompt| write!(f, "{}", Quoted(prompt)))?;
                f.write_char(']')?;
            }
            Input::Tokens(sequences) => write!(f, "tokens {sequences:?}")?,
            Input::Batch { input_ids, attention_mask } => {
                write!(f, "batch {input_ids}")?;
                if let Some(mask) = attention_mask {
                    write!(f, " mask {mask}")?;
                }
            }
            Input::Value(value) => write!(f, "value {value}")?,
        }
        if !self.options.is_empty() {
            write!(f, " with {}", Options(&self.options))?;
        }
        line(f, self.line)
    }
}

/// What follows the `=` in the text form.
impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        if let Some(invoke) = self.invoke {
            write!(f, " {invoke}")?;
        }
        write!(f, "{}", self.steps)?;
        operands(f, &self.kind)?;
        line(f, self.line)
    }
}

fn line(f: &mut Formatter<'_>, line: Option<Line>) -> fmt::Result {
    match line {
        Some(line) => write!(f, " {}:{}", line.source, line.line),
        None => Ok(()),
    }
}

/// A space and the selection; nothing for the first call.
impl Display for Steps {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => Ok(()),
            Self::At(call) => write!(f, " step {call}"),
            Self::Range { start: 0, stop: None, step: 1 } => f.write_str(" steps all"),
            Self::Range { start, stop, step } => {
                write!(f, " steps {start}..")?;
                match stop {
                    Some(stop) => write!(f, "{stop}")?,
                    None => f.write_str("end")?,
                }
                if *step == 1 { Ok(()) } else { write!(f, " by {step}") }
            }
            Self::List(calls) => write!(f, " steps {calls:?}"),
        }
    }
}

/// A space and everything after the word, invoke and steps.
fn operands(f: &mut Formatter<'_>, kind: &Kind) -> fmt::Result {
    match kind {
        Kind::Read(place) => write!(f, " {}", PlaceText(place)),
        Kind::Write { place, value } => write!(f, " {} with {value}", PlaceText(place)),
        Kind::Parameter { name } => write!(f, " {}", Quoted(name)),
        Kind::Op { name, args, kwargs } => {
            // Where an operation's name stands, these two words would begin a selection of steps.
            if is_word(name) && name != "step" && name != "steps" {
                write!(f, " {name}")?;
            } else {
                write!(f, " {}", Quoted(name))?;
            }
            call(f, args, kwargs)
        }
        Kind::Module { path, args, kwargs, hooks } => {
            write!(f, "{} {}", if *hooks { " hooked" } else { "" }, Quoted(path))?;
            call(f, args, kwargs)
        }
        Kind::Save { value, name } => {
            write!(f, " {value}")?;
            match name {
                Some(name) => write!(f, " as {}", Quoted(name)),
                None => Ok(()),
            }
        }
        Kind::Log { args } => {
            f.write_char(' ')?;
            call(f, args, &[])
        }
        Kind::Stop { scope, after } => {
            write!(f, " {}", scope.name())?;
            match after {
                Some(after) => write!(f, " after {after}"),
                None => Ok(()),
            }
        }
        Kind::Backward { loss, gradient, retain_graph } => {
            write!(f, " {loss}")?;
            if let Some(gradient) = gradient {
                write!(f, " gradient {gradient}")?;
            }
            f.write_str(if *retain_graph { " retain" } else { "" })
        }
        Kind::Grad { of } => write!(f, " {of}"),
        Kind::SetGrad { of, value } => write!(f, " {of} with {value}"),
        Kind::RequiresGrad { of, value } => write!(f, " {of} {value}"),
        Kind::Skip { module, value } => write!(f, " {} with {value}", Quoted(module)),
        Kind::OptimizerStep { optimizer } | Kind::ZeroGrad { optimizer } => {
            write!(f, " {optimizer}")
        }
        Kind::Host { callback, args } => {
            write!(f, " {callback} ")?;
            call(f, args, &[])
        }
        Kind::RegionRef(region) | Kind::Item(region) => write!(f, " {region}"),
        Kind::Merge { values } => {
            f.write_str(" [")?;
            separated(f, values, |f, value| write!(f, "{value}"))?;
            f.write_char(']')
        }
    }
}

/// Arguments in parentheses, keyword arguments last.
fn call(f: &mut Formatter<'_>, args: &[Arg], kwargs: &[(String, Arg)]) -> fmt::Result {
    f.write_char('(')?;
    separated(f, args, |f, arg| write!(f, "{arg}"))?;
    if !args.is_empty() && !kwargs.is_empty() {
        f.write_str(", ")?;
    }
    separated(f, kwargs, |f, (name, arg)| write!(f, "{}: {arg}", Name(name)))?;
    f.write_char(')')
}

impl Display for Arg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "{node}"),
            Self::None => f.write_str("none"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => float(f, *value),
            Self::Str(text) => write!(f, "{}", Quoted(text)),
            Self::List(items) => {
                f.write_char('[')?;
                separated(f, items, |f, item| write!(f, "{item}"))?;
                f.write_char(']')
            }
            Self::Tuple(items) => {
                f.write_char('(')?;
                separated(f, items, |f, item| write!(f, "{item}"))?;
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            Self::Dict(pairs) => {
                f.write_char('{')?;
                separated(f, pairs, |f, (key, value)| write!(f, "{key}: {value}"))?;
                f.write_char('}')
            }
            Self::Slice { start, stop, step } => {
                f.write_char('<')?;
                slice_part(f, start)?;
                f.write_char(':')?;
                slice_part(f, stop)?;
                if **step != Self::None {
                    f.write_char(':')?;
                    slice_part(f, step)?;
                }
                f.write_char('>')
            }
            Self::Ellipsis => f.write_str("..."),
            Self::Constant(constant) => write!(f, "{constant}"),
            Self::Dtype(dtype) => write!(f, "{dtype}"),
            Self::Device(name) => write!(f, "device({})", Quoted(name)),
        }
    }
}

fn slice_part(f: &mut Formatter<'_>, part: &Arg) -> fmt::Result {
    if *part == Arg::None { Ok(()) } else { write!(f, "{part}") }
}

fn float(f: &mut Formatter<'_>, value: f64) -> fmt::Result {
    if !value.is_nan() {
        // The shortest decimal that reads back to the same number; always with a fraction or an exponent.
        write!(f, "{value:?}")
    } else if value.to_bits() == f64::NAN.to_bits() {
        f.write_str("nan")
    } else {
        write!(f, "nan(\"{:016x}\")", value.to_bits())
    }
}

fn separated<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    each: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        each(f, item)?;
    }
    Ok(())
}

/// A place as the text form writes it.
struct PlaceText<'a>(&'a Place);

impl Display for PlaceText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", Quoted(&self.0.module))?;
        match &self.0.point {
            Point::Input => f.write_str("input"),
            Point::Inputs => f.write_str("inputs"),
            Point::Output => f.write_str("output"),
            Point::Op(label) => write!(f, "op {}", Quoted(label)),
            Point::Pattern => f.write_str("pattern"),
        }
    }
}

/// Named arguments in braces.
struct Options<'a>(&'a [(String, Arg)]);

impl Display for Options<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        separated(f, self.0, |f, (name, arg)| write!(f, "{}: {arg}", Name(name)))?;
        f.write_char('}')
    }
}

/// A name, in quotes where it is not a plain word.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_word(self.0) { f.write_str(self.0) } else { write!(f, "{}", Quoted(self.0)) }
    }
}

fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
}

/// A string in quotes, with whatever a reader or a terminal could misread escaped.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                _ if is_hidden(character) => write!(f, "\\u{{{:x}}}", character as u32)?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

/// Characters that cannot be seen or that reorder their neighbours.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}
