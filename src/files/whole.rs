//! A file that appears whole or not at all. Where none may be there yet, see [`eval::write_new`].

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use crate::error::{Error, Result};

/// Writes a file beside its place and renames it, replacing one that is there. A program that is ended meanwhile leaves the
/// old file, or none.
///
/// # Errors
/// What the disk says, with the path.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    // Of one process each: two runs may write the same file of the cache folder.
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let written = File::create(&partial).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let renamed = written.and_then(|()| fs::rename(&partial, path));
    if renamed.is_err() {
        // The error that led here matters more than one of cleaning up.
        let _ = fs::remove_file(&partial);
    }
    renamed.map_err(io)
}
