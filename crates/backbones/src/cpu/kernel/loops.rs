//! The innermost loops, for any vector.

use super::Run;
use crate::cpu::simd::Vector;

/// # Safety
/// As [`super::Kernels::tile`] checks; the processor has the instructions of `V`.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn tile<V: Vector, const M: usize, const W: usize>(
    starts: &[usize],
    row: usize,
    a: *const V::Element,
    mut b: *const V::Element,
    c: *mut V::Element,
    stride: usize,
    add: bool,
) {
    // SAFETY: every read of `a` and `b` and every write of `c` is within the extents that the caller checked.
    unsafe {
        let mut sums = [[V::zero(); W]; M];
        for (k, start) in starts.iter().enumerate() {
            let a = a.add(*start);
            // The next rows are the next tile's.
            V::prefetch(a.wrapping_add((M + k % M) * row));
            let mut columns = [V::zero(); W];
            for (w, column) in columns.iter_mut().enumerate() {
                *column = V::load(b.add(w * V::N));
            }
            for (m, sums) in sums.iter_mut().enumerate() {
                let factor = V::splat(*a.add(m * row));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = factor.mul_add(column, *sum);
                }
            }
            b = b.add(W * V::N);
        }
        for (m, sums) in sums.into_iter().enumerate() {
            for (w, sum) in sums.into_iter().enumerate() {
                let to = c.add(m * stride + w * V::N);
                let sum = if add { sum.add(V::load(to)) } else { sum };
                sum.store(to);
            }
        }
    }
}

/// # Safety
/// As [`super::Kernels::dot`] checks; the processor has the instructions of `V`.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn dot<V: Vector, const M: usize, const N: usize>(
    length: usize,
    [a, b]: [*const V::Element; 2],
    strides: [usize; 2],
    out: *mut V::Element,
) where
    V::Element: std::ops::Add<Output = V::Element>,
{
    // SAFETY: reads `length` elements of `M` and of `N` rows, `length` being a multiple of `V::N`; writes `M * N`.
    unsafe {
        let mut sums = [[V::zero(); M]; N];
        let mut l = 0;
        while l < length {
            let mut rows = [V::zero(); M];
            for (m, row) in rows.iter_mut().enumerate() {
                *row = V::load(a.add(m * strides[0] + l));
            }
            for (n, sums) in sums.iter_mut().enumerate() {
                let column = V::load(b.add(n * strides[1] + l));
                for (sum, row) in sums.iter_mut().zip(rows) {
                    *sum = row.mul_add(column, *sum);
                }
            }
            l += V::N;
        }
        for (n, sums) in sums.into_iter().enumerate() {
            V::add_sums(sums, out.add(n * M));
        }
    }
}

/// # Safety
/// As [`super::Kernels::copy`] checks; the processor has the instructions of `V`.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn copy<V: Vector>(
    to: *mut V::Element,
    columns: usize,
    shifts: &[usize],
    runs: &[Run],
    from: *const V::Element,
) {
    for (row, shift) in shifts.iter().enumerate() {
        for run in runs {
            // SAFETY: within the extents that the caller checked.
            unsafe { V::load(from.add(shift + run.source)).store(to.add(row * columns + run.column)) }
        }
    }
}
