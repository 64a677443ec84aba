//! AUROC at a fraction of the labels, beside a baseline.

use eval::{Bootstrap, Cohort, Interval, Metric, Rule, Scores, TaskScores};
use serde::{Deserialize, Serialize};

use crate::{data::LabelDraw, error::Result};

/// Results of one fraction: one or two arms, each task and their mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FractionResult {
    /// Fraction of the training patients.
    pub fraction: f64,
    /// Number of label draws.
    pub draws: usize,
    /// Labelled images, mean over draws.
    pub images: f64,
    /// One entry a task, then the mean over the tasks.
    pub tasks: Vec<TaskResult>,
}

/// AUROC of one task (or the mean over all) on the test rows, mean over label draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Name, or `mean`.
    pub task: String,
    /// AUROC of the network probed.
    pub auroc: Interval,
    /// AUROC of the network it is compared with.
    pub baseline: Option<Interval>,
    /// Their difference on the same resamples.
    pub difference: Option<Interval>,
}

/// AUROC with intervals from scores, one of each draw, all of the same rows.
///
/// # Errors
/// A task with fewer than two patients of a class on the test rows.
pub(crate) fn evaluate_scores(
    fraction: f64,
    draws: &[LabelDraw],
    model: &[Scores],
    baseline: Option<&[Scores]>,
    (tasks_of, bootstrap): (&[String], &Bootstrap),
) -> Result<FractionResult> {
    let columns = |arm: &[Scores]| -> Result<Vec<(Cohort, Vec<Vec<f64>>)>> {
        tasks_of.iter().map(|task| Ok(Scores::cohort_of_draws(arm, task)?)).collect()
    };
    let first = columns(model)?;
    let second = baseline.map(columns).transpose()?;
    let mut tasks = Vec::new();
    for (i, task) in tasks_of.iter().enumerate() {
        let (cohort, scores) = &first[i];
        let auroc = bootstrap.interval(cohort, scores, Metric::Auroc).map_err(|error| match error {
            eval::Error::Undefined { metric, reason } => {
                eval::Error::Undefined { metric: format!("{metric} of {task}"), reason }
            }
            other => other,
        })?;
        let other = second.as_ref().map(|s| &s[i].1);
        let baseline = other.map(|other| bootstrap.interval(cohort, other, Metric::Auroc)).transpose()?;
        let difference = other.map(|other| bootstrap.paired(cohort, scores, other, Metric::Auroc)).transpose()?;
        tasks.push(TaskResult { task: task.clone(), auroc, baseline, difference });
    }
    // The mean has a percentile interval only, and needs every row in every task.
    if tasks_of.len() > 1 && same_rows(&first) && bootstrap.rule == Rule::Percentile {
        let with = |i: usize| TaskScores {
            cohort: &first[i].0,
            first: &first[i].1,
            second: second.as_ref().map_or(&[], |s| &s[i].1),
        };
        let all: Vec<TaskScores<'_>> = (0..first.len()).map(with).collect();
        let flipped: Vec<TaskScores<'_>> = all.iter().map(|t| TaskScores { first: t.second, ..*t }).collect();
        let paired = second.is_some();
        tasks.push(TaskResult {
            task: "mean".into(),
            auroc: bootstrap.mean_over_tasks(&all, Metric::Auroc)?,
            baseline: paired.then(|| bootstrap.mean_over_tasks(&flipped, Metric::Auroc)).transpose()?,
            difference: paired.then(|| bootstrap.paired_mean_over_tasks(&all, Metric::Auroc)).transpose()?,
        });
    }
    let images = draws.iter().map(|d| d.places.len()).sum::<usize>() as f64 / draws.len() as f64;
    Ok(FractionResult { fraction, draws: draws.len(), images, tasks })
}

fn same_rows(tasks: &[(Cohort, Vec<Vec<f64>>)]) -> bool {
    tasks.windows(2).all(|w| w[0].0.patients() == w[1].0.patients())
}
