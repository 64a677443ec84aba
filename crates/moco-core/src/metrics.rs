//! Measurements of a step.

use std::time::Instant;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Alone, Collective, Error, Result, sum};

/// Measurements of one optimizer step, averaged over its micro-batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// InfoNCE, in nats; 0 while a masked queue is still empty.
    pub loss: f64,
    /// Fraction of queries whose positive beats all negatives.
    pub top1: f64,
    /// Fraction of queries whose positive is among the best five.
    pub top5: f64,
    /// Mean cosine similarity of query and key of the same image.
    pub positive: f64,
    /// Mean cosine similarity of queries and the queue.
    pub negative: f64,
    /// The same for the newest quarter of the keys in the queue; `None` while all keys have one age.
    #[serde(default)]
    pub young: Option<f64>,
    /// And for the oldest quarter.
    #[serde(default)]
    pub old: Option<f64>,
    /// Norm of the gradient over all tensors, before clipping; `None` if there was no optimizer step.
    pub gradient_norm: Option<f64>,
}

/// Measurements of a step, still on the device.
#[derive(Debug)]
pub(crate) struct Pending {
    /// `[5]` per micro-batch, see [`crate::loss::InfoNce`], or `[7]` with the similarities of young and old keys.
    pub(crate) measures: Vec<Tensor<1>>,
    pub(crate) norm: Option<Tensor<1>>,
    pub(crate) step: u64,
}

impl Pending {
    /// Waits for the device and reads everything in one transfer.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a loss or gradient that is not finite; [`Error::Device`] when the device fails.
    pub(crate) fn read(self) -> Result<Measures> {
        self.read_among(&Alone)
    }

    /// As [`Self::read`], averaged over all ranks, each of which has an equal part of the batch. The gradient is that of all.
    ///
    /// # Errors
    /// As [`Self::read`], the same on every rank, and [`Error::Ranks`].
    pub(crate) fn read_among(self, ranks: &dyn Collective) -> Result<Measures> {
        let Self { measures, norm, step } = self;
        let parts = measures.len();
        let Some(norm) = norm.filter(|_| parts > 0) else { return Ok(Measures::default()) };
        let width = measures[0].dims()[0]; // the same for all: the queue does not change within a step
        let all = Tensor::cat(measures.into_iter().chain([norm]).collect(), 0); // [width·parts + 1]
        let values = all.try_into_data().map_err(|e| e.to_string());
        let mut values: Vec<f64> = values
            .and_then(|data| data.convert::<f64>().try_to_vec().map_err(|e| e.to_string()))
            .map_err(|reason| Error::Device { what: "reading the loss", reason })?;
        let size = ranks.size() as f64;
        sum(ranks, &mut values[..width * parts], "measurements")?;
        values[..width * parts].iter_mut().for_each(|value| *value /= size);
        let mean = |i: usize| (0..parts).map(|part| values[width * part + i]).sum::<f64>() / parts as f64;
        let (loss, norm) = (mean(0), values[width * parts]);
        for (what, value) in [("loss", loss), ("gradient norm", norm)] {
            if !value.is_finite() {
                return Err(Error::NonFinite { step, what, value });
            }
        }
        let age = |i: usize| (width > i).then(|| mean(i));
        Ok(Measures {
            loss,
            top1: mean(1),
            top5: mean(2),
            positive: mean(3),
            negative: mean(4),
            young: age(5),
            old: age(6),
            gradient_norm: Some(norm),
        })
    }
}

/// Seconds of each part of a step, by the host's clock.
///
/// On the CPU an operation is done when its call returns, so each part is its own time. A GPU runs asynchronously:
/// `forward` and `backward` are then the times to queue the work, and `wait` is the time until it is done. Measuring
/// never makes the host wait where the step would not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StepTimes {
    /// Upload of the views.
    pub upload_s: f64,
    /// Both encoders and the loss.
    pub forward_s: f64,
    /// Backward pass.
    pub backward_s: f64,
    /// Reading loss and gradient norm, the one place where the host waits for the device; of several ranks also reading what they
    /// exchange.
    pub wait_s: f64,
    /// Update of the key encoder, optimiser, queue; may still be running on a GPU.
    pub update_s: f64,
    /// Waiting for other ranks, until the last of them has come; none without other ranks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_s: f64,
    /// Exchanging with other ranks, once all are there; in logs of earlier versions with the waiting.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exchange_s: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// A clock of the seconds since its last lap.
#[derive(Debug)]
pub(crate) struct Laps(Instant);

impl Laps {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn lap(&mut self) -> f64 {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.0, now)).as_secs_f64()
    }
}

/// One line of a run's log: the measurements of a step, its position and its times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Optimizer steps done, including this one.
    pub step: u64,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Batches of the epoch done, including this step's.
    pub batch: usize,
    /// Learning rate.
    pub lr: f64,
    /// The measurements.
    #[serde(flatten)]
    pub measures: Measures,
    /// Momentum of the key encoder; 0 in logs of earlier versions.
    #[serde(default)]
    pub momentum: f64,
    /// Loss of guessing, `ln(1 + negatives)`.
    pub chance: f64,
    /// Seconds spent waiting for data.
    pub data_s: f64,
    /// Seconds of the step itself, including reading its loss; the update may still be running on a GPU.
    pub step_s: f64,
    /// Their parts.
    #[serde(default)]
    pub times: StepTimes,
}
