//! Figures like those people make, with invented but fixed numbers.

use pellucid_techniques::plot::{Grid, LineChart, Panels, RowOrder, Scale, Series};

const PROMPT: [&str; 10] = ["The", " Eiff", "el", " Tower", " is", " in", " the", " city", " of", "\n"];

/// Numbers in 0..1 that look random and are the same everywhere.
fn noise(seed: u32) -> f32 {
    let mut x = seed.wrapping_mul(0x9e37_79b9) ^ 0x85eb_ca6b;
    for _ in 0..3 {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
    }
    (x >> 8) as f32 / (1 << 24) as f32
}

pub(crate) fn logit_lens() -> Grid {
    let guesses = [
        " first",
        " the",
        "\u{fffd}",
        " Paris",
        "naissance",
        "日本",
        " \u{1f5fc}",
        ",",
        "el",
        " known",
        "'s",
        " located",
        "<|endoftext|>",
    ];
    let rows = 13;
    let mut values = Vec::new();
    let mut labels = Vec::new();
    for layer in 0..rows {
        for token in 0..PROMPT.len() {
            let depth = layer as f32 / (rows - 1) as f32;
            let n = noise((layer * 31 + token * 7) as u32);
            values.push((depth * depth * (0.4 + 0.6 * noise(token as u32 + 900)) + 0.08 * n).min(1.0));
            let settled = depth > 0.55 + 0.3 * noise(token as u32);
            labels.push(if settled { guesses[(token + 3) % 13] } else { guesses[(n * 13.0) as usize % 13] });
        }
    }
    Grid::new(
        (0..rows).map(|l| if l == 0 { "embed".to_owned() } else { format!("{}", l - 1) }),
        PROMPT,
        values,
    )
    .and_then(|grid| grid.with_labels(labels))
    .expect("one value and label per cell")
    .with_title("Logit lens")
    .with_subtitle("gpt2: top guess after each layer")
    .with_axes("layer", "token")
    .with_row_order(RowOrder::BottomUp)
    .with_scale(Scale::probability())
    .with_legend("probability of the top guess")
}

pub(crate) fn patching() -> Grid {
    let tokens = [
        "When", " Mary", " and", " John", " went", " to", " the", " store", ",", " John", " gave", " a",
        " drink", " to", "?",
    ];
    let mut values = Vec::new();
    for layer in 0..12 {
        for token in 0..tokens.len() {
            let l = layer as f32;
            let mut v = 0.08 * (noise((layer * 57 + token) as u32) - 0.5);
            v += if token == 9 { 0.95 / (1.0 + (1.3 * (l - 6.5)).exp()) } else { 0.0 };
            v += if token == 14 { 0.98 / (1.0 + (-1.3 * (l - 7.5)).exp()) } else { 0.0 };
            v -= if token == 3 && (4..8).contains(&layer) { 0.35 } else { 0.0 };
            values.push(v);
        }
    }
    Grid::new((0..12).map(|l| l.to_string()), tokens, values)
        .expect("one value per cell")
        .with_title("Activation patching: residual stream")
        .with_subtitle("clean into corrupted, gpt2, indirect object identification")
        .with_axes("layer", "token")
        .with_scale(Scale::diverging())
        .with_legend("share of the logit difference restored")
}

pub(crate) fn attention_head(head: usize) -> Grid {
    let n = PROMPT.len();
    let mut values = vec![f32::NAN; n * n];
    for q in 0..n {
        let mut row: Vec<f32> = (0..=q)
            .map(|k| {
                let score = match head % 4 {
                    0 => {
                        if k == 0 {
                            3.0
                        } else {
                            0.0
                        }
                    }
                    1 => {
                        if k + 1 == q || q == 0 {
                            4.0
                        } else {
                            0.0
                        }
                    }
                    2 => -0.5 * (q - k) as f32,
                    _ => 0.3,
                };
                (score + 1.5 * noise((head * 1000 + q * 50 + k) as u32)).exp()
            })
            .collect();
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|w| *w /= sum);
        values[q * n..=q * n + q].copy_from_slice(&row);
    }
    Grid::new(PROMPT, PROMPT, values)
        .expect("one value per cell")
        .with_title(format!("head {head}"))
        .with_axes("query", "key")
        .with_scale(Scale::probability())
        .with_legend("attention weight")
}

pub(crate) fn attention_panels() -> Panels {
    Panels::new((0..12).map(attention_head))
        .with_title("Attention patterns, layer 5")
        .with_subtitle("gpt2")
        .with_scale(Scale::probability())
        .with_legend("attention weight")
}

pub(crate) fn training_curve() -> LineChart {
    let curve = |seed: u32, floor: f64, noisy: f64| {
        (0..300u32).map(move |i| {
            let step = f64::from(i);
            (step * 10.0, floor + 2.6 * (-step / 45.0).exp() + noisy * f64::from(noise(seed + i) - 0.5))
        })
    };
    let valid = curve(77, 0.74, 0.05).step_by(20);
    LineChart::new([Series::new("train", curve(5, 0.55, 0.22)), Series::new("validation", valid)])
        .with_title("LoRA training")
        .with_subtitle("rank 8, learning rate 1e-3")
        .with_axes("step", "loss")
}

pub(crate) fn layer_curve() -> LineChart {
    LineChart::new([Series::from_values(
        "Paris",
        (0..13).map(|l| 1.0 / (1.0 + (-(f64::from(l) - 8.0)).exp())),
    )])
    .with_title("Probability of ·Paris by layer")
    .with_axes("layer", "probability")
    .with_y_range(0.0, 1.0)
}
