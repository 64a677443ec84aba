//! `metrics.jsonl`.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    files::RunFolder,
};

/// `metrics.jsonl`: one JSON object a line, flushed line by line.
#[derive(Debug)]
pub(crate) struct MetricsLog {
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
    pub(crate) fn open(folder: &RunFolder, step: u64) -> Result<Self> {
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
    pub(crate) fn write(&mut self, split: &str, entry: &impl Serialize) -> Result<()> {
        let mut line = json!({ "split": split, "wall_s": self.before + self.start.elapsed().as_secs_f64() });
        if let (Some(line), Ok(Value::Object(entry))) = (line.as_object_mut(), serde_json::to_value(entry)) {
            line.extend(entry);
        }
        writeln!(self.file, "{line}").and_then(|()| self.file.flush()).map_err(Error::io(&self.path))
    }
}
