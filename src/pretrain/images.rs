//! The images of a pretraining.

use std::{path::PathBuf, sync::Arc};

use cxr_data::{CacheReport, ImageSource, Part};

use crate::{
    data::{Keep, Rows, Sources, open_cache, without},
    error::{Error, Result},
    files::Watch,
    pretrain::PretrainSettings,
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
        let rows = Rows::read(&sources, &sources.train, Part::Train, keep, watch)?;
        let source = match (settings.data.in_memory, &sources.cache) {
            // Neither in memory nor in a cache: set after set of threads decodes the files.
            (false, None) => rows.files(),
            _ => rows.images(views)?,
        };
        Ok(Self { rows, source })
    }

    /// As [`Self::open`] for a few batches: straight from the files, which are checked only where that changes the rows.
    pub(crate) fn sample(settings: &PretrainSettings, watch: &dyn Watch) -> Result<Self> {
        let rows = Rows::listed(&settings.sources(), Part::Train, watch)?;
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
        sources.cache = some(&self.data.cache);
        sources.reading.workers = self.workers();
        sources
    }

    /// Threads that decode and augment.
    pub(crate) fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
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
    let manifest = sources.table_with_notes(&sources.train, Part::Train, watch)?;
    let (_, report) = open_cache(folder, &manifest, &settings.views, (settings.workers(), verify), watch)?;
    without(&manifest, &report.unreadable, settings.data.on_bad, watch)?;
    Ok(report)
}
