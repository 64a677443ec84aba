//! The state of a run on the host.

use std::{collections::BTreeMap, path::Path};

use backbones::{Backbone, StateDict, load_state_dict, state_dict};
use serde::{Deserialize, Serialize};

use super::{
    differences,
    files::{from_safetensors, to_safetensors},
};
use crate::{Best, Encoder, EpochSums, Error, Position, Result, TrainConfig, Trainer, encoder::file_name};

/// All that a run needs to go on, on the host. Made by [`Trainer::state`] or [`Self::read`].
#[derive(Debug, Clone)]
pub struct RunState {
    /// Position of the run.
    pub position: Position,
    /// Its configuration.
    pub config: TrainConfig,
    /// Best result of the online probe so far.
    pub best: Option<Best>,
    pub(crate) sums: EpochSums,
    /// `encoder_q.*` and `encoder_k.*`, named as in MoCo's checkpoints.
    pub weights: StateDict,
    optimizer: StateDict,
    queue: StateDict,
}

/// `position.json`. What is added from now on, here or in any part, has a serde default that means what this crate did
/// before: checkpoints of earlier versions stay readable.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    pub(super) position: Position,
    best: Option<Best>,
    /// Sums over the epoch so far, so that its report does not depend on interruptions.
    sums: EpochSums,
    config: TrainConfig,
}

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const QUEUE: &str = "queue.safetensors";
const POSITION: &str = "position.json";

impl RunState {
    /// The queue, as [`Queue::to_record`](crate::Queue::to_record) gives it.
    pub fn queue(&self) -> &StateDict {
        &self.queue
    }

    /// Names of its files, in the order of [`Self::to_files`].
    pub(crate) const FILES: [&str; 4] = [OPTIMIZER, POSITION, QUEUE, WEIGHTS];

    pub(crate) fn to_files(&self) -> Result<BTreeMap<&'static str, Vec<u8>>> {
        let Self { position, best, sums, config, .. } = self.clone();
        let parts = serde_json::to_vec_pretty(&Parts { position, best, sums, config });
        let parts =
            parts.map_err(|e| Error::Batch { found: e.to_string(), expected: "settings JSON can hold".into() })?;
        Ok(BTreeMap::from([
            (WEIGHTS, to_safetensors(&self.weights)?),
            (OPTIMIZER, to_safetensors(&self.optimizer)?),
            (QUEUE, to_safetensors(&self.queue)?),
            (POSITION, parts),
        ]))
    }

    pub(crate) fn from_files(files: &BTreeMap<String, Vec<u8>>, dir: &Path) -> Result<Self> {
        let bad = |reason: String| Error::Checkpoint { path: dir.to_owned(), reason };
        let bytes = |name: &str| files.get(name).ok_or_else(|| bad(format!("{name} is not listed as part of it")));
        let tensors = |name: &str| from_safetensors(bytes(name)?, name, dir);
        let parts: Parts =
            serde_json::from_slice(bytes(POSITION)?).map_err(|e| bad(format!("{POSITION} is not readable: {e}")))?;
        let Parts { position, best, sums, config } = parts;
        let (weights, optimizer, queue) = (tensors(WEIGHTS)?, tensors(OPTIMIZER)?, tensors(QUEUE)?);
        Ok(Self { position, config, best, sums, weights, optimizer, queue })
    }
}

impl<B: Backbone> Trainer<B> {
    /// Reads the complete state to the host.
    ///
    /// # Errors
    /// When the device fails.
    pub fn state(&self) -> Result<RunState> {
        let mut weights = StateDict::new();
        for (side, encoder) in [("encoder_q", &self.moco.encoder_q), ("encoder_k", &self.moco.encoder_k)] {
            for (name, data) in state_dict(encoder)? {
                weights.insert(format!("{side}.{}", file_name(&name)), data);
            }
        }
        Ok(RunState {
            position: self.position,
            config: self.config.clone(),
            best: self.best,
            sums: self.sums.clone(),
            weights,
            optimizer: self.optimizer.to_record(query_name)?,
            queue: self.moco.queue.to_record()?,
        })
    }

    /// Restores the state of a checkpoint. The number of epochs may differ (which changes the length of a cosine
    /// decay), and with [`Self::regroup`] the number of groups; any other difference in configuration is refused.
    ///
    /// # Errors
    /// [`Error::ResumeDiffers`] lists the differing settings; other errors name the tensor that does not fit. The
    /// trainer is then unchanged.
    pub fn resume(&mut self, state: &RunState) -> Result<()> {
        let found =
            differences(&state.config, &self.config, |key| key == "epochs" || self.regroup && key == "moco.groups");
        if !found.is_empty() {
            return Err(Error::ResumeDiffers { differences: found });
        }
        let encoder_q = load(&self.moco.encoder_q, "encoder_q", &state.weights)?;
        let encoder_k = load(&self.moco.encoder_k, "encoder_k", &state.weights)?;
        let mut optimizer = self.config.optimizer.init();
        optimizer.load_record(&encoder_q, &state.optimizer, &self.moco.device(), query_name)?;
        self.moco.queue.load_record(&state.queue)?; // checks before it changes anything; the last that can fail
        self.moco.encoder_q = encoder_q;
        self.moco.encoder_k = encoder_k;
        self.optimizer = optimizer;
        (self.position, self.best, self.sums) = (state.position, state.best, state.sums.clone());
        Ok(())
    }
}

impl<B: Backbone> Trainer<B> {
    /// The query encoder's backbone as it was at the best result of the online probe, from its checkpoint; the present one
    /// where nothing was probed.
    ///
    /// # Errors
    /// A checkpoint that is gone or damaged.
    pub fn best_backbone(&self) -> Result<B> {
        let (Some(best), Some(checkpoints)) = (self.best, &self.checkpoints) else {
            return Ok(self.moco.encoder_q.backbone.clone());
        };
        let state = RunState::read(&checkpoints.path(best.step))?;
        Ok(load(&self.moco.encoder_q, "encoder_q", &state.weights)?.backbone)
    }
}

pub(super) fn query_name(name: &str) -> String {
    format!("encoder_q.{}", file_name(name))
}

pub(super) fn load<B: Backbone>(encoder: &Encoder<B>, side: &str, weights: &StateDict) -> Result<Encoder<B>> {
    let mut dict = StateDict::new();
    let own = format!("{side}.");
    for (name, data) in weights {
        if let Some(name) = name.strip_prefix(&own) {
            let name = if name.starts_with("fc.") { name.to_owned() } else { format!("backbone.{name}") };
            dict.insert(name, data.clone());
        }
    }
    Ok(load_state_dict(encoder.clone(), &dict)?)
}
