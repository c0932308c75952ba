//! A grid on paper.

use super::{Anchor, MARGIN, MISSING, Picture, escape, fit, px, text_width};
use crate::plot::colour::Rgb;
use crate::plot::grid::Grid;
use crate::plot::scale::Limits;
use crate::plot::text::Charset;

const LABEL_SIZE: f64 = 12.0;
const VALUE_SIZE: f64 = 11.0;
const AXIS_SIZE: f64 = 11.0;
/// The most columns and rows whose values are written as numbers.
const MOST_NUMBERS: (usize, usize) = (24, 60);
/// Above this many cells, runs of one colour become one shape and cells have no tooltips.
const DENSE: usize = 10_000;
/// The longest row label, in pixels.
const ROW_LABEL_ROOM: f64 = 190.0;

pub(in crate::plot) fn draw(grid: &Grid) -> Picture {
    let limits = grid.limits();
    let plan = Plan::new(grid, &limits);
    let axis = if grid.row_axis.is_empty() { 0.0 } else { 18.0 };
    let labels = plan.row_label_width();
    let lean = plan.columns.lean_left() - labels - axis;
    let left = MARGIN + axis + labels + lean.max(0.0);
    let mut picture =
        Picture::new(&grid.title, &grid.subtitle, describe(grid, &limits), left - MARGIN + plan.width());
    if grid.is_empty() {
        let y = picture.height() + 12.0;
        picture.text(MARGIN, y, LABEL_SIZE, "faint", Anchor::Start, "no cells");
        picture.extend_to(y + 4.0);
        return picture;
    }
    let top = picture.height();
    plan.draw_cells(&mut picture, left, top);
    plan.draw_row_labels(&mut picture, left, top);
    let bottom = plan.draw_column_labels(&mut picture, left, top);
    if !grid.row_axis.is_empty() {
        let name = fit(&Charset::UNICODE.visible(&grid.row_axis), AXIS_SIZE, plan.height().max(60.0));
        picture.turned_text(
            (left - labels - 10.0, top + plan.height() / 2.0),
            -90.0,
            AXIS_SIZE,
            "faint",
            Anchor::Middle,
            &name,
        );
    }
    picture.extend_to(bottom);
    if !grid.column_axis.is_empty() {
        let name = fit(&Charset::UNICODE.visible(&grid.column_axis), AXIS_SIZE, plan.width().max(60.0));
        picture.text(left + plan.width() / 2.0, bottom + 16.0, AXIS_SIZE, "faint", Anchor::Middle, &name);
        picture.extend_to(bottom + 18.0);
    }
    picture.legend(left, &limits, &grid.legend, grid.has_missing());
    picture
}

fn describe(grid: &Grid, limits: &Limits) -> String {
    let name = |axis: &str| if axis.is_empty() { String::new() } else { format!(" ({axis})") };
    let mut text = format!(
        "Heatmap of {} rows{} by {} columns{}. {}",
        grid.n_rows(),
        name(&grid.row_axis),
        grid.n_columns(),
        name(&grid.column_axis),
        super::describe_scale(limits, &grid.legend)
    );
    let strongest = (0..grid.values.len()).filter(|&i| grid.values[i].is_finite()).max_by(|&a, &b| {
        let strength = |i: usize| limits.strength(grid.values[i]).unwrap_or(0.0);
        strength(a).total_cmp(&strength(b)).then(b.cmp(&a))
    });
    if let Some(i) = strongest {
        let (row, column) = (i / grid.n_columns(), i % grid.n_columns());
        let shown = |text: &str| grid.shown(text, Charset::UNICODE);
        text += &format!(
            " Strongest: {} at row {}, column {}.",
            limits.text(grid.values[i]),
            shown(&grid.row_labels[row]),
            shown(&grid.column_labels[column])
        );
    }
    text
}

/// How column labels stand below their cells.
#[derive(Debug, Clone, Copy)]
enum Lettering {
    /// Level, in the middle of the column.
    Level,
    /// Turned by 45 degrees, ending at the column; the number is the room for the text.
    Turned(f64),
}

/// The labels of the columns, cut to fit, and every how many of them there is room for one.
struct ColumnLabels {
    texts: Vec<String>,
    lettering: Lettering,
    every: usize,
    size: f64,
    pitch: f64,
}

impl ColumnLabels {
    fn new(grid: &Grid, pitch: f64, size: f64) -> Self {
        let texts: Vec<String> =
            grid.column_labels.iter().map(|label| grid.shown(label, Charset::UNICODE)).collect();
        let widest = texts.iter().map(|text| text_width(text, size)).fold(0.0, f64::max);
        let level = widest <= pitch - 4.0 || pitch > 60.0;
        let room = if level { pitch - 4.0 } else { 120.0 };
        let texts: Vec<String> = texts.iter().map(|text| fit(text, size, room)).collect();
        let widest = texts.iter().map(|text| text_width(text, size)).fold(0.0, f64::max);
        let every = ((size + 2.0) / pitch).ceil().max(1.0) as usize;
        Self {
            texts,
            lettering: if level { Lettering::Level } else { Lettering::Turned(widest) },
            every,
            size,
            pitch,
        }
    }

    /// How far turned labels reach to the left of the grid.
    fn lean_left(&self) -> f64 {
        match self.lettering {
            Lettering::Level => 0.0,
            Lettering::Turned(_) => self
                .texts
                .iter()
                .enumerate()
                .step_by(self.every)
                .map(|(column, text)| {
                    text_width(text, self.size) * 0.71 + 6.0 - (column as f64 + 0.5) * self.pitch
                })
                .fold(0.0, f64::max),
        }
    }
}

/// The sizes of a grid's parts.
pub(super) struct Plan<'a> {
    grid: &'a Grid,
    limits: &'a Limits,
    cell: (f64, f64),
    gap: f64,
    radius: f64,
    label_size: f64,
    row_labels: Vec<String>,
    columns: ColumnLabels,
    numbers: bool,
}

impl<'a> Plan<'a> {
    fn new(grid: &'a Grid, limits: &'a Limits) -> Self {
        let charset = Charset::UNICODE;
        let (rows, columns) = (grid.n_rows(), grid.n_columns());
        let labelled = !grid.labels.is_empty();
        let numbers = !labelled && grid.show_values && columns <= MOST_NUMBERS.0 && rows <= MOST_NUMBERS.1;
        let cell = if labelled {
            let cells =
                (0..rows * columns).filter_map(|i| grid.shown_label(i / columns, i % columns, charset));
            let headers = grid.column_labels.iter().map(|label| grid.shown(label, charset));
            let widest = cells.chain(headers).map(|text| text_width(&text, LABEL_SIZE)).fold(0.0, f64::max);
            ((widest + 14.0).clamp(40.0, 112.0), 27.0)
        } else if numbers {
            let widest =
                grid.values.iter().map(|&v| text_width(&limits.text(v), VALUE_SIZE)).fold(0.0, f64::max);
            ((widest + 12.0).clamp(34.0, 90.0), 27.0)
        } else {
            let side = (640.0 / rows.max(columns).max(1) as f64).clamp(1.0, 28.0);
            (side, side)
        };
        Self::sized(grid, limits, cell, LABEL_SIZE, numbers)
    }

    /// A plan with square cells and no numbers, for a panel.
    pub(super) fn panel(grid: &'a Grid, limits: &'a Limits, side: f64) -> Self {
        Self::sized(grid, limits, (side, side), (side * 0.72).clamp(9.0, 11.0), false)
    }

    fn sized(grid: &'a Grid, limits: &'a Limits, cell: (f64, f64), label_size: f64, numbers: bool) -> Self {
        let small = cell.0.min(cell.1);
        let row_labels = grid
            .rows_from_top()
            .into_iter()
            .map(|row| fit(&grid.shown(&grid.row_labels[row], Charset::UNICODE), label_size, ROW_LABEL_ROOM))
            .collect();
        let (gap, radius) = if small >= 20.0 {
            (1.5, 2.5)
        } else if small >= 9.0 {
            (1.0, 1.0)
        } else {
            (0.0, 0.0)
        };
        let columns = ColumnLabels::new(grid, cell.0, label_size);
        Self { grid, limits, cell, gap, radius, label_size, row_labels, columns, numbers }
    }

    pub(super) fn width(&self) -> f64 {
        self.cell.0 * self.grid.n_columns() as f64
    }

    pub(super) fn height(&self) -> f64 {
        self.cell.1 * self.grid.n_rows() as f64
    }

    /// Width of the row labels and the space after them.
    pub(super) fn row_label_width(&self) -> f64 {
        let widest = self.row_labels.iter().map(|text| text_width(text, self.label_size)).fold(0.0, f64::max);
        if widest > 0.0 { widest + 8.0 } else { 0.0 }
    }

    /// How far turned column labels reach to the left of the cells.
    pub(super) fn lean_left(&self) -> f64 {
        self.columns.lean_left()
    }

    pub(super) fn draw_row_labels(&self, picture: &mut Picture, left: f64, top: f64) {
        let every = ((self.label_size + 1.0) / self.cell.1).ceil().max(1.0) as usize;
        for (idx, text) in self.row_labels.iter().enumerate().step_by(every) {
            let y = top + (idx as f64 + 0.5) * self.cell.1 + self.label_size * 0.36;
            picture.text(left - 7.0, y, self.label_size, "ink", Anchor::End, text);
        }
    }

    /// Draws the labels below the cells, and returns where they end.
    pub(super) fn draw_column_labels(&self, picture: &mut Picture, left: f64, top: f64) -> f64 {
        let bottom = top + self.height();
        let size = self.label_size;
        for (column, text) in self.columns.texts.iter().enumerate().step_by(self.columns.every) {
            let x = left + (column as f64 + 0.5) * self.cell.0;
            match self.columns.lettering {
                Lettering::Level => picture.text(x, bottom + size + 4.0, size, "ink", Anchor::Middle, text),
                Lettering::Turned(_) => {
                    picture.turned_text(
                        (x + size * 0.3, bottom + size * 0.6 + 4.0),
                        -45.0,
                        size,
                        "ink",
                        Anchor::End,
                        text,
                    );
                }
            }
        }
        match self.columns.lettering {
            Lettering::Level => bottom + size + 8.0,
            Lettering::Turned(widest) => bottom + widest * 0.71 + size * 0.9 + 6.0,
        }
    }

    pub(super) fn draw_cells(&self, picture: &mut Picture, left: f64, top: f64) {
        if self.grid.values.len() > DENSE {
            return self.draw_runs(picture, left, top);
        }
        let (width, height) = (self.cell.0 - self.gap, self.cell.1 - self.gap);
        let clip = format!("{}x{}", px(width), px(height));
        let mut clipped = false;
        let edges = if self.radius > 0.0 {
            format!(" rx=\"{}\"", px(self.radius))
        } else {
            " shape-rendering=\"crispEdges\"".to_owned()
        };
        for (idx, row) in self.grid.rows_from_top().into_iter().enumerate() {
            for column in 0..self.grid.n_columns() {
                let value = self.grid.value(row, column);
                let ground = self.limits.colour(value);
                let (class, fill) =
                    ground.map_or(("cell missing", MISSING.to_owned()), |colour| ("cell", colour.hex()));
                let x = left + column as f64 * self.cell.0 + self.gap / 2.0;
                let y = top + idx as f64 * self.cell.1 + self.gap / 2.0;
                picture.raw(&format!(
                    "<g transform=\"translate({} {})\"><title>{}</title><rect class=\"{class}\" width=\"{}\" height=\"{}\"{edges} fill=\"{fill}\"/>",
                    px(x), px(y), escape(&self.tooltip(row, column)), px(width), px(height)
                ));
                if let Some((text, size)) = self.cell_text(row, column) {
                    let text = fit(&text, size, width - 6.0);
                    let ink = ground.map_or_else(
                        || "class=\"faint\" fill=\"#5b6672\"".to_owned(),
                        |g| format!("fill=\"{}\"", soft_ink(g)),
                    );
                    // Only characters outside the typeface can be wider than their columns say.
                    let guarded = text.chars().any(|c| !c.is_ascii() && !"·…".contains(c));
                    let guard =
                        if guarded { format!(" clip-path=\"url(#{{id}}-{clip})\"") } else { String::new() };
                    clipped |= guarded;
                    picture.text_with(
                        width / 2.0,
                        height / 2.0 + size * 0.36,
                        size,
                        &(ink + &guard),
                        Anchor::Middle,
                        &text,
                    );
                }
                picture.raw("</g>\n");
            }
        }
        if clipped {
            picture.define(&format!(
                "<clipPath id=\"{{id}}-{clip}\"><rect width=\"{}\" height=\"{}\"/></clipPath>\n",
                px(width),
                px(height)
            ));
        }
    }

    /// The text of a cell and its size, if the cell has one.
    fn cell_text(&self, row: usize, column: usize) -> Option<(String, f64)> {
        match self.grid.shown_label(row, column, Charset::UNICODE) {
            Some(label) => Some((label, LABEL_SIZE)),
            None if self.numbers && !self.grid.value(row, column).is_nan() => {
                Some((self.limits.text(self.grid.value(row, column)), VALUE_SIZE))
            }
            None => None,
        }
    }

    fn tooltip(&self, row: usize, column: usize) -> String {
        let grid = self.grid;
        let named = |axis: &str, label: &str| {
            let label = grid.shown(label, Charset::UNICODE);
            if axis.is_empty() { label } else { format!("{axis} {label}") }
        };
        let value = grid.value(row, column);
        let value = if value.is_nan() { "no value".to_owned() } else { format!("{value}") };
        let mut text = match grid.shown_label(row, column, Charset::UNICODE) {
            Some(label) => format!("{label}: {value}"),
            None => value,
        };
        text += &format!(
            "\n{}, {}",
            named(&grid.row_axis, &grid.row_labels[row]),
            named(&grid.column_axis, &grid.column_labels[column])
        );
        if let Some(more) = grid.tooltip(row, column).filter(|more| !more.is_empty()) {
            text += "\n";
            text += more;
        }
        text
    }

    /// Very many cells: neighbours of one colour in a row become one rectangle.
    fn draw_runs(&self, picture: &mut Picture, left: f64, top: f64) {
        picture.raw("<g shape-rendering=\"crispEdges\">\n");
        for (idx, row) in self.grid.rows_from_top().into_iter().enumerate() {
            let colours: Vec<Option<Rgb>> =
                (0..self.grid.n_columns()).map(|c| self.limits.colour(self.grid.value(row, c))).collect();
            let mut start = 0;
            for run in colours.chunk_by(|a, b| a == b) {
                let (class, fill) =
                    run[0].map_or((" class=\"missing\"", MISSING.to_owned()), |colour| ("", colour.hex()));
                picture.raw(&format!(
                    "<rect{class} x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"/>\n",
                    px(left + start as f64 * self.cell.0),
                    px(top + idx as f64 * self.cell.1),
                    px(run.len() as f64 * self.cell.0),
                    px(self.cell.1)
                ));
                start += run.len();
            }
        }
        picture.raw("</g>\n");
    }
}

/// The ink for a ground, a little softer than black or white where contrast allows.
fn soft_ink(ground: Rgb) -> String {
    let soft = Rgb { r: 29, g: 35, b: 43 };
    if ground.contrast(soft) >= 4.5 { soft.hex() } else { ground.ink().hex() }
}
