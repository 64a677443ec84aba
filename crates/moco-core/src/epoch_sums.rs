//! Sums over the steps of an epoch, from which the run doctor's report is made.

use serde::{Deserialize, Serialize};

use crate::StepMetrics;

/// Sums over the steps of an epoch so far; kept in checkpoints, so that a report does not depend on interruptions. A field
/// that is added has a serde default: checkpoints of earlier versions stay readable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpochSums {
    /// Steps that had negatives.
    pub(crate) steps: u64,
    pub(crate) loss: f64,
    pub(crate) chance: f64,
    pub(crate) top1: f64,
    pub(crate) top5: f64,
    pub(crate) positive: f64,
    pub(crate) negative: f64,
    pub(crate) gradient_norm: f64,
    pub(crate) lr: f64,
    /// Of the squares of the loss, and of the difference between similarities of positives and negatives.
    #[serde(default)]
    pub(crate) loss_squares: f64,
    #[serde(default)]
    pub(crate) gap_squares: f64,
    /// Steps at which the queue held keys of several ages, and sums over them.
    #[serde(default)]
    pub(crate) aged: u64,
    #[serde(default)]
    pub(crate) young: f64,
    #[serde(default)]
    pub(crate) old: f64,
    /// Of the squares of their difference.
    #[serde(default)]
    pub(crate) age_squares: f64,
    /// The earlier epoch with the lowest loss.
    #[serde(default)]
    pub(crate) lowest: Option<Lowest>,
}

/// The epoch with the lowest loss so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lowest {
    pub(crate) loss: f64,
    pub(crate) error: f64,
    pub(crate) chance: f64,
    pub(crate) lr: f64,
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

    pub(crate) fn loss_error(&self) -> Option<f64> {
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
pub(crate) fn error_of_mean(n: u64, sum: f64, squares: f64) -> Option<f64> {
    let n = n as f64;
    (n >= 2.0).then(|| ((squares - sum * sum / n).max(0.0) / (n - 1.0) / n).sqrt())
}

/// Whether two epochs had the same number of negatives.
pub(crate) fn same_task(chance: f64, other: f64) -> bool {
    (chance - other).abs() < 1e-6 * chance.abs()
}
