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
    /// Softmax temperature, the paper's τ, above 0.
    pub temperature: f64,
    /// Head of MoCo v2 (d-d-128 with ReLU) instead of v1's single layer.
    pub mlp: bool,
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
}

impl MocoConfig {
    /// MoCo v2 with MoCo-CXR's values: 128 dimensions, K 24,576, m 0.999, T 0.2, MLP head, one group
    /// (`moco_pretraining/scripts/training_scripts/r8w1n416.sh` and defaults of `main_moco.py`).
    pub fn new() -> Self {
        Self {
            dim: 128,
            queue_size: 24_576,
            momentum: 0.999,
            temperature: 0.2,
            mlp: true,
            queue_init: QueueInit::Random,
            groups: 1,
            shuffle_keys: true,
            mask_same_patient: false,
        }
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
        check(
            self.temperature > 0.0 && self.temperature.is_finite(),
            "moco.temperature",
            self.temperature,
            "a number above 0 (0.2 in MoCo v2)",
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
        assert!(fault(|c| c.groups = 3, 16).contains("moco.groups is 3 with batches of 16"));
        assert!(fault(|c| c.groups = 0, 16).contains("moco.groups is 0"));
        assert!(fault(|_| (), 1).contains("batch_size is 1"));
        assert!(fault(|c| c.groups = 16, 16).contains("batch_size is 16 with 16 groups"));
        assert!(fault(|_| (), 0).contains("batch_size is 0"));
    }
}
