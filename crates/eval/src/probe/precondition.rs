//! An approximate inverse Hessian of logistic regression, computed once and shared by all folds and tasks.
//!
//! Features of a deep network are strongly correlated, so that a weak penalty leaves the problem ill-conditioned, and
//! plain L-BFGS takes thousands of steps. The curvature of the logistic loss is at most 1/4 (Böhning and Lindsay 1988),
//! so `XᵀX/4 + l2 I` bounds the Hessian everywhere; the two differ by the weight of each row, which is smaller the more
//! certain the classifier is. A preconditioner changes the path to the minimum but not the minimum. It can therefore be
//! computed from other rows than those of the fit: it is the same for all folds and tasks, and a part of many rows is
//! enough.

use ndarray::{Array2, ArrayView2, Axis};

use super::cholesky::Cholesky;
use super::logistic::dot_f32;
use crate::error::{Error, Result};

/// Number of rows per feature from which `XᵀX` is estimated.
const ROWS_PER_FEATURE: usize = 4;

/// `(XᵀX/4 + l2 I)⁻¹` for the weights and `(n/4)⁻¹` for the intercept.
#[derive(Debug)]
pub(super) struct Preconditioner<'a> {
    l2: f64,
    kind: Kind<'a>,
}

#[derive(Debug)]
enum Kind<'a> {
    /// More rows than features: the D x D matrix itself.
    Features(Cholesky),
    /// At most as many rows as features: by the matrix inversion lemma, from the N x N matrix `XXᵀ + 4 l2 I`.
    Rows { features: ArrayView2<'a, f32>, cholesky: Cholesky },
}

/// The part of [`Preconditioner`] that does not depend on the penalty.
#[derive(Debug)]
pub(super) struct Gram<'a> {
    features: ArrayView2<'a, f32>,
    /// `XᵀX` (scaled up to all rows), or `XXᵀ` if there are no more rows than features.
    products: Array2<f64>,
}

impl<'a> Gram<'a> {
    /// From features `[N, D]` in standard layout.
    pub(super) fn new(features: ArrayView2<'a, f32>) -> Self {
        let (n, d) = features.dim();
        let products = if n <= d {
            let rows = features.mapv(f64::from);
            rows.dot(&rows.t())
        } else {
            let step = (n / (ROWS_PER_FEATURE * d)).max(1);
            let picked: Vec<usize> = (0..n).step_by(step).collect();
            let rows = features.select(Axis(0), &picked).mapv(f64::from);
            rows.t().dot(&rows) * (n as f64 / picked.len() as f64)
        };
        Self { features, products }
    }

    /// For one penalty.
    pub(super) fn preconditioner(&self, l2: f64) -> Result<Preconditioner<'a>> {
        let (n, d) = self.features.dim();
        let by_rows = n <= d;
        let (scale, ridge) = if by_rows { (1.0, 4.0 * l2) } else { (0.25, l2) };
        let mut matrix = &self.products * scale;
        // With a penalty below the rounding error of the products, the matrix would be singular.
        let rounding = 1e-14 * matrix.diag().sum();
        matrix.diag_mut().mapv_inplace(|x| x + ridge.max(rounding));
        let cholesky = Cholesky::new(matrix).ok_or(Error::Setting {
            name: "l2",
            found: l2.to_string(),
            expected: "a penalty above the rounding error of the products of the features",
        })?;
        let kind = if by_rows { Kind::Rows { features: self.features, cholesky } } else { Kind::Features(cholesky) };
        Ok(Preconditioner { l2, kind })
    }
}

impl<'a> Preconditioner<'a> {
    pub(super) fn new(features: ArrayView2<'a, f32>, l2: f64) -> Result<Self> {
        Gram::new(features).preconditioner(l2)
    }

    /// Times a gradient `[D + 1]` of a fit of `n` rows.
    pub(super) fn apply(&self, gradient: &[f64], n: f64) -> Vec<f64> {
        let (weights, intercept) = (&gradient[..gradient.len() - 1], gradient[gradient.len() - 1]);
        let mut out = weights.to_vec();
        match &self.kind {
            Kind::Features(cholesky) => cholesky.solve(&mut out),
            Kind::Rows { features, cholesky } => {
                // (XᵀX/4 + l2 I)⁻¹ g = (g - Xᵀ (XXᵀ + 4 l2 I)⁻¹ X g) / l2
                let rows = || features.rows().into_iter().filter_map(|x| x.to_slice());
                let mut inner: Vec<f64> = rows().map(|x| dot_f32(x, weights)).collect();
                cholesky.solve(&mut inner);
                for (x, factor) in rows().zip(inner) {
                    out.iter_mut().zip(x).for_each(|(o, &x)| *o -= factor * f64::from(x));
                }
                out.iter_mut().for_each(|o| *o /= self.l2);
            }
        }
        out.push(intercept / (0.25 * n));
        out
    }
}
