//! A number with its interval and everything needed to reproduce it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Method that computed an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// The bootstrap of the MoCo-CXR paper.
    Paper,
    /// Percentile bootstrap.
    Percentile,
    /// Bias-corrected and accelerated bootstrap.
    Bca,
    /// DeLong's variance (Obuchowski's with patients as clusters) and a normal approximation.
    DeLong,
}

/// The unit that is resampled and counts as independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// All rows of a patient together. Images of one patient are correlated; intervals that ignore this are too narrow.
    #[default]
    Patient,
    /// Every row on its own, as the paper does with studies.
    Row,
}

/// A confidence interval of a statistic or of a difference of two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Interval {
    /// The value to report: the statistic on the original rows, except for [`Method::Paper`], which reports the mean of
    /// the bootstrap distribution. With several label draws, the mean over them.
    pub estimate: f64,
    /// Lower limit.
    pub lower: f64,
    /// Upper limit.
    pub upper: f64,
    /// Confidence level in (0, 1).
    pub level: f64,
    /// Method that computed it.
    pub method: Method,
    /// Unit that was resampled.
    pub unit: Unit,
    /// The statistic on the original rows, for every method.
    pub observed: f64,
    /// Standard deviation of the bootstrap distribution, or DeLong's standard error.
    pub standard_error: f64,
    /// Number of bootstrap replicates; 0 for DeLong.
    pub replicates: usize,
    /// Number of resamples discarded and drawn again because they lacked a class.
    pub redrawn: usize,
    /// Number of labelled rows.
    pub n: usize,
    /// Number of positive rows.
    pub positives: usize,
    /// Number of patients.
    pub patients: usize,
    /// Seed of the resamples; `None` for DeLong and for resamples given by the caller.
    pub seed: Option<u64>,
}

impl Interval {
    /// Whether `value` lies in the interval, including its limits.
    pub fn contains(&self, value: f64) -> bool {
        (self.lower..=self.upper).contains(&value)
    }

    /// Whether zero lies outside the interval, which the paper takes as significance of a difference.
    pub fn excludes_zero(&self) -> bool {
        self.lower > 0.0 || self.upper < 0.0
    }
}

/// `0.838 (0.797, 0.873)`: three decimals, or the precision of the format string.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(3);
        write!(f, "{:.decimals$} ({:.decimals$}, {:.decimals$})", self.estimate, self.lower, self.upper)
    }
}
