//! AUROC by the fraction of the labels a model was trained on, alone or beside a baseline.

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Rule, TaskScores};
use crate::cohort::Cohort;
use crate::error::{Error, Result};
use crate::interval::Interval;
use crate::metric::Metric;
use crate::results::{ResultRow, Results};
use crate::scores::Scores;
use crate::tables::Table;

/// The AUROC of each task and of their mean at one label fraction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FractionResult {
    /// Fraction of the training patients whose labels were used, in (0, 1].
    pub fraction: f64,
    /// Number of label draws.
    pub draws: usize,
    /// Number of labelled images, mean over label draws.
    pub images: f64,
    /// One entry per task, then one for the mean over tasks if it exists.
    pub tasks: Vec<TaskResult>,
}

/// The AUROC of one task, or the mean over all tasks, on the test rows; mean over label draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Name of the task, or `mean`.
    pub task: String,
    /// AUROC of the model.
    pub auroc: Interval,
    /// AUROC of the baseline.
    pub baseline: Option<Interval>,
    /// Model minus baseline, on the same resamples.
    pub difference: Option<Interval>,
}

/// A task with its cohort and one score vector per label draw.
type Columns = (Cohort, Vec<Vec<f64>>);

impl FractionResult {
    /// Takes the model's AUROC of every task from `model`, the results of [`Evaluation::run`](crate::Evaluation::run)
    /// on `model_scores`, and computes what they lack with the same bootstrap: the baseline, the paired difference, and
    /// the mean over tasks. The mean has an entry if there are at least two tasks, all with the same labelled rows, and
    /// the rule of the bootstrap is [`Rule::Percentile`].
    ///
    /// `model_scores` and `baseline` have one entry per label draw, in the same order of draws and over the same rows.
    /// `labelled_images` is the number of labelled images, mean over label draws.
    ///
    /// # Errors
    /// [`Error::Undefined`] with the name of the task if its AUROC is undefined; results without the AUROC of a task;
    /// draws that differ in their rows, labels or tasks; a baseline with another number of draws.
    pub fn new(
        fraction: f64,
        labelled_images: f64,
        model: &Results,
        model_scores: &[Scores],
        baseline: Option<&[Scores]>,
    ) -> Result<Self> {
        let Some(first) = model_scores.first() else {
            return Err(Error::Setting { name: "label draws", found: "0".into(), expected: "at least 1" });
        };
        let bootstrap = &model.bootstrap;
        let columns = |arm: &[Scores]| -> Result<Vec<Columns>> {
            first.tasks().iter().map(|task| Scores::cohort_of_draws(arm, task)).collect()
        };
        let (ours, theirs) = (columns(model_scores)?, baseline.map(columns).transpose()?);
        let mut tasks = Vec::new();
        for (place, task) in first.tasks().iter().enumerate() {
            let (cohort, scores) = &ours[place];
            let auroc = auroc_of(model, task)?;
            let other = theirs.as_ref().map(|columns| &columns[place].1);
            let baseline = other.map(|other| bootstrap.interval(cohort, other, Metric::Auroc)).transpose()?;
            let difference = other.map(|other| bootstrap.paired(cohort, scores, other, Metric::Auroc)).transpose()?;
            tasks.push(TaskResult { task: task.clone(), auroc, baseline, difference });
        }
        if tasks.len() > 1 && same_rows(&ours) && bootstrap.rule == Rule::Percentile {
            tasks.push(mean(model, &ours, theirs.as_deref())?);
        }
        Ok(Self { fraction, draws: model_scores.len(), images: labelled_images, tasks })
    }

    /// A table to read, with one row per fraction and task; baseline and difference where there are any. The column
    /// `interval holds` says what varies within the intervals of a row: the test patients, and the label draws if there are
    /// several ([`WithDraws`](crate::WithDraws)).
    pub fn table(results: &[Self]) -> Table {
        let paired = results.iter().flat_map(|r| &r.tasks).any(|t| t.difference.is_some());
        let columns = [
            "labels",
            "images",
            "draws",
            "task",
            "AUROC (95 % interval)",
            "random network",
            "difference, paired",
            "interval holds",
        ];
        let shown = |name: &&str| paired || !["random network", "difference, paired"].contains(name);
        let mut table = Table::new(columns.into_iter().filter(shown));
        let cell = |interval: Option<&Interval>| interval.map_or_else(|| "-".to_owned(), ToString::to_string);
        for FractionResult { fraction, images, draws, tasks } in results {
            for TaskResult { task, auroc, baseline, difference } in tasks {
                let mut cells = vec![
                    format!("{} %", fraction * 100.0),
                    format!("{images:.0}"),
                    draws.to_string(),
                    task.clone(),
                    auroc.to_string(),
                ];
                if paired {
                    cells.extend([cell(baseline.as_ref()), cell(difference.as_ref())]);
                }
                cells.push(auroc.holds());
                table.push(cells);
            }
        }
        table
    }
}

/// The AUROC of a task over all rows.
fn auroc_of(results: &Results, task: &str) -> Result<Interval> {
    let is = |row: &&ResultRow| row.task == task && row.group.is_none() && row.metric == Metric::Auroc;
    match results.rows.iter().find(is).map(|row| (&row.interval, &row.undefined)) {
        Some((Some(interval), _)) => Ok(interval.clone()),
        Some((None, Some(reason))) => Err(Error::undefined(format!("{} of {task}", Metric::Auroc), reason.clone())),
        _ => {
            let found = format!("no AUROC of task {task:?}");
            Err(Error::Setting { name: "results", found, expected: "the AUROC of every task of the scores" })
        }
    }
}

/// The mean over tasks that share their rows.
fn mean(model: &Results, ours: &[Columns], theirs: Option<&[Columns]>) -> Result<TaskResult> {
    let bootstrap = &model.bootstrap;
    let with = |place: usize| TaskScores {
        cohort: &ours[place].0,
        first: &ours[place].1,
        second: theirs.map_or(&[], |theirs| &theirs[place].1),
    };
    let both: Vec<TaskScores<'_>> = (0..ours.len()).map(with).collect();
    let swapped: Vec<TaskScores<'_>> = both.iter().map(|task| TaskScores { first: task.second, ..*task }).collect();
    let paired = theirs.is_some();
    Ok(TaskResult {
        task: "mean".into(),
        auroc: bootstrap.mean_over_tasks(&both, Metric::Auroc)?,
        baseline: paired.then(|| bootstrap.mean_over_tasks(&swapped, Metric::Auroc)).transpose()?,
        difference: paired.then(|| bootstrap.paired_mean_over_tasks(&both, Metric::Auroc)).transpose()?,
    })
}

fn same_rows(tasks: &[Columns]) -> bool {
    tasks.windows(2).all(|pair| pair[0].0.patients() == pair[1].0.patients())
}
