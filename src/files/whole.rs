//! Atomic writes.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use crate::error::{Error, Result};

/// Writes a file under a temporary name and renames it, replacing an existing one. A process killed meanwhile leaves the old
/// file, or none.
///
/// # Errors
/// An I/O error with the path.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    // A name per process: two runs may write the same file of the cache folder.
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let written = File::create(&partial).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let renamed = written.and_then(|()| fs::rename(&partial, path));
    if renamed.is_err() {
        // A failure to clean up matters less than the error that led here.
        let _ = fs::remove_file(&partial);
    }
    renamed.map_err(io)
}
