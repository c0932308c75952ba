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

/// The token ids of several prompts, of which there must be some.
pub(crate) fn rows<P: AsRef<str>>(model: &Model, prompts: &[P]) -> Result<Vec<Vec<i64>>> {
    if prompts.is_empty() {
        return Err(TechniqueError::Nothing { what: "prompts" });
    }
    prompts.iter().map(|p| Ok(ids(&tokens(model, p.as_ref())?))).collect()
}

/// Refuses a layer that the model does not have.
pub(crate) fn check_layer(model: &Model, layer: usize) -> Result<()> {
    let n_layers = model.sizes().n_layers;
    if layer < n_layers { Ok(()) } else { Err(TechniqueError::Layer { layer, n_layers }) }
}

/// Numbers of the caller's as a tensor of the model's engine.
pub(crate) fn tensor(model: &Model, values: &[f32], dims: &[usize]) -> Result<pellucid::Tensor> {
    Ok(model.engine().from_vec(values.to_vec(), dims).map_err(pellucid::Error::from)?)
}
