//! Rows of a data set and their images.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use cxr_data::{
    CacheOptions, CacheReport, FileState, Files, ImageCache, ImageSource, Manifest, MemoryCache, OnBad, Part,
    PixelHash, Prescan, SelectedRows, ViewConfig, prescan_with,
};

use crate::{
    data::{Origin, Sources, origin::Division, scans::scan_store, shares::shares},
    error::{Error, Result},
    files::Watch,
};

/// Decoding this many images takes seconds, and more take minutes: worth a note beforehand.
const MANY: usize = 2_000;

/// Prepared images of a set are kept in memory up to this many bytes; larger sets are decoded each time.
const KEPT_BYTES: usize = 1 << 30;

/// A manifest, its readable rows, and the source of their images.
#[derive(Debug)]
pub struct Rows {
    pub(crate) manifest: Manifest,
    /// Readable rows, ascending.
    readable: Vec<usize>,
    part: Part,
    /// What the file of each row of the manifest was when it was looked at; `None` for images that cannot be read.
    states: Vec<Option<FileState>>,
    origin: Origin,
    images: Images,
}

/// The source of the images.
#[derive(Debug)]
enum Images {
    /// Files, or a cache (folder and threads); and the images prepared so far, by the views they were prepared for.
    Own { cache: Option<(PathBuf, usize)>, prepared: Mutex<Vec<(ViewConfig, Arc<dyn ImageSource>)>> },
    /// Rows of another set.
    Of(Arc<Rows>, Vec<usize>),
}

/// Which images to keep in memory when rows are read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep<'a> {
    /// None.
    Nothing,
    /// All, prepared for these views, if they fit in [`KEPT_BYTES`].
    WhatFits(&'a ViewConfig),
    /// All, prepared for these views.
    All(&'a ViewConfig),
    /// None; images come from the cache of the sources, if there is one, prepared for these views.
    Cached(&'a ViewConfig),
}

impl Rows {
    /// Reads a part of a folder. Every image that is not in a cache is decoded once, so that unreadable files and images in
    /// two parts are found before hours of work.
    pub(crate) fn read(sources: &Sources, dir: &Path, part: Part, keep: Keep<'_>, watch: &dyn Watch) -> Result<Self> {
        let manifest = sources.table_with_notes(dir, part, watch)?;
        let workers = sources.reading.workers;
        let mut prepared: Vec<(ViewConfig, Arc<dyn ImageSource>)> = Vec::new();
        let views = match keep {
            Keep::Nothing => None,
            Keep::WhatFits(views) | Keep::All(views) | Keep::Cached(views) => Some(*views),
        };
        let (bad, states) = match (&sources.cache, views) {
            (Some(folder), Some(views)) => {
                if manifest.len() >= MANY {
                    watch.note(&format!("checking {} images against the cache {}", manifest.len(), folder.display()));
                }
                let (cache, report) = open_cache(folder, &manifest, &views, (workers, false), watch)?;
                watch.note(&format!("cache {}: {report}", folder.display()));
                let states = cache.states();
                let mut source: Arc<dyn ImageSource> = Arc::new(cache);
                if let Keep::All(views) = keep {
                    source = Arc::new(MemoryCache::new(source, manifest.len(), *views));
                }
                prepared.push((views, source));
                (report.unreadable, states)
            }
            _ => {
                let kept = match keep {
                    Keep::WhatFits(views) => fits(manifest.len(), views).then_some(views),
                    Keep::All(views) => Some(views),
                    Keep::Nothing | Keep::Cached(_) => None,
                };
                let (bad, states, memory) = scan(&manifest, dir, workers, kept, watch);
                if let (Some(memory), Some(views)) = (memory, views) {
                    prepared.push((views, Arc::new(memory)));
                }
                (bad, states)
            }
        };
        let readable = without(&manifest, &bad, sources.on_bad, watch)?;
        let origin = Origin::of(sources, dir, part, (&manifest, readable.len()))?;
        let cache = sources.cache.clone().map(|folder| (folder, workers));
        let images = Images::Own { cache, prepared: Mutex::new(prepared) };
        Ok(Self { manifest, readable, part, states, origin, images })
    }

    /// Reads a part from its table, for a few batches. Images are decoded only if unreadable ones are to be skipped.
    pub(crate) fn listed(sources: &Sources, part: Part, watch: &dyn Watch) -> Result<Self> {
        let dir = &sources.train;
        if sources.on_bad == OnBad::Skip {
            return Self::read(sources, dir, part, Keep::Nothing, watch);
        }
        let manifest = sources.table_with_notes(dir, part, watch)?;
        let readable: Vec<usize> = (0..manifest.len()).collect();
        let origin = Origin::of(sources, dir, part, (&manifest, readable.len()))?;
        let images = Images::Own { cache: None, prepared: Mutex::default() };
        let states = vec![None; manifest.len()];
        Ok(Self { manifest, readable, part, states, origin, images })
    }

    /// Rows of a table whose images do not exist.
    #[cfg(test)]
    pub(crate) fn of_table(manifest: Manifest, readable: Vec<usize>) -> Self {
        let sources = Sources::new(&manifest.root);
        let origin = Origin::of(&sources, &sources.train, Part::Train, (&manifest, readable.len())).expect("a path");
        let images = Images::Own { cache: None, prepared: Mutex::default() };
        let states = vec![None; manifest.len()];
        Self { manifest, readable, part: Part::Train, states, origin, images }
    }

    /// A set of these rows of the manifest, as far as they are readable, with the same images.
    pub(crate) fn select(self: &Arc<Self>, rows: &[usize], part: Part) -> Self {
        let rows: Vec<usize> = rows.iter().copied().filter(|row| self.readable.binary_search(row).is_ok()).collect();
        Self {
            manifest: self.manifest.select(&rows),
            readable: (0..rows.len()).collect(),
            part,
            states: rows.iter().map(|&row| self.states[row]).collect(),
            origin: self.origin.clone(),
            images: Images::Of(self.clone(), rows),
        }
    }

    /// The share that an evaluation with this seed makes of a set without published parts.
    pub(crate) fn share(self: Arc<Self>, part: Part, seed: u64) -> Result<Self> {
        let rows = share_of(&self.manifest, part, seed)?;
        Ok(self.select(&rows, part).divided_by(seed))
    }

    /// Checks that the images are not all the same, which trains to nothing.
    ///
    /// # Errors
    /// At least two images, and all of them equal pixel for pixel.
    pub(crate) fn check_differ(&self) -> Result<()> {
        let mut pixels = self.readable.iter().map(|&row| self.states[row].map(|state| state.pixels()));
        let Some(Some(first)) = pixels.next() else { return Ok(()) };
        if self.readable.len() < 2 || pixels.any(|other| other != Some(first)) {
            return Ok(());
        }
        let found = format!("{} images that are all equal, pixel for pixel", self.readable.len());
        let expected = "images that differ; `moco-cxr audit` says what they look like".to_owned();
        Err(Error::Setting { key: self.manifest.root.display().to_string(), found, expected })
    }

    /// These rows in the place of a part: those of a folder that was named for it.
    pub(crate) fn in_place_of(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    /// Marks the rows as a share of a set that was divided by `seed`.
    pub(crate) fn divided_by(mut self, seed: u64) -> Self {
        self.origin.part = self.part;
        (self.origin.divided, self.origin.division) = (Some(seed), Division::Named);
        self
    }

    /// The manifest, with one record per row, readable or not.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Rows of the manifest whose images can be read, ascending.
    pub fn readable(&self) -> &[usize] {
        &self.readable
    }

    /// The part of the data set.
    pub fn part(&self) -> Part {
        self.part
    }

    /// Where the rows were read from, for the record of weights trained on them.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// A hash of the pixels of each row of the manifest.
    pub(crate) fn pixels(&self) -> Vec<Option<PixelHash>> {
        self.states.iter().map(|state| Some(state.as_ref()?.pixels())).collect()
    }

    /// A hash of the pixels of these rows.
    pub(crate) fn pixels_of(&self, rows: &[usize]) -> Vec<Option<PixelHash>> {
        rows.iter().map(|&row| Some(self.states[row].as_ref()?.pixels())).collect()
    }

    /// What the file of each row of the manifest was when it was looked at; `None` for images that cannot be read.
    pub(crate) fn states(&self) -> &[Option<FileState>] {
        &self.states
    }

    /// The image files, decoded every time; one that was replaced since it was looked at is an error.
    pub(crate) fn files(&self) -> Arc<dyn ImageSource> {
        Arc::new(Files::new(&self.manifest).as_they_were(self.states.clone()))
    }

    /// The images for `views`, prepared if they fit in memory or a cache is used.
    ///
    /// # Errors
    /// A cache that cannot be opened.
    pub(crate) fn images(&self, views: &ViewConfig) -> Result<Arc<dyn ImageSource>> {
        match &self.images {
            Images::Of(others, rows) => {
                Ok(Arc::new(SelectedRows::new(others.images(views)?, rows.clone())) as Arc<dyn ImageSource>)
            }
            Images::Own { cache, prepared } => {
                let mut prepared = prepared.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((_, source)) = prepared.iter().find(|(for_views, _)| for_views == views) {
                    return Ok(source.clone());
                }
                let source: Arc<dyn ImageSource> = match cache {
                    Some((folder, workers)) => {
                        let cache = open_cache(folder, &self.manifest, views, (*workers, false), &())?.0;
                        // For other views an image may have been decoded again by now.
                        still_the_same(&self.manifest, &self.states, &cache.states())?;
                        Arc::new(cache)
                    }
                    None => {
                        let files = self.files();
                        match fits(self.manifest.len(), views) {
                            true => Arc::new(MemoryCache::new(files, self.manifest.len(), *views)),
                            false => files,
                        }
                    }
                };
                // Those of other views are let go: a set may be large.
                *prepared = vec![(*views, source.clone())];
                Ok(source)
            }
        }
    }
}

impl Sources {
    /// Reads a part of [`Self::train`]. Every image is decoded once to find unreadable ones; images prepared for `views` are
    /// kept in memory if they fit.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn rows(&self, part: Part, views: &ViewConfig, watch: &dyn Watch) -> Result<Rows> {
        self.rows_of(&self.train, part, Some(views), watch)
    }

    pub(crate) fn rows_of(
        &self,
        dir: &Path,
        part: Part,
        views: Option<&ViewConfig>,
        watch: &dyn Watch,
    ) -> Result<Rows> {
        Rows::read(self, dir, part, views.map_or(Keep::Nothing, Keep::WhatFits), watch)
    }
}

/// Checks that no image has other pixels `now` than it had; both hold the states of the rows of the manifest.
fn still_the_same(manifest: &Manifest, then: &[Option<FileState>], now: &[Option<FileState>]) -> Result<()> {
    for (row, both) in then.iter().zip(now).enumerate() {
        if let (Some(was), Some(is)) = both
            && was.pixels() != is.pixels()
        {
            let path = manifest.image_path(row);
            return Err(cxr_data::Error::Changed { path, was: Box::new(*was), is: Box::new(*is) }.into());
        }
    }
    Ok(())
}

/// Rows of the share that an evaluation with this seed makes of a set without published parts.
pub(crate) fn share_of(manifest: &Manifest, part: Part, seed: u64) -> Result<Vec<usize>> {
    let split = shares(manifest, seed)?;
    Ok(match part {
        Part::Valid => split.valid,
        Part::Test => split.test,
        _ => split.train,
    })
}

/// Whether this many prepared images may stay in memory.
fn fits(images: usize, views: &ViewConfig) -> bool {
    // 16 bit, and the longer side a little longer than the shorter.
    images.saturating_mul(views.size * views.size * 3) <= KEPT_BYTES
}

/// Opens and completes the cache of a manifest; `options` are its workers, and whether every entry is verified.
pub(crate) fn open_cache(
    folder: &Path,
    manifest: &Manifest,
    views: &ViewConfig,
    (workers, verify): (usize, bool),
    watch: &dyn Watch,
) -> Result<(ImageCache, CacheReport)> {
    if folder.exists() && !folder.is_dir() {
        let found = format!("{}, which is a file", folder.display());
        return Err(Error::Setting { key: "data.cache".into(), found, expected: "the folder of a cache".into() });
    }
    if ImageCache::is_busy(folder, views) {
        watch.note(&format!("another process is completing the cache {}; waiting for it", folder.display()));
    }
    Ok(ImageCache::open(folder, manifest, views, CacheOptions { workers, verify })?)
}

/// Unreadable rows with the reason, the state of each row's file, and the images if they are kept.
type Scanned = (Vec<(usize, String)>, Vec<Option<FileState>>, Option<MemoryCache>);

fn scan(manifest: &Manifest, dir: &Path, workers: usize, keep: Option<&ViewConfig>, watch: &dyn Watch) -> Scanned {
    let images = manifest.len();
    if images >= MANY {
        watch.note(&format!("checking {images} images for unreadable files and duplicates"));
    }
    let total = images as u64;
    watch.progress(0, total);
    // Small sets are decoded in a moment.
    let mut store = if images >= MANY { scan_store(dir) } else { None };
    let (Prescan { faults, mislabelled, states, remarks }, memory) =
        prescan_with(manifest, workers, keep, store.as_mut(), &mut |done| watch.progress(done as u64, total));
    if let Some(store) = store {
        if store.reused() > 0 {
            watch.note(&format!(
                "{} of {images} images have not changed since they were last looked at",
                store.reused()
            ));
        }
        // What is kept can be made again.
        let _ = store.save();
    }
    for (remark, (count, first)) in remarks {
        let path = &manifest.records[first].path;
        watch.note(&format!("{count} of {images}: {} (the first: {path})", remark.words()));
    }
    if let Some(&first) = mislabelled.first() {
        let (files, path) = (mislabelled.len(), &manifest.records[first].path);
        watch.note(&format!(
            "{files} of {images} images have another format than their file name says; they were read in their actual format (the first: {path})"
        ));
    }
    (faults.into_iter().map(|(row, fault)| (row, fault.to_string())).collect(), states, memory)
}

/// All rows except the `bad` ones (ascending), which are an error unless they are to be skipped.
pub(crate) fn without(
    manifest: &Manifest,
    bad: &[(usize, String)],
    on_bad: OnBad,
    watch: &dyn Watch,
) -> Result<Vec<usize>> {
    if let (OnBad::Fail, Some((_, first))) = (on_bad, bad.first()) {
        let found = format!("{} of {} images cannot be read; the first: {first}", bad.len(), manifest.len());
        let expected = "images that can be read, or --on-bad-image skip".to_owned();
        return Err(Error::Setting { key: manifest.root.display().to_string(), found, expected });
    }
    for (_, fault) in bad {
        watch.note(&format!("skipped: {fault}"));
    }
    if !bad.is_empty() {
        watch.note(&format!("{} of {} images cannot be read and are skipped", bad.len(), manifest.len()));
    }
    Ok((0..manifest.len()).filter(|row| bad.binary_search_by_key(row, |(r, _)| *r).is_err()).collect())
}
