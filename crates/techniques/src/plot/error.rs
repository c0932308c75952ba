//! What can be wrong with the data of a plot, or with the picture asked for.

use thiserror::Error;

/// Why a plot could not be made.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PlotError {
    /// A list does not have one item per place it describes.
    #[error("wrong number of {what}: expected {expected}, got {got}")]
    Count {
        /// What the list holds, in the plural: `values`, `cell labels`.
        what: &'static str,
        /// The number of places.
        expected: usize,
        /// The number of items given.
        got: usize,
    },
    /// A grid has more cells than a picture can show.
    #[error("too many cells for one plot: {rows} rows by {columns} columns, the limit is {limit}")]
    TooManyCells {
        /// Number of row labels.
        rows: usize,
        /// Number of column labels.
        columns: usize,
        /// The largest number of cells accepted.
        limit: usize,
    },
    /// The factor a PNG is enlarged by is not a positive number.
    #[error("the scale of a PNG must be positive and finite: {scale}")]
    BadScale {
        /// The factor given.
        scale: f32,
    },
    /// The PNG would have more pixels than are allowed.
    #[error("the PNG would be too large: {width} by {height} pixels, the limit is {limit} pixels")]
    PictureTooLarge {
        /// Width in pixels, after scaling.
        width: u64,
        /// Height in pixels, after scaling.
        height: u64,
        /// The largest number of pixels accepted.
        limit: u64,
    },
    /// The SVG renderer or the PNG encoder refused the picture: a fault of ours, not of the data.
    #[error("the picture could not be drawn: {reason}")]
    Draw {
        /// The message of the library that refused.
        reason: String,
    },
}

impl PlotError {
    /// What to do about it, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Count { .. } => Some("give the items row by row, one for each row and column label"),
            Self::TooManyCells { .. } => Some("plot a slice of the rows or columns"),
            Self::BadScale { .. } => Some("1.0 draws at natural size, 2.0 suits dense screens"),
            Self::PictureTooLarge { .. } => Some("use a smaller scale, or write an SVG instead"),
            Self::Draw { .. } => None,
        }
    }
}
