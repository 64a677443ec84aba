//! From a folder on disk to a [`Manifest`], with one loader per data set. Loading reads tables and file names and opens
//! no image.

mod cells;
mod chexpert;
mod folder;
mod images;
mod nih;
mod nlm;
mod reading;
mod table;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Manifest, Result};

pub(crate) use cells::patient_and_study;
pub(crate) use table::Table;

/// A data set, by its published layout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dataset {
    /// Recognised from the folder.
    #[default]
    Auto,
    /// CheXpert, small or full: `train.csv`, `valid.csv`, ground truth of the test set per study.
    Chexpert,
    /// Shenzhen, `ChinaSet_AllFiles`.
    Shenzhen,
    /// Montgomery County, `MontgomerySet`.
    Montgomery,
    /// NIH ChestX-ray14, `Data_Entry_2017.csv`.
    Nih,
    /// Any folder of images, or a CSV beside them.
    Folder,
}

/// Part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The published training part.
    Train,
    /// The published validation part.
    Valid,
    /// The published test part.
    Test,
    /// All parts.
    All,
}

/// How to treat a row whose image is missing or unreadable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBad {
    /// An error that names the image.
    #[default]
    Fail,
    /// Leave it out and count it.
    Skip,
}

/// Options of a loader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// How to treat rows whose image is missing.
    pub on_bad: OnBad,
    /// Keep rows whose image is missing, whatever `on_bad` says; an audit counts them as unreadable.
    pub keep_missing: bool,
    /// For sets without patients: a regular expression on the path of an image below the root; its first group is the
    /// patient.
    pub patient_regex: Option<String>,
    /// For a plain folder: the CSV to read, as a path or a name in the folder. By default it is searched for.
    pub table: Option<std::path::PathBuf>,
    /// For your own CSV: the label columns. By default every column whose first value is a label.
    pub tasks: Option<Vec<String>>,
}

impl LoadOptions {
    /// Checks the options, as far as that is possible without a data set.
    ///
    /// # Errors
    /// [`Error::PatientPattern`] for an invalid pattern.
    pub fn validate(&self) -> Result<()> {
        self.patient_regex.as_deref().map_or(Ok(()), folder::check_pattern)
    }
}

/// Reads a data set with the default [`LoadOptions`]: a missing image is an error.
///
/// # Errors
/// As [`load_with`].
pub fn load(dir: &Path, dataset: Dataset, part: Part) -> Result<Manifest> {
    load_with(dir, dataset, part, &LoadOptions::default())
}

/// Reads a data set. Rows are in file order; [`Manifest::notes`] says what was decided or repaired.
///
/// `dir` is the folder of the data set or its parent.
///
/// # Errors
/// When the folder does not have the data set's layout ([`Error::Layout`] says what it holds), a table lacks columns or
/// has an invalid cell, or an image is missing.
pub fn load_with(dir: &Path, dataset: Dataset, part: Part, options: &LoadOptions) -> Result<Manifest> {
    let found = if dataset == Dataset::Auto { Some(detect(dir)?) } else { None };
    let kind = found.as_ref().map_or(dataset, |(dataset, _)| *dataset);
    let mut manifest = match kind {
        Dataset::Chexpert => chexpert::load(dir, part, options),
        Dataset::Shenzhen => nlm::SHENZHEN.load(dir, part),
        Dataset::Montgomery => nlm::MONTGOMERY.load(dir, part),
        Dataset::Nih => nih::load(dir, part, options),
        Dataset::Folder | Dataset::Auto => folder::load(dir, part, options),
    }?;
    if options.patient_regex.is_some() && !matches!(kind, Dataset::Folder | Dataset::Auto) {
        manifest
            .notes
            .push(format!("the patient pattern is not used: the data set \"{kind}\" has its own patient ids"));
    }
    if let Some((dataset, sign)) = found {
        manifest.notes.insert(0, format!("{}: recognised as the data set \"{dataset}\" ({sign})", dir.display()));
    }
    Ok(manifest)
}

/// The data set that a folder looks like, and why.
fn detect(dir: &Path) -> Result<(Dataset, String)> {
    // First read the folder, so that a wrong path is reported as such.
    let names = listing(dir)?;
    if let Some(table) = nih::find_table(dir) {
        return Ok((Dataset::Nih, table.display().to_string()));
    }
    for (set, dataset) in [(nlm::SHENZHEN, Dataset::Shenzhen), (nlm::MONTGOMERY, Dataset::Montgomery)] {
        if let Some(folder) = set.find(dir)? {
            return Ok((dataset, format!("file names in {}", folder.display())));
        }
    }
    Ok(match chexpert::find_root(dir) {
        Ok(root) if chexpert::has_its_columns(&root)? => (Dataset::Chexpert, format!("tables in {}", root.display())),
        _ => (Dataset::Folder, format!("found {names}")),
    })
}

/// The note for a set without published parts, which is used whole for any part.
fn no_parts(dataset: Dataset, part: Part, images: usize) -> Option<String> {
    (part != Part::All).then(|| {
        format!("the data set \"{dataset}\" has no published parts: all its {images} images are used as \"{part}\"")
    })
}

/// Path of a file below a folder, with `/` between its parts; `None` where it is not valid Unicode.
fn below(root: &Path, file: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = file.strip_prefix(root).ok()?.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

/// Names of up to eight entries of a folder, for error messages.
fn listing(dir: &Path) -> Result<String> {
    let io = |source| Error::Io { path: dir.into(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let more = names.len().saturating_sub(8);
    names.truncate(8);
    Ok(match (names.is_empty(), more) {
        (true, _) => "an empty folder".into(),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    })
}

impl Dataset {
    const NAMES: [(&'static str, Dataset); 6] = [
        ("auto", Dataset::Auto),
        ("chexpert", Dataset::Chexpert),
        ("shenzhen", Dataset::Shenzhen),
        ("montgomery", Dataset::Montgomery),
        ("nih", Dataset::Nih),
        ("folder", Dataset::Folder),
    ];
}

impl Part {
    const NAMES: [(&'static str, Part); 4] =
        [("train", Part::Train), ("valid", Part::Valid), ("test", Part::Test), ("all", Part::All)];
}

impl OnBad {
    const NAMES: [(&'static str, OnBad); 2] = [("fail", OnBad::Fail), ("skip", OnBad::Skip)];
}

/// Implements `FromStr` and `Display` by the `NAMES` of a type.
macro_rules! named {
    ($($type:ty, $what:literal;)*) => {$(
        impl FromStr for $type {
            type Err = Error;

            fn from_str(value: &str) -> Result<Self> {
                crate::loaders::choice($what, value, &Self::NAMES)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(Self::NAMES.iter().find(|(_, choice)| choice == self).map_or("?", |(name, _)| name))
            }
        }
    )*};
}
pub(crate) use named;

named! {
    Dataset, "data set";
    Part, "part";
    OnBad, "choice for bad images";
}

pub(crate) fn choice<T: Copy>(what: &'static str, value: &str, names: &[(&str, T)]) -> Result<T> {
    names.iter().find(|(name, _)| name.eq_ignore_ascii_case(value)).map(|&(_, choice)| choice).ok_or_else(|| {
        Error::UnknownName {
            what,
            value: value.into(),
            expected: names.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }
    })
}

/// Whether a name has the extension of an image format that can be decoded.
pub(crate) fn has_image_extension(path: &Path) -> bool {
    const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "dcm", "dicom"];
    path.extension().is_some_and(|found| EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}
