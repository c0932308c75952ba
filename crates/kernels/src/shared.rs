//! A mutable slice that several chunks of one parallel region write to in disjoint parts.

#![expect(unsafe_code, reason = "disjoint parts of one slice are handed to several threads")]

use std::marker::PhantomData;

/// A `&mut [T]` that can be cut into disjoint parts from several threads.
pub(crate) struct SharedMut<'a, T> {
    ptr: *mut T,
    len: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: the parts handed out are disjoint by the contract of `part`, so this is a set of `&mut [T]`.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        SharedMut { ptr: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }

    /// The part `start..start + len`.
    ///
    /// # Safety
    ///
    /// No two parts alive at the same time may overlap.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the contract of the function")]
    #[inline(always)]
    pub(crate) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: in bounds by the assertion, disjoint by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(start), len) }
    }
}

/// A pointer that may cross threads; what is reached through it is the business of the code that does so.
#[derive(Clone, Copy)]
pub(crate) struct SendPtr<T>(pub(crate) T);

// SAFETY: a pointer is a number; every use of it is in an unsafe block of its own.
unsafe impl<T> Send for SendPtr<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SendPtr<T> {}

impl<T: Copy> SendPtr<T> {
    /// The pointer; a method, so that closures capture the wrapper and not the field.
    #[inline(always)]
    pub(crate) fn get(&self) -> T {
        self.0
    }
}

/// Runs `body` with `len` floats that belong to this thread, 64-byte aligned and with unspecified contents.
pub(crate) fn with_scratch<R>(len: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    use crate::memory::Buffer;
    use std::cell::Cell;
    thread_local! {
        static SCRATCH: Cell<Option<Buffer>> = const { Cell::new(None) };
    }
    /// Larger blocks go back to the shared free lists at once.
    const KEEP: usize = 4 << 20;

    let bytes = len * size_of::<f32>();
    // A nested call finds nothing here and takes a block of its own.
    let mut buffer = match SCRATCH.take() {
        Some(kept) if kept.len() >= bytes => kept,
        _ => Buffer::new(bytes.max(1 << 14).next_power_of_two()),
    };
    let result = body(&mut buffer.as_mut_slice::<f32>()[..len]);
    if buffer.len() <= KEEP {
        SCRATCH.set(Some(buffer));
    }
    result
}

/// Asks for `len` elements to be brought into the cache.
#[inline(always)]
pub(crate) fn prefetch(from: *const f32, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..len.div_ceil(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no effect but on speed, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line * 16).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, len);
}
