//! The folder of a run: what is in it, who may write into it, and its log.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// What to do with a folder that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Refuse it.
    #[default]
    Refuse,
    /// Go on with the run in it; refused where there is none.
    Resume,
    /// Replace the run in it; refused where there is no run.
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
    /// Checks that the folder may be used, without touching it.
    ///
    /// # Errors
    /// [`Error::NotEmpty`] or [`Error::NotARun`].
    pub fn check(root: &Path, existing: Existing) -> Result<()> {
        if root.exists() && !root.is_dir() {
            let (found, expected) = ("a file".to_owned(), "a folder".to_owned());
            return Err(Error::Setting { key: root.display().to_string(), found, expected });
        }
        let mut entries = match fs::read_dir(root) {
            Ok(entries) => entries.flatten(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io(root)(e)),
        };
        // All that a run leaves that is killed while it writes its first file.
        if entries.all(|entry| entry.file_name() == "run.partial") {
            return Ok(());
        }
        match existing {
            Existing::Refuse => Err(Error::NotEmpty { path: root.into() }),
            _ if root.join("run.json").is_file() => Ok(()),
            _ => Err(Error::NotARun { path: root.into() }),
        }
    }

    /// The folder, made if need be, emptied with [`Existing::Overwrite`].
    ///
    /// # Errors
    /// As [`Self::check`], and what the disk says.
    pub fn open(root: &Path, existing: Existing) -> Result<Self> {
        Self::check(root, existing)?;
        if existing == Existing::Overwrite && root.exists() {
            fs::remove_dir_all(root).map_err(Error::io(root))?;
        }
        fs::create_dir_all(root).map_err(Error::io(root))?;
        Ok(Self { root: root.to_owned() })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// A path below it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file whole or not at all, replacing an older one of the run.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.join(name);
        let io = |e| Error::Io { path: path.clone(), source: e };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io)?;
        }
        let temporary = path.with_extension("partial");
        let mut file = File::create(&temporary).map_err(io)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&temporary, &path).map_err(io)?;
        Ok(path)
    }

    /// Writes `run.json`: version, seed, device, and what the caller adds.
    ///
    /// # Errors
    /// What the disk says.
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

/// `metrics.jsonl`: one JSON object a line, flushed line by line.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: BufWriter<File>,
    start: Instant,
    /// Seconds that earlier parts of the run took.
    before: f64,
}

impl MetricsLog {
    /// Opens the log of a run that stands at `step`; what a run that was killed logged beyond it is cut off, since those
    /// steps will be done again.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(folder: &RunFolder, step: u64) -> Result<Self> {
        let path = folder.join("metrics.jsonl");
        let (kept, before) = if path.exists() { Self::kept(&path, step)? } else { (String::new(), 0.0) };
        folder.write("metrics.jsonl", kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file: BufWriter::new(file), start: Instant::now(), before })
    }

    /// The lines up to `step`, and the seconds at the last of them.
    fn kept(path: &Path, step: u64) -> Result<(String, f64)> {
        let file = File::open(path).map_err(Error::io(path))?;
        let (mut kept, mut wall) = (String::new(), 0.0);
        for line in BufReader::new(file).lines() {
            let line = line.map_err(Error::io(path))?;
            // A line cut short by a kill does not parse; it belongs to a step after the checkpoint.
            let Ok(value) = serde_json::from_str::<Value>(&line) else { break };
            if value["step"].as_u64().is_none_or(|s| s > step) {
                break;
            }
            wall = value["wall_s"].as_f64().unwrap_or(wall);
            kept.push_str(&line);
            kept.push('\n');
        }
        Ok((kept, wall))
    }

    /// Appends one object: `split`, `wall_s`, and the fields of `entry`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, split: &str, entry: &impl Serialize) -> Result<()> {
        let mut line = json!({ "split": split, "wall_s": self.before + self.start.elapsed().as_secs_f64() });
        if let (Some(line), Ok(Value::Object(entry))) = (line.as_object_mut(), serde_json::to_value(entry)) {
            line.extend(entry);
        }
        writeln!(self.file, "{line}").and_then(|()| self.file.flush()).map_err(Error::io(&self.path))
    }
}
