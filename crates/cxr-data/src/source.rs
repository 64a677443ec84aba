//! Row of a manifest -> [`Radiograph`]: straight from its file, or from memory.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::views::prepare;
use crate::{Manifest, Radiograph, Result, ViewConfig, decode};

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
}

impl Files {
    /// The files of all rows of a manifest.
    #[must_use]
    pub fn new(manifest: &Manifest) -> Self {
        Self { paths: (0..manifest.len()).map(|row| manifest.image_path(row)).collect() }
    }
}

impl ImageSource for Files {
    fn image(&self, row: usize) -> Result<Arc<Radiograph>> {
        decode::read(&self.paths[row]).map(Arc::new)
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

    /// A cache of a manifest that holds these images already, prepared for `views`; the others come from their files.
    pub(crate) fn filled(manifest: &Manifest, views: ViewConfig, images: Vec<Option<Radiograph>>) -> Self {
        let held =
            |image: Option<Radiograph>| image.map_or_else(OnceLock::new, |image| OnceLock::from(Arc::new(image)));
        Self { source: Arc::new(Files::new(manifest)), views, images: images.into_iter().map(held).collect() }
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
