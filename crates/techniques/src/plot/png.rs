//! From SVG to pixels, with typefaces of our own so that every machine draws the same picture.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use super::error::PlotError;

/// The most pixels a PNG may have.
pub const MAX_PIXELS: u64 = 64_000_000;

pub(super) fn rasterise(svg: &str, scale: f32) -> Result<Vec<u8>, PlotError> {
    if !(scale.is_finite() && scale > 0.0) {
        return Err(PlotError::BadScale { scale });
    }
    let draw_error = |reason: String| PlotError::Draw { reason };
    let options = Options { font_family: "Hack".to_owned(), fontdb: fonts(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|fault| draw_error(fault.to_string()))?;
    let side = |length: f32| (f64::from(length) * f64::from(scale)).ceil().max(1.0) as u64;
    let (width, height) = (side(tree.size().width()), side(tree.size().height()));
    let too_large = PlotError::PictureTooLarge { width, height, limit: MAX_PIXELS };
    if width.checked_mul(height).is_none_or(|pixels| pixels > MAX_PIXELS) {
        return Err(too_large);
    }
    let (Ok(w), Ok(h)) = (u32::try_from(width), u32::try_from(height)) else { return Err(too_large) };
    let mut pixmap = Pixmap::new(w, h).ok_or(too_large)?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|fault| draw_error(fault.to_string()))
}

/// Hack for text and Noto Emoji for pictographs; the system's own fonts are left out on purpose.
fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    Arc::clone(FONTS.get_or_init(|| {
        let mut database = Database::new();
        database.load_font_data(epaint_default_fonts::HACK_REGULAR.to_vec());
        database.load_font_data(epaint_default_fonts::NOTO_EMOJI_REGULAR.to_vec());
        database.set_monospace_family("Hack");
        Arc::new(database)
    }))
}
