//! Scores from the nearest neighbours in feature space, without training.

use std::cmp::Ordering;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::features::{check, check_columns, check_targets};
use crate::error::{Error, Result};
use crate::undefined::Undefined;

/// Number of queries whose similarities are computed together.
pub(super) const BLOCK: usize = 64;

/// Weighted k nearest neighbours by cosine similarity (instance discrimination, Wu et al., arXiv:1805.01978, section
/// 3.4).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knn {
    /// Number of neighbours that vote; all labelled rows if there are fewer.
    pub k: usize,
    /// A neighbour with cosine similarity c votes with weight exp(c / temperature).
    pub temperature: f64,
}

impl Default for Knn {
    /// 200 neighbours at temperature 0.07, as in the paper.
    fn default() -> Self {
        Self { k: 200, temperature: 0.07 }
    }
}

impl Knn {
    /// Checks the settings.
    ///
    /// # Errors
    /// k of 0, a temperature that is not above 0.
    pub fn validate(&self) -> Result<()> {
        if self.k == 0 {
            return Err(Error::Setting { name: "k", found: "0".to_owned(), expected: "at least 1" });
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            let found = self.temperature.to_string();
            return Err(Error::Setting { name: "temperature", found, expected: "a finite number above 0" });
        }
        Ok(())
    }

    /// For every query and task, the weighted share of positives, in [0, 1], among the k nearest bank rows *that are
    /// labelled for the task*. Of equally near rows, those that come first in the bank are taken.
    ///
    /// # Shapes
    /// - bank `[N, D]`, targets `[N, T]`: 0, 1, or NaN where masked
    /// - queries `[M, D]`, returns `[M, T]`
    ///
    /// # Errors
    /// As [`Self::validate`]; wrong shapes; features that are not finite, or zero throughout a row; [`Error::InTask`]
    /// for a task without labelled rows.
    pub fn scores(
        &self,
        bank: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, f64>,
        queries: ArrayView2<'_, f32>,
    ) -> Result<Array2<f64>> {
        check("bank", bank)?;
        check("queries", queries)?;
        check_columns(queries, bank.ncols())?;
        check_targets(targets, bank.nrows())?;
        self.validate()?;
        if let Some(task) = targets.columns().into_iter().position(|task| task.iter().all(|label| label.is_nan())) {
            let source = Error::undefined("kNN", Undefined::NoLabelledRows);
            return Err(Error::InTask { task, source: Box::new(source) });
        }
        let (bank, queries) = (unit_rows("bank", bank)?, unit_rows("queries", queries)?);
        let mut out = Array2::zeros((queries.nrows(), targets.ncols()));
        out.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().enumerate().for_each(|(block, mut out)| {
            let first = block * BLOCK;
            let similarities = queries.slice(s![first..first + out.nrows(), ..]).dot(&bank.t()); // [block, N]
            for (similarities, mut out) in similarities.rows().into_iter().zip(out.rows_mut()) {
                let mut rows: Vec<usize> = Vec::with_capacity(similarities.len());
                for (task, score) in out.iter_mut().enumerate() {
                    rows.clear();
                    rows.extend((0..similarities.len()).filter(|&row| !targets[[row, task]].is_nan()));
                    let nearest = nearest(&mut rows, |row| similarities[row], self.k);
                    // Relative to the nearest, so that a low temperature cannot overflow.
                    let most = nearest.iter().map(|&row| similarities[row]).fold(f64::NEG_INFINITY, f64::max);
                    let (mut positive, mut all) = (0.0, 0.0);
                    for &row in nearest.iter() {
                        let weight = ((similarities[row] - most) / self.temperature).exp();
                        all += weight;
                        positive += weight * targets[[row, task]];
                    }
                    *score = positive / all;
                }
            }
        });
        Ok(out)
    }
}

/// The k rows with the highest similarity; of equal ones, the lower row number first. They are sorted so that sums over
/// them are always in the same order.
pub(super) fn nearest(rows: &mut [usize], similarity: impl Fn(usize) -> f64, k: usize) -> &[usize] {
    let order = |a: &usize, b: &usize| -> Ordering { similarity(*b).total_cmp(&similarity(*a)).then(a.cmp(b)) };
    let k = k.min(rows.len());
    if k < rows.len() {
        rows.select_nth_unstable_by(k, order);
    }
    rows[..k].sort_unstable_by(order);
    &rows[..k]
}

/// The rows, each divided by its length.
pub(super) fn unit_rows(what: &'static str, features: ArrayView2<'_, f32>) -> Result<Array2<f64>> {
    let mut unit = features.mapv(f64::from);
    for (row, mut x) in unit.rows_mut().into_iter().enumerate() {
        let norm = x.dot(&x).sqrt();
        if norm == 0.0 {
            return Err(Error::ZeroFeature { what, row });
        }
        x /= norm;
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ndarray::array;

    use super::*;

    #[test]
    fn weights_follow_the_formula_and_masked_rows_give_way_to_the_next_nearest() {
        // Cosines with the query (1, 0): 1, 0.8, 0.6, 0, -1; lengths do not matter.
        let bank = array![[5.0_f32, 0.0], [4.0, 3.0], [0.6, 0.8], [0.0, 2.0], [-1.0, 0.0]];
        let nan = f64::NAN;
        let targets = array![[1.0, nan], [0.0, 1.0], [1.0, nan], [0.0, 0.0], [1.0, 1.0]];
        let scores = Knn { k: 2, temperature: 0.5 }.scores(bank.view(), targets.view(), array![[2.0_f32, 0.0]].view());
        let scores = scores.unwrap();
        let e = |c: f64| (c / 0.5).exp();
        // 0.8 and 0.6 have a relative error of 6e-8 in f32, which 1 / temperature multiplies.
        assert!((scores[[0, 0]] - e(1.0) / (e(1.0) + e(0.8))).abs() < 1e-6, "{scores}");
        assert!((scores[[0, 1]] - e(0.8) / (e(0.8) + e(0.0))).abs() < 1e-6, "{scores}");
    }

    #[test]
    fn a_low_temperature_is_the_nearest_neighbour_without_overflow() {
        let bank = array![[1.0_f32, 0.1], [1.0, 0.0], [0.0, 1.0]];
        let targets = array![[0.0], [1.0], [0.0]];
        let knn = Knn { k: 3, temperature: 1e-5 };
        let scores = knn.scores(bank.view(), targets.view(), array![[1.0_f32, 0.0]].view()).unwrap();
        assert_eq!(scores[[0, 0]], 1.0);
    }

    #[test]
    fn features_without_direction_are_refused() {
        let (bank, targets) = (array![[1.0_f32], [0.0]], array![[0.0], [1.0]]);
        let error = Knn::default().scores(bank.view(), targets.view(), array![[1.0_f32]].view()).unwrap_err();
        assert!(matches!(error, Error::ZeroFeature { what: "bank", row: 1 }), "{error}");
    }
}
