//! Blocks of memory: aligned, recycled, counted, or borrowed from a memory map.
//!
//! A fresh large block costs a page fault per page at its first use, which is more than most kernels cost; so blocks go
//! back to free lists when dropped. The lists are bounded by a budget ([`set_budget`]).

#![expect(unsafe_code, reason = "blocks are allocated, mapped and lent as slices by hand")]

use std::alloc::Layout;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::{AnyBitPattern, NoUninit};

/// Every owned block starts at a multiple of this many bytes.
pub const ALIGNMENT: usize = 64;

/// Blocks of at least this many bytes come straight from the system, zeroed and untouched.
const MAPPED: usize = 1 << 20;

/// Blocks of at least this many bytes ask for huge pages.
#[cfg(target_os = "linux")]
const HUGE: usize = 4 << 20;

/// What the free lists may hold unless [`set_budget`] says otherwise.
const DEFAULT_BUDGET: usize = 2 << 30;

static CURRENT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static POOL: Mutex<BufferPool> =
    Mutex::new(BufferPool { free: BTreeMap::new(), cached: 0, budget: DEFAULT_BUDGET });

/// The free lists: blocks by capacity.
struct BufferPool {
    free: BTreeMap<usize, Vec<Block>>,
    cached: usize,
    budget: usize,
}

/// An owned piece of memory of `capacity` bytes, all of them initialised.
struct Block {
    ptr: NonNull<u8>,
    capacity: usize,
}

// SAFETY: a block is plain memory with one owner.
unsafe impl Send for Block {}

fn pool() -> std::sync::MutexGuard<'static, BufferPool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes in live owned buffers (their capacities); free lists and borrowed maps are not counted.
pub fn current_bytes() -> usize {
    CURRENT.load(Ordering::Relaxed)
}

/// The largest value of [`current_bytes`] since the start or the last [`reset_peak`].
pub fn peak_bytes() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// Makes [`peak_bytes`] start again from [`current_bytes`].
pub fn reset_peak() {
    PEAK.store(CURRENT.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Bytes waiting in the free lists.
pub fn cached_bytes() -> usize {
    pool().cached
}

/// Sets how many bytes the free lists may hold, and gives back what is over.
pub fn set_budget(bytes: usize) {
    pool().budget = bytes;
    trim(bytes);
}

/// Gives blocks in the free lists back to the system, largest first, until at most `keep` bytes are left in them.
pub fn trim(keep: usize) {
    let mut dropped = Vec::new();
    let mut pool = pool();
    while pool.cached > keep {
        let Some(mut entry) = pool.free.last_entry() else { break };
        if let Some(block) = entry.get_mut().pop() {
            pool.cached -= block.capacity;
            dropped.push(block);
        } else {
            entry.remove();
        }
    }
    drop(pool);
    // Unmapping is slow; it happens outside the lock.
    drop(dropped);
}

/// Empties the free lists.
pub fn clear() {
    trim(0);
}

/// The capacity of the size class of `len`: a power of two, or one of three steps between two of them.
fn size_class(len: usize) -> usize {
    if len <= ALIGNMENT {
        return ALIGNMENT;
    }
    let step = (len.next_power_of_two() / 8).max(ALIGNMENT);
    len.checked_next_multiple_of(step).expect("the length of a buffer fits in memory")
}

impl Block {
    fn allocate(capacity: usize) -> Block {
        #[cfg(unix)]
        if capacity >= MAPPED {
            // SAFETY: an anonymous private mapping of a nonzero length touches nothing that exists.
            let ptr = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    capacity,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            if ptr == libc::MAP_FAILED {
                std::alloc::handle_alloc_error(Self::layout(capacity));
            }
            #[cfg(target_os = "linux")]
            if capacity >= HUGE {
                // SAFETY: advice on a mapping that we own; a refusal changes nothing.
                let _ = unsafe { libc::madvise(ptr, capacity, libc::MADV_HUGEPAGE) };
            }
            let ptr = NonNull::new(ptr.cast()).expect("a mapping is not at address zero");
            return Block { ptr, capacity };
        }
        let layout = Self::layout(capacity);
        // SAFETY: a size class is never zero.
        let ptr = unsafe { std::alloc::alloc_zeroed(layout) };
        let Some(ptr) = NonNull::new(ptr) else { std::alloc::handle_alloc_error(layout) };
        Block { ptr, capacity }
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, ALIGNMENT).expect("the length of a buffer fits in memory")
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        #[cfg(unix)]
        if self.capacity >= MAPPED {
            // SAFETY: mapped in `allocate` with this length, and nobody else knows the address.
            unsafe { libc::munmap(self.ptr.as_ptr().cast(), self.capacity) };
            return;
        }
        // SAFETY: allocated in `allocate` with this layout.
        unsafe { std::alloc::dealloc(self.ptr.as_ptr(), Self::layout(self.capacity)) };
    }
}

enum Origin {
    /// `Some` until dropped.
    Pool(Option<Block>),
    Owner(#[expect(dead_code, reason = "held for its destructor")] Arc<dyn Any + Send + Sync>),
}

/// A block of bytes: 64-byte aligned and recycled, or borrowed from an owner such as a memory map.
///
/// ```
/// use pellucid_kernels::memory::Buffer;
/// let mut buffer = Buffer::zeroed(12);
/// buffer.as_mut_slice::<f32>()[1] = 2.0;
/// assert_eq!(buffer.as_slice::<f32>(), [0.0, 2.0, 0.0]);
/// ```
pub struct Buffer {
    ptr: NonNull<u8>,
    len: usize,
    origin: Origin,
}

// SAFETY: owned memory has one owner; borrowed memory is never written and its owner is `Send + Sync`.
unsafe impl Send for Buffer {}
// SAFETY: as above; writing takes `&mut`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A buffer of `len` bytes with unspecified contents: zeros, or what an earlier buffer left.
    pub fn new(len: usize) -> Buffer {
        Self::take(len).0
    }

    /// A buffer of `len` zero bytes.
    pub fn zeroed(len: usize) -> Buffer {
        let (mut buffer, fresh) = Self::take(len);
        if !fresh {
            buffer.bytes_mut().fill(0);
        }
        buffer
    }

    /// A buffer that holds a copy of `values`.
    pub fn from_slice<T: NoUninit>(values: &[T]) -> Buffer {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let mut buffer = Self::new(bytes.len());
        buffer.bytes_mut().copy_from_slice(bytes);
        buffer
    }

    /// The buffer and whether it comes straight from the system, zeroed.
    fn take(len: usize) -> (Buffer, bool) {
        let capacity = size_class(len);
        let recycled = {
            let mut pool = pool();
            let block = pool.free.get_mut(&capacity).and_then(Vec::pop);
            if block.is_some() {
                pool.cached -= capacity;
            }
            block
        };
        let fresh = recycled.is_none();
        let block = recycled.unwrap_or_else(|| Block::allocate(capacity));
        let current = CURRENT.fetch_add(capacity, Ordering::Relaxed) + capacity;
        PEAK.fetch_max(current, Ordering::Relaxed);
        let buffer = Buffer { ptr: block.ptr, len, origin: Origin::Pool(Some(block)) };
        (buffer, fresh)
    }

    /// A read-only view of `len` bytes at `ptr`, kept alive by `owner`.
    ///
    /// # Safety
    ///
    /// The bytes must be initialised, and readable and unchanged for as long as `owner` lives.
    pub unsafe fn from_owner(ptr: *const u8, len: usize, owner: Arc<dyn Any + Send + Sync>) -> Buffer {
        let ptr = NonNull::new(ptr.cast_mut()).expect("a borrowed block is not at address zero");
        Buffer { ptr, len, origin: Origin::Owner(owner) }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the length is zero.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the buffer takes from memory: its size class, or 0 when it is borrowed.
    pub fn capacity(&self) -> usize {
        match &self.origin {
            Origin::Pool(Some(block)) => block.capacity,
            _ => 0,
        }
    }

    /// Whether the bytes belong to someone else and so must not be written.
    pub fn is_borrowed(&self) -> bool {
        matches!(self.origin, Origin::Owner(_))
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *const u8 {
        self.ptr.as_ptr()
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes that live as long as the buffer.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }

    /// All bytes, to be written. Panics if the buffer is borrowed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(!self.is_borrowed(), "a borrowed buffer is read-only");
        // SAFETY: owned, initialised, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }

    /// The bytes as values. Panics unless the length is a whole number of values and, for a borrowed buffer, the start
    /// is aligned for them.
    pub fn as_slice<T: AnyBitPattern>(&self) -> &[T] {
        bytemuck::cast_slice(self.bytes())
    }

    /// The bytes as values to be written. Panics as [`Buffer::as_slice`] does, and if the buffer is borrowed.
    pub fn as_mut_slice<T: AnyBitPattern + NoUninit>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes_mut())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Origin::Pool(block) = &mut self.origin else { return };
        let Some(block) = block.take() else { return };
        CURRENT.fetch_sub(block.capacity, Ordering::Relaxed);
        let mut pool = pool();
        if pool.cached.saturating_add(block.capacity) <= pool.budget {
            pool.cached += block.capacity;
            pool.free.entry(block.capacity).or_default().push(block);
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).field("borrowed", &self.is_borrowed()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_zeroed_ones_are_zero_even_when_recycled() {
        for len in [0, 1, 63, 64, 65, 4097, 3 << 20] {
            let mut dirty = Buffer::new(len);
            assert_eq!(dirty.as_ptr() as usize % ALIGNMENT, 0);
            dirty.bytes_mut().fill(7);
            drop(dirty);
            assert!(Buffer::zeroed(len).bytes().iter().all(|&b| b == 0));
        }
    }

    #[test]
    fn a_size_class_wastes_at_most_a_quarter_beyond_the_smallest_ones() {
        for len in 65..100_000 {
            let class = size_class(len);
            assert!(class >= len && class.is_multiple_of(ALIGNMENT));
            assert!(class - len < (len / 4).max(ALIGNMENT), "{len} -> {class}");
            assert_eq!(size_class(class), class);
        }
    }

    #[test]
    fn a_borrowed_buffer_reads_its_owner_and_keeps_it_alive() {
        let owner: Arc<Vec<f32>> = Arc::new(vec![1.0, 2.0]);
        // SAFETY: the vector is never changed and lives in the owner.
        let buffer = unsafe { Buffer::from_owner(owner.as_ptr().cast(), 8, owner.clone()) };
        let weak = Arc::downgrade(&owner);
        drop(owner);
        assert_eq!(buffer.as_slice::<f32>(), [1.0, 2.0]);
        assert_eq!(buffer.capacity(), 0);
        drop(buffer);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    #[should_panic(expected = "read-only")]
    fn a_borrowed_buffer_refuses_writing() {
        let owner: Arc<Vec<u8>> = Arc::new(vec![1]);
        // SAFETY: the vector is never changed and lives in the owner.
        let mut buffer = unsafe { Buffer::from_owner(owner.as_ptr(), 1, owner.clone()) };
        buffer.bytes_mut();
    }
}
