//! Pictures as people see them: golden files, and laws that hold for any data.

#[path = "plot/samples.rs"]
mod samples;

use std::path::PathBuf;

use pellucid_techniques::plot::{
    ColourSupport, Figure, Grid, LineChart, MAX_CELLS, MIN_WIDTH, Palette, Panels, PlotError, RowOrder,
    Scale, Series, TerminalStyle, html, png, svg, terminal,
};
use proptest::collection::vec;
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

/// Compares with the file of that name; `PELLUCID_BLESS=1` writes the file instead.
fn check(name: &str, got: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plot").join(name);
    if std::env::var_os("PELLUCID_BLESS").is_some() {
        std::fs::write(&path, got).expect("the golden file can be written");
        return;
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(want == got, "{name} has changed; look at it, then bless it with PELLUCID_BLESS=1\n{got}");
}

fn plain(figure: &dyn Figure, width: usize) -> String {
    terminal(figure, &TerminalStyle::plain(width))
}

fn ascii(figure: &dyn Figure, width: usize) -> String {
    terminal(figure, &TerminalStyle { width, colour: ColourSupport::None, unicode: false })
}

fn coloured(figure: &dyn Figure, width: usize, colour: ColourSupport) -> String {
    // Written so that escape sequences can be read in the file.
    terminal(figure, &TerminalStyle { width, colour, unicode: true }).replace('\x1b', "ESC")
}

fn small_grid() -> Grid {
    Grid::new(
        ["0", "1"],
        ["The", " cat & <dog>", "日本"],
        vec![0.05, 0.5, 0.98, f32::NAN, f32::INFINITY, 0.31],
    )
    .and_then(|grid| {
        grid.with_labels([" a", "b\n", "<script>", "\u{1b}[2J", "e\u{301}", " Paris and more than fits"])
    })
    .and_then(|grid| grid.with_tooltips(["top: a 5 %\nthen: b 3 %", "", "", "", "", ""]))
    .expect("two rows of three")
    .with_title("Small \"grid\"")
    .with_axes("layer", "token")
    .with_scale(Scale::probability())
    .with_legend("probability")
}

#[test]
fn terminal_pictures_are_the_golden_ones() {
    check("lens_80.txt", &plain(&samples::logit_lens(), 80));
    check("lens_40.txt", &plain(&samples::logit_lens(), 40));
    check("lens_60_ascii.txt", &ascii(&samples::logit_lens(), 60));
    check("patching_80.txt", &plain(&samples::patching(), 80));
    check("patching_40_ascii.txt", &ascii(&samples::patching(), 40));
    check("attention_80.txt", &plain(&samples::attention_panels(), 80));
    check("attention_40_ascii.txt", &ascii(&samples::attention_panels(), 40));
    check("training_80.txt", &plain(&samples::training_curve(), 80));
    check("training_40_ascii.txt", &ascii(&samples::training_curve(), 40));
    check("layers_60.txt", &plain(&samples::layer_curve(), 60));
    check("small_truecolour.txt", &coloured(&small_grid(), 60, ColourSupport::TrueColour));
    check("small_ansi256.txt", &coloured(&small_grid(), 60, ColourSupport::Ansi256));
}

#[test]
fn svg_pictures_are_the_golden_ones() {
    let chart = LineChart::new([
        Series::from_values("a", [1.0, 3.0, f64::NAN, 2.0]),
        Series::new("b", [(0.0, 2.0), (3.0, 2.5)]),
    ])
    .with_title("Curves")
    .with_axes("step", "loss");
    let head = |name: &str| {
        Grid::new(["x", "y"], ["x", "y"], vec![1.0, f32::NAN, 0.25, 0.75])
            .expect("two by two")
            .with_title(name)
            .with_axes("query", "key")
    };
    check("small.svg", &svg(&small_grid()));
    check("chart.svg", &svg(&chart));
    check(
        "panels.svg",
        &svg(&Panels::new([head("head 0"), head("head 1")])
            .with_title("Heads")
            .with_scale(Scale::probability())),
    );
}

#[test]
fn wrong_numbers_of_items_are_refused_with_both_numbers() {
    let fault = Grid::new(["a"], ["b", "c"], vec![1.0]).expect_err("one value for two cells");
    assert_eq!(fault, PlotError::Count { what: "values", expected: 2, got: 1 });
    assert_eq!(fault.to_string(), "wrong number of values: expected 2, got 1");
    assert!(fault.hint().is_some());
    let grid = || Grid::new(["a"], ["b", "c"], vec![1.0, 2.0]).expect("two cells");
    assert!(matches!(grid().with_labels(["x"]), Err(PlotError::Count { what: "cell labels", .. })));
    assert!(matches!(grid().with_tooltips(["x"; 3]), Err(PlotError::Count { what: "tooltips", .. })));
}

#[test]
fn more_cells_than_the_limit_are_refused() {
    let side = vec![""; MAX_CELLS / 2 + 1];
    assert!(matches!(Grid::new(side, ["", ""], Vec::new()), Err(PlotError::TooManyCells { .. })));
}

#[test]
fn senseless_png_scales_and_huge_pngs_are_refused() {
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(matches!(png(&small_grid(), scale), Err(PlotError::BadScale { .. })), "{scale}");
    }
    assert!(matches!(png(&small_grid(), 1e4), Err(PlotError::PictureTooLarge { .. })));
    assert!(matches!(png(&small_grid(), f32::MAX), Err(PlotError::PictureTooLarge { .. })));
}

#[test]
fn a_png_has_the_size_of_its_svg_times_the_scale() {
    let side =
        |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let (one, two) = (png(&small_grid(), 1.0).expect("drawn"), png(&small_grid(), 2.0).expect("drawn"));
    assert_eq!(one[..8], *b"\x89PNG\r\n\x1a\n");
    for at in [16, 20] {
        assert_eq!(side(&one, at) * 2, side(&two, at));
    }
    let picture = svg(&small_grid());
    let document = roxmltree::Document::parse(&picture).expect("well formed");
    assert_eq!(document.root_element().attribute("width"), Some(side(&one, 16).to_string().as_str()));
}

#[test]
fn png_text_outside_the_typeface_leaves_ink() {
    let labelled = |text: &str| {
        let grid = Grid::new([""], [""], vec![0.0]).and_then(|g| g.with_labels([text])).expect("one cell");
        png(&grid.with_spaces_marked(false), 1.0).expect("drawn")
    };
    // A box or a glyph, but never the picture of an empty cell.
    for text in ["日本", "ا", "\u{1f5fc}", "\u{fffd}", "\u{e000}"] {
        assert_ne!(labelled(text), labelled(""), "{text}");
    }
}

#[test]
fn an_html_page_has_no_outside_assets_and_knows_dark_surroundings() {
    let page = html(&samples::patching());
    assert!(page.starts_with("<!doctype html>") && page.contains("prefers-color-scheme:dark"));
    let addresses: Vec<&str> = page.match_indices("http").map(|(at, _)| &page[at..at + 26]).collect();
    assert_eq!(addresses, ["http://www.w3.org/2000/svg"], "only the name space may look like an address");
    assert!(!html(&small_grid()).contains("<script>:"), "labels are escaped");
}

#[test]
fn rows_drawn_bottom_up_are_the_same_rows_reversed() {
    let rows = |order| {
        let grid =
            Grid::new(["first", "second"], ["x"], vec![1.0, 2.0]).expect("two rows").with_row_order(order);
        let text = plain(&grid, 40);
        (text.find("first"), text.find("second"))
    };
    let (down, up) = (rows(RowOrder::TopDown), rows(RowOrder::BottomUp));
    assert!(down.0 < down.1 && up.0 > up.1);
}

#[test]
fn panels_share_one_scale() {
    let grid = |value| Grid::new(["r"], ["c"], vec![value]).expect("one cell");
    let picture = svg(&Panels::new([grid(0.0), grid(10.0)]));
    for end in [Palette::Lagoon.at(0.0), Palette::Lagoon.at(1.0)] {
        assert!(picture.contains(&format!("fill=\"{}\"", end.hex())));
    }
}

#[test]
fn many_cells_of_one_colour_become_few_shapes() {
    let n = 512;
    let names: Vec<String> = (0..n).map(|i| format!("t{i}")).collect();
    let grid =
        Grid::new(names.clone(), names, vec![0.0; n * n]).expect("square").with_scale(Scale::probability());
    assert!(svg(&grid).len() < 200_000);
    assert!(png(&grid, 1.0).is_ok());
}

#[test]
fn without_colour_the_sign_and_the_size_of_an_effect_can_still_be_read() {
    let grid =
        Grid::new(["r"], ["a", "b"], vec![-0.5, 1.0]).expect("two cells").with_scale(Scale::diverging());
    for text in [plain(&grid, 40), ascii(&grid, 40)] {
        assert!(text.contains("-0.50") && text.contains("+1.00"), "{text}");
    }
    let hidden = plain(&grid.with_values_shown(false), 40);
    assert!(hidden.contains("-▒") && hidden.contains("+█"), "{hidden}");
}

/// Text as a terminal would show it, without the escape sequences we write.
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or("").to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or(part, |(_, rest)| rest))
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ -~]{0,24}",
        2 => any::<String>(),
        1 => proptest::sample::select(vec![
            "\u{1f469}\u{200d}\u{1f680}", "日本語テキスト", "e\u{301}\u{302}", "\n\t\r\0", "\u{1b}[31m", "\u{202e}abc", "ﷺ", "1\u{fe0f}\u{20e3}", "🇫🇷🇩🇪",
            "\u{ffff}", "]]>", "{id}", "لا", "\u{200d}", "\u{fe0f}", "\u{1100}\u{1161}\u{11a8}",
        ]).prop_map(str::to_owned),
    ]
}

fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -1.0f32..1.0,
        1 => any::<f32>(),
        1 => proptest::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE]),
    ]
}

fn any_scale() -> impl Strategy<Value = Scale> {
    prop_oneof![
        Just(Scale::probability()),
        Just(Scale::sequential().with_palette(Palette::Aurora)),
        Just(Scale::diverging()),
        (any_value(), any_value()).prop_map(|(a, b)| Scale::between(a, b)),
        any_value().prop_map(Scale::diverging_to),
    ]
}

prop_compose! {
    fn any_grid()(rows in 0usize..6, columns in 0usize..9)(
        row_labels in vec(any_text(), rows),
        column_labels in vec(any_text(), columns),
        values in vec(any_value(), rows * columns),
        labels in proptest::option::of(vec(any_text(), rows * columns)),
        tooltips in vec(any_text(), rows * columns),
        texts in vec(any_text(), 5),
        scale in any_scale(),
        flags in any::<[bool; 3]>(),
    ) -> Grid {
        let grid = Grid::new(row_labels, column_labels, values).expect("one value per cell");
        let grid = grid.with_tooltips(tooltips).expect("one tooltip per cell");
        let grid = match labels {
            Some(labels) => grid.with_labels(labels).expect("one label per cell"),
            None => grid,
        };
        grid.with_title(&texts[0])
            .with_subtitle(&texts[1])
            .with_axes(&texts[2], &texts[3])
            .with_legend(&texts[4])
            .with_scale(scale)
            .with_values_shown(flags[0])
            .with_spaces_marked(flags[1])
            .with_row_order(if flags[2] { RowOrder::BottomUp } else { RowOrder::TopDown })
    }
}

prop_compose! {
    fn any_panels()(grids in vec(any_grid(), 0..5), shared in any_grid(), twice in any::<bool>(), title in any_text(), scale in any_scale()) -> Panels {
        let grids = if twice { vec![shared; grids.len()] } else { grids };
        Panels::new(grids).with_title(&title).with_subtitle(&title).with_legend(title).with_scale(scale)
    }
}

prop_compose! {
    fn any_chart()(
        series in vec((any_text(), vec((any_value(), any_value()), 0..40)), 0..5),
        texts in vec(any_text(), 4),
        range in (any_value(), any_value()),
        flags in any::<[bool; 2]>(),
    ) -> LineChart {
        let series = series.into_iter().map(|(name, points)| Series::new(name, points.into_iter().map(|(x, y)| (x.into(), y.into()))));
        let chart = LineChart::new(series).with_title(&texts[0]).with_subtitle(&texts[1]).with_axes(&texts[2], &texts[3]).with_log_y(flags[0]);
        if flags[1] { chart.with_y_range(range.0.into(), range.1.into()) } else { chart }
    }
}

fn check_laws(figure: &dyn Figure, width: usize) -> Result<(), TestCaseError> {
    for colour in [ColourSupport::None, ColourSupport::Ansi256, ColourSupport::TrueColour] {
        for unicode in [true, false] {
            let text = terminal(figure, &TerminalStyle { width, colour, unicode });
            prop_assert!(unicode || text.is_ascii(), "only ASCII was asked for:\n{text}");
            prop_assert!(
                colour != ColourSupport::None || !text.contains('\x1b'),
                "no colour was asked for:\n{text}"
            );
            for line in without_colour(&text).lines() {
                prop_assert!(line.width() <= width, "{} columns of {width}: {line:?}\n{text}", line.width());
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
    let picture = svg(figure);
    prop_assert!(
        roxmltree::Document::parse(&picture).is_ok(),
        "{:?}\n{picture}",
        roxmltree::Document::parse(&picture).err()
    );
    prop_assert_eq!(&picture, &svg(figure));
    prop_assert!(!picture.contains("NaN") && !picture.contains("=\"inf"), "{}", picture);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_grid_fits_its_width_and_is_well_formed(grid in any_grid(), width in MIN_WIDTH..140) {
        check_laws(&grid, width)?;
    }

    #[test]
    fn any_panels_fit_their_width_and_are_well_formed(panels in any_panels(), width in MIN_WIDTH..140) {
        check_laws(&panels, width)?;
    }

    #[test]
    fn any_chart_fits_its_width_and_is_well_formed(chart in any_chart(), width in MIN_WIDTH..140) {
        check_laws(&chart, width)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_figure_becomes_a_png(grid in any_grid(), panels in any_panels(), chart in any_chart()) {
        let figures: [&dyn Figure; 3] = [&grid, &panels, &chart];
        for figure in figures {
            prop_assert!(png(figure, 0.5).is_ok());
        }
    }
}
