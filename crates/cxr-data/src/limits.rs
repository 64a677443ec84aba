//! The most that is read whole, by kind of file. Honest files stay far below; what a larger one would ask of memory is refused
//! by its length, before it is read.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::stamp::Stamp;
use crate::{Error, Result};

/// An image file. 100 megapixels in three channels of 16 bits have 600 MB without compression.
const IMAGE: u64 = 1_000_000_000;
/// A radiologist's reading in a text file of its own, and the small files that say what a folder is.
const NOTE: u64 = 16_000_000;
/// A table of one row an image; as `tables` has it.
const TABLE: u64 = 2_000_000_000;
/// What this tool wrote itself: some 250 bytes (caches) or 1.5 kB (scans) an image.
const OWN: u64 = 8_000_000_000;

/// The content of an image file.
pub(crate) struct ImageFile {
    pub(crate) bytes: Vec<u8>,
    /// State of the file before and after it was read.
    pub(crate) before: Stamp,
    pub(crate) after: Stamp,
}

/// Reads an image file whole.
pub(crate) fn image(path: &Path) -> Result<ImageFile> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    // Before it is opened: opening a pipe waits for whoever writes into it.
    let facts = std::fs::metadata(path).map_err(io)?;
    if !facts.is_file() {
        let found = if facts.is_dir() { "a folder" } else { "no regular file" };
        return Err(Error::Decode { path: path.to_owned(), reason: format!("it is {found}") });
    }
    let too_large = |bytes: u64| Error::ImageFile { path: path.to_owned(), bytes, limit: IMAGE };
    if facts.len() > IMAGE {
        return Err(too_large(facts.len()));
    }
    let mut file = File::open(path).map_err(io)?;
    let before = Stamp::from(&file.metadata().map_err(io)?);
    let mut bytes = Vec::with_capacity(facts.len() as usize + 1);
    file.by_ref().take(IMAGE + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > IMAGE {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(ImageFile { bytes, before, after: Stamp::from(&file.metadata().map_err(io)?) })
}

/// Reads a small text file whole.
pub(crate) fn note(path: &Path) -> std::io::Result<Vec<u8>> {
    tables::read_within(path, NOTE, "a short text file")
}

/// Reads a table that is copied row by row, not understood.
pub(crate) fn table(path: &Path) -> std::io::Result<Vec<u8>> {
    tables::read_within(path, TABLE, "a table (divide it)")
}

/// Reads a file that this tool keeps.
pub(crate) fn own(path: &Path) -> std::io::Result<String> {
    let bytes = tables::read_within(path, OWN, "a file that this tool keeps")?;
    String::from_utf8(bytes).map_err(|_| std::io::ErrorKind::InvalidData.into())
}
