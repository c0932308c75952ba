//! Prompts as tokens.

use pellucid::Model;

use crate::error::{Result, TechniqueError};

/// A token: its id and its text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: i64,
    /// Its text, with the space in front that it stands for.
    pub text: String,
}

pub(crate) fn token(model: &Model, id: i64) -> Result<Token> {
    let text = u32::try_from(id)
        .ok()
        .and_then(|id| model.tokenizer().ok()?.token_text(id).ok())
        // A model may have more rows than its tokenizer has tokens.
        .unwrap_or_else(|| format!("[{id}]"));
    Ok(Token { id, text })
}

/// The tokens of a prompt.
pub(crate) fn tokens(model: &Model, prompt: &str) -> Result<Vec<Token>> {
    if prompt.is_empty() {
        return Err(TechniqueError::EmptyPrompt);
    }
    let ids = model.encode(prompt)?;
    if let Some(limit) = model.sizes().n_ctx.filter(|&limit| ids.len() > limit) {
        let error = pellucid::NnError::ContextLength { got: ids.len(), limit };
        return Err(pellucid::Error::from(error).into());
    }
    ids.into_iter().map(|id| token(model, id)).collect()
}

pub(crate) fn ids(tokens: &[Token]) -> Vec<i64> {
    tokens.iter().map(|t| t.id).collect()
}

pub(crate) fn texts(tokens: &[Token]) -> Vec<String> {
    tokens.iter().map(|t| t.text.clone()).collect()
}

/// The one token of an answer.
pub(crate) fn answer(model: &Model, text: &str) -> Result<Token> {
    let tokenizer = model.tokenizer()?;
    let encoding = tokenizer.encode(text, false).map_err(pellucid::Error::from)?;
    match encoding.ids.as_slice() {
        [id] => token(model, i64::from(*id)),
        many => Err(TechniqueError::Answer {
            answer: text.into(),
            pieces: many
                .iter()
                .map(|&id| token(model, i64::from(id)).map(|t| t.text))
                .collect::<Result<_>>()?,
        }),
    }
}
