//! The linear probe put together: features of a frozen network, heads on fractions of the labels, numbers with intervals.
//!
//! Two arms can be probed side by side on the same label draws and the same resamples, which is what makes their
//! difference a paired one: a pretrained network, and a random one whose running statistics were estimated.

use std::collections::BTreeSet;

use cxr_data::LabelPolicy;
use eval::{
    Bootstrap, Cohort, Interval, LinearProbe, LinearProbeConfig, Metric, Rule, Scores, Selection, TaskScores,
    fold_studies,
};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::{
    data::{DrawRule, LabelDraw, Labelled, patient_source},
    error::{Error, Result},
    files::ImageWatch,
    study::folder_name,
};

/// What is probed, and how much of the labels is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSettings {
    /// Label columns.
    pub tasks: Vec<String>,
    /// Fractions of the training patients whose labels are used, each in `(0, 1]`.
    pub fractions: Vec<f64>,
    /// Draws of each fraction below 1 (a fraction of 1 has one).
    pub draws: usize,
    /// How they are drawn.
    pub draw_rule: DrawRule,
    /// What becomes of uncertain and unmentioned labels.
    pub policy: LabelPolicy,
    /// Folds images to studies by the highest logit, as the paper reports; otherwise every image counts.
    pub fold_studies: bool,
    /// Folds in which the penalty is chosen; fewer where a task has fewer patients of a class, which is noted.
    pub folds: usize,
    /// Seed of draws and folds.
    pub seed: u64,
    /// Images per batch while features are computed.
    pub batch_size: usize,
    /// Threads that decode.
    pub workers: usize,
    /// The intervals.
    pub bootstrap: Bootstrap,
    /// Who is told how far a pass over images is.
    #[serde(skip)]
    pub watch: ImageWatch,
}

impl ProbeSettings {
    /// All labels of `tasks`, once, the paper's label policy, five folds.
    pub fn new(tasks: Vec<String>) -> Self {
        Self {
            tasks,
            fractions: vec![1.0],
            draws: 5,
            draw_rule: DrawRule::Patients,
            policy: LabelPolicy::default(),
            fold_studies: true,
            folds: 5,
            seed: 0,
            batch_size: 64,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            bootstrap: Bootstrap::default(),
            watch: ImageWatch::default(),
        }
    }

    /// Checks what can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<()> {
        let fault = |key: &str, found: String, expected: &str| {
            Err(Error::Setting { key: key.into(), found, expected: expected.into() })
        };
        if self.tasks.is_empty() {
            return fault("task", "none".into(), "at least one label column");
        }
        if let Some(bad) = self.fractions.iter().find(|f| !(**f > 0.0 && **f <= 1.0)) {
            return fault("fraction", bad.to_string(), "above 0 and at most 1");
        }
        if self.fractions.is_empty() {
            return fault("fraction", "none".into(), "at least one");
        }
        // Each fraction has a folder of its own in the results, and so has each task.
        if let Some(twice) = (1..self.fractions.len()).find(|&at| self.fractions[..at].contains(&self.fractions[at])) {
            return fault("fraction", format!("{} twice", self.fractions[twice]), "each fraction once");
        }
        let folders: Vec<String> = self.tasks.iter().map(|task| folder_name(task)).collect();
        if let Some(twice) = (1..folders.len()).find(|&at| folders[..at].contains(&folders[at])) {
            let found = format!("{:?} twice, up to case and punctuation", self.tasks[twice]);
            return fault("task", found, "each task once");
        }
        for (key, value) in [("draws", self.draws), ("batch size", self.batch_size)] {
            if value == 0 {
                return fault(key, "0".into(), "at least 1");
            }
        }
        if self.folds < 2 {
            return fault("folds", self.folds.to_string(), "at least 2");
        }
        Ok(self.bootstrap.validate()?)
    }
}

/// Logits `[M, T]` of the test rows by a head fitted on each draw.
///
/// # Errors
/// What the fit says: one class only, no convergence.
pub fn fit_draws(
    train: &Labelled<'_>,
    features: &Array2<f32>,
    test: &Array2<f32>,
    draws: &[LabelDraw],
    settings: &ProbeSettings,
) -> Result<Vec<Array2<f64>>> {
    draws.iter().map(|draw| Ok(fit_probe(train, features, None, draw, settings)?.logits(test.view())?)).collect()
}

/// A head fitted on one draw. Its penalty is chosen on the features `[V, D]` and targets `[V, T]` of validation rows, or,
/// without them, by folds over the patients of the draw.
///
/// # Errors
/// As [`fit_draws`]; validation rows of one class only.
pub fn fit_probe(
    train: &Labelled<'_>,
    features: &Array2<f32>,
    valid: Option<(&Array2<f32>, &Array2<f64>)>,
    draw: &LabelDraw,
    settings: &ProbeSettings,
) -> Result<LinearProbe> {
    let patients: Vec<u64> = draw.places.iter().map(|&i| train.patients()[i]).collect();
    let config = LinearProbeConfig { folds: draw.folds, seed: settings.seed, ..LinearProbeConfig::default() };
    let rows = features.select(Axis(0), &draw.places);
    let labels = train.targets().select(Axis(0), &draw.places);
    let selection = match valid {
        Some((features, targets)) => Selection::Validation { features: features.view(), targets: targets.view() },
        None => Selection::Nested(&patients),
    };
    Ok(config.fit(rows.view(), labels.view(), selection)?)
}

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

/// Every task is reported on, with an interval over patients; found before the first fit, not after the last.
pub(crate) fn check_reported(test: &Labelled<'_>, tasks: &[String]) -> Result<()> {
    let targets = test.targets();
    let patients = |task: usize, class: f64| -> usize {
        let of_class = targets.column(task).into_iter().zip(test.patients()).filter(|(target, _)| **target == class);
        of_class.map(|(_, patient)| patient).collect::<BTreeSet<_>>().len()
    };
    for (place, task) in tasks.iter().enumerate() {
        let [positive, negative] = [1.0, 0.0].map(|class| patients(place, class));
        if positive < 2 || negative < 2 {
            let found = format!("{positive} positive and {negative} negative patients of {task}");
            let expected = "both classes, of two patients at least, to have an AUROC with an interval".into();
            return Err(Error::Setting { key: "test labels".into(), found, expected });
        }
    }
    Ok(())
}

/// Scores of one arm: `[draw]` of logits `[M, T]`.
pub type ArmLogits = Vec<Array2<f64>>;

/// Turns logits into AUROC with intervals, task by task and for the mean over tasks.
///
/// # Errors
/// A task with fewer than two patients of a class on the test rows.
pub fn evaluate_fraction(
    test: &Labelled<'_>,
    fraction: f64,
    draws: &[LabelDraw],
    logits: &ArmLogits,
    baseline: Option<&ArmLogits>,
    settings: &ProbeSettings,
) -> Result<FractionResult> {
    let of = |arm: &ArmLogits| arm.iter().map(|logits| scores(test, settings, logits)).collect::<Result<Vec<_>>>();
    evaluate_scores(fraction, draws, &of(logits)?, baseline.map(of).transpose()?.as_deref(), settings)
}

/// As [`evaluate_fraction`], from scores: one of each draw, all of the same rows.
///
/// # Errors
/// As [`evaluate_fraction`].
pub fn evaluate_scores(
    fraction: f64,
    draws: &[LabelDraw],
    model: &[Scores],
    baseline: Option<&[Scores]>,
    settings: &ProbeSettings,
) -> Result<FractionResult> {
    let bootstrap = &settings.bootstrap;
    let columns = |arm: &[Scores]| -> Result<Vec<(Cohort, Vec<Vec<f64>>)>> {
        settings.tasks.iter().map(|task| Ok(Scores::cohort_of_draws(arm, task)?)).collect()
    };
    let first = columns(model)?;
    let second = baseline.map(columns).transpose()?;
    let mut tasks = Vec::new();
    for (i, task) in settings.tasks.iter().enumerate() {
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
    if settings.tasks.len() > 1 && same_rows(&first) && bootstrap.rule == Rule::Percentile {
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

/// Scores of the test rows by one head, of studies or images.
///
/// # Errors
/// As [`Scores::new`].
pub fn scores(test: &Labelled<'_>, settings: &ProbeSettings, logits: &Array2<f64>) -> Result<Scores> {
    let images = Scores::new(settings.tasks.clone(), test.score_rows(), test.targets(), logits.clone())?
        .with_patient_source(patient_source(test.manifest()));
    Ok(if settings.fold_studies { fold_studies(&images)? } else { images })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_at_fault_is_named() {
        let settings = || ProbeSettings::new(vec!["Edema".into(), "Lung Lesion".into()]);
        settings().validate().unwrap();
        type Case = (&'static str, fn(&mut ProbeSettings));
        let cases: [Case; 8] = [
            ("task: found none", |s| s.tasks.clear()),
            ("task: found \"lung-lesion\" twice", |s| s.tasks.push("lung-lesion".into())),
            ("fraction: found none", |s| s.fractions.clear()),
            ("fraction: found 0, expected above 0", |s| s.fractions = vec![0.0]),
            ("fraction: found 0.5 twice", |s| s.fractions = vec![0.5, 1.0, 0.5]),
            ("draws: found 0, expected at least 1", |s| s.draws = 0),
            ("batch size: found 0, expected at least 1", |s| s.batch_size = 0),
            ("folds: found 1", |s| s.folds = 1),
        ];
        for (words, spoil) in cases {
            let mut spoilt = settings();
            spoil(&mut spoilt);
            let fault = spoilt.validate().unwrap_err().to_string();
            assert!(fault.starts_with(words), "{fault}");
        }
    }
}
