//! All settings of a pretraining run that affect its results.

use backbones::Backbone;
use serde::{Deserialize, Serialize};

use crate::{Decay, Error, MocoConfig, OptimizerConfig, Result, Rule, Schedule, Trainer, config::check};

/// A pretraining run, but for its data and its network. Begin with [`Default`] and set the fields that differ.
///
/// It is part of every checkpoint, and those of earlier versions stay readable: a setting that is added, here or in any
/// part, has a serde default, and the default means what this crate did before. `tests/resume.rs` resumes from one of
/// version 0.1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrainConfig {
    /// Seed of all random numbers of the method.
    pub seed: u64,
    /// Passes over the data.
    pub epochs: u64,
    /// Images of a batch.
    pub batch_size: usize,
    /// Batches whose gradients are averaged into one optimizer step; keys are enqueued after it. The last step of an
    /// epoch may have fewer.
    pub accumulate: usize,
    /// Largest norm of the gradient; `None` does not clip.
    pub clip_norm: Option<f64>,
    /// The method.
    pub moco: MocoConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// The learning rate.
    pub schedule: Schedule,
}

impl Default for TrainConfig {
    /// MoCo v2 as published for ImageNet (Chen et al., arXiv:2003.04297; README of `facebookresearch/moco` and defaults of
    /// its `main_moco.py`): 200 epochs of batches of 256, SGD with momentum 0.9 and weight decay 1e-4, rate 0.03 with a
    /// cosine, K 65,536, m 0.999, T 0.2, MLP head. Eight GPUs there, so eight groups with shuffled keys here.
    fn default() -> Self {
        Self {
            seed: 0,
            epochs: 200,
            batch_size: 256,
            accumulate: 1,
            clip_norm: None,
            moco: MocoConfig { queue_size: 65_536, groups: 8, ..MocoConfig::new() },
            optimizer: OptimizerConfig::new(Rule::SGD, 1e-4),
            schedule: Schedule::new(0.03, Decay::Cosine),
        }
    }
}

impl TrainConfig {
    /// Checks all settings.
    ///
    /// # Errors
    /// [`Error::Config`] for the first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        check((1..=1 << 16).contains(&self.batch_size), "batch_size", self.batch_size, "a number from 1 to 65536")?;
        check((1..=1 << 16).contains(&self.accumulate), "accumulate", self.accumulate, "a number from 1 to 65536")?;
        // So that numbers of steps stay in range for any set.
        check((1..=10_000_000).contains(&self.epochs), "epochs", self.epochs, "a number from 1 to 10000000")?;
        if let Some(max) = self.clip_norm {
            check(max > 0.0 && max.is_finite(), "clip_norm", max, "above 0, or nothing")?;
        }
        self.moco.validate(self.batch_size)?;
        self.optimizer.validate().map_err(|e| match e {
            backbones::Error::OptimizerSetting { key, found, expected } => {
                Error::Config { key: format!("optimizer.{key}"), found, expected }
            }
            other => other.into(),
        })?;
        self.schedule.validate()
    }

    /// Starts a run: a trainer at step 0.
    ///
    /// # Errors
    /// As [`Self::validate`] and [`MocoConfig::init`].
    pub fn init<B: Backbone>(&self, backbone: B) -> Result<Trainer<B>> {
        self.validate()?;
        Ok(Trainer::new(self.clone(), self.moco.init(backbone, self.seed)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert!(TrainConfig::default().validate().is_ok());
    }
}
