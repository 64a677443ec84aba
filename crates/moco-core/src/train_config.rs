//! All settings of a pretraining run that affect its results.

use backbones::Backbone;
use serde::{Deserialize, Serialize};

use crate::{
    Error, MocoConfig, OptimizerConfig, Result, Schedule, Trainer,
    config::{at_least_one, check},
};

/// The settings of a pretraining run, except for its data and its network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

impl TrainConfig {
    /// Checks all settings.
    ///
    /// # Errors
    /// [`Error::Config`] for the first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        at_least_one("batch_size", self.batch_size)?;
        at_least_one("accumulate", self.accumulate)?;
        check(self.epochs > 0, "epochs", self.epochs, "at least 1")?;
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
