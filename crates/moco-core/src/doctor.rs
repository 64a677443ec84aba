//! The run doctor: a report of each epoch, with diagnoses.

use serde::{Deserialize, Serialize};

use crate::{Error, ProbeResult, Queue, Result, Similarities, StepMetrics, spread::Spread};

/// Number of newest keys that are examined, at most.
const KEYS: usize = 512;
/// Fraction of the chance level above which a run has learned nothing.
const STUCK: f64 = 0.97;
/// Fraction of the deviation of evenly spread unit vectors below which embeddings count as collapsed.
const COLLAPSED: f64 = 0.1;
/// Top-1 accuracy from which on the task is solved. (The minimum of the loss depends on temperature and queue.)
const SOLVED: f64 = 0.99;

/// A problem of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Diagnosis {
    /// The loss is that of guessing, although embeddings differ.
    StuckAtChance,
    /// All embeddings are (nearly) the same.
    Collapsed,
    /// Almost every query finds its key.
    TaskSolved,
    /// The queue holds older keys of the query's own image.
    QueueLargerThanData,
    /// The loss or the gradient was NaN or infinite.
    NonFinite,
}

impl Diagnosis {
    /// The problem in words.
    pub fn cause(self) -> &'static str {
        match self {
            Self::StuckAtChance => "the loss stays at its chance level: query and key of an image cannot be matched",
            Self::Collapsed => "all images get nearly the same embedding",
            Self::TaskSolved => {
                "every key is found at once: the two views differ too little, or the batch leaks the answer"
            }
            Self::QueueLargerThanData => {
                "the queue is as long as the data set or longer: older keys of the same image count as negatives"
            }
            Self::NonFinite => "the loss or the gradient is not finite",
        }
    }

    /// Advice against it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::StuckAtChance => {
                "check with a contact sheet that both views show the same image; weaken the augmentation; raise the learning rate or start from pretrained weights"
            }
            Self::Collapsed => {
                "look for blank or identical images; lower the learning rate and the weight decay, add warm-up; raise the temperature"
            }
            Self::TaskSolved => {
                "strengthen the augmentation (crop, rotation, contrast), lengthen the queue; with batch norm on one device set groups to 2 or more"
            }
            Self::QueueLargerThanData => {
                "set the length of the queue (queue_size, --moco-k) well below the number of images (a quarter is a good start)"
            }
            Self::NonFinite => {
                "lower the learning rate, add warm-up or clip_norm, and look for broken images; resume from the last checkpoint"
            }
        }
    }

    /// The diagnosis of an error, if there is one.
    pub fn of(error: &Error) -> Option<Self> {
        matches!(error, Error::NonFinite { .. }).then_some(Self::NonFinite)
    }
}

impl std::fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.cause(), self.remedy())
    }
}

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
}

impl EpochSums {
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
    }
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
    /// `images` is the number of images of an epoch; a loss at chance level is diagnosed only if `judged`.
    pub(crate) fn new(
        epoch: u64,
        step: u64,
        sums: &EpochSums,
        queue: &Queue,
        images: usize,
        judged: bool,
    ) -> Result<Self> {
        let n = sums.steps.max(1) as f64;
        let keys = queue.newest(KEYS);
        let dim = keys.dims()[1];
        let spread = Spread::of(keys)?; // sync point, once an epoch
        let mut report = Self {
            epoch,
            step,
            loss: sums.loss / n,
            chance: sums.chance / n,
            top1: sums.top1 / n,
            top5: sums.top5 / n,
            positive: sums.positive / n,
            negative: sums.negative / n,
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
        report.diagnoses = report.diagnose(dim, queue.size(), images, sums.steps > 0, judged);
        Ok(report)
    }

    fn diagnose(&self, dim: usize, queue_size: usize, images: usize, contrasted: bool, judged: bool) -> Vec<Diagnosis> {
        let mut found = Vec::new();
        if self.feature_std * (dim as f64).sqrt() < COLLAPSED {
            // If nearly parallel embeddings drift, the newest key may rank first; that does not mean a solved task.
            found.push(Diagnosis::Collapsed);
        } else if contrasted && self.loss >= STUCK * self.chance {
            found.extend(judged.then_some(Diagnosis::StuckAtChance));
        } else if contrasted && self.top1 >= SOLVED {
            found.push(Diagnosis::TaskSolved);
        }
        if queue_size >= images {
            found.push(Diagnosis::QueueLargerThanData);
        }
        found
    }

    /// One line for a log.
    pub fn line(&self) -> String {
        let Self { epoch, loss, chance, top1, top5, positive, negative, .. } = self;
        let mut line = format!(
            "epoch {epoch}: loss {loss:.4} (chance {chance:.4}), top-1 {top1:.3}, top-5 {top5:.3}, similarity {positive:+.3} \
             {negative:+.3}, deviation {:.4}, rank {:.1}, alignment {:.3}, uniformity {:.3}, queue {} of age {:.0}, lr {:.2e}, \
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
