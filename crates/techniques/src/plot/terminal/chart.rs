//! Curves in braille dots where they can be told apart, in one mark per series otherwise.

use super::Screen;
use crate::plot::chart::{Frame, LineChart};
use crate::plot::colour::series_colour_on_any_ground;
use crate::plot::text::columns;

/// Lines of text between the top and the bottom of a chart; five steps between ticks divide them evenly.
const HEIGHT: usize = 16;

pub(in crate::plot) fn draw(chart: &LineChart, screen: &mut Screen) {
    screen.heading(&chart.title, &chart.subtitle);
    let Some(frame) = chart.frame((screen.width / 14).clamp(2, 6), 5) else {
        screen.line("(no points)");
        return;
    };
    // Braille dots of different series look alike, so without colour only a single series uses them.
    let braille = screen.charset.unicode && (screen.has_colour() || chart.series.len() <= 1);
    legend(chart, braille, screen);
    if !chart.y_axis.is_empty() {
        let name = screen.charset.truncate(&screen.charset.visible(&chart.y_axis), screen.width);
        let line = screen.dim(&name);
        screen.line(&line);
    }
    let gutter = frame.y.ticks.iter().map(|t| columns(&t.1)).max().unwrap_or(0).min(screen.width / 3);
    let width = screen.width.saturating_sub(gutter + 2);
    let canvas = if braille {
        braille_canvas(chart, &frame, width)
    } else {
        mark_canvas(chart, &frame, width, screen)
    };

    let row_of = |value: f64| ((1.0 - frame.y.place(value)) * (HEIGHT - 1) as f64).round() as usize;
    let ticks: Vec<(usize, &str)> =
        frame.y.ticks.iter().map(|(value, text)| (row_of(*value), text.as_str())).collect();
    for (row, cells) in canvas.chunks(width.max(1)).enumerate() {
        let tick = ticks.iter().find(|t| t.0 == row).map(|t| t.1);
        let edge = match tick {
            Some(_) => screen.pick("┤", "+"),
            None => screen.pick("│", "|"),
        };
        let mut line = screen.dim(&(screen.charset.right(tick.unwrap_or(""), gutter) + " " + edge));
        for &(mark, series) in cells {
            match series {
                Some(series) => line += &screen.ink(series_colour_on_any_ground(series), &mark.to_string()),
                None => line.push(' '),
            }
        }
        screen.line(&line);
    }
    x_axis(chart, &frame, gutter, width, screen);
}

fn mark_of(series: usize, screen: &Screen) -> &'static str {
    let unicode = ["•", "×", "+", "o", "▪", "◇", "#", "*"];
    let ascii = ["*", "x", "+", "o", "#", "@", "%", "&"];
    if screen.charset.unicode { unicode[series % 8] } else { ascii[series % 8] }
}

fn legend(chart: &LineChart, braille: bool, screen: &mut Screen) {
    if chart.series.len() < 2 {
        return;
    }
    let mut line = String::new();
    let mut used = 0;
    for (idx, series) in chart.series.iter().enumerate() {
        let swatch = if braille { "━━" } else { mark_of(idx, screen) };
        let room = screen.width.saturating_sub(columns(swatch) + 1);
        let name = screen.charset.truncate(&screen.charset.visible(&series.name), room.min(32));
        let wide = columns(swatch) + 1 + columns(&name);
        if used > 0 && used + 3 + wide > screen.width {
            screen.line(&line);
            (line, used) = (String::new(), 0);
        }
        if used > 0 {
            line += "   ";
            used += 3;
        }
        line += &format!("{} {name}", screen.ink(series_colour_on_any_ground(idx), swatch));
        used += wide;
    }
    screen.line(&line);
    screen.line("");
}

/// The baseline, the ticks below it and the name of the axis.
fn x_axis(chart: &LineChart, frame: &Frame, gutter: usize, width: usize, screen: &mut Screen) {
    let mut base = vec![screen.pick("─", "-"); width];
    let mut labels = String::new();
    for (value, text) in &frame.x.ticks {
        let at = (frame.x.place(*value) * width.saturating_sub(1) as f64).round() as usize;
        let wide = columns(text);
        let start = at.saturating_sub(wide / 2).min(width.saturating_sub(wide));
        if wide > width || (!labels.is_empty() && start < columns(&labels) + 1) {
            continue;
        }
        base[at.min(width.saturating_sub(1))] = screen.pick("┬", "+");
        labels += &" ".repeat(start - columns(&labels));
        labels += text;
    }
    let line = screen.dim(&(" ".repeat(gutter + 1) + screen.pick("└", "+") + &base.concat()));
    screen.line(&line);
    let line = screen.dim(&(" ".repeat(gutter + 2) + &labels));
    screen.line(&line);
    if !chart.x_axis.is_empty() {
        let name = screen.charset.right(&screen.charset.visible(&chart.x_axis), width);
        let line = screen.dim(&(" ".repeat(gutter + 2) + &name));
        screen.line(&line);
    }
}

type Canvas = Vec<(char, Option<usize>)>;

fn braille_canvas(chart: &LineChart, frame: &Frame, width: usize) -> Canvas {
    // The bit of each dot in the Unicode braille block, by row and column within a cell.
    const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
    let mut bits = vec![(0u32, None); width * HEIGHT];
    trace(chart, frame, width * 2, HEIGHT * 4, |series, x, y| {
        let cell = &mut bits[y / 4 * width + x / 2];
        *cell = (cell.0 | DOTS[y % 4][x % 2], Some(series));
    });
    bits.into_iter().map(|(bits, series)| (char::from_u32(0x2800 + bits).unwrap_or(' '), series)).collect()
}

fn mark_canvas(chart: &LineChart, frame: &Frame, width: usize, screen: &Screen) -> Canvas {
    let mut canvas = vec![(' ', None); width * HEIGHT];
    trace(chart, frame, width, HEIGHT, |series, x, y| {
        let mark = mark_of(series, screen).chars().next().unwrap_or('*');
        canvas[y * width + x] = (mark, Some(series));
    });
    canvas
}

/// Calls `dot(series, x, y)` for every dot of every line, on a raster of `width` by `height`, y down.
fn trace(
    chart: &LineChart,
    frame: &Frame,
    width: usize,
    height: usize,
    mut dot: impl FnMut(usize, usize, usize),
) {
    if width == 0 || height == 0 {
        return;
    }
    let place = |(x, y): (f64, f64)| {
        ((x * (width - 1) as f64).round() as i64, ((1.0 - y) * (height - 1) as f64).round() as i64)
    };
    for (series, runs) in chart.runs(frame).into_iter().enumerate() {
        for run in runs {
            let mut from = place(run[0]);
            for &point in &run {
                let to = place(point);
                let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs());
                for step in 0..=steps {
                    let along = |a: i64, b: i64| {
                        if steps == 0 {
                            a
                        } else {
                            a + ((b - a) * step * 2 + steps * (b - a).signum()) / (steps * 2)
                        }
                    };
                    dot(series, along(from.0, to.0) as usize, along(from.1, to.1) as usize);
                }
                from = to;
            }
        }
    }
}
