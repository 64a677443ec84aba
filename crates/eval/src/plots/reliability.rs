//! The reliability diagram.

use super::{Curve, UnitPlot};
use crate::calibration::reliability;
use crate::error::Result;

/// Reliability diagrams as an SVG document: the share of positives against the mean probability in each of `bins` equal
/// bins, the dots' areas by the share of rows; the dashed diagonal is perfect calibration.
///
/// # Errors
/// Scores that are not probabilities, no rows, no bins.
pub fn reliability_svg(title: &str, curves: &[Curve<'_>], bins: usize) -> Result<String> {
    let mut plot = UnitPlot::new(title, "mean predicted probability", "share of positives");
    plot.reference((0.0, 0.0), (1.0, 1.0));
    for curve in curves {
        let bins = reliability(curve.labels, curve.scores, bins)?;
        let points: Vec<_> = bins.iter().map(|bin| (bin.mean_score, bin.positive_share)).collect();
        plot.curve(curve.name, &points);
        for (point, bin) in points.into_iter().zip(&bins) {
            plot.dot(point, bin.rows as f64 / curve.labels.len() as f64);
        }
    }
    Ok(plot.finish())
}
