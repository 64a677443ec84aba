//! Errors of pretraining.

use std::path::PathBuf;

/// An error of the caller's code, such as a data source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// All errors of this crate. Messages say where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range.
    #[error("configuration: {key} is {found}, expected {expected}")]
    Config {
        /// Path of the setting, as in the configuration file.
        key: String,
        /// Its value.
        found: String,
        /// The values allowed.
        expected: &'static str,
    },
    /// The backbone cannot be pretrained.
    #[error("backbone: {0}")]
    Backbone(String),
    /// A batch does not fit the model or the configuration.
    #[error("batch: found {found}, expected {expected}")]
    Batch {
        /// The batch given.
        found: String,
        /// The batch expected.
        expected: String,
    },
    /// The loss or the gradient is NaN or infinite; the weights are those of the step before.
    #[error(
        "step {step}: the {what} is not finite ({value}); training stopped before the update. Lower the learning rate, \
         add warm-up or gradient clipping, raise the temperature (moco.temperature, --moco-t) if it is far below 0.1, or look for \
         broken images in this batch; the last checkpoint is kept"
    )]
    NonFinite {
        /// Optimizer step, from 0.
        step: u64,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// The data source failed.
    #[error("data, epoch {epoch}, batch {batch}: {source}")]
    Source {
        /// Epoch, from 0.
        epoch: u64,
        /// Batch of the epoch, from 0.
        batch: usize,
        /// Its error.
        source: BoxError,
    },
    /// The data source returned fewer batches than it announced.
    #[error("data, epoch {epoch}: the source ended after {found} batches, it announced {expected}")]
    SourceEnded {
        /// Epoch, from 0.
        epoch: u64,
        /// Batches returned.
        found: usize,
        /// Batches announced.
        expected: usize,
    },
    /// The device failed while work was done on it.
    #[error("{what}: the device failed: {reason}")]
    Device {
        /// The work in progress.
        what: &'static str,
        /// The device's message.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A checkpoint is incomplete or damaged, or belongs to another run.
    #[error("checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// Its directory.
        path: PathBuf,
        /// The fault found.
        reason: String,
    },
    /// A PyTorch checkpoint of MoCo that this run cannot start from.
    #[error("checkpoint of MoCo: found {found}, expected {expected}")]
    Reference {
        /// The file and its content.
        found: String,
        /// The content this run needs.
        expected: String,
    },
    /// The configuration differs from that of the run to resume.
    #[error("resume: the configuration differs from the checkpoint's in {}", .differences.join("; "))]
    ResumeDiffers {
        /// `key: was OLD, is NEW`, one per setting.
        differences: Vec<String>,
    },
    /// The ranks of a run cannot go on together.
    #[error("ranks, {what}: {reason}")]
    Ranks {
        /// What they were to exchange.
        what: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// An error of the network, its tensors or its optimiser.
    #[error(transparent)]
    Weights(#[from] backbones::Error),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
