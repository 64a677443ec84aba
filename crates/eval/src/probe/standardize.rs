//! Standardisation of features, so that one penalty suits all of them.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::features::check_columns;
use crate::error::Result;

/// Subtracts a mean and divides by a standard deviation, for each feature.
///
/// Fit it on the training rows, as [`crate::LinearProbeConfig::fit`] does, or on the pretraining images, and apply it
/// to all rows. Never fit it on rows that are reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardizer {
    mean: Array1<f64>,
    deviation: Array1<f64>,
}

impl Standardizer {
    /// Computes mean and standard deviation (with N in the denominator) of every column. The deviation of a constant
    /// column is set to 1, as in scikit-learn's `StandardScaler`.
    ///
    /// # Shapes
    /// - features `[N, D]`
    ///
    /// # Errors
    /// No rows or columns, or a feature that is not finite.
    pub fn fit(features: ArrayView2<'_, f32>) -> Result<Self> {
        super::features::check("features", features)?;
        let n = features.nrows() as f64;
        let mut mean = Array1::<f64>::zeros(features.ncols());
        for row in features.rows() {
            mean.zip_mut_with(&row, |m, &x| *m += f64::from(x));
        }
        mean /= n;
        let mut square = Array1::<f64>::zeros(features.ncols());
        for row in features.rows() {
            ndarray::Zip::from(&mut square).and(&mean).and(&row).for_each(|s, m, &x| *s += (f64::from(x) - m).powi(2));
        }
        let deviation = ndarray::Zip::from(&square).and(&mean).map_collect(|s, m| {
            let deviation = (s / n).sqrt();
            // Rounding leaves a tiny deviation in a constant column.
            if deviation > 1e-9 * m.abs() { deviation } else { 1.0 }
        });
        Ok(Self { mean, deviation })
    }

    /// `(x - mean) / deviation`, computed in f64 and stored as f32.
    ///
    /// # Shapes
    /// - features `[N, D]` to the same
    ///
    /// # Errors
    /// A number of columns other than it was fitted on.
    pub fn transform(&self, features: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        check_columns(features, self.mean.len())?;
        let mut out = features.to_owned();
        for mut row in out.axis_iter_mut(Axis(0)) {
            ndarray::Zip::from(&mut row)
                .and(&self.mean)
                .and(&self.deviation)
                .for_each(|x, m, d| *x = ((f64::from(*x) - m) / d) as f32);
        }
        Ok(out)
    }

    /// Mean of each feature, `[D]`.
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// Standard deviation of each feature, `[D]`, above zero.
    pub fn deviation(&self) -> &Array1<f64> {
        &self.deviation
    }
}
