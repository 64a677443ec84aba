//! The settings of the method and their validation.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The content of the queue before the first keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum QueueInit {
    /// Unit rows drawn from a normal distribution, as in the reference (`moco/builder.py`): the first steps contrast
    /// against noise.
    Random,
    /// Nothing: a slot counts only once a key was written to it, and there is no optimizer step before the first
    /// enqueue.
    Masked,
}

/// Momentum contrast (He et al., arXiv:1911.05722; v2: arXiv:2003.04297). Begin with [`Self::new`] and set the fields that
/// differ.
///
/// Checkpoints of earlier versions stay readable: a setting that is added has a serde default that means what this crate
/// did before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MocoConfig {
    /// Length of an embedding, the paper's C; 128.
    pub dim: usize,
    /// Negatives kept, the paper's K.
    pub queue_size: usize,
    /// Momentum of the key encoder, the paper's m, in `[0, 1]`.
    pub momentum: f64,
    /// Momentum at the end of the run, approached along half a cosine as in BYOL (arXiv:2006.07733) and MoCo v3
    /// (arXiv:2104.02057, whose end is 1); `None` keeps `momentum` throughout.
    #[serde(default)]
    pub momentum_end: Option<f64>,
    /// Softmax temperature, the paper's τ, above 0.
    pub temperature: f64,
    /// Head of MoCo v2 (d-d-128 with ReLU) instead of v1's single layer.
    pub mlp: bool,
    /// Batch norm behind both layers of the head, the last without scale and offset, as in MoCo v3 (arXiv:2104.02057;
    /// its head begins as SimCLR's). A drift that all embeddings share, by which keys would tell their age, is
    /// subtracted with the mean of the batch, and no coordinate can die. It needs `mlp`.
    #[serde(default)]
    pub head_norm: bool,
    /// Initial content of the queue.
    pub queue_init: QueueInit,
    /// Number of equal parts of a batch with separate batch-norm statistics, in both encoders, as on that many devices.
    /// `1` is the reference on one GPU (as MoCo-CXR was trained): query and key of an image are then normalised with
    /// the same images, which leaks a little of the answer.
    pub groups: usize,
    /// Permutes the keys before they are encoded and restores their order afterwards (ShuffleBN, section 3.3): with
    /// `groups > 1` a key is normalised with other images than its query. With `groups = 1` it has no effect.
    pub shuffle_keys: bool,
    /// Excludes negatives of the query's own patient. Not part of the published method.
    pub mask_same_patient: bool,
    /// The keys of a batch are negatives of each other, beside those of the queue (as in SimCLR, arXiv:2002.05709, and
    /// MoCo v3). They are as old as the positive, so that age alone does not tell it apart. A micro-batch of
    /// `accumulate` is a batch of its own.
    #[serde(default)]
    pub batch_negatives: bool,
    /// Each view is query once and key once, and the two losses are averaged (as in MoCo v3 and SimSiam,
    /// arXiv:2011.10566). A step costs twice as much and learns from twice as many pairs; the keys of both views go
    /// into the queue.
    #[serde(default)]
    pub symmetric: bool,
}

impl MocoConfig {
    /// MoCo v2 with MoCo-CXR's values: 128 dimensions, K 24,576, m 0.999, T 0.2, MLP head, one group
    /// (`moco_pretraining/scripts/training_scripts/r8w1n416.sh` and defaults of `main_moco.py`).
    pub fn new() -> Self {
        Self {
            dim: 128,
            queue_size: 24_576,
            momentum: 0.999,
            momentum_end: None,
            temperature: 0.2,
            mlp: true,
            head_norm: false,
            queue_init: QueueInit::Random,
            groups: 1,
            shuffle_keys: true,
            mask_same_patient: false,
            batch_negatives: false,
            symmetric: false,
        }
    }

    /// Momentum of a step when a share `done` of the run's steps, from 0 to 1, is done.
    pub fn momentum_at(&self, done: f64) -> f64 {
        let Some(end) = self.momentum_end else { return self.momentum };
        end - (end - self.momentum) * 0.5 * (1.0 + (std::f64::consts::PI * done.clamp(0.0, 1.0)).cos())
    }

    /// A length of the queue for a set of so many images: the largest power of two that keeps the negatives
    ///
    /// - *others*: at most a quarter of the images, so that hardly a query (one in 32) meets an older key of its own image;
    /// - *young*: at most as many as are written in a fifth of the key encoder's time constant `1 / (1 - m)`, within which
    ///   it hardly changes, so that a key does not tell its age. One batch is never too old.
    pub fn queue_for(&self, images: usize, batch_size: usize) -> usize {
        let written = batch_size * if self.symmetric { 2 } else { 1 };
        let young = written as f64 * (0.2 / (1.0 - self.momentum).max(f64::MIN_POSITIVE) + 1e-9).max(1.0);
        let most = (images / 4).min(young as usize).max(1); // the cast saturates
        1 << most.ilog2()
    }

    /// Checks every setting, and that batches of `batch_size` images can be normalised.
    ///
    /// # Errors
    /// [`Error::Config`] for the first setting that is out of range.
    pub fn validate(&self, batch_size: usize) -> Result<()> {
        check((1..=1 << 16).contains(&self.dim), "moco.dim", self.dim, "a number from 1 to 65536")?;
        // Keys are found by 32-bit positions; 256 times the queue of MoCo's ImageNet.
        check(
            (1..=1 << 24).contains(&self.queue_size),
            "moco.queue_size",
            self.queue_size,
            "a number from 1 to 16777216",
        )?;
        check((1..=1 << 16).contains(&self.groups), "moco.groups", self.groups, "a number from 1 to 65536")?;
        check(
            (0.0..=1.0).contains(&self.momentum),
            "moco.momentum",
            self.momentum,
            "a number in [0, 1] (0.999 in the paper)",
        )?;
        if let Some(end) = self.momentum_end {
            check(
                (0.0..=1.0).contains(&end),
                "moco.momentum_end",
                end,
                "a number in [0, 1] (1 in MoCo v3), or nothing",
            )?;
        }
        check(
            self.mlp || !self.head_norm,
            "moco.head_norm",
            "true with moco.mlp = false",
            "the two-layer head, moco.mlp = true: batch norm is between and behind its layers",
        )?;
        check(
            (1e-4..=1e4).contains(&self.temperature),
            "moco.temperature",
            self.temperature,
            "a number above 0, from 0.0001 to 10000 (0.2 in MoCo v2), because similarities are divided by it: below, one \
             image outweighs all others, and numbers overflow",
        )?;
        check(
            batch_size.is_multiple_of(self.groups),
            "moco.groups",
            format!("{} with batches of {batch_size}", self.groups),
            "a divisor of the batch size",
        )?;
        check(
            batch_size / self.groups >= 2,
            "batch_size",
            format!("{batch_size} with {} groups", self.groups),
            "at least 2 images per group: statistics of a single image say nothing about others",
        )
    }
}

impl Default for MocoConfig {
    fn default() -> Self {
        Self::new()
    }
}

pub(crate) fn check(ok: bool, key: &'static str, found: impl ToString, expected: &'static str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::Config { key: key.to_owned(), found: found.to_string(), expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(&mut MocoConfig), batch: usize) -> String {
        let mut config = MocoConfig::new();
        change(&mut config);
        config.validate(batch).expect_err("must be refused").to_string()
    }

    #[test]
    fn bad_settings_are_refused_by_name() {
        assert!(MocoConfig::new().validate(16).is_ok());
        assert!(fault(|c| c.queue_size = 0, 16).contains("moco.queue_size is 0"));
        // As a user may type it: memory was asked for before anything was checked.
        assert!(fault(|c| c.queue_size = 4_294_967_296, 16).contains("moco.queue_size is 4294967296"));
        assert!(fault(|c| c.queue_size = usize::MAX, 16).contains("moco.queue_size"));
        assert!(fault(|c| c.dim = 4_294_967_296, 16).contains("moco.dim is 4294967296"));
        assert!(fault(|c| c.temperature = 0.0, 16).contains("moco.temperature is 0"));
        assert!(fault(|c| c.temperature = f64::NAN, 16).contains("moco.temperature is NaN"));
        assert!(fault(|c| c.momentum = 1.1, 16).contains("moco.momentum is 1.1"));
        assert!(fault(|c| c.momentum = -0.1, 16).contains("moco.momentum is -0.1"));
        assert!(fault(|c| c.momentum = f64::NAN, 16).contains("moco.momentum is NaN"));
        assert!(fault(|c| c.momentum_end = Some(1.5), 16).contains("moco.momentum_end is 1.5"));
        assert!(
            fault(|c| (c.mlp, c.head_norm) = (false, true), 16)
                .contains("moco.head_norm is true with moco.mlp = false")
        );
        assert!(fault(|c| c.groups = 3, 16).contains("moco.groups is 3 with batches of 16"));
        assert!(fault(|c| c.groups = 0, 16).contains("moco.groups is 0"));
        assert!(fault(|_| (), 1).contains("batch_size is 1"));
        assert!(fault(|c| c.groups = 16, 16).contains("batch_size is 16 with 16 groups"));
        assert!(fault(|_| (), 0).contains("batch_size is 0"));
    }

    #[test]
    fn momentum_follows_byols_formula() {
        let mut config = MocoConfig::new();
        assert_eq!([0.0, 0.5, 1.0].map(|done| config.momentum_at(done)), [0.999; 3]);
        (config.momentum, config.momentum_end) = (0.99, Some(1.0));
        // 1 - (1 - 0.99) (cos(pi k / K) + 1) / 2, arXiv:2006.07733, section 3.2.
        let quarter = 1.0 - 0.01 * (0.5_f64.sqrt() + 1.0) / 2.0;
        for (done, expected) in [(0.0, 0.99), (0.25, quarter), (0.5, 0.995), (1.0, 1.0), (2.0, 1.0)] {
            assert!((config.momentum_at(done) - expected).abs() < 1e-12, "after {done}");
        }
    }

    #[test]
    fn the_length_of_the_queue_follows_the_set_and_the_age_of_its_keys() {
        let mut config = MocoConfig::new();
        config.momentum = 0.99;
        // A fifth of 100 steps of 64 are 1,280 keys.
        let found = [200, 1_000, 3_000, 5_000, 223_414].map(|images| config.queue_for(images, 64));
        assert_eq!(found, [32, 128, 512, 1024, 1024]);
        assert_eq!(config.queue_for(5_000, 32), 512, "of 32");
        config.symmetric = true;
        assert_eq!(config.queue_for(5_000, 32), 1024, "both views are written");
        config.momentum = 1.0;
        assert_eq!(config.queue_for(223_414, 64), 32_768, "keys that never change have no age");
        config.momentum = 0.0;
        assert_eq!((config.queue_for(5_000, 32), config.queue_for(0, 32)), (64, 1));
    }
}
