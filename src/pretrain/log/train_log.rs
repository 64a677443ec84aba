//! `train.log`: the messages of a run, with their times.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    time::SystemTime,
};

use crate::{
    error::{Error, Result},
    files::RunFolder,
};

/// Appends lines with their time (UTC). A resumed run continues the same file.
#[derive(Debug)]
pub(crate) struct TrainLog {
    path: PathBuf,
    file: File,
}

impl TrainLog {
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub(crate) fn open(folder: &RunFolder) -> Result<Self> {
        let path = folder.join("train.log");
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file })
    }

    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        // One write per message, so that a run that is killed leaves no partial line.
        let lines: String = text.lines().map(|line| format!("{time} {line}\n")).collect();
        self.file.write_all(lines.as_bytes()).map_err(Error::io(&self.path))
    }
}
