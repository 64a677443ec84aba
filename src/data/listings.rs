//! Folders whose files were listed, so that one command lists each of them once: a quarter of a million files take seconds.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use cxr_data::{Dataset, Folder, LoadOptions, Manifest, Part, load_opened, open_together};

/// Folders listed so far, by the paths that were asked for. A clone shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listings(Arc<Mutex<Vec<Listed>>>);

/// One folder, or several that are read as one set.
type Listed = (Vec<PathBuf>, Arc<[Folder]>);

/// What was listed says nothing about which folders are meant.
impl PartialEq for Listings {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Listings {
    /// Reads a part of one folder, or of several as one set.
    pub(crate) fn load(
        &self,
        dirs: Vec<PathBuf>,
        dataset: Dataset,
        part: Part,
        options: &LoadOptions,
    ) -> cxr_data::Result<Manifest> {
        let folders = self.folders(dirs)?;
        match &folders[..] {
            [folder] => folder.load(dataset, part, options),
            folders => load_opened(folders, dataset, part, options),
        }
    }

    fn folders(&self, dirs: Vec<PathBuf>) -> cxr_data::Result<Arc<[Folder]>> {
        // One folder under two names is listed once.
        let asked: Vec<PathBuf> =
            dirs.iter().map(|dir| std::path::absolute(dir).unwrap_or_else(|_| dir.clone())).collect();
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, folders)) = listed.iter().find(|(known, _)| *known == asked) {
            return Ok(folders.clone());
        }
        let folders: Arc<[Folder]> = match &dirs[..] {
            [dir] => [Folder::open(dir)?].into(),
            dirs => open_together(dirs)?.into(),
        };
        listed.push((asked, folders.clone()));
        Ok(folders)
    }
}
