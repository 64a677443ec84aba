//! The run doctor: a report of each epoch, with diagnoses.

use serde::{Deserialize, Serialize};

use crate::{Diagnosis, MocoConfig, ProbeResult, Queue, Result, Similarities, StepMetrics, spread::Spread};

/// Number of newest keys that are examined, at most.
const KEYS: usize = 512;
/// Fraction of the chance level above which a run may have learned nothing.
const STUCK: f64 = 0.97;
/// Top-5 accuracy, in multiples of its chance level, from which on it has learned something.
const FOUND: f64 = 2.0;
/// Part of what tells a query's own key from the oldest ones that also tells the youngest from them, from which on age is a
/// shortcut. It is 0 if only the image counts, and 6/7 (three quarters of the queue's age over seven eighths) if similarity
/// falls evenly with age and nothing else counts.
const AGE: f64 = 0.3;
/// Standard errors from which on a difference counts.
const ERRORS: f64 = 3.0;
/// Fraction of the deviation of evenly spread unit vectors below which embeddings count as collapsed.
const COLLAPSED: f64 = 0.1;
/// Top-1 accuracy from which on the task is solved. (The minimum of the loss depends on temperature and queue.)
const SOLVED: f64 = 0.99;

/// Sums over the steps of an epoch so far; kept in checkpoints, so that a report does not depend on interruptions. A field
/// that is added has a serde default: checkpoints of earlier versions stay readable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpochSums {
    /// Steps that had negatives.
    steps: u64,
    loss: f64,
    chance: f64,
    top1: f64,
    top5: f64,
    positive: f64,
    negative: f64,
    gradient_norm: f64,
    lr: f64,
    /// Of the squares of the loss, and of the difference between similarities of positives and negatives.
    #[serde(default)]
    loss_squares: f64,
    #[serde(default)]
    gap_squares: f64,
    /// Steps at which the queue held keys of several ages, and sums over them.
    #[serde(default)]
    aged: u64,
    #[serde(default)]
    young: f64,
    #[serde(default)]
    old: f64,
    /// Of the squares of their difference.
    #[serde(default)]
    age_squares: f64,
    /// The earlier epoch with the lowest loss.
    #[serde(default)]
    lowest: Option<Lowest>,
}

/// The epoch with the lowest loss so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lowest {
    loss: f64,
    error: f64,
    chance: f64,
    lr: f64,
}

impl EpochSums {
    /// The sums of the next epoch.
    pub(crate) fn next(&self) -> Self {
        let this = self.loss_error().map(|error| {
            let n = self.steps as f64;
            Lowest { loss: self.loss / n, error, chance: self.chance / n, lr: self.lr }
        });
        // While the queue fills, the loss rises with the number of negatives: only epochs of a full one are compared.
        let comparable = self.lowest.filter(|lowest| this.is_none_or(|this| same_task(lowest.chance, this.chance)));
        let lowest = match (comparable, this) {
            (Some(lowest), Some(this)) if lowest.loss <= this.loss => Some(lowest),
            (lowest, this) => this.or(lowest),
        };
        Self { lowest, ..Self::default() }
    }

    fn loss_error(&self) -> Option<f64> {
        error_of_mean(self.steps, self.loss, self.loss_squares)
    }

    pub(crate) fn add(&mut self, metrics: &StepMetrics) {
        let m = &metrics.measures;
        self.lr = metrics.lr;
        let Some(norm) = m.gradient_norm else { return };
        self.steps += 1;
        self.loss += m.loss;
        self.chance += metrics.chance;
        self.top1 += m.top1;
        self.top5 += m.top5;
        self.positive += m.positive;
        self.negative += m.negative;
        self.gradient_norm += norm;
        self.loss_squares += m.loss * m.loss;
        self.gap_squares += (m.positive - m.negative).powi(2);
        if let (Some(young), Some(old)) = (m.young, m.old) {
            self.aged += 1;
            self.young += young;
            self.old += old;
            self.age_squares += (young - old).powi(2);
        }
    }
}

/// Standard error of a mean over steps, from the sums of values and of squares; `None` for fewer than two.
fn error_of_mean(n: u64, sum: f64, squares: f64) -> Option<f64> {
    let n = n as f64;
    (n >= 2.0).then(|| ((squares - sum * sum / n).max(0.0) / (n - 1.0) / n).sqrt())
}

/// Whether two epochs had the same number of negatives.
fn same_task(chance: f64, other: f64) -> bool {
    (chance - other).abs() < 1e-6 * chance.abs()
}

/// The report of an epoch: averages over its steps, and statistics of the newest keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Optimizer steps done since the beginning of the run.
    pub step: u64,
    /// InfoNCE, in nats.
    pub loss: f64,
    /// Loss of guessing, `ln(1 + negatives)`.
    pub chance: f64,
    /// Fraction of queries whose positive beats all negatives.
    pub top1: f64,
    /// Fraction of queries whose positive is among the best five.
    pub top5: f64,
    /// Mean cosine similarity of query and key of the same image.
    pub positive: f64,
    /// Mean cosine similarity of queries and the queue.
    pub negative: f64,
    /// Standard error of `positive - negative`, from its scatter over the steps; `None` for fewer than two, and in logs of
    /// earlier versions.
    #[serde(default)]
    pub gap_error: Option<f64>,
    /// Mean cosine similarity of queries and the newest quarter of the keys in the queue; `None` where all keys have one
    /// age, and in logs of earlier versions.
    #[serde(default)]
    pub young: Option<f64>,
    /// And of the oldest quarter.
    #[serde(default)]
    pub old: Option<f64>,
    /// Mean squared distance of query and key, `2 - 2·positive` (alignment, arXiv:2005.10242).
    pub alignment: f64,
    /// `ln E exp(-2·|x - y|²)` over pairs of keys (uniformity, arXiv:2005.10242); lower is better.
    pub uniformity: f64,
    /// Mean deviation of the coordinates of the unit keys; `1/√D` when spread evenly, 0 when collapsed.
    pub feature_std: f64,
    /// Effective rank of the keys (RankMe, arXiv:2210.02885), from 1 to D.
    pub effective_rank: f64,
    /// Coordinates of the keys times √D, counted in 64 equal bins from -4 to 4 (the outer ones include values beyond):
    /// a bell curve of deviation 1 if keys are spread evenly, a few spikes if they collapsed.
    #[serde(default)]
    pub coordinates: Vec<u64>,
    /// Slots of the queue that hold a key.
    pub queue_written: usize,
    /// Mean age of the keys in the queue, in steps.
    pub queue_age: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Mean norm of the gradient.
    pub gradient_norm: f64,
    /// Histograms of the similarities in the epoch's last batch; `None` while the queue is empty, and in logs of
    /// earlier versions.
    #[serde(default)]
    pub similarities: Option<Similarities>,
    /// Result of the online probe, in epochs in which it ran.
    pub probe: Option<ProbeResult>,
    /// Problems found; empty for a healthy run.
    pub diagnoses: Vec<Diagnosis>,
}

impl EpochReport {
    /// `images` is the number of images of an epoch; a run without success is diagnosed only if `judged`.
    pub(crate) fn new(
        (epoch, step): (u64, u64),
        sums: &EpochSums,
        queue: &Queue,
        (config, images): (&MocoConfig, usize),
        judged: bool,
    ) -> Result<Self> {
        let n = sums.steps.max(1) as f64;
        let keys = queue.newest(KEYS);
        let dim = keys.dims()[1];
        let spread = Spread::of(keys)?; // sync point, once an epoch
        let aged = |sum: f64| (sums.aged > 0).then(|| sum / sums.aged as f64);
        let mut report = Self {
            epoch,
            step,
            loss: sums.loss / n,
            chance: sums.chance / n,
            top1: sums.top1 / n,
            top5: sums.top5 / n,
            positive: sums.positive / n,
            negative: sums.negative / n,
            gap_error: error_of_mean(sums.steps, sums.positive - sums.negative, sums.gap_squares),
            young: aged(sums.young),
            old: aged(sums.old),
            alignment: 2.0 - 2.0 * sums.positive / n,
            uniformity: spread.uniformity,
            feature_std: spread.deviation,
            effective_rank: spread.effective_rank,
            coordinates: spread.coordinates,
            queue_written: queue.written(),
            queue_age: queue.mean_age(step).unwrap_or(0.0),
            lr: sums.lr,
            gradient_norm: sums.gradient_norm / n,
            similarities: None,
            probe: None,
            diagnoses: Vec::new(),
        };
        report.diagnoses = report.diagnose(dim, sums, judged);
        report.diagnoses.extend(config.meets_itself(images).then_some(Diagnosis::QueueLargerThanData));
        Ok(report)
    }

    fn diagnose(&self, dim: usize, sums: &EpochSums, judged: bool) -> Vec<Diagnosis> {
        let mut found = Vec::new();
        if self.feature_std * (dim as f64).sqrt() < COLLAPSED {
            // If nearly parallel embeddings drift, the newest key may rank first; that does not mean a solved task.
            found.push(Diagnosis::Collapsed);
        } else if sums.steps == 0 {
            // Nothing was contrasted yet.
        } else if self.knows_age(sums) || self.rises(sums) {
            found.push(Diagnosis::AgeShortcut);
        } else if self.is_stuck() {
            found.extend(judged.then_some(Diagnosis::StuckAtChance));
        } else if self.top1 >= SOLVED {
            found.push(Diagnosis::TaskSolved);
        }
        found
    }

    /// Neither loss nor ranks nor similarities tell positives from negatives. The loss alone does not say it: at a high
    /// temperature it stays near chance while queries find their keys.
    fn is_stuck(&self) -> bool {
        let chance = 5.0 / self.chance.exp();
        let apart = self.gap_error.is_some_and(|error| self.positive - self.negative > ERRORS * error);
        self.loss >= STUCK * self.chance && self.top5 < FOUND * chance && !apart
    }

    /// Young negatives are more like the query than old ones, by a good part of what tells its own key apart.
    fn knows_age(&self, sums: &EpochSums) -> bool {
        let (Some(young), Some(old)) = (self.young, self.old) else { return false };
        let error = error_of_mean(sums.aged, sums.young - sums.old, sums.age_squares);
        young - old > AGE * (self.positive - old).max(0.0) && error.is_some_and(|error| young - old > ERRORS * error)
    }

    /// The loss is above that of an earlier epoch, though the rate has fallen: what the network had found was not in the
    /// images, and goes as the weights come to rest.
    fn rises(&self, sums: &EpochSums) -> bool {
        let (Some(lowest), Some(error)) = (sums.lowest, sums.loss_error()) else { return false };
        same_task(lowest.chance, self.chance)
            && self.lr < 0.5 * lowest.lr
            && self.loss - lowest.loss > ERRORS * error.hypot(lowest.error)
    }

    /// One line for a log.
    pub fn line(&self) -> String {
        let Self { epoch, loss, chance, top1, top5, positive, negative, .. } = self;
        let ages = self.young.zip(self.old).map(|(young, old)| format!(" (young {young:+.3}, old {old:+.3})"));
        let ages = ages.unwrap_or_default();
        let mut line = format!(
            "epoch {epoch}: loss {loss:.4} (chance {chance:.4}), top-1 {top1:.3}, top-5 {top5:.3}, similarity {positive:+.3} \
             {negative:+.3}{ages}, deviation {:.4}, rank {:.1}, alignment {:.3}, uniformity {:.3}, queue {} of age {:.0}, lr {:.2e}, \
             gradient {:.3}",
            self.feature_std,
            self.effective_rank,
            self.alignment,
            self.uniformity,
            self.queue_written,
            self.queue_age,
            self.lr,
            self.gradient_norm,
        );
        if let Some(ProbeResult { auc, lower, upper, .. }) = self.probe {
            line.push_str(&format!(", probe AUC {auc:.3} ({lower:.3}, {upper:.3})"));
        }
        for diagnosis in &self.diagnoses {
            line.push_str(&format!("\n  {diagnosis}"));
        }
        line
    }
}
