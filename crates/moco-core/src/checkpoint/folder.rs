//! The folder of a run's checkpoints: writing, finding the newest complete one, removing old ones.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use backbones::read_within;
use serde::{Deserialize, Serialize};

use super::{
    files::{MAX_RECORD, io, read_all, sync_dir, write, write_all},
    state::{Parts, RunState},
};
use crate::{Error, Result};

/// Which checkpoints stay. The best by the online probe always does. Begin with [`Default`].
///
/// Settings of earlier versions stay readable: one that is added has a serde default that means what this crate did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Keep {
    /// Number of newest checkpoints kept, at least 1.
    pub last: usize,
    /// Also keeps every checkpoint whose number of finished epochs is a multiple of this.
    pub every_epochs: Option<u64>,
}

impl Default for Keep {
    /// The last two, so that a damaged newest one costs one interval.
    fn default() -> Self {
        Self { last: 2, every_epochs: None }
    }
}

/// A folder of checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    root: PathBuf,
    keep: Keep,
}

/// The result of a search for checkpoints.
#[derive(Debug)]
pub struct Found {
    /// The newest complete checkpoint, if there is one.
    pub newest: Option<RunState>,
    /// Newer checkpoints that cannot be used.
    pub ignored: Vec<Ignored>,
}

/// A checkpoint that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its directory.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

impl Checkpoints {
    /// A folder, created at the first write.
    pub fn new(root: impl Into<PathBuf>, keep: Keep) -> Self {
        Self { root: root.into(), keep }
    }

    /// Path of the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the checkpoint after `step` steps.
    pub fn path(&self, step: u64) -> PathBuf {
        self.root.join(directory_name(step))
    }

    /// Writes a checkpoint (to a temporary directory, flushed, then renamed), names it in `latest`, and removes those
    /// that are not kept.
    ///
    /// # Errors
    /// When the disk fails, or the folder holds another complete checkpoint of this step, which is left untouched.
    pub fn save(&self, state: &RunState) -> Result<PathBuf> {
        let step = state.position.step;
        let path = self.path(step);
        fs::create_dir_all(&self.root).map_err(io(&self.root))?;
        self.write_directory(&path, state)?;
        self.point("latest", step)?;
        if let Some(best) = state.best.filter(|best| self.path(best.step).is_dir()) {
            self.point("best", best.step)?;
        }
        self.remove_old(state)?;
        Ok(path)
    }

    fn write_directory(&self, path: &Path, state: &RunState) -> Result<()> {
        let files = state.to_files()?;
        match read_all(path) {
            Ok(found) if found.iter().map(|(n, b)| (n.as_str(), b)).eq(files.iter().map(|(n, b)| (*n, b))) => {
                return Ok(());
            }
            Ok(_) => return Err(foreign(path)),
            Err(Error::Checkpoint { .. }) => (), // absent, interrupted or damaged
            Err(e) => return Err(e),
        }
        let name = directory_name(state.position.step);
        let temporary = self.root.join(format!(".{name}.partial"));
        for left_over in [temporary.as_path(), path] {
            // Neither is a complete checkpoint: an interrupted write, or one found damaged just now.
            if left_over.exists() {
                fs::remove_dir_all(left_over).map_err(io(left_over))?;
            }
        }
        fs::create_dir(&temporary).map_err(io(&temporary))?;
        write_all(&temporary, &files)?;
        fs::rename(&temporary, path).map_err(io(path))?;
        sync_dir(&self.root)
    }

    /// Replaces a one-line file by renaming, so that it is never half-written.
    fn point(&self, name: &str, step: u64) -> Result<()> {
        let temporary = self.root.join(format!(".{name}.partial"));
        write(&temporary, format!("{}\n", directory_name(step)).as_bytes())?;
        let path = self.root.join(name);
        fs::rename(&temporary, &path).map_err(io(&path))
    }

    fn remove_old(&self, state: &RunState) -> Result<()> {
        let steps = self.steps()?;
        let old = steps.iter().rev().skip(self.keep.last.max(1));
        for &step in old {
            let epochs = || self.finished_epochs(step);
            let every = self.keep.every_epochs.is_some_and(|n| epochs().is_some_and(|e| e > 0 && e % n.max(1) == 0));
            if every || state.best.is_some_and(|best| best.step == step) {
                continue;
            }
            let path = self.path(step);
            fs::remove_dir_all(&path).map_err(io(&path))?;
        }
        Ok(())
    }

    /// Number of finished epochs, for a checkpoint at the end of an epoch.
    fn finished_epochs(&self, step: u64) -> Option<u64> {
        let path = self.path(step).join("position.json");
        let position = read_within(&path, MAX_RECORD, "the position of a checkpoint").ok()?;
        let parts: Parts = serde_json::from_slice(&position).ok()?;
        (parts.position.batch == 0).then_some(parts.position.epoch)
    }

    /// Steps of the checkpoints in the folder, ascending, complete or not. Other names are ignored.
    fn steps(&self) -> Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io(&self.root)(e)),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry.map_err(io(&self.root))?.file_name();
            steps.extend(name.to_str().and_then(|n| n.strip_prefix("step-")).and_then(|n| n.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Finds the newest complete checkpoint, and lists newer ones that are damaged or whose writing was interrupted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn find(&self) -> Result<Found> {
        let mut ignored = self.interrupted()?;
        for step in self.steps()?.into_iter().rev() {
            let path = self.path(step);
            match RunState::read(&path) {
                Ok(state) => return Ok(Found { newest: Some(state), ignored }),
                Err(Error::Checkpoint { reason, .. }) => ignored.push(Ignored { path, reason }),
                Err(e) => ignored.push(Ignored { path, reason: e.to_string() }),
            }
        }
        Ok(Found { newest: None, ignored })
    }

    /// Refuses a folder with checkpoints that a run after `step` steps cannot have written.
    ///
    /// # Errors
    /// When there is a complete checkpoint of a later step.
    pub(crate) fn refuse_foreign(&self, step: u64) -> Result<()> {
        let mut later = self.steps()?.into_iter().filter(|&s| s > step).map(|s| self.path(s));
        match later.find(|path| read_all(path).is_ok()) {
            Some(path) => Err(foreign(&path)),
            None => Ok(()),
        }
    }

    fn interrupted(&self) -> Result<Vec<Ignored>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(_) => return Ok(Vec::new()),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(io(&self.root))?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if name.starts_with(".step-") && name.ends_with(".partial") {
                found.push(Ignored { path, reason: "its writing was interrupted".to_owned() });
            }
        }
        Ok(found)
    }
}

fn foreign(path: &Path) -> Error {
    let reason =
        "it belongs to another run, or to a later step of this one; resume from it, or use another folder".into();
    Error::Checkpoint { path: path.to_owned(), reason }
}

fn directory_name(step: u64) -> String {
    format!("step-{step:08}")
}

impl RunState {
    /// Reads a checkpoint directory.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it is incomplete or damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let files: BTreeMap<String, Vec<u8>> = read_all(path)?;
        Self::from_files(&files, path)
    }
}
