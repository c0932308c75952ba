//! Curves on paper.

use super::{Anchor, MARGIN, Picture, RULE, escape, fit, px, text_width};
use crate::plot::chart::{Frame, LineChart, point_text};
use crate::plot::colour::series_colour;
use crate::plot::text::Charset;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const SIZE: f64 = 11.0;
/// Points of one series up to which each is drawn as a dot, and up to which each has a tooltip.
const DOTS: usize = 40;
const TOOLTIPS: usize = 400;
/// Dash patterns, so that series differ without colour too.
const DASHES: [&str; 4] = ["", "7 4", "2 3", "9 3 2 3"];

pub(in crate::plot) fn draw(chart: &LineChart) -> Picture {
    let Some(frame) = chart.frame(8, 6) else {
        let mut picture =
            Picture::new(&chart.title, &chart.subtitle, "Line chart without points.".to_owned(), 200.0);
        let y = picture.height() + 12.0;
        picture.text(MARGIN, y, SIZE, "faint", Anchor::Start, "no points");
        picture.extend_to(y + 4.0);
        return picture;
    };
    let gutter = frame.y.ticks.iter().map(|t| text_width(&t.1, SIZE)).fold(0.0, f64::max) + 10.0;
    let left = MARGIN + gutter + if chart.y_axis.is_empty() { 0.0 } else { 18.0 };
    let mut picture =
        Picture::new(&chart.title, &chart.subtitle, describe(chart), left - MARGIN + WIDTH + 8.0);
    legend(chart, &mut picture, left);
    let top = picture.height() + 4.0;
    let place = |(x, y): (f64, f64)| (left + x * WIDTH, top + (1.0 - y) * HEIGHT);
    axes(chart, &frame, &mut picture, left, top);
    for (idx, runs) in chart.runs(&frame).into_iter().enumerate() {
        let colour = series_colour(idx).hex();
        let dash = DASHES[idx % DASHES.len()];
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        for run in &runs {
            let points: Vec<(f64, f64)> = run.iter().map(|&point| place(point)).collect();
            let path: Vec<String> =
                thin_out(&points).iter().map(|&(x, y)| format!("{},{}", px(x), px(y))).collect();
            picture.raw(&format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\" stroke-linecap=\"round\"{dash}/>\n",
                path.join(" ")
            ));
        }
        dots(chart, idx, &runs, &colour, &place, &mut picture);
    }
    picture
}

fn describe(chart: &LineChart) -> String {
    let names: Vec<&str> = chart.series.iter().map(|s| s.name.as_str()).filter(|n| !n.is_empty()).collect();
    let axes = [("vertical", &chart.y_axis), ("horizontal", &chart.x_axis)];
    let axes: Vec<String> = axes
        .iter()
        .filter(|a| !a.1.is_empty())
        .map(|(side, name)| format!(" The {side} axis shows {name}."))
        .collect();
    format!("Line chart of {} series: {}.{}", chart.series.len(), names.join(", "), axes.concat())
}

/// One swatch and name per series, in as many lines as needed.
fn legend(chart: &LineChart, picture: &mut Picture, left: f64) {
    if chart.series.len() < 2 {
        return;
    }
    let mut x = left;
    let mut y = picture.height() + 10.0;
    for (idx, series) in chart.series.iter().enumerate() {
        let name = fit(&Charset::UNICODE.visible(&series.name), SIZE, 240.0);
        let wide = 30.0 + text_width(&name, SIZE);
        if x > left && x + wide > left + WIDTH {
            (x, y) = (left, y + 18.0);
        }
        let dash = DASHES[idx % DASHES.len()];
        picture.raw(&format!(
            "<path d=\"M{} {}h22\" stroke=\"{}\" stroke-width=\"2.5\"{}/>\n",
            px(x),
            px(y - 4.0),
            series_colour(idx).hex(),
            if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") }
        ));
        picture.text(x + 29.0, y, SIZE, "ink", Anchor::Start, &name);
        x += wide + 18.0;
    }
    picture.extend_to(y + 12.0);
}

fn axes(chart: &LineChart, frame: &Frame, picture: &mut Picture, left: f64, top: f64) {
    let bottom = top + HEIGHT;
    for (value, text) in &frame.y.ticks {
        let y = top + (1.0 - frame.y.place(*value)) * HEIGHT;
        picture.raw(&format!(
            "<path class=\"rule\" d=\"M{} {}h{}\" stroke=\"{RULE}\" stroke-width=\"1\"/>\n",
            px(left),
            px(y),
            px(WIDTH)
        ));
        picture.text(left - 8.0, y + SIZE * 0.36, SIZE, "faint", Anchor::End, text);
    }
    picture.raw(&format!(
        "<path class=\"axis\" d=\"M{} {}h{}\" stroke=\"#9aa3ad\" stroke-width=\"1\"/>\n",
        px(left),
        px(bottom),
        px(WIDTH)
    ));
    let mut free_from = f64::NEG_INFINITY;
    for (value, text) in &frame.x.ticks {
        let x = left + frame.x.place(*value) * WIDTH;
        let half = text_width(text, SIZE) / 2.0;
        if x - half < free_from {
            continue;
        }
        free_from = x + half + 8.0;
        picture.raw(&format!(
            "<path class=\"axis\" d=\"M{} {}v4\" stroke=\"#9aa3ad\" stroke-width=\"1\"/>\n",
            px(x),
            px(bottom)
        ));
        picture.text(x, bottom + 18.0, SIZE, "faint", Anchor::Middle, text);
    }
    let name = |text: &str, room: f64| fit(&Charset::UNICODE.visible(text), 12.0, room);
    picture.extend_to(bottom + 20.0);
    if !chart.x_axis.is_empty() {
        picture.text(
            left + WIDTH / 2.0,
            bottom + 38.0,
            12.0,
            "ink",
            Anchor::Middle,
            &name(&chart.x_axis, WIDTH),
        );
        picture.extend_to(bottom + 40.0);
    }
    if !chart.y_axis.is_empty() {
        let at = (MARGIN + 10.0, top + HEIGHT / 2.0);
        picture.turned_text(at, -90.0, 12.0, "ink", Anchor::Middle, &name(&chart.y_axis, HEIGHT));
    }
}

/// Visible dots for a few points, invisible ones with tooltips for more.
fn dots(
    chart: &LineChart,
    idx: usize,
    runs: &[Vec<(f64, f64)>],
    colour: &str,
    place: &dyn Fn((f64, f64)) -> (f64, f64),
    picture: &mut Picture,
) {
    let series = &chart.series[idx];
    let drawn = || series.points.iter().copied().filter(|&point| chart.drawable(point));
    let n = drawn().count();
    // A point with gaps on both sides makes no line, so it is always a dot.
    let lonely = runs.iter().any(|run| run.len() == 1);
    if n > TOOLTIPS && !lonely {
        return;
    }
    let alone = runs.iter().flat_map(|run| run.iter().map(move |&point| (point, run.len() == 1)));
    for ((x, y), (at, alone)) in drawn().zip(alone) {
        if n > TOOLTIPS && !alone {
            continue;
        }
        let (cx, cy) = place(at);
        let look = if n <= DOTS || alone {
            format!("r=\"3\" fill=\"{colour}\"")
        } else {
            format!("r=\"5\" fill=\"{colour}\" fill-opacity=\"0\"")
        };
        let (x, y) = point_text(x, y);
        let named =
            |name: &str, text: &str| if name.is_empty() { text.to_owned() } else { format!("{name} {text}") };
        let mut title = format!("{}\n{}", named(&chart.y_axis, &y), named(&chart.x_axis, &x));
        if !series.name.is_empty() {
            title = format!("{}\n{title}", series.name);
        }
        picture.raw(&format!(
            "<circle class=\"point\" cx=\"{}\" cy=\"{}\" {look}><title>{}</title></circle>\n",
            px(cx),
            px(cy),
            escape(&title)
        ));
    }
}

/// A long line without the points nobody can see: of neighbours in one column of pixels, the first, the last and the
/// extremes remain.
fn thin_out(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 4 * WIDTH as usize {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| a.0.floor() == b.0.floor()) {
        let extreme = |pick: fn(&(f64, f64), &(f64, f64)) -> bool| {
            (0..group.len())
                .reduce(|best, i| if pick(&group[i], &group[best]) { i } else { best })
                .unwrap_or(0)
        };
        let mut indices = [0, extreme(|a, b| a.1 < b.1), extreme(|a, b| a.1 > b.1), group.len() - 1].to_vec();
        indices.sort_unstable();
        indices.dedup();
        kept.extend(indices.into_iter().map(|i| group[i]));
    }
    kept
}
