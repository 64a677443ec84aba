//! A folder of results that appears only when it is complete.

use std::path::{Path, PathBuf};

use crate::{
    error::{Error, Result},
    files::{Existing, RunFolder},
};

/// A folder written under a temporary name next to its own and renamed when complete. If dropped before that, it is removed.
#[derive(Debug)]
pub(crate) struct NewFolder {
    partial: PathBuf,
    out: PathBuf,
    finished: bool,
}

impl NewFolder {
    /// Begins the folder `out`, which must be new or empty.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], or an I/O error.
    pub(crate) fn begin(out: &Path) -> Result<Self> {
        RunFolder::check(out, Existing::Refuse)?;
        let out = std::path::absolute(out).map_err(Error::io(out))?; // `.` has no name
        let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let partial = out.with_file_name(format!(".{name}.partial-{}", std::process::id()));
        std::fs::create_dir_all(&partial).map_err(Error::io(&partial))?;
        Ok(Self { partial, out, finished: false })
    }

    /// The temporary path, to write the files to.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// Renames the folder to its final name.
    ///
    /// # Errors
    /// An I/O error, for example because the folder is no longer empty.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.out.exists() {
            // Fails unless the folder is empty, so nothing is lost.
            std::fs::remove_dir(&self.out).map_err(Error::io(&self.out))?;
        }
        std::fs::rename(&self.partial, &self.out).map_err(Error::io(&self.out))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.finished {
            // A failure to clean up matters less than the error that led here.
            let _ = std::fs::remove_dir_all(&self.partial);
        }
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
        assert!(matches!(NewFolder::begin(&out), Err(Error::NotEmpty { .. })));
    }
}
