//! What a process takes away when it is told to end: its locks, and what it has begun and not completed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use crate::files::lock::Lock;

/// The rest of the program is still at work meanwhile, and may make anew what was taken away, until it fails for that. So often it is
/// looked for in all, and so often in succession it must not be there.
const TRIES: usize = 100;
const ABSENT: usize = 3;
const PAUSE: Duration = Duration::from_millis(5);

/// What this process has begun, the oldest first, each with its number.
static BEGUN: Mutex<(u64, Vec<(u64, Things)>)> = Mutex::new((0, Vec::new()));
static ENDING: AtomicBool = AtomicBool::new(false);

/// Things of this process alone.
#[derive(Debug)]
pub(crate) struct Things {
    /// The file of a lock.
    pub(crate) lock: Option<PathBuf>,
    /// Files and folders that are worth nothing until they are complete, and then have another name or are no longer here.
    pub(crate) incomplete: Vec<PathBuf>,
    /// Folders that were made for these, the innermost first. Those that hold something stay.
    pub(crate) made: Vec<PathBuf>,
}

/// Something that was begun; completed, or cleared up by others, when this is dropped.
#[derive(Debug)]
pub(crate) struct Begun(u64);

impl Begun {
    pub(crate) fn new(things: Things) -> Self {
        let (number, list) = &mut *BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        list.push((*number, things));
        Self(*number)
    }

    /// Gives back what is no longer to be taken away; nothing if that has happened.
    pub(crate) fn end(&mut self) -> Option<Things> {
        let (_, list) = &mut *BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
        let place = list.iter().position(|(number, _)| *number == self.0)?;
        Some(list.remove(place).1)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.end();
    }
}

/// Takes away the locks of this process, what it has begun and not completed, and folders that it made for these. For a process
/// that is told to end, and ends after this whatever its other threads do.
pub fn abandon() {
    ENDING.store(true, Ordering::SeqCst);
    let list = std::mem::take(&mut BEGUN.lock().unwrap_or_else(PoisonError::into_inner).1);
    // A failure to clean up does not matter here: the next command clears what it finds.
    for (_, Things { lock, incomplete, made }) in list.into_iter().rev() {
        incomplete.iter().for_each(|path| take_away(path));
        lock.iter().for_each(|path| Lock::remove_own(path));
        let _ = made.iter().try_for_each(fs::remove_dir);
    }
}

/// Whether [`abandon`] was called, so that what goes wrong now is not worth a message.
pub fn is_abandoned() -> bool {
    ENDING.load(Ordering::SeqCst)
}

/// Removes a file or a folder. It gets another name first: what has been completed, and so renamed, in the meantime is not touched.
fn take_away(path: &Path) {
    let Some(name) = path.file_name() else { return };
    let mut other = std::ffi::OsString::from(".");
    other.push(name);
    other.push(format!(".abandoned-{}", std::process::id()));
    let other = path.with_file_name(other);
    let mut absent = 0;
    for _ in 0..TRIES {
        if fs::rename(path, &other).is_ok() {
            absent = 0;
            let _ = fs::remove_dir_all(&other).or_else(|_| fs::remove_file(&other));
        } else {
            absent += 1;
            if absent == ABSENT {
                return;
            }
        }
        sleep(PAUSE);
    }
}

/// The name that a new file or folder has until it is complete.
pub(crate) fn partial_of(place: &Path) -> PathBuf {
    place.with_file_name(format!("{}{}", prefix_of(place), std::process::id()))
}

/// How that name begins, whichever process it is of.
pub(super) fn prefix_of(place: &Path) -> String {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!(".{name}.partial-")
}
