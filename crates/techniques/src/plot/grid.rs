//! Heatmaps, alone and side by side.

use super::error::PlotError;
use super::scale::{Limits, Scale};
use super::text::Charset;

/// The most cells one [`Grid`] may have, a little over a thousand tokens attending to each other.
pub const MAX_CELLS: usize = 1 << 20;

/// A heatmap: rows and columns of cells, each with a value that becomes its colour.
///
/// A cell may also have a label, written inside it, and a tooltip, shown when a pointer rests on it. Values that are
/// NaN count as missing: they are drawn without colour.
///
/// ```
/// use pellucid_techniques::plot::{Grid, Scale, TerminalStyle, terminal};
///
/// let lens = Grid::new(["layer 0", "layer 1"], ["The", " tower"], vec![0.1, 0.2, 0.4, 0.9])?
///     .with_labels([" the", " of", " city", " is"])?
///     .with_title("Logit lens")
///     .with_scale(Scale::probability());
/// assert!(terminal(&lens, &TerminalStyle::plain(80)).contains("·city"));
/// # Ok::<(), pellucid_techniques::plot::PlotError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) row_axis: String,
    pub(super) column_axis: String,
    pub(super) row_labels: Vec<String>,
    pub(super) column_labels: Vec<String>,
    pub(super) values: Vec<f32>,
    pub(super) labels: Vec<String>,
    pub(super) tooltips: Vec<String>,
    pub(super) scale: Scale,
    pub(super) legend: String,
    pub(super) order: RowOrder,
    pub(super) show_values: bool,
    pub(super) mark_spaces: bool,
}

/// Where the first row of a grid is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowOrder {
    /// At the top, as in a table.
    #[default]
    TopDown,
    /// At the bottom, so that later layers stand above earlier ones.
    BottomUp,
}

impl Grid {
    /// A grid of `values`, row by row: `[row_labels.len(), column_labels.len()]`.
    ///
    /// Either list of labels may be empty, which makes an empty picture.
    ///
    /// # Errors
    ///
    /// [`PlotError::Count`] if there is not one value per cell, [`PlotError::TooManyCells`] above [`MAX_CELLS`].
    pub fn new<R, C>(row_labels: R, column_labels: C, values: Vec<f32>) -> Result<Self, PlotError>
    where
        R: IntoIterator<Item: Into<String>>,
        C: IntoIterator<Item: Into<String>>,
    {
        let row_labels: Vec<String> = row_labels.into_iter().map(Into::into).collect();
        let column_labels: Vec<String> = column_labels.into_iter().map(Into::into).collect();
        let (rows, columns) = (row_labels.len(), column_labels.len());
        let cells = rows.checked_mul(columns).filter(|&n| n <= MAX_CELLS).ok_or(PlotError::TooManyCells {
            rows,
            columns,
            limit: MAX_CELLS,
        })?;
        check_count("values", cells, values.len())?;
        Ok(Self {
            title: String::new(),
            subtitle: String::new(),
            row_axis: String::new(),
            column_axis: String::new(),
            row_labels,
            column_labels,
            values,
            labels: Vec::new(),
            tooltips: Vec::new(),
            scale: Scale::sequential(),
            legend: String::new(),
            order: RowOrder::TopDown,
            show_values: true,
            mark_spaces: true,
        })
    }

    /// Writes a text into each cell, row by row, in place of the cell's value.
    ///
    /// # Errors
    ///
    /// [`PlotError::Count`] if there is not one label per cell.
    pub fn with_labels<L>(mut self, labels: L) -> Result<Self, PlotError>
    where
        L: IntoIterator<Item: Into<String>>,
    {
        self.labels = labels.into_iter().map(Into::into).collect();
        check_count("cell labels", self.values.len(), self.labels.len())?;
        Ok(self)
    }

    /// Adds a text to each cell's tooltip, row by row. Line breaks are kept.
    ///
    /// # Errors
    ///
    /// [`PlotError::Count`] if there is not one tooltip per cell.
    pub fn with_tooltips<T>(mut self, tooltips: T) -> Result<Self, PlotError>
    where
        T: IntoIterator<Item: Into<String>>,
    {
        self.tooltips = tooltips.into_iter().map(Into::into).collect();
        check_count("tooltips", self.values.len(), self.tooltips.len())?;
        Ok(self)
    }

    /// The heading.
    #[must_use]
    pub fn with_title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// The line under the heading: the prompt, the model, what was compared.
    #[must_use]
    pub fn with_subtitle(self, subtitle: impl Into<String>) -> Self {
        Self { subtitle: subtitle.into(), ..self }
    }

    /// What the rows and the columns are, in the singular: `layer`, `token`.
    #[must_use]
    pub fn with_axes(self, rows: impl Into<String>, columns: impl Into<String>) -> Self {
        Self { row_axis: rows.into(), column_axis: columns.into(), ..self }
    }

    /// How values become colours; without it, [`Scale::sequential`].
    #[must_use]
    pub fn with_scale(self, scale: Scale) -> Self {
        Self { scale, ..self }
    }

    /// What the colours mean: `probability of the top token`.
    #[must_use]
    pub fn with_legend(self, legend: impl Into<String>) -> Self {
        Self { legend: legend.into(), ..self }
    }

    /// Where the first row is drawn; without it, at the top.
    #[must_use]
    pub fn with_row_order(self, order: RowOrder) -> Self {
        Self { order, ..self }
    }

    /// Whether cells without labels show their values as numbers; without it, they do where there is room.
    #[must_use]
    pub fn with_values_shown(self, show: bool) -> Self {
        Self { show_values: show, ..self }
    }

    /// Whether spaces at the ends of labels are drawn as `·`; without it, they are.
    #[must_use]
    pub fn with_spaces_marked(self, mark: bool) -> Self {
        Self { mark_spaces: mark, ..self }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.row_labels.len()
    }

    /// Number of columns.
    pub fn n_columns(&self) -> usize {
        self.column_labels.len()
    }

    /// The heading.
    pub fn title(&self) -> &str {
        &self.title
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row indices from the top of the picture to its bottom.
    pub(super) fn rows_from_top(&self) -> Vec<usize> {
        match self.order {
            RowOrder::TopDown => (0..self.n_rows()).collect(),
            RowOrder::BottomUp => (0..self.n_rows()).rev().collect(),
        }
    }

    pub(super) fn value(&self, row: usize, column: usize) -> f32 {
        self.values[row * self.n_columns() + column]
    }

    pub(super) fn has_missing(&self) -> bool {
        self.values.iter().any(|v| v.is_nan())
    }

    pub(super) fn limits(&self) -> Limits {
        self.scale.resolve(self.values.iter().copied())
    }

    /// A row's, column's or cell's label as a reader should see it.
    pub(super) fn shown(&self, text: &str, charset: Charset) -> String {
        if self.mark_spaces { charset.visible_token(text) } else { charset.visible(text) }
    }

    /// A cell's label as a reader should see it, if the grid has labels.
    pub(super) fn shown_label(&self, row: usize, column: usize, charset: Charset) -> Option<String> {
        self.labels.get(row * self.n_columns() + column).map(|text| self.shown(text, charset))
    }

    pub(super) fn tooltip(&self, row: usize, column: usize) -> Option<&str> {
        self.tooltips.get(row * self.n_columns() + column).map(String::as_str)
    }
}

fn check_count(what: &'static str, expected: usize, got: usize) -> Result<(), PlotError> {
    if expected == got { Ok(()) } else { Err(PlotError::Count { what, expected, got }) }
}

/// Several grids side by side on one colour scale: the attention patterns of a layer's heads.
///
/// Each grid's title names its panel; its own scale and legend are not used, so that colours compare across panels.
/// Row and column labels are written once, at the edges, where all panels have the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Panels {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) grids: Vec<Grid>,
    pub(super) scale: Scale,
    pub(super) legend: String,
}

impl Panels {
    /// Panels from left to right and top to bottom.
    pub fn new(grids: impl IntoIterator<Item = Grid>) -> Self {
        Self {
            title: String::new(),
            subtitle: String::new(),
            grids: grids.into_iter().collect(),
            scale: Scale::sequential(),
            legend: String::new(),
        }
    }

    /// The heading over all panels.
    #[must_use]
    pub fn with_title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// The line under the heading.
    #[must_use]
    pub fn with_subtitle(self, subtitle: impl Into<String>) -> Self {
        Self { subtitle: subtitle.into(), ..self }
    }

    /// How values become colours in every panel; without it, [`Scale::sequential`] over all of them.
    #[must_use]
    pub fn with_scale(self, scale: Scale) -> Self {
        Self { scale, ..self }
    }

    /// What the colours mean.
    #[must_use]
    pub fn with_legend(self, legend: impl Into<String>) -> Self {
        Self { legend: legend.into(), ..self }
    }

    pub(super) fn limits(&self) -> Limits {
        self.scale.resolve(self.grids.iter().flat_map(|grid| grid.values.iter().copied()))
    }

    pub(super) fn has_missing(&self) -> bool {
        self.grids.iter().any(Grid::has_missing)
    }

    /// Whether one set of labels at the edges speaks for every panel.
    pub(super) fn labels_agree(&self) -> bool {
        self.grids.windows(2).all(|pair| {
            let [a, b] = pair else { return true };
            a.row_labels == b.row_labels && a.column_labels == b.column_labels && a.order == b.order
        })
    }
}
