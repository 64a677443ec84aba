//! Opens a weight file, and verifies the checksums that there are of it and of what lies beside it.
//!
//! An export has a checksum in the file itself, and those of the two files that say what its numbers mean; a checkpoint of a
//! pretraining lists the BLAKE3 hashes of its files in `complete.json`.

use std::path::Path;

use backbones::WeightFile;

use super::{
    cache::sha256,
    declared::PREPROCESSOR,
    folder::{CONFIG, MODEL},
};
use crate::{
    error::{Error, Result},
    files::{read_json, record},
};

const COMPLETE: &str = "complete.json";

/// Opens a weight file.
///
/// # Errors
/// As [`WeightFile::open`]; its checkpoint lists another checksum; a file of its export is another than was exported.
pub(super) fn open(path: &Path) -> Result<WeightFile> {
    let file = WeightFile::open(path)?;
    check_beside(&file)?;
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

/// Compares the files of an export with what was exported. Under another name the weights are alone, and what lies beside
/// them may be of another tool.
fn check_beside(file: &WeightFile) -> Result<()> {
    let path = file.path();
    if path.file_name().is_none_or(|name| name != MODEL) {
        return Ok(());
    }
    let exported = |name: &&str| path.with_file_name(name).is_file();
    for (name, expected) in file.checksums_beside().filter(|(name, _)| [CONFIG, PREPROCESSOR].contains(name)) {
        let beside = path.with_file_name(name);
        if !beside.is_file() {
            // Weights that were copied out of their export are alone; an export that has lost a file would be read otherwise.
            let Some(other) = [CONFIG, PREPROCESSOR].into_iter().find(exported) else { continue };
            let reason = format!(
                "missing, though it was exported with {MODEL}, and {other} is there; restore it, or copy {MODEL} alone to a new \
                 folder and state what it said: `moco-cxr import FILE --image-size N --mean M --std S --out DIR`"
            );
            return Err(Error::Config { origin: beside.display().to_string(), reason });
        }
        let found = sha256(&record(&beside).map_err(Error::io(&beside))?);
        if found != expected {
            let reason = format!(
                "damaged, or changed since it was exported with {MODEL} (SHA-256 {found}, expected {expected}); restore it, or copy \
                 {MODEL} alone to a new folder and state what is right: `moco-cxr import FILE --image-size N --mean M --std S --out DIR`"
            );
            return Err(Error::Config { origin: beside.display().to_string(), reason });
        }
    }
    Ok(())
}
