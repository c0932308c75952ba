//! Token blocks for training: documents packed into rows of one length.

use tokenizers::Tokenizer;

use crate::{
    corpus::Corpus,
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

/// The endless sequence of training blocks; see [`training_batches`].
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    tokenizer: &'a Tokenizer,
    corpus: Corpus,
    seed: u64,
    rows: usize,
    width: usize,
    end_of_text: u32,
    step: u64,
}

/// Blocks `[rows, seq + 1]` of the corpus of `seed`, from block `first_step` on.
///
/// A row is filled with whole documents, `<|endoftext|>` after each, and the last one is cut where the row ends. Every row
/// starts at the start of a document, half of them with `<|endoftext|>` before it, so that the model knows prompts with
/// and without. Block `n` depends on the arguments and `n` alone.
pub fn training_batches(
    tokenizer: &Tokenizer,
    corpus: Corpus,
    seed: u64,
    rows: usize,
    seq: usize,
    first_step: u64,
) -> Batches<'_> {
    let end_of_text = tokenizer.token_to_id(END_OF_TEXT).unwrap_or(0);
    Batches { tokenizer, corpus, seed, rows, width: seq + 1, end_of_text, step: first_step }
}

impl Batches<'_> {
    fn push_row(&self, row: u64, tokens: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let end = tokens.len() + self.width;
        if Rng::new(self.seed ^ 0x0b05, row).percent(50) {
            tokens.push(self.end_of_text);
        }
        // Rows own disjoint ranges of documents; no row can hold as many documents as it has tokens.
        let mut document = row * self.width as u64;
        while tokens.len() < end {
            tokens.extend(encode(self.tokenizer, &self.corpus.document(document).text)?);
            tokens.push(self.end_of_text);
            document += 1;
        }
        tokens.truncate(end);
        Ok(())
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, TokenizerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut tokens = Vec::with_capacity(self.rows * (self.width + 64));
        let first = self.step * self.rows as u64;
        for row in first..first + self.rows as u64 {
            if let Err(error) = self.push_row(row, &mut tokens) {
                return Some(Err(error));
            }
        }
        self.step += 1;
        Some(Ok(Batch { rows: self.rows, width: self.width, tokens }))
    }
}
