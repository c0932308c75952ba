//! Reading the Hugging Face cache: `models--org--name/{refs,snapshots,blobs}`.

use std::path::{Path, PathBuf};

use super::{FileSelection, ModelFolder, ModelOrigin};
use crate::error::Result;
use crate::weights::{LAYOUTS, read_index};

/// The folder of one model inside the cache.
pub(crate) struct CachedModel {
    folder: PathBuf,
}

impl CachedModel {
    pub(crate) fn new(cache: &Path, name: &str) -> Self {
        Self { folder: cache.join(format!("models--{}", name.replace('/', "--"))) }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// The snapshot a revision points to: through `refs`, or named by the commit itself.
    pub(crate) fn snapshot(&self, revision: &str) -> Option<Snapshot> {
        let commit = match crate::json::read_bytes(&self.folder.join("refs").join(revision), 256) {
            Ok(bytes) => String::from_utf8(bytes).ok()?.trim().to_owned(),
            Err(_) => revision.to_owned(),
        };
        self.snapshot_of(&commit)
    }

    /// The snapshot of a commit, if the cache has any file of it.
    pub(crate) fn snapshot_of(&self, commit: &str) -> Option<Snapshot> {
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let path = self.folder.join("snapshots").join(commit);
        path.is_dir().then(|| Snapshot { path, commit: commit.to_owned() })
    }
}

/// The files of one commit.
pub(crate) struct Snapshot {
    pub(crate) path: PathBuf,
    commit: String,
}

impl Snapshot {
    /// Whether a file is there. Files in transfer lie elsewhere, so one that is there is whole.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.path.join(file).exists()
    }

    /// The files that are needed and are not there.
    pub(crate) fn missing(&self, files: FileSelection) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        if !self.has("config.json") {
            missing.push("config.json".to_owned());
        }
        if files == FileSelection::All {
            match LAYOUTS.iter().find(|layout| self.has(layout.file)) {
                None => missing.push("weight files".to_owned()),
                Some(layout) if layout.is_index => {
                    let shards = read_index(&self.path.join(layout.file))?.shards();
                    missing.extend(shards.into_iter().filter(|shard| !self.has(shard)));
                }
                Some(_) => {}
            }
        }
        Ok(missing)
    }

    pub(crate) fn folder(&self) -> ModelFolder {
        ModelFolder { path: self.path.clone(), origin: ModelOrigin::Cache { commit: self.commit.clone() } }
    }
}
