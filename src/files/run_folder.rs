//! The folder of a run: its contents, and when it may be written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    files::{
        RunLock,
        run_lock::{LOCK, MAKING},
        whole::write_whole,
    },
};

/// What to do with a folder that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Return an error.
    #[default]
    Refuse,
    /// Resume the run in it; an error if there is none.
    Resume,
    /// Replace the run in it; an error if there is none.
    Overwrite,
}

/// The folder of a run.
///
/// ```text
/// config.toml  run.json  metrics.jsonl  train.log  tb/  checkpoints/  export/  eval/TASK/  report.html
/// ```
#[derive(Debug, Clone)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// Checks that the folder may be used, without changing it.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotEmpty`] or [`Error::NotARun`].
    pub fn check(root: &Path, existing: Existing) -> Result<()> {
        RunLock::check(root)?;
        Self::check_contents(root, existing)
    }

    fn check_contents(root: &Path, existing: Existing) -> Result<()> {
        if root.exists() && !root.is_dir() {
            let (found, expected) = ("a file".to_owned(), "a folder".to_owned());
            return Err(Error::Setting { key: root.display().to_string(), found, expected });
        }
        let mut entries = match fs::read_dir(root) {
            Ok(entries) => entries.flatten(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io(root)(e)),
        };
        // A run killed before it wrote its first file leaves only these; the second is in a folder that is being made.
        let left_over = |name: &str| [LOCK, MAKING].contains(&name) || name.starts_with("run.partial");
        if entries.all(|entry| left_over(&entry.file_name().to_string_lossy())) {
            return Ok(());
        }
        match existing {
            Existing::Refuse => Err(Error::NotEmpty { path: root.into() }),
            _ if root.join("run.json").is_file() => Ok(()),
            _ => Err(Error::NotARun { path: root.into() }),
        }
    }

    /// Opens the folder: creates it if needed, and empties it with [`Existing::Overwrite`].
    ///
    /// # Errors
    /// [`Error::NotEmpty`] or [`Error::NotARun`], or an I/O error.
    pub fn open(root: &Path, existing: Existing) -> Result<Self> {
        Self::check_contents(root, existing)?;
        if existing == Existing::Overwrite && root.exists() {
            empty(root).map_err(Error::io(root))?;
        }
        fs::create_dir_all(root).map_err(Error::io(root))?;
        Ok(Self { root: root.to_owned() })
    }

    /// The folder of a run that another process writes, which need not be seen from here.
    pub(crate) fn of_another(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// A path below it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file atomically, replacing an older one.
    ///
    /// # Errors
    /// An I/O error.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.join(name);
        write_whole(&path, bytes)?;
        Ok(path)
    }

    /// Writes `run.json`: command, version, commit, system, and the caller's `facts`.
    ///
    /// # Errors
    /// An I/O error.
    pub fn write_run_json(&self, command: &str, facts: Value) -> Result<PathBuf> {
        let mut run = json!({
            "command": command,
            "moco_cxr": env!("CARGO_PKG_VERSION"),
            "git_commit": option_env!("MOCO_CXR_GIT_COMMIT"),
            "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        });
        if let (Some(run), Value::Object(facts)) = (run.as_object_mut(), facts) {
            run.extend(facts);
        }
        let text = serde_json::to_string_pretty(&run).unwrap_or_default();
        self.write("run.json", format!("{text}\n").as_bytes())
    }
}

/// Removes everything in a folder but the lock of a run, which its caller may hold.
fn empty(root: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false if entry.file_name() == LOCK => (),
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}
