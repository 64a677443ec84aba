//! All statistics of a model, task by task.

use serde::{Deserialize, Serialize};

use crate::auroc::auroc;
use crate::bootstrap::{Bootstrap, Estimand};
use crate::calibration::{as_probabilities, expected_calibration_error, reliability};
use crate::checked;
use crate::cohort::Cohort;
use crate::delong::delong;
use crate::draws::DrawVariance;
use crate::error::{Error, Result};
use crate::interval::Interval;
use crate::metric::Metric;
use crate::results::{Calibration, ResultRow, Results};
use crate::row::PatientSource;
use crate::scores::Scores;
use crate::stamp::Stamp;
use crate::subgroups::{Group, Subgroup, UNKNOWN};

/// Statistics to compute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluation {
    /// The statistics. Default: AUROC, AUPRC, sensitivity at specificity 0.9.
    pub metrics: Vec<Metric>,
    /// Settings of the intervals.
    pub bootstrap: Bootstrap,
    /// Whether AUROC has DeLong's interval instead; the other statistics keep the bootstrap. Default: `false`.
    pub delong: bool,
    /// Number of reliability bins; `None` for no calibration. Scores become probabilities by
    /// [`as_probabilities`](crate::as_probabilities). Default: `None`.
    pub calibration_bins: Option<usize>,
}

impl Default for Evaluation {
    fn default() -> Self {
        let metrics = vec![Metric::Auroc, Metric::Auprc, Metric::SensitivityAt { specificity: 0.9 }];
        Self { metrics, bootstrap: Bootstrap::default(), delong: false, calibration_bins: None }
    }
}

impl Evaluation {
    /// Checks the settings, as far as possible without scores.
    ///
    /// # Errors
    /// As [`Bootstrap::validate`]; a specificity outside [0, 1], no reliability bins or too many.
    pub fn validate(&self) -> Result<()> {
        self.bootstrap.validate()?;
        for metric in &self.metrics {
            metric.validate()?;
        }
        self.calibration_bins.map_or(Ok(()), checked::bins)
    }

    /// Evaluates a model on all tasks. `draws` are its scores from each label draw; one if it was trained once.
    ///
    /// Tasks with the same rows share their resamples. The numbers of a task do not depend on the other tasks.
    ///
    /// # Errors
    /// No draws, draws with different rows or labels, or settings out of range. An undefined statistic is not an error
    /// but a row with the reason.
    pub fn run(&self, draws: &[Scores], stamp: Stamp) -> Result<Results> {
        let (rows, patient_source) = self.rows(draws)?;
        let calibration = match (self.calibration_bins, draws.first()) {
            (Some(bins), Some(first)) => {
                first.tasks().iter().map(|task| calibration(draws, task, bins)).collect::<Result<_>>()?
            }
            _ => Vec::new(),
        };
        Ok(Results { stamp, bootstrap: self.bootstrap.clone(), patient_source, rows, calibration })
    }

    pub(crate) fn rows(&self, draws: &[Scores]) -> Result<(Vec<ResultRow>, PatientSource)> {
        self.validate()?;
        let Some(first) = draws.first() else {
            return Err(Error::Setting { name: "label draws", found: "0".into(), expected: "at least 1" });
        };
        // Statistics over the same rows go through the bootstrap together and share each resample.
        let mut shared: Vec<(Cohort, Vec<(usize, Estimand)>)> = Vec::new();
        let mut rows = Vec::new();
        for task in first.tasks() {
            let (cohort, scores) = Scores::cohort_of_draws(draws, task)?;
            for &metric in &self.metrics {
                let (n, positives, patients) = (cohort.len(), cohort.positives(), cohort.patient_count());
                let (task, place) = (task.clone(), rows.len());
                rows.push(ResultRow {
                    task,
                    group: None,
                    metric,
                    n,
                    positives,
                    patients,
                    interval: None,
                    undefined: None,
                    draws: None,
                });
                if self.delong && metric == Metric::Auroc {
                    match Error::or_reason(delong(&cohort, &scores, self.bootstrap.unit, self.bootstrap.level))? {
                        Err(reason) => rows[place].undefined = Some(reason),
                        Ok(interval) => rows[place].give(interval, per_draw(&cohort, &scores)?)?,
                    }
                    continue;
                }
                match Error::or_reason(Estimand::single(&cohort, &scores, metric, self.bootstrap.unit))? {
                    Err(reason) => rows[place].undefined = Some(reason),
                    Ok(estimand) => match shared.iter_mut().find(|(other, _)| other.patients() == cohort.patients()) {
                        Some((_, estimands)) => estimands.push((place, estimand)),
                        None => shared.push((cohort.clone(), vec![(place, estimand)])),
                    },
                }
            }
        }
        for (_, estimands) in shared {
            let (places, estimands): (Vec<usize>, Vec<Estimand>) = estimands.into_iter().unzip();
            let outcomes = self.bootstrap.many(&estimands, &self.bootstrap.resamples())?;
            for ((place, estimand), outcome) in places.into_iter().zip(&estimands).zip(outcomes) {
                match outcome {
                    Err(reason) => rows[place].undefined = Some(reason),
                    Ok((interval, _)) => rows[place].give(interval, estimand.observed_per_draw())?,
                }
            }
        }
        Ok((rows, first.patient_source()))
    }
}

/// The statistics of `evaluation` in each group, groups in ascending order with `unknown` last.
///
/// With many groups some differ by chance alone, and small groups have wide intervals; read the intervals before
/// drawing conclusions.
///
/// # Errors
/// As [`Evaluation::run`]; [`Error::Setting`] if no row has the attribute.
pub fn subgroups(evaluation: &Evaluation, draws: &[Scores], by: Subgroup) -> Result<Vec<ResultRow>> {
    let Some(first) = draws.first() else {
        return Err(Error::Setting { name: "label draws", found: "0".into(), expected: "at least 1" });
    };
    let draws = draws.iter().map(|draw| first.align(draw)).collect::<Result<Vec<_>>>()?;
    if !first.rows().iter().any(|row| by.of(row) != UNKNOWN) {
        let found = format!("no row with a value for {}", by.name());
        return Err(Error::Setting {
            name: "subgroup",
            found,
            expected: "a column for it in the predictions or in a metadata file",
        });
    }
    let of_row: Vec<String> = first.rows().iter().map(|row| by.of(row)).collect();
    let mut values = of_row.clone();
    values.sort_by(|a, b| (a == UNKNOWN).cmp(&(b == UNKNOWN)).then_with(|| a.cmp(b)));
    values.dedup();

    let mut rows = Vec::new();
    for value in values {
        let members: Vec<usize> = (0..of_row.len()).filter(|&row| of_row[row] == value).collect();
        let within = draws.iter().map(|draw| draw.select_rows(&members)).collect::<Result<Vec<_>>>()?;
        let (within, _) = evaluation.rows(&within)?;
        let group = Group { by, value };
        rows.extend(within.into_iter().map(|row| ResultRow { group: Some(group.clone()), ..row }));
    }
    Ok(rows)
}

impl ResultRow {
    fn give(&mut self, interval: Interval, per_draw: Vec<f64>) -> Result<()> {
        if per_draw.len() > 1 {
            self.draws = Some(DrawVariance::new(per_draw, interval.standard_error)?);
        }
        self.interval = Some(interval);
        Ok(())
    }
}

/// AUROC of each label draw.
fn per_draw(cohort: &Cohort, draws: &[Vec<f64>]) -> Result<Vec<f64>> {
    draws.iter().map(|scores| auroc(cohort.labels(), scores, None)).collect()
}

fn calibration(draws: &[Scores], task: &str, bins: usize) -> Result<Calibration> {
    let (cohort, scores) = Scores::cohort_of_draws(draws, task)?;
    let scores = as_probabilities(&scores);
    let first = scores.first().map_or(&[][..], Vec::as_slice);
    let bins_of = || {
        let error = expected_calibration_error(cohort.labels(), first, bins)?;
        Ok((error, reliability(cohort.labels(), first, bins)?))
    };
    let task = task.to_owned();
    Ok(match Error::or_reason(bins_of())? {
        Ok((error, bins)) => Calibration { task, expected_calibration_error: Some(error), undefined: None, bins },
        Err(reason) => {
            Calibration { task, expected_calibration_error: None, undefined: Some(reason), bins: Vec::new() }
        }
    })
}
