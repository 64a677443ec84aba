//! The linear probe put together: features of a frozen network, heads on fractions of the labels, numbers with intervals.
//!
//! Two arms can be probed side by side on the same label draws and the same resamples, which is what makes their
//! difference a paired one: a pretrained network, and a random one whose running statistics were estimated.

use backbones::Network;
use cxr_data::{BatchLoader, BatchOptions, LabelPolicy, Manifest, OnBad, PolicyResult, ViewConfig, splits};
use eval::{
    Bootstrap, Cohort, Features, Interval, LinearProbeConfig, Metric, Row, Rule, Scores, Selection, TaskScores,
    estimate_running_statistics, extract_features, fold_studies,
};
use ndarray::{Array2, Array3, Axis};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

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
    /// What becomes of uncertain and unmentioned labels.
    pub policy: LabelPolicy,
    /// Folds images to studies by the highest logit, as the paper reports; otherwise every image counts.
    pub fold_studies: bool,
    /// Folds in which the penalty is chosen; fewer where a task has fewer patients of a class.
    pub folds: usize,
    /// Seed of draws and folds.
    pub seed: u64,
    /// Images per batch while features are computed.
    pub batch_size: usize,
    /// Threads that decode.
    pub workers: usize,
    /// The intervals.
    pub bootstrap: Bootstrap,
}

impl ProbeSettings {
    /// All labels of `tasks`, once, the paper's label policy, five folds.
    pub fn new(tasks: Vec<String>) -> Self {
        Self {
            tasks,
            fractions: vec![1.0],
            draws: 5,
            policy: LabelPolicy::default(),
            fold_studies: true,
            folds: 5,
            seed: 0,
            batch_size: 64,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            bootstrap: Bootstrap::default(),
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
        if self.fractions.is_empty() || self.draws == 0 || self.batch_size == 0 {
            return fault("fraction, draws, batch size", "nothing".into(), "at least one of each");
        }
        if self.folds < 2 {
            return fault("folds", self.folds.to_string(), "at least 2");
        }
        Ok(self.bootstrap.validate()?)
    }
}

/// Labelled images: a manifest, the rows of it that are used, and their targets.
#[derive(Debug)]
pub struct Labelled<'a> {
    manifest: &'a Manifest,
    policy: PolicyResult,
    patients: Vec<u64>,
}

impl<'a> Labelled<'a> {
    /// Applies a label policy to the readable `rows` of a manifest.
    ///
    /// # Errors
    /// A task that the manifest does not have (with the nearest names), or no rows.
    pub fn new(manifest: &'a Manifest, rows: &[usize], tasks: &[String], policy: LabelPolicy) -> Result<Self> {
        let columns = manifest.task_indices(tasks)?;
        let mut policy = policy.apply(manifest, &columns)?;
        let keep: Vec<usize> =
            (0..policy.rows.len()).filter(|&i| rows.binary_search(&policy.rows[i]).is_ok()).collect();
        if keep.is_empty() {
            let found = format!("no image of {} that the label policy admits", manifest.root.display());
            return Err(Error::Setting { key: "data".into(), found, expected: "at least one".into() });
        }
        policy.targets = policy.targets.select(Axis(0), &keep);
        policy.rows = keep.iter().map(|&i| policy.rows[i]).collect();
        let mut numbers = std::collections::HashMap::new();
        let number = |&row: &usize| {
            let next = numbers.len() as u64;
            *numbers.entry(manifest.records[row].patient.as_str()).or_insert(next)
        };
        let patients = policy.rows.iter().map(number).collect();
        Ok(Self { manifest, policy, patients })
    }

    /// Rows of the manifest, ascending.
    pub fn rows(&self) -> &[usize] {
        &self.policy.rows
    }

    /// What the policy made of the labels, with counts before and after.
    pub fn labels(&self) -> &PolicyResult {
        &self.policy
    }

    /// Targets `[N, T]`: 0, 1, NaN where masked.
    pub fn targets(&self) -> Array2<f64> {
        self.policy.targets.mapv(f64::from)
    }

    fn score_rows(&self) -> Vec<Row> {
        let row = |&row: &usize| {
            let record = &self.manifest.records[row];
            Row {
                path: record.path.clone(),
                patient: record.patient.clone(),
                study: record.study.clone(),
                view: record.view.map(|v| format!("{v:?}").to_lowercase()),
                sex: record.sex.map(|s| format!("{s:?}")),
                age: record.age.map(f64::from),
                projection: record.projection.map(|p| format!("{p:?}").to_uppercase()),
            }
        };
        self.rows().iter().map(row).collect()
    }

    /// Features of these rows, in their order.
    ///
    /// # Errors
    /// An image that cannot be read, a device that fails, a network that moved.
    pub fn features(&self, network: &Network, views: ViewConfig, settings: &ProbeSettings) -> Result<Array2<f32>> {
        let loader = loader(self.manifest, self.rows(), views, settings)?;
        let Features { values, .. } = extract_features(network, loader.in_order::<u8>().map(one_view))?.sorted();
        Ok(values)
    }
}

/// Gives a network the running statistics that training on these images would have given it, without a change of weights.
///
/// # Errors
/// As [`Labelled::features`].
pub fn adapt_statistics(
    network: &mut Network,
    manifest: &Manifest,
    rows: &[usize],
    views: ViewConfig,
    settings: &ProbeSettings,
) -> Result<()> {
    let loader = loader(manifest, rows, views, settings)?;
    Ok(estimate_running_statistics(network, loader.shuffled::<u8>(0, 0)?.map(one_view))?)
}

fn loader(manifest: &Manifest, rows: &[usize], views: ViewConfig, settings: &ProbeSettings) -> Result<BatchLoader> {
    let options = BatchOptions {
        batch_size: settings.batch_size.min(rows.len()),
        workers: settings.workers,
        seed: settings.seed,
        on_bad: OnBad::Fail,
        ..BatchOptions::default()
    };
    Ok(BatchLoader::new(manifest, views, options)?.with_rows(rows)?)
}

fn one_view(batch: cxr_data::Result<cxr_data::ViewBatch>) -> cxr_data::Result<(Array3<u8>, Vec<usize>)> {
    batch.map(|batch| (batch.images, batch.rows))
}

/// One draw of labelled rows: places in a [`Labelled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelDraw {
    /// Places, ascending.
    pub places: Vec<usize>,
    /// Folds that the rarest class of all tasks allows.
    pub folds: usize,
}

/// The label draws of one fraction, by patient, each draw on its own.
///
/// Draws in which some task has fewer than two patients of a class could not choose a penalty; they are drawn again,
/// under the next seed, up to a hundred times. That rule looks at training labels only.
///
/// # Errors
/// When no usable draw is found.
pub fn label_draws(train: &Labelled<'_>, fraction: f64, settings: &ProbeSettings) -> Result<Vec<LabelDraw>> {
    const TRIES: u64 = 100;
    let wanted = if fraction < 1.0 { settings.draws } else { 1 };
    let targets = train.targets();
    let mut draws = Vec::new();
    for draw in 0..wanted as u64 {
        let usable = (0..TRIES).find_map(|attempt| {
            let seed = settings.seed.wrapping_mul(1_000_003).wrapping_add(draw * TRIES + attempt);
            let places = match one_draw(train, fraction, seed) {
                Ok(places) => places,
                Err(e) => return Some(Err(e)),
            };
            let folds = folds(&places, &targets, &train.patients).min(settings.folds);
            (folds >= 2).then_some(Ok(LabelDraw { places, folds }))
        });
        match usable {
            Some(found) => draws.push(found?),
            None => {
                let found = format!("{} of {} labelled images", fraction, targets.nrows());
                let expected = "at least two patients of each class in every task";
                return Err(Error::Setting { key: "fraction".into(), found, expected: expected.into() });
            }
        }
    }
    Ok(draws)
}

fn one_draw(train: &Labelled<'_>, fraction: f64, seed: u64) -> Result<Vec<usize>> {
    let drawn = splits::nested_fractions(train.manifest, &[fraction], seed)?.swap_remove(0);
    let places = (0..train.rows().len()).filter(|&i| drawn.binary_search(&train.rows()[i]).is_ok());
    Ok(places.collect())
}

/// Patients of the rarer class in the task that has fewest. A patient with any positive image is a positive one, as in
/// the folds themselves.
fn folds(places: &[usize], targets: &Array2<f64>, patients: &[u64]) -> usize {
    let of = |task: usize, class: f64| -> std::collections::BTreeSet<u64> {
        places.iter().filter(|&&i| targets[[i, task]] == class).map(|&i| patients[i]).collect()
    };
    let rarer = |task: usize| {
        let (positive, negative) = (of(task, 1.0), of(task, 0.0));
        positive.len().min(negative.difference(&positive).count())
    };
    (0..targets.ncols()).map(rarer).min().unwrap_or(0)
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
    let targets = train.targets();
    let fit = |draw: &LabelDraw| {
        let patients: Vec<u64> = draw.places.iter().map(|&i| train.patients[i]).collect();
        let config = LinearProbeConfig { folds: draw.folds, seed: settings.seed, ..LinearProbeConfig::default() };
        let rows = features.select(Axis(0), &draw.places);
        let labels = targets.select(Axis(0), &draw.places);
        let probe = config.fit(rows.view(), labels.view(), Selection::Nested(&patients))?;
        Ok(probe.logits(test.view())?)
    };
    draws.iter().map(fit).collect()
}

/// Results of one fraction: one or two arms, each task and their mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// Scores of one arm: `[draw]` of logits `[M, T]`.
pub type ArmLogits = Vec<Array2<f64>>;

/// Turns logits into AUROC with intervals, task by task and for the mean over tasks.
///
/// # Errors
/// A task with one class only on the test rows.
pub fn evaluate_fraction(
    test: &Labelled<'_>,
    fraction: f64,
    draws: &[LabelDraw],
    logits: &ArmLogits,
    baseline: Option<&ArmLogits>,
    settings: &ProbeSettings,
) -> Result<FractionResult> {
    let bootstrap = &settings.bootstrap;
    let columns = |arm: &ArmLogits| -> Result<Vec<(Cohort, Vec<Vec<f64>>)>> {
        let scores = arm.iter().map(|logits| scores(test, settings, logits)).collect::<Result<Vec<_>>>()?;
        settings.tasks.iter().map(|task| Ok(Scores::cohort_of_draws(&scores, task)?)).collect()
    };
    let first = columns(logits)?;
    let second = baseline.map(columns).transpose()?;
    let mut tasks = Vec::new();
    for (i, task) in settings.tasks.iter().enumerate() {
        let (cohort, scores) = &first[i];
        let auroc = bootstrap.interval(cohort, scores, Metric::Auroc)?;
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
    let images = Scores::new(settings.tasks.clone(), test.score_rows(), test.targets(), logits.clone())?;
    Ok(if settings.fold_studies { fold_studies(&images)? } else { images })
}
