//! Errors of networks, optimisers and weight files.

use std::path::PathBuf;

use crate::Report;

/// All errors of this crate. Messages say where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device failed while work was done on it.
    #[error("{what}: the device failed: {reason}")]
    Device {
        /// The work in progress.
        what: String,
        /// The device's message.
        reason: String,
    },
    /// A precision that the device does not support.
    #[error("precision: found {found}, which this device does not offer, expected f32 (or another device)")]
    PrecisionNotOffered {
        /// The precision asked for.
        found: String,
    },
    /// An unknown precision.
    #[error("precision: found {found:?}, expected f32 or bf16")]
    Precision {
        /// The name given.
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
        /// The system's error.
        source: std::io::Error,
    },
    /// Not a weight file at all.
    #[error("{} is {found}, expected weights: a file of torch.save or safetensors", path.display())]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// A description of its content.
        found: String,
    },
    /// A damaged weight file, or one that refers to anything but tensors and plain values.
    #[error("{}, at byte {position}: {problem}", path.display())]
    WeightFile {
        /// The file.
        path: PathBuf,
        /// Byte of the file.
        position: u64,
        /// The value found, and the one expected.
        problem: String,
    },
    /// A network saved with its code, not its tensors.
    #[error(
        "{} is {found}, expected its tensors (nothing was executed); if you trust the file, two lines of Python make a \
         weight file of it: `import torch` and `torch.save({load}.state_dict(), \"state_dict.pt\")`",
        path.display()
    )]
    WholeModel {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// The Python expression that loads it.
        load: String,
    },
    /// The file holds several networks, and the rule does not say which one is meant.
    #[error(
        "{} holds {} networks with different numbers, and none of them is named as the one that was trained: {}; expected \
         the prefix of one",
        path.display(), networks.len(), networks.iter().map(|(prefix, arch)| format!("{arch} under {prefix:?}")).collect::<Vec<_>>().join(", ")
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// Prefix and architecture of each.
        networks: Vec<(String, String)>,
    },
    /// No network lies where it was asked for.
    #[error("{}: found no tensors of the network under {asked:?}, expected {}", path.display(), expected(networks))]
    NoSuchPlace {
        /// The file.
        path: PathBuf,
        /// The prefix or dictionary that was asked for.
        asked: String,
        /// Prefix and architecture of the networks in the file.
        networks: Vec<(String, String)>,
    },
    /// Weights that cannot be used.
    #[error("{}: found {}, expected finite numbers, and variances of at least 0", path.display(), found.join("; "))]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Tensors and what is wrong with them.
        found: Vec<String>,
    },
    /// The tensors of a weight file are not those of the network.
    #[error("weights do not fit the network: {0}")]
    Import(Box<Report>),
    /// Weights could not be written in a file format.
    #[error("exporting {what}: {reason}")]
    Export {
        /// The tensor or file being written.
        what: String,
        /// Why it cannot be written.
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
        /// The name given.
        found: String,
        /// The names known.
        expected: String,
    },
}

fn expected(networks: &[(String, String)]) -> String {
    match networks {
        [] => "the prefix of one".to_owned(),
        _ => networks.iter().map(|(prefix, arch)| format!("{prefix:?} ({arch})")).collect::<Vec<_>>().join(" or "),
    }
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
