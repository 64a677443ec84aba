//! Calibration of probabilities: Brier score, reliability bins and expected calibration error.

use serde::{Deserialize, Serialize};

use crate::checked;
use crate::error::{Error, Result};
use crate::undefined::Undefined;

/// The rows whose predicted probability falls into one bin, without its lower edge and with its upper edge; 0 is in the
/// first bin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReliabilityBin {
    /// Lower edge in [0, 1].
    pub lower: f64,
    /// Upper edge in [0, 1].
    pub upper: f64,
    /// Number of rows, at least 1.
    pub rows: usize,
    /// Mean predicted probability.
    pub mean_score: f64,
    /// Share of positive rows.
    pub positive_share: f64,
}

/// Scores of label draws as probabilities: as they are if all of them lie in [0, 1]; else all are taken as logits, as a linear
/// probe writes them, and go through the logistic function.
#[must_use]
pub fn as_probabilities<S: AsRef<[f64]>>(draws: &[S]) -> Vec<Vec<f64>> {
    let logits = draws.iter().any(|scores| checked::probabilities(scores.as_ref()).is_err());
    let probability = |score: &f64| if logits { 1.0 / (1.0 + (-score).exp()) } else { *score };
    draws.iter().map(|scores| scores.as_ref().iter().map(probability).collect()).collect()
}

/// Brier score: the mean squared difference between probability and label; 0 is perfect, lower is better.
///
/// Equal to scikit-learn's `brier_score_loss`.
///
/// # Errors
/// [`Error::Undefined`] without rows or with scores that are not probabilities; different lengths.
pub fn brier(labels: &[bool], scores: &[f64]) -> Result<f64> {
    check("Brier score", labels, scores)?;
    let squares = labels.iter().zip(scores).map(|(label, score)| (score - f64::from(u8::from(*label))).powi(2));
    Ok(squares.sum::<f64>() / labels.len() as f64)
}

/// Equal-width reliability bins; bins without rows are left out.
///
/// # Errors
/// As [`brier`]; no bins, or more than 10,000.
pub fn reliability(labels: &[bool], scores: &[f64], bins: usize) -> Result<Vec<ReliabilityBin>> {
    check("calibration", labels, scores)?;
    checked::bins(bins)?;
    let edge = |number: usize| number as f64 / bins as f64;
    let mut sums = vec![(0_usize, 0.0, 0_usize); bins];
    for (&label, &score) in labels.iter().zip(scores) {
        // Rounding can put the first guess off by one; the edges decide.
        let mut bin = ((score * bins as f64) as usize).min(bins - 1);
        while bin > 0 && score <= edge(bin) {
            bin -= 1;
        }
        while bin + 1 < bins && score > edge(bin + 1) {
            bin += 1;
        }
        let (rows, score_sum, positives) = &mut sums[bin];
        *rows += 1;
        *score_sum += score;
        *positives += usize::from(label);
    }
    let filled = sums.into_iter().enumerate().filter(|(_, (rows, ..))| *rows > 0);
    Ok(filled
        .map(|(bin, (rows, score_sum, positives))| ReliabilityBin {
            lower: edge(bin),
            upper: edge(bin + 1),
            rows,
            mean_score: score_sum / rows as f64,
            positive_share: positives as f64 / rows as f64,
        })
        .collect())
}

/// Expected calibration error (Guo et al. 2017, <https://arxiv.org/abs/1706.04599>): the absolute difference between
/// the share of positive rows and the mean probability of each bin, averaged with the numbers of rows as weights.
///
/// # Errors
/// As [`reliability`].
pub fn expected_calibration_error(labels: &[bool], scores: &[f64], bins: usize) -> Result<f64> {
    let gaps = reliability(labels, scores, bins)?;
    let sum: f64 = gaps.iter().map(|bin| bin.rows as f64 * (bin.positive_share - bin.mean_score).abs()).sum();
    Ok(sum / labels.len() as f64)
}

fn check(metric: &str, labels: &[bool], scores: &[f64]) -> Result<()> {
    checked::rows(labels, scores, None)?;
    if labels.is_empty() {
        return Err(Error::undefined(metric, Undefined::NoLabelledRows));
    }
    checked::probabilities(scores).map_err(|reason| Error::undefined(metric, reason))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn scores_outside_the_unit_interval_are_logits_of_all_draws() {
        assert_eq!(as_probabilities(&[[0.0, 1.0], [0.25, 0.5]]), [[0.0, 1.0], [0.25, 0.5]]);
        let logits = as_probabilities(&[[0.0, 0.5], [-800.0, 800.0]]);
        assert_eq!((logits[0][0], logits[1][0], logits[1][1]), (0.5, 0.0, 1.0));
        assert!((logits[0][1] - 0.622_459_331_201_854_6).abs() < 1e-15, "{logits:?}"); // 1 / (1 + exp(-1/2))
    }

    #[test]
    fn edges_belong_to_the_lower_bin() {
        let bins = reliability(&[false, true, true, false], &[0.0, 0.1, 0.3, 1.0], 10).unwrap();
        let edges: Vec<_> = bins.iter().map(|bin| (bin.upper, bin.rows)).collect();
        assert_eq!(edges, [(0.1, 2), (0.3, 1), (1.0, 1)]);
    }

    #[test]
    fn logits_are_refused() {
        let error = brier(&[true, false], &[3.2, -1.0]).unwrap_err();
        assert_eq!(error.undefined_reason(), Some(&Undefined::NotProbabilities { score: 3.2 }));
    }
}
