//! A grid as text: labels are cut first, then columns are spread over several blocks.

use super::Screen;
use crate::plot::grid::Grid;
use crate::plot::scale::{Limits, ScaleKind};
use crate::plot::text::columns;

/// The widest a column of labels grows.
const WIDEST: usize = 18;
/// The narrowest a column of labels is cut to before columns move to another block.
const NARROWEST: usize = 7;
/// Columns that the mark before a label takes where there is no colour.
const MARK: usize = 2;

pub(in crate::plot) fn draw(grid: &Grid, screen: &mut Screen) {
    let limits = grid.limits();
    screen.heading(&grid.title, &grid.subtitle);
    body(grid, &limits, screen);
    screen.legend(&limits, &grid.legend, grid.has_missing());
}

/// Everything between the heading and the legend.
pub(super) fn body(grid: &Grid, limits: &Limits, screen: &mut Screen) {
    screen.axes(&grid.row_axis, &grid.column_axis);
    if grid.is_empty() {
        screen.line("(no cells)");
        return;
    }
    let table = Table::new(grid, limits, screen);
    for (idx, (columns, widths)) in table.blocks(screen).into_iter().enumerate() {
        if idx > 0 {
            screen.line("");
        }
        table.draw_block(&columns, &widths, screen);
    }
}

/// The texts of a grid in drawing order, and what they need.
struct Table<'a> {
    grid: &'a Grid,
    limits: &'a Limits,
    row_labels: Vec<String>,
    headers: Vec<String>,
    /// `[row][column]`, rows from the top.
    texts: Vec<Vec<String>>,
    label_width: usize,
    /// Columns of space around the text of a cell.
    padding: usize,
    /// Narrowest and natural width of each column.
    bounds: Vec<(usize, usize)>,
}

impl<'a> Table<'a> {
    fn new(grid: &'a Grid, limits: &'a Limits, screen: &Screen) -> Self {
        let charset = screen.charset;
        let order = grid.rows_from_top();
        let row_labels: Vec<String> =
            order.iter().map(|&row| grid.shown(&grid.row_labels[row], charset)).collect();
        let headers: Vec<String> =
            grid.column_labels.iter().map(|label| grid.shown(label, charset)).collect();
        let texts: Vec<Vec<String>> = order
            .iter()
            .map(|&row| {
                (0..grid.n_columns()).map(|column| cell_text(grid, limits, row, column, screen)).collect()
            })
            .collect();
        let label_width =
            row_labels.iter().map(|label| columns(label)).max().unwrap_or(0).min((screen.width / 4).max(4));
        let bounds = headers
            .iter()
            .enumerate()
            .map(|(column, header)| {
                let widest = texts.iter().map(|row| columns(&row[column])).max().unwrap_or(0);
                let narrowest = if screen.has_colour() { NARROWEST } else { NARROWEST + MARK };
                if grid.labels.is_empty() {
                    (widest, widest.max(columns(header).min(widest.max(NARROWEST))))
                } else {
                    let natural = widest.max(columns(header)).min(WIDEST);
                    (natural.min(narrowest), natural)
                }
            })
            .collect();
        let padding =
            if screen.has_colour() && (grid.show_values || !grid.labels.is_empty()) { 2 } else { 1 };
        Self { grid, limits, row_labels, headers, texts, label_width, padding, bounds }
    }

    /// Splits the columns into blocks of about equal number, and gives each column its width.
    fn blocks(&self, screen: &Screen) -> Vec<(std::ops::Range<usize>, Vec<usize>)> {
        let room = screen.width.saturating_sub(self.label_width + 2).max(self.padding + 1);
        let fits = |range: std::ops::Range<usize>| {
            self.bounds[range].iter().map(|b| b.0 + self.padding).sum::<usize>() <= room
        };
        let greedy = |target: usize| {
            let mut blocks = Vec::new();
            let mut start = 0;
            for end in 1..=self.bounds.len() {
                let full = end == self.bounds.len() || end - start >= target || !fits(start..end + 1);
                if full {
                    blocks.push(start..end);
                    start = end;
                }
            }
            blocks
        };
        let fewest = greedy(usize::MAX).len();
        let even = greedy(self.bounds.len().div_ceil(fewest.max(1)));
        let blocks = if even.len() == fewest { even } else { greedy(usize::MAX) };
        blocks
            .into_iter()
            .map(|range| {
                let bounds = &self.bounds[range.clone()];
                let widths = |cap: usize| bounds.iter().map(move |&(low, natural)| natural.min(cap).max(low));
                let cap = (1..=WIDEST.max(room))
                    .rev()
                    .find(|&cap| widths(cap).map(|w| w + self.padding).sum::<usize>() <= room);
                let widths = match cap {
                    Some(cap) => widths(cap).collect(),
                    // A single column wider than the screen.
                    None => vec![room - self.padding; bounds.len()],
                };
                (range, widths)
            })
            .collect()
    }

    fn draw_block(&self, range: &std::ops::Range<usize>, widths: &[usize], screen: &mut Screen) {
        let charset = screen.charset;
        let (before, after) = if self.padding == 2 { (" ", " ") } else { (" ", "") };
        let bar = screen.dim(screen.pick("│", "|"));
        if widths.iter().any(|&w| w > 2) {
            let mut line = " ".repeat(self.label_width + 1) + &bar;
            for (header, &width) in self.headers[range.clone()].iter().zip(widths) {
                line += before;
                line += &if self.grid.labels.is_empty() {
                    charset.centre(header, width)
                } else {
                    charset.left(header, width)
                };
                line += after;
            }
            screen.line(&line);
        }
        let rule = screen.pick("─", "-");
        let total: usize = widths.iter().map(|w| w + self.padding).sum();
        let line =
            screen.dim(&(rule.repeat(self.label_width + 1) + screen.pick("┼", "+") + &rule.repeat(total)));
        screen.line(&line);
        for (idx, row) in self.grid.rows_from_top().into_iter().enumerate() {
            let mut line = charset.right(&self.row_labels[idx], self.label_width) + " " + &bar;
            for (column, &width) in range.clone().zip(widths) {
                let text = &self.texts[idx][column];
                let text = if self.grid.labels.is_empty() {
                    // Numbers share their right edge, and as a block stand under the middle of the header.
                    charset.centre(&charset.right(text, self.bounds[column].0), width)
                } else {
                    charset.left(text, width)
                };
                line += &screen.fill(
                    self.limits.colour(self.grid.value(row, column)),
                    &format!("{before}{text}{after}"),
                );
            }
            screen.line(&line);
        }
    }
}

/// What a cell says; without colour, with a mark for its value.
fn cell_text(grid: &Grid, limits: &Limits, row: usize, column: usize, screen: &Screen) -> String {
    let value = grid.value(row, column);
    let strength = limits.strength(value);
    let mark = screen.shade(strength);
    let missing = || screen.pick("·", ".").to_owned();
    match (grid.shown_label(row, column, screen.charset), screen.has_colour()) {
        (Some(label), true) => label,
        (Some(label), false) if limits.kind == ScaleKind::Diverging => {
            let number = if strength.is_some() { limits.text(value) } else { missing() };
            format!("{} {label}", screen.charset.right(&number, 5.max(columns(&number))))
        }
        (Some(label), false) => format!("{mark} {label}"),
        (None, _) if !grid.show_values => match (screen.has_colour(), limits.kind, screen.charset.unicode) {
            (true, ..) => " ".to_owned(),
            // Shading has no sign, so the sign stands beside it.
            (false, ScaleKind::Diverging, _) => format!("{}{mark}", if value < 0.0 { '-' } else { '+' }),
            (false, ScaleKind::Sequential, true) => mark.to_string().repeat(2),
            (false, ScaleKind::Sequential, false) => mark.to_string(),
        },
        (None, _) if strength.is_none() => missing(),
        (None, false) if screen.charset.unicode => format!("{mark}{}", limits.text(value)),
        (None, _) => limits.text(value),
    }
}
