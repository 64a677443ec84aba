//! The images of a pretraining.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cxr_data::{CacheReport, ImageSource, Manifest, Part};

use crate::{
    data::{Keep, Rows, Sources, open_cache, share_of, without},
    error::{Error, Result},
    files::Watch,
    pretrain::PretrainSettings,
    ranks::host_threads,
    shards::{Shard, ShardPlace},
};

/// Rows to train on, and their images.
pub(crate) struct TrainImages {
    pub(crate) rows: Rows,
    pub(crate) source: Arc<dyn ImageSource>,
}

impl TrainImages {
    /// Reads the table, finds unreadable images, and completes the cache where the settings name one.
    pub(crate) fn open(settings: &PretrainSettings, watch: &dyn Watch) -> Result<Self> {
        let sources = settings.sources();
        let views = &settings.views;
        let keep = if settings.data.in_memory { Keep::All(views) } else { Keep::Cached(views) };
        let rows = Rows::read(&sources, &sources.train, settings.read_part(&sources), keep, watch)?;
        let rows = settings.share(rows, watch)?;
        rows.check_differ()?;
        let source = match (settings.data.in_memory, &sources.cache) {
            // Neither in memory nor in a cache: set after set of threads decodes the files.
            (false, None) => rows.files(),
            _ => rows.images(views)?,
        };
        Ok(Self { rows, source })
    }

    /// As [`Self::open`] for a few batches: straight from the files, which are checked only where that changes the rows.
    pub(crate) fn sample(settings: &PretrainSettings, watch: &dyn Watch) -> Result<Self> {
        let sources = settings.sources();
        let rows = Rows::listed(&sources, settings.read_part(&sources), watch)?;
        let rows = settings.share(rows, watch)?;
        let source = rows.files();
        Ok(Self { rows, source })
    }
}

impl PretrainSettings {
    /// Where the images are, and how they are read.
    pub(crate) fn sources(&self) -> Sources {
        let mut sources = Sources::new(&self.data.dir);
        let some = |path: &PathBuf| Some(path.clone()).filter(|path| !path.as_os_str().is_empty());
        sources.dataset = self.data.dataset;
        sources.on_bad = self.data.on_bad;
        sources.patient_regex = self.data.load_options().patient_regex;
        sources.read = self.data.read.clone();
        sources.cache = some(&self.data.cache);
        sources.reading.workers = self.workers();
        sources
    }

    /// Number of images that would be trained on, by the tables alone.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn count_images(&self) -> Result<usize> {
        Ok(self.listed_rows(&self.sources())?.len())
    }

    /// The rows to train on, by the tables alone: no image is opened.
    pub(crate) fn listed_rows(&self, sources: &Sources) -> Result<Manifest> {
        let manifest = sources.table(&sources.train, self.read_part(sources))?;
        match self.data.part {
            Some(part) if part != Part::All && !manifest.has_parts => {
                Ok(manifest.select(&share_of(&manifest, part, self.train.seed)?))
            }
            _ => Ok(manifest),
        }
    }

    /// The part that is read from the folder.
    fn read_part(&self, sources: &Sources) -> Part {
        match self.data.part {
            // Of a set without published parts the training part is all there is.
            None | Some(Part::Train) => Part::Train,
            Some(part) => {
                let parts = sources.table(&sources.train, Part::Train).is_ok_and(|set| set.has_parts);
                if parts || part == Part::All { part } else { Part::Train }
            }
        }
    }

    /// The share of a set without published parts that the settings ask for.
    fn share(&self, rows: Rows, watch: &dyn Watch) -> Result<Rows> {
        match self.data.part {
            _ if rows.manifest().has_parts => Ok(rows),
            Some(part @ (Part::Train | Part::Valid | Part::Test)) => {
                let rows = Arc::new(rows).share(part, self.train.seed)?;
                let (images, seed) = (rows.readable().len(), self.train.seed);
                watch.note(&format!("the {part} share of the division by patient with seed {seed}: {images} images"));
                Ok(rows)
            }
            _ => {
                watch.note("all images are pretrained on, so none is left to evaluate on; --part train leaves out what linear, knn and finetune with the same --seed choose and report on");
                Ok(rows)
            }
        }
    }

    /// Threads that decode and augment.
    pub(crate) fn workers(&self) -> usize {
        match self.workers {
            0 => host_threads(),
            n => n,
        }
    }
}

/// Builds or completes the cache of a pretraining with these settings, in the folder that `data.cache` names.
///
/// Changed images are decoded again; with `verify`, every entry is read and those that are damaged are too.
///
/// # Errors
/// No folder of a cache in the settings, data that cannot be read, a folder that cannot be written.
pub fn build_cache(settings: &PretrainSettings, verify: bool, watch: &dyn Watch) -> Result<CacheReport> {
    settings.validate()?;
    let sources = settings.sources();
    let Some(folder) = &sources.cache else {
        let (found, expected) = ("nothing".into(), "the folder of a cache".into());
        return Err(Error::Setting { key: "data.cache".into(), found, expected });
    };
    let manifest = sources.table_with_notes(&sources.train, settings.read_part(&sources), watch)?;
    complete(settings, folder, &manifest, verify, watch)
}

/// As [`build_cache`], of one of several equal parts of the images, in the folder `out`, which holds no cache yet. Returns also
/// which part it is. [`merge`](crate::shards::merge) joins the parts.
///
/// # Errors
/// As [`build_cache`].
pub fn build_cache_shard(
    settings: &PretrainSettings,
    shard: Shard,
    out: &Path,
    watch: &dyn Watch,
) -> Result<(CacheReport, ShardPlace)> {
    settings.validate()?;
    let sources = settings.sources();
    let manifest = sources.table_with_notes(&sources.train, settings.read_part(&sources), watch)?;
    let range = shard.range(manifest.len(), 1);
    let part = manifest.select(&range.clone().collect::<Vec<_>>());
    let report = complete(settings, out, &part, false, watch)?;
    Ok((report, ShardPlace { data: manifest.hash(), rows: range, of: manifest.len() }))
}

fn complete(
    settings: &PretrainSettings,
    folder: &Path,
    manifest: &Manifest,
    verify: bool,
    watch: &dyn Watch,
) -> Result<CacheReport> {
    let (_, report) = open_cache(folder, manifest, &settings.views, (settings.workers(), verify), watch)?;
    without(manifest, &report.unreadable, settings.data.on_bad, watch)?;
    Ok(report)
}
