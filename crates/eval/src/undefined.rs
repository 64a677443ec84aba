//! Reasons why a number is undefined.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::interval::Unit;

/// Why a number is undefined. Files have `null` with this reason, never a substitute such as 0.5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Undefined {
    /// No row carries a label (all masked, or no rows at all).
    NoLabelledRows,
    /// Every labelled row (of weight above zero) is negative.
    NoPositives {
        /// Number of negative rows.
        negatives: usize,
    },
    /// Every labelled row (of weight above zero) is positive.
    NoNegatives {
        /// Number of positive rows.
        positives: usize,
    },
    /// Calibration needs probabilities; this score is outside [0, 1].
    NotProbabilities {
        /// The first score outside [0, 1].
        score: f64,
    },
    /// An interval needs at least two independent units of each class: the variation between units cannot be estimated
    /// from one.
    TooFewOfAClass {
        /// Patients (or rows, where those are the units) with positive rows.
        positives: usize,
        /// Patients (or rows) with negative rows.
        negatives: usize,
        /// The unit.
        #[serde(default)]
        unit: Unit,
    },
    /// All rows belong to one unit; an interval needs two.
    OneUnit {
        /// The unit.
        unit: Unit,
    },
    /// Resamples with both classes are too rare to draw.
    ResamplesLackAClass {
        /// The replicate that could not be drawn.
        replicate: usize,
        /// Number of resamples tried.
        attempts: usize,
    },
    /// The variance is zero, as for a perfect ranking, and a test or interval would divide by it.
    ZeroVariance,
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLabelledRows => write!(f, "no labelled rows"),
            Self::NoPositives { negatives } => {
                write!(f, "no positive rows (all {negatives} labelled rows are negative)")
            }
            Self::NoNegatives { positives } => {
                write!(f, "no negative rows (all {positives} labelled rows are positive)")
            }
            Self::NotProbabilities { score } => write!(f, "score {score} is not a probability (outside [0, 1])"),
            Self::TooFewOfAClass { positives, negatives, unit: Unit::Patient } => write!(
                f,
                "{positives} patient(s) with positive rows and {negatives} with negative ones; an interval needs at least 2 of each"
            ),
            Self::TooFewOfAClass { positives, negatives, unit: Unit::Row } => {
                write!(f, "{positives} positive and {negatives} negative row(s); an interval needs at least 2 of each")
            }
            Self::OneUnit { unit: Unit::Patient } => write!(f, "one patient; an interval needs at least 2"),
            Self::OneUnit { unit: Unit::Row } => write!(f, "one row; an interval needs at least 2"),
            Self::ResamplesLackAClass { replicate, attempts } => {
                write!(f, "replicate {replicate} had no resample with both classes in {attempts} attempts")
            }
            Self::ZeroVariance => write!(f, "the variance is zero"),
        }
    }
}
