//! Where images are, and how their folders are read.

use std::path::{Path, PathBuf};

use cxr_data::{Dataset, LoadOptions, Manifest, OnBad, Part, load_with};

use crate::{
    data::Reading,
    error::{Error, Result},
    files::Watch,
};

/// Where images are: the folder of a data set, folders of further parts, and how all of them are read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sources {
    /// Folder of the data set; its training part is fitted on.
    pub train: PathBuf,
    /// Rows to choose a penalty or a checkpoint on.
    pub valid: ValidFrom,
    /// Folder whose test part (or, where it has none, valid part) is reported on; the training folder without.
    pub test: Option<PathBuf>,
    /// Layout of all folders. Default: recognised.
    pub dataset: Dataset,
    /// What to do with an image that cannot be read. Default: fail.
    pub on_bad: OnBad,
    /// For a set without patients: a pattern whose first group, in an image's path, is the patient.
    pub patient_regex: Option<String>,
    /// Folder of a cache of decoded, resized images, as `pretrain --cache` uses it; completed when images are read.
    pub cache: Option<PathBuf>,
    /// Batches and threads.
    pub reading: Reading,
}

/// Rows on which a penalty or a checkpoint is chosen. Nothing is ever reported on them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ValidFrom {
    /// Nothing is chosen outside the training rows.
    #[default]
    Nowhere,
    /// The valid part of this folder.
    Folder(PathBuf),
    /// The valid part of the training folder if it has one that is not reported on; otherwise a fifth of the training
    /// patients, drawn by the seed of the protocol.
    HeldOut,
}

impl Sources {
    /// The folder of a data set of any layout, all of whose images can be read.
    pub fn new(train: impl Into<PathBuf>) -> Self {
        Self {
            train: train.into(),
            valid: ValidFrom::Nowhere,
            test: None,
            dataset: Dataset::Auto,
            on_bad: OnBad::Fail,
            patient_regex: None,
            cache: None,
            reading: Reading::default(),
        }
    }

    /// How a folder is read.
    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions { on_bad: self.on_bad, patient_regex: self.patient_regex.clone(), ..LoadOptions::default() }
    }

    /// The rows of a part of a folder. No image is opened.
    pub(crate) fn table(&self, dir: &Path, part: Part) -> cxr_data::Result<Manifest> {
        load_with(dir, self.dataset, part, &self.options())
    }

    /// As [`Self::table`], for the first use of a folder: with its notes, and an error where there is no folder.
    pub(crate) fn table_with_notes(&self, dir: &Path, part: Part, watch: &dyn Watch) -> Result<Manifest> {
        if !dir.is_dir() {
            let found = format!("{}, which is no folder", dir.display());
            return Err(Error::Setting { key: "data".into(), found, expected: "the folder of a data set".into() });
        }
        let manifest = self.table(dir, part)?;
        manifest.notes.iter().for_each(|note| watch.note(note));
        Ok(manifest)
    }

    /// Checks that the training folder has these label columns, before any image is looked at. Other faults of the folder
    /// are left to whoever reads it.
    ///
    /// # Errors
    /// A column that is not there, with the names there are.
    pub fn check_tasks(&self, tasks: &[String]) -> Result<()> {
        if let Ok(manifest) = self.table(&self.train, Part::Train) {
            manifest.task_indices(tasks)?;
        }
        Ok(())
    }
}
