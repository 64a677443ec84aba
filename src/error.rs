//! What can go wrong between a command and its result.

use std::path::PathBuf;

/// Every fault of the facade; those of the parts pass through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A fault of the data.
    #[error(transparent)]
    Data(#[from] cxr_data::Error),
    /// A fault of a network or a weight file.
    #[error(transparent)]
    Backbone(#[from] backbones::Error),
    /// A fault of the pretraining.
    #[error(transparent)]
    Moco(#[from] moco_core::Error),
    /// A fault of the evaluation.
    #[error(transparent)]
    Eval(#[from] eval::Error),
    /// Images that came back from a network in another order than they were asked for: a defect of this program.
    #[error(
        "{} came in place {place}, where {} was asked for: a score would meet the label of another image (a defect; please \
         report it)",
        came.map_or("nothing".to_owned(), |row| format!("row {row}")),
        asked.map_or("nothing".to_owned(), |row| format!("row {row}"))
    )]
    OtherRows {
        /// The first place that differs, from 0.
        place: usize,
        /// The row that came.
        came: Option<usize>,
        /// The row asked for.
        asked: Option<usize>,
    },
    /// A device that cannot be had.
    #[error("device {asked:?}: {reason}")]
    Device {
        /// What was asked for.
        asked: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder that is in use.
    #[error("{}: found a folder that is not empty, expected a new or empty one", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder to go on in or to replace that no run of ours made.
    #[error("{}: found files but no run.json, expected the folder of a run; nothing in it was changed", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that is to be made, and is there.
    #[error("{}: already exists, expected a new folder; nothing is overwritten", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Published weights that are not on this machine.
    #[error(
        "{what}: found no {files} in {}; get {url} and put it there (MOCO_CXR_CACHE names another folder), or, with the \
         feature hub, let `moco-cxr` fetch them",
        folder.display()
    )]
    NoWeights {
        /// Whose.
        what: String,
        /// What the file may be called.
        files: String,
        /// Where it is published.
        url: String,
        /// Where it should be.
        folder: PathBuf,
    },
    /// A published file that is not what it was.
    #[error("{}: found SHA-256 {found}, expected {expected}: {why}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its checksum.
        found: String,
        /// What it should begin with.
        expected: String,
        /// Where that is from.
        why: String,
    },
    /// A download that failed; nothing of it is left.
    #[error("fetching {url}: {reason}")]
    Download {
        /// From where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// A setting that cannot be.
    #[error("{key}: found {found}, expected {expected}")]
    Setting {
        /// Its name, as in config.toml.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A configuration file that cannot be read.
    #[error("{origin}: {reason}")]
    Config {
        /// File, preset or option.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A resume under other settings.
    #[error("{} was started with other settings; a resume may change epochs, workers, device, checkpoints and the place of the data. Different: {}", path.display(), keys.join("; "))]
    ResumeDiffers {
        /// The run.
        path: PathBuf,
        /// Setting: then, now.
        keys: Vec<String>,
    },
}

/// Result of the facade.
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
