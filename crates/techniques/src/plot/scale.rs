//! From a cell's value to its place in a colour map.

use super::colour::{Palette, Rgb};

/// How values become colours: which colour map, and which values its ends stand for.
///
/// A fixed range that makes no sense (NaN, infinite or empty) is replaced by the range of the data, so a scale never
/// stops a plot from being drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    kind: ScaleKind,
    range: Option<(f32, f32)>,
    palette: Palette,
}

/// Whether values are amounts or go in two directions from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleKind {
    /// Amounts, from a smallest to a largest.
    Sequential,
    /// Effects, with zero in the middle and both sides drawn to the same length.
    Diverging,
}

impl Scale {
    /// Probabilities and attention weights: fixed from 0 to 1.
    pub fn probability() -> Self {
        Self::between(0.0, 1.0)
    }

    /// Amounts, from the smallest value of the data to the largest.
    pub fn sequential() -> Self {
        Self { kind: ScaleKind::Sequential, range: None, palette: Palette::Lagoon }
    }

    /// Amounts, from `min` to `max`; values outside get the colour of the nearer end.
    pub fn between(min: f32, max: f32) -> Self {
        Self { range: Some((min.min(max), max.max(min))), ..Self::sequential() }
    }

    /// Effects around zero, to the largest magnitude of the data on both sides.
    pub fn diverging() -> Self {
        Self { kind: ScaleKind::Diverging, range: None, palette: Palette::Balance }
    }

    /// Effects around zero, from `-limit` to `limit`.
    pub fn diverging_to(limit: f32) -> Self {
        Self { range: Some((-limit.abs(), limit.abs())), ..Self::diverging() }
    }

    /// The same scale in other colours.
    #[must_use]
    pub fn with_palette(self, palette: Palette) -> Self {
        Self { palette, ..self }
    }

    /// Whether this scale shows amounts or effects.
    pub fn kind(&self) -> ScaleKind {
        self.kind
    }

    /// Settles the ends of the scale on the values it will show.
    pub(super) fn resolve(&self, values: impl Iterator<Item = f32>) -> Limits {
        let fixed = self.range.filter(|(min, max)| min.is_finite() && max.is_finite() && min < max);
        let (min, max) = match fixed {
            Some((min, max)) => (f64::from(min), f64::from(max)),
            None => self.range_of(values),
        };
        Limits { kind: self.kind, min, max, palette: self.palette }
    }

    fn range_of(&self, values: impl Iterator<Item = f32>) -> (f64, f64) {
        let finite = values.filter(|v| v.is_finite()).map(f64::from);
        let (min, max) = finite.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
        match self.kind {
            _ if min > max => match self.kind {
                ScaleKind::Sequential => (0.0, 1.0),
                ScaleKind::Diverging => (-1.0, 1.0),
            },
            ScaleKind::Diverging => {
                let limit = min.abs().max(max.abs());
                let limit = if limit > 0.0 { limit } else { 1.0 };
                (-limit, limit)
            }
            ScaleKind::Sequential if min < max => (min, max),
            ScaleKind::Sequential => {
                let half = if min == 0.0 { 0.5 } else { min.abs() / 2.0 };
                (min - half, max + half)
            }
        }
    }
}

/// A scale whose ends are known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    pub(super) kind: ScaleKind,
    pub(super) min: f64,
    pub(super) max: f64,
    palette: Palette,
}

impl Limits {
    /// Where a value lies between the ends, in 0..=1; `None` for NaN.
    pub(super) fn position(&self, value: f32) -> Option<f64> {
        (!value.is_nan()).then(|| ((f64::from(value) - self.min) / (self.max - self.min)).clamp(0.0, 1.0))
    }

    /// How strong a value is, in 0..=1: its position, or its distance from the middle of a diverging scale.
    pub(super) fn strength(&self, value: f32) -> Option<f64> {
        self.position(value).map(|p| match self.kind {
            ScaleKind::Sequential => p,
            ScaleKind::Diverging => (2.0 * p - 1.0).abs(),
        })
    }

    /// The colour of a value; `None` for NaN.
    pub(super) fn colour(&self, value: f32) -> Option<Rgb> {
        self.position(value).map(|p| self.palette.at(p))
    }

    /// The colour at a position in 0..=1.
    pub(super) fn colour_at(&self, position: f64) -> Rgb {
        self.palette.at(position)
    }

    /// A value in as few digits as tell the steps of this scale apart.
    pub(super) fn text(&self, value: f32) -> String {
        number(f64::from(value), self.max - self.min, self.kind == ScaleKind::Diverging)
    }

    /// The text of the lower end, the middle and the upper end.
    pub(super) fn tick_texts(&self) -> [String; 3] {
        let signed = self.kind == ScaleKind::Diverging;
        [self.min, (self.min + self.max) / 2.0, self.max].map(|v| number(v, self.max - self.min, signed))
    }
}

/// A number with the digits that matter on a range of width `span`; positive numbers get a `+` where `signed`.
pub(super) fn number(value: f64, span: f64, signed: bool) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 {
            "-inf"
        } else if signed {
            "+inf"
        } else {
            "inf"
        }
        .to_owned();
    }
    let decimals = (2.0 - span.abs().max(f64::MIN_POSITIVE).log10().floor()).max(0.0);
    let text = if decimals > 5.0 || value.abs() >= 1e6 {
        format!("{value:.1e}")
    } else {
        format!("{value:.*}", decimals.min(if span >= 1.0 { 2.0 } else { 5.0 }) as usize)
    };
    let is_zero = !text.split('e').next().unwrap_or("").contains(|c: char| ('1'..='9').contains(&c));
    match (is_zero, signed && value > 0.0) {
        (true, _) => text.trim_start_matches('-').to_owned(),
        (false, true) => format!("+{text}"),
        (false, false) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_the_middle_of_a_diverging_scale_however_lopsided_the_data() {
        let limits = Scale::diverging().resolve([-0.1, 3.0].into_iter());
        assert_eq!(limits.position(0.0), Some(0.5));
        assert_eq!(limits.position(3.0), Some(1.0));
        assert!(limits.position(-0.1).is_some_and(|p| p > 0.45));
    }

    #[test]
    fn infinities_go_to_the_ends_and_nan_has_no_place() {
        let limits = Scale::sequential().resolve([1.0, 2.0, f32::INFINITY, f32::NAN].into_iter());
        assert_eq!((limits.min, limits.max), (1.0, 2.0));
        assert_eq!(limits.position(f32::INFINITY), Some(1.0));
        assert_eq!(limits.position(f32::NEG_INFINITY), Some(0.0));
        assert_eq!(limits.position(f32::NAN), None);
    }

    #[test]
    fn senseless_ranges_fall_back_to_the_data() {
        for scale in
            [Scale::between(f32::NAN, 1.0), Scale::between(2.0, 2.0), Scale::between(0.0, f32::INFINITY)]
        {
            let limits = scale.resolve([4.0, 8.0].into_iter());
            assert_eq!((limits.min, limits.max), (4.0, 8.0), "{scale:?}");
        }
        for scale in [Scale::sequential(), Scale::diverging()] {
            for data in [vec![], vec![0.0], vec![f32::NAN], vec![f32::MAX, f32::MIN]] {
                let limits = scale.resolve(data.iter().copied());
                assert!(limits.min < limits.max, "{scale:?} {data:?}");
            }
        }
    }

    #[test]
    fn numbers_show_the_digits_their_range_needs() {
        assert_eq!(number(0.834, 1.0, false), "0.83");
        assert_eq!(number(0.834, 2.0, true), "+0.83");
        assert_eq!(number(-0.001, 1.0, true), "0.00");
        assert_eq!(number(12.34, 40.0, false), "12.3");
        assert_eq!(number(1234.0, 4000.0, false), "1234");
        assert_eq!(number(0.001_234, 0.01, false), "0.0012");
        assert_eq!(number(1.5e-9, 3e-9, false), "1.5e-9");
        assert_eq!(number(f64::NAN, 1.0, true), "nan");
    }
}
