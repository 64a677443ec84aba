//! The bootstrap: resamples of patients or rows, the statistic on each, and the interval computed from them.
//!
//! One resample serves all label draws and both models of a comparison, which makes the comparison paired, as in
//! `confidence_interval_diff.py` of the reference. Replicate r uses stream r of ChaCha8 with the seed as key. The
//! result is therefore the same for any number of threads, and tasks with the same rows share their resamples.
//!
//! Replicates vary the test patients and keep the label draws. The variation over draws is added afterwards, as a second
//! pair of limits ([`WithDraws`](crate::WithDraws)).
//!
//! A resample that lacks a class has no AUROC. It is drawn again from the same stream and counted
//! ([`Interval::redrawn`]). The interval is then conditional on both classes being present, as the estimate is. If a
//! class has only one unit, every resample would repeat it and the interval would be too narrow, so it is undefined.

mod bca;
mod clustered;
mod estimand;
mod mean;
mod paper;
mod resample;
mod roc_band;

use serde::{Deserialize, Serialize};

pub(crate) use estimand::Estimand;
pub use mean::TaskScores;
pub use resample::Resamples;
pub(crate) use resample::{Distribution, replicate};

use crate::checked;
use crate::cohort::Cohort;
use crate::error::{Error, Result};
use crate::interval::{Interval, Method, Unit};
use crate::metric::Metric;
use crate::undefined::Undefined;

/// Rule that computes an interval from the replicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// Quantiles of the replicates (linear interpolation); the default for new work.
    #[default]
    Percentile,
    /// Bias-corrected and accelerated (Efron 1987, <https://doi.org/10.1080/01621459.1987.10478410>).
    Bca,
    /// The order statistics of the reference code, with the mean of the replicates as the estimate; 95 % only.
    Paper,
}

/// Settings of a bootstrap. Use `Bootstrap::default()` for new work and [`Bootstrap::paper`] to reproduce the paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bootstrap {
    /// Rule that computes the interval. Default: percentile.
    pub rule: Rule,
    /// Unit that is resampled. Default: patients.
    pub unit: Unit,
    /// Number of replicates, 40 to 1,000,000. Default: 2000.
    pub replicates: usize,
    /// Confidence level in (0, 1). Default: 0.95.
    pub level: f64,
    /// Seed of the resamples. Default: 0.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { rule: Rule::Percentile, unit: Unit::Patient, replicates: 2000, level: 0.95, seed: 0 }
    }
}

impl Bootstrap {
    /// The smallest number of replicates. With fewer, no rule can place a 95 % limit, and the paper's lower index is
    /// -1, which Python takes as the *largest* replicate (`docs/deviations.md`).
    pub const MIN_REPLICATES: usize = 40;

    /// The largest number of replicates. All values are held in memory, and limits do not move any more long before.
    pub const MAX_REPLICATES: usize = 1_000_000;

    /// The paper's bootstrap: 500 replicates, rows resampled, order statistics 11 and 486, 95 %.
    pub fn paper(seed: u64) -> Self {
        Self { rule: Rule::Paper, unit: Unit::Row, replicates: 500, level: 0.95, seed }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Fewer than 40 or more than 1,000,000 replicates, a level outside (0, 1), or the paper's rule with a level other than 0.95.
    pub fn validate(&self) -> Result<()> {
        checked::level(self.level)?;
        Self::check_replicates(self.replicates)?;
        if self.rule == Rule::Paper && self.level != paper::LEVEL {
            let found = self.level.to_string();
            return Err(Error::Setting {
                name: "level of the paper's bootstrap",
                found,
                expected: "0.95, as in its code",
            });
        }
        Ok(())
    }

    fn check_replicates(replicates: usize) -> Result<()> {
        if (Self::MIN_REPLICATES..=Self::MAX_REPLICATES).contains(&replicates) {
            return Ok(());
        }
        let (found, expected) = (replicates.to_string(), "at least 40 and at most 1000000");
        Err(Error::Setting { name: "bootstrap replicates", found, expected })
    }

    /// The interval of a statistic of one model, as a mean over its label draws.
    ///
    /// # Shapes
    /// `draws`: D score vectors `[n]`, one per label draw; one if the model was trained once.
    ///
    /// # Errors
    /// [`Error::Undefined`] if the statistic is undefined or a class has fewer than two of the resampled units
    /// (patients or rows); lengths, scores or settings out of range.
    pub fn interval<S: AsRef<[f64]>>(&self, cohort: &Cohort, draws: &[S], metric: Metric) -> Result<Interval> {
        self.interval_with(cohort, draws, metric, &self.resamples())
    }

    /// The interval of the difference between two models: the mean over label draws i of `first[i]` - `second[i]`, both
    /// on the same resamples.
    ///
    /// # Shapes
    /// `first`, `second`: D score vectors `[n]` each, in the same order of draws.
    ///
    /// # Errors
    /// As [`Self::interval`]; different numbers of draws.
    pub fn paired<S: AsRef<[f64]>>(
        &self,
        cohort: &Cohort,
        first: &[S],
        second: &[S],
        metric: Metric,
    ) -> Result<Interval> {
        self.paired_with(cohort, first, second, metric, &self.resamples())
    }

    /// [`Self::interval`] on given resamples, for a comparison with another program.
    ///
    /// # Errors
    /// As [`Self::interval`]; indices out of range.
    pub fn interval_with<S: AsRef<[f64]>>(
        &self,
        cohort: &Cohort,
        draws: &[S],
        metric: Metric,
        resamples: &Resamples,
    ) -> Result<Interval> {
        self.one(Estimand::single(cohort, draws, metric, self.unit)?, resamples).map(|(interval, _)| interval)
    }

    /// [`Self::paired`] on given resamples.
    ///
    /// # Errors
    /// As [`Self::paired`]; indices out of range.
    pub fn paired_with<S: AsRef<[f64]>>(
        &self,
        cohort: &Cohort,
        first: &[S],
        second: &[S],
        metric: Metric,
        resamples: &Resamples,
    ) -> Result<Interval> {
        self.one(Estimand::paired(cohort, first, second, metric, self.unit)?, resamples).map(|(interval, _)| interval)
    }

    /// The resamples that these settings draw.
    pub fn resamples(&self) -> Resamples {
        Resamples::Seeded { seed: self.seed, replicates: self.replicates }
    }

    pub(crate) fn one(&self, estimand: Estimand, resamples: &Resamples) -> Result<(Interval, Distribution)> {
        let mut results = self.many(std::slice::from_ref(&estimand), resamples)?;
        results.swap_remove(0).map_err(|reason| Error::undefined(estimand.metric(), reason))
    }

    /// Intervals of several estimands over the *same* units, which share each resample. The inner error is the reason
    /// why one of them has no interval; it does not affect the others.
    pub(crate) fn many(
        &self,
        estimands: &[Estimand],
        resamples: &Resamples,
    ) -> Result<Vec<Result<(Interval, Distribution), Undefined>>> {
        self.validate()?;
        let Some(units) = estimands.first().map(Estimand::units) else { return Ok(Vec::new()) };
        resamples.validate(units)?;
        let statistics: Vec<_> = estimands.iter().map(|estimand| |counts: &[u32]| estimand.value(counts)).collect();
        let distributions = replicate(units, resamples, &statistics);
        estimands
            .iter()
            .zip(distributions)
            .map(|(estimand, distribution)| {
                let outcome = distribution.and_then(|drawn| Ok((self.limits(estimand, &drawn, resamples)?, drawn)));
                Ok(outcome)
            })
            .collect()
    }

    fn limits(
        &self,
        estimand: &Estimand,
        distribution: &Distribution,
        resamples: &Resamples,
    ) -> Result<Interval, Undefined> {
        let observed = estimand.observed();
        let values = &distribution.values;
        let (estimate, lower, upper, method) = match self.rule {
            Rule::Paper => {
                let (mean, lower, upper) = paper::centre_and_limits(values);
                (mean, lower, upper, Method::Paper)
            }
            Rule::Percentile => {
                let (lower, upper) = clustered::percentile_limits(values, self.level);
                (observed, lower, upper, Method::Percentile)
            }
            Rule::Bca => {
                let (lower, upper) = bca::limits(values, estimand, self.level)?;
                (observed, lower, upper, Method::Bca)
            }
        };
        let interval = Interval {
            estimate,
            lower,
            upper,
            level: self.level,
            method,
            unit: self.unit,
            observed,
            standard_error: standard_deviation(values),
            replicates: values.len(),
            redrawn: distribution.redrawn,
            n: estimand.n(),
            positives: estimand.positives(),
            patients: estimand.patients(),
            seed: resamples.seed(),
            with_draws: None,
        };
        Ok(match self.rule {
            Rule::Paper => interval,
            Rule::Percentile | Rule::Bca => interval.with_draws(&estimand.observed_per_draw(), estimand.range()),
        })
    }
}

fn standard_deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
}
