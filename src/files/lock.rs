//! A file that says which process is at work, and is locked as long as it is.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, SystemTime},
};

/// Others may remove the file, or the folder around it, between two calls; more often than this it is no accident.
const TRIES: usize = 20;
/// Who only looks whether somebody holds a lock ([`Lock::holder`], [`Lock::clear`]) has it for a moment; who holds it longer, keeps it.
const LOOKS: usize = 3;
const LOOK: Duration = Duration::from_millis(20);

/// A lock that the operating system releases when the process ends, however it ends; the file says who holds it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

/// Why a lock cannot be had.
#[derive(Debug)]
pub(super) enum Refused {
    /// A process holds it: its number, machine and start.
    Held(String),
    /// The file system has no locks.
    NoLocks(io::Error),
    /// The file cannot be made.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock, and makes its file and the folders above it if needed. One that a killed process left is taken over.
    pub(super) fn take(path: &Path) -> Result<Self, Refused> {
        let mut last = io::Error::from(ErrorKind::NotFound);
        for tried in 0..TRIES {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let (mut file, ours) = match open {
                Ok(file) => (file, true),
                Err(fault) if fault.kind() == ErrorKind::NotFound => {
                    last = fault;
                    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(Refused::Io)?;
                    continue;
                }
                // Of another user, who may still hold it.
                Err(fault) if fault.kind() == ErrorKind::PermissionDenied => match File::open(path) {
                    Ok(file) => (file, false),
                    Err(_) => return Err(Refused::Io(fault)),
                },
                Err(fault) => return Err(Refused::Io(fault)),
            };
            match file.try_lock() {
                Ok(()) => (),
                Err(TryLockError::WouldBlock) if tried < LOOKS => {
                    sleep(LOOK);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Err(Refused::Held(named_in(&mut file))),
                Err(TryLockError::Error(fault)) => return Err(Refused::NoLocks(fault)),
            }
            // Its last owner may have removed the file between the two calls; a lock on a removed file holds nobody off.
            if !is_still_there(&file, path) {
                continue;
            }
            if !ours {
                // Left by a process that was killed: whoever may write to the folder may make it anew.
                fs::remove_file(path).map_err(Refused::Io)?;
                continue;
            }
            let since = humantime::format_rfc3339_seconds(SystemTime::now());
            let who = format!("process {} on {} since {since}\n", std::process::id(), host());
            file.set_len(0).and_then(|()| file.write_all(who.as_bytes())).map_err(Refused::Io)?;
            return Ok(Self { path: path.into(), _file: file });
        }
        Err(Refused::Io(last))
    }

    /// Who holds a lock, if anybody does. Changes nothing; a file system without locks has no answer, which counts as nobody.
    pub(super) fn holder(path: &Path) -> Option<String> {
        let open = OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path));
        let mut file = open.ok()?;
        matches!(file.try_lock(), Err(TryLockError::WouldBlock)).then(|| named_in(&mut file))
    }

    /// Removes the file of a lock, if it says that a process had it, and that process is gone.
    pub(super) fn clear(path: &Path) {
        // Who reads a pipe waits for somebody to write.
        if !path.symlink_metadata().is_ok_and(|facts| facts.is_file()) {
            return;
        }
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(path) else { return };
        if file.try_lock().is_ok() && is_still_there(&file, path) {
            let holder = named_in(&mut file);
            if holder.starts_with("process ") && holder.contains(" since ") {
                // A failure to clean up does not matter here.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Drop for Lock {
    /// Removed while it is held: the next process makes its own.
    fn drop(&mut self) {
        // One that stays is taken over by the next process.
        let _ = fs::remove_file(&self.path);
    }
}

fn named_in(file: &mut File) -> String {
    let mut holder = String::new();
    // Unreadable: who it is stays unknown.
    let _ = file.take(4096).read_to_string(&mut holder);
    let holder = holder.lines().next().unwrap_or_default();
    if holder.is_empty() { "another process".into() } else { holder.to_owned() }
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
