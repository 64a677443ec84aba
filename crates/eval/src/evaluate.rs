//! All statistics of a model, task by task.

use serde::{Deserialize, Serialize};

use crate::auroc::auroc;
use crate::bootstrap::{Bootstrap, Estimand};
use crate::calibration::{ReliabilityBin, expected_calibration_error, reliability};
use crate::checked;
use crate::cohort::Cohort;
use crate::delong::delong;
use crate::draws::DrawVariance;
use crate::error::{Error, Result, Undefined};
use crate::files::PatientSource;
use crate::interval::Interval;
use crate::metric::Metric;
use crate::scores::Scores;
use crate::stamp::Stamp;
use crate::subgroups::Group;

/// What to compute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluation {
    /// The statistics. Default: AUROC, AUPRC, sensitivity at specificity 0.9.
    pub metrics: Vec<Metric>,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
    /// Gives AUROC the interval of DeLong's method instead; the other statistics keep the bootstrap. Default: `false`.
    pub delong: bool,
    /// Number of reliability bins; `None` leaves calibration out, as for scores that are not probabilities. Default: `None`.
    pub calibration_bins: Option<usize>,
}

impl Default for Evaluation {
    fn default() -> Self {
        let metrics = vec![Metric::Auroc, Metric::Auprc, Metric::SensitivityAt { specificity: 0.9 }];
        Self { metrics, bootstrap: Bootstrap::default(), delong: false, calibration_bins: None }
    }
}

/// The statistics of a model with the conditions they were made under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Results {
    /// Under which conditions.
    pub stamp: Stamp,
    /// Settings of the bootstrap.
    pub bootstrap: Bootstrap,
    /// How the patients are known.
    pub patient_source: PatientSource,
    /// One entry a task, statistic and group.
    pub rows: Vec<ResultRow>,
    /// One entry a task, if calibration was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<Calibration>,
}

/// One statistic of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResultRow {
    /// The task.
    pub task: String,
    /// The subgroup; `None` for all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The statistic.
    pub metric: Metric,
    /// Labelled rows, with or without an interval.
    pub n: usize,
    /// Positive rows.
    pub positives: usize,
    /// Patients.
    pub patients: usize,
    /// Its value with interval, `null` if it does not exist.
    pub interval: Option<Interval>,
    /// Why it does not exist.
    pub undefined: Option<Undefined>,
    /// Spread over label draws, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<DrawVariance>,
}

/// Calibration of one task (of the first label draw).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Calibration {
    /// The task.
    pub task: String,
    /// Expected calibration error, `null` if it does not exist.
    pub expected_calibration_error: Option<f64>,
    /// Why it does not exist.
    pub undefined: Option<Undefined>,
    /// The bins that have rows.
    pub bins: Vec<ReliabilityBin>,
}

impl Evaluation {
    /// Checks what can be checked without scores.
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

    /// Evaluates a model, given by the scores of its label draws (one if there was a single training set), on all tasks.
    ///
    /// Tasks with the same rows share their resamples; the numbers of a task do not depend on which others are evaluated.
    ///
    /// # Errors
    /// No draws, draws with different rows or labels, settings out of range. A statistic that does not exist is no error
    /// but a row with the reason.
    pub fn run(&self, draws: &[Scores], stamp: Stamp) -> Result<Results> {
        let (rows, patient_source) = self.rows(draws)?;
        let calibration = match (self.calibration_bins, draws.first()) {
            (Some(bins), Some(first)) => {
                first.tasks().iter().map(|task| calibration(first, task, bins)).collect::<Result<_>>()?
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

fn calibration(scores: &Scores, task: &str, bins: usize) -> Result<Calibration> {
    let (cohort, scores) = scores.cohort(scores.task(task)?)?;
    let bins_of = || {
        let error = expected_calibration_error(cohort.labels(), &scores, bins)?;
        Ok((error, reliability(cohort.labels(), &scores, bins)?))
    };
    let task = task.to_owned();
    Ok(match Error::or_reason(bins_of())? {
        Ok((error, bins)) => Calibration { task, expected_calibration_error: Some(error), undefined: None, bins },
        Err(reason) => {
            Calibration { task, expected_calibration_error: None, undefined: Some(reason), bins: Vec::new() }
        }
    })
}
