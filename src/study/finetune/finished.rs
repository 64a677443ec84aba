//! Finished draws of a fine-tuning, kept in a folder until all are done: a program that ends loses the draw it was at, and no
//! other.
//!
//! ```text
//! FOLDER/
//!   of.json                  what is trained on what, and how
//!   fraction-0.1-draw-0/     a draw
//!     scores.csv             of the test rows
//!     ensemble/              the chosen networks, of the draw that is exported
//!     run.toml               how it measured; written last, so that a draw without it is not finished
//! ```

use std::path::{Path, PathBuf};

use eval::{Checkpoint, Scores, read_checkpoints, read_predictions, write_new, write_predictions};
use serde_json::Value;

use super::{ENSEMBLE, TrainingRun};
use crate::{
    error::{Error, Result},
    files::{Existing, RunFolder},
};

const OF: &str = "of.json";
const RUN: &str = "run.toml";
const SCORES: &str = "scores.csv";

/// The folder.
#[derive(Debug)]
pub(super) struct FinishedDraws {
    folder: PathBuf,
}

/// What a draw left.
#[derive(Debug)]
pub(super) struct FinishedDraw {
    pub(super) run: TrainingRun,
    pub(super) scores: Scores,
    /// The chosen networks, if it is the draw that is exported.
    pub(super) members: Vec<Checkpoint>,
}

impl FinishedDraws {
    /// Makes the folder, or goes on with one of the same fine-tuning.
    ///
    /// # Errors
    /// A folder of another fine-tuning, with what differs.
    pub(super) fn open(folder: &Path, of: &Value) -> Result<Self> {
        let path = folder.join(OF);
        if path.is_file() {
            let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
            let before: Value = serde_json::from_str(&text).map_err(|e| fault(&path, &e.to_string()))?;
            let names = of.as_object().into_iter().flatten().map(|(name, _)| name);
            let differing: Vec<String> = names
                .filter(|name| before[name.as_str()] != of[name.as_str()])
                .map(|name| format!("{name} was {}, is {}", before[name.as_str()], of[name.as_str()]))
                .collect();
            if !differing.is_empty() {
                let found = format!("finished draws of another fine-tuning ({})", differing.join("; "));
                let expected = "those of this one; delete the folder to begin anew".to_owned();
                return Err(Error::Setting { key: folder.display().to_string(), found, expected });
            }
        } else {
            // A folder of somebody else's is not written into, and not deleted later.
            RunFolder::open(folder, Existing::Refuse)?;
            write_new(&path, serde_json::to_string_pretty(of).unwrap_or_default().as_bytes())?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The draw, if it was finished before. What is left of one that was not is removed.
    pub(super) fn find(&self, fraction: f64, number: usize, exported: bool) -> Result<Option<FinishedDraw>> {
        let folder = self.draw(fraction, number);
        let whole = folder.join(RUN).is_file() && (!exported || folder.join(ENSEMBLE).is_dir());
        if !whole {
            if folder.exists() {
                std::fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
            }
            return Ok(None);
        }
        let path = folder.join(RUN);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let run = toml::from_str(&text).map_err(|e| fault(&path, e.message()))?;
        let scores = read_predictions(&folder.join(SCORES))?;
        let members = if exported { read_checkpoints(&folder.join(ENSEMBLE))? } else { Vec::new() };
        Ok(Some(FinishedDraw { run, scores, members }))
    }

    /// Where the networks of a draw may lie while it is trained.
    pub(super) fn begin(&self, fraction: f64, number: usize) -> Result<PathBuf> {
        let folder = self.draw(fraction, number);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(folder)
    }

    /// Keeps a draw; of its networks only those that are exported.
    pub(super) fn keep(&self, run: &TrainingRun, scores: &Scores, exported: bool) -> Result<()> {
        let folder = self.draw(run.fraction, run.draw);
        let networks = folder.join(ENSEMBLE);
        if !exported && networks.exists() {
            std::fs::remove_dir_all(&networks).map_err(Error::io(&networks))?;
        }
        write_predictions(&folder.join(SCORES), scores)?;
        // TOML, because serde_json may read a number one place beside what was written.
        let text = toml::to_string(run).map_err(|e| fault(&folder, &e.to_string()))?;
        Ok(write_new(&folder.join(RUN), text.as_bytes())?)
    }

    fn draw(&self, fraction: f64, number: usize) -> PathBuf {
        self.folder.join(format!("fraction-{fraction}-draw-{number}"))
    }
}

impl Drop for FinishedDraws {
    /// A folder without a finished draw is of no use to anybody.
    fn drop(&mut self) {
        let mut entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        if !entries.any(|entry| entry.path().join(RUN).is_file()) {
            // The error that led here matters more than one of cleaning up.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn fault(path: &Path, reason: &str) -> Error {
    Error::Config { origin: path.display().to_string(), reason: reason.to_owned() }
}
