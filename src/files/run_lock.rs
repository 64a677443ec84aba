//! A run folder belongs to one process at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::error::{Error, Result};

/// Name of the lock in the folder of a run.
pub(crate) const LOCK: &str = "run.lock";

/// Name of the lock in a folder that is being made ([`super::NewFolder`]).
pub(super) const MAKING: &str = ".lock";

/// A lock that the operating system releases when the process ends, however it ends; `run.lock` says who holds it.
#[derive(Debug)]
pub(crate) struct RunLock {
    path: PathBuf,
    _file: File,
}

impl RunLock {
    /// Takes the lock of a folder, which is created if needed.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has it, [`Error::Io`] where the file system has no locks.
    pub(crate) fn take(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::io(root))?;
        let path = root.join(LOCK);
        loop {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = open.map_err(Error::io(&path))?;
            match file.try_lock() {
                Ok(()) => (),
                Err(TryLockError::WouldBlock) => return Err(in_use(root, &mut file)),
                Err(TryLockError::Error(fault)) => return Err(no_locks(&path, &fault)),
            }
            // Its last owner may have removed the file between the two calls; a lock on a removed file holds nobody off.
            if !is_still_there(&file, &path) {
                continue;
            }
            let since = humantime::format_rfc3339_seconds(SystemTime::now());
            let who = format!("process {} on {} since {since}\n", std::process::id(), host());
            file.set_len(0).and_then(|()| file.write_all(who.as_bytes())).map_err(Error::io(&path))?;
            return Ok(Self { path, _file: file });
        }
    }

    /// Whether a process has the lock of a folder. Changes nothing; a file system without locks has no answer, which counts
    /// as no.
    ///
    /// # Errors
    /// [`Error::InUse`].
    pub(crate) fn check(root: &Path) -> Result<()> {
        match OpenOptions::new().read(true).write(true).open(root.join(LOCK)) {
            Ok(mut file) if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) => Err(in_use(root, &mut file)),
            _ => Ok(()),
        }
    }
}

impl Drop for RunLock {
    /// Removed while it is held: the next process makes its own.
    fn drop(&mut self) {
        // One that stays is taken over by the next process.
        let _ = fs::remove_file(&self.path);
    }
}

fn in_use(root: &Path, file: &mut File) -> Error {
    let mut holder = String::new();
    // Unreadable: who it is stays unknown.
    let _ = file.take(4096).read_to_string(&mut holder);
    let holder = holder.lines().next().unwrap_or_default().to_owned();
    Error::InUse { path: root.into(), holder: if holder.is_empty() { "another process".into() } else { holder } }
}

fn no_locks(path: &Path, fault: &std::io::Error) -> Error {
    let reason = format!("{fault}; this file system has no locks, which keep a run from being written twice at a time");
    Error::Io { path: path.into(), source: std::io::Error::new(fault.kind(), reason) }
}

fn host() -> String {
    let read = |path| fs::read_to_string(path).ok().map(|name: String| name.trim().to_owned());
    let name = read("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok());
    name.or_else(|| std::env::var("COMPUTERNAME").ok()).unwrap_or_else(|| "this machine".into())
}

#[cfg(unix)]
fn is_still_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |here: fs::Metadata, there: fs::Metadata| (here.dev(), here.ino()) == (there.dev(), there.ino());
    file.metadata().is_ok_and(|here| fs::metadata(path).is_ok_and(|there| same(here, there)))
}

/// Elsewhere a file that is open is not removed.
#[cfg(not(unix))]
fn is_still_there(_: &File, path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_who_is_there_and_a_stale_one_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        RunLock::check(dir.path()).unwrap();
        let lock = RunLock::take(dir.path()).unwrap();
        for second in [RunLock::take(dir.path()).map(|_| ()), RunLock::check(dir.path())] {
            let text = second.unwrap_err().to_string();
            assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        }
        drop(lock);
        assert!(!dir.path().join(LOCK).exists());

        fs::write(dir.path().join(LOCK), "process 1 on nowhere since never\n").unwrap(); // of a process that was killed
        RunLock::check(dir.path()).unwrap();
        let lock = RunLock::take(dir.path()).unwrap();
        let who = fs::read_to_string(dir.path().join(LOCK)).unwrap();
        assert!(who.contains(&std::process::id().to_string()) && !who.contains("nowhere"), "{who}");
        drop(lock);
    }
}
