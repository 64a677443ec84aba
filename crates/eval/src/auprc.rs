//! Area under the precision-recall curve, as average precision (no interpolation).

use crate::checked;
use crate::error::{Error, Result};
use crate::ranking::ascending;

/// AUPRC: the sum over thresholds of (R_k - R_{k-1}) P_k, with recall R and precision P at the k-th highest score.
///
/// Equal to scikit-learn's `average_precision_score(labels, scores, sample_weight=weights)`. The expected value of
/// a random ranking is the prevalence; report both.
///
/// # Errors
/// [`Error::Undefined`] if a class is absent (scikit-learn returns 0 without positives and 1 without negatives,
/// whatever the scores); different lengths, scores that are not finite, weights that are negative or not finite.
pub fn auprc(labels: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Result<f64> {
    checked::rows(labels, scores, weights)?;
    checked::both_classes(labels, weights).map_err(|reason| Error::undefined("AUPRC", reason))?;
    let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
    let mut order = ascending(scores);
    order.reverse();
    let (mut true_positives, mut predicted, mut sum) = (0.0, 0.0, 0.0);
    for tie in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let mut gained = 0.0;
        for &row in tie {
            predicted += weight(row);
            gained += if labels[row] { weight(row) } else { 0.0 };
        }
        true_positives += gained;
        if gained > 0.0 {
            sum += gained * true_positives / predicted;
        }
    }
    Ok(sum / true_positives)
}
