//! Disjoint parts of one slice, for several threads to write.

#![expect(unsafe_code, reason = "disjoint parts of one slice are handed to several threads")]

use std::marker::PhantomData;

/// A `&mut [T]` that can be cut into disjoint parts from several threads.
pub(super) struct Parts<'a, T> {
    ptr: *mut T,
    len: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: the parts handed out are disjoint by the contract of `part`, so this is a set of `&mut [T]`.
unsafe impl<T: Send> Send for Parts<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Parts { ptr: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }

    /// The elements `start..start + len`.
    ///
    /// # Safety
    /// No two parts alive at the same time may overlap.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the contract of the function")]
    pub(super) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: in bounds by the assertion, disjoint by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(start), len) }
    }
}

/// Runs `body(first element, part)` over `slice` on all threads, in parts of whole multiples of `align` elements and of
/// at least `grain`.
pub(super) fn over_parts<T: Send>(
    slice: &mut [T],
    grain: usize,
    align: usize,
    body: &(dyn Fn(usize, &mut [T]) + Sync),
) {
    let len = slice.len();
    if len < 2 * grain {
        if len > 0 {
            body(0, slice);
        }
        return;
    }
    let parts = Parts::new(slice);
    pellucid_kernels::threads::parallel_ranges(len, grain, align, &|start, end| {
        // SAFETY: ranges are disjoint.
        body(start, unsafe { parts.part(start, end - start) });
    });
}
