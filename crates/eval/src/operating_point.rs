//! Sensitivity at a given specificity.

use crate::checked;
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::ranking::Ranking;
use crate::undefined::Undefined;

/// The highest sensitivity of any threshold whose specificity on these rows is at least `specificity`, without
/// interpolation.
///
/// # Errors
/// [`Error::Undefined`] if a class is absent; a specificity outside [0, 1], different lengths, or scores that are not
/// finite.
pub fn sensitivity_at_specificity(labels: &[bool], scores: &[f64], specificity: f64) -> Result<f64> {
    checked::rows(labels, scores, None)?;
    checked::specificity(specificity)?;
    let metric = Metric::SensitivityAt { specificity };
    checked::both_classes(labels, None).map_err(|reason| Error::undefined(metric, reason))?;
    let ranking = Ranking::new(labels, scores, &vec![0; labels.len()]);
    ranking.sensitivity_at(specificity, &[1]).ok_or_else(|| Error::undefined(metric, Undefined::NoLabelledRows))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn thresholds_between_ties_do_not_exist() {
        let labels = [false, false, true, false, true, true];
        let scores = [0.1, 0.2, 0.2, 0.4, 0.5, 0.6];
        let at = |specificity| sensitivity_at_specificity(&labels, &scores, specificity).unwrap();
        assert_eq!(at(0.0), 1.0);
        assert_eq!(at(1.0 / 3.0), 1.0); // threshold 0.2: one negative below, all positives kept
        assert_eq!(at(0.5), 2.0 / 3.0); // the next threshold, 0.4, already loses the tied positive
        assert_eq!(at(1.0), 2.0 / 3.0); // threshold 0.5
    }
}
