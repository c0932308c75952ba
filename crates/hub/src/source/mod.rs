//! From a path or a hub id to a model folder.

mod cache;
mod download;
mod name;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::cache::CachedModel;
pub use self::download::{DownloadEvent, DownloadProgress};
use self::name::{check_revision, looks_like_path, parse_hub_id};
use crate::chat::ChatTemplate;
use crate::environment::HubEnvironment;
use crate::error::{HubError, Result};
use crate::generation::GenerationConfig;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

/// Which files of a model are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FileSelection {
    /// Configuration, tokenizer and weights.
    #[default]
    All,
    /// Configuration and tokenizer: enough for a model's skeleton, without its weights.
    ConfigOnly,
}

/// How a model is looked for and fetched.
#[derive(Clone)]
pub struct HubOptions {
    /// The cache, the hub's address, the token, and whether to stay offline.
    pub environment: HubEnvironment,
    /// A branch, tag or commit hash; `main` by default. Local folders have none and ignore it.
    pub revision: Option<String>,
    /// The files that must be there.
    pub files: FileSelection,
    /// Told about each download; it can cancel it.
    pub progress: Option<Arc<dyn DownloadProgress>>,
    /// How often a transfer that broke off is continued before it is an error.
    pub retries: usize,
}

impl HubOptions {
    /// Options with this environment, revision `main`, all files, no progress callback and three retries.
    pub fn new(environment: HubEnvironment) -> Self {
        Self { environment, revision: None, files: FileSelection::All, progress: None, retries: 3 }
    }

    /// [`HubOptions::new`] with the environment of the running process.
    pub fn from_env() -> Self {
        Self::new(HubEnvironment::from_env())
    }

    fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }
}

impl std::fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubOptions")
            .field("environment", &self.environment)
            .field("revision", &self.revision)
            .field("files", &self.files)
            .field("progress", &self.progress.is_some())
            .field("retries", &self.retries)
            .finish()
    }
}

/// Where a model folder came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelOrigin {
    /// A folder given by its path.
    Local,
    /// The Hugging Face cache, without asking the hub.
    Cache {
        /// The commit of the snapshot.
        commit: String,
    },
    /// The hub was asked, and files that the cache lacked were downloaded into it.
    Hub {
        /// The commit of the snapshot.
        commit: String,
    },
}

/// The entry point for finding models.
#[derive(Debug, Clone, Copy)]
pub struct ModelSource;

impl ModelSource {
    /// Finds the model folder for a path or a hub id.
    ///
    /// In this order: a local folder with a `config.json`; a complete snapshot in the Hugging Face cache, which is
    /// used without asking the hub for a newer one; the hub, from which only the needed files that the cache lacks
    /// are downloaded into the cache. A cached snapshot without a `tokenizer.json` is used as it is when the hub
    /// cannot be reached.
    ///
    /// # Errors
    ///
    /// [`HubError::FolderNotFound`] and [`HubError::MissingFile`] for paths, [`HubError::InvalidModelName`],
    /// [`HubError::NotCached`] when offline, [`HubError::UnknownModel`], [`HubError::AccessDenied`],
    /// [`HubError::Download`] and its kin.
    ///
    /// ```no_run
    /// use pellucid_hub::{HubOptions, ModelSource};
    ///
    /// # fn main() -> pellucid_hub::Result<()> {
    /// let folder = ModelSource::resolve("openai-community/gpt2", &HubOptions::from_env())?;
    /// let config = folder.config()?;
    /// assert_eq!(config["model_type"], "gpt2");
    /// # Ok(())
    /// # }
    /// ```
    pub fn resolve(name_or_path: &str, options: &HubOptions) -> Result<ModelFolder> {
        let local = Path::new(name_or_path);
        if !name_or_path.is_empty() && local.join("config.json").exists() {
            return Ok(ModelFolder::local(local));
        }
        if looks_like_path(name_or_path) {
            return Err(if local.is_dir() {
                HubError::MissingFile { folder: local.to_owned(), file: "`config.json`".into() }
            } else {
                HubError::FolderNotFound { path: local.to_owned() }
            });
        }
        let name = parse_hub_id(name_or_path)?;
        let revision = check_revision(options.revision())?;
        let Some(cache) = &options.environment.cache else {
            return Err(HubError::NoCacheFolder);
        };
        let cache = std::path::absolute(cache).map_err(HubError::io(cache, "find"))?;
        let cached = CachedModel::new(&cache, name);
        let snapshot = cached.snapshot(revision);
        let missing = match &snapshot {
            Some(snapshot) => snapshot.missing(options.files)?,
            None => vec!["a snapshot of that revision".to_owned()],
        };
        let usable = snapshot.filter(|_| missing.is_empty());
        if let Some(snapshot) = &usable
            && (options.environment.offline || snapshot.has("tokenizer.json"))
        {
            return Ok(snapshot.folder());
        }
        if options.environment.offline {
            let (name, revision) = (name.to_owned(), revision.to_owned());
            return Err(HubError::NotCached { name, revision, cache: cached.folder(), missing });
        }
        match (download::fetch_model(name, revision, &cache, options), usable) {
            (Ok(folder), _) => Ok(folder),
            (Err(HubError::Download { .. } | HubError::ServerStatus { .. }), Some(snapshot)) => {
                Ok(snapshot.folder())
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// A folder with a model in it, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFolder {
    path: PathBuf,
    origin: ModelOrigin,
}

impl ModelFolder {
    fn local(path: &Path) -> Self {
        Self { path: path.to_owned(), origin: ModelOrigin::Local }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the folder came from.
    pub fn origin(&self) -> &ModelOrigin {
        &self.origin
    }

    /// The path of a file, if it is there.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.path.join(name);
        path.exists().then_some(path)
    }

    /// Reads `config.json`; see [`crate::read_config`].
    ///
    /// # Errors
    ///
    /// Those of [`crate::read_config`].
    pub fn config(&self) -> Result<serde_json::Value> {
        crate::read_config(&self.path)
    }

    /// Opens the weights; see [`Weights::open`].
    ///
    /// # Errors
    ///
    /// Those of [`Weights::open`].
    pub fn weights(&self) -> Result<Weights> {
        Weights::open(&self.path)
    }

    /// Loads the tokenizer; see [`Tokenizer::load`].
    ///
    /// # Errors
    ///
    /// Those of [`Tokenizer::load`].
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        Tokenizer::load(&self.path)
    }

    /// Reads the generation settings; see [`GenerationConfig::load`].
    ///
    /// # Errors
    ///
    /// Those of [`GenerationConfig::load`].
    pub fn generation_config(&self) -> Result<GenerationConfig> {
        GenerationConfig::load(&self.path)
    }

    /// Reads the chat template; see [`ChatTemplate::load`].
    ///
    /// # Errors
    ///
    /// Those of [`ChatTemplate::load`].
    pub fn chat_template(&self) -> Result<ChatTemplate> {
        ChatTemplate::load(&self.path)
    }
}
