//! ROC, precision-recall and reliability curves, and files that show them.

mod pr;
mod reliability;
mod roc;

pub use pr::pr_svg;
pub use reliability::reliability_svg;
pub use roc::{roc_curve, roc_svg};

use crate::chart::Series;

/// One curve of a plot: its name in the legend and the rows it is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Curve<'a> {
    /// Name in the legend, such as `Pleural Effusion 0.838 (0.797, 0.873)`.
    pub name: &'a str,
    /// Labels `[n]`.
    pub labels: &'a [bool],
    /// Scores `[n]`.
    pub scores: &'a [f64],
}

/// Curves with the series that gives each its colour; the eighth curve has the colour of the first again.
fn in_series<'a>(curves: &'a [Curve<'a>]) -> impl Iterator<Item = (Series, &'a Curve<'a>)> {
    curves.iter().enumerate().map(|(place, curve)| (1 + place % 7, curve))
}

/// The entry of each curve in the legend.
fn legend<'a>(curves: &'a [Curve<'a>]) -> Vec<(&'a str, Series)> {
    in_series(curves).map(|(series, curve)| (curve.name, series)).collect()
}
