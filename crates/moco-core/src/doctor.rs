//! The run doctor: a report of each epoch, with diagnoses.

use serde::{Deserialize, Serialize};

use crate::{
    Diagnosis, EpochSums, MocoConfig, ProbeResult, Queue, Result, Similarities,
    epoch_sums::{error_of_mean, same_task},
    spread::Spread,
};

/// Number of newest keys that are examined, at most.
const KEYS: usize = 512;
/// Fraction of the chance level above which a run may have learned nothing.
const STUCK: f64 = 0.97;
/// Top-5 accuracy, in multiples of its chance level, from which on it has learned something.
const FOUND: f64 = 2.0;
/// Part of what tells a query's own key from the oldest ones that also tells the youngest from them, from which on age is a
/// shortcut. It is 0 if only the image counts, and 6/7 (three quarters of the queue's age over seven eighths) if similarity
/// falls evenly with age and nothing else counts. Seen: 0.6 to 0.9 in the first epochs of runs that drift, within 0.05 of 0 in
/// those that do not.
const AGE: f64 = 0.4;
/// Standard errors from which on a difference counts.
const ERRORS: f64 = 3.0;
/// Fraction of the deviation of evenly spread unit vectors below which embeddings count as collapsed.
const COLLAPSED: f64 = 0.1;
/// Top-1 accuracy from which on the task is solved. (The minimum of the loss depends on temperature and queue.)
const SOLVED: f64 = 0.99;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// A report with these of its measures, its embeddings spread.
    fn report(
        loss: f64,
        chance: f64,
        top5: f64,
        (positive, negative): (f64, f64),
        gap_error: Option<f64>,
    ) -> EpochReport {
        EpochReport {
            epoch: 0,
            step: 68,
            loss,
            chance,
            top1: 0.0,
            top5,
            positive,
            negative,
            gap_error,
            young: None,
            old: None,
            alignment: 2.0 - 2.0 * positive,
            uniformity: -0.8,
            feature_std: 0.04,
            effective_rank: 75.0,
            coordinates: Vec::new(),
            queue_written: 1024,
            queue_age: 16.0,
            lr: 1e-3,
            gradient_norm: 2.0,
            similarities: None,
            probe: None,
            diagnoses: Vec::new(),
        }
    }

    fn steps(steps: u64) -> EpochSums {
        EpochSums { steps, ..EpochSums::default() }
    }

    fn diagnoses(report: &EpochReport) -> Vec<Diagnosis> {
        report.diagnose(128, &steps(68), true)
    }

    /// Epochs of version 0.1.0 as it printed them (docs/results/quickstart.md, seeds 0 to 4, and first-run.md), with the word
    /// that it had for all of them. Those of the quickstart had found keys four times as often as by chance.
    #[test]
    fn recorded_first_epochs_that_found_keys_are_not_stuck() {
        let quickstart = [
            (6.3611, 6.4959, 0.034, (0.293, 0.260)),
            (6.3770, 6.5085, 0.037, (0.336, 0.305)),
            (6.3557, 6.4959, 0.030, (0.320, 0.287)),
            (6.3732, 6.5023, 0.034, (0.338, 0.307)),
            (6.3697, 6.5023, 0.032, (0.313, 0.281)),
        ];
        for (loss, chance, top5, similarity) in quickstart {
            assert!(loss > STUCK * chance, "which the loss alone would call stuck");
            assert_eq!(diagnoses(&report(loss, chance, top5, similarity, None)), []);
        }
        // The first epoch of first-run.md had not, not twice as often; its second had.
        let first_run = |loss, chance, top5, similarity| diagnoses(&report(loss, chance, top5, similarity, None));
        assert_eq!(first_run(5.6462, 5.6729, 0.031, (0.633, 0.622)), [Diagnosis::StuckAtChance]);
        assert_eq!(first_run(6.1646, 6.2403, 0.022, (0.281, 0.256)), []);
    }

    #[test]
    fn a_gap_beyond_its_error_is_not_stuck() {
        let with = |error| diagnoses(&report(5.6462, 5.6729, 0.031, (0.633, 0.622), Some(error)));
        assert_eq!(with(0.005), [Diagnosis::StuckAtChance], "2.2 standard errors");
        assert_eq!(with(0.002), [], "5.5 of them");
    }

    /// Adds a step to an epoch.
    fn add(sums: &mut EpochSums, (loss, lr, young, old): (f64, f64, f64, f64)) {
        let measures = crate::Measures {
            loss,
            positive: 0.6,
            young: Some(young),
            old: Some(old),
            gradient_norm: Some(1.0),
            ..crate::Measures::default()
        };
        sums.add(&crate::StepMetrics {
            step: 0,
            epoch: 0,
            batch: 0,
            lr,
            measures,
            momentum: 0.99,
            chance: 7.0,
            data_s: 0.0,
            step_s: 0.0,
            times: crate::StepTimes::default(),
        });
    }

    /// Sums of an epoch of 20 steps around a loss, with a scatter of 0.1.
    fn epoch(before: &EpochSums, loss: f64, lr: f64, (young, old): (f64, f64)) -> EpochSums {
        let mut sums = before.next();
        (0..20).for_each(|step| add(&mut sums, (loss + if step % 2 == 0 { 0.1 } else { -0.1 }, lr, young, old)));
        sums
    }

    fn judged(sums: &EpochSums) -> Vec<Diagnosis> {
        let n = sums.steps as f64;
        let mut report = report(sums.loss / n, 7.0, 0.2, (0.6, 0.1), Some(0.001));
        (report.young, report.old, report.lr) = (Some(sums.young / n), Some(sums.old / n), sums.lr);
        report.diagnose(128, sums, true)
    }

    #[test]
    fn a_loss_that_rises_as_the_rate_falls_is_a_shortcut_that_goes() {
        let even = (0.1, 0.1);
        let first = epoch(&EpochSums::default(), 6.0, 1e-3, even);
        let second = epoch(&first, 5.5, 9e-4, even);
        assert_eq!((judged(&first), judged(&second)), (vec![], vec![]));
        assert_eq!(judged(&epoch(&second, 5.7, 6e-4, even)), [], "the rate is still high");
        assert_eq!(judged(&epoch(&second, 5.53, 3e-4, even)), [], "within the scatter");
        assert_eq!(judged(&epoch(&second, 5.4, 3e-4, even)), [], "it falls");
        let third = epoch(&second, 5.7, 3e-4, even);
        assert_eq!(judged(&third), [Diagnosis::AgeShortcut]);
        // The lowest stays in memory, through a checkpoint as well.
        let saved = serde_json::to_string(&third).expect("numbers");
        let third: EpochSums = serde_json::from_str(&saved).expect("the same");
        assert_eq!(judged(&epoch(&third, 5.75, 1e-4, even)), [Diagnosis::AgeShortcut]);
    }

    #[test]
    fn young_negatives_that_are_more_alike_than_old_ones_are_a_shortcut() {
        let with = |young, old| judged(&epoch(&EpochSums::default(), 6.0, 1e-3, (young, old)));
        // Its own key is at 0.6.
        assert_eq!(with(0.2, 0.1), [], "a fifth of the way");
        assert_eq!(with(0.4, 0.1), [Diagnosis::AgeShortcut], "three fifths");
        assert_eq!(with(0.1, 0.4), []);
    }
}
