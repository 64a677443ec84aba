//! A run folder belongs to one process at a time.

use std::{fs, path::Path};

use crate::{
    error::{Error, Result},
    files::lock::{Lock, Refused},
};

/// Name of the lock in the folder of a run.
pub(crate) const LOCK: &str = "run.lock";

/// Name of the lock in a folder that is being made ([`super::NewFolder`]).
pub(super) const MAKING: &str = ".lock";

/// The lock of a run's folder.
#[derive(Debug)]
pub(crate) struct RunLock {
    _lock: Lock,
}

impl RunLock {
    /// Takes the lock of a folder, which is created if needed.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has it, [`Error::Io`] where the file system has no locks.
    pub(crate) fn take(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::io(root))?;
        let path = root.join(LOCK);
        match Lock::take(&path) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err(Refused::Held(holder)) => Err(Error::InUse { path: root.into(), holder }),
            Err(Refused::NoLocks(fault)) => Err(no_locks(&path, &fault)),
            Err(Refused::Io(fault) | Refused::NoLock(fault)) => Err(Error::io(path)(fault)),
        }
    }

    /// Whether a process has the lock of a folder. Changes nothing; a file system without locks has no answer, which counts
    /// as no.
    ///
    /// # Errors
    /// [`Error::InUse`].
    pub(crate) fn check(root: &Path) -> Result<()> {
        Lock::holder(&root.join(LOCK)).map_or(Ok(()), |holder| Err(Error::InUse { path: root.into(), holder }))
    }
}

fn no_locks(path: &Path, fault: &std::io::Error) -> Error {
    let reason = format!("{fault}; this file system has no locks, which keep a run from being written twice at a time");
    Error::Io { path: path.into(), source: std::io::Error::new(fault.kind(), reason) }
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
