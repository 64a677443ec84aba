//! The ROC curve.

use super::{Curve, in_series, legend};
use crate::chart::{Axis, Chart};
use crate::checked;
use crate::error::{Error, Result};
use crate::ranking::ascending;

/// Points (false positive rate, true positive rate) of the ROC curve from (0, 0) to (1, 1), one per distinct score.
///
/// # Errors
/// [`Error::Undefined`] if a class is absent; different lengths, or scores that are not finite.
pub fn roc_curve(labels: &[bool], scores: &[f64]) -> Result<Vec<(f64, f64)>> {
    checked::rows(labels, scores, None)?;
    checked::both_classes(labels, None).map_err(|reason| Error::undefined("the ROC curve", reason))?;
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let negatives = labels.len() as f64 - positives;
    let mut order = ascending(scores);
    order.reverse();
    let (mut true_positives, mut false_positives) = (0_usize, 0_usize);
    let mut points = vec![(0.0, 0.0)];
    for tie in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let hits = tie.iter().filter(|row| labels[**row]).count();
        true_positives += hits;
        false_positives += tie.len() - hits;
        points.push((false_positives as f64 / negatives, true_positives as f64 / positives));
    }
    Ok(points)
}

/// ROC curves as an SVG document; the dashed diagonal is chance.
///
/// # Errors
/// As [`roc_curve`], for any of the curves.
pub fn roc_svg(title: &str, curves: &[Curve<'_>]) -> Result<String> {
    let mut chart = Chart::square(Axis::unit("1 - specificity"), Axis::unit("sensitivity"), title);
    chart.reference(&[(0.0, 0.0), (1.0, 1.0)]);
    for (series, curve) in in_series(curves) {
        chart.curve(&roc_curve(curve.labels, curve.scores)?, series);
    }
    Ok(chart.document(&legend(curves)))
}
