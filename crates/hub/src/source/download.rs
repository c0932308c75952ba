//! Downloading the needed files of a model into the Hugging Face cache, through the `hf-hub` crate.
//!
//! A transfer is written to a `.part` file among the blobs and moved into place when it is complete, so a file in a
//! snapshot is never half-written, however the process ends. The hub's address is trusted to name blobs sensibly;
//! what it sends is checked when it is read.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::cache::CachedModel;
use super::{FileSelection, HubOptions, ModelFolder, ModelOrigin};
use crate::error::{HubError, Result};
use crate::weights::{LAYOUTS, read_index};

/// The small files, fetched when the hub has them; `config.json` must be there.
const SMALL_FILES: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// What errors call the list of a model's files.
const INDEX: &str = "model index";

/// What a download is doing. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownloadEvent<'a> {
    /// A file's transfer begins.
    Started {
        /// The file's name in the repository.
        file: &'a str,
        /// The file's size.
        total: u64,
    },
    /// More of a file has arrived.
    Advanced {
        /// The file's name in the repository.
        file: &'a str,
        /// How much is here so far, counting what an earlier, broken-off transfer left.
        received: u64,
        /// The file's size.
        total: u64,
    },
    /// A file is complete.
    Finished {
        /// The file's name in the repository.
        file: &'a str,
        /// The file's size.
        total: u64,
    },
}

/// Told how downloads go; the caller draws. Called from the thread that resolves.
pub trait DownloadProgress: Send + Sync {
    /// Takes notice of an event. `Break` cancels the download, which then ends in [`HubError::Cancelled`]; what has
    /// arrived is kept and continued next time.
    fn on_event(&self, event: DownloadEvent<'_>) -> ControlFlow<()>;
}

/// Fetches the files that the cache lacks and returns the snapshot's folder.
pub(crate) fn fetch_model(
    name: &str,
    revision: &str,
    cache: &Path,
    options: &HubOptions,
) -> Result<ModelFolder> {
    let hub = Hub::connect(name, revision, cache, options)?;
    let info = hub.guard(INDEX, || hub.repo.info())?.map_err(|error| hub.translate(INDEX, error))?;
    if info.sha.is_empty() || !info.sha.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(hub.mismatch(INDEX, "a commit hash", format!("`{}`", info.sha)));
    }
    let known: BTreeSet<&str> = info.siblings.iter().map(|sibling| sibling.rfilename.as_str()).collect();
    let lacks = |file: &str| HubError::MissingFile {
        folder: PathBuf::from(format!("{}/{name}", hub.endpoint)),
        file: file.to_owned(),
    };
    if !known.contains("config.json") {
        return Err(lacks("`config.json`"));
    }

    let mut folder = None;
    for file in SMALL_FILES.iter().filter(|file| known.contains(**file)) {
        folder = Some(hub.fetch_file(file, &info.sha)?);
    }
    if options.files == FileSelection::All {
        let layout = LAYOUTS.iter().find(|layout| known.contains(layout.file)).ok_or_else(|| {
            lacks(&format!("weight file: {}", LAYOUTS.map(|layout| format!("`{}`", layout.file)).join(", ")))
        })?;
        let snapshot = hub.fetch_file(layout.file, &info.sha)?;
        if layout.is_index {
            let index = snapshot.join(layout.file);
            for shard in read_index(&index)?.shards() {
                if !known.contains(shard.as_str()) {
                    return Err(HubError::MissingShard { index, shard });
                }
                hub.fetch_file(&shard, &info.sha)?;
            }
        }
        folder = Some(snapshot);
    }
    let path = folder.ok_or_else(|| lacks("`config.json`"))?;
    Ok(ModelFolder { path, origin: ModelOrigin::Hub { commit: info.sha } })
}

/// One model on the hub.
struct Hub<'a> {
    name: &'a str,
    revision: &'a str,
    endpoint: &'a str,
    token_given: bool,
    cached: CachedModel,
    api: Api,
    repo: ApiRepo,
    progress: Option<Arc<dyn DownloadProgress>>,
}

impl<'a> Hub<'a> {
    fn connect(name: &'a str, revision: &'a str, cache: &Path, options: &'a HubOptions) -> Result<Self> {
        let environment = &options.environment;
        let endpoint = environment.endpoint.trim_end_matches('/');
        let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        if host.is_none_or(str::is_empty) || endpoint.contains(char::is_whitespace) {
            return Err(HubError::InvalidEndpoint { endpoint: endpoint.to_owned() });
        }
        let api = ApiBuilder::from_cache(Cache::new(cache.to_owned()))
            .with_endpoint(endpoint.to_owned())
            .with_token(environment.token.as_ref().map(|token| token.secret().to_owned()))
            .with_progress(false)
            .with_retries(options.retries)
            .with_user_agent("pellucid", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|source| HubError::Download {
                name: name.to_owned(),
                file: INDEX.into(),
                source: source.into(),
            })?;
        let repo = api.repo(Repo::with_revision(name.to_owned(), RepoType::Model, revision.to_owned()));
        let token_given = environment.token.is_some();
        let cached = CachedModel::new(cache, name);
        Ok(Self {
            name,
            revision,
            endpoint,
            token_given,
            cached,
            api,
            repo,
            progress: options.progress.clone(),
        })
    }

    /// Makes sure that a file of the commit is in the cache, and returns its snapshot's folder.
    fn fetch_file(&self, file: &str, commit: &str) -> Result<PathBuf> {
        if let Some(snapshot) = self.cached.snapshot_of(commit)
            && snapshot.has(file)
        {
            return Ok(snapshot.path);
        }
        let total = AtomicU64::new(0);
        let attempt = || {
            let reporter = Reporter {
                callback: self.progress.clone(),
                file: file.to_owned(),
                total: &total,
                received: 0,
            };
            self.guard(file, || self.repo.download_with_progress(file, reporter))
        };
        let result = match attempt()? {
            Err(ApiError::InvalidResume) => {
                self.drop_partial(file)?;
                attempt()?
            }
            result => result,
        };
        let path = result.map_err(|error| self.translate(file, error))?;

        // A server that ignores the range of a continued transfer sends the whole file again.
        let expected = total.load(Ordering::Relaxed);
        let got = std::fs::metadata(&path).map_err(HubError::io(&path, "read"))?.len();
        if got != expected {
            let blob = std::fs::canonicalize(&path).map_err(HubError::io(&path, "read"))?;
            std::fs::remove_file(&path).map_err(HubError::io(&path, "remove"))?;
            if blob != path && blob.exists() {
                std::fs::remove_file(&blob).map_err(HubError::io(&blob, "remove"))?;
            }
            return Err(self.mismatch(file, &format!("{expected} bytes"), format!("{got} bytes")));
        }
        match self.cached.snapshot_of(commit) {
            Some(snapshot) if snapshot.has(file) => Ok(snapshot.path),
            _ => Err(self.mismatch(
                file,
                &format!("a file of commit {commit}"),
                "one of another commit".into(),
            )),
        }
    }

    /// Removes what a transfer left that cannot be continued.
    fn drop_partial(&self, file: &str) -> Result<()> {
        let metadata = self.guard(file, || self.api.metadata(&self.repo.url(file)))?;
        let etag = metadata.map_err(|error| self.translate(file, error))?.etag().to_owned();
        let path = self.cached.folder().join("blobs").join(etag).with_extension("part");
        std::fs::remove_file(&path).map_err(HubError::io(path.clone(), "remove"))
    }

    /// Runs a call of `hf-hub`, which panics on some malformed answers, and turns a cancellation into its error.
    fn guard<T>(&self, file: &str, call: impl FnOnce() -> T) -> Result<T> {
        catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
            let (name, file) = (self.name.to_owned(), file.to_owned());
            if payload.is::<Cancellation>() {
                return HubError::Cancelled { name, file };
            }
            HubError::Download { name, file, source: "the hub's answer is malformed".into() }
        })
    }

    fn mismatch(&self, file: &str, expected: &str, got: String) -> HubError {
        let (name, file) = (self.name.to_owned(), file.to_owned());
        HubError::DownloadMismatch { name, file, expected: expected.to_owned(), got }
    }

    fn translate(&self, file: &str, error: ApiError) -> HubError {
        let (name, file) = (self.name.to_owned(), file.to_owned());
        let endpoint = self.endpoint.to_owned();
        match status(&error) {
            Some(404) if file == INDEX => {
                HubError::UnknownModel { name, revision: self.revision.to_owned(), endpoint }
            }
            Some(status @ (401 | 403)) => {
                HubError::AccessDenied { name, endpoint, status, token_given: self.token_given }
            }
            Some(status) => HubError::ServerStatus { name, file, status },
            None => HubError::Download { name, file, source: error.into() },
        }
    }
}

/// The HTTP status inside an error, if that is what it is about.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        ApiError::TooManyRetries(error) => status(error),
        _ => None,
    }
}

/// Unwinds out of `hf-hub`, whose progress trait has no other way to stop a transfer.
struct Cancellation;

/// Passes the progress of one file on.
struct Reporter<'a> {
    callback: Option<Arc<dyn DownloadProgress>>,
    file: String,
    total: &'a AtomicU64,
    received: u64,
}

impl Reporter<'_> {
    fn report(&self, event: DownloadEvent<'_>) {
        if let Some(callback) = &self.callback
            && callback.on_event(event).is_break()
        {
            // Not `panic!`: this is no fault, and the panic hook must not print.
            resume_unwind(Box::new(Cancellation));
        }
    }
}

impl hf_hub::api::Progress for Reporter<'_> {
    fn init(&mut self, size: usize, _filename: &str) {
        let first = self.total.swap(size as u64, Ordering::Relaxed) == 0;
        // Called again for each attempt, which then reports what is already there.
        self.received = 0;
        if first {
            self.report(DownloadEvent::Started { file: &self.file, total: size as u64 });
        }
    }

    fn update(&mut self, size: usize) {
        self.received += size as u64;
        let total = self.total.load(Ordering::Relaxed);
        self.report(DownloadEvent::Advanced { file: &self.file, received: self.received, total });
    }

    fn finish(&mut self) {
        let total = self.total.load(Ordering::Relaxed);
        self.report(DownloadEvent::Finished { file: &self.file, total });
    }
}
