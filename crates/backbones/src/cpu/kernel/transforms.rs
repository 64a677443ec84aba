//! Transposition, and the linear maps of Winograd's convolution, for any vector.
//!
//! `F(2x2, 3x3)` after Lavin and Gray, 2016, arXiv:1509.09308: `y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` over tiles `d` of 4x4 pixels.
//! The gradient of the weight is the adjoint: `Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ d B)] G`.

use crate::cpu::simd::Vector;

/// A linear map of squares, given by the map of a line.
pub(super) trait Map<const A: usize, const B: usize> {
    /// # Safety
    /// The processor has the instructions of `V`.
    #[allow(unsafe_code)]
    unsafe fn line<V: Vector>(x: [V; A], half: V) -> [V; B];
}

macro_rules! map {
    ($(#[$about:meta])* $name:ident, $a:literal, $b:literal, |$x:ident, $half:ident| $line:expr) => {
        $(#[$about])*
        pub(super) struct $name;

        #[allow(unsafe_code)]
        impl Map<$a, $b> for $name {
            #[inline(always)]
            unsafe fn line<V: Vector>($x: [V; $a], $half: V) -> [V; $b] {
                // SAFETY: the caller's promise.
                unsafe { $line }
            }
        }
    };
}

map!(
    /// `Bᵀ d B`.
    Input, 4, 4, |d, _half| [d[0].sub(d[2]), d[1].add(d[2]), d[2].sub(d[1]), d[1].sub(d[3])]
);
map!(
    /// `G g Gᵀ`.
    Weight, 3, 4, |g, half| {
        let (outer, middle) = (g[0].add(g[2]), g[1]);
        [g[0], outer.add(middle).mul_add(half, V::zero()), outer.sub(middle).mul_add(half, V::zero()), g[2]]
    }
);
map!(
    /// `Aᵀ m A`.
    Output, 4, 2, |m, _half| [m[0].add(m[1]).add(m[2]), m[1].sub(m[2]).sub(m[3])]
);
map!(
    /// `A dy Aᵀ`.
    OutputGrad, 2, 4, |y, _half| [y[0], y[0].add(y[1]), y[0].sub(y[1]), V::zero().sub(y[1])]
);
map!(
    /// `Gᵀ m G`.
    WeightGrad, 4, 3, |m, half| {
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        [sum.mul_add(half, m[0]), difference.mul_add(half, V::zero()), sum.mul_add(half, m[3])]
    }
);

/// # Safety
/// As [`super::Kernels::transform`] checks; the processor has the instructions of `V`.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn transform<V: Vector, M: Map<A, B>, const A: usize, const B: usize>(
    from: *const V::Element,
    starts: &[usize],
    to: *mut V::Element,
    ends: &[usize],
    half: V::Element,
    channels: usize,
) {
    // SAFETY: every read and write begins at a sum of an offset and a channel and ends within the extents that the caller checked.
    unsafe {
        let half = V::splat(half);
        for (starts, ends) in starts.chunks_exact(A * A).zip(ends.chunks_exact(B * B)) {
            let mut c = 0;
            while c < channels {
                let mut lines = [[V::zero(); B]; A];
                for (a, line) in lines.iter_mut().enumerate() {
                    let mut x = [V::zero(); A];
                    for (i, x) in x.iter_mut().enumerate() {
                        *x = V::load(from.add(*starts.get_unchecked(a * A + i) + c));
                    }
                    *line = M::line(x, half);
                }
                for b in 0..B {
                    let mut x = [V::zero(); A];
                    for (x, line) in x.iter_mut().zip(lines) {
                        *x = line[b];
                    }
                    for (i, y) in M::line(x, half).into_iter().enumerate() {
                        y.store(to.add(*ends.get_unchecked(i * B + b) + c));
                    }
                }
                c += V::N;
            }
        }
    }
}

/// Interleaves the halves of a square of vectors.
macro_rules! interleaved {
    ($block:ident, $([$i:literal, $j:literal]),+) => {{
        let last = $block;
        let mut to = 0;
        $(
            [$block[to], $block[to + 1]] = last[$i].interleave(last[$j]);
            to += 2;
        )+
        let _ = to;
    }};
}

/// Turns the square of the first `V::N` vectors: interleaving its halves once for every bit of its side does that.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn turn<V: Vector>(mut block: [V; 16]) -> [V; 16] {
    // SAFETY: the caller's promise.
    unsafe {
        match V::N {
            2 => interleaved!(block, [0, 1]),
            4 => {
                interleaved!(block, [0, 2], [1, 3]);
                interleaved!(block, [0, 2], [1, 3]);
            }
            8 => {
                interleaved!(block, [0, 4], [1, 5], [2, 6], [3, 7]);
                interleaved!(block, [0, 4], [1, 5], [2, 6], [3, 7]);
                interleaved!(block, [0, 4], [1, 5], [2, 6], [3, 7]);
            }
            _ => {
                interleaved!(block, [0, 8], [1, 9], [2, 10], [3, 11], [4, 12], [5, 13], [6, 14], [7, 15]);
                interleaved!(block, [0, 8], [1, 9], [2, 10], [3, 11], [4, 12], [5, 13], [6, 14], [7, 15]);
                interleaved!(block, [0, 8], [1, 9], [2, 10], [3, 11], [4, 12], [5, 13], [6, 14], [7, 15]);
                interleaved!(block, [0, 8], [1, 9], [2, 10], [3, 11], [4, 12], [5, 13], [6, 14], [7, 15]);
            }
        }
    }
    block
}

/// `to[c, r] = from[r, c]` of a matrix `[rows, columns]`; the rows of both are given by their distance. Vectors are read
/// whole where `from` has as many elements left, and written whole where what follows is written after them.
///
/// # Safety
/// As [`super::Kernels::transpose`] checks; the processor has the instructions of `V`.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) unsafe fn transpose<V: Vector>(
    from: &[V::Element],
    from_row: usize,
    to: &mut [V::Element],
    to_row: usize,
    [rows, columns]: [usize; 2],
) {
    const { assert!(V::N <= 16, "a square of vectors is held in an array of 16") };
    let dense = rows <= V::N && to_row == rows;
    for first in (0..columns).step_by(V::N) {
        let used_columns = V::N.min(columns - first);
        for top in (0..rows).step_by(V::N) {
            let used_rows = V::N.min(rows - top);
            // SAFETY: row `r` is read from `r * from_row + first` and written to `c * to_row + top`; counts end at the
            // slices' ends, and the caller checked that the last of both begins within them.
            unsafe {
                let mut block = [V::zero(); 16];
                let source = from.as_ptr().add(top * from_row + first);
                let target = to.as_mut_ptr().add(first * to_row + top);
                if used_rows == V::N && used_columns == V::N {
                    for (r, vector) in block.iter_mut().enumerate().take(V::N) {
                        *vector = V::load(source.add(r * from_row));
                    }
                    block = turn(block);
                    for (c, vector) in block.into_iter().enumerate().take(V::N) {
                        vector.store(target.add(c * to_row));
                    }
                    continue;
                }
                for (r, vector) in block.iter_mut().enumerate().take(used_rows) {
                    let left = from.len() - (top + r) * from_row - first;
                    *vector = V::load_some(source.add(r * from_row), left);
                }
                block = turn(block);
                for (c, vector) in block.into_iter().enumerate().take(used_columns) {
                    let count = if dense { to.len() - (first + c) * to_row - top } else { used_rows };
                    vector.store_some(target.add(c * to_row), count);
                }
            }
        }
    }
}
