//! What a process takes away when it is told to end: what it holds ([`super::Claim`]) and has not completed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::files::lock::Lock;

/// The rest of the program is still at work while a folder is removed, and may make files in it.
const TRIES: usize = 20;

/// What this process holds, the oldest first, each with its number.
static HELD: Mutex<(u64, Vec<(u64, Held)>)> = Mutex::new((0, Vec::new()));

#[derive(Debug)]
pub(super) struct Held {
    /// The file of the lock.
    pub(super) lock: PathBuf,
    /// What it is a lock of: a file or a folder, which has another name until it is complete.
    pub(super) place: PathBuf,
    /// Whether the place is a folder whose contents are worth nothing until they are complete; then, whether it was there before.
    pub(super) contents: Option<bool>,
    /// Folders that were made for the lock, the innermost first. Those that hold something stay.
    pub(super) made: Vec<PathBuf>,
}

/// Adds to what is held, and gives it a number.
pub(super) fn hold(held: Held) -> u64 {
    let (number, list) = &mut *HELD.lock().unwrap_or_else(PoisonError::into_inner);
    *number += 1;
    list.push((*number, held));
    *number
}

/// What had a number is no longer held.
pub(super) fn release(number: u64) -> Option<Held> {
    let (_, list) = &mut *HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let place = list.iter().position(|(other, _)| *other == number)?;
    Some(list.remove(place).1)
}

/// The contents of what has a number are to be taken away too.
pub(super) fn with_contents(number: u64) {
    let (_, list) = &mut *HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, held)) = list.iter_mut().find(|(other, _)| *other == number) {
        held.contents = Some(held.place.exists());
    }
}

/// Removes what the commands of this process have begun and not completed, with their locks. For a process that was told to end, and
/// does so after this, whatever its other threads do.
pub fn abandon() {
    let list = std::mem::take(&mut HELD.lock().unwrap_or_else(PoisonError::into_inner).1);
    for (_, Held { lock, place, contents, made }) in list.into_iter().rev() {
        remove(&partial_of(&place));
        if let Some(was_there) = contents {
            remove(&place);
            if was_there {
                let _ = fs::create_dir(&place);
            }
        }
        Lock::remove_own(&lock);
        let _ = made.iter().try_for_each(fs::remove_dir);
    }
}

/// A failure to clean up does not matter here: the next command clears what it finds.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    for _ in 0..TRIES {
        if fs::remove_dir_all(path).is_ok() || !path.exists() {
            return;
        }
    }
}

/// The name of what is written, until it is complete.
pub(super) fn partial_of(place: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(format!(".partial-{}", std::process::id()));
    place.with_file_name(name)
}
