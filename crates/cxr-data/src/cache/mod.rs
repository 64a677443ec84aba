//! Decoded, resized images in one file: an epoch without decoding, a set larger than memory.
//!
//! The file is read, not mapped: one that another program cuts off costs entries, not the process.
//!
//! ```text
//! DIR/images-320.bin      pixels one image after the other, appended only
//! DIR/images-320.json     index: source path, its length and time, size, depth, offset, checksum
//! ```
//!
//! What is cached is what [`prepare`](crate::prepare) returns, so that views do not depend on the cache. Each working
//! size has files of its own, and several data sets may share a folder. A source that has changed is decoded again and
//! appended; an entry whose checksum is wrong is never served. To reclaim the room of outdated images delete the files.

mod build;
mod index;
mod join;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub use build::{CacheOptions, CacheReport};
use index::Entry;
pub use join::join_caches;

use crate::source::{Files, ImageSource};
use crate::{Error, FileState, Manifest, Pixels, Radiograph, Result, ViewConfig};

/// The images of a manifest in a data file.
#[derive(Debug)]
pub struct ImageCache {
    data: File,
    /// Of each row of the manifest.
    entries: Vec<Option<Entry>>,
    /// Whether the checksum of each row's image has been found right.
    checked: Vec<AtomicBool>,
    files: Files,
    damaged: AtomicUsize,
}

impl ImageCache {
    /// Opens the cache in the folder `dir` (created if need be) and completes it: images that are missing, outdated or
    /// (with [`CacheOptions::verify`]) damaged are decoded and appended.
    ///
    /// Waits while another process completes it; see [`ImageCache::is_busy`].
    ///
    /// An image that cannot be decoded is reported and left to its file, whose fault the batch iterator then meets.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be written, or its file system has no locks.
    pub fn open(
        dir: &Path,
        manifest: &Manifest,
        views: &ViewConfig,
        options: CacheOptions,
    ) -> Result<(Self, CacheReport)> {
        views.validate()?;
        let (entries, data, report) = build::complete(dir, manifest, views, options)?;
        let fail = |source| Error::Io { path: data.clone(), source };
        let cache = Self {
            data: File::open(&data).map_err(fail)?,
            checked: entries.iter().map(|_| AtomicBool::new(false)).collect(),
            files: Files::new(manifest).as_they_were(entries.iter().map(|entry| entry.as_ref()?.state()).collect()),
            entries,
            damaged: AtomicUsize::new(0),
        };
        Ok((cache, report))
    }

    /// Whether another process is completing the cache of these views in the folder, so that [`ImageCache::open`] will wait.
    #[must_use]
    pub fn is_busy(dir: &Path, views: &ViewConfig) -> bool {
        build::is_busy(dir, views)
    }

    /// How many entries turned out damaged since opening; their images came from their files instead. Opening with
    /// [`CacheOptions::verify`] mends them.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.damaged.load(Ordering::Relaxed)
    }

    /// `[N]`: each row's source when its image was cached, with a hash of its pixels as decoded; `None` where it cannot be read.
    #[must_use]
    pub fn states(&self) -> Vec<Option<FileState>> {
        self.entries.iter().map(|entry| entry.as_ref()?.state()).collect()
    }

    fn cached(&self, row: usize) -> Option<Radiograph> {
        let entry = self.entries[row].as_ref()?;
        let bytes = entry.read(&self.data).ok().filter(|bytes| {
            // Once a process: what has been read stays in the system's cache of pages.
            self.checked[row].load(Ordering::Relaxed) || crc32fast::hash(bytes) == entry.crc
        });
        if bytes.is_none() {
            self.damaged.fetch_add(1, Ordering::Relaxed);
        }
        self.checked[row].store(bytes.is_some(), Ordering::Relaxed);
        Some(radiograph(entry, bytes?))
    }
}

impl ImageSource for ImageCache {
    fn image(&self, row: usize) -> Result<Arc<Radiograph>> {
        self.cached(row).map_or_else(|| self.files.image(row), |image| Ok(Arc::new(image)))
    }
}

fn radiograph(entry: &Entry, bytes: Vec<u8>) -> Radiograph {
    let pixels = match entry.bits {
        8 => Pixels::U8(bytes),
        _ => Pixels::U16(bytes.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect()),
    };
    Radiograph::new(entry.width, entry.height, pixels).expect("an entry has width * height pixels")
}
