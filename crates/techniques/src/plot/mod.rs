//! Pictures of results: one renderer for the command line and for Python.
//!
//! Plain data goes in ([`Grid`], [`Panels`], [`LineChart`]) and a picture comes out: [`terminal`] text, [`svg`], an
//! [`html`] page, or [`png`] bytes. Nothing here knows tensors, reads files or prints, and the same data always makes
//! the same picture, byte for byte.
//!
//! ```
//! use pellucid_techniques::plot::{Grid, Scale, TerminalStyle, svg, terminal};
//!
//! let effects = Grid::new(["0", "1"], ["The", " cat"], vec![0.0, 0.9, -0.3, 0.1])?
//!     .with_title("Activation patching")
//!     .with_axes("layer", "token")
//!     .with_scale(Scale::diverging())
//!     .with_legend("share of the logit difference restored");
//!
//! let text = terminal(&effects, &TerminalStyle::plain(60));
//! assert!(text.contains("+0.90"));
//! assert!(svg(&effects).contains("Activation patching"));
//! # Ok::<(), pellucid_techniques::plot::PlotError>(())
//! ```

mod chart;
mod colour;
mod error;
mod grid;
mod html;
mod png;
mod scale;
mod svg;
mod terminal;
mod text;

pub use chart::{LineChart, Series};
pub use colour::{Palette, Rgb};
pub use error::PlotError;
pub use grid::{Grid, MAX_CELLS, Panels, RowOrder};
pub use png::MAX_PIXELS;
pub use scale::{Scale, ScaleKind};
pub use terminal::{ColourSupport, MIN_WIDTH, TerminalStyle};

/// A picture that every renderer can draw: [`Grid`], [`Panels`] or [`LineChart`].
pub trait Figure: sealed::Sealed {
    /// The heading, as given.
    fn title(&self) -> &str;
}

mod sealed {
    use super::svg::Picture;
    use super::terminal::Screen;

    /// How one kind of figure is drawn.
    pub trait Sealed {
        /// Draws line by line.
        fn draw_terminal(&self, screen: &mut Screen);
        /// Draws on paper.
        fn draw_svg(&self) -> Picture;
    }
}

macro_rules! figure {
    ($figure:ty, $terminal:path, $svg:path) => {
        impl sealed::Sealed for $figure {
            fn draw_terminal(&self, screen: &mut terminal::Screen) {
                $terminal(self, screen);
            }
            fn draw_svg(&self) -> svg::Picture {
                $svg(self)
            }
        }
        impl Figure for $figure {
            fn title(&self) -> &str {
                &self.title
            }
        }
    };
}

figure!(Grid, terminal::grid::draw, svg::grid::draw);
figure!(Panels, terminal::panels::draw, svg::panels::draw);
figure!(LineChart, terminal::chart::draw, svg::chart::draw);

/// The figure as lines of text, each ending in a newline and none wider than the style's width.
///
/// Labels that do not fit are cut with an ellipsis; columns that still do not fit go below, in further blocks. Control
/// characters and escape sequences inside labels are written out, so a token cannot act on the terminal.
pub fn terminal(figure: &dyn Figure, style: &TerminalStyle) -> String {
    let mut screen = terminal::Screen::new(style);
    figure.draw_terminal(&mut screen);
    screen.finish()
}

/// The figure as a self-contained SVG document with tooltips and a description for screen readers.
///
/// The identifiers inside are derived from the content, so several pictures may share one HTML page.
pub fn svg(figure: &dyn Figure) -> String {
    figure.draw_svg().into_svg()
}

/// The figure as one HTML page without outside assets, in light or dark colours as the reader prefers.
pub fn html(figure: &dyn Figure) -> String {
    html::page(figure.title(), &svg(figure))
}

/// The figure as a PNG image, `scale` times its natural size.
///
/// Text uses the Hack typeface, and Noto Emoji for pictographs; characters in neither show as a box.
///
/// # Errors
///
/// [`PlotError::BadScale`] unless `scale` is positive and finite, [`PlotError::PictureTooLarge`] above [`MAX_PIXELS`].
pub fn png(figure: &dyn Figure, scale: f32) -> Result<Vec<u8>, PlotError> {
    png::rasterise(&svg(figure), scale)
}
