//! The Cholesky factorisation for the probe's preconditioner.

use ndarray::Array2;
use rayon::prelude::*;

/// Lower triangle L of a symmetric positive definite matrix, `A = L Lᵀ`.
#[derive(Debug, Clone)]
pub(super) struct Cholesky {
    lower: Array2<f64>,
}

impl Cholesky {
    /// Factorises `matrix` `[M, M]`; `None` if it is not numerically positive definite.
    pub(super) fn new(mut matrix: Array2<f64>) -> Option<Self> {
        let m = matrix.nrows();
        let cells = matrix.as_slice_mut()?;
        // Column by column: the rows below the pivot are updated independently of each other.
        for column in 0..m {
            let (above, below) = cells.split_at_mut((column + 1) * m);
            let pivot_row = &mut above[column * m..];
            let pivot = pivot_row[column] - pivot_row[..column].iter().map(|l| l * l).sum::<f64>();
            if !(pivot > 0.0 && pivot.is_finite()) {
                return None;
            }
            let diagonal = pivot.sqrt();
            pivot_row[column] = diagonal;
            let pivot_row = &pivot_row[..column];
            below.par_chunks_mut(m).with_min_len(64).for_each(|row| {
                row[column] = (row[column] - dot(&row[..column], pivot_row)) / diagonal;
            });
        }
        Some(Self { lower: matrix })
    }

    /// `A⁻¹ b`, in place.
    pub(super) fn solve(&self, b: &mut [f64]) {
        let m = b.len();
        let Some(cells) = self.lower.as_slice() else { return };
        for i in 0..m {
            let row = &cells[i * m..i * m + i];
            b[i] = (b[i] - dot(row, &b[..i])) / cells[i * m + i];
        }
        for i in (0..m).rev() {
            b[i] /= cells[i * m + i];
            let (head, tail) = b.split_at_mut(i);
            let value = tail[0];
            head.iter_mut().zip(&cells[i * m..i * m + i]).for_each(|(b, l)| *b -= l * value);
        }
    }
}

/// Inner product in independent partial sums, which the compiler can keep in vector registers.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a8.zip(b8) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ndarray::array;

    use super::*;

    #[test]
    fn solves_a_system_with_a_known_answer() {
        let a = array![[4.0, 2.0, -2.0], [2.0, 10.0, 5.0], [-2.0, 5.0, 9.0]];
        let x = array![1.0, -2.0, 3.0];
        let mut b = a.dot(&x).to_vec();
        Cholesky::new(a).unwrap().solve(&mut b);
        // The numbers have one digit, so the error is a few units in the last place.
        assert!(b.iter().zip(&x).all(|(b, x)| (b - x).abs() < 1e-14), "{b:?}");
    }

    #[test]
    fn an_indefinite_matrix_is_refused() {
        assert!(Cholesky::new(array![[1.0, 2.0], [2.0, 1.0]]).is_none());
    }
}
