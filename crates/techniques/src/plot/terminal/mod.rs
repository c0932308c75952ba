//! Text pictures: what the terminal can do, and the lines being written.

pub(super) mod chart;
pub(super) mod grid;
pub(super) mod panels;

use super::colour::{Rgb, from_ansi256};
use super::scale::{Limits, ScaleKind};
use super::text::{Charset, columns};

/// The narrowest width a picture is drawn for; smaller ones are treated as this.
pub const MIN_WIDTH: usize = 20;

/// What the terminal at hand can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalStyle {
    /// Number of columns; at least [`MIN_WIDTH`] are used.
    pub width: usize,
    /// Which colours may be used.
    pub colour: ColourSupport,
    /// Whether characters outside ASCII may be used. Without it, they are written as escapes.
    pub unicode: bool,
}

impl TerminalStyle {
    /// No colour, Unicode characters: for files, and for terminals that ask for no colour.
    pub fn plain(width: usize) -> Self {
        Self { width, colour: ColourSupport::None, unicode: true }
    }
}

/// The colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColourSupport {
    /// None: shading characters, digits and signs carry the meaning.
    None,
    /// The palette of 256.
    Ansi256,
    /// Any sRGB colour.
    TrueColour,
}

/// A picture being written, line by line.
pub struct Screen {
    pub(super) width: usize,
    pub(super) charset: Charset,
    colour: ColourSupport,
    out: String,
}

impl Screen {
    pub(super) fn new(style: &TerminalStyle) -> Self {
        let charset = Charset { unicode: style.unicode };
        Self { width: style.width.max(MIN_WIDTH), charset, colour: style.colour, out: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn has_colour(&self) -> bool {
        self.colour != ColourSupport::None
    }

    /// `unicode`, or `ascii` on a terminal limited to it.
    pub(super) fn pick<'a>(&self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.charset.unicode { unicode } else { ascii }
    }

    /// Ends the picture's current line with `line`, already painted and no wider than the screen.
    pub(super) fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end_matches(' '));
        self.out.push('\n');
    }

    /// Title and subtitle, if there are any, and an empty line.
    pub(super) fn heading(&mut self, title: &str, subtitle: &str) {
        for (text, code) in [(title, "1"), (subtitle, "2")] {
            if !text.is_empty() {
                let text = self.charset.truncate(&self.charset.visible(text), self.width);
                let line = self.style(code, &text);
                self.line(&line);
            }
        }
        if !(title.is_empty() && subtitle.is_empty()) {
            self.line("");
        }
    }

    /// A line that says what rows and columns are.
    pub(super) fn axes(&mut self, rows: &str, across: &str) {
        let part = |arrow: &str, name: &str| {
            if name.is_empty() { String::new() } else { format!("{arrow} {}   ", self.charset.visible(name)) }
        };
        let text = part(self.pick("↓", "down:"), rows) + &part(self.pick("→", "across:"), across);
        if !text.is_empty() {
            let line = self.dim(&self.charset.truncate(text.trim_end(), self.width));
            self.line(&line);
        }
    }

    /// Text in the terminal's faint style.
    pub(super) fn dim(&self, text: &str) -> String {
        self.style("2", text)
    }

    fn style(&self, code: &str, text: &str) -> String {
        if self.has_colour() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Text on a coloured ground, black or white by contrast; unpainted without colour.
    pub(super) fn fill(&self, ground: Option<Rgb>, text: &str) -> String {
        let Some(ground) = ground else { return text.to_owned() };
        match self.colour {
            ColourSupport::None => text.to_owned(),
            ColourSupport::Ansi256 => {
                let code = ground.ansi256();
                let ink = if from_ansi256(code).ink() == Rgb::BLACK { 16 } else { 231 };
                format!("\x1b[38;5;{ink};48;5;{code}m{text}\x1b[0m")
            }
            ColourSupport::TrueColour => {
                let ink = ground.ink();
                let (i, g) = ((ink.r, ink.g, ink.b), (ground.r, ground.g, ground.b));
                format!("\x1b[38;2;{};{};{};48;2;{};{};{}m{text}\x1b[0m", i.0, i.1, i.2, g.0, g.1, g.2)
            }
        }
    }

    /// Text in a colour, on the terminal's own ground.
    pub(super) fn ink(&self, colour: Rgb, text: &str) -> String {
        match self.colour {
            ColourSupport::None => text.to_owned(),
            ColourSupport::Ansi256 => format!("\x1b[38;5;{}m{text}\x1b[0m", colour.ansi256()),
            ColourSupport::TrueColour => {
                format!("\x1b[38;2;{};{};{}m{text}\x1b[0m", colour.r, colour.g, colour.b)
            }
        }
    }

    /// A character for a strength in 0..=1: shading, or a digit counting tenths.
    pub(super) fn shade(&self, strength: Option<f64>) -> char {
        let level = |n: f64| (strength.unwrap_or(0.0) * n).floor().clamp(0.0, n - 1.0) as usize;
        match (strength, self.charset.unicode) {
            (None, true) => '·',
            (None, false) => '.',
            (Some(_), true) => [' ', '░', '▒', '▓', '█'][level(5.0)],
            (Some(_), false) => char::from(b'0' + level(10.0) as u8),
        }
    }

    /// The line that explains the colours, or what stands for them.
    pub(super) fn legend(&mut self, limits: &Limits, caption: &str, missing: bool) {
        let [min, _, max] = limits.tick_texts();
        let (low, high) = match limits.kind {
            // Without colour, shading shows sizes and the signs are written beside it.
            ScaleKind::Diverging if !self.has_colour() => {
                ("0".to_owned(), self.pick("±", "+-").to_owned() + max.trim_start_matches('+'))
            }
            _ => (min, max),
        };
        let ends = columns(&low) + columns(&high) + 2;
        let (bar, bar_width) = self.bar(limits, self.width.saturating_sub(ends));
        let mut notes = self.charset.visible(caption);
        if missing {
            notes += if notes.is_empty() { "" } else { "   " };
            notes += self.pick("· no value", ". no value");
        }
        let scale = format!("{low} {bar} {high}");
        self.line("");
        if ends + bar_width + 2 + columns(&notes) <= self.width {
            let line = scale + "  " + &self.dim(&notes);
            self.line(&line);
        } else {
            self.line(&scale);
            if !notes.is_empty() {
                let line = self.dim(&self.charset.truncate(&notes, self.width));
                self.line(&line);
            }
        }
    }

    /// The colours or shades from the lower end of a scale to the upper, and how many columns they take.
    fn bar(&self, limits: &Limits, room: usize) -> (String, usize) {
        if self.has_colour() {
            let n = room.min(24);
            let at = |i: usize| limits.colour_at(i as f64 / (n.max(2) - 1) as f64);
            return ((0..n).map(|i| self.fill(Some(at(i)), " ")).collect(), n);
        }
        let bar = match (self.charset.unicode, room >= 10) {
            (true, true) => "  ░░▒▒▓▓██",
            (true, false) => "▒█",
            (false, true) => "0123456789",
            (false, false) => "..",
        };
        (bar.to_owned(), columns(bar))
    }
}
