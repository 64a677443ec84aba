//! A band around a ROC curve.

use super::resample::resampled;
use super::{Bootstrap, clustered};
use crate::checked;
use crate::cohort::Cohort;
use crate::error::{Error, Result};
use crate::interval::Unit;
use crate::ranking::ascending;

/// Limits of the sensitivity at one specificity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BandPoint {
    /// 1 - specificity, in [0, 1].
    pub false_positive_rate: f64,
    /// Lower limit of the sensitivity.
    pub lower: f64,
    /// Upper limit of the sensitivity.
    pub upper: f64,
}

impl Bootstrap {
    /// Percentile limits of the sensitivity at `points` equally spaced specificities from 1 to 0. The limits are
    /// pointwise and not simultaneous for the whole curve. Between two points of a replicate's curve the sensitivity is
    /// interpolated linearly, as the curve is drawn.
    ///
    /// # Shapes
    /// `scores`: `[n]`, of the rows of `cohort`.
    ///
    /// # Errors
    /// [`Error::Undefined`] if a class is absent or has one unit only; different lengths, scores that are not finite,
    /// fewer than two points, settings out of range.
    pub fn roc_band(&self, cohort: &Cohort, scores: &[f64], points: usize) -> Result<Vec<BandPoint>> {
        self.validate()?;
        checked::rows(cohort.labels(), scores, None)?;
        let undefined = |reason| Error::undefined("the ROC curve", reason);
        checked::both_classes(cohort.labels(), None).map_err(undefined)?;
        cohort.enough_for_an_interval(self.unit).map_err(undefined)?;
        if points < 2 {
            return Err(Error::Setting { name: "points of a band", found: points.to_string(), expected: "at least 2" });
        }
        let grid: Vec<f64> = (0..points).map(|i| i as f64 / (points - 1) as f64).collect();
        let mut order = ascending(scores);
        order.reverse();
        let units = match self.unit {
            Unit::Patient => cohort.patient_count(),
            Unit::Row => cohort.len(),
        };
        let unit = |row: usize| if self.unit == Unit::Patient { cohort.patients()[row] as usize } else { row };
        let curve = |counts: &[u32]| -> Option<Vec<f64>> {
            let steps = order.chunk_by(|&a, &b| scores[a] == scores[b]).map(|tie| {
                tie.iter().fold((0.0, 0.0), |(fp, tp), &row| {
                    let count = f64::from(counts[unit(row)]);
                    if cohort.labels()[row] { (fp, tp + count) } else { (fp + count, tp) }
                })
            });
            let mut curve = vec![(0.0, 0.0)];
            for (fp, tp) in steps {
                let (x, y) = curve[curve.len() - 1];
                curve.push((x + fp, y + tp));
            }
            let (negatives, positives) = curve[curve.len() - 1];
            (negatives > 0.0 && positives > 0.0)
                .then(|| grid.iter().map(|&x| interpolated(&curve, x * negatives) / positives).collect())
        };
        let replicates = resampled(units, &self.resamples(), curve).map_err(undefined)?;
        let point = |(i, &false_positive_rate): (usize, &f64)| {
            let column: Vec<f64> = replicates.iter().map(|curve| curve[i]).collect();
            let (lower, upper) = clustered::percentile_limits(&column, self.level);
            BandPoint { false_positive_rate, lower, upper }
        };
        Ok(grid.iter().enumerate().map(point).collect())
    }
}

/// Height at `x` of a non-decreasing line through points; the upper end where it is vertical.
fn interpolated(curve: &[(f64, f64)], x: f64) -> f64 {
    let after = curve.partition_point(|point| point.0 <= x);
    let (x0, y0) = curve[after.max(1) - 1];
    match curve.get(after) {
        Some(&(x1, y1)) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
        None => y0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::metric::Metric;
    use crate::plots::roc_curve;

    fn sample() -> (Cohort, Vec<f64>) {
        let labels: Vec<bool> = (0..60).map(|i| i % 3 == 0).collect();
        let scores = (0..60).map(|i| f64::from(i * 37 % 60) / 60.0 + if i % 3 == 0 { 0.4 } else { 0.0 }).collect();
        let patients: Vec<i32> = (0..60).map(|i| i / 2).collect();
        (Cohort::new(labels, &patients).unwrap(), scores)
    }

    #[test]
    fn the_band_encloses_the_curve_and_narrows_with_the_level() {
        let (cohort, scores) = sample();
        let wide = Bootstrap { replicates: 400, ..Bootstrap::default() };
        let narrow = Bootstrap { level: 0.5, ..wide.clone() };
        let (wide, narrow) =
            (wide.roc_band(&cohort, &scores, 21).unwrap(), narrow.roc_band(&cohort, &scores, 21).unwrap());
        let curve = roc_curve(cohort.labels(), &scores).unwrap();
        for (w, n) in wide.iter().zip(&narrow) {
            assert!(0.0 <= w.lower && w.lower <= n.lower && n.upper <= w.upper && w.upper <= 1.0, "{w:?} {n:?}");
            let sensitivity = interpolated(&curve, w.false_positive_rate);
            assert!((w.lower..=w.upper).contains(&sensitivity), "{w:?} around {sensitivity}");
        }
        assert!(wide.iter().zip(&narrow).any(|(w, n)| w.upper - w.lower > n.upper - n.lower));
    }

    /// The mean over the grid of a replicate's curve is its AUROC up to the width of the grid, so the mean limits
    /// enclose the interval of the AUROC.
    #[test]
    fn the_band_encloses_the_interval_of_the_area() {
        let (cohort, scores) = sample();
        let bootstrap = Bootstrap { replicates: 400, ..Bootstrap::default() };
        let band = bootstrap.roc_band(&cohort, &scores, 401).unwrap();
        let mean = |of: fn(&BandPoint) -> f64| band.iter().map(of).sum::<f64>() / band.len() as f64;
        let area = bootstrap.interval(&cohort, &[scores], Metric::Auroc).unwrap();
        let grid = 1.0 / 400.0;
        assert!(mean(|p| p.lower) <= area.lower + grid && area.upper <= mean(|p| p.upper) + grid, "{area}");
    }

    #[test]
    fn a_perfect_ranking_has_no_band() {
        let cohort = Cohort::independent(vec![true, true, true, false, false, false]).unwrap();
        let band = Bootstrap::default().roc_band(&cohort, &[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 5).unwrap();
        assert!(band.iter().all(|p| (p.lower, p.upper) == (1.0, 1.0)), "{band:?}");
    }

    #[test]
    fn one_class_has_no_band() {
        let cohort = Cohort::independent(vec![true; 4]).unwrap();
        let error = Bootstrap::default().roc_band(&cohort, &[1.0, 2.0, 3.0, 4.0], 5).unwrap_err();
        assert!(error.undefined_reason().is_some(), "{error}");
    }
}
