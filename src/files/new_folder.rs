//! A folder of results that appears only when it is complete.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    files::{
        Existing, RunFolder,
        abandon::{partial_of, prefix_of},
        claim::new_place,
        run_lock::MAKING,
        whole::is_gone,
    },
};

/// A folder written under a temporary name next to its own and renamed when complete. If dropped before that, it is removed.
#[derive(Debug)]
pub struct NewFolder {
    partial: PathBuf,
    out: PathBuf,
    /// Held, so that what a killed process left can be told from what is being written; `None` where there are no locks.
    lock: Option<File>,
}

impl NewFolder {
    /// Begins the folder `out`, which must be new or empty. What killed processes left of the same folder is removed.
    ///
    /// # Errors
    /// [`Error::NotEmpty`]; [`Error::Setting`] for what can be no new folder; an I/O error.
    pub fn begin(out: &Path) -> Result<Self> {
        RunFolder::check(out, Existing::Refuse)?;
        let out = new_place(out)?;
        remove_left_over(&out, &prefix_of(&out));
        let partial = partial_of(&out);
        fs::create_dir_all(&partial).map_err(Error::io(&partial))?;
        let lock = File::create(partial.join(MAKING)).ok().filter(|file| file.try_lock().is_ok());
        Ok(Self { partial, out, lock })
    }

    /// The temporary path, to write the files to.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Renames the folder to its final name.
    ///
    /// # Errors
    /// An I/O error, for example because the folder is no longer empty.
    pub fn finish(mut self) -> Result<()> {
        if self.out.exists() {
            // Fails unless the folder is empty, so nothing is lost.
            fs::remove_dir(&self.out).map_err(Error::io(&self.out))?;
        }
        // Removed while it is held: without it nobody takes the folder for one that was left over.
        let lock = self.partial.join(MAKING);
        fs::remove_file(&lock).or_else(|e| if lock.exists() { Err(e) } else { Ok(()) }).map_err(Error::io(&lock))?;
        drop(self.lock.take());
        fs::rename(&self.partial, &self.out).map_err(Error::io(&self.out))
    }
}

/// Removes folders of killed processes: those whose lock is free.
fn remove_left_over(out: &Path, prefix: &str) {
    let Some(entries) = out.parent().and_then(|parent| fs::read_dir(parent).ok()) else { return };
    for entry in entries.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.strip_prefix(prefix)?.parse::<u32>().ok());
        // For writing, since NFS locks nothing else.
        let open = OpenOptions::new().read(true).write(true).open(entry.path().join(MAKING));
        let free = |number: u32| match open {
            Ok(lock) => lock.try_lock().is_ok(),
            // Of another user, who removes it.
            Err(fault) if fault.kind() == ErrorKind::PermissionDenied => false,
            // Without that file for a moment: its process has just begun, or is about to finish.
            Err(_) => is_gone(number),
        };
        if number.is_some_and(free) {
            // A failure to clean up does not matter here.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        drop(self.lock.take());
        // After `finish` there is nothing; otherwise a failure to clean up matters less than the error that led here.
        let _ = fs::remove_dir_all(&self.partial);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_only_when_complete() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("below/out");
        let write = |folder: &NewFolder| std::fs::write(folder.path().join("a"), "a").unwrap();
        let dropped = NewFolder::begin(&out).unwrap();
        write(&dropped);
        drop(dropped);
        assert_eq!(std::fs::read_dir(dir.path().join("below")).unwrap().count(), 0);

        std::fs::create_dir(&out).unwrap(); // empty: may be used
        let finished = NewFolder::begin(&out).unwrap();
        write(&finished);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
        finished.finish().unwrap();
        assert_eq!(std::fs::read_to_string(out.join("a")).unwrap(), "a");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1); // no lock
        assert!(matches!(NewFolder::begin(&out), Err(Error::NotEmpty { .. })));
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_being_written_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |number: u32| dir.path().join(format!(".out.partial-{number}"));
        for (path, locked) in [(folder(4_000_000_001), true), (folder(4_000_000_002), false)] {
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("scores.csv"), "a").unwrap();
            if locked {
                std::fs::write(path.join(MAKING), "").unwrap();
            }
        }
        let being_written = File::create(folder(4_000_000_002).join(MAKING)).unwrap();
        being_written.try_lock().unwrap();
        // Killed before it could say that it writes, or after it had said that it has written.
        std::fs::create_dir(folder(4_000_000_003)).unwrap();
        std::fs::create_dir(dir.path().join(".out.partial-mine")).unwrap(); // not ours
        std::fs::create_dir(dir.path().join(".output.partial-1")).unwrap(); // of another folder

        NewFolder::begin(&dir.path().join("out")).unwrap().finish().unwrap();
        let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        left.retain(|name| cfg!(target_os = "linux") || name != ".out.partial-4000000003");
        assert_eq!(left, [".out.partial-4000000002", ".out.partial-mine", ".output.partial-1", "out"]);
    }
}
