//! Area under the ROC curve, with mid-ranks for ties and optional sample weights.

use crate::checked;
use crate::error::{Error, Result};
use crate::ranking::ascending;

/// AUROC: the probability that a random positive row is scored above a random negative one; a tie counts one half.
///
/// Equal to scikit-learn's `roc_auc_score(labels, scores, sample_weight=weights)`. Rows of weight zero are
/// ignored.
///
/// # Errors
/// [`Error::Undefined`] if a class is absent (never the value 0.5); different lengths, scores that are not finite,
/// weights that are negative or not finite.
///
/// ```
/// let auc = eval::auroc(&[true, false, true, false], &[0.9, 0.1, 0.4, 0.4], None)?;
/// assert_eq!(auc, 0.875); // 3 of 4 pairs in order, one tie
/// # Ok::<(), eval::Error>(())
/// ```
pub fn auroc(labels: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Result<f64> {
    checked::rows(labels, scores, weights)?;
    checked::both_classes(labels, weights).map_err(|reason| Error::undefined("AUROC", reason))?;
    let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
    let order = ascending(scores);
    let (mut negatives, mut positives, mut twice_u) = (0.0, 0.0, 0.0);
    for tie in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let (mut tied_positives, mut tied_negatives) = (0.0, 0.0);
        for &row in tie {
            if labels[row] { tied_positives += weight(row) } else { tied_negatives += weight(row) }
        }
        twice_u += tied_positives * (2.0 * negatives + tied_negatives);
        positives += tied_positives;
        negatives += tied_negatives;
    }
    Ok(twice_u / (2.0 * positives * negatives))
}
