//! What a reader of weights gets: a dtype, a shape and bytes.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::Mmap;

/// The element types that weight files hold, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WeightDtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single-precision float.
    Bf16,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 8 bits.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl WeightDtype {
    /// The size of one element in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}

/// A range of a memory-mapped file, or bytes that were gathered from one; cheap to clone.
///
/// The map stays alive as long as any range of it. As with every memory map, the file must not be cut short while it
/// is mapped: reading past the new end stops the process.
#[derive(Clone)]
pub struct MappedBytes {
    source: Source,
    range: Range<usize>,
}

#[derive(Clone)]
enum Source {
    Map(Arc<Mmap>),
    Gathered(Arc<[u8]>),
}

impl MappedBytes {
    /// `range` must lie inside the map; the readers check every range when a file is opened.
    pub(crate) fn mapped(map: Arc<Mmap>, range: Range<usize>) -> Self {
        debug_assert!(range.start <= range.end && range.end <= map.len());
        Self { source: Source::Map(map), range }
    }

    pub(crate) fn gathered(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { source: Source::Gathered(bytes.into()), range }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        let all: &[u8] = match &self.source {
            Source::Map(map) => map,
            Source::Gathered(bytes) => bytes,
        };
        &all[self.range.clone()]
    }

    /// Whether the bytes lie in a file's map, rather than in memory of their own.
    pub fn is_mapped(&self) -> bool {
        matches!(self.source, Source::Map(_))
    }
}

impl Deref for MappedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for MappedBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for MappedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = if self.is_mapped() { "mapped" } else { "gathered" };
        write!(f, "MappedBytes({source} {:?})", self.range)
    }
}

/// One tensor of a weight file: contiguous, row-major, little-endian.
#[derive(Debug, Clone)]
pub struct WeightView {
    /// The element type.
    pub dtype: WeightDtype,
    /// The lengths of the axes, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements: `shape.iter().product() * dtype.size()` bytes.
    pub bytes: MappedBytes,
}

impl WeightView {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the first byte lies on a multiple of the element size, so that the bytes may be read in place as
    /// elements. Files do not promise it; a caller copies when it is false.
    pub fn is_aligned(&self) -> bool {
        (self.bytes.as_ptr() as usize).is_multiple_of(self.dtype.size())
    }
}
