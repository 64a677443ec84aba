//! Folders of images, and how to read them.

use std::path::{Path, PathBuf};

use cxr_data::{Dataset, LoadOptions, Manifest, OnBad, Part};

use crate::{
    data::{Labels, ReadAs, Reading, listings::Listings},
    error::{Error, Result},
    files::Watch,
};

/// The folder of a data set, folders of further parts, and how to read them. The files of a folder are listed once, when it is
/// first read: files that are added later are seen by new sources.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sources {
    /// Folder of the data set, whose training part is used for training.
    pub train: PathBuf,
    /// Validation rows, for choosing a penalty or a checkpoint.
    pub valid: ValidFrom,
    /// Folder whose test part (or valid part, if it has no test part) is reported on. `None`: the training folder.
    pub test: Option<PathBuf>,
    /// Layout of all folders. Default: recognised automatically.
    pub dataset: Dataset,
    /// What to do with an image that cannot be read. Default: fail.
    pub on_bad: OnBad,
    /// For a set without patients: a regular expression whose first group, in an image's path, is the patient.
    pub patient_regex: Option<String>,
    /// What the folder does not say by itself: further folders, the table, its columns.
    pub read: ReadAs,
    /// Folder of a cache of decoded, resized images, as used by `pretrain --cache`. Missing images are added when read.
    pub cache: Option<PathBuf>,
    /// Batch size and decoding threads.
    pub reading: Reading,
    pub(crate) listed: Listings,
}

/// Where validation rows, for choosing a penalty or a checkpoint, come from. They are never reported on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ValidFrom {
    /// No validation rows.
    #[default]
    Nowhere,
    /// The valid part of this folder.
    Folder(PathBuf),
    /// The valid part of the training folder if it has one that is not reported on; otherwise a fifth of the training
    /// patients, drawn with the protocol's seed.
    HeldOut,
}

impl Sources {
    /// A data set of any layout, with the defaults above.
    pub fn new(train: impl Into<PathBuf>) -> Self {
        Self {
            train: train.into(),
            valid: ValidFrom::Nowhere,
            test: None,
            dataset: Dataset::Auto,
            on_bad: OnBad::Fail,
            patient_regex: None,
            read: ReadAs::default(),
            cache: None,
            reading: Reading::default(),
            listed: Listings::default(),
        }
    }

    /// Options for reading a folder.
    pub(crate) fn options(&self) -> LoadOptions {
        let patient_regex = self.patient_regex.clone();
        self.read.apply(LoadOptions { on_bad: self.on_bad, patient_regex, ..LoadOptions::default() })
    }

    /// The rows of a part of a folder; no image is opened.
    pub(crate) fn table(&self, dir: &Path, part: Part) -> cxr_data::Result<Manifest> {
        let mut dirs = vec![dir.to_path_buf()];
        if dir == self.train {
            dirs.extend(self.read.more.iter().cloned());
        }
        self.listed.load(dirs, self.dataset, part, &self.options())
    }

    /// A part of a folder that was named for it, and the part that is read: all of a set without published parts.
    pub(crate) fn table_for(&self, dir: &Path, part: Part) -> cxr_data::Result<(Manifest, Part)> {
        match self.table(dir, part) {
            Err(fault @ cxr_data::Error::Layout { .. }) => match self.table(dir, Part::All) {
                Ok(all) if !all.has_parts => Ok((all, Part::All)),
                _ => Err(fault),
            },
            found => Ok((found?, part)),
        }
    }

    /// What is said of a folder of these sources, with absolute paths, for the record.
    pub(crate) fn read_of(&self, dir: &Path) -> Result<ReadAs> {
        let mut read = self.read.clone();
        if dir != self.train {
            read.more.clear();
        }
        for more in &mut read.more {
            *more = std::path::absolute(&*more).map_err(Error::io(&*more))?;
        }
        Ok(read)
    }

    /// As [`Self::table`], for the first use of a folder: passes its notes on, and fails if the folder does not exist.
    pub(crate) fn table_with_notes(&self, dir: &Path, part: Part, watch: &dyn Watch) -> Result<Manifest> {
        if !dir.is_dir() {
            let found = format!("{}, which is not a folder", dir.display());
            return Err(Error::Setting { key: "data".into(), found, expected: "the folder of a data set".into() });
        }
        let manifest = self.table(dir, part)?;
        manifest.notes.iter().for_each(|note| watch.note(note));
        manifest.account.warnings().for_each(|left| watch.note(&format!("{}: not used: {left}", dir.display())));
        Ok(manifest)
    }

    /// Checks that the training folder has these label columns, without opening images. Other errors of the folder are
    /// reported when it is read.
    ///
    /// # Errors
    /// A missing column; the message lists the columns found.
    pub fn check_tasks(&self, labels: &Labels) -> Result<()> {
        if let Ok(manifest) = self.table(&self.train, Part::Train) {
            labels.columns(&manifest)?;
        }
        Ok(())
    }
}
