//! Atomic writes. For a file that must not exist yet, see [`eval::write_new`].

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use crate::error::{Error, Result};

/// Writes a file under a temporary name and renames it, replacing an existing one. A process killed meanwhile leaves the old
/// file, or none, and what it left beside is removed by the next.
///
/// # Errors
/// An I/O error with the path.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    remove_left_over(path);
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

/// Removes what killed processes left of a file.
fn remove_left_over(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Some(stem), Ok(entries)) = (path.file_stem().and_then(|stem| stem.to_str()), fs::read_dir(folder)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(stem)?.strip_prefix(".partial-")?.parse().ok());
        if process.is_some_and(is_gone) {
            // A failure to clean up does not matter here.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a process has certainly ended, where the system says so.
pub(super) fn is_gone(process: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new("/proc").join(process.to_string()).exists()
}
