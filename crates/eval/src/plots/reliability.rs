//! The reliability diagram.

use super::{Curve, in_series, legend};
use crate::calibration::reliability;
use crate::chart::{Axis, Chart};
use crate::error::Result;

/// Reliability diagrams as an SVG document: the share of positive rows against the mean probability in each of `bins`
/// equal bins. The area of a dot is its bin's share of the rows; the dashed diagonal is perfect calibration.
///
/// # Errors
/// Scores that are not probabilities, no rows, no bins or too many.
pub fn reliability_svg(title: &str, curves: &[Curve<'_>], bins: usize) -> Result<String> {
    let (mean, share) = ("mean predicted probability", "share of positives");
    let mut chart = Chart::square(Axis::unit(mean), Axis::unit(share), title);
    chart.reference(&[(0.0, 0.0), (1.0, 1.0)]);
    for (series, curve) in in_series(curves) {
        let bins = reliability(curve.labels, curve.scores, bins)?;
        let points: Vec<_> = bins.iter().map(|bin| (bin.mean_score, bin.positive_share)).collect();
        chart.curve(&points, series);
        for (point, bin) in points.into_iter().zip(&bins) {
            chart.dot(point, dot_radius(bin.rows as f64 / curve.labels.len() as f64), series);
        }
    }
    Ok(chart.document(&legend(curves)))
}

/// Radius of the dot of a bin with this share of the rows, 0 to 1.
fn dot_radius(share: f64) -> f64 {
    2.5 + 8.0 * share.sqrt()
}
