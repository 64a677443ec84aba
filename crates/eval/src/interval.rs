//! A number with its interval and everything needed to make it again.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How an interval was made.
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

/// What is drawn, or counted, as one independent unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// All rows of a patient together. Images of a patient are alike, so intervals that ignore it are too narrow.
    #[default]
    Patient,
    /// Every row by itself, as the paper does with study rows.
    Row,
}

/// A confidence interval of a statistic or of a difference of two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Interval {
    /// The reported centre: the statistic of the rows themselves, except for [`Method::Paper`], whose centre is the mean
    /// of the bootstrap distribution. The mean over label draws where there are several.
    pub estimate: f64,
    /// Lower limit.
    pub lower: f64,
    /// Upper limit.
    pub upper: f64,
    /// Confidence level in (0, 1).
    pub level: f64,
    /// How it was made.
    pub method: Method,
    /// What was resampled.
    pub unit: Unit,
    /// The statistic of the rows themselves, whatever the centre is.
    pub observed: f64,
    /// Standard deviation of the bootstrap distribution, or DeLong's standard error.
    pub standard_error: f64,
    /// Bootstrap replicates; 0 for DeLong.
    pub replicates: usize,
    /// Resamples thrown away and drawn again because a class was absent from them.
    pub redrawn: usize,
    /// Labelled rows.
    pub n: usize,
    /// Positive rows.
    pub positives: usize,
    /// Patients.
    pub patients: usize,
    /// Seed of the resamples; `None` where nothing was drawn (DeLong, or resamples that were given).
    pub seed: Option<u64>,
}

impl Interval {
    /// Whether `value` lies in the interval, limits included.
    pub fn contains(&self, value: f64) -> bool {
        (self.lower..=self.upper).contains(&value)
    }

    /// Whether the interval of a difference leaves out zero: the paper's sign of significance.
    pub fn excludes_zero(&self) -> bool {
        self.lower > 0.0 || self.upper < 0.0
    }
}

/// `0.838 (0.797, 0.873)`, three decimals unless the format asks for others.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(3);
        write!(f, "{:.decimals$} ({:.decimals$}, {:.decimals$})", self.estimate, self.lower, self.upper)
    }
}
