//! The estimand: a statistic of one model or its difference between two models, as a mean over label draws.

use crate::calibration::as_probabilities;
use crate::checked;
use crate::cohort::Cohort;
use crate::error::{Error, Result};
use crate::interval::Unit;
use crate::metric::Metric;
use crate::ranking::Ranking;
use crate::undefined::Undefined;

/// A statistic that can be evaluated on any resample.
#[derive(Debug)]
pub(crate) struct Estimand {
    metric: Metric,
    draws: Draws,
    units: usize,
    n: usize,
    positives: usize,
    patients: usize,
    observed: f64,
}

#[derive(Debug)]
enum Draws {
    Single(Vec<Ranking>),
    Paired(Vec<(Ranking, Ranking)>),
}

impl Estimand {
    pub(crate) fn single<S: AsRef<[f64]>>(cohort: &Cohort, draws: &[S], metric: Metric, unit: Unit) -> Result<Self> {
        let units = units_of(cohort, unit);
        let rankings = rankings(cohort, draws, metric, &units)?;
        Self::new(cohort, Draws::Single(rankings), metric, unit)
    }

    pub(crate) fn paired<S: AsRef<[f64]>>(
        cohort: &Cohort,
        first: &[S],
        second: &[S],
        metric: Metric,
        unit: Unit,
    ) -> Result<Self> {
        checked::length("label draws of the second model", second.len(), first.len())?;
        let units = units_of(cohort, unit);
        let first = rankings(cohort, first, metric, &units)?;
        let second = rankings(cohort, second, metric, &units)?;
        Self::new(cohort, Draws::Paired(first.into_iter().zip(second).collect()), metric, unit)
    }

    fn new(cohort: &Cohort, draws: Draws, metric: Metric, unit: Unit) -> Result<Self> {
        let units = match unit {
            Unit::Patient => cohort.patient_count(),
            Unit::Row => cohort.len(),
        };
        let mut estimand = Self {
            metric,
            draws,
            units,
            n: cohort.len(),
            positives: cohort.positives(),
            patients: cohort.patient_count(),
            observed: 0.0,
        };
        let everyone = vec![1; units];
        // The classes were checked with the rankings, so a missing value has no other reason.
        estimand.observed =
            estimand.value(&everyone).ok_or_else(|| Error::undefined(metric, Undefined::NoLabelledRows))?;
        let enough = match metric {
            Metric::Brier if units < 2 => Err(Undefined::OneUnit { unit }),
            Metric::Brier => Ok(()), // needs no class
            _ => cohort.enough_for_an_interval(unit),
        };
        enough.map_err(|reason| Error::undefined(metric, reason))?;
        Ok(estimand)
    }

    /// The statistic on a resample that contains unit i `counts[i]` times; `None` if it is undefined there.
    ///
    /// The additions are in the order of the reference: the difference for each draw, then the sum over draws.
    pub(crate) fn value(&self, counts: &[u32]) -> Option<f64> {
        let mut sum = 0.0;
        let number = match &self.draws {
            Draws::Single(rankings) => {
                for ranking in rankings {
                    sum += self.metric.of(ranking, counts)?;
                }
                rankings.len()
            }
            Draws::Paired(pairs) => {
                for (first, second) in pairs {
                    sum += self.metric.of(first, counts)? - self.metric.of(second, counts)?;
                }
                pairs.len()
            }
        };
        Some(sum / number as f64)
    }

    /// The statistic (or difference) of each label draw on the original rows.
    pub(crate) fn observed_per_draw(&self) -> Vec<f64> {
        let everyone = vec![1; self.units];
        let of = |ranking: &Ranking| self.metric.of(ranking, &everyone);
        match &self.draws {
            Draws::Single(rankings) => rankings.iter().filter_map(of).collect(),
            Draws::Paired(pairs) => pairs.iter().filter_map(|(a, b)| Some(of(a)? - of(b)?)).collect(),
        }
    }

    /// The smallest and the largest value: all statistics lie in [0, 1].
    pub(crate) fn range(&self) -> (f64, f64) {
        match &self.draws {
            Draws::Single(_) => (0.0, 1.0),
            Draws::Paired(_) => (-1.0, 1.0),
        }
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn observed(&self) -> f64 {
        self.observed
    }

    /// Number of resampling units.
    pub(crate) fn units(&self) -> usize {
        self.units
    }

    pub(crate) fn n(&self) -> usize {
        self.n
    }

    pub(crate) fn positives(&self) -> usize {
        self.positives
    }

    pub(crate) fn patients(&self) -> usize {
        self.patients
    }
}

/// The resampling unit of every row.
fn units_of(cohort: &Cohort, unit: Unit) -> Vec<u32> {
    match unit {
        Unit::Patient => cohort.patients().to_vec(),
        Unit::Row => (0..cohort.len() as u32).collect(), // at most 2^30 (Cohort::new)
    }
}

fn rankings<S: AsRef<[f64]>>(cohort: &Cohort, draws: &[S], metric: Metric, units: &[u32]) -> Result<Vec<Ranking>> {
    if draws.is_empty() {
        return Err(Error::Setting { name: "label draws", found: "0".into(), expected: "at least 1" });
    }
    match metric {
        Metric::Brier if cohort.is_empty() => return Err(Error::undefined(metric, Undefined::NoLabelledRows)),
        Metric::Brier => {}
        _ => checked::both_classes(cohort.labels(), None).map_err(|reason| Error::undefined(metric, reason))?,
    }
    if let Metric::SensitivityAt { specificity } = metric {
        checked::specificity(specificity)?;
    }
    let ranking = |scores: &[f64]| {
        checked::rows(cohort.labels(), scores, None)?;
        Ok(Ranking::new(cohort.labels(), scores, units))
    };
    match metric {
        Metric::Brier => as_probabilities(draws).iter().map(|scores| ranking(scores)).collect(),
        _ => draws.iter().map(|scores| ranking(scores.as_ref())).collect(),
    }
}
