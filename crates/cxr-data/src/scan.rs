//! What was seen in images, each decoded once: by the audit and before work begins. It can be kept on disk by path, size and
//! time of each file, so that a second command need not decode them again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
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
const VERSION: &str = "moco-cxr scan 1";

/// What was seen in the images of a folder by an earlier command.
///
/// The file is a line with the version, one with a checksum, and a JSON object a line for each image; it is written whole or
/// not at all. Images that could not be read are not kept.
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
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let mut out = BufWriter::new(file.as_file_mut());
        // Line by line, because all of it is 600 MB for a large set; the checksum is not known before the end.
        writeln!(out, "{VERSION}\n{:08x}", 0)?;
        let (mut line, mut checksum) = (Vec::new(), crc32fast::Hasher::new());
        for (path, (stamp, seen)) in &self.seen {
            line.clear();
            serde_json::to_writer(&mut line, &(path, stamp, seen))?;
            line.push(b'\n');
            checksum.update(&line);
            out.write_all(&line)?;
        }
        out.seek(SeekFrom::Start(VERSION.len() as u64 + 1))?;
        write!(out, "{:08x}", checksum.finalize())?;
        out.flush()?;
        drop(out);
        file.persist(&self.file)?;
        Ok(())
    }
}

fn key(path: &Path) -> String {
    crate::inventory::to_text(path)
}

fn read(file: &Path) -> Option<HashMap<String, (Stamp, Seen)>> {
    let mut reader = BufReader::new(File::open(file).ok()?);
    let mut line = String::new();
    let mut next = |line: &mut String| {
        line.clear();
        reader.read_line(line).ok()
    };
    next(&mut line)?;
    if line.strip_suffix('\n')? != VERSION {
        return None;
    }
    next(&mut line)?;
    let expected = line.strip_suffix('\n')?.to_owned();
    let (mut found, mut checksum) = (HashMap::new(), crc32fast::Hasher::new());
    while next(&mut line)? > 0 {
        checksum.update(line.as_bytes());
        let (path, stamp, seen): (String, Stamp, Seen) = serde_json::from_str(&line).ok()?;
        found.insert(path, (stamp, seen));
    }
    (expected == format!("{:08x}", checksum.finalize())).then_some(found)
}
