//! Comparison of two models on the same rows: the paired bootstrap of their difference, and DeLong's test.

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Bootstrap, Estimand};
use crate::cohort::Cohort;
use crate::delong::delong_test;
use crate::error::{Error, Result};
use crate::holm::holm;
use crate::interval::Interval;
use crate::metric::Metric;
use crate::scores::Scores;
use crate::stamp::Stamp;
use crate::tables::Table;
use crate::undefined::Undefined;

/// The difference between two models, first minus second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The statistic.
    pub metric: Metric,
    /// The first model's value on the original rows, mean over its label draws.
    pub first: f64,
    /// The second model's value.
    pub second: f64,
    /// The difference with its interval, from the same resamples for both models.
    pub difference: Interval,
    /// Two-sided p-value of the bootstrap: min(1, 2 (k + 1) / (R + 1)) for R replicates, of which k are on the rarer
    /// side of zero (a replicate of zero counts on both sides). It cannot be smaller than 2 / (R + 1). It is over other test
    /// rows and takes the label draws as they are; of the two, only [`WithDraws`](crate::WithDraws) holds the draws.
    pub p_bootstrap: f64,
    /// Two-sided p-value of DeLong's paired test, with the unit of the bootstrap as cluster; AUROC only. Over other test rows,
    /// as the p-value above.
    pub p_delong: Option<f64>,
    /// Why DeLong's test is undefined, for AUROC.
    pub delong_undefined: Option<Undefined>,
}

/// Compares two models on one task.
///
/// # Shapes
/// `first`, `second`: D score vectors `[n]` each, one per label draw, in the same order of draws.
///
/// # Errors
/// [`Error::Undefined`] if the statistic is undefined; lengths, numbers of draws, scores or settings out of range.
pub fn compare_models<S: AsRef<[f64]>>(
    cohort: &Cohort,
    first: &[S],
    second: &[S],
    metric: Metric,
    bootstrap: &Bootstrap,
) -> Result<Comparison> {
    let value = |draws| Ok::<_, Error>(Estimand::single(cohort, draws, metric, bootstrap.unit)?.observed());
    let paired = Estimand::paired(cohort, first, second, metric, bootstrap.unit)?;
    let (difference, replicates) = bootstrap.one(paired, &bootstrap.resamples())?;
    let delong = match metric {
        Metric::Auroc => Some(Error::or_reason(delong_test(cohort, first, second, bootstrap.unit, bootstrap.level))?),
        _ => None,
    };
    Ok(Comparison {
        metric,
        first: value(first)?,
        second: value(second)?,
        difference,
        p_bootstrap: two_sided_p(&replicates.values),
        p_delong: delong.as_ref().and_then(|test| test.as_ref().ok()).map(|test| test.p_value),
        delong_undefined: delong.and_then(std::result::Result::err),
    })
}

fn two_sided_p(replicates: &[f64]) -> f64 {
    let at_most = replicates.iter().filter(|difference| **difference <= 0.0).count();
    let at_least = replicates.iter().filter(|difference| **difference >= 0.0).count();
    (2.0 * (at_most.min(at_least) + 1) as f64 / (replicates.len() + 1) as f64).min(1.0)
}

/// The comparison of two models over all their tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparisons {
    /// The conditions that both were obtained under.
    pub stamp: Stamp,
    /// Conditions in which they differ, if the caller allowed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// Settings of the bootstrap.
    pub bootstrap: Bootstrap,
    /// One entry per task.
    pub tasks: Vec<TaskComparison>,
}

/// One task of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskComparison {
    /// The task.
    pub task: String,
    /// The comparison, `null` if it is undefined.
    pub comparison: Option<Comparison>,
    /// Why it is undefined.
    pub undefined: Option<Undefined>,
    /// Bootstrap p-value after Holm's correction over the tasks that have one.
    pub p_bootstrap_holm: Option<f64>,
    /// DeLong p-value after Holm's correction over the tasks that have one.
    pub p_delong_holm: Option<f64>,
}

/// Compares two models on the tasks of the first. Each is given by its scores from each label draw.
///
/// Rows are matched by path and tasks by name; both models must have the same rows and labels.
///
/// # Errors
/// [`Error::StampMismatch`] if the two were obtained under different conditions; different rows, labels or numbers of
/// draws; a task that the second lacks. An undefined statistic is not an error but an entry with the reason.
pub fn compare(
    first: (&[Scores], &Stamp),
    second: (&[Scores], &Stamp),
    metric: Metric,
    bootstrap: &Bootstrap,
) -> Result<Comparisons> {
    compare_under(first, second, metric, bootstrap, Conditions::Equal)
}

/// Whether results obtained under different conditions may be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conditions {
    /// They must not differ in any condition known for both.
    #[default]
    Equal,
    /// They may differ. The comparison lists the differences and has the stamp of the first.
    MayDiffer,
}

/// [`compare`], which allows different conditions on request.
///
/// # Errors
/// As [`compare`]; [`Error::StampMismatch`] only for [`Conditions::Equal`].
pub fn compare_under(
    (first, stamp): (&[Scores], &Stamp),
    (second, other): (&[Scores], &Stamp),
    metric: Metric,
    bootstrap: &Bootstrap,
    conditions: Conditions,
) -> Result<Comparisons> {
    let differences = stamp.differences(other);
    let stamp = match conditions {
        Conditions::MayDiffer if !differences.is_empty() => stamp.clone(),
        _ => stamp.merged(other)?,
    };
    let Some(reference) = first.first() else {
        return Err(Error::Setting { name: "label draws", found: "0".into(), expected: "at least 1" });
    };
    let second = second.iter().map(|draw| reference.align(draw)).collect::<Result<Vec<_>>>()?;
    let mut tasks = Vec::new();
    for task in reference.tasks() {
        let (cohort, first) = Scores::cohort_of_draws(first, task)?;
        let (_, second) = Scores::cohort_of_draws(&second, task)?;
        let outcome = Error::or_reason(compare_models(&cohort, &first, &second, metric, bootstrap))?;
        let (comparison, undefined) = match outcome {
            Ok(comparison) => (Some(comparison), None),
            Err(reason) => (None, Some(reason)),
        };
        let task = task.clone();
        tasks.push(TaskComparison { task, comparison, undefined, p_bootstrap_holm: None, p_delong_holm: None });
    }
    let p_values = |pick: fn(&Comparison) -> Option<f64>| -> Vec<Option<f64>> {
        holm(&tasks.iter().map(|task| task.comparison.as_ref().and_then(pick)).collect::<Vec<_>>())
    };
    let by_bootstrap = p_values(|comparison| Some(comparison.p_bootstrap));
    let by_delong = p_values(|comparison| comparison.p_delong);
    for ((task, bootstrap), delong) in tasks.iter_mut().zip(by_bootstrap).zip(by_delong) {
        (task.p_bootstrap_holm, task.p_delong_holm) = (bootstrap, delong);
    }
    Ok(Comparisons { stamp, differences, bootstrap: bootstrap.clone(), tasks })
}

impl Comparisons {
    /// A table to read: task, both values, their difference with interval, and p-values before and after Holm's
    /// correction. With several label draws a last column says what the interval holds; the p-values hold the test rows only.
    pub fn table(&self) -> Table {
        let drawn =
            self.tasks.iter().filter_map(|task| task.comparison.as_ref()).any(|c| c.difference.with_draws.is_some());
        let columns = [
            "task",
            "statistic",
            "first",
            "second",
            "difference",
            "p (bootstrap)",
            "p (Holm)",
            "p (DeLong)",
            "p (DeLong, Holm)",
            "interval holds",
        ];
        let mut table = Table::new(columns.into_iter().take(if drawn { 10 } else { 9 }));
        let p = |value: Option<f64>| value.map_or("-".to_owned(), |p| format!("{p:.4}"));
        for task in &self.tasks {
            match (&task.comparison, &task.undefined) {
                (Some(comparison), _) => table.push([
                    task.task.clone(),
                    comparison.metric.to_string(),
                    format!("{:.3}", comparison.first),
                    format!("{:.3}", comparison.second),
                    comparison.difference.to_string(),
                    p(Some(comparison.p_bootstrap)),
                    p(task.p_bootstrap_holm),
                    p(comparison.p_delong),
                    p(task.p_delong_holm),
                    comparison.difference.holds(),
                ]),
                (None, reason) => {
                    let reason = reason.as_ref().map(ToString::to_string).unwrap_or_default();
                    table.push([
                        task.task.clone(),
                        String::new(),
                        String::new(),
                        String::new(),
                        format!("- ({reason})"),
                    ]);
                }
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bootstrap_p_value_counts_the_rarer_side() {
        let replicates: Vec<f64> = (-3..=96).map(f64::from).collect(); // 4 of 100 are at most 0
        assert_eq!(two_sided_p(&replicates), 2.0 * 5.0 / 101.0);
        assert_eq!(two_sided_p(&[0.0; 50]), 1.0);
    }
}
