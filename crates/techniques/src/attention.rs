//! Attention patterns: where each token looks.

use pellucid::Model;

use crate::error::{Result, TechniqueError};
use crate::plot::{Grid, Panels, Scale};
use crate::tokens::{Token, ids, texts, tokens};

/// The attention patterns of one layer on one prompt.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AttentionPatterns {
    /// The prompt's tokens.
    pub tokens: Vec<Token>,
    /// The layer.
    pub layer: usize,
    /// The heads shown.
    pub heads: Vec<usize>,
    /// For each head shown, rows of queries over keys: `[heads, seq_q, seq_k]`.
    pub patterns: Vec<Vec<Vec<f32>>>,
}

/// Reads the attention pattern of a layer, of one head or all.
///
/// # Errors
/// [`TechniqueError::Layer`], [`TechniqueError::Head`], an empty or too long prompt.
pub fn attention_patterns(
    model: &Model,
    prompt: &str,
    layer: usize,
    head: Option<usize>,
) -> Result<AttentionPatterns> {
    let sizes = model.sizes();
    if layer >= sizes.n_layers {
        return Err(TechniqueError::Layer { layer, n_layers: sizes.n_layers });
    }
    if let Some(head) = head.filter(|&h| h >= sizes.n_heads) {
        return Err(TechniqueError::Head { head, n_heads: sizes.n_heads });
    }
    let tokens = tokens(model, prompt)?;
    let trace = model.trace();
    let pattern = trace.invoke(&ids(&tokens)).pattern(&model.block(layer, &sizes.attention)).save();
    let all = trace.run()?.floats(&pattern)?;
    let n = tokens.len();
    let heads: Vec<usize> = head.map_or_else(|| (0..sizes.n_heads).collect(), |h| vec![h]);
    let patterns = heads
        .iter()
        .map(|h| all[h * n * n..(h + 1) * n * n].chunks(n).map(<[f32]>::to_vec).collect())
        .collect();
    Ok(AttentionPatterns { tokens, layer, heads, patterns })
}

impl AttentionPatterns {
    /// A heatmap for each head, queries down and keys across.
    ///
    /// # Errors
    /// If a pattern is too large to draw.
    pub fn figure(&self) -> Result<Panels> {
        let grids = self.heads.iter().zip(&self.patterns).map(|(head, pattern)| {
            Ok(Grid::new(texts(&self.tokens), texts(&self.tokens), pattern.concat())?
                .with_title(format!("head {head}"))
                .with_axes("query", "key"))
        });
        Ok(Panels::new(grids.collect::<Result<Vec<_>>>()?)
            .with_title(format!("Attention of layer {}", self.layer))
            .with_subtitle("how much each token (down) looks at each earlier one (across)")
            .with_scale(Scale::probability())
            .with_legend("attention"))
    }
}
