//! Reading whole files of a run, within limits that no honest file reaches. A larger one is refused by its length, before
//! memory is asked for.

use std::path::Path;

use backbones::read_within;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Configurations and records: what a run, an evaluation or an export says of itself.
const RECORD: u64 = 256_000_000;
/// Logs, at some 700 bytes a step.
const LOG: u64 = 4_000_000_000;

/// The text of a configuration or a record; errors name the file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = record(path).map_err(Error::io(path))?;
    String::from_utf8(bytes).map_err(|e| Error::Config { origin: path.display().to_string(), reason: e.to_string() })
}

/// The text of a configuration or a record; `None` if there is none that can be read.
pub(crate) fn text_of(path: &Path) -> Option<String> {
    String::from_utf8(record(path).ok()?).ok()
}

/// Reads a JSON file; errors name the file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = record(path).map_err(Error::io(path))?;
    serde_json::from_slice(&text).map_err(Error::json(path))
}

/// The bytes of a configuration or a record.
pub(crate) fn record(path: &Path) -> std::io::Result<Vec<u8>> {
    read_within(path, RECORD, "a configuration or a record")
}

/// The bytes of a log.
pub(crate) fn log(path: &Path) -> std::io::Result<Vec<u8>> {
    read_within(path, LOG, "a log")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_any_size_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::File::create(&path).unwrap().set_len(20_000_000_000).unwrap();
        let error = read_text(&path).unwrap_err().to_string();
        let end = "config.toml: found 20.0 GB, expected a configuration or a record of at most 256.0 MB";
        assert!(error.ends_with(end), "{error}");
        assert!(text_of(&path).is_none() && log(&path).is_err());
        assert!(read_json::<serde_json::Value>(&path).unwrap_err().to_string().ends_with(end));
    }
}
