//! Colours: perceptual interpolation, contrast, and the nearest colour of a 256-colour terminal.
//!
//! Colour maps are a few control points in OKLCH (lightness, chroma, hue), joined by straight lines in OKLab and walked
//! at constant speed, so equal steps of a value are equal steps to the eye.

/// An sRGB colour, eight bits a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rgb {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
}

impl Rgb {
    /// Black.
    pub const BLACK: Self = Self { r: 0, g: 0, b: 0 };
    /// White.
    pub const WHITE: Self = Self { r: 255, g: 255, b: 255 };

    /// The colour as `#rrggbb`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.r, self.g, self.b)
    }

    /// Relative luminance as defined by WCAG 2, in 0..=1.
    fn luminance(self) -> f64 {
        0.2126 * to_linear(self.r) + 0.7152 * to_linear(self.g) + 0.0722 * to_linear(self.b)
    }

    /// The WCAG 2 contrast ratio of two colours, in 1..=21.
    ///
    /// ```
    /// use pellucid_techniques::plot::Rgb;
    /// assert!((Rgb::BLACK.contrast(Rgb::WHITE) - 21.0).abs() < 1e-9);
    /// ```
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Black or white, whichever reads better on this colour; the contrast is at least 4.5.
    pub fn ink(self) -> Self {
        if self.contrast(Self::BLACK) >= self.contrast(Self::WHITE) { Self::BLACK } else { Self::WHITE }
    }

    /// The nearest colour of the 256-colour palette's fixed part, codes 16 to 255.
    pub(super) fn ansi256(self) -> u8 {
        (16..=255u8)
            .min_by(|&a, &b| self.distance(from_ansi256(a)).total_cmp(&self.distance(from_ansi256(b))))
            .unwrap_or(16)
    }

    fn distance(self, other: Self) -> f64 {
        let (a, b) = (Lab::from_rgb(self), Lab::from_rgb(other));
        a.distance(b)
    }
}

/// The colour behind a code of the 256-colour palette; codes under 16 depend on the terminal and count as black here.
pub(super) fn from_ansi256(code: u8) -> Rgb {
    let step = |i: u8| if i == 0 { 0 } else { 55 + 40 * i };
    match code {
        0..=15 => Rgb::BLACK,
        16..=231 => {
            let i = code - 16;
            Rgb { r: step(i / 36), g: step(i / 6 % 6), b: step(i % 6) }
        }
        232..=255 => {
            let grey = 8 + 10 * (code - 232);
            Rgb { r: grey, g: grey, b: grey }
        }
    }
}

/// A colour map: where a cell's position in its scale becomes a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Palette {
    /// Pale sand, through sea green and blue, to deep indigo: for amounts, on paper.
    #[default]
    Lagoon,
    /// Dark violet, through teal and green, to yellow: for amounts, with the largest ones glowing.
    Aurora,
    /// Blue, white in the middle, red: for effects in two directions.
    Balance,
}

impl Palette {
    /// Lightness, chroma and hue in degrees of each control point.
    fn control_points(self) -> &'static [(f64, f64, f64)] {
        match self {
            Self::Lagoon => &[
                (0.97, 0.022, 112.0),
                (0.87, 0.075, 170.0),
                (0.70, 0.105, 205.0),
                (0.50, 0.12, 250.0),
                (0.29, 0.12, 285.0),
            ],
            Self::Aurora => &[
                (0.24, 0.10, 305.0),
                (0.41, 0.115, 268.0),
                (0.58, 0.10, 215.0),
                (0.75, 0.15, 155.0),
                (0.93, 0.17, 106.0),
            ],
            Self::Balance => &[
                (0.38, 0.13, 262.0),
                (0.66, 0.12, 248.0),
                (0.975, 0.0, 0.0),
                (0.66, 0.15, 38.0),
                (0.38, 0.13, 22.0),
            ],
        }
    }

    /// The colour at a position in 0..=1; positions outside are clamped, and NaN counts as 0.
    pub fn at(self, position: f64) -> Rgb {
        let points: Vec<Lab> =
            self.control_points().iter().map(|&(l, c, h)| Lab::from_lch(l, c, h)).collect();
        let lengths: Vec<f64> = points.windows(2).map(|pair| pair[0].distance(pair[1])).collect();
        let mut rest = position.clamp(0.0, 1.0).max(0.0) * lengths.iter().sum::<f64>();
        for (pair, &length) in points.windows(2).zip(&lengths) {
            if rest <= length {
                return pair[0].mix(pair[1], rest / length).to_rgb();
            }
            rest -= length;
        }
        points.last().map_or(Rgb::BLACK, |&last| last.to_rgb())
    }
}

/// The line colours of a chart's series on light paper, in order; they differ in lightness as well as in hue.
pub(super) fn series_colour(idx: usize) -> Rgb {
    let (l, c, h) = series_lch(idx);
    Lab::from_lch(l, c, h).to_rgb()
}

/// The same hues for a terminal, whose ground may be dark or light.
pub(super) fn series_colour_on_any_ground(idx: usize) -> Rgb {
    let (l, c, h) = series_lch(idx);
    Lab::from_lch(l.max(0.62), c, h).to_rgb()
}

fn series_lch(idx: usize) -> (f64, f64, f64) {
    const WHEEL: [(f64, f64, f64); 8] = [
        (0.50, 0.15, 255.0),
        (0.66, 0.17, 48.0),
        (0.58, 0.12, 165.0),
        (0.50, 0.19, 15.0),
        (0.62, 0.15, 305.0),
        (0.70, 0.13, 90.0),
        (0.68, 0.11, 215.0),
        (0.48, 0.10, 140.0),
    ];
    WHEEL[idx % WHEEL.len()]
}

/// A colour in OKLab, where distance is close to perceived difference.
#[derive(Debug, Clone, Copy)]
struct Lab {
    l: f64,
    a: f64,
    b: f64,
}

impl Lab {
    fn from_lch(l: f64, chroma: f64, hue: f64) -> Self {
        let (sin, cos) = hue.to_radians().sin_cos();
        Self { l, a: chroma * cos, b: chroma * sin }
    }

    fn from_rgb(rgb: Rgb) -> Self {
        let (r, g, b) = (to_linear(rgb.r), to_linear(rgb.g), to_linear(rgb.b));
        let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
        let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
        let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
        Self {
            l: 0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
            a: 1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s,
            b: 0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s,
        }
    }

    fn to_rgb(self) -> Rgb {
        let l = (self.l + 0.396_337_777_4 * self.a + 0.215_803_757_3 * self.b).powi(3);
        let m = (self.l - 0.105_561_345_8 * self.a - 0.063_854_172_8 * self.b).powi(3);
        let s = (self.l - 0.089_484_177_5 * self.a - 1.291_485_548_0 * self.b).powi(3);
        Rgb {
            r: from_linear(4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s),
            g: from_linear(-1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s),
            b: from_linear(-0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s),
        }
    }

    fn distance(self, other: Self) -> f64 {
        (self.l - other.l).hypot(self.a - other.a).hypot(self.b - other.b)
    }

    fn mix(self, other: Self, t: f64) -> Self {
        let mix = |a: f64, b: f64| a + (b - a) * t;
        Self { l: mix(self.l, other.l), a: mix(self.a, other.a), b: mix(self.b, other.b) }
    }
}

fn to_linear(channel: u8) -> f64 {
    let c = f64::from(channel) / 255.0;
    if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
}

fn from_linear(channel: f64) -> u8 {
    let c = channel.clamp(0.0, 1.0);
    let encoded = if c <= 0.003_130_8 { c * 12.92 } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 };
    (encoded * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Palette; 3] = [Palette::Lagoon, Palette::Aurora, Palette::Balance];

    #[test]
    fn equal_steps_of_a_palette_are_nearly_equal_steps_to_the_eye() {
        for palette in ALL {
            let steps: Vec<f64> = (0..32)
                .map(|i| palette.at(f64::from(i) / 32.0).distance(palette.at(f64::from(i + 1) / 32.0)))
                .collect();
            let (min, max) = steps.iter().fold((f64::MAX, 0f64), |(lo, hi), &s| (lo.min(s), hi.max(s)));
            assert!(max / min < 1.5, "{palette:?}: steps from {min:.4} to {max:.4}");
        }
    }

    #[test]
    fn amounts_change_in_lightness_in_one_direction_only() {
        for (palette, sign) in [(Palette::Lagoon, -1.0), (Palette::Aurora, 1.0)] {
            let light: Vec<f64> =
                (0..=64).map(|i| Lab::from_rgb(palette.at(f64::from(i) / 64.0)).l).collect();
            assert!(light.windows(2).all(|w| (w[1] - w[0]) * sign > 0.0), "{palette:?}: {light:?}");
        }
    }

    #[test]
    fn text_on_any_cell_has_a_contrast_of_at_least_4_5() {
        for palette in ALL {
            for i in 0..=1000 {
                let cell = palette.at(f64::from(i) / 1000.0);
                assert!(cell.contrast(cell.ink()) >= 4.5);
                let quantised = from_ansi256(cell.ansi256());
                assert!(quantised.contrast(quantised.ink()) >= 4.5);
            }
        }
    }

    #[test]
    fn every_fixed_code_of_the_256_colours_is_nearest_to_itself() {
        for code in 16..=255u8 {
            assert_eq!(from_ansi256(from_ansi256(code).ansi256()), from_ansi256(code));
        }
    }

    #[test]
    fn lines_of_a_chart_stand_out_from_their_ground() {
        for idx in 0..8 {
            assert!(series_colour(idx).contrast(Rgb::WHITE) > 2.4, "series {idx}");
            let line = series_colour_on_any_ground(idx);
            assert!(line.contrast(Rgb::WHITE) > 2.4 && line.contrast(Rgb::BLACK) > 4.5, "series {idx}");
        }
    }
}
