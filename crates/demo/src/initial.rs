//! The weights that training starts from.

use crate::{Recipe, Rng};

/// A named tensor of the model, in the names and layouts of Hugging Face's `gpt2` (`Conv1D` weights are `[in, out]`).
#[derive(Debug, Clone, PartialEq)]
pub struct InitialTensor {
    /// The tensor's name, such as `transformer.h.0.attn.c_attn.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row by row.
    pub values: Vec<f32>,
}

/// How a tensor is filled at the start.
#[derive(Debug, Clone, Copy)]
enum Filling {
    Normal(f64),
    Constant(f32),
    Sinusoids(f64),
}

/// Every parameter of the recipe's model before the first step; the tied head is not listed again.
///
/// Matrices are normal with the recipe's `initializer_range`, those that write into the residual stream narrower by
/// `1/√(2 n_layers)`, as in GPT-2. The position table starts as sinusoids, because heads that look at the previous token,
/// which copying is built on, are then a rotation away at every position.
pub fn initial_weights(recipe: &Recipe) -> Vec<InitialTensor> {
    let d = recipe.d_model;
    let wide = Filling::Normal(recipe.initializer_range);
    let narrow = Filling::Normal(recipe.initializer_range / (2.0 * recipe.n_layers as f64).sqrt());
    let (zero, one) = (Filling::Constant(0.0), Filling::Constant(1.0));
    let mut plan: Vec<(String, Vec<usize>, Filling)> = vec![
        ("transformer.wte.weight".to_owned(), vec![recipe.d_vocab, d], wide),
        (
            "transformer.wpe.weight".to_owned(),
            vec![recipe.n_ctx, d],
            Filling::Sinusoids(recipe.position_amplitude),
        ),
    ];
    for layer in 0..recipe.n_layers {
        let parts: [(&str, Vec<usize>, Filling); 12] = [
            ("ln_1.weight", vec![d], one),
            ("ln_1.bias", vec![d], zero),
            ("attn.c_attn.weight", vec![d, 3 * d], wide),
            ("attn.c_attn.bias", vec![3 * d], zero),
            ("attn.c_proj.weight", vec![d, d], narrow),
            ("attn.c_proj.bias", vec![d], zero),
            ("ln_2.weight", vec![d], one),
            ("ln_2.bias", vec![d], zero),
            ("mlp.c_fc.weight", vec![d, 4 * d], wide),
            ("mlp.c_fc.bias", vec![4 * d], zero),
            ("mlp.c_proj.weight", vec![4 * d, d], narrow),
            ("mlp.c_proj.bias", vec![d], zero),
        ];
        plan.extend(
            parts
                .into_iter()
                .map(|(name, shape, filling)| (format!("transformer.h.{layer}.{name}"), shape, filling)),
        );
    }
    plan.push(("transformer.ln_f.weight".to_owned(), vec![d], one));
    plan.push(("transformer.ln_f.bias".to_owned(), vec![d], zero));
    let fill = |(stream, (name, shape, filling)): (usize, (String, Vec<usize>, Filling))| {
        let count = shape.iter().product();
        let values = match filling {
            Filling::Constant(value) => vec![value; count],
            Filling::Normal(deviation) => normal(recipe.seed, stream as u64, deviation, count),
            Filling::Sinusoids(amplitude) => sinusoids(amplitude, recipe.n_ctx, d),
        };
        InitialTensor { name, shape, values }
    };
    plan.into_iter().enumerate().map(fill).collect()
}

/// Normal values to a good approximation: sums of twelve uniform ones, which need no library function and are therefore the
/// same bits everywhere.
fn normal(seed: u64, stream: u64, deviation: f64, count: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed ^ 0x1417, stream);
    let mut draw = || {
        let sum: u64 = (0..6).map(|_| rng.next_u64()).map(|bits| (bits >> 32) + (bits & 0xffff_ffff)).sum();
        // Twelve uniform numbers of 32 bits have mean 6 · 2³² and variance 2⁶⁴.
        ((sum as f64 / 4_294_967_296.0) - 6.0) * deviation
    };
    (0..count).map(|_| draw() as f32).collect()
}

/// `[n_ctx, d]`: sine and cosine of the position at `d / 2` frequencies from 1 down to nearly 1/10 000.
fn sinusoids(amplitude: f64, n_ctx: usize, d: usize) -> Vec<f32> {
    let value = |position: usize, column: usize| {
        let frequency = 10_000_f64.powf(-((column - column % 2) as f64) / d as f64);
        let angle = position as f64 * frequency;
        amplitude * if column.is_multiple_of(2) { angle.sin() } else { angle.cos() }
    };
    (0..n_ctx).flat_map(|position| (0..d).map(move |column| value(position, column) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::initial_weights;
    use crate::Recipe;

    #[test]
    fn the_tensors_hold_every_parameter_of_the_recipe() {
        let recipe = Recipe::default();
        let weights = initial_weights(&recipe);
        assert_eq!(weights.iter().map(|tensor| tensor.values.len()).sum::<usize>(), recipe.n_parameters());
        assert!(weights.iter().all(|tensor| tensor.shape.iter().product::<usize>() == tensor.values.len()));
    }

    #[test]
    fn matrices_have_the_deviation_asked_for_and_differ() {
        let recipe = Recipe::default();
        let weights = initial_weights(&recipe);
        let named =
            |name: &str| weights.iter().find(|tensor| tensor.name == name).map(|tensor| &tensor.values[..]);
        let deviation = |values: &[f32]| {
            let square: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
            (square / values.len() as f64).sqrt()
        };
        let embedding = named("transformer.wte.weight").unwrap_or_default();
        assert!((deviation(embedding) / recipe.initializer_range - 1.0).abs() < 0.01);
        let (first, second) =
            (named("transformer.h.0.mlp.c_proj.weight"), named("transformer.h.1.mlp.c_proj.weight"));
        assert_ne!(first, second);
        let narrow = recipe.initializer_range / (2.0 * recipe.n_layers as f64).sqrt();
        assert!((deviation(first.unwrap_or_default()) / narrow - 1.0).abs() < 0.02);
    }
}
