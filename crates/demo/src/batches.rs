//! Token blocks for training: documents packed into rows of one length.

use tokenizers::Tokenizer;

use crate::{
    corpus::Corpus,
    recipe::Recipe,
    rng::Rng,
    tokenizer::{END_OF_TEXT, TokenizerError, encode},
};

/// A block of tokens: `rows` sequences of `width` tokens, so `width - 1` predictions each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Number of sequences.
    pub rows: usize,
    /// Tokens in each sequence: the sequence length and one more.
    pub width: usize,
    /// The ids, row by row, `[rows, width]`.
    pub tokens: Vec<u32>,
}

/// Sets the opening's documents apart from the others of the same number.
const OPENING: u64 = 0x09e7;

/// Sets the draws of random token sequences apart.
const RANDOM_TOKENS: u64 = 0x70c0;

/// The endless sequence of training blocks; see [`training_batches`].
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    tokenizer: &'a Tokenizer,
    recipe: Recipe,
    opening: Corpus,
    corpus: Corpus,
    end_of_text: u32,
    step: u64,
}

/// Blocks `[rows, seq + 1]` ([`Recipe::block`]) of the recipe's corpus, from block `first_step` on.
///
/// A row is filled with whole documents, `<|endoftext|>` after each, and the last one is cut where the row ends. Every row
/// starts at the start of a document, half of them with `<|endoftext|>` before it, so that the model knows prompts with
/// and without. Block `n` depends on the recipe and `n` alone; those of the opening steps are drawn from
/// the opening mix, in more and shorter rows.
pub fn training_batches<'a>(tokenizer: &'a Tokenizer, recipe: &Recipe, first_step: u64) -> Batches<'a> {
    Batches {
        tokenizer,
        recipe: *recipe,
        opening: Corpus::new(recipe.seed ^ OPENING, recipe.opening_mix),
        corpus: Corpus::new(recipe.seed, recipe.mix),
        end_of_text: tokenizer.token_to_id(END_OF_TEXT).unwrap_or(0),
        step: first_step,
    }
}

impl Batches<'_> {
    fn push_row(&self, row: u64, width: usize, tokens: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let end = tokens.len() + width;
        let corpus = if self.step < self.recipe.opening_steps { &self.opening } else { &self.corpus };
        if Rng::new(self.recipe.seed ^ 0x0b05, row).percent(50) {
            tokens.push(self.end_of_text);
        }
        // Rows own disjoint ranges of documents; no row can hold as many documents as it has tokens.
        let mut document = row * width as u64;
        while tokens.len() < end {
            let mut rng = Rng::new(self.recipe.seed ^ RANDOM_TOKENS, document);
            if rng.percent(self.recipe.random_tokens_percent) {
                self.push_random_tokens(&mut rng, tokens);
            } else {
                tokens.extend(encode(self.tokenizer, &corpus.document(document).text)?);
            }
            tokens.push(self.end_of_text);
            document += 1;
        }
        tokens.truncate(end);
        Ok(())
    }
}

impl Batches<'_> {
    /// Three to sixteen tokens of the whole vocabulary, two to four times over: copying must work for tokens that no text has.
    fn push_random_tokens(&self, rng: &mut Rng, tokens: &mut Vec<u32>) {
        let length = rng.between(3, 16);
        let repeated: Vec<u32> = (0..length).map(|_| rng.below(self.recipe.d_vocab) as u32).collect();
        for _ in 0..rng.between(2, 4) {
            tokens.extend(repeated.iter().filter(|token| **token != self.end_of_text));
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, TokenizerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (rows, seq) = self.recipe.block(self.step);
        let width = seq + 1;
        let mut tokens = Vec::with_capacity(rows * (width + 64));
        let first = self.step * rows as u64;
        for row in first..first + rows as u64 {
            if let Err(error) = self.push_row(row, width, &mut tokens) {
                return Some(Err(error));
            }
        }
        self.step += 1;
        Some(Ok(Batch { rows, width, tokens }))
    }
}
