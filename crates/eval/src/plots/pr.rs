//! The precision-recall curve.

use super::{Curve, in_series, legend};
use crate::chart::{Axis, Chart};
use crate::checked;
use crate::error::{Error, Result};
use crate::ranking::ascending;

/// Points (recall, precision), one per distinct score, from the highest score to the lowest.
fn pr_curve(labels: &[bool], scores: &[f64]) -> Result<Vec<(f64, f64)>> {
    checked::rows(labels, scores, None)?;
    checked::both_classes(labels, None).map_err(|reason| Error::undefined("the precision-recall curve", reason))?;
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let mut order = ascending(scores);
    order.reverse();
    let (mut true_positives, mut predicted) = (0_usize, 0_usize);
    let mut points = Vec::new();
    for tie in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        true_positives += tie.iter().filter(|row| labels[**row]).count();
        predicted += tie.len();
        points.push((true_positives as f64 / positives, true_positives as f64 / predicted as f64));
    }
    Ok(points)
}

/// Precision-recall curves as an SVG document, drawn as the steps whose areas average precision adds up. The dashed
/// line is the prevalence of the first curve, which is the precision of a random ranking.
///
/// # Errors
/// [`Error::Undefined`] if a class is absent from any of the curves; different lengths, or scores that
/// are not finite.
pub fn pr_svg(title: &str, curves: &[Curve<'_>]) -> Result<String> {
    let (recall, precision) = ("recall (sensitivity)", "precision (positive predictive value)");
    let mut chart = Chart::square(Axis::unit(recall), Axis::unit(precision), title);
    if let Some(first) = curves.first() {
        let prevalence = first.labels.iter().filter(|label| **label).count() as f64 / first.labels.len().max(1) as f64;
        chart.reference(&[(0.0, prevalence), (1.0, prevalence)]);
    }
    for (series, curve) in in_series(curves) {
        let mut recall_before = 0.0;
        let mut steps = Vec::new();
        for (recall, precision) in pr_curve(curve.labels, curve.scores)? {
            steps.extend([(recall_before, precision), (recall, precision)]);
            recall_before = recall;
        }
        chart.curve(&steps, series);
    }
    Ok(chart.document(&legend(curves)))
}
