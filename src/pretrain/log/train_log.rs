//! `train.log`: what a person was told, with the time.

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

/// Appends lines, each with the time (UTC); a run that is resumed goes on in the same file.
#[derive(Debug)]
pub(crate) struct TrainLog {
    path: PathBuf,
    file: File,
}

impl TrainLog {
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(folder: &RunFolder) -> Result<Self> {
        let path = folder.join("train.log");
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file })
    }

    /// # Errors
    /// What the disk says.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        // One write a line, so that lines of a run that is killed are whole.
        let lines: String = text.lines().map(|line| format!("{time} {line}\n")).collect();
        self.file.write_all(lines.as_bytes()).map_err(Error::io(&self.path))
    }
}
