//! Completing a cache: which entries can stay, and appending the others.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::index::{Entry, Index};
use crate::ordered::Ordered;
use crate::stamp::Stamp;
use crate::views::prepare;
use crate::{Crop, Error, Manifest, PixelHash, Pixels, Radiograph, Result, ViewConfig, decode};

/// After so many new images the index is written, so that an interrupted run goes on where it was.
const INDEX_EVERY: usize = 4096;

/// How a cache is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheOptions {
    /// Threads that decode. Default: as many as there are cores.
    pub workers: usize,
    /// Reads every entry and compares its checksum; otherwise an entry is checked when it is first used. Default: no.
    pub verify: bool,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { workers: std::thread::available_parallelism().map_or(1, usize::from), verify: false }
    }
}

/// What was found and done on opening a cache. All numbers count rows of the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheReport {
    /// Found as they should be.
    pub reused: usize,
    /// Not there before.
    pub added: usize,
    /// Decoded again because the source has another length or time.
    pub stale: usize,
    /// Decoded again because the bytes did not fit their checksum, or lay outside the file.
    pub damaged: usize,
    /// Rows whose source cannot be read, with the reason.
    pub unreadable: Vec<(usize, String)>,
    /// Length of the data file in bytes.
    pub bytes: u64,
}

impl fmt::Display for CacheReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reused, added, stale, damaged, unreadable, bytes } = self;
        let images = reused + added + stale + damaged;
        write!(
            f,
            "{images} images: {reused} as they were, {added} added, {stale} changed and {damaged} damaged ones "
        )?;
        write!(f, "decoded again, {} of all cannot be read; {:.1} MB", unreadable.len(), *bytes as f64 / 1e6)
    }
}

/// Name of the files of one working size.
fn name(views: &ViewConfig) -> String {
    // Small images are enlarged to the working size or not, depending on the crop (see `prepare`).
    let kind = if matches!(views.crop, Crop::Resized { .. }) { "-at-most" } else { "" };
    format!("images-{}{kind}", views.working_side())
}

/// Whether a process is completing the cache. Changes nothing.
pub(super) fn is_busy(dir: &Path, views: &ViewConfig) -> bool {
    let lock = File::open(dir.join(format!("{}.lock", name(views))));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Completes the cache of a manifest; returns the entry of each row, the data file, and what was done.
pub(super) fn complete(
    dir: &Path,
    manifest: &Manifest,
    views: &ViewConfig,
    options: CacheOptions,
) -> Result<(Vec<Option<Entry>>, PathBuf, CacheReport)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    std::fs::create_dir_all(dir).map_err(at(dir))?;
    let name = name(views);
    let (data_path, index_path) = (dir.join(format!("{name}.bin")), dir.join(format!("{name}.json")));
    // The lock file is never deleted: a process that waits for it must not hold another file than the next one.
    let lock = File::create(dir.join(format!("{name}.lock"))).map_err(at(dir))?;
    // Another process that completes the cache is waited for: most of what it adds will be needed here, too.
    lock.lock().map_err(|fault| {
        let reason =
            format!("{fault}; this file system has no locks, which keep a cache from being written twice at a time");
        at(&data_path)(std::io::Error::new(fault.kind(), reason))
    })?;

    let found = Index::read(&index_path)?;
    if found.is_none() && data_path.exists() {
        // Without its index nothing in it can be found. A process that has opened it keeps what it has.
        std::fs::remove_file(&data_path).map_err(at(&data_path))?;
    }
    let mut index = found.unwrap_or_default();
    let mut open = OpenOptions::new();
    let mut data = open.read(true).append(true).create(true).open(&data_path).map_err(at(&data_path))?;

    let mut report = CacheReport::default();
    let paths: Vec<PathBuf> = (0..manifest.records.len()).map(|row| manifest.image_path(row)).collect();
    let missing = sort_out(&paths, &index, &data, options.verify, &mut report);

    let mut writer = Writer { end: data.seek(SeekFrom::End(0)).map_err(at(&data_path))?, file: data };
    let (views, rows) = (*views, missing.clone());
    let job_paths = paths.clone();
    let prepared = Ordered::new(0..missing.len(), options.workers, 4 * options.workers.max(1), move |place, _| {
        let row = rows[place];
        let decode::Decoded { image, stamps, .. } = decode::decoded(&job_paths[row])?;
        // The state before: were the file to change meanwhile, the entry would count as outdated next time.
        let stamp = stamps.map_or(Stamp::NONE, |(before, _)| before);
        Ok((stamp, PixelHash::of(&image), prepare(&image, &views).into_owned()))
    });
    for ((done, outcome), &row) in prepared.enumerate().zip(&missing) {
        match outcome {
            Ok((stamp, pixels, image)) => {
                let entry = writer.append((stamp, pixels), &image).map_err(at(&data_path))?;
                index.entries.insert(key(&paths[row]), entry);
            }
            Err(fault) => {
                index.entries.remove(&key(&paths[row]));
                report.unreadable.push((row, fault.to_string()));
            }
        }
        if (done + 1) % INDEX_EVERY == 0 {
            writer.file.sync_data().map_err(at(&data_path))?;
            index.write(&index_path)?;
        }
    }
    let hashed = hash_old(&paths, &mut index, options.workers);
    if hashed || !missing.is_empty() || !index_path.exists() {
        // The pixels are on disk before an index speaks of them.
        writer.file.sync_data().map_err(at(&data_path))?;
        index.write(&index_path)?;
    }
    report.bytes = writer.end;
    let entries = paths.iter().map(|path| index.entries.get(&key(path)).copied()).collect();
    Ok((entries, data_path, report))
}

/// Gives entries of an earlier version the hash of their pixels; whether there were any. A source that cannot be read any
/// more keeps its entry, without a hash.
fn hash_old(paths: &[PathBuf], index: &mut Index, workers: usize) -> bool {
    let lacks = |path: &&PathBuf| index.entries.get(&key(path)).is_some_and(|entry| entry.pixels.is_none());
    let old: std::sync::Arc<[PathBuf]> = paths.iter().filter(lacks).cloned().collect();
    let jobs = old.clone();
    let hashes = Ordered::new(0..old.len(), workers, 4 * workers.max(1), move |place, _| {
        decode::read(&jobs[place]).map(|image| PixelHash::of(&image))
    });
    let mut found = false;
    for (path, hash) in old.iter().zip(hashes) {
        if let (Some(entry), Ok(hash)) = (index.entries.get_mut(&key(path)), hash) {
            (entry.pixels, found) = (Some(hash), true);
        }
    }
    found
}

/// Counts which rows can stay; returns those that must be decoded.
fn sort_out(paths: &[PathBuf], index: &Index, data: &File, verify: bool, report: &mut CacheReport) -> Vec<usize> {
    let intact = |entry: &Entry| match verify {
        true => entry.read(data).is_ok_and(|bytes| crc32fast::hash(&bytes) == entry.crc),
        false => entry.is_in(data),
    };
    let mut missing = Vec::new();
    for (row, path) in paths.iter().enumerate() {
        let count = match index.entries.get(&key(path)) {
            None => &mut report.added,
            Some(entry) if Stamp::of(path).ok() != Some(entry.source) => &mut report.stale,
            Some(entry) if intact(entry) => {
                report.reused += 1;
                continue;
            }
            Some(_) => &mut report.damaged,
        };
        *count += 1;
        missing.push(row);
    }
    missing
}

fn key(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

struct Writer {
    file: File,
    end: u64,
}

impl Writer {
    fn append(&mut self, (source, pixels): (Stamp, PixelHash), image: &Radiograph) -> std::io::Result<Entry> {
        let wide: Vec<u8>;
        let bytes = match image.pixels() {
            Pixels::U8(values) => values,
            Pixels::U16(values) => {
                wide = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                &wide
            }
        };
        self.file.write_all(bytes)?;
        let offset = self.end;
        self.end += bytes.len() as u64;
        let (width, height, bits) = (image.width(), image.height(), image.bits());
        Ok(Entry { source, width, height, bits, offset, crc: crc32fast::hash(bytes), pixels: Some(pixels) })
    }
}
