//! Matrix products on slices: the only unsafe code of the crate, one call behind bounds checks.

use super::Real;

/// A matrix laid over a slice.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Distance between rows, in elements.
    pub(crate) row_stride: usize,
    /// Distance between columns, in elements.
    pub(crate) col_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Row-major with `row_stride` elements between rows.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    fn last(&self) -> usize {
        self.rows.saturating_sub(1) * self.row_stride + self.cols.saturating_sub(1) * self.col_stride
    }
}

/// `out = a · b`, or `out += a · b` with `accumulate`; `out` is row-major `[a.rows, b.cols]` with `row_stride`.
///
/// Runs on the calling thread.
pub(crate) fn gemm<T: Real>(out: &mut [T], row_stride: usize, a: Matrix<'_, T>, b: Matrix<'_, T>, accumulate: bool) {
    assert_eq!(a.cols, b.rows, "inner sizes of a matrix product");
    if a.rows == 0 || b.cols == 0 {
        return;
    }
    assert!(a.last() < a.data.len() && b.last() < b.data.len(), "a factor exceeds its slice");
    assert!((a.rows - 1) * row_stride + b.cols <= out.len(), "a product exceeds its slice");
    let alpha = if accumulate { T::one() } else { T::zero() };
    // SAFETY: the asserts above keep every index that the strides and sizes give inside the three slices, `out` is
    // borrowed mutably and so cannot overlap the factors, and all strides fit `isize` as they lie within slices.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out.as_mut_ptr(),
            1,
            row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            alpha,
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
