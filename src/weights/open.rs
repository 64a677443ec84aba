//! Opens a weight file, and verifies the checksum that its checkpoint has of it.
//!
//! An export has a checksum in the file itself; a checkpoint of a pretraining lists the BLAKE3 hashes of its files in
//! `complete.json`.

use std::path::Path;

use backbones::WeightFile;

use crate::{error::Result, files::read_json};

const COMPLETE: &str = "complete.json";

/// Opens a weight file.
///
/// # Errors
/// As [`WeightFile::open`]; or its checkpoint lists another checksum.
pub(super) fn open(path: &Path) -> Result<WeightFile> {
    let file = WeightFile::open(path)?;
    let list = path.with_file_name(COMPLETE);
    if !list.is_file() {
        return Ok(file);
    }
    let sums: serde_json::Value = read_json(&list)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(expected) = sums.get(name).and_then(|sum| sum.as_str()) else { return Ok(file) };
    let found = blake3::hash(file.bytes()).to_hex().to_string();
    if found == expected {
        return Ok(file);
    }
    let problem = format!("damaged: BLAKE3 {found}, expected {expected}, as {COMPLETE} beside it says");
    Err(backbones::Error::WeightFile { path: path.to_owned(), position: 0, problem }.into())
}
