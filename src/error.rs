//! The error type of this crate.

use std::path::PathBuf;

/// Errors of this crate; those of the crates it is built on are passed through unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the data.
    #[error(transparent)]
    Data(#[from] cxr_data::Error),
    /// An error of a network or a weight file.
    #[error(transparent)]
    Backbone(#[from] backbones::Error),
    /// An error of the pretraining.
    #[error(transparent)]
    Moco(#[from] moco_core::Error),
    /// An error of the evaluation.
    #[error(transparent)]
    Eval(#[from] eval::Error),
    /// A network returned images in another order than requested: a bug in this program.
    #[error(
        "found {} at position {place}, expected {}: scores would be paired with the labels of other images; this is a bug, \
         please report it",
        came.map_or("nothing".to_owned(), |row| format!("row {row}")),
        asked.map_or("nothing".to_owned(), |row| format!("row {row}"))
    )]
    OtherRows {
        /// The first position that differs, from 0.
        place: usize,
        /// The row returned.
        came: Option<usize>,
        /// The row requested.
        asked: Option<usize>,
    },
    /// A device is not available.
    #[error("device {asked:?}: {reason}")]
    Device {
        /// The requested device.
        asked: String,
        /// Why it is not available, and what to do.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The processes of a run cannot go on together.
    #[error("ranks: {0}")]
    Ranks(String),
    /// A folder is not empty.
    #[error("{}: found a folder that is not empty, expected a new or empty one", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder to resume or overwrite does not hold a run.
    #[error("{}: found files but no run.json, expected the folder of a run; nothing in it was changed", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes to the folder of a run.
    #[error("{}: {holder} is writing this run; wait until it has ended, stop it (Ctrl-C or SIGTERM: it writes a checkpoint first), or use another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process: its number, machine and start.
        holder: String,
    },
    /// Another process is going to write this file or folder.
    #[error("{}: {holder} is making it; wait until that has ended, or give another name", path.display())]
    Claimed {
        /// The file or folder.
        path: PathBuf,
        /// The process: its number, machine and start.
        holder: String,
    },
    /// A run has checkpoints, and none of them can be used.
    #[error("{}: {reason}; no other checkpoint of this run can be used either, and nothing was changed. Restore one from a backup, delete the folder of the checkpoints to begin again with --resume, or use another --out", path.display())]
    NoCheckpoint {
        /// The newest checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder to be created already exists.
    #[error("{}: already exists, expected a new name; nothing is overwritten", path.display())]
    Exists {
        /// The file or folder.
        path: PathBuf,
    },
    /// Published weights are not on this machine.
    #[error(
        "{what}: found no {files} in {}; download {url} into it (MOCO_CXR_CACHE names another folder), or build with the \
         feature hub to let `moco-cxr` download it",
        folder.display()
    )]
    NoWeights {
        /// Which weights.
        what: String,
        /// Possible file names.
        files: String,
        /// URL of the file.
        url: String,
        /// The folder it belongs in.
        folder: PathBuf,
    },
    /// Weights in a file cannot be used as they are.
    #[error("{fault}{advice}")]
    Weights {
        /// What is wrong with them.
        fault: backbones::Error,
        /// The command that would read them, or nothing.
        advice: String,
    },
    /// A published file has another checksum than expected.
    #[error("{}: found SHA-256 {found}, expected {expected}: {why}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its checksum.
        found: String,
        /// The expected checksum, or its first digits.
        expected: String,
        /// Where the expected checksum is from, and what to do.
        why: String,
    },
    /// A download failed; no partial file is left.
    #[error("fetching {url}: {reason}")]
    Download {
        /// The URL.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A setting is invalid.
    #[error("{key}: found {found}, expected {expected}")]
    Setting {
        /// Name of the setting, as in config.toml.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A configuration or JSON file cannot be parsed.
    #[error("{origin}: {reason}")]
    Config {
        /// File, preset or option.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A run is resumed with other settings.
    #[error("{} was started with other settings; a resume may change epochs, workers, device, checkpoints and the path of the data. Different: {}", path.display(), keys.join("; "))]
    ResumeDiffers {
        /// The run.
        path: PathBuf,
        /// Each setting that differs, with its old and new value.
        keys: Vec<String>,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn json(path: &std::path::Path) -> impl FnOnce(serde_json::Error) -> Self {
        let origin = path.display().to_string();
        move |fault| Self::Config { origin, reason: fault.to_string() }
    }
}
