//! Variation of a result with the images that were labelled, beside its variation with the test rows.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Variation of a statistic over label draws: models trained on different draws of labelled images and tested on the
/// same rows.
///
/// An interval from resampled test rows takes the trained models as fixed and does not include the variation over
/// draws. The two sources are independent, so their variances add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DrawVariance {
    /// The statistic of each draw.
    pub per_draw: Vec<f64>,
    /// Standard deviation between draws, with n - 1 in the denominator.
    pub between_draws: f64,
    /// Standard error of the mean over draws due to the test rows, from the bootstrap or DeLong's method.
    pub sampling: f64,
    /// Standard error of the mean over D draws from both sources: sqrt(sampling^2 + between_draws^2 / D).
    pub total: f64,
}

impl DrawVariance {
    /// From the statistic of each draw and the standard error of their mean due to the test rows.
    ///
    /// # Errors
    /// Fewer than two draws.
    pub fn new(per_draw: Vec<f64>, sampling: f64) -> Result<Self> {
        if per_draw.len() < 2 {
            let found = per_draw.len().to_string();
            return Err(Error::Setting {
                name: "label draws",
                found,
                expected: "at least 2 for the variation between draws",
            });
        }
        let number = per_draw.len() as f64;
        let mean = per_draw.iter().sum::<f64>() / number;
        let variance = per_draw.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (number - 1.0);
        let total = (sampling.powi(2) + variance / number).sqrt();
        Ok(Self { per_draw, between_draws: variance.sqrt(), sampling, total })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn variances_add() {
        let spread = DrawVariance::new(vec![0.7, 0.8], 0.03).unwrap();
        assert!((spread.between_draws - 0.005_f64.sqrt()).abs() < 1e-15);
        assert!((spread.total - (0.0009_f64 + 0.0025).sqrt()).abs() < 1e-15);
        assert!(DrawVariance::new(vec![0.7], 0.03).is_err());
    }
}
