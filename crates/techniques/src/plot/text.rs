//! Text as a reader should see it: tokens hold newlines, escape sequences, half characters and emoji.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Which characters a picture may use, and how it shows the spaces of tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charset {
    pub(super) unicode: bool,
}

impl Charset {
    pub(super) const UNICODE: Self = Self { unicode: true };

    /// The mark at the end of a text that was cut.
    pub(super) fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "~" }
    }

    /// Text with everything that would not show, or would do something to the screen, written out.
    pub(super) fn visible(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for cluster in text.graphemes(true) {
            let shown = cluster.width() > 0 && !cluster.chars().any(is_hidden);
            if shown && (self.unicode || cluster.is_ascii()) {
                out.push_str(cluster);
            } else {
                cluster.chars().for_each(|c| self.push_escaped(&mut out, c));
            }
        }
        out
    }

    /// [`Self::visible`], with spaces at the ends drawn as `·`: ` Paris` and `Paris` are different tokens.
    pub(super) fn visible_token(self, text: &str) -> String {
        let inner = text.trim_matches(' ');
        if !self.unicode || inner.len() == text.len() {
            return self.visible(text);
        }
        let before =
            if inner.is_empty() { text.len() } else { text.len() - text.trim_start_matches(' ').len() };
        let after = text.len() - before - inner.len();
        format!("{}{}{}", "·".repeat(before), self.visible(inner), "·".repeat(after))
    }

    fn push_escaped(self, out: &mut String, c: char) {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c.is_ascii() && !c.is_ascii_control())
                || (self.unicode && !is_hidden(c) && char_shows(c)) =>
            {
                out.push(c)
            }
            c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        }
    }

    /// The text, cut with an ellipsis if it is wider than `max` columns.
    pub(super) fn truncate(self, text: &str, max: usize) -> String {
        if text.width() <= max {
            return text.to_owned();
        }
        let mut kept = String::new();
        let ellipsis = self.ellipsis();
        for cluster in text.graphemes(true) {
            let before = kept.len();
            kept.push_str(cluster);
            kept.push_str(ellipsis);
            let fits = kept.width() <= max;
            kept.truncate(before + if fits { cluster.len() } else { 0 });
            if !fits {
                break;
            }
        }
        if max > 0 {
            kept.push_str(ellipsis);
        }
        kept
    }

    /// The text in exactly `columns` columns: cut if too wide, padded on the right if too narrow.
    pub(super) fn left(self, text: &str, columns: usize) -> String {
        let text = self.truncate(text, columns);
        let gap = columns.saturating_sub(text.width());
        text + &" ".repeat(gap)
    }

    /// The text in exactly `columns` columns: cut if too wide, padded on the left if too narrow.
    pub(super) fn right(self, text: &str, columns: usize) -> String {
        let text = self.truncate(text, columns);
        " ".repeat(columns.saturating_sub(text.width())) + &text
    }

    /// The text in exactly `columns` columns, in the middle.
    pub(super) fn centre(self, text: &str, columns: usize) -> String {
        let text = self.truncate(text, columns);
        let gap = columns.saturating_sub(text.width());
        " ".repeat(gap / 2) + &text + &" ".repeat(gap - gap / 2)
    }
}

/// Number of terminal columns a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

fn char_shows(c: char) -> bool {
    unicode_width::UnicodeWidthChar::width(c).is_some_and(|w| w > 0)
}

/// Characters that take no ink, steer the direction of text, or may not appear in XML.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}'
                ..='\u{206f}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}')
        || (c as u32) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_on_the_screen_is_written_out() {
        let uni = Charset::UNICODE;
        assert_eq!(uni.visible("a\nb\tc\r"), "a\\nb\\tc\\r");
        assert_eq!(uni.visible("\u{1b}[31mred"), "\\x1b[31mred");
        assert_eq!(uni.visible("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        assert_eq!(uni.visible("\u{301}x"), "\\u{301}x");
        assert_eq!(uni.visible("e\u{301} 日本 👩‍🚀"), "e\u{301} 日本 👩‍🚀");
        assert_eq!(Charset { unicode: false }.visible("é→a"), "\\u{e9}\\u{2192}a");
    }

    #[test]
    fn only_the_outer_spaces_of_a_token_are_marked() {
        assert_eq!(Charset::UNICODE.visible_token("  a b "), "··a b·");
        assert_eq!(Charset::UNICODE.visible_token("   "), "···");
        assert_eq!(Charset::UNICODE.visible_token(""), "");
    }

    #[test]
    fn cutting_counts_columns_and_keeps_characters_whole() {
        let uni = Charset::UNICODE;
        assert_eq!(uni.truncate("日本語", 5), "日本…");
        assert_eq!(uni.truncate("日本語", 4), "日…");
        assert_eq!(uni.truncate("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(uni.truncate("abc", 1), "…");
        assert_eq!(uni.truncate("abc", 0), "");
        assert_eq!(columns(&uni.right("日本語", 4)), 4);
    }
}
