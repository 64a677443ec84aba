//! Row of a manifest -> [`Radiograph`]: straight from its file, or from memory.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::decode::{self, Decoded};
use crate::views::prepare;
use crate::{Error, FileState, Manifest, PixelHash, Radiograph, Result, ViewConfig};

/// Where the images of a manifest come from. Views are the same whichever source gives the image.
pub trait ImageSource: Send + Sync + std::fmt::Debug {
    /// The image of a row of the manifest, as decoded or already prepared for the views that are taken of it.
    ///
    /// # Errors
    /// Those of [`decode::read`].
    fn image(&self, row: usize) -> Result<Arc<Radiograph>>;
}

/// Decodes the file every time: no memory, no disk.
#[derive(Debug, Clone)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// What each file was when it was looked at first; empty if that is unknown.
    states: Vec<Option<FileState>>,
}

impl Files {
    /// The files of all rows of a manifest.
    #[must_use]
    pub fn new(manifest: &Manifest) -> Self {
        Self { paths: (0..manifest.len()).map(|row| manifest.image_path(row)).collect(), states: Vec::new() }
    }

    /// Refuses images that are no longer what they were: [`Error::Changed`].
    ///
    /// A file of the same length and time is taken for the same. Another one is compared by its pixels, so that a copy or a
    /// `touch` does no harm. `states` are those of the rows; `None` where nothing is known.
    #[must_use]
    pub fn as_they_were(mut self, states: Vec<Option<FileState>>) -> Self {
        self.states = states;
        self
    }
}

impl ImageSource for Files {
    fn image(&self, row: usize) -> Result<Arc<Radiograph>> {
        let path = &self.paths[row];
        let Decoded { image, stamps, .. } = decode::decoded(path)?;
        let was = self.states.get(row).copied().flatten();
        if let (Some(was), Some((_, stamp))) =
            (was, stamps.filter(|(_, after)| was.is_some_and(|was| was.stamp != *after)))
        {
            let is = FileState { stamp, pixels: PixelHash::of(&image) };
            if is.pixels != was.pixels {
                return Err(Error::Changed { path: path.clone(), was: Box::new(was), is: Box::new(is) });
            }
        }
        Ok(Arc::new(image))
    }
}

/// Keeps every image that was asked for, prepared (resized), in memory: `side^2` bytes or more an image, 16 bit twice
/// that. For sets that fit.
#[derive(Debug)]
pub struct MemoryCache {
    source: Arc<dyn ImageSource>,
    views: ViewConfig,
    images: Vec<OnceLock<Arc<Radiograph>>>,
}

impl MemoryCache {
    /// A cache, empty at first, of the `rows` images of `source` as `views` needs them.
    #[must_use]
    pub fn new(source: Arc<dyn ImageSource>, rows: usize, views: ViewConfig) -> Self {
        Self { source, views, images: (0..rows).map(|_| OnceLock::new()).collect() }
    }

    /// A cache that holds these images already, prepared for `views`; the others come from their files.
    pub(crate) fn filled(files: Files, views: ViewConfig, images: Vec<Option<Radiograph>>) -> Self {
        let held =
            |image: Option<Radiograph>| image.map_or_else(OnceLock::new, |image| OnceLock::from(Arc::new(image)));
        Self { source: Arc::new(files), views, images: images.into_iter().map(held).collect() }
    }
}

impl ImageSource for MemoryCache {
    fn image(&self, row: usize) -> Result<Arc<Radiograph>> {
        if let Some(image) = self.images[row].get() {
            return Ok(image.clone());
        }
        let image = self.source.image(row)?;
        let prepared = Arc::new(prepare(&image, &self.views).into_owned());
        // Where two workers came at once, both made the same image.
        Ok(self.images[row].get_or_init(|| prepared).clone())
    }
}

/// Some rows of another source, for a manifest made by [`Manifest::select`].
#[derive(Debug)]
pub struct SelectedRows {
    source: Arc<dyn ImageSource>,
    rows: Vec<usize>,
}

impl SelectedRows {
    /// Row `i` of this source is row `rows[i]` of `source`.
    #[must_use]
    pub fn new(source: Arc<dyn ImageSource>, rows: Vec<usize>) -> Self {
        Self { source, rows }
    }
}

impl ImageSource for SelectedRows {
    fn image(&self, row: usize) -> Result<Arc<Radiograph>> {
        self.source.image(self.rows[row])
    }
}
