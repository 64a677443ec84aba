//! The spread of unit vectors: deviation, uniformity, effective rank. Computed on the host, in f64.

use burn::tensor::Tensor;
use ndarray::{Array2, ArrayView2, Axis};

use crate::{Error, Result};

/// Bins of [`Spread::coordinates`].
const BINS: usize = 64;
/// The bins cover the range from minus to plus this limit.
const LIMIT: f64 = 4.0;

/// Measures of a set of unit vectors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spread {
    /// Mean over coordinates of the standard deviation over vectors.
    pub(crate) deviation: f64,
    /// `ln E exp(-2·|x - y|²)` over pairs of different vectors.
    pub(crate) uniformity: f64,
    /// `exp(H(σ / Σσ))` of the singular values (RankMe, arXiv:2210.02885, equation 1).
    pub(crate) effective_rank: f64,
    /// Coordinates times √D, counted in 64 equal bins from -4 to 4; the outer bins include values beyond.
    pub(crate) coordinates: Vec<u64>,
}

impl Spread {
    /// The spread of the rows of `[m, D]`; all zero for fewer than two rows.
    pub(crate) fn of(rows: Tensor<2>) -> Result<Self> {
        let shape = rows.dims();
        let failed = |reason: String| Error::Device { what: "reading keys", reason };
        if shape[0] < 2 {
            return Ok(Self { deviation: 0.0, uniformity: 0.0, effective_rank: 0.0, coordinates: vec![0; BINS] });
        }
        let data = rows.try_into_data().map_err(|e| failed(e.to_string()))?.convert::<f64>();
        let values = data.try_to_vec::<f64>().map_err(|e| failed(e.to_string()))?;
        let rows = Array2::from_shape_vec(shape, values).map_err(|e| failed(e.to_string()))?;
        Ok(Self::of_rows(rows.view()))
    }

    fn of_rows(rows: ArrayView2<'_, f64>) -> Self {
        let deviation = rows.std_axis(Axis(0), 0.0).mean().unwrap_or(0.0);
        let products = rows.dot(&rows.t()); // [m, m]; |x - y|² = |x|² + |y|² - 2x·y
        let m = rows.nrows();
        let mut sum = 0.0;
        for i in 0..m {
            for j in i + 1..m {
                sum += (-2.0 * (products[[i, i]] + products[[j, j]] - 2.0 * products[[i, j]]).max(0.0)).exp();
            }
        }
        let uniformity = (sum / (m * (m - 1) / 2) as f64).ln();
        // The smaller of the two Gram matrices has the same non-zero eigenvalues, the squared singular values.
        let gram = if m < rows.ncols() { products } else { rows.t().dot(&rows) };
        Self { deviation, uniformity, effective_rank: effective_rank(gram), coordinates: coordinates(rows) }
    }
}

fn coordinates(rows: ArrayView2<'_, f64>) -> Vec<u64> {
    let scale = (rows.ncols() as f64).sqrt();
    let mut counts = vec![0; BINS];
    for x in rows {
        let bin = (x * scale + LIMIT) / (2.0 * LIMIT) * BINS as f64;
        counts[(bin.max(0.0) as usize).min(BINS - 1)] += 1;
    }
    counts
}

fn effective_rank(gram: Array2<f64>) -> f64 {
    let singular: Vec<f64> = eigenvalues(gram).into_iter().map(|x| x.max(0.0).sqrt()).collect();
    let total: f64 = singular.iter().sum();
    if total == 0.0 {
        return 0.0;
    }
    let entropy: f64 = singular.iter().map(|s| s / total).filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum();
    entropy.exp()
}

/// Eigenvalues of a symmetric matrix by cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 8.5).
fn eigenvalues(mut a: Array2<f64>) -> Vec<f64> {
    let n = a.nrows();
    let scale = a.iter().map(|x| x * x).sum::<f64>();
    for _sweep in 0..30 {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|at| a[at] * a[at]).sum();
        if off <= 1e-20 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, p, q);
            }
        }
    }
    a.diag().to_vec()
}

/// Makes `a[p, q]` zero.
fn rotate(a: &mut Array2<f64>, p: usize, q: usize) {
    if a[[p, q]] == 0.0 {
        return;
    }
    let theta = (a[[q, q]] - a[[p, p]]) / (2.0 * a[[p, q]]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for i in 0..a.nrows() {
        let (x, y) = (a[[i, p]], a[[i, q]]);
        a[[i, p]] = c * x - s * y;
        a[[i, q]] = s * x + c * y;
    }
    for i in 0..a.nrows() {
        let (x, y) = (a[[p, i]], a[[q, i]]);
        a[[p, i]] = c * x - s * y;
        a[[q, i]] = s * x + c * y;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{arr2, concatenate};

    use super::*;

    #[test]
    fn parallel_vectors_have_rank_one_and_no_spread() {
        let rows = arr2(&[[0.6, 0.8], [0.6, 0.8], [0.6, 0.8]]);
        let spread = Spread::of_rows(rows.view());
        assert!(spread.deviation.abs() < 1e-12 && spread.uniformity.abs() < 1e-12);
        // Rounding leaves a second singular value of about 1e-8, with little entropy.
        assert!((spread.effective_rank - 1.0).abs() < 1e-6, "{}", spread.effective_rank);
    }

    #[test]
    fn an_orthonormal_basis_has_full_rank() {
        let basis = Array2::<f64>::eye(5);
        let rows = concatenate![Axis(0), basis, -basis.clone()];
        let spread = Spread::of_rows(rows.view());
        assert!((spread.effective_rank - 5.0).abs() < 1e-12);
        assert!((spread.deviation - 0.2_f64.sqrt()).abs() < 1e-12, "1/sqrt(D)");
        // 45 pairs: 5 opposite (distance² 4), 40 orthogonal (distance² 2).
        let expected = ((5.0 * (-8.0_f64).exp() + 40.0 * (-4.0_f64).exp()) / 45.0).ln();
        assert!((spread.uniformity - expected).abs() < 1e-12);
        // Forty zeros in the bin that begins at 0, five times ±√5 (bins of 1/8 from -4).
        let counted: Vec<_> = spread.coordinates.iter().enumerate().filter(|(_, n)| **n > 0).collect();
        assert_eq!(counted, [(14, &5), (32, &40), (49, &5)]);
    }

    #[test]
    fn eigenvalues_of_a_known_matrix() {
        // Characteristic polynomial of [[2, 1, 0], [1, 2, 1], [0, 1, 2]]: eigenvalues 2 and 2 ± sqrt(2).
        let mut found = eigenvalues(arr2(&[[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]]));
        found.sort_by(f64::total_cmp);
        for (found, expected) in found.iter().zip([2.0 - 2.0_f64.sqrt(), 2.0, 2.0 + 2.0_f64.sqrt()]) {
            assert!((found - expected).abs() < 1e-12);
        }
    }
}
