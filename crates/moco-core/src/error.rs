//! What can go wrong in pretraining.

use std::path::PathBuf;

/// An error of somebody else's code (a data source, an observer), carried along.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Every fault of this crate. Messages say where, what was found and what was expected.
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
    /// The backbone cannot be pretrained as it is.
    #[error("backbone: {0}")]
    Backbone(String),
    /// A batch does not fit the model or the configuration.
    #[error("batch: found {found}, expected {expected}")]
    Batch {
        /// What came.
        found: String,
        /// What was needed.
        expected: String,
    },
    /// The loss or the gradient is NaN or infinite; the weights are those of the step before.
    #[error(
        "step {step}: the {what} is not finite ({value}); training stopped before the update. Lower the learning rate, \
         add warm-up or gradient clipping, or look for broken images in this batch; the last checkpoint is kept"
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
        /// What it said.
        source: BoxError,
    },
    /// The data source gave another number of batches than it announced.
    #[error("data, epoch {epoch}: the source ended after {found} batches, it announced {expected}")]
    SourceEnded {
        /// Epoch, from 0.
        epoch: u64,
        /// Batches given.
        found: usize,
        /// Batches announced.
        expected: usize,
    },
    /// The device failed while work was done on it.
    #[error("{what}: the device failed: {reason}")]
    Device {
        /// What was being done.
        what: &'static str,
        /// What the device said.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A checkpoint is incomplete, damaged or does not fit.
    #[error("checkpoint {}: {reason}", path.display())]
    Checkpoint {
        /// Its directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint of MoCo in PyTorch that this run cannot go on from.
    #[error("checkpoint of MoCo: found {found}, expected {expected}")]
    Reference {
        /// The file, and what is in it.
        found: String,
        /// What this run needs.
        expected: String,
    },
    /// A run is to be resumed with another configuration.
    #[error("resume: the configuration differs from the checkpoint's in {}", .differences.join("; "))]
    ResumeDiffers {
        /// `key: was OLD, is NEW`, one per setting.
        differences: Vec<String>,
    },
    /// A fault in names or shapes of tensors.
    #[error(transparent)]
    Weights(#[from] backbones::Error),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
