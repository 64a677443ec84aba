//! The statistics for which intervals can be computed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checked;
use crate::error::Result;
use crate::ranking::Ranking;

/// A statistic of scored rows, in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Area under the ROC curve ([`auroc`](crate::auroc)).
    Auroc,
    /// Average precision ([`auprc`](crate::auprc)).
    Auprc,
    /// Highest sensitivity with at least this specificity
    /// ([`sensitivity_at_specificity`](crate::sensitivity_at_specificity)).
    SensitivityAt {
        /// Specificity in [0, 1].
        specificity: f64,
    },
    /// Mean squared error of the scores as probabilities ([`brier`](crate::brier)), which they become by
    /// [`as_probabilities`](crate::as_probabilities); lower is better.
    Brier,
}

impl Metric {
    /// Checks its parameter.
    ///
    /// # Errors
    /// A specificity outside [0, 1].
    pub fn validate(self) -> Result<()> {
        match self {
            Self::SensitivityAt { specificity } => checked::specificity(specificity),
            _ => Ok(()),
        }
    }

    /// The statistic on a resample; `None` if it is undefined there.
    pub(crate) fn of(self, ranking: &Ranking, counts: &[u32]) -> Option<f64> {
        match self {
            Self::Auroc => ranking.auroc(counts),
            Self::Auprc => ranking.auprc(counts),
            Self::SensitivityAt { specificity } => ranking.sensitivity_at(specificity, counts),
            Self::Brier => ranking.brier(counts),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auroc => write!(f, "AUROC"),
            Self::Auprc => write!(f, "AUPRC"),
            Self::SensitivityAt { specificity } => write!(f, "sensitivity at specificity {specificity}"),
            Self::Brier => write!(f, "Brier score"),
        }
    }
}
