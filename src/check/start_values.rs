//! Start values: queue, momentum, epochs and batch size for a set of so many images on a machine of this speed.
//!
//! They are proposed, never taken by themselves: epochs follow from the speed, and a run must not differ from machine to
//! machine when its command does not. What the rules rest on is docs/results/recipe.md; where they leave it, they say so.

use serde::Serialize;

use crate::{
    check::{MemoryEstimate, StepEstimate},
    pretrain::PretrainSettings,
};

/// Images of a batch. 32 and 64 learned alike, on drawn and on real films; fewer leave fewer negatives of the same age.
const BATCH: usize = 32;
/// Fewest images of a batch whose statistics count as statistics, as for the forecasts of `moco_core`.
const SMALLEST_BATCH: usize = 8;
/// Fewest steps of an epoch: a measurement of one, and of its order, means little below.
const STEPS_PER_EPOCH: usize = 8;
/// Images seen in the shortest runs that gained on real films: 2,000 films, 20 epochs, 1,240 steps of 32.
const SEEN: usize = 40_000;
/// Epochs of MoCo-CXR's published script, on 223,414 images.
const PUBLISHED_EPOCHS: u64 = 20;
/// Seconds of a night.
const NIGHT: f64 = 8.0 * 3600.0;
/// Momentum of the runs that were tried, and the published one, whose average is over a tenth of so many steps.
const MOMENTUM: (f64, f64, u64) = (0.99, 0.999, 10_000);

/// A value proposed for a setting, beside the one that is set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// The flag of `pretrain`, such as `--epochs`.
    pub flag: &'static str,
    /// The value that is proposed.
    pub value: String,
    /// The value that is set.
    pub set: String,
    /// Why, in one line.
    pub reason: String,
}

impl Proposal {
    /// Whether the value that is set is another one.
    pub fn differs(&self) -> bool {
        self.value != self.set
    }
}

/// Values to begin with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StartValues {
    /// Batch size, epochs, momentum and length of the queue, in this order.
    pub proposals: Vec<Proposal>,
    /// Estimated seconds of a run with them, without reading images.
    pub seconds: f64,
}

impl StartValues {
    /// Values for a set of so many images, from the measured time of a step and the bytes of memory that there are.
    ///
    /// `None` where the rules have nothing to say: for fewer images than two small batches, and for another method than that
    /// of preset `small` (negatives of the batch, batch norm in the head), because a published recipe is run as published.
    pub fn propose(
        settings: &PretrainSettings,
        images: usize,
        step: &StepEstimate,
        memory: Option<u64>,
    ) -> Option<Self> {
        let moco = &settings.train.moco;
        if images < 2 * SMALLEST_BATCH || !moco.batch_negatives || !moco.head_norm {
            return None;
        }
        let rate = step.images as f64 / step.seconds.max(1e-9); // images/s
        let mut proposed = settings.clone();
        let batch_reason = batch(&mut proposed, images, memory);
        let epochs_reason = epochs(&mut proposed, images, rate);
        let momentum_reason = momentum(&mut proposed, images);
        proposed.train.moco.queue_size = proposed.train.moco.queue_for(images, proposed.train.batch_size);
        let set = settings.for_images(images);
        let (new, old) = (&proposed.train, &set.train);
        let row = |flag, value: String, set: String, reason| Proposal { flag, value, set, reason };
        let proposals = vec![
            row("--batch-size", new.batch_size.to_string(), old.batch_size.to_string(), batch_reason),
            row("--epochs", new.epochs.to_string(), old.epochs.to_string(), epochs_reason),
            row("--moco-m", new.moco.momentum.to_string(), old.moco.momentum.to_string(), momentum_reason),
            row("--moco-k", new.moco.queue_size.to_string(), old.moco.queue_size.to_string(), queue(&proposed, images)),
        ];
        Some(Self { proposals, seconds: new.epochs as f64 * images as f64 / rate })
    }

    /// The flags that take the values that differ, to be pasted; empty if all are set already. A queue that is left to the size
    /// of the set (0) stays so.
    pub fn flags(&self, settings: &PretrainSettings) -> String {
        let by_size = settings.train.moco.queue_size == 0;
        let taken = |p: &&Proposal| p.differs() && !(by_size && p.flag == "--moco-k");
        let flags: Vec<String> =
            self.proposals.iter().filter(taken).map(|p| format!("{} {}", p.flag, p.value)).collect();
        flags.join(" ")
    }
}

fn batch(settings: &mut PretrainSettings, images: usize, memory: Option<u64>) -> String {
    let largest = (images / STEPS_PER_EPOCH).max(SMALLEST_BATCH);
    let mut size = BATCH;
    while size > largest {
        size /= 2;
    }
    let mut reason = match size {
        BATCH => "32 and 64 learned alike in trials, and fewer leave fewer negatives of the same age".to_owned(),
        _ => format!("an epoch of {images} images has at least {STEPS_PER_EPOCH} steps"),
    };
    let needed = |settings: &mut PretrainSettings, size| {
        settings.train.batch_size = size;
        MemoryEstimate::of(&settings.for_images(images)).total()
    };
    let first = needed(settings, size);
    while size > SMALLEST_BATCH && memory.is_some_and(|there| needed(settings, size) > there) {
        size /= 2;
        reason = format!(
            "{:.1} GB of memory are available, and more images need up to {:.1} GB",
            memory.unwrap_or_default() as f64 / 1e9,
            first as f64 / 1e9
        );
    }
    settings.train.batch_size = size;
    reason
}

fn epochs(settings: &mut PretrainSettings, images: usize, rate: f64) -> String {
    let least = SEEN.div_ceil(images) as u64;
    let fitting = (NIGHT * rate / images as f64) as u64; // the cast saturates
    let (epochs, reason) = if least >= PUBLISHED_EPOCHS {
        (least, format!("{SEEN} images seen, as in the shortest runs that gained on real films"))
    } else if fitting >= PUBLISHED_EPOCHS {
        let reason = format!("as MoCo-CXR was published; {SEEN} images seen would be {least}");
        (PUBLISHED_EPOCHS, reason)
    } else if fitting > least {
        (fitting, format!("as many of MoCo-CXR's {PUBLISHED_EPOCHS} as fit in 8 hours at {rate:.0} images/s"))
    } else {
        (least, format!("{SEEN} images seen, the shortest length that gained on real films; 8 hours are not enough"))
    };
    settings.train.epochs = epochs;
    reason
}

/// To be called with batch size and epochs as proposed.
fn momentum(settings: &mut PretrainSettings, images: usize) -> String {
    let (tried, published, long) = MOMENTUM;
    let train = &mut settings.train;
    let steps = train.steps_per_epoch(images) * train.epochs;
    train.moco.momentum = tried;
    if steps >= long {
        train.moco.momentum = published;
        return format!("as published: an average over 1000 of {steps} steps; not tried with this recipe");
    }
    let short = train.forecast(images).into_iter().find(|found| found.setting == "moco.momentum");
    if let Some(value) = short.and_then(|found| found.value.parse().ok()) {
        train.moco.momentum = value;
        return format!("an average over a tenth of {steps} steps, so that the keys leave their random start");
    }
    format!("an average over 100 of {steps} steps, as in the runs that gained")
}

/// To be called with everything else as proposed.
fn queue(settings: &PretrainSettings, images: usize) -> String {
    let (moco, batch) = (&settings.train.moco, settings.train.batch_size);
    if moco.queue_for(usize::MAX, batch) > moco.queue_for(images, batch) {
        "at most a quarter of the images, so that hardly a query meets an older key of its own image".to_owned()
    } else {
        "at most what is written in a fifth of the average's length, so that keys do not tell their age".to_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn small() -> PretrainSettings {
        PretrainSettings::named("small", "data").unwrap()
    }

    fn step(rate: f64) -> StepEstimate {
        StepEstimate { images: 32, seconds: 32.0 / rate, step_s: 32.0 / rate }
    }

    fn values(images: usize, rate: f64) -> Vec<String> {
        let found = StartValues::propose(&small(), images, &step(rate), None).unwrap();
        found.proposals.into_iter().map(|proposal| proposal.value).collect()
    }

    #[test]
    fn values_are_those_of_the_runs_they_rest_on() {
        // docs/results/recipe.md: 2,000 films, 20 epochs of 32, m 0.99, K 256.
        assert_eq!(values(2_000, 100.0), ["32", "20", "0.99", "256"]);
        // The published length and momentum, where they fit: CheXpert at 200 images/s, 6.2 hours.
        assert_eq!(values(223_414, 200.0), ["32", "20", "0.999", "4096"]);
        assert_eq!(values(223_414, 100.0)[1], "12", "8 hours at 100 images/s are 2.88 million images");
        assert_eq!(values(223_414, 1.0)[1], "1", "never none");
        assert_eq!(values(100, 100.0)[..2], ["8", "400"]);
    }

    #[test]
    fn what_is_proposed_is_valid_and_forecast_to_learn() {
        for images in [16, 17, 63, 64, 100, 255, 256, 1_000, 5_000, 40_000, 223_414, 2_000_000] {
            for rate in [0.5, 30.0, 4_000.0] {
                let found = StartValues::propose(&small(), images, &step(rate), None).unwrap();
                let mut settings = small();
                for (key, proposal) in
                    ["batch_size", "epochs", "moco.momentum", "moco.queue_size"].iter().zip(&found.proposals)
                {
                    settings = settings.with_set(&format!("train.{key}={}", proposal.value)).unwrap();
                    assert!(!proposal.reason.contains('\n'));
                }
                settings.validate().unwrap();
                assert!(settings.train.batch_size * 2 <= images, "{images}: {found:?}");
                assert_eq!(settings.forecast(images), Vec::<String>::new(), "{images} images at {rate}/s: {found:?}");
            }
        }
    }

    #[test]
    fn flags_take_what_differs_and_leave_a_queue_by_size_alone() {
        let found = StartValues::propose(&small(), 2_000, &step(100.0), None).unwrap();
        assert_eq!(found.flags(&small()), "--epochs 20");
        let mut settings = small();
        settings.train.moco.queue_size = 1_024;
        let found = StartValues::propose(&settings, 2_000, &step(100.0), None).unwrap();
        assert_eq!(found.flags(&settings), "--epochs 20 --moco-k 256");
        settings.train.epochs = 20;
        settings.train.moco.queue_size = 256;
        let found = StartValues::propose(&settings, 2_000, &step(100.0), None).unwrap();
        assert_eq!(found.flags(&settings), "");
        assert!((found.seconds - 400.0).abs() < 1e-6, "40,000 images at 100/s: {}", found.seconds);
    }

    #[test]
    fn a_batch_fits_the_memory() {
        let of = |batch_size| {
            let mut settings = small();
            settings.train.batch_size = batch_size;
            MemoryEstimate::of(&settings.for_images(2_000)).total()
        };
        let found = StartValues::propose(&small(), 2_000, &step(100.0), Some(of(16) + 1)).unwrap();
        assert_eq!((found.proposals[0].value.as_str(), found.proposals[0].reason.contains("GB")), ("16", true));
    }

    #[test]
    fn published_recipes_and_tiny_sets_are_left_alone() {
        let published = PretrainSettings::named("moco-cxr", "data").unwrap();
        assert_eq!(StartValues::propose(&published, 2_000, &step(100.0), None), None);
        assert_eq!(StartValues::propose(&small(), 15, &step(100.0), None), None);
    }
}
