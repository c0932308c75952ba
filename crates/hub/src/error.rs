//! Everything that can go wrong while finding and reading a model folder.

use std::path::PathBuf;

/// The result of this crate's fallible calls.
pub type Result<T> = std::result::Result<T, HubError>;

/// An error of another library, kept whole as the source of a [`HubError`].
pub type BoxedError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A fault in finding, fetching or reading a model folder.
///
/// Each variant carries the place (file, tensor, field), what was expected and what was got. The message says what is
/// wrong; [`HubError::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The operating system refused a file operation.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The verb that failed, such as `read`.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },

    /// A path was asked for that is not a folder.
    #[error("no model folder at `{}`", path.display())]
    FolderNotFound {
        /// The path as resolved.
        path: PathBuf,
    },

    /// A folder lacks a file without which it is not a model folder.
    #[error("`{}` has no {file}", folder.display())]
    MissingFile {
        /// The folder searched.
        folder: PathBuf,
        /// The file, or the alternatives, looked for.
        file: String,
    },

    /// A name that is neither a path nor a hub id.
    #[error("`{name}` is not a model name: {problem}")]
    InvalidModelName {
        /// The name given.
        name: String,
        /// The rule it breaks.
        problem: &'static str,
    },

    /// A revision that cannot be a branch, tag or commit.
    #[error("`{revision}` is not a revision: expected a branch, tag or commit hash")]
    InvalidRevision {
        /// The revision given.
        revision: String,
    },

    /// The hub's address is not a URL.
    #[error("the hub endpoint `{endpoint}` is not an `http://` or `https://` address")]
    InvalidEndpoint {
        /// The address given.
        endpoint: String,
    },

    /// No cache folder is known.
    #[error("no folder for the model cache: neither a cache variable nor a home folder is set")]
    NoCacheFolder,

    /// Offline, and the cache does not hold what is needed.
    #[error("offline, and `{name}` (revision `{revision}`) is not complete in the cache: missing {} in `{}`", missing.join(", "), cache.display())]
    NotCached {
        /// The hub id.
        name: String,
        /// The revision looked for.
        revision: String,
        /// The folder of this model inside the cache.
        cache: PathBuf,
        /// The files looked for and not found.
        missing: Vec<String>,
    },

    /// The hub does not know the model or the revision.
    #[error("the hub at `{endpoint}` has no model `{name}` with revision `{revision}`")]
    UnknownModel {
        /// The hub id.
        name: String,
        /// The revision asked for.
        revision: String,
        /// The hub's address.
        endpoint: String,
    },

    /// The hub wants another or any token.
    #[error("the hub at `{endpoint}` refuses access to `{name}` (HTTP {status}, {})", if *token_given { "with a token" } else { "without a token" })]
    AccessDenied {
        /// The hub id.
        name: String,
        /// The hub's address.
        endpoint: String,
        /// The HTTP status: 401 or 403.
        status: u16,
        /// Whether a token was sent.
        token_given: bool,
    },

    /// The hub answered with an unexpected status.
    #[error("the hub answered HTTP {status} for `{file}` of `{name}`")]
    ServerStatus {
        /// The hub id.
        name: String,
        /// The file asked for, or `model index`.
        file: String,
        /// The HTTP status.
        status: u16,
    },

    /// A transfer failed before its end.
    #[error("download of `{file}` of `{name}` failed: {source}")]
    Download {
        /// The hub id.
        name: String,
        /// The file asked for, or `model index`.
        file: String,
        /// The transport's reason.
        source: BoxedError,
    },

    /// A transfer ended with the wrong number of bytes, or from another commit.
    #[error("download of `{file}` of `{name}` is not what was announced: expected {expected}, got {got}")]
    DownloadMismatch {
        /// The hub id.
        name: String,
        /// The file.
        file: String,
        /// What the hub announced.
        expected: String,
        /// What arrived.
        got: String,
    },

    /// The caller's progress callback asked to stop.
    #[error("download of `{file}` of `{name}` was cancelled")]
    Cancelled {
        /// The hub id.
        name: String,
        /// The file in transfer.
        file: String,
    },

    /// A file is larger than its kind may be.
    #[error("`{}` is too large: expected at most {limit} bytes, got {got}", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes accepted.
        limit: u64,
        /// The file's size in bytes.
        got: u64,
    },

    /// A file is not JSON.
    #[error("`{}` is not valid JSON at line {line}, column {column}: {problem}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The parser's complaint.
        problem: String,
    },

    /// A field of a JSON file has the wrong kind of value.
    #[error("`{field}` in `{}`: expected {expected}, got {got}", path.display())]
    InvalidField {
        /// The file.
        path: PathBuf,
        /// The field, with dots between levels.
        field: String,
        /// The kind of value expected.
        expected: &'static str,
        /// The value found, shortened.
        got: String,
    },

    /// A weight file's header or index is malformed.
    #[error("`{}`: {what}: expected {expected}, got {got}", path.display())]
    InvalidHeader {
        /// The weight file or index.
        path: PathBuf,
        /// The part of the header.
        what: &'static str,
        /// What the format asks for.
        expected: String,
        /// What the file holds.
        got: String,
    },

    /// A tensor's entry in a weight file is malformed.
    #[error("`{}`, tensor `{tensor}`: {what}: expected {expected}, got {got}", path.display())]
    InvalidTensor {
        /// The weight file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The part of the entry.
        what: &'static str,
        /// What the format asks for.
        expected: String,
        /// What the file holds.
        got: String,
    },

    /// One name stands for two tensors.
    #[error("tensor `{tensor}` occurs twice: in `{}` and in `{}`", first.display(), second.display())]
    DuplicateTensor {
        /// The name.
        tensor: String,
        /// The file of the first.
        first: PathBuf,
        /// The file of the second, often the same.
        second: PathBuf,
    },

    /// A shard index names a file that is not there.
    #[error("`{}` names shard `{shard}`, which is not in the folder", index.display())]
    MissingShard {
        /// The index file.
        index: PathBuf,
        /// The shard's file name.
        shard: String,
    },

    /// A shard index puts a tensor into a shard that does not hold it.
    #[error("`{}` puts tensor `{tensor}` into `{shard}`, which does not hold it", index.display())]
    ShardLacksTensor {
        /// The index file.
        index: PathBuf,
        /// The shard's file name.
        shard: String,
        /// The tensor's name.
        tensor: String,
    },

    /// A PyTorch checkpoint is malformed.
    #[error("`{}`, byte {offset}: {what}: expected {expected}, got {got}", path.display())]
    InvalidCheckpoint {
        /// The checkpoint.
        path: PathBuf,
        /// Where in the file, or in its `data.pkl` for faults of the pickle.
        offset: u64,
        /// The part of the checkpoint.
        what: &'static str,
        /// What the format asks for.
        expected: String,
        /// What the file holds.
        got: String,
    },

    /// A PyTorch checkpoint wants a Python class or function that state dicts do not need.
    #[error("`{}` wants the Python global `{global}`, which is not part of a plain state dict", path.display())]
    UnsupportedGlobal {
        /// The checkpoint.
        path: PathBuf,
        /// Module and name with a dot between.
        global: String,
    },

    /// A PyTorch checkpoint of the time before PyTorch 1.6.
    #[error("`{}` is a PyTorch checkpoint in the legacy format, which is not a zip archive", path.display())]
    LegacyCheckpoint {
        /// The checkpoint.
        path: PathBuf,
    },

    /// The tokenizer library refused `tokenizer.json`.
    #[error("cannot read the tokenizer `{}`: {source}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        source: BoxedError,
    },

    /// A text could not be encoded, or ids not decoded.
    #[error("cannot {action} with the tokenizer `{}`: {source}", path.display())]
    Tokenize {
        /// The tokenizer's file.
        path: PathBuf,
        /// `encode` or `decode`.
        action: &'static str,
        /// The library's reason.
        source: BoxedError,
    },

    /// A token id outside the vocabulary.
    #[error("token id {id} is not in the vocabulary: expected an id below {limit}")]
    UnknownTokenId {
        /// The id.
        id: u32,
        /// One more than the largest id.
        limit: u32,
    },

    /// The model folder has no chat template of that name.
    #[error("`{}` has no chat template{}", folder.display(), name.as_ref().map(|n| format!(" named `{n}`")).unwrap_or_default())]
    NoChatTemplate {
        /// The model folder.
        folder: PathBuf,
        /// The name asked for; nothing for the default.
        name: Option<String>,
        /// The names that exist.
        known: Vec<String>,
    },

    /// A chat template does not parse or cannot be rendered.
    #[error("chat template in `{}`, line {line}: {problem}", path.display())]
    ChatTemplate {
        /// The file that holds the template.
        path: PathBuf,
        /// Line inside the template, from 1; 0 when unknown.
        line: usize,
        /// The template engine's complaint.
        problem: String,
    },

    /// A chat template refused the messages by calling `raise_exception`.
    #[error("the chat template refuses these messages: {message}")]
    ChatRefused {
        /// The template's own words.
        message: String,
    },
}

impl HubError {
    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, action, source }
    }

    /// What the user can do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::FolderNotFound { .. } => {
                "give the path of a folder with a `config.json`, or a hub id such as `openai-community/gpt2`".into()
            }
            Self::MissingFile { file, .. } if file.contains("config.json") => {
                "a model folder is one that `save_pretrained` wrote".into()
            }
            Self::MissingFile { file, .. } if file.contains("tokenizer.json") => {
                "load it with `AutoTokenizer` in Python and call `save_pretrained` to write a `tokenizer.json`".into()
            }
            Self::InvalidModelName { .. } => "hub ids look like `organisation/name` or `name`".into(),
            Self::InvalidEndpoint { .. } => "set `HF_ENDPOINT` to an address such as `https://huggingface.co`".into(),
            Self::NoCacheFolder => "set `HF_HOME`".into(),
            Self::NotCached { .. } => {
                "unset `HF_HUB_OFFLINE` to download it, or give the path of a local model folder".into()
            }
            Self::UnknownModel { .. } => {
                "check the spelling of the name and the revision; a path to a local folder needs a `config.json` in it".into()
            }
            Self::AccessDenied { status: 401, token_given: false, name, .. } => format!(
                "the model may be private, gated or misspelt: set `HF_TOKEN` to a token that may read `{name}`, or check the name"
            ),
            Self::AccessDenied { token_given: false, name, .. } => {
                format!("set `HF_TOKEN` to a token of an account that was granted access to `{name}`")
            }
            Self::AccessDenied { name, endpoint, .. } => {
                format!("the token in `HF_TOKEN` has no access: ask for it on the model's page, {endpoint}/{name}")
            }
            Self::Download { .. } | Self::DownloadMismatch { .. } | Self::ServerStatus { .. } | Self::Cancelled { .. } => {
                "try again: complete files are kept and a partial one is continued".into()
            }
            Self::UnsupportedGlobal { .. } => {
                "nothing in the file was executed; if you trust it, load it in Python and save the state dict with `safetensors`".into()
            }
            Self::LegacyCheckpoint { .. } => {
                "load it in Python and save it again with `save_pretrained(..., safe_serialization=True)`".into()
            }
            Self::MissingShard { .. } | Self::ShardLacksTensor { .. } => {
                "the folder is incomplete or mixes two versions of the model: fetch it again".into()
            }
            Self::InvalidHeader { .. } | Self::InvalidTensor { .. } | Self::InvalidCheckpoint { .. } => {
                "the file is damaged or was cut short: fetch it again".into()
            }
            Self::NoChatTemplate { known, .. } if !known.is_empty() => format!("known templates: {}", known.join(", ")),
            Self::NoChatTemplate { .. } => "base models have none; write the prompt as plain text".into(),
            _ => return None,
        })
    }
}

/// A JSON value in a few words, for the `got` of an error.
pub(crate) fn describe(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(fields) => format!("an object of {} fields", fields.len()),
        Value::String(text) if text.chars().count() > 60 => {
            format!("\"{}…\"", text.chars().take(60).collect::<String>())
        }
        other => other.to_string(),
    }
}
