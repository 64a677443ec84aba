//! Finished draws of a fine-tuning, kept in a folder until all are done. An interrupted program loses only the current draw.
//!
//! ```text
//! FOLDER/
//!   of.json                  identity of the fine-tuning: weights, data, settings
//!   fraction-0.1-draw-0/     a draw
//!     scores.csv             scores of the test rows
//!     ensemble/              the chosen checkpoints, only for the exported draw
//!     run.toml               the training history; written last, so a draw without it is not finished
//! ```

use std::path::{Path, PathBuf};

use eval::{Checkpoint, Scores, read_checkpoints, read_predictions, write_new, write_predictions};
use serde_json::Value;

use super::{ENSEMBLE, TrainingRun};
use crate::{
    error::{Error, Result},
    files::{Existing, RunFolder, read_json, read_text},
};

const OF: &str = "of.json";
const RUN: &str = "run.toml";
const SCORES: &str = "scores.csv";

/// The folder of finished draws.
#[derive(Debug)]
pub(super) struct FinishedDraws {
    folder: PathBuf,
    /// Whether other ranks use it too, under whom it must not be removed.
    shared: bool,
}

/// A finished draw.
#[derive(Debug)]
pub(super) struct FinishedDraw {
    pub(super) run: TrainingRun,
    pub(super) scores: Scores,
    /// The chosen checkpoints, if this draw is exported.
    pub(super) members: Vec<Checkpoint>,
}

impl FinishedDraws {
    /// Creates the folder, or opens one of the same fine-tuning.
    ///
    /// # Errors
    /// The folder belongs to another fine-tuning; the message lists the differences.
    pub(super) fn open(folder: &Path, of: &Value) -> Result<Self> {
        let path = folder.join(OF);
        if path.is_file() {
            let before: Value = read_json(&path)?;
            let names = of.as_object().into_iter().flatten().map(|(name, _)| name);
            let differing: Vec<String> = names
                .filter(|name| before[name.as_str()] != of[name.as_str()])
                .map(|name| format!("{name} was {}, is {}", before[name.as_str()], of[name.as_str()]))
                .collect();
            if !differing.is_empty() {
                let found = format!("finished draws of another fine-tuning ({})", differing.join("; "));
                let expected = "draws of this fine-tuning; delete the folder to start over".to_owned();
                return Err(Error::Setting { key: folder.display().to_string(), found, expected });
            }
        } else {
            // Refuse a folder with other files: it would be deleted later.
            RunFolder::open(folder, Existing::Refuse)?;
            write_new(&path, serde_json::to_string_pretty(of).unwrap_or_default().as_bytes())?;
        }
        Ok(Self { folder: folder.to_owned(), shared: false })
    }

    /// Opens the folder that rank 0 has opened.
    ///
    /// # Errors
    /// As [`Self::open`], and a folder that is not seen here.
    pub(super) fn join(folder: &Path, of: &Value) -> Result<Self> {
        if !folder.join(OF).is_file() {
            let folder = folder.display();
            return Err(Error::Ranks(format!(
                "{folder}, where rank 0 keeps finished draws, is not seen here; expected one folder --out, under the same path \
                 for all ranks"
            )));
        }
        Ok(Self::open(folder, of)?.shared())
    }

    /// The same folder, which other ranks use too: it stays, even without a finished draw.
    pub(super) fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Whether a draw is finished.
    pub(super) fn has(&self, fraction: f64, number: usize, exported: bool) -> bool {
        let folder = self.draw(fraction, number);
        folder.join(RUN).is_file() && (!exported || folder.join(ENSEMBLE).is_dir())
    }

    /// Reads a draw if it is finished; removes an unfinished one.
    pub(super) fn find(&self, fraction: f64, number: usize, exported: bool) -> Result<Option<FinishedDraw>> {
        let folder = self.draw(fraction, number);
        if !self.has(fraction, number, exported) {
            if folder.exists() {
                std::fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
            }
            return Ok(None);
        }
        let path = folder.join(RUN);
        let text = read_text(&path)?;
        let run = toml::from_str(&text).map_err(|e| fault(&path, e.message()))?;
        let scores = read_predictions(&folder.join(SCORES))?;
        let members = if exported { read_checkpoints(&folder.join(ENSEMBLE))? } else { Vec::new() };
        Ok(Some(FinishedDraw { run, scores, members }))
    }

    /// The folder for the checkpoints of a draw during training.
    pub(super) fn begin(&self, fraction: f64, number: usize) -> Result<PathBuf> {
        let folder = self.draw(fraction, number);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(folder)
    }

    /// Writes a finished draw. Its checkpoints are kept only if it is exported.
    pub(super) fn keep(&self, run: &TrainingRun, scores: &Scores, exported: bool) -> Result<()> {
        let folder = self.draw(run.fraction, run.draw);
        let networks = folder.join(ENSEMBLE);
        if !exported && networks.exists() {
            std::fs::remove_dir_all(&networks).map_err(Error::io(&networks))?;
        }
        write_predictions(&folder.join(SCORES), scores)?;
        // TOML, because a float may change in its last digit when read by serde_json.
        let text = toml::to_string(run).map_err(|e| fault(&folder, &e.to_string()))?;
        Ok(write_new(&folder.join(RUN), text.as_bytes())?)
    }

    fn draw(&self, fraction: f64, number: usize) -> PathBuf {
        self.folder.join(format!("fraction-{fraction}-draw-{number}"))
    }
}

impl Drop for FinishedDraws {
    /// Removes the folder if it has no finished draw and no other rank uses it.
    fn drop(&mut self) {
        if self.shared {
            return;
        }
        let mut entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        if !entries.any(|entry| entry.path().join(RUN).is_file()) {
            // A failure to clean up matters less than the error that led here.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn fault(path: &Path, reason: &str) -> Error {
    Error::Config { origin: path.display().to_string(), reason: reason.to_owned() }
}
