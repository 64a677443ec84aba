//! From a folder to the rows that can be used.

use std::{path::Path, sync::Arc};

use cxr_data::{
    CacheOptions, CacheReport, Dataset, Files, ImageCache, ImageSource, LoadOptions, Manifest, MemoryCache, OnBad,
    Part, PixelHash, Prescan, load_with, prescan,
};

use crate::{
    data::{LoadedPart, Origin},
    error::{Error, Result},
    pretrain::PretrainSettings,
};

/// A part of a data set, its readable rows, and a hash of the pixels of each. Every image is decoded once: what cannot be
/// read, and what is in two parts, is found before hours of work, not within them.
pub(crate) fn load(
    dir: &Path,
    dataset: Dataset,
    part: Part,
    options: &LoadOptions,
    workers: usize,
    note: &mut dyn FnMut(&str),
) -> Result<LoadedPart> {
    let manifest = table(dir, dataset, part, options, note)?;
    let (bad, pixels) = scan(&manifest, workers, note);
    let rows = readable(&manifest, &bad, options.on_bad, note)?;
    let origin = Origin::of(dir, dataset, part, options, (&manifest, rows.len()))?;
    Ok(LoadedPart { manifest, rows, part, pixels, origin })
}

/// The images of a pretraining.
pub(crate) struct TrainImages {
    pub(crate) manifest: Manifest,
    /// Readable rows, ascending.
    pub(crate) rows: Vec<usize>,
    pub(crate) source: Arc<dyn ImageSource>,
}

impl TrainImages {
    /// Reads the table, finds what cannot be read, and completes the cache where the settings name one.
    pub(crate) fn open(settings: &PretrainSettings, note: &mut dyn FnMut(&str)) -> Result<Self> {
        let manifest = train_table(settings, note)?;
        let (bad, mut source): (_, Arc<dyn ImageSource>) = if settings.data.cache.as_os_str().is_empty() {
            (scan(&manifest, settings.workers(), note).0, Arc::new(Files::new(&manifest)))
        } else {
            // What is in the cache was decoded once: completing it is the scan.
            let (cache, report) = open_cache(settings, &manifest, false)?;
            note(&format!("cache {}: {report}", settings.data.cache.display()));
            (report.unreadable, Arc::new(cache))
        };
        let rows = readable(&manifest, &bad, settings.data.on_bad, note)?;
        if settings.data.in_memory {
            source = Arc::new(MemoryCache::new(source, manifest.len(), settings.views));
        }
        Ok(Self { manifest, rows, source })
    }

    /// As [`Self::open`] for a few batches: straight from the files, with the scan only where its outcome changes the
    /// rows.
    pub(crate) fn sample(settings: &PretrainSettings, note: &mut dyn FnMut(&str)) -> Result<Self> {
        let manifest = train_table(settings, note)?;
        let rows = match settings.data.on_bad {
            OnBad::Fail => (0..manifest.len()).collect(),
            OnBad::Skip => {
                let (bad, _) = scan(&manifest, settings.workers(), note);
                readable(&manifest, &bad, OnBad::Skip, note)?
            }
        };
        let source = Arc::new(Files::new(&manifest));
        Ok(Self { manifest, rows, source })
    }
}

/// Builds or completes the cache of a pretraining with these settings, in the folder that `data.cache` names.
///
/// Changed images are decoded again; with `verify`, every entry is read and those that are damaged are too.
///
/// # Errors
/// No folder of a cache in the settings, data that cannot be read, a folder that cannot be written.
pub fn build_cache(settings: &PretrainSettings, verify: bool, note: &mut dyn FnMut(&str)) -> Result<CacheReport> {
    settings.validate()?;
    if settings.data.cache.as_os_str().is_empty() {
        let (found, expected) = ("nothing".into(), "the folder of a cache".into());
        return Err(Error::Setting { key: "data.cache".into(), found, expected });
    }
    let manifest = train_table(settings, note)?;
    let (_, report) = open_cache(settings, &manifest, verify)?;
    readable(&manifest, &report.unreadable, settings.data.on_bad, note)?;
    Ok(report)
}

fn open_cache(settings: &PretrainSettings, manifest: &Manifest, verify: bool) -> Result<(ImageCache, CacheReport)> {
    let folder = &settings.data.cache;
    if folder.exists() && !folder.is_dir() {
        let found = format!("{}, which is a file", folder.display());
        return Err(Error::Setting { key: "data.cache".into(), found, expected: "the folder of a cache".into() });
    }
    let options = CacheOptions { workers: settings.workers(), verify };
    Ok(ImageCache::open(&settings.data.cache, manifest, &settings.views, options)?)
}

fn train_table(settings: &PretrainSettings, note: &mut dyn FnMut(&str)) -> Result<Manifest> {
    table(&settings.data.dir, settings.data.dataset, Part::Train, &settings.data.load_options(), note)
}

fn table(
    dir: &Path,
    dataset: Dataset,
    part: Part,
    options: &LoadOptions,
    note: &mut dyn FnMut(&str),
) -> Result<Manifest> {
    if !dir.is_dir() {
        let found = format!("{}, which is no folder", dir.display());
        return Err(Error::Setting { key: "data".into(), found, expected: "the folder of a data set".into() });
    }
    let manifest = load_with(dir, dataset, part, options)?;
    manifest.notes.iter().for_each(|n| note(n));
    Ok(manifest)
}

/// So many images take seconds to decode, and more take minutes: worth a word beforehand.
const MANY: usize = 2_000;

/// Rows that cannot be read, ascending, and why; the pixels of the others.
fn scan(
    manifest: &Manifest,
    workers: usize,
    note: &mut dyn FnMut(&str),
) -> (Vec<(usize, String)>, Vec<Option<PixelHash>>) {
    if manifest.len() >= MANY {
        note(&format!(
            "all {} images are decoded once, to know what cannot be read and what is there twice",
            manifest.len()
        ));
    }
    let Prescan { faults, mislabelled, pixels } = prescan(manifest, workers);
    if let Some(&first) = mislabelled.first() {
        let (files, path) = (mislabelled.len(), &manifest.records[first].path);
        note(&format!(
            "{files} of {} images are of another format than their name says and were read as what they are (the first: {path})",
            manifest.len()
        ));
    }
    (faults.into_iter().map(|(row, fault)| (row, fault.to_string())).collect(), pixels)
}

/// All rows but the `bad` ones (ascending), which end it all unless they are to be skipped.
fn readable(
    manifest: &Manifest,
    bad: &[(usize, String)],
    on_bad: OnBad,
    note: &mut dyn FnMut(&str),
) -> Result<Vec<usize>> {
    if let (OnBad::Fail, Some((_, first))) = (on_bad, bad.first()) {
        let found = format!("{} of {} images cannot be read; the first: {first}", bad.len(), manifest.len());
        let expected = "images that can be read, or --on-bad-image skip".to_owned();
        return Err(Error::Setting { key: manifest.root.display().to_string(), found, expected });
    }
    for (_, fault) in bad {
        note(&format!("skipped: {fault}"));
    }
    if !bad.is_empty() {
        note(&format!("{} of {} images cannot be read and are skipped", bad.len(), manifest.len()));
    }
    Ok((0..manifest.len()).filter(|row| bad.binary_search_by_key(row, |(r, _)| *r).is_err()).collect())
}
