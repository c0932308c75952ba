//! Panels on paper: one drawing of cells per grid, labels at the outer edges.

use super::grid::Plan;
use super::{Anchor, MARGIN, Picture, fit};
use crate::plot::grid::{Grid, Panels};
use crate::plot::text::Charset;

const TITLE_SIZE: f64 = 12.0;
const AXIS_SIZE: f64 = 11.0;
const GAP: f64 = 18.0;
/// The side of a panel that cells are sized for.
const PANEL_SIDE: f64 = 170.0;

pub(in crate::plot) fn draw(panels: &Panels) -> Picture {
    let limits = panels.limits();
    let longest = panels.grids.iter().map(|g| g.n_rows().max(g.n_columns())).max().unwrap_or(0);
    let side = (PANEL_SIDE / longest.max(1) as f64).clamp(1.0, 20.0);
    let plans: Vec<Plan<'_>> = panels.grids.iter().map(|grid| Plan::panel(grid, &limits, side)).collect();
    let width = plans.iter().map(Plan::width).fold(40.0, f64::max);
    let height = plans.iter().map(Plan::height).fold(0.0, f64::max);

    // Labels of cells too small to read are left out; the tooltips have them.
    let readable = side >= 9.0;
    let shared = panels.labels_agree();
    let label_room = if readable {
        plans.iter().map(|p| p.row_label_width().max(p.lean_left())).fold(0.0, f64::max)
    } else {
        0.0
    };
    let axis = panels.grids.first().filter(|_| shared);
    let axis_room = if axis.is_some_and(|grid| !grid.row_axis.is_empty()) { 18.0 } else { 0.0 };
    let pitch = width + GAP + if shared { 0.0 } else { label_room };
    let across = across(plans.len(), pitch, height + GAP + 20.0);
    let content = axis_room + label_room + pitch * across as f64 - GAP;

    let mut picture = Picture::new(&panels.title, &panels.subtitle, describe(panels, &limits), content);
    if panels.grids.iter().all(Grid::is_empty) {
        let y = picture.height() + 12.0;
        picture.text(MARGIN, y, TITLE_SIZE, "faint", Anchor::Start, "no cells");
        picture.extend_to(y + 4.0);
        return picture;
    }
    let left = MARGIN + axis_room + label_room;
    let first_top = picture.height();
    let mut top = first_top;
    let n_shelves = plans.len().div_ceil(across);
    for (shelf, row) in plans.chunks(across).enumerate() {
        let mut bottom = top + 20.0 + height;
        for (idx, plan) in row.iter().enumerate() {
            let x = left + idx as f64 * pitch;
            let title =
                fit(&Charset::UNICODE.visible(&panels.grids[shelf * across + idx].title), TITLE_SIZE, width);
            picture.text(x, top + 11.0, TITLE_SIZE, "ink", Anchor::Start, &title);
            plan.draw_cells(&mut picture, x, top + 20.0);
            if readable && (!shared || idx == 0) {
                plan.draw_row_labels(&mut picture, x, top + 20.0);
            }
            let is_lowest = shelf + 1 == n_shelves || (shelf + 1) * across + idx >= plans.len();
            if readable && (!shared || is_lowest) {
                let end = plan.draw_column_labels(&mut picture, x, top + 20.0);
                if shelf + 1 == n_shelves || !shared {
                    bottom = bottom.max(end);
                } else {
                    picture.extend_to(end);
                }
            }
        }
        picture.extend_to(bottom);
        top = bottom + GAP;
    }
    if let Some(grid) = axis {
        let bottom = picture.height();
        let middle = left + (pitch * across.min(plans.len()) as f64 - GAP) / 2.0;
        let name = |text: &str| Charset::UNICODE.visible(text);
        if !grid.row_axis.is_empty() {
            let x = left - label_room - 8.0;
            picture.turned_text(
                (x, (first_top + top - GAP) / 2.0),
                -90.0,
                AXIS_SIZE,
                "faint",
                Anchor::Middle,
                &name(&grid.row_axis),
            );
        }
        if !grid.column_axis.is_empty() {
            picture.text(middle, bottom + 14.0, AXIS_SIZE, "faint", Anchor::Middle, &name(&grid.column_axis));
            picture.extend_to(bottom + 16.0);
        }
    }
    picture.legend(left, &limits, &panels.legend, panels.has_missing());
    picture
}

/// How many panels stand side by side: as near to a 3:2 picture as can be, not wider than a page.
fn across(n: usize, width: f64, height: f64) -> usize {
    let most = ((1000.0 / width) as usize).clamp(1, n.max(1));
    (1..=most)
        .min_by(|&a, &b| {
            let badness = |across: usize| {
                let shelves = n.div_ceil(across);
                let ratio = (across as f64 * width) / (shelves as f64 * height);
                let empty = (shelves * across - n) as f64 / n.max(1) as f64;
                (ratio / 1.5).ln().abs() + empty
            };
            badness(a).total_cmp(&badness(b))
        })
        .unwrap_or(1)
}

fn describe(panels: &Panels, limits: &crate::plot::scale::Limits) -> String {
    let names: Vec<&str> = panels.grids.iter().map(Grid::title).filter(|t| !t.is_empty()).collect();
    format!(
        "{} heatmaps side by side: {}. {}",
        panels.grids.len(),
        names.join(", "),
        super::describe_scale(limits, &panels.legend)
    )
}
