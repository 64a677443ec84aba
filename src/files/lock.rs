//! A file that says which process is at work, and is locked as long as it is.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, SystemTime},
};

/// Others may remove the file, or the folder around it, between two calls; more often than this it is no accident.
const TRIES: usize = 20;
/// Who only looks whether somebody holds a lock ([`Lock::holder`], [`Lock::clear`]) has it for a moment; who holds it longer, keeps it.
const LOOKS: usize = 3;
const LOOK: Duration = Duration::from_millis(20);
/// How the text of a lock begins.
const PROCESS: &str = "process ";

/// A lock that the operating system releases when the process ends, however it ends; the file says who holds it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

/// Why a lock cannot be had.
#[derive(Debug)]
pub(super) enum Refused {
    /// A process holds it: its number, machine and start.
    Held(String),
    /// The file system has no locks.
    NoLocks(io::Error),
    /// What is there is no lock of this program, and is left alone.
    NoLock(io::Error),
    /// The file cannot be made.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock, and makes its file and the folders above it if needed. One that a killed process left is taken over; a file
    /// of that name that is no lock is left alone, which is an I/O error.
    pub(super) fn take(path: &Path) -> Result<Self, Refused> {
        let mut last = io::Error::from(ErrorKind::NotFound);
        let mut looks = 0;
        for _ in 0..TRIES {
            // Whoever may write to the folder could have put a link to any file there.
            if path.is_symlink() {
                return Err(Refused::NoLock(not_a_lock(path)));
            }
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
                Err(TryLockError::WouldBlock) if looks < LOOKS => {
                    looks += 1;
                    sleep(LOOK);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Err(Refused::Held(named_in(&mut file))),
                // NFS locks only what is open for writing: whether the other user still has it is not known.
                Err(TryLockError::Error(_)) if !ours => return Err(Refused::Held(named_in(&mut file))),
                Err(TryLockError::Error(fault)) => {
                    if file.metadata().is_ok_and(|facts| facts.len() == 0) {
                        // Made just now, and of no use to anybody.
                        let _ = fs::remove_file(path);
                    }
                    return Err(Refused::NoLocks(fault));
                }
            }
            // Its last owner may have removed the file between the two calls; a lock on a removed file holds nobody off.
            if !is_still_there(&file, path) {
                continue;
            }
            if !is_lock(&mut file).map_err(Refused::Io)? {
                return Err(Refused::NoLock(not_a_lock(path)));
            }
            if !ours {
                // Left by a process that was killed: whoever may write to the folder may make it anew.
                fs::remove_file(path).map_err(Refused::Io)?;
                continue;
            }
            let since = humantime::format_rfc3339_seconds(SystemTime::now());
            let who = format!("{PROCESS}{} on {} since {since}\n", std::process::id(), host());
            let write = |file: &mut File| {
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(who.as_bytes())
            };
            write(&mut file).map_err(Refused::Io)?;
            return Ok(Self { path: path.into(), file });
        }
        Err(Refused::Io(last))
    }

    /// Who holds a lock, if anybody does. Changes nothing; a file system without locks has no answer, which counts as nobody.
    pub(super) fn holder(path: &Path) -> Option<String> {
        for look in 0..=LOOKS {
            let open = OpenOptions::new().read(true).write(true).open(path);
            let ours = open.is_ok();
            let mut file = open.or_else(|_| File::open(path)).ok()?;
            match file.try_lock() {
                Ok(()) => return None,
                Err(TryLockError::WouldBlock) if look < LOOKS => sleep(LOOK),
                Err(TryLockError::WouldBlock) => return Some(named_in(&mut file)),
                // As in `take`: of another user, and not to be asked.
                Err(TryLockError::Error(_)) => return (!ours).then(|| named_in(&mut file)),
            }
        }
        None
    }

    /// Removes the file of a lock that this process holds.
    pub(super) fn remove_own(path: &Path) {
        let own = format!("{PROCESS}{} on {} since ", std::process::id(), host());
        if File::open(path).is_ok_and(|mut file| named_in(&mut file).starts_with(&own)) {
            let _ = fs::remove_file(path);
        }
    }

    /// Removes the file of a lock, if it says that a process of this machine had it, and that process is gone. Of other machines
    /// a file system may not know the locks.
    pub(super) fn clear(path: &Path) {
        // Who reads a pipe waits for somebody to write.
        if !path.symlink_metadata().is_ok_and(|facts| facts.is_file()) {
            return;
        }
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(path) else { return };
        if file.try_lock().is_ok() && is_still_there(&file, path) {
            let holder = named_in(&mut file);
            if holder.starts_with(PROCESS) && holder.contains(&format!(" on {} since ", host())) {
                // A failure to clean up does not matter here.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Drop for Lock {
    /// Removed while it is held: the next process makes its own.
    fn drop(&mut self) {
        if is_still_there(&self.file, &self.path) {
            // One that stays is taken over by the next process.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a file was written by this program as a lock; it is empty if the process was killed in between.
fn is_lock(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.rewind()?;
    Read::by_ref(file).take(PROCESS.len() as u64).read_to_end(&mut start)?;
    Ok(start.is_empty() || start == PROCESS.as_bytes())
}

fn not_a_lock(path: &Path) -> io::Error {
    let reason = format!("{} is there and is no lock; it is left alone", path.display());
    io::Error::new(ErrorKind::AlreadyExists, reason)
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
