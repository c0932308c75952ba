//! Copies of strided views into contiguous memory.

#![expect(
    unsafe_code,
    reason = "views are read through checked offsets, and parts of the destination written by several threads"
)]

use crate::shared::{SendPtr, SharedMut};
use crate::threads::parallel_ranges;

/// Elements that make a task worth handing to another thread.
const GRAIN: usize = 16 * 1024;

/// Side of the square in which a transposition goes forth.
const SQUARE: usize = 16;

/// One axis of the view: its size and stride, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    size: usize,
    stride: isize,
}

/// Copies the view of `src` with the given shape and strides (in elements, of any sign), whose first element is at
/// `offset`, to `dst` in row-major order.
///
/// `T` is any plain element of 1, 2, 4 or 8 bytes; the kernel only moves it.
///
/// ```
/// use pellucid_kernels::strided::copy_strided;
/// let x = [1, 2, 3, 4, 5, 6u8];
/// let mut y = [0; 6];
/// copy_strided(&x, 0, &[3, 2], &[1, 3], &mut y); // the transpose of a 2 by 3 matrix
/// assert_eq!(y, [1, 4, 2, 5, 3, 6]);
/// copy_strided(&x, 5, &[6], &[-1], &mut y); // backwards
/// assert_eq!(y, [6, 5, 4, 3, 2, 1]);
/// ```
pub fn copy_strided<T: Copy + Send + Sync>(
    src: &[T],
    offset: usize,
    shape: &[usize],
    strides: &[isize],
    dst: &mut [T],
) {
    assert_eq!(shape.len(), strides.len(), "one stride per axis");
    let len: usize = shape.iter().product();
    assert_eq!(dst.len(), len, "the destination holds the view exactly");
    if len == 0 {
        return;
    }
    check_bounds(src.len(), offset, shape, strides);
    let axes = collapse(shape, strides);
    let dst = SharedMut::new(dst);
    let view = View { src: SendPtr(src.as_ptr()), offset: offset as isize, dst: &dst };
    match *axes {
        [] => view.line(0, 0, Axis { size: 1, stride: 1 }),
        [ref outer @ .., last] if last.stride == 1 || outer.is_empty() => view.lines(outer, last),
        [ref outer @ .., last] => {
            // The axis along which memory runs, if it is not the last.
            match outer.iter().position(|axis| axis.stride == 1 && axis.size > 1) {
                Some(fast) if last.size > 1 => view.squares(outer, fast, last),
                _ => view.lines(outer, last),
            }
        }
    }
}

/// [`copy_strided`] over bytes, for elements of `element_size` 1, 2, 4 or 8 bytes; offset and strides are in elements.
pub fn copy_strided_bytes(
    element_size: usize,
    src: &[u8],
    offset: usize,
    shape: &[usize],
    strides: &[isize],
    dst: &mut [u8],
) {
    match element_size {
        1 => copy_strided(src, offset, shape, strides, dst),
        2 => copy_as::<u16>(src, offset, shape, strides, dst),
        4 => copy_as::<u32>(src, offset, shape, strides, dst),
        8 => copy_as::<u64>(src, offset, shape, strides, dst),
        _ => panic!("elements have 1, 2, 4 or 8 bytes, not {element_size}"),
    }
}

fn copy_as<T: bytemuck::Pod + Send + Sync>(
    src: &[u8],
    offset: usize,
    shape: &[usize],
    strides: &[isize],
    dst: &mut [u8],
) {
    copy_strided::<T>(bytemuck::cast_slice(src), offset, shape, strides, bytemuck::cast_slice_mut(dst));
}

/// Asserts that the view stays within `len` elements.
fn check_bounds(len: usize, offset: usize, shape: &[usize], strides: &[isize]) {
    let (mut low, mut high) = (offset as i128, offset as i128);
    for (&size, &stride) in shape.iter().zip(strides) {
        let reach = (size as i128 - 1) * stride as i128;
        low += reach.min(0);
        high += reach.max(0);
    }
    assert!(low >= 0 && high < len as i128, "the view reaches from element {low} to {high} of {len}",);
}

/// Drops axes of size one and joins axes that one stride can walk.
fn collapse(shape: &[usize], strides: &[isize]) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::with_capacity(shape.len());
    for (&size, &stride) in shape.iter().zip(strides) {
        if size == 1 {
            continue;
        }
        match axes.last_mut() {
            Some(before) if before.stride == stride * size as isize => {
                *before = Axis { size: before.size * size, stride };
            }
            _ => axes.push(Axis { size, stride }),
        }
    }
    axes
}

/// Where the `idx`-th combination of indices of `axes` starts, in elements from the first.
fn start_of(axes: &[Axis], mut idx: usize) -> isize {
    let mut at = 0;
    for axis in axes.iter().rev() {
        at += (idx % axis.size) as isize * axis.stride;
        idx /= axis.size;
    }
    at
}

struct View<'a, T> {
    src: SendPtr<*const T>,
    offset: isize,
    dst: &'a SharedMut<'a, T>,
}

impl<T: Copy + Send + Sync> View<'_, T> {
    /// Copies one line along `axis` that starts `at` elements from the first, to `to`.
    #[inline(always)]
    fn line(&self, at: isize, to: usize, axis: Axis) {
        // SAFETY: every element of the view is in bounds, and lines are disjoint parts of the destination.
        unsafe {
            let src = self.src.get().offset(self.offset + at);
            let dst = self.dst.part(to, axis.size);
            match axis.stride {
                1 => dst.copy_from_slice(std::slice::from_raw_parts(src, axis.size)),
                0 => dst.fill(*src),
                stride => {
                    for (i, dst) in dst.iter_mut().enumerate() {
                        *dst = *src.offset(i as isize * stride);
                    }
                }
            }
        }
    }

    /// Line by line along the last axis.
    fn lines(&self, outer: &[Axis], last: Axis) {
        let n_lines: usize = outer.iter().map(|axis| axis.size).product();
        if n_lines < 4 && last.size > 4 * GRAIN {
            // Few long lines: cut them.
            for line in 0..n_lines {
                let at = start_of(outer, line);
                parallel_ranges(last.size, GRAIN, 64, &|start, end| {
                    let part = Axis { size: end - start, stride: last.stride };
                    self.line(at + start as isize * last.stride, line * last.size + start, part);
                });
            }
            return;
        }
        parallel_ranges(n_lines, (GRAIN / last.size).max(1), 1, &|start, end| {
            let Some((&inner, outer)) = outer.split_last() else {
                self.line(0, 0, last);
                return;
            };
            let mut line = start;
            while line < end {
                // Along the second axis from the right no index need be computed again.
                let mut at = start_of(outer, line / inner.size);
                let first = line % inner.size;
                at += first as isize * inner.stride;
                let stop = end.min(line + inner.size - first);
                while line < stop {
                    self.line(at, line * last.size, last);
                    at += inner.stride;
                    line += 1;
                }
            }
        });
    }

    /// Square by square over the last axis and the axis `fast` of stride 1, so that both sides stay in the cache.
    fn squares(&self, outer: &[Axis], fast: usize, last: Axis) {
        let rest: Vec<Axis> =
            outer.iter().enumerate().filter(|&(i, _)| i != fast).map(|(_, &axis)| axis).collect();
        // Where each axis leads in the destination.
        let mut dst_strides = vec![0isize; outer.len()];
        let mut step = last.size;
        for (i, axis) in outer.iter().enumerate().rev() {
            dst_strides[i] = step as isize;
            step *= axis.size;
        }
        let rest_dst: Vec<Axis> = outer
            .iter()
            .zip(&dst_strides)
            .enumerate()
            .filter(|&(i, _)| i != fast)
            .map(|(_, (axis, &stride))| Axis { size: axis.size, stride })
            .collect();
        let (rows, row_step) = (outer[fast].size, dst_strides[fast] as usize);
        let bands = rows.div_ceil(SQUARE);
        let planes: usize = rest.iter().map(|axis| axis.size).product();
        let grain = (GRAIN / (SQUARE * last.size)).max(1);
        parallel_ranges(planes * bands, grain, 1, &|start, end| {
            for band in start..end {
                let plane = band / bands;
                let row = band % bands * SQUARE;
                let height = SQUARE.min(rows - row);
                let from = start_of(&rest, plane) + row as isize;
                let to = start_of(&rest_dst, plane) as usize + row * row_step;
                let mut col = 0;
                while col < last.size {
                    let width = SQUARE.min(last.size - col);
                    self.square(
                        from + col as isize * last.stride,
                        to + col,
                        height,
                        width,
                        row_step,
                        last.stride,
                    );
                    col += width;
                }
            }
        });
    }

    #[inline(always)]
    fn square(&self, at: isize, to: usize, height: usize, width: usize, row_step: usize, stride: isize) {
        for row in 0..height {
            // SAFETY: every element of the view is in bounds, and squares are disjoint parts of the destination.
            unsafe {
                let src = self.src.get().offset(self.offset + at + row as isize);
                let dst = self.dst.part(to + row * row_step, width);
                for (col, dst) in dst.iter_mut().enumerate() {
                    *dst = *src.offset(col as isize * stride);
                }
            }
        }
    }
}
