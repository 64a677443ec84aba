//! The mean of a statistic over several tasks with the same rows, with one interval. The tasks share each resample, so
//! the interval accounts for the dependence between findings of the same patients.

use super::{Bootstrap, Estimand, Rule, clustered, replicate, standard_deviation};
use crate::checked;
use crate::cohort::Cohort;
use crate::error::{Error, Result};
use crate::interval::{Interval, Method};
use crate::metric::Metric;

/// One task: its labels, and the scores of each label draw.
#[derive(Debug)]
pub struct TaskScores<'a> {
    /// Labels and patients; every task must have the same rows.
    pub cohort: &'a Cohort,
    /// Score vectors `[n]` of the first or only model, one per label draw.
    pub first: &'a [Vec<f64>],
    /// Score vectors of the second model; empty without one.
    pub second: &'a [Vec<f64>],
}

impl Bootstrap {
    /// Percentile interval of a statistic's mean over tasks, for [`TaskScores::first`].
    ///
    /// # Errors
    /// As [`Self::interval`]; no tasks, tasks with different rows, a rule other than percentile.
    pub fn mean_over_tasks(&self, tasks: &[TaskScores<'_>], metric: Metric) -> Result<Interval> {
        self.mean(tasks, |task| Estimand::single(task.cohort, task.first, metric, self.unit))
    }

    /// Percentile interval of the mean over tasks of the difference `first - second`, both on the same resamples.
    ///
    /// # Errors
    /// As [`Self::paired`]; no tasks, tasks with different rows, a rule other than percentile.
    pub fn paired_mean_over_tasks(&self, tasks: &[TaskScores<'_>], metric: Metric) -> Result<Interval> {
        self.mean(tasks, |task| Estimand::paired(task.cohort, task.first, task.second, metric, self.unit))
    }

    fn mean(
        &self,
        tasks: &[TaskScores<'_>],
        estimand: impl Fn(&TaskScores<'_>) -> Result<Estimand>,
    ) -> Result<Interval> {
        self.validate()?;
        let setting = |name, found: String, expected| Error::Setting { name, found, expected };
        if self.rule != Rule::Percentile {
            return Err(setting("rule of a mean over tasks", format!("{:?}", self.rule), "percentile"));
        }
        let Some(first) = tasks.first() else { return Err(setting("tasks", "none".to_owned(), "at least one")) };
        for task in tasks {
            checked::length("rows of a task", task.cohort.len(), first.cohort.len())?;
            if task.cohort.patients() != first.cohort.patients() {
                let expected = "the same rows in every task";
                return Err(setting("patients of a task", "not those of the first task".to_owned(), expected));
            }
        }
        let estimands: Vec<Estimand> = tasks.iter().map(estimand).collect::<Result<_>>()?;
        let count = estimands.len() as f64;
        let statistic = |counts: &[u32]| -> Option<f64> {
            let mut sum = 0.0;
            for estimand in &estimands {
                sum += estimand.value(counts)?;
            }
            Some(sum / count)
        };
        let resamples = self.resamples();
        let metric = estimands[0].metric();
        let drawn = replicate(estimands[0].units(), &resamples, &[statistic]).swap_remove(0);
        let drawn = drawn.map_err(|reason| Error::undefined(metric, reason))?;
        let (lower, upper) = clustered::percentile_limits(&drawn.values, self.level);
        let observed = estimands.iter().map(Estimand::observed).sum::<f64>() / count;
        // The mean of each draw over tasks: the tasks of a draw have their images in common.
        let per_draw = estimands.iter().map(Estimand::observed_per_draw).reduce(|mut sum, task| {
            sum.iter_mut().zip(task).for_each(|(sum, value)| *sum += value);
            sum
        });
        let per_draw: Vec<f64> = per_draw.unwrap_or_default().into_iter().map(|sum| sum / count).collect();
        let range = estimands[0].range();
        let interval = Interval {
            estimate: observed,
            lower,
            upper,
            level: self.level,
            method: Method::Percentile,
            unit: self.unit,
            observed,
            standard_error: standard_deviation(&drawn.values),
            replicates: drawn.values.len(),
            redrawn: drawn.redrawn,
            n: estimands[0].n(),
            positives: estimands.iter().map(Estimand::positives).sum(),
            patients: estimands[0].patients(),
            seed: resamples.seed(),
            with_draws: None,
        };
        Ok(interval.with_draws(&per_draw, range))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A single task has its ordinary interval, and so have two equal tasks, because they share every resample.
    #[test]
    fn equal_tasks_have_the_interval_of_one() {
        let labels: Vec<bool> = (0..60).map(|i| i % 3 == 0).collect();
        let scores =
            vec![(0..60).map(|i| f64::from((i * 7919) % 61) + f64::from(i % 3 == 0) * 20.0).collect::<Vec<f64>>()];
        let patients: Vec<usize> = (0..60).map(|i| i / 2).collect();
        let cohort = Cohort::new(labels, &patients).unwrap();
        let bootstrap = Bootstrap { replicates: 200, ..Bootstrap::default() };
        let alone = bootstrap.interval(&cohort, &scores, Metric::Auroc).unwrap();
        let task = || TaskScores { cohort: &cohort, first: &scores, second: &scores };
        for tasks in [vec![task()], vec![task(), task()]] {
            let mean = bootstrap.mean_over_tasks(&tasks, Metric::Auroc).unwrap();
            assert_eq!((mean.estimate, mean.lower, mean.upper), (alone.estimate, alone.lower, alone.upper));
            let difference = bootstrap.paired_mean_over_tasks(&tasks, Metric::Auroc).unwrap();
            assert_eq!((difference.lower, difference.upper), (0.0, 0.0));
        }
    }

    #[test]
    fn tasks_of_other_patients_are_refused() {
        let labels = vec![true, false, true, false];
        let (a, b) = (Cohort::new(labels.clone(), &[1, 1, 2, 2]).unwrap(), Cohort::independent(labels).unwrap());
        let scores = vec![vec![0.9, 0.1, 0.8, 0.2]];
        let tasks = [&a, &b].map(|cohort| TaskScores { cohort, first: &scores, second: &scores });
        let fault = Bootstrap::default().mean_over_tasks(&tasks, Metric::Auroc).unwrap_err().to_string();
        assert!(fault.contains("patients of a task"), "{fault}");
    }
}
