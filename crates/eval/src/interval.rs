//! A number with its interval and everything needed to reproduce it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::student;

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
    /// The wider limits that also hold the label draws. `None` with a single draw, for [`Method::Paper`], which has none,
    /// and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_draws: Option<WithDraws>,
}

/// Limits of a mean over label draws for other test patients *and* other draws from the same training patients.
/// [`Interval::lower`] and [`Interval::upper`] are for other test patients alone: they take the drawn labels as fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WithDraws {
    /// Number of draws, at least 2.
    pub draws: usize,
    /// Standard deviation between draws on the original rows, with n - 1 in the denominator.
    pub between_draws: f64,
    /// Standard error from both sources: sqrt([`Interval::standard_error`]^2 + between_draws^2 / draws).
    pub standard_error: f64,
    /// Lower limit.
    pub lower: f64,
    /// Upper limit.
    pub upper: f64,
}

impl Interval {
    /// The limits to report: those that hold the label draws, where there are any.
    pub fn limits(&self) -> (f64, f64) {
        self.with_draws.as_ref().map_or((self.lower, self.upper), |both| (both.lower, both.upper))
    }

    /// What varies within [`Self::limits`], in words: `patients and 5 draws`, `patients`, `rows`.
    pub fn holds(&self) -> String {
        let unit = match self.unit {
            Unit::Patient => "patients",
            Unit::Row => "rows",
        };
        self.with_draws.as_ref().map_or(unit.to_owned(), |both| format!("{unit} and {} draws", both.draws))
    }

    /// Whether `value` lies within [`Self::limits`], including them.
    pub fn contains(&self, value: f64) -> bool {
        let (lower, upper) = self.limits();
        (lower..=upper).contains(&value)
    }

    /// Whether zero lies outside [`Self::limits`], which the paper takes as significance of a difference.
    pub fn excludes_zero(&self) -> bool {
        let (lower, upper) = self.limits();
        lower > 0.0 || upper < 0.0
    }

    /// Adds the limits that hold the label draws, from the statistic of each draw on the original rows; `range` is that
    /// of the statistic. With fewer than two draws nothing can be added.
    ///
    /// Test patients and draws are independent, so that their errors add as variances do. With limits of each alone,
    /// `estimate - a` for the patients and `estimate -/+ b` for the draws (b = t s / sqrt(D), Student's t with D - 1
    /// degrees of freedom), the limit for both is `estimate - sqrt(a^2 + b^2)`, and the upper one likewise (Zou and Donner
    /// 2008, <https://doi.org/10.1002/sim.3095>). That keeps the asymmetry of the bootstrap, and the few draws have the
    /// wide t that they deserve: resampling five draws would give limits a third too narrow.
    pub(crate) fn with_draws(mut self, per_draw: &[f64], range: (f64, f64)) -> Self {
        if per_draw.len() < 2 {
            return self;
        }
        let number = per_draw.len() as f64;
        let mean = per_draw.iter().sum::<f64>() / number;
        let variance = per_draw.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (number - 1.0);
        let half = student::two_sided_quantile(self.level, per_draw.len() - 1) * (variance / number).sqrt();
        let reach = |limit: f64| (self.estimate - limit).hypot(half);
        self.with_draws = Some(WithDraws {
            draws: per_draw.len(),
            between_draws: variance.sqrt(),
            standard_error: (self.standard_error.powi(2) + variance / number).sqrt(),
            lower: (self.estimate - reach(self.lower)).max(range.0),
            upper: (self.estimate + reach(self.upper)).min(range.1),
        });
        self
    }
}

/// `0.838 (0.797, 0.873)`: the estimate and [`Interval::limits`], with three decimals or the precision of the format string.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(3);
        let (lower, upper) = self.limits();
        write!(f, "{:.decimals$} ({lower:.decimals$}, {upper:.decimals$})", self.estimate)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn interval() -> Interval {
        Interval {
            estimate: 0.7,
            lower: 0.64,
            upper: 0.75,
            level: 0.95,
            method: Method::Percentile,
            unit: Unit::Patient,
            observed: 0.7,
            standard_error: 0.03,
            replicates: 2000,
            redrawn: 0,
            n: 100,
            positives: 40,
            patients: 80,
            seed: Some(0),
            with_draws: None,
        }
    }

    #[test]
    fn draws_widen_the_limits_as_variances_add() {
        // Deviation of 0.6, 0.7, 0.8: 0.1; Student's t with two degrees of freedom: 4.302653.
        let found = interval().with_draws(&[0.6, 0.7, 0.8], (0.0, 1.0));
        let both = found.with_draws.as_ref().unwrap();
        let half = 0.95 * (2.0 / (1.0 - 0.95_f64.powi(2))).sqrt() * 0.1 / 3.0_f64.sqrt();
        assert!((both.between_draws - 0.1).abs() < 1e-15 && both.draws == 3);
        assert!((both.standard_error - (0.0009_f64 + 0.01 / 3.0).sqrt()).abs() < 1e-15);
        assert!((both.lower - (0.7 - (0.06_f64.powi(2) + half * half).sqrt())).abs() < 1e-12);
        assert!((both.upper - (0.7 + (0.05_f64.powi(2) + half * half).sqrt())).abs() < 1e-12);
        assert_eq!((found.lower, found.upper), (0.64, 0.75), "those of the patients stay");
        assert_eq!((found.to_string(), found.holds()), ("0.700 (0.444, 0.953)".into(), "patients and 3 draws".into()));
        assert!(found.contains(0.5) && !interval().contains(0.5));

        let wide = interval().with_draws(&[0.3, 1.0], (0.0, 1.0)).limits();
        assert_eq!(wide, (0.0, 1.0), "a statistic stays in its range");
        assert_eq!(interval().with_draws(&[0.7], (0.0, 1.0)), interval());
    }

    #[test]
    fn files_of_earlier_versions_have_no_draws() {
        let now = interval().with_draws(&[0.6, 0.8], (0.0, 1.0));
        let text = serde_json::to_string(&now).unwrap();
        assert_eq!(serde_json::from_str::<Interval>(&text).unwrap(), now);
        let before = serde_json::to_string(&interval()).unwrap();
        assert!(before.ends_with(r#""patients":80,"seed":0}"#), "{before}");
        assert_eq!(serde_json::from_str::<Interval>(&before).unwrap(), interval());
    }
}
