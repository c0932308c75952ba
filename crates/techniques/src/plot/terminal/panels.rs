//! Several small grids side by side, without numbers, so that their patterns compare at a glance.

use super::{Screen, grid};
use crate::plot::grid::{Grid, Panels};
use crate::plot::scale::{Limits, ScaleKind};
use crate::plot::text::columns;

/// Columns between two panels.
const GAP: usize = 2;
/// The widest the row labels grow.
const WIDEST_LABEL: usize = 10;

pub(in crate::plot) fn draw(panels: &Panels, screen: &mut Screen) {
    let limits = panels.limits();
    screen.heading(&panels.title, &panels.subtitle);
    let widest = panels.grids.iter().map(Grid::n_columns).max().unwrap_or(0);
    let labels = panels
        .grids
        .iter()
        .flat_map(|g| &g.row_labels)
        .map(|l| columns(&screen.charset.visible_token(l)))
        .max()
        .unwrap_or(0);
    let label_width = if panels.labels_agree() { labels.min(WIDEST_LABEL) } else { 0 };
    let room = screen.width.saturating_sub(label_width + 1);
    let cell = if limits.kind == ScaleKind::Sequential && widest * 2 > room { 1 } else { 2 };

    if panels.grids.iter().all(Grid::is_empty) {
        screen.line("(no cells)");
    } else if widest * cell > room {
        draw_stacked(panels, &limits, screen);
    } else {
        draw_side_by_side(panels, &limits, label_width, cell, screen);
    }
    screen.legend(&limits, &panels.legend, panels.has_missing());
}

/// Panels too wide for the screen: one below the other, each in blocks of columns.
fn draw_stacked(panels: &Panels, limits: &Limits, screen: &mut Screen) {
    for panel in &panels.grids {
        screen.heading(&panel.title, &panel.subtitle);
        grid::body(&panel.clone().with_values_shown(false), limits, screen);
        screen.line("");
    }
}

fn draw_side_by_side(panels: &Panels, limits: &Limits, label_width: usize, cell: usize, screen: &mut Screen) {
    let charset = screen.charset;
    if let Some(first) = panels.grids.first().filter(|_| panels.labels_agree()) {
        let names: Vec<String> =
            first.column_labels.iter().map(|label| first.shown(label, charset)).collect();
        screen.axes(&first.row_axis, &format!("{} {}", first.column_axis, names.join(" ")));
        screen.line("");
    }
    let widest = panels.grids.iter().map(Grid::n_columns).max().unwrap_or(0) * cell;
    let titles = panels.grids.iter().map(|g| columns(&charset.visible(&g.title))).max().unwrap_or(0);
    let room = screen.width.saturating_sub(label_width + 1);
    let panel_width = widest.max(titles.min(12)).min(room);
    let across = ((room + GAP) / (panel_width + GAP)).max(1);

    for (idx, shelf) in panels.grids.chunks(across).enumerate() {
        if idx > 0 {
            screen.line("");
        }
        let mut line = " ".repeat(label_width + 1);
        for panel in shelf {
            line += &charset.left(&charset.visible(&panel.title), panel_width);
            line += &" ".repeat(GAP);
        }
        screen.line(line.trim_end());
        let orders: Vec<Vec<usize>> = shelf.iter().map(Grid::rows_from_top).collect();
        for level in 0..orders.iter().map(Vec::len).max().unwrap_or(0) {
            let label = shelf
                .iter()
                .zip(&orders)
                .find_map(|(panel, order)| order.get(level).map(|&row| &panel.row_labels[row]));
            let label = label.map(|l| charset.visible_token(l)).unwrap_or_default();
            let mut line = charset.right(&label, label_width) + " ";
            for (position, (panel, order)) in shelf.iter().zip(&orders).enumerate() {
                if position > 0 {
                    line += &" ".repeat(GAP);
                }
                let n_columns = if order.get(level).is_some() { panel.n_columns() } else { 0 };
                for column in 0..n_columns {
                    line += &paint(panel.value(order[level], column), limits, cell, screen);
                }
                line += &" ".repeat(panel_width.saturating_sub(n_columns * cell));
            }
            screen.line(&line);
        }
    }
}

/// One cell of a panel, `cell` columns wide.
fn paint(value: f32, limits: &Limits, cell: usize, screen: &Screen) -> String {
    let mark = screen.shade(limits.strength(value));
    match (limits.colour(value), limits.kind) {
        (None, _) => screen.charset.left(screen.pick("·", "."), cell),
        (ground, _) if screen.has_colour() => screen.fill(ground, &" ".repeat(cell)),
        (_, ScaleKind::Diverging) => format!("{}{mark}", if value < 0.0 { '-' } else { '+' }),
        (_, ScaleKind::Sequential) if screen.charset.unicode => mark.to_string().repeat(cell),
        // A digit twice would read as a larger number.
        (_, ScaleKind::Sequential) => screen.charset.left(&mark.to_string(), cell),
    }
}
