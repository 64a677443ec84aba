//! Which data sets are read and how: `--data`, `--dataset`, `--patient-regex`, `--table`, `--columns`, `--reader` and
//! `--on-bad-image`.

use std::path::{Path, PathBuf};

use clap::Args;
use moco_cxr::{
    cxr_data::{self, Columns, Dataset, LoadOptions, OnBad},
    data::ReadAs,
};

use super::bad_argument::BadArgument;
use crate::Fault;

/// A data set that must be given.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArguments {
    /// Folder of the data set; may be repeated, and the sets are read as one.
    #[arg(long, value_name = "DIR", required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    layout: LayoutArguments,
}

impl SourceArguments {
    /// The layout, or the default.
    pub(crate) fn dataset(&self) -> Dataset {
        self.layout.dataset()
    }

    /// How the data set is loaded.
    pub(crate) fn load_options(&self, on_bad: OnBad) -> LoadOptions {
        self.layout.load_options(on_bad)
    }

    /// The folder, or the first of several.
    pub(crate) fn dir(&self) -> &Path {
        self.data.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// All folders.
    pub(crate) fn dirs(&self) -> &[PathBuf] {
        &self.data
    }

    /// What is said of the folder beyond its layout; `tasks` are label columns that are asked for.
    pub(crate) fn read_as(&self, tasks: &[String]) -> ReadAs {
        let mut read = self.layout.read_as(&self.data);
        read.tasks = tasks.to_vec();
        read
    }

    /// The pattern that finds patients in paths.
    pub(crate) fn patient_regex(&self) -> Option<String> {
        self.layout.patient_regex.clone()
    }
}

/// A data set that may also come from a settings file, or need not be given.
#[derive(Debug, Clone, Args)]
pub(crate) struct OptionalSourceArguments {
    /// Folder of the data set; may be repeated, and the sets are read as one.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) layout: LayoutArguments,
}

impl OptionalSourceArguments {
    /// What is said of the folder beyond its layout, if anything is.
    pub(crate) fn read_as(&self) -> Option<ReadAs> {
        Some(self.layout.read_as(&self.data)).filter(|read| !read.is_default())
    }
}

/// How the folder of a data set is interpreted.
#[derive(Debug, Clone, Args)]
pub(crate) struct LayoutArguments {
    /// Layout of the data set: auto, chexpert, chexpert-plus, mimic, nih, padchest, vindr, rsna, openi, brax, tbx11k, covid,
    /// shenzhen, montgomery or folder. [default: auto]
    #[arg(long)]
    pub(crate) dataset: Option<Dataset>,
    /// For data sets that do not list patients: a regular expression whose first group, matched in the path of an image,
    /// is the patient.
    #[arg(long, value_name = "REGEX", value_parser = patient_regex)]
    pub(crate) patient_regex: Option<String>,
    /// Table to read, as a path or by its name in the folder: of the images, or of the labels for mimic and chexpert-plus.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Which column of your own table is what, such as path=ImageID,patient=PatientID (also study, view, projection, sex,
    /// age, split, labelled).
    #[arg(long, value_name = "ROLE=NAME,...")]
    columns: Option<Columns>,
    /// For vindr: take the labels of this reader, such as R8, instead of the majority.
    #[arg(long, value_name = "NAME")]
    reader: Option<String>,
}

impl LayoutArguments {
    fn read_as(&self, data: &[PathBuf]) -> ReadAs {
        let mut read = ReadAs::default();
        read.more = data.iter().skip(1).cloned().collect();
        (read.table, read.reader) = (self.table.clone(), self.reader.clone());
        read.columns = self.columns.clone().unwrap_or_default();
        read
    }

    /// The layout, or the default.
    pub(crate) fn dataset(&self) -> Dataset {
        self.dataset.unwrap_or_default()
    }

    /// How the data set is loaded.
    pub(crate) fn load_options(&self, on_bad: OnBad) -> LoadOptions {
        LoadOptions {
            on_bad,
            patient_regex: self.patient_regex.clone(),
            table: self.table.clone(),
            columns: self.columns.clone().unwrap_or_default(),
            reader: self.reader.clone(),
            ..LoadOptions::default()
        }
    }
}

/// `--on-bad-image`.
#[derive(Debug, Clone, Args)]
pub(crate) struct BadImageArguments {
    /// What to do with an image that cannot be read: fail or skip. [default: fail]
    #[arg(long, value_name = "ACTION")]
    pub(crate) on_bad_image: Option<OnBad>,
}

impl BadImageArguments {
    /// What to do with such an image, or the default.
    pub(crate) fn on_bad(&self) -> OnBad {
        self.on_bad_image.unwrap_or_default()
    }
}

/// Parses a `--patient-regex`.
pub(crate) fn patient_regex(text: &str) -> Result<String, cxr_data::Error> {
    let options = LoadOptions { patient_regex: Some(text.to_owned()), ..LoadOptions::default() };
    options.validate().map(|()| text.to_owned())
}

/// Refuses to write a picture into the folder of images, of which it would be one from then on.
pub(crate) fn outside_images(out: &Path, data: &Path) -> Result<(), Fault> {
    let Ok(whole) = std::path::absolute(out) else { return Ok(()) };
    // What is to be written is not there yet, nor need the folders above it be.
    let there = whole.ancestors().find_map(|above| above.canonicalize().ok());
    let (Some(folder), Ok(data)) = (there, data.canonicalize()) else { return Ok(()) };
    if folder.starts_with(&data) {
        let expected = "a place outside of the folder of images, where it would count as one of them";
        return Err(BadArgument::found("--out", format!("{}, below {}", out.display(), data.display()), expected));
    }
    Ok(())
}
