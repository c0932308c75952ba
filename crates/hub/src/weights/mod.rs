//! The weights of a model folder: every tensor of every file, mapped into memory.

mod entry;
mod pickle;
mod safetensors;
mod shards;
mod torch;
mod view;
mod zip;

#[cfg(target_endian = "big")]
compile_error!("weight files are little-endian and are mapped as they are");

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use self::entry::{Place, TensorEntry, gather};
pub(crate) use self::shards::read_index;
pub use self::view::{MappedBytes, WeightDtype, WeightView};
use crate::error::{HubError, Result};

/// The layouts of weight files, the preferred first.
pub(crate) const LAYOUTS: [WeightLayout; 4] = [
    WeightLayout { file: "model.safetensors", is_index: false },
    WeightLayout { file: "model.safetensors.index.json", is_index: true },
    WeightLayout { file: "pytorch_model.bin", is_index: false },
    WeightLayout { file: "pytorch_model.bin.index.json", is_index: true },
];

/// A file that holds all weights, or the index of the shards that do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WeightLayout {
    pub(crate) file: &'static str,
    pub(crate) is_index: bool,
}

/// All tensors of a model folder, by name.
///
/// Opening maps the files and checks their headers against their lengths; the tensors' bytes are read when somebody
/// looks at them.
///
/// ```no_run
/// # fn main() -> pellucid_hub::Result<()> {
/// let weights = pellucid_hub::Weights::open(std::path::Path::new("gpt2"))?;
/// if let Some(wte) = weights.tensor("wte.weight") {
///     assert_eq!(wte.shape, [50257, 768]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Weights {
    files: Vec<WeightFile>,
    /// The index of the file, and the tensor's place in it.
    tensors: BTreeMap<String, (usize, TensorEntry)>,
}

#[derive(Debug)]
struct WeightFile {
    path: PathBuf,
    map: Arc<Mmap>,
}

impl Weights {
    /// Opens the weights of a model folder: the first there is of `model.safetensors`,
    /// `model.safetensors.index.json`, `pytorch_model.bin` and `pytorch_model.bin.index.json`.
    ///
    /// # Errors
    ///
    /// [`HubError::MissingFile`] when there are none; the errors of the index ([`HubError::MissingShard`],
    /// [`HubError::ShardLacksTensor`]); and any fault of a file's header.
    pub fn open(folder: &Path) -> Result<Self> {
        let Some(layout) = LAYOUTS.iter().find(|layout| folder.join(layout.file).exists()) else {
            let file = LAYOUTS.map(|layout| format!("`{}`", layout.file)).join(", ");
            return Err(HubError::MissingFile {
                folder: folder.to_owned(),
                file: format!("weight file: {file}"),
            });
        };
        let path = folder.join(layout.file);
        if !layout.is_index {
            return Self::open_files(&[path]);
        }

        let index = read_index(&path)?;
        let shards = index.shards();
        if let Some(shard) = shards.iter().find(|shard| !folder.join(shard).exists()) {
            return Err(HubError::MissingShard { index: path, shard: shard.clone() });
        }
        let paths: Vec<PathBuf> = shards.iter().map(|shard| folder.join(shard)).collect();
        let weights = Self::open_files(&paths)?;
        for (tensor, shard) in &index.weight_map {
            let held = weights.tensors.get(tensor).is_some_and(|(file, _)| shards[*file] == *shard);
            if !held {
                return Err(HubError::ShardLacksTensor {
                    index: path,
                    shard: shard.clone(),
                    tensor: tensor.clone(),
                });
            }
        }
        Ok(weights)
    }

    /// Opens these files as one set of tensors. Files ending in `.safetensors` are read as such, others as PyTorch
    /// checkpoints.
    ///
    /// # Errors
    ///
    /// Any fault of a file's header, and [`HubError::DuplicateTensor`] when two files hold the same name.
    pub fn open_files(paths: &[PathBuf]) -> Result<Self> {
        let mut weights = Self { files: Vec::with_capacity(paths.len()), tensors: BTreeMap::new() };
        for path in paths {
            weights.add(path)?;
        }
        Ok(weights)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let map = map_file(path)?;
        let is_safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
        let entries = if is_safetensors {
            safetensors::parse_header(path, &map)?
        } else {
            torch::parse_checkpoint(path, &map)?
        };
        let file = self.files.len();
        self.files.push(WeightFile { path: path.to_owned(), map: Arc::new(map) });
        for entry in entries {
            match self.tensors.entry(entry.name.clone()) {
                Entry::Vacant(slot) => {
                    slot.insert((file, entry));
                }
                Entry::Occupied(slot) => {
                    return Err(HubError::DuplicateTensor {
                        tensor: entry.name,
                        first: self.files[slot.get().0].path.clone(),
                        second: path.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// The tensor of this name.
    ///
    /// Contiguous tensors point into the file's map. The others, which only PyTorch checkpoints have, are gathered
    /// into memory at each call.
    pub fn tensor(&self, name: &str) -> Option<WeightView> {
        let (file, entry) = self.tensors.get(name)?;
        let map = &self.files[*file].map;
        let bytes = match &entry.place {
            Place::Range(range) => MappedBytes::mapped(Arc::clone(map), range.clone()),
            Place::Strided { start, strides } => {
                MappedBytes::gathered(gather(map, entry.dtype.size(), &entry.shape, *start, strides))
            }
        };
        Some(WeightView { dtype: entry.dtype, shape: entry.shape.clone(), bytes })
    }

    /// The dtype and shape of a tensor, without touching its bytes.
    pub fn description(&self, name: &str) -> Option<(WeightDtype, &[usize])> {
        self.tensors.get(name).map(|(_, entry)| (entry.dtype, entry.shape.as_slice()))
    }

    /// The file that holds a tensor.
    pub fn file_of(&self, name: &str) -> Option<&Path> {
        self.tensors.get(name).map(|(file, _)| self.files[*file].path.as_path())
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The files, in the order opened.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }
}

fn map_file(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(HubError::io(path, "open"))?;
    let metadata = file.metadata().map_err(HubError::io(path, "read"))?;
    if !metadata.is_file() {
        let kind = std::io::Error::from(std::io::ErrorKind::InvalidInput);
        return Err(HubError::Io { path: path.to_owned(), action: "map", source: kind });
    }
    #[expect(unsafe_code, reason = "memory-mapping a file has no safe form")]
    // SAFETY: the map is read-only and private to this process. A file that is changed by another process while
    // mapped can change under us, which `MappedBytes` documents; no value read from it is trusted without a check.
    let map = unsafe { Mmap::map(&file) };
    map.map_err(HubError::io(path, "map"))
}
