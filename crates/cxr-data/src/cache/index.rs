//! What lies where in a cache file: written as one JSON file beside it, whole or not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::stamp::Stamp;
use crate::{Error, FileState, PixelHash, Result};

/// Version of the layout, of what is decoded and of what [`prepare`](crate::prepare) computes: another one starts a new cache.
/// 2: images turned by their EXIF orientation, 12 bits in 16 scaled. 3: padding of DICOM files black.
const VERSION: u32 = 3;

/// One cached image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// State of the source file when its image was cached.
    pub(super) source: Stamp,
    pub(super) width: usize,
    pub(super) height: usize,
    /// 8, or 16 (little endian).
    pub(super) bits: u8,
    /// First byte in the data file.
    pub(super) offset: u64,
    /// CRC-32 of the bytes.
    pub(super) crc: u32,
    /// Pixels of the source as decoded; not in an index written before version 0.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pixels: Option<PixelHash>,
}

impl Entry {
    /// State and pixels of the source; `None` in an index of an earlier version.
    pub(super) fn state(&self) -> Option<FileState> {
        self.pixels.map(|pixels| FileState { stamp: self.source, pixels })
    }

    /// Reads the bytes of the image from the data file.
    ///
    /// # Errors
    /// The system's, and an entry that reaches beyond the end of the file.
    pub(super) fn read(&self, data: &File) -> std::io::Result<Vec<u8>> {
        let beyond = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let len = self.len().filter(|&len| self.is_within(data, len)).ok_or_else(beyond)?;
        let mut bytes = vec![0; len];
        read_at(data, &mut bytes, self.offset)?;
        Ok(bytes)
    }

    /// Whether the file is long enough for the image.
    pub(super) fn is_in(&self, data: &File) -> bool {
        self.len().is_some_and(|len| self.is_within(data, len))
    }

    /// `None` for an image that cannot be: an index may be damaged, and its checksum right.
    fn len(&self) -> Option<usize> {
        let bytes = match self.bits {
            8 => 1,
            16 => 2,
            _ => return None,
        };
        self.width.checked_mul(self.height)?.checked_mul(bytes).filter(|&len| len > 0)
    }

    /// Asked before memory is: an index may be damaged.
    fn is_within(&self, data: &File, len: usize) -> bool {
        let end = u64::try_from(len).ok().and_then(|len| self.offset.checked_add(len));
        end.is_some_and(|end| data.metadata().is_ok_and(|data| end <= data.len()))
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Without a position of its own in the file, so that threads can share it.
#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => (bytes, offset) = (&mut bytes[n..], offset + n as u64),
        }
    }
    Ok(())
}

/// The index of one data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    version: u32,
    /// By the path of the source file.
    pub(super) entries: BTreeMap<String, Entry>,
}

impl Default for Index {
    fn default() -> Self {
        Self { version: VERSION, entries: BTreeMap::new() }
    }
}

impl Index {
    /// Reads an index; `None` where there is none, or none that can be trusted: the cache then starts anew.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let text = match limits::own(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Ok(None),
            Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
        };
        // First line: checksum of all that follows.
        let Some((checksum, body)) = text.split_once('\n') else { return Ok(None) };
        if checksum != format!("{:08x}", crc32fast::hash(body.as_bytes())) {
            return Ok(None);
        }
        Ok(serde_json::from_str(body).ok().filter(|index: &Self| index.version == VERSION))
    }

    /// Writes to a neighbouring file, then renames: a reader sees the old index or the new one.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let fail = |source| Error::Io { path: path.to_owned(), source };
        let body = serde_json::to_string(self).map_err(|error| fail(error.into()))?;
        let part = path.with_extension("part");
        let write = || {
            let mut file = File::create(&part)?;
            writeln!(file, "{:08x}", crc32fast::hash(body.as_bytes()))?;
            file.write_all(body.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, path)
        };
        write().map_err(fail)
    }
}
