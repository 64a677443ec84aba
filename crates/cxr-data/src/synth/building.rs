//! The folder of a set while it is written.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// File in it that its process holds.
const LOCK: &str = "lock";

/// A folder beside that of the set, removed when it is dropped. A process that is killed leaves it; the next one that writes the
/// same set removes it.
#[derive(Debug)]
pub(super) struct Building {
    path: PathBuf,
    lock: Option<File>,
}

impl Building {
    /// Makes the folder, and those above it.
    pub(super) fn begin(out: &Path) -> io::Result<Self> {
        let out = std::path::absolute(out)?; // `.` has no name
        let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let prefix = format!(".{name}.partial-");
        remove_left_over(&out, &prefix);
        let path = out.with_file_name(format!("{prefix}{}", std::process::id()));
        fs::create_dir_all(&path)?;
        let lock = File::create(path.join(LOCK)).ok().filter(|file| file.try_lock().is_ok());
        Ok(Self { path, lock })
    }

    /// Where the set is written, in a folder of its own, which has the usual permissions.
    pub(super) fn set(&self) -> PathBuf {
        self.path.join("set")
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        drop(self.lock.take());
        // A failure to clean up matters less than the error that led here, if there was one.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn remove_left_over(out: &Path, prefix: &str) {
    let Some(entries) = out.parent().and_then(|parent| fs::read_dir(parent).ok()) else { return };
    for entry in entries.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.strip_prefix(prefix)?.parse::<u32>().ok());
        let free = |number: u32| match File::open(entry.path().join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            // Killed before it made its lock, or it has just begun.
            Err(_) => Path::new("/proc/self").exists() && !Path::new("/proc").join(number.to_string()).exists(),
        };
        if number.is_some_and(free) {
            // A failure to clean up does not matter here.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_being_written_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (out, killed, held) =
            (dir.path().join("out"), dir.path().join(".out.partial-1"), dir.path().join(".out.partial-2"));
        for folder in [&killed, &held] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join(LOCK), "").unwrap();
        }
        let holder = File::open(held.join(LOCK)).unwrap();
        holder.lock().unwrap();
        let building = Building::begin(&out).unwrap();
        assert!(building.path.is_dir() && !killed.exists() && held.exists());
        drop(building);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
