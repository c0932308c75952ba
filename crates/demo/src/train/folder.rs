//! The model folder: staged beside its place, and moved there when it is complete.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::TrainError;
use super::safetensors::{NamedTensor, serialize};
use crate::write_tokenizer;

/// What a model folder holds.
pub(super) struct Contents<'a> {
    pub(super) config: Value,
    pub(super) weights: Vec<NamedTensor>,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) n_ctx: usize,
    pub(super) curve: Value,
    pub(super) card: String,
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
    let path = path.to_owned();
    move |source| TrainError::Write { path, source }
}

/// Refuses a folder that holds something else than a model.
pub(super) fn check(folder: &Path) -> Result<(), TrainError> {
    let occupied = || TrainError::Occupied { path: folder.to_owned() };
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            let ours = entries.next().is_none() || folder.join("config.json").is_file();
            if ours { Ok(()) } else { Err(occupied()) }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Err(occupied()),
        Err(error) => Err(failed(folder)(error)),
    }
}

/// A folder that is gone at the end of its scope, whatever happens.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Contents<'_> {
    /// Writes everything, so that each file of `folder` is at every moment either the old one or the new one.
    pub(super) fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let staging = Staging(parent.join(format!(".{name}.{}", std::process::id())));
        fs::create_dir_all(&staging.0).map_err(failed(&staging.0))?;
        self.fill(&staging.0)?;
        if !folder.exists() {
            return fs::rename(&staging.0, folder).map_err(failed(folder));
        }
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&staging.0).map_err(failed(&staging.0))? {
            files.push(entry.map_err(failed(&staging.0))?.path());
        }
        for file in files {
            let place = folder.join(file.file_name().unwrap_or_default());
            fs::rename(&file, &place).map_err(failed(&place))?;
        }
        Ok(())
    }

    fn fill(&self, staging: &Path) -> Result<(), TrainError> {
        write_tokenizer(self.tokenizer, self.n_ctx, staging)?;
        let generation = json!({ "bos_token_id": 0, "eos_token_id": 0 });
        let files = [
            ("config.json", format!("{:#}\n", self.config).into_bytes()),
            ("generation_config.json", format!("{generation:#}\n").into_bytes()),
            ("model.safetensors", serialize(&self.weights)),
            ("curve.json", format!("{}\n", self.curve).into_bytes()),
            ("README.md", self.card.clone().into_bytes()),
        ];
        for (name, bytes) in files {
            let path = staging.join(name);
            fs::write(&path, bytes).map_err(failed(&path))?;
        }
        Ok(())
    }
}
