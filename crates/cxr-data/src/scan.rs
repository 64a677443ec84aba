//! What was seen in images, each decoded once: by the audit and before work begins. It can be kept on disk by path, size and
//! time of each file, so that a second command need not decode them again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::decode::{Decoded, Format};
use crate::looks::{Looks, Remark};
use crate::phash::Fingerprint;
use crate::stamp::Stamp;
use crate::{Error, PixelHash, Result};

/// What is kept of an image: about 1.2 KB.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) print: Fingerprint,
    pub(crate) looks: Looks,
    /// What was done to its pixels.
    pub(crate) done: Vec<Remark>,
    /// The format that the file has.
    pub(crate) format: Format,
}

impl Seen {
    pub(crate) fn of(decoded: &Decoded) -> Self {
        Self {
            print: Fingerprint::of(&decoded.image),
            looks: Looks::of(&decoded.image),
            done: decoded.done.clone(),
            format: decoded.format,
        }
    }

    pub(crate) fn pixels(&self) -> PixelHash {
        self.print.pixels
    }

    /// What there is to say of the image.
    pub(crate) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = self.looks.remarks();
        remarks.extend(&self.done);
        remarks
    }
}

/// Version of the file, and of what is measured: another one is not read.
const VERSION: &str = "moco-cxr scan 2";

/// Age at which a file that is being written was left over.
const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// What was seen in the images of a folder by an earlier command.
///
/// The file is a line with the version, a JSON object a line for each image, and a line with a checksum of these; it is read
/// and written line by line, and is there whole or not at all. Images that could not be read are not kept.
#[derive(Debug)]
pub struct ScanStore {
    file: PathBuf,
    seen: HashMap<String, (Stamp, Seen)>,
    changed: bool,
    reused: usize,
}

impl ScanStore {
    /// Reads what is kept in `folder` of the images below `root`; nothing, if there is nothing that can be trusted.
    ///
    /// # Errors
    /// A folder that does not exist (`root`) or cannot be made (`folder`).
    pub fn open(folder: &Path, root: &Path) -> Result<Self> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let root = root.canonicalize().map_err(io(root))?;
        let name = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
        let file = folder.join(format!("{}.scan", &name[..32]));
        let seen = read(&file).unwrap_or_default();
        Ok(Self { file, seen, changed: false, reused: 0 })
    }

    /// That in a file of its own, as one of several processes leaves it; empty, if there is none that can be trusted.
    #[must_use]
    pub fn in_file(file: &Path) -> Self {
        let seen = read(file).unwrap_or_default();
        Self { file: file.to_owned(), seen, changed: true, reused: 0 }
    }

    /// Adds what another one knows.
    pub fn absorb(&mut self, other: Self) {
        self.changed |= !other.seen.is_empty();
        self.seen.extend(other.seen);
    }

    /// Images that need not be decoded again, of those asked for so far.
    pub fn reused(&self) -> usize {
        self.reused
    }

    /// What was seen in a file, if it has not changed.
    pub(crate) fn get(&self, path: &Path) -> Option<(Stamp, &Seen)> {
        let (stamp, seen) = self.seen.get(&key(path))?;
        (Stamp::of(path).ok()? == *stamp).then_some((*stamp, seen))
    }

    pub(crate) fn count_reused(&mut self, images: usize) {
        self.reused += images;
    }

    /// Keeps what was seen in a file that was in this state before it was read. Without a time it could not be recognised.
    pub(crate) fn put(&mut self, path: &Path, stamp: Stamp, seen: &Seen) {
        if stamp.time > 0 {
            self.seen.insert(key(path), (stamp, seen.clone()));
            self.changed = true;
        }
    }

    /// Writes what is new. A folder that cannot be written to leaves things as they were.
    ///
    /// # Errors
    /// None in practice: what is kept can be made again.
    pub fn save(self) -> Result<()> {
        if self.changed {
            // As good as not having run before.
            let _ = self.write();
        }
        Ok(())
    }

    fn write(&self) -> std::io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        remove_left_over(folder);
        let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
        writeln!(file, "{VERSION}")?;
        let (mut checksum, mut line) = (crc32fast::Hasher::new(), Vec::new());
        for (path, (stamp, seen)) in &self.seen {
            line.clear();
            serde_json::to_writer(&mut line, &(path, stamp, seen))?;
            line.push(b'\n');
            checksum.update(&line);
            file.write_all(&line)?;
        }
        writeln!(file, "{:08x}", checksum.finalize())?;
        file.into_inner()?.persist(&self.file)?;
        Ok(())
    }
}

/// Removes what killed processes left: no writing takes a day.
fn remove_left_over(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|facts| facts.modified()).ok().and_then(|time| time.elapsed().ok());
        if entry.file_name().to_string_lossy().starts_with(".tmp") && age.is_some_and(|age| age > DAY) {
            // A failure to clean up does not matter here.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn key(path: &Path) -> String {
    crate::inventory::to_text(path)
}

fn read(file: &Path) -> Option<HashMap<String, (Stamp, Seen)>> {
    let mut lines = BufReader::new(File::open(file).ok()?);
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    if line.trim_end() != VERSION {
        return None;
    }
    let (mut checksum, mut seen) = (crc32fast::Hasher::new(), HashMap::new());
    loop {
        line.clear();
        lines.read_line(&mut line).ok()?;
        if !line.starts_with('[') {
            return (line.trim_end() == format!("{:08x}", checksum.finalize())).then_some(seen);
        }
        checksum.update(line.as_bytes());
        let (path, stamp, of_image): (String, Stamp, Seen) = serde_json::from_str(&line).ok()?;
        seen.insert(path, (stamp, of_image));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_after_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let (old, young, other) = (dir.path().join(".tmpold"), dir.path().join(".tmpyoung"), dir.path().join("notes"));
        for (path, age) in [(&old, 2), (&young, 0), (&other, 2)] {
            File::create(path).unwrap().set_modified(SystemTime::now() - age * DAY).unwrap();
        }
        remove_left_over(dir.path());
        assert!(!old.exists() && young.exists() && other.exists());
    }
}
