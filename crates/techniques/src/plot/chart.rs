//! Curves: a loss over training steps, a probability over layers.

use super::scale::number;

/// One named line of a [`LineChart`]: points `(x, y)` joined in the order given.
///
/// A point with a coordinate that is not finite, or not positive where the axis is logarithmic, is a gap in the line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

impl Series {
    /// A line through `points`.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect() }
    }

    /// A line through `values` at x = 0, 1, 2 and so on.
    pub fn from_values(name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        Self::new(name, values.into_iter().enumerate().map(|(idx, value)| (idx as f64, value)))
    }
}

/// Curves of one or more series over a common pair of axes.
///
/// ```
/// use pellucid_techniques::plot::{LineChart, Series, svg};
///
/// let chart = LineChart::new([Series::from_values("loss", [2.5, 1.2, 0.8, 0.7])])
///     .with_title("Training")
///     .with_axes("step", "loss");
/// assert!(svg(&chart).starts_with("<svg"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) x_axis: String,
    pub(super) y_axis: String,
    pub(super) series: Vec<Series>,
    pub(super) y_range: Option<(f64, f64)>,
    pub(super) log_y: bool,
}

impl LineChart {
    /// A chart of `series`, drawn in the order given.
    pub fn new(series: impl IntoIterator<Item = Series>) -> Self {
        Self {
            title: String::new(),
            subtitle: String::new(),
            x_axis: String::new(),
            y_axis: String::new(),
            series: series.into_iter().collect(),
            y_range: None,
            log_y: false,
        }
    }

    /// The heading.
    #[must_use]
    pub fn with_title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// The line under the heading.
    #[must_use]
    pub fn with_subtitle(self, subtitle: impl Into<String>) -> Self {
        Self { subtitle: subtitle.into(), ..self }
    }

    /// What the axes show: `step`, `loss`.
    #[must_use]
    pub fn with_axes(self, x: impl Into<String>, y: impl Into<String>) -> Self {
        Self { x_axis: x.into(), y_axis: y.into(), ..self }
    }

    /// Fixes the vertical axis, for example to 0..1 for probabilities. An empty or infinite range is ignored.
    #[must_use]
    pub fn with_y_range(self, min: f64, max: f64) -> Self {
        Self { y_range: Some((min, max)), ..self }
    }

    /// Makes the vertical axis logarithmic.
    #[must_use]
    pub fn with_log_y(self, log: bool) -> Self {
        Self { log_y: log, ..self }
    }

    /// Series as runs of drawable points, mapped to the unit square: x to the right, y up.
    pub(super) fn runs(&self, frame: &Frame) -> Vec<Vec<Vec<(f64, f64)>>> {
        self.series
            .iter()
            .map(|series| {
                series
                    .points
                    .split(|&point| !self.drawable(point))
                    .filter(|run| !run.is_empty())
                    .map(|run| run.iter().map(|&(x, y)| (frame.x.place(x), frame.y.place(y))).collect())
                    .collect()
            })
            .collect()
    }

    pub(super) fn drawable(&self, (x, y): (f64, f64)) -> bool {
        x.is_finite() && y.is_finite() && (!self.log_y || y > 0.0)
    }

    /// The axes that hold every drawable point, with at most so many ticks; `None` if there is no such point.
    pub(super) fn frame(&self, x_ticks: usize, y_ticks: usize) -> Option<Frame> {
        let points =
            || self.series.iter().flat_map(|s| s.points.iter().copied()).filter(|&p| self.drawable(p));
        let range = |get: fn((f64, f64)) -> f64| {
            points().map(get).fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
        };
        points().next()?;
        let (y_min, y_max) = self
            .y_range
            .filter(|(lo, hi)| lo.is_finite() && hi.is_finite() && lo < hi && (!self.log_y || *lo > 0.0))
            .unwrap_or_else(|| range(|p| p.1));
        let (x_min, x_max) = range(|p| p.0);
        let y = if self.log_y {
            Axis::log(y_min, y_max, y_ticks)
        } else {
            Axis::linear(y_min, y_max, y_ticks, self.y_range.is_none())
        };
        Some(Frame { x: Axis::linear(x_min, x_max, x_ticks, false), y })
    }
}

/// The two axes of a chart.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) x: Axis,
    pub(super) y: Axis,
}

/// An axis: the range it covers and where its ticks are.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    min: f64,
    max: f64,
    log: bool,
    /// Value and text of each tick, in rising order.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    fn linear(min: f64, max: f64, max_ticks: usize, round_out: bool) -> Self {
        let (min, max) = widen(min, max);
        let step = nice_step((max / max_ticks.max(1) as f64) - (min / max_ticks.max(1) as f64));
        let first = (min / step).ceil();
        let (lo, hi) =
            if round_out { ((min / step).floor() * step, (max / step).ceil() * step) } else { (min, max) };
        let (lo, hi) = if lo.is_finite() && hi.is_finite() { (lo, hi) } else { (min, max) };
        let start = if round_out { lo / step } else { first };
        let ticks = (0..=max_ticks + 2)
            .map(|i| (start + i as f64) * step)
            .filter(|v| v.is_finite() && *v <= hi + step * 1e-6 && *v >= lo - step * 1e-6)
            .map(|v| (v, tick_text(v, step)))
            .collect();
        Self { min: lo, max: hi, log: false, ticks }
    }

    fn log(min: f64, max: f64, max_ticks: usize) -> Self {
        let (mut lo, mut hi) = (min.log10(), max.log10());
        if hi - lo < 0.3 {
            (lo, hi) = (lo - 0.15, hi + 0.15);
        }
        let decades = (hi - lo).ceil().max(1.0) as usize;
        let (every, within): (usize, &[f64]) = match decades {
            1 => (1, &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]),
            2 => (1, &[1.0, 2.0, 5.0]),
            _ => (decades.div_ceil(max_ticks.max(1)), &[1.0]),
        };
        let ticks = (lo.floor() as i32..=hi.ceil() as i32)
            .step_by(every)
            .flat_map(|exponent| within.iter().map(move |m| m * 10f64.powi(exponent)))
            .filter(|v| (lo - 1e-9..=hi + 1e-9).contains(&v.log10()))
            .map(|v| (v, tick_text(v, v)))
            .collect();
        Self { min: lo, max: hi, log: true, ticks }
    }

    /// Where a value lies between the ends, in 0..=1.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        // Halves keep the difference of two huge numbers finite.
        ((value / 2.0 - self.min / 2.0) / (self.max / 2.0 - self.min / 2.0)).clamp(0.0, 1.0)
    }
}

/// A range that is not empty.
fn widen(min: f64, max: f64) -> (f64, f64) {
    if min < max && (max - min) > min.abs().max(max.abs()) * 1e-9 {
        return (min, max);
    }
    let half = if min == 0.0 { 0.5 } else { min.abs() / 2.0 };
    (min - half, max + half)
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `raw`.
fn nice_step(raw: f64) -> f64 {
    let raw = raw.max(f64::MIN_POSITIVE * 1e10);
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|step| *step >= raw * 0.999).unwrap_or(10.0 * power)
}

fn tick_text(value: f64, step: f64) -> String {
    let magnitude = value.abs().max(step);
    if magnitude >= 1e6 || step < 1e-4 {
        let text = format!("{value:.1e}").replace(".0e", "e");
        return if value == 0.0 { "0".to_owned() } else { text };
    }
    let decimals = (-(step * 1.0001).log10().floor()).max(0.0) as usize;
    let decimals =
        if (step * 10f64.powi(decimals as i32)).fract().abs() > 0.01 { decimals + 1 } else { decimals };
    let text = format!("{value:.decimals$}");
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    }
}

/// A point in words, for tooltips.
pub(super) fn point_text(x: f64, y: f64) -> (String, String) {
    let x_text =
        if x.fract() == 0.0 && x.abs() < 1e12 { format!("{x:.0}") } else { number(x, x.abs(), false) };
    (x_text, number(y, y.abs().clamp(1e-3, 9.0) / 10.0, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_inside_the_axis() {
        let axis = Axis::linear(0.0, 97.0, 5, true);
        let texts: Vec<&str> = axis.ticks.iter().map(|t| t.1.as_str()).collect();
        assert_eq!(texts, ["0", "20", "40", "60", "80", "100"]);
        let axis = Axis::linear(0.13, 0.87, 5, false);
        let texts: Vec<&str> = axis.ticks.iter().map(|t| t.1.as_str()).collect();
        assert_eq!(texts, ["0.2", "0.4", "0.6", "0.8"]);
    }

    #[test]
    fn a_logarithmic_axis_puts_equal_factors_at_equal_distances() {
        let axis = Axis::log(0.01, 100.0, 6);
        assert!((axis.place(1.0) - 0.5).abs() < 1e-12);
        assert_eq!(axis.ticks.first().map(|t| t.1.as_str()), Some("0.01"));
    }

    #[test]
    fn extreme_ranges_keep_their_points_inside_the_frame() {
        for (a, b) in
            [(f64::MIN, f64::MAX), (0.0, 0.0), (5.0, 5.0), (f64::MIN_POSITIVE, 1e-300), (1e300, 1.1e300)]
        {
            let axis = Axis::linear(a, b, 5, true);
            assert!((0.0..=1.0).contains(&axis.place(a)), "{a} {b}");
            assert!((0.0..=1.0).contains(&axis.place(b)), "{a} {b}");
            assert!(axis.ticks.len() <= 9);
        }
    }

    #[test]
    fn points_that_cannot_be_drawn_are_gaps() {
        let chart = LineChart::new([Series::from_values("a", [1.0, 2.0, f64::NAN, 3.0, 4.0])]);
        let frame = chart.frame(5, 5).expect("four points can be drawn");
        let runs = chart.runs(&frame);
        assert_eq!(runs[0].iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert!(LineChart::new([Series::from_values("a", [f64::INFINITY])]).frame(5, 5).is_none());
    }
}
