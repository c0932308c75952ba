//! Text to token ids and back, as `transformers` does it with the same folder.

mod special;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, PostProcessorWrapper, PreTokenizerWrapper};

pub(crate) use self::special::TokenizerConfig;
pub use self::special::{SpecialToken, SpecialTokens};
use self::special::{class_defaults, class_template};
use crate::error::{BoxedError, HubError, Result};
use crate::json::{TOKENIZER_LIMIT, check_json, read_bytes};

/// The ids of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoding {
    /// The token ids, in order.
    pub ids: Vec<u32>,
    /// For each id, the bytes of the text it stands for; empty for tokens that were added, such as bos.
    pub offsets: Vec<Range<usize>>,
}

impl Encoding {
    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// The tokenizer of a model folder: `tokenizer.json` with the settings of `tokenizer_config.json` and
/// `special_tokens_map.json`.
///
/// Truncation and padding settings of `tokenizer.json` are ignored: nothing is cut or filled.
///
/// ```no_run
/// # fn main() -> pellucid_hub::Result<()> {
/// let tokenizer = pellucid_hub::Tokenizer::load(std::path::Path::new("gpt2"))?;
/// let encoding = tokenizer.encode("The Eiffel Tower", true)?;
/// assert_eq!(tokenizer.decode(&encoding.ids, true)?, "The Eiffel Tower");
/// assert_eq!(tokenizer.token_text(262)?, " the");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    special: SpecialTokens,
    clean_up_spaces: bool,
    adds_bos: bool,
    /// One more than the largest id.
    id_limit: u32,
    /// An ordinary token and its text; see [`Tokenizer::token_text`].
    anchor: Option<(u32, String)>,
}

impl Tokenizer {
    /// Loads the tokenizer of a model folder.
    ///
    /// # Errors
    ///
    /// [`HubError::MissingFile`] without a `tokenizer.json`, [`HubError::Tokenizer`] when it cannot be read,
    /// [`HubError::Json`] and [`HubError::InvalidField`] for the configuration files.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            return Err(HubError::MissingFile { folder: folder.to_owned(), file: "`tokenizer.json`".into() });
        }
        let config = TokenizerConfig::load(folder)?;
        let bytes = read_bytes(&path, TOKENIZER_LIMIT)?;
        // The library panics on some malformed JSON; this finds it first, with its position.
        check_json(&path, &bytes)?;
        let parsed = contain(|| parse(&bytes)).and_then(|mut inner| {
            contain(|| {
                let special = apply_config(&mut inner, &config)?;
                Ok((inner, special))
            })
        });
        let (inner, special) = parsed.map_err(|source| HubError::Tokenizer { path: path.clone(), source })?;

        let id_limit = inner.get_vocab(true).values().max().map_or(0, |&id| id.saturating_add(1));
        let mut tokenizer = Self {
            inner,
            path,
            special,
            clean_up_spaces: config.clean_up_spaces,
            adds_bos: false,
            id_limit,
            anchor: None,
        };
        let bos = tokenizer.special.bos.as_ref().map(|bos| bos.id);
        tokenizer.adds_bos = bos.is_some() && tokenizer.encode("a", true)?.ids.first().copied() == bos;
        tokenizer.anchor = tokenizer.find_anchor();
        Ok(tokenizer)
    }

    /// Encodes a text; `add_special_tokens` adds what the model expects around it, such as bos.
    ///
    /// # Errors
    ///
    /// [`HubError::Tokenize`], which a well-formed tokenizer does not cause.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Encoding> {
        let encoding = contain(|| self.inner.encode(text, add_special_tokens));
        encoding.map(|encoding| convert(&encoding)).map_err(|source| self.fault("encode", source))
    }

    /// Encodes several texts, each as [`Tokenizer::encode`] would.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn encode_batch(&self, texts: &[&str], add_special_tokens: bool) -> Result<Vec<Encoding>> {
        let encodings = contain(|| self.inner.encode_batch(texts.to_vec(), add_special_tokens));
        let encodings = encodings.map_err(|source| self.fault("encode", source))?;
        Ok(encodings.iter().map(convert).collect())
    }

    /// The text of a sequence of ids; `skip_special_tokens` leaves out bos, eos and their like.
    ///
    /// # Errors
    ///
    /// [`HubError::UnknownTokenId`] for an id outside the vocabulary.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        let text = self.decode_raw(ids, skip_special_tokens)?;
        Ok(if self.clean_up_spaces { clean_up(&text) } else { text })
    }

    /// The text that a token adds to a sequence, for display: ` the`, with its space. A token that is only a part of a
    /// character shows as `�`.
    ///
    /// # Errors
    ///
    /// [`HubError::UnknownTokenId`] for an id outside the vocabulary.
    pub fn token_text(&self, id: u32) -> Result<String> {
        self.check_id(id)?;
        if let Some(token) = self.inner.get_added_tokens_decoder().get(&id) {
            return Ok(token.content.clone());
        }
        // Decoders treat the first token of a sequence differently, so the token is decoded after another one.
        if let Some((anchor, before)) = &self.anchor
            && let Some(text) = self.decode_raw(&[*anchor, id], false)?.strip_prefix(before.as_str())
        {
            return Ok(text.to_owned());
        }
        self.decode_raw(&[id], false)
    }

    /// The token texts that a text is cut into, without special tokens.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn pieces(&self, text: &str) -> Result<Vec<String>> {
        self.encode(text, false)?.ids.into_iter().map(|id| self.token_text(id)).collect()
    }

    /// The id of a token as the vocabulary writes it, such as `Ġthe` or `<|endoftext|>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// A token as the vocabulary writes it, such as `Ġthe`: what [`Tokenizer::token_id`] is given. `None` for an id
    /// outside the vocabulary.
    pub fn token_as_written(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The tokens with a role.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special
    }

    /// Whether [`Tokenizer::encode`] with special tokens begins with bos.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// The number of tokens, those added to the vocabulary included. A model's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    fn check_id(&self, id: u32) -> Result<()> {
        if id < self.id_limit { Ok(()) } else { Err(HubError::UnknownTokenId { id, limit: self.id_limit }) }
    }

    fn decode_raw(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        ids.iter().try_for_each(|&id| self.check_id(id))?;
        contain(|| self.inner.decode(ids, skip_special_tokens)).map_err(|source| self.fault("decode", source))
    }

    fn find_anchor(&self) -> Option<(u32, String)> {
        let added = self.inner.get_added_tokens_decoder();
        let ids = ["a", "0", "e", "x", "."].into_iter().filter_map(|letter| {
            let ids = self.encode(letter, false).ok()?.ids;
            ids.last().copied().filter(|id| !added.contains_key(id))
        });
        ids.map(|id| self.decode_raw(&[id], false).ok().map(|text| (id, text)))
            .find_map(|anchor| anchor.filter(|(_, text)| !text.is_empty()))
    }

    fn fault(&self, action: &'static str, source: BoxedError) -> HubError {
        HubError::Tokenize { path: self.path.clone(), action, source }
    }
}

/// Runs a call of the tokenizer library, some of whose panics a hostile `tokenizer.json` can reach.
fn contain<T>(
    call: impl FnOnce() -> std::result::Result<T, BoxedError>,
) -> std::result::Result<T, BoxedError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err("the tokenizer library gave up on this file".into()))
}

fn parse(bytes: &[u8]) -> std::result::Result<tokenizers::Tokenizer, BoxedError> {
    let text = std::str::from_utf8(bytes)?;
    let mut inner = tokenizers::Tokenizer::from_str(text)?;
    inner.with_padding(None).with_truncation(None)?;
    Ok(inner)
}

/// Applies the settings of the configuration files, in the order that `transformers` does.
fn apply_config(
    inner: &mut tokenizers::Tokenizer,
    config: &TokenizerConfig,
) -> std::result::Result<SpecialTokens, BoxedError> {
    let class = config.class.as_deref().unwrap_or("");
    let [bos, eos, unk, pad] = class_defaults(class).map(|text| {
        // A default that the vocabulary does not hold is no role.
        text.filter(|text| inner.token_to_id(text).is_some()).map(str::to_owned)
    });
    let bos = config.bos.clone().or(bos);
    let eos = config.eos.clone().or(eos);
    let unk = config.unk.clone().or(unk);
    let pad = config.pad.clone().or(pad);

    let mut roles: Vec<&String> = [&bos, &eos, &unk, &pad].into_iter().flatten().collect();
    roles.extend(&config.additional);
    let known: std::collections::HashSet<String> =
        inner.get_added_tokens_decoder().values().map(|token| token.content.clone()).collect();
    let mut new = Vec::new();
    for spec in config.added.iter().filter(|spec| !known.contains(&spec.text)) {
        let token = AddedToken::from(spec.text.clone(), spec.special || roles.contains(&&spec.text))
            .lstrip(spec.lstrip)
            .rstrip(spec.rstrip)
            .single_word(spec.single_word)
            .normalized(spec.normalized);
        new.push(token);
    }
    for text in roles {
        if !known.contains(text) && !new.iter().any(|token: &AddedToken| token.content == *text) {
            new.push(AddedToken::from(text.clone(), true));
        }
    }
    inner.add_tokens(&new);

    if let Some(PreTokenizerWrapper::ByteLevel(byte_level)) = inner.get_pre_tokenizer() {
        let byte_level = byte_level.add_prefix_space(config.add_prefix_space.unwrap_or(false));
        inner.with_pre_tokenizer(Some(PreTokenizerWrapper::ByteLevel(byte_level)));
    }
    let special = |text: &Option<String>| {
        let text = text.as_ref()?;
        Some(SpecialToken { text: text.clone(), id: inner.token_to_id(text)? })
    };
    let eos = special(&eos);
    let tokens = SpecialTokens {
        bos: special(&bos),
        pad: special(&pad).or_else(|| eos.clone()),
        unk: special(&unk),
        eos,
    };
    if let Some((default_bos, default_eos)) = class_template(class) {
        let bos = tokens.bos.as_ref().filter(|_| config.add_bos.unwrap_or(default_bos));
        let eos = tokens.eos.as_ref().filter(|_| config.add_eos.unwrap_or(default_eos));
        inner.with_post_processor(Some(template(bos, eos)?));
    }
    Ok(tokens)
}

/// A rule that puts bos before and eos after a text.
fn template(
    bos: Option<&SpecialToken>,
    eos: Option<&SpecialToken>,
) -> std::result::Result<PostProcessorWrapper, BoxedError> {
    // Named by role, because a token's text may hold spaces or colons, which the rule's syntax gives a meaning.
    let mut single = vec!["$A:0"];
    let mut tokens = Vec::new();
    if let Some(bos) = bos {
        single.insert(0, "bos:0");
        tokens.push(("bos".to_owned(), bos.id));
    }
    if let Some(eos) = eos {
        single.push("eos:0");
        tokens.push(("eos".to_owned(), eos.id));
    }
    let processor = TemplateProcessing::builder()
        .try_single(single.join(" "))?
        .special_tokens(tokens)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(PostProcessorWrapper::Template(processor))
}

fn convert(encoding: &tokenizers::Encoding) -> Encoding {
    Encoding {
        ids: encoding.get_ids().to_vec(),
        offsets: encoding.get_offsets().iter().map(|&(start, end)| start..end).collect(),
    }
}

/// Joins punctuation and English contractions to the word before, as `clean_up_tokenization_spaces` asks.
fn clean_up(text: &str) -> String {
    const JOINED: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    JOINED.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_up_joins_punctuation_and_contractions() {
        assert_eq!(clean_up("it 's here , is n't it ?"), "it's here, isn't it?");
    }
}
