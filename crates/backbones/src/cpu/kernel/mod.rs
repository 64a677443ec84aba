//! The innermost loops of convolution, compiled once for each instruction set, behind bounds checks.

mod loops;
mod transforms;

use super::simd::{Level, Vector};

/// The columns of a matrix that lies anywhere in a slice: row `m` of column `k` is element `starts[k] + m * row`.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    starts: Vec<usize>,
    last: usize,
    row: usize,
}

impl Columns {
    pub(crate) fn new(starts: Vec<usize>, row: usize) -> Self {
        let last = starts.iter().copied().max().unwrap_or(0);
        Self { starts, last, row }
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }
}

/// A run of a packed row: its first column in the row, and where in the source it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) column: usize,
    pub(crate) source: usize,
}

/// The kernels for one element type and instruction set.
pub(crate) struct Kernels<T> {
    /// Elements of a vector.
    pub(crate) lanes: usize,
    /// Rows of a tile of [`Self::tile`], and the vectors across the widest.
    pub(crate) rows: usize,
    pub(crate) width: usize,
    /// Rows of both factors of [`Self::dot`].
    pub(crate) dot_rows: [usize; 2],
    tile: [TileFn<T>; 3],
    dot: DotFn<T>,
    copy: CopyFn<T>,
    transpose: TransposeFn<T>,
    transforms: [TransformFn<T>; 5],
}

/// The maps of Winograd's convolution, from squares of some side to squares of another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Transform {
    /// 4x4 pixels of the source to 4x4.
    Input,
    /// 3x3 weights to 4x4.
    Weight,
    /// 4x4 products to 2x2 pixels of the result.
    Output,
    /// 2x2 pixels of the output's gradient to 4x4.
    OutputGrad,
    /// 4x4 sums of products to the gradient of 3x3 weights.
    WeightGrad,
}

impl Transform {
    fn sides(self) -> [usize; 2] {
        match self {
            Self::Input => [4, 4],
            Self::Weight => [3, 4],
            Self::Output => [4, 2],
            Self::OutputGrad => [2, 4],
            Self::WeightGrad => [4, 3],
        }
    }
}

type TileFn<T> = unsafe fn(&[usize], usize, *const T, *const T, *mut T, usize, bool);
type DotFn<T> = unsafe fn(usize, [*const T; 2], [usize; 2], *mut T);
type TransposeFn<T> = unsafe fn(&[T], usize, &mut [T], usize, [usize; 2]);
type TransformFn<T> = unsafe fn(*const T, &[usize], *mut T, &[usize], usize);
type CopyFn<T> = unsafe fn(*mut T, usize, &[usize], &[Run], *const T);

impl<T: Copy> Kernels<T> {
    /// `c = a · b`, or `c += a · b` with `add`: `a` is the `rows` rows that `columns` finds in the slice, `b`
    /// `[k, width]`, and `c` has `rows` rows of `width`, `stride` apart; `width` is 1 to `self.width` vectors.
    pub(crate) fn tile(
        &self,
        c: &mut [T],
        stride: usize,
        (a, columns): (&[T], &Columns),
        b: &[T],
        width: usize,
        add: bool,
    ) {
        let (k, vectors) = (columns.starts.len(), width / self.lanes);
        assert!((1..=self.width).contains(&vectors) && width.is_multiple_of(self.lanes), "a tile of {width} columns");
        assert!(
            columns.last + (self.rows - 1) * columns.row < a.len() && b.len() >= k * width,
            "a factor exceeds its slice"
        );
        assert!(width <= stride && c.len() >= (self.rows - 1) * stride + width, "a tile exceeds its slice");
        // SAFETY: the function reads `rows` elements of `a` from each of `starts`, `row` apart, and `k * width` of `b`, and
        // writes `rows` rows of `width` elements of `c`, `stride` apart, all checked above; `Vectorized::kernels` was
        // given an instruction set that the processor has.
        #[allow(unsafe_code)]
        unsafe {
            let tile = self.tile[vectors - 1];
            tile(&columns.starts, columns.row, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), stride, add);
        }
    }

    /// `out[j, i] += Σ a[i, l] · b[j, l]` over `length` elements, a multiple of a vector; the rows of `a` and `b`, of
    /// which there are `dot_rows`, lie `strides` apart.
    pub(crate) fn dot(&self, out: &mut [T], factors: [&[T]; 2], strides: [usize; 2], length: usize) {
        assert!(length.is_multiple_of(self.lanes), "a length of {length}");
        for ((factor, stride), rows) in factors.iter().zip(strides).zip(self.dot_rows) {
            assert!((rows - 1) * stride + length <= factor.len(), "a factor exceeds its slice");
        }
        assert!(out.len() >= self.dot_rows[0] * self.dot_rows[1], "a sum exceeds its slice");
        // SAFETY: as in `tile`, with the extents checked above.
        #[allow(unsafe_code)]
        unsafe {
            (self.dot)(length, factors.map(<[T]>::as_ptr), strides, out.as_mut_ptr());
        }
    }

    /// `to[c, r] = from[r, c]` of a matrix `[rows, columns]`, the rows of which lie `from_row` and, turned, `to_row` apart.
    pub(crate) fn transpose(&self, from: &[T], from_row: usize, to: &mut [T], to_row: usize, sides: [usize; 2]) {
        let [rows, columns] = sides;
        if rows == 0 || columns == 0 {
            return;
        }
        assert!((rows - 1) * from_row + columns <= from.len(), "a matrix exceeds its slice");
        assert!(rows <= to_row && (columns - 1) * to_row + rows <= to.len(), "a turned matrix exceeds its slice");
        // SAFETY: every row and every turned row begins and ends within its slice, and `Vectorized::kernels` was given an
        // instruction set that the processor has.
        #[allow(unsafe_code)]
        unsafe {
            (self.transpose)(from, from_row, to, to_row, sides);
        }
    }

    /// Maps squares of `channels` elements, whole vectors: of every square, element `i` is read from `starts[i]` on, and of
    /// every result it is written from `ends[i]` on, where all `starts` and `ends` follow one another.
    pub(crate) fn transform(
        &self,
        transform: Transform,
        (from, starts): (&[T], &[usize]),
        (to, ends): (&mut [T], &[usize]),
        channels: usize,
    ) {
        let [a, b] = transform.sides();
        let most = |starts: &[usize]| starts.iter().copied().max().unwrap_or(0);
        assert!(channels.is_multiple_of(self.lanes), "{channels} channels");
        assert!(starts.len() / (a * a) == ends.len() / (b * b), "squares and results differ in number");
        assert!(
            most(starts) + channels <= from.len() && most(ends) + channels <= to.len(),
            "a square exceeds its slice"
        );
        // SAFETY: `channels` elements are read from each of `starts` and written to each of `ends`, all within the slices;
        // `Vectorized::kernels` was given an instruction set that the processor has.
        #[allow(unsafe_code)]
        unsafe {
            (self.transforms[transform as usize])(from.as_ptr(), starts, to.as_mut_ptr(), ends, channels);
        }
    }

    /// Copies `runs`, shifted by each of `shifts`, to one row each of `to`, `columns` wide. Every run is a vector long and
    /// may exceed its row, as what follows is written after it. What lies behind the end of `from` is left as it was.
    pub(crate) fn copy(&self, to: &mut [T], columns: usize, shifts: &[usize], runs: &[Run], from: &[T]) {
        let most = |values: &mut dyn Iterator<Item = usize>| values.max().unwrap_or(0);
        let shift = most(&mut shifts.iter().copied());
        let source = most(&mut runs.iter().map(|r| r.source));
        let column = most(&mut runs.iter().map(|r| r.column));
        assert!(
            shifts.len().saturating_sub(1) * columns + column + self.lanes <= to.len(),
            "packed patches exceed their slice"
        );
        if shift + source + self.lanes > from.len() {
            return copy_to_end(to, columns, shifts, runs, from, self.lanes);
        }
        // SAFETY: the function reads one vector from `from` at the sum of a shift and a run's source, and writes it to `to`
        // at the sum of a row's start and a run's column: the largest of both were checked above. `Vectorized::kernels`
        // was given an instruction set that the processor has.
        #[allow(unsafe_code)]
        unsafe {
            (self.copy)(to.as_mut_ptr(), columns, shifts, runs, from.as_ptr());
        }
    }
}

/// [`Kernels::copy`] where the last runs end behind `from`.
fn copy_to_end<T: Copy>(to: &mut [T], columns: usize, shifts: &[usize], runs: &[Run], from: &[T], lanes: usize) {
    for (row, shift) in shifts.iter().enumerate() {
        for run in runs {
            let source = shift + run.source;
            let from = &from[source..from.len().min(source + lanes)];
            to[row * columns + run.column..][..from.len()].copy_from_slice(from);
        }
    }
}

/// Element types that have kernels.
pub(crate) trait Vectorized: Copy + Sized {
    /// The kernels of an instruction set, which must be one of [`Level::available`].
    fn kernels(level: Level) -> Kernels<Self>;
}

/// Compiles the kernels of one vector type: tiles of `$m` rows and at most `$w` vectors, inner products of `$p` rows with `$q`.
macro_rules! kernels {
    ($element:ty, $vector:ty, [$m:literal, $w:literal], [$p:literal, $q:literal] $(, $feature:literal)?) => {{
        #[allow(unsafe_code)]
        $(#[target_feature(enable = $feature)])?
        unsafe fn tile_of<const W: usize>(
            starts: &[usize],
            row: usize,
            a: *const $element,
            b: *const $element,
            c: *mut $element,
            stride: usize,
            add: bool,
        ) {
            // SAFETY: the caller's promise, here and below.
            unsafe { loops::tile::<$vector, $m, W>(starts, row, a, b, c, stride, add) }
        }
        #[allow(unsafe_code)]
        $(#[target_feature(enable = $feature)])?
        unsafe fn dot_of(length: usize, factors: [*const $element; 2], strides: [usize; 2], out: *mut $element) {
            unsafe { loops::dot::<$vector, $p, $q>(length, factors, strides, out) }
        }
        #[allow(unsafe_code)]
        $(#[target_feature(enable = $feature)])?
        unsafe fn copy_of(to: *mut $element, columns: usize, shifts: &[usize], runs: &[Run], from: *const $element) {
            unsafe { loops::copy::<$vector>(to, columns, shifts, runs, from) }
        }
        #[allow(unsafe_code)]
        $(#[target_feature(enable = $feature)])?
        unsafe fn transpose_of(
            from: &[$element],
            from_row: usize,
            to: &mut [$element],
            to_row: usize,
            sides: [usize; 2],
        ) {
            unsafe { transforms::transpose::<$vector>(from, from_row, to, to_row, sides) }
        }
        #[allow(unsafe_code)]
        $(#[target_feature(enable = $feature)])?
        unsafe fn transform_of<M: transforms::Map<A, B>, const A: usize, const B: usize>(
            from: *const $element,
            starts: &[usize],
            to: *mut $element,
            ends: &[usize],
            channels: usize,
        ) {
            unsafe { transforms::transform::<$vector, M, A, B>(from, starts, to, ends, 0.5, channels) }
        }
        Kernels {
            lanes: <$vector as Vector>::N,
            rows: $m,
            width: $w,
            dot_rows: [$p, $q],
            tile: [tile_of::<1>, tile_of::<2>, tile_of::<$w>],
            dot: dot_of,
            copy: copy_of,
            transpose: transpose_of,
            transforms: [
                transform_of::<transforms::Input, 4, 4>,
                transform_of::<transforms::Weight, 3, 4>,
                transform_of::<transforms::Output, 4, 2>,
                transform_of::<transforms::OutputGrad, 2, 4>,
                transform_of::<transforms::WeightGrad, 4, 3>,
            ],
        }
    }};
}

macro_rules! vectorized {
    ($element:ty, $plain:ty, $neon:ident, $avx2:ident, $avx512:ident) => {
        impl Vectorized for $element {
            fn kernels(level: Level) -> Kernels<Self> {
                assert!(Level::available().contains(&level), "this processor has no {level:?}");
                match level {
                    #[cfg(target_arch = "aarch64")]
                    Level::Baseline => kernels!($element, std::arch::aarch64::$neon, [8, 3], [4, 6]),
                    #[cfg(not(target_arch = "aarch64"))]
                    Level::Baseline => kernels!($element, $plain, [6, 2], [2, 6]),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => kernels!($element, std::arch::x86_64::$avx2, [6, 2], [2, 6], "avx2,fma"),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => kernels!($element, std::arch::x86_64::$avx512, [8, 3], [4, 6], "avx512f,avx512vl"),
                }
            }
        }
    };
}

vectorized!(f32, super::simd::Plain<f32, 4>, float32x4_t, __m256, __m512);
vectorized!(f64, super::simd::Plain<f64, 2>, float64x2_t, __m256d, __m512d);
