//! What a command is going to write belongs to that command from its start: a second one is refused before its work, not after.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    files::{
        Existing, RunFolder,
        abandon::{Begun, Things, partial_of},
        lock::{Lock, Refused},
    },
};

/// Bytes of a name at most: file systems take 255, and the number of the process and a few words are added until it is complete.
const LONGEST: usize = 215;

/// The name of a new file or folder, taken until this is dropped.
///
/// The lock is a file beside it, `.NAME.lock`, which says who holds it. The operating system releases it when the process ends,
/// however it ends. Where the file system has no locks, nobody is held off; then the last of two to finish finds that the other
/// one was there, and loses nothing but its own work.
#[derive(Debug)]
pub struct Claim {
    lock: Option<Lock>,
    begun: Begun,
}

impl Claim {
    /// Takes the name of a folder, which must be new or empty.
    ///
    /// # Errors
    /// As [`Self::name`], and [`Error::NotEmpty`], [`Error::InUse`].
    pub fn folder(out: &Path) -> Result<Self> {
        RunFolder::check(out, Existing::Refuse)?;
        let claim = Self::name(out)?;
        // Who had it may have finished between the two.
        RunFolder::check(out, Existing::Refuse)?;
        Ok(claim)
    }

    /// Takes the name of a file, which must be new.
    ///
    /// # Errors
    /// As [`Self::name`], and [`Error::Exists`]; a name with a separator at its end.
    pub fn file(out: &Path) -> Result<Self> {
        if out.as_os_str().as_encoded_bytes().ends_with(b"/") {
            let (found, expected) = ("the name of a folder, with / at its end".into(), "that of a new file".into());
            return Err(Error::Setting { key: out.display().to_string(), found, expected });
        }
        let absent = || if out.exists() { Err(Error::Exists { path: out.into() }) } else { Ok(()) };
        absent()?;
        let claim = Self::name(out)?;
        absent()?;
        Ok(claim)
    }

    /// Takes a name, whatever may be there.
    ///
    /// # Errors
    /// [`Error::Claimed`] if another process has it; [`Error::Setting`] for what can be no new file or folder; an I/O error where
    /// nothing can be written beside it.
    pub fn name(out: &Path) -> Result<Self> {
        let place = new_place(out)?;
        let made: Vec<_> = place.ancestors().skip(1).take_while(|above| !above.exists()).map(Path::to_owned).collect();
        let lock = match Lock::take(&lock_of(&place)) {
            Ok(lock) => {
                clear_left_over(&place);
                Some(lock)
            }
            Err(Refused::Held(holder)) => return Err(Error::Claimed { path: out.into(), holder }),
            Err(Refused::NoLocks(_)) => None,
            Err(Refused::NoLock(fault)) => return Err(Error::Io { path: out.into(), source: fault }),
            Err(Refused::Io(fault)) => {
                let _ = made.iter().try_for_each(fs::remove_dir);
                let reason =
                    format!("{fault}; nothing can be written beside it, where it is made before it gets its name");
                return Err(Error::Io { path: out.into(), source: io::Error::new(fault.kind(), reason) });
            }
        };
        let held = lock.is_some().then(|| lock_of(&place));
        let begun = Begun::new(Things { lock: held, incomplete: vec![partial_of(&place)], made });
        Ok(Self { lock, begun })
    }

    /// Takes the name of a run's folder for as long as the lock within it is not there yet. One that need not be made may lie in
    /// a folder that cannot be written.
    ///
    /// # Errors
    /// [`Error::Claimed`] if another process has it.
    pub(crate) fn of_run(root: &Path) -> Result<Option<Self>> {
        match Self::name(root) {
            Err(fault @ Error::Claimed { .. }) => Err(fault),
            claim => Ok(claim.ok()),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let made = self.begun.end().map(|things| things.made).unwrap_or_default();
        drop(self.lock.take());
        // A command that failed leaves no empty folders. Of those that hold something none can be removed.
        let _ = made.iter().try_for_each(fs::remove_dir);
    }
}

/// Removes the locks of processes that were killed, of any name in the same folder: nobody may ever ask for those again.
fn clear_left_over(place: &Path) {
    let Some(entries) = place.parent().and_then(|folder| fs::read_dir(folder).ok()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b".") && name.ends_with(b".lock") && entry.path() != lock_of(place) {
            Lock::clear(&entry.path());
        }
    }
}

fn lock_of(place: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(".lock");
    place.with_file_name(name)
}

/// The true path of what is to be made.
///
/// # Errors
/// A path without a name, a link to nothing, a place where a file system is mounted: none could be renamed to in the end.
pub(super) fn new_place(out: &Path) -> Result<PathBuf> {
    let refuse = |found: &str, expected: &str| {
        let (key, found, expected) = (out.display().to_string(), found.to_owned(), expected.to_owned());
        Err(Error::Setting { key, found, expected })
    };
    let bytes = out.file_name().map_or(0, std::ffi::OsStr::len);
    if bytes > LONGEST {
        let expected = format!("at most {LONGEST}: until it is complete it has a longer one");
        return refuse(&format!("a name of {bytes} bytes"), &expected);
    }
    if !out.exists() {
        if out.is_symlink() {
            return refuse("a link to something that is not there", "a new name, or a link to an empty folder");
        }
        return match out.file_name() {
            Some(_) => std::path::absolute(out).map_err(Error::io(out)),
            None => refuse("no name at its end", "a path that ends in the name of what is made"),
        };
    }
    let place = out.canonicalize().map_err(Error::io(out))?;
    if is_mounted(&place) {
        return refuse(
            "the place of a file system or of a container's volume",
            "a new folder below it, which can be renamed when it is complete",
        );
    }
    Ok(place)
}

/// Whether a folder is on another file system than the one that it is in.
#[cfg(unix)]
fn is_mounted(place: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|facts| facts.dev()).ok();
    place.is_dir() && place.parent().is_none_or(|above| device(place) != device(above))
}

#[cfg(not(unix))]
fn is_mounted(_: &Path) -> bool {
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_second_command_is_told_who_is_there_and_a_stale_lock_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("below/out");
        let claim = Claim::folder(&out).unwrap();
        assert_eq!(names(&dir.path().join("below")), [".out.lock"]);
        for second in [Claim::folder(&out), Claim::file(&out), Claim::name(&dir.path().join("below/../below/out"))] {
            let text = second.unwrap_err().to_string();
            let who = format!("below/out: process {} on ", std::process::id());
            assert!(text.contains("out: process ") && text.contains(who.rsplit_once("out: ").unwrap().1), "{text}");
        }
        assert!(Claim::of_run(&out).is_err());
        drop(claim);
        assert_eq!(names(dir.path()), [""; 0], "what was made for the lock is removed");

        fs::write(dir.path().join(".out.lock"), "process 1 on nowhere since never\n").unwrap(); // of one that was killed
        drop(Claim::folder(&dir.path().join("out")).unwrap());
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn locks_of_killed_processes_are_cleared_and_files_of_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let here = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        write(".killed.lock", &format!("process 1 on {} since never\n", here.trim()));
        write(".elsewhere.lock", "process 1 on another machine since never\n");
        write(".other.lock", "of an editor");
        write(".empty.lock", "");
        let held = Claim::folder(&dir.path().join("held")).unwrap();
        let claim = Claim::folder(&dir.path().join("out")).unwrap();
        let mut left = names(dir.path());
        left.sort();
        assert_eq!(left, [".elsewhere.lock", ".empty.lock", ".held.lock", ".other.lock", ".out.lock"]);
        drop((held, claim));
        std::os::unix::fs::symlink(".other.lock", dir.path().join(".link.lock")).unwrap();
        assert!(Claim::folder(&dir.path().join("link")).is_err());
        let text = Claim::folder(&dir.path().join("other")).unwrap_err().to_string();
        assert!(text.contains(".other.lock is there and is no lock"), "{text}");
        let other = dir.path().join(".other.lock");
        let mut rights = fs::metadata(&other).unwrap().permissions();
        rights.set_readonly(true);
        fs::set_permissions(&other, rights).unwrap();
        assert!(Claim::folder(&dir.path().join("other")).is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "of an editor");
    }

    #[test]
    fn what_is_there_and_what_can_never_be_renamed_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(matches!(Claim::file(&file), Err(Error::Exists { .. })));
        assert!(matches!(Claim::folder(&file), Err(Error::Setting { .. })));
        assert!(Claim::file(&dir.path().join("new.csv/")).unwrap_err().to_string().contains("with / at its end"));
        assert!(matches!(Claim::folder(dir.path()), Err(Error::NotEmpty { .. })));
        let long = dir.path().join("n".repeat(216));
        assert!(Claim::folder(&long).unwrap_err().to_string().contains("a name of 216 bytes"));
        assert!(Claim::folder(&long.with_file_name("n".repeat(215))).is_ok());
        assert!(Claim::folder(&dir.path().join("new/..")).unwrap_err().to_string().contains("no name at its end"));
        assert_eq!(names(dir.path()), ["file"]);
        #[cfg(target_os = "linux")]
        assert!(Claim::name(Path::new("/proc")).unwrap_err().to_string().contains("a file system"));
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_an_empty_folder_is_that_folder_and_one_to_nothing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("true")).unwrap();
        std::os::unix::fs::symlink("true", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
        let claim = Claim::folder(&dir.path().join("link")).unwrap();
        assert!(Claim::folder(&dir.path().join("true")).is_err());
        drop(claim);
        let text = Claim::folder(&dir.path().join("dangling")).unwrap_err().to_string();
        assert!(text.contains("a link to something that is not there"), "{text}");
    }
}
