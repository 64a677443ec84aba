//! What can go wrong with networks and weight files.

use std::path::PathBuf;

use crate::Report;

/// Every fault of this crate. Messages say where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device failed while work was done on it.
    #[error("{what}: the device failed: {reason}")]
    Device {
        /// What was being done.
        what: String,
        /// What the device said.
        reason: String,
    },
    /// A precision that the device does not say it computes in.
    #[error("precision: found {found}, which this device does not offer, expected f32 (or another device)")]
    PrecisionNotOffered {
        /// What was asked for.
        found: String,
    },
    /// A precision that there is not.
    #[error("precision: found {found:?}, expected f32 or bf16")]
    Precision {
        /// What was found.
        found: String,
    },
    /// Names of tensors do not match the network.
    #[error("tensor names do not match the network: {} missing {missing:?}, {} left over {left_over:?}", missing.len(), left_over.len())]
    Names {
        /// Tensors of the network that the source lacks.
        missing: Vec<String>,
        /// Tensors of the source that the network lacks.
        left_over: Vec<String>,
    },
    /// A tensor has another shape than the network's.
    #[error("tensor {name}: found shape {found:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Shape in the source.
        found: Vec<usize>,
        /// Shape in the network.
        expected: Vec<usize>,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a weight file at all.
    #[error("{} is {found}, expected weights: a file of torch.save or safetensors", path.display())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: String,
    },
    /// A damaged weight file, or one that asks for anything but tensors.
    #[error("{}, at byte {position}: {problem}", path.display())]
    WeightFile {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What was found and what was expected.
        problem: String,
    },
    /// The tensors of a weight file are not those of the network.
    #[error("weights do not fit the network: {0}")]
    Import(Box<Report>),
    /// Weights could not be put into a file's form.
    #[error("exporting {what}: {reason}")]
    Export {
        /// What was being written.
        what: String,
        /// Why it cannot be.
        reason: String,
    },
    /// A constant of an optimiser is out of its range.
    #[error("optimizer: {key} is {found}, expected {expected}")]
    OptimizerSetting {
        /// Path of the field in [`OptimizerConfig`](crate::optim::OptimizerConfig), such as `rule.momentum`.
        key: &'static str,
        /// Its value.
        found: String,
        /// The values allowed.
        expected: &'static str,
    },
    /// A saved optimiser state does not fit the network or the update rule.
    #[error("optimizer state: found {found}, expected {expected}")]
    OptimizerState {
        /// The entry, and what is wrong with it.
        found: String,
        /// The entry this network and rule need.
        expected: String,
    },
    /// Not an architecture of this crate.
    #[error("unknown architecture {found:?}, expected one of {expected}")]
    Arch {
        /// What was asked for.
        found: String,
        /// What there is.
        expected: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
