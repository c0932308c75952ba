//! Pictures on paper: the parts that grids, panels and charts share.
//!
//! Every colour is a presentation attribute, which any style sheet overrides; the classes (`paper`, `ink`, `faint`,
//! `rule`, `missing`) are there for a page that wants a dark version.

pub(super) mod chart;
pub(super) mod grid;
pub(super) mod panels;

use std::fmt::Write as _;

use super::scale::{Limits, ScaleKind};
use super::text::{Charset, columns};

/// Advance of one column of monospaced text, in units of the font size; the widest of the usual typefaces.
pub(super) const ADVANCE: f64 = 0.6025;
/// Space around the whole picture.
pub(super) const MARGIN: f64 = 20.0;
const FONTS: &str = "Hack, 'DejaVu Sans Mono', Menlo, Consolas, monospace";
const PAPER: &str = "#ffffff";
const INK: &str = "#1d232b";
const FAINT: &str = "#5b6672";
const RULE: &str = "#dde1e6";
const MISSING: &str = "#eff0f4";
const TITLE_SIZE: f64 = 16.0;
const NOTE_SIZE: f64 = 11.0;
const LEGEND_WIDTH: f64 = 180.0;

/// Width in pixels of a text, by terminal columns.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    columns(text) as f64 * size * ADVANCE
}

/// The text, cut with an ellipsis if it is wider than `room` pixels.
pub(super) fn fit(text: &str, size: f64, room: f64) -> String {
    Charset::UNICODE.truncate(text, (room / (size * ADVANCE) + 1e-6).max(0.0) as usize)
}

/// Which end of a text its position names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture being drawn. Positions are pixels from the top left corner.
pub struct Picture {
    body: String,
    defs: String,
    title: String,
    description: String,
    width: f64,
    height: f64,
}

impl Picture {
    /// An empty picture; the heading is drawn, and [`Self::height`] is where the content starts.
    pub(super) fn new(title: &str, subtitle: &str, description: String, content_width: f64) -> Self {
        let charset = Charset::UNICODE;
        let (title, subtitle) = (charset.visible(title), charset.visible(subtitle));
        let heading = text_width(&title, TITLE_SIZE).max(text_width(&subtitle, 12.0)).min(720.0);
        let width = (content_width.max(heading) + 2.0 * MARGIN).max(240.0);
        let room = width - 2.0 * MARGIN;
        let mut picture =
            Self { body: String::new(), defs: String::new(), title, description, width, height: MARGIN };
        if !picture.title.is_empty() {
            let text = fit(&picture.title, TITLE_SIZE, room);
            picture.text(MARGIN, picture.height + 14.0, TITLE_SIZE, "ink", Anchor::Start, &text);
            picture.height += 24.0;
        }
        if !subtitle.is_empty() {
            picture.text(
                MARGIN,
                picture.height + 11.0,
                12.0,
                "faint",
                Anchor::Start,
                &fit(&subtitle, 12.0, room),
            );
            picture.height += 20.0;
        }
        if picture.height > MARGIN {
            picture.height += 10.0;
        }
        picture
    }

    /// The lower edge of what was drawn so far.
    pub(super) fn height(&self) -> f64 {
        self.height
    }

    /// Moves the lower edge down.
    pub(super) fn extend_to(&mut self, y: f64) {
        self.height = self.height.max(y);
    }

    /// A line of text whose baseline is at `y`, in the colour of its class.
    pub(super) fn text(&mut self, x: f64, y: f64, size: f64, class: &str, anchor: Anchor, text: &str) {
        self.text_with(x, y, size, &format!("class=\"{class}\" fill=\"{}\"", fill_of(class)), anchor, text);
    }

    /// A line of text turned by `degrees` around its position.
    pub(super) fn turned_text(
        &mut self,
        at: (f64, f64),
        degrees: f64,
        size: f64,
        class: &str,
        anchor: Anchor,
        text: &str,
    ) {
        let (x, y) = (px(at.0), px(at.1));
        let attributes = format!(
            "class=\"{class}\" fill=\"{}\" transform=\"rotate({} {x} {y})\"",
            fill_of(class),
            px(degrees)
        );
        self.text_with(at.0, at.1, size, &attributes, anchor, text);
    }

    /// A line of text with attributes of its own.
    pub(super) fn text_with(
        &mut self,
        x: f64,
        y: f64,
        size: f64,
        attributes: &str,
        anchor: Anchor,
        text: &str,
    ) {
        if text.is_empty() {
            return;
        }
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y, size, text) = (px(x), px(y), px(size), escape(text));
        self.raw(&format!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" {attributes}{anchor}>{text}</text>\n"
        ));
    }

    /// Appends markup to the body.
    pub(super) fn raw(&mut self, markup: &str) {
        self.body.push_str(markup);
    }

    /// Appends markup to the definitions. `{id}` stands for an identifier that no other picture has.
    pub(super) fn define(&mut self, markup: &str) {
        self.defs.push_str(markup);
    }

    /// The colour bar with its ticks and caption, at `x`, below what was drawn so far.
    pub(super) fn legend(&mut self, x: f64, limits: &Limits, caption: &str, missing: bool) {
        let caption = fit(&Charset::UNICODE.visible(caption), NOTE_SIZE, self.width - x - MARGIN);
        let mut y = self.height + 18.0;
        if !caption.is_empty() {
            self.text(x, y + 9.0, NOTE_SIZE, "ink", Anchor::Start, &caption);
            y += 16.0;
        }
        let mut stops = String::new();
        for step in 0..=24 {
            let at = f64::from(step) / 24.0;
            let _ = write!(
                stops,
                "<stop offset=\"{}\" stop-color=\"{}\"/>",
                px(at * 100.0) + "%",
                limits.colour_at(at).hex()
            );
        }
        self.define(&format!("<linearGradient id=\"{{id}}-scale\">{stops}</linearGradient>\n"));
        let width = LEGEND_WIDTH.min(self.width - x - MARGIN);
        self.raw(&format!(
            "<rect class=\"edge\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"10\" rx=\"2\" fill=\"url(#{{id}}-scale)\" stroke=\"{RULE}\" stroke-width=\"0.75\"/>\n",
            px(x), px(y), px(width)
        ));
        let [low, middle, high] = limits.tick_texts();
        self.text(x, y + 24.0, NOTE_SIZE, "faint", Anchor::Start, &low);
        self.text(x + width, y + 24.0, NOTE_SIZE, "faint", Anchor::End, &high);
        if text_width(&(low + &middle + &high), NOTE_SIZE) < width - 16.0 {
            self.text(x + width / 2.0, y + 24.0, NOTE_SIZE, "faint", Anchor::Middle, &middle);
        }
        if missing && x + width + 110.0 < self.width {
            let left = x + width + 22.0;
            self.raw(&format!(
                "<rect class=\"missing\" x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" rx=\"2\" fill=\"{MISSING}\"/>\n",
                px(left), px(y)
            ));
            self.text(left + 15.0, y + 9.0, NOTE_SIZE, "faint", Anchor::Start, "no value");
        }
        self.extend_to(y + 28.0);
    }

    /// The finished document.
    pub(super) fn into_svg(self) -> String {
        let (width, height) = (px(self.width.ceil()), px((self.height + MARGIN).ceil()));
        let id =
            format!("plot-{:08x}", fingerprint(&[&self.title, &self.description, &self.body, &self.defs]));
        let title = if self.title.is_empty() { "Plot" } else { &self.title };
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"{FONTS}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
             <title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>\n",
            escape(title),
            escape(&self.description),
        );
        if !self.defs.is_empty() {
            let _ = writeln!(out, "<defs>\n{}</defs>", self.defs.replace("{id}", &id));
        }
        let _ = writeln!(out, "<rect class=\"paper\" width=\"100%\" height=\"100%\" fill=\"{PAPER}\"/>");
        // Text in the body is escaped, braces included, so only our own references match.
        out.push_str(&self.body.replace("{id}", &id));
        out.push_str("</svg>\n");
        out
    }
}

fn fill_of(class: &str) -> &'static str {
    if class == "ink" { INK } else { FAINT }
}

/// A length with at most two decimals.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text as XML character data, safe in attributes too; line breaks are kept, other unprintable characters written out.
pub(super) fn escape(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| Charset::UNICODE.visible(line)).collect();
    let mut out = String::with_capacity(text.len());
    for c in lines.join("\n").chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '{' => out.push_str("&#123;"),
            c => out.push(c),
        }
    }
    out
}

/// FNV-1a, folded to 32 bits: the same picture gets the same identifier everywhere.
fn fingerprint(parts: &[&str]) -> u32 {
    let hash = parts.iter().flat_map(|part| part.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as u32
}

/// A sentence on what the colours of a scale mean.
fn describe_scale(limits: &Limits, legend: &str) -> String {
    let [low, _, high] = limits.tick_texts();
    let what = if legend.is_empty() { "the value" } else { legend };
    match limits.kind {
        ScaleKind::Sequential => format!("Colour shows {what}, from {low} to {high}."),
        ScaleKind::Diverging => format!("Colour shows {what}, from {low} through 0 to {high}."),
    }
}
