//! Which data set is read and how: `--data`, `--dataset`, `--patient-regex` and `--on-bad-image`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::cxr_data::{self, Dataset, LoadOptions, OnBad};

/// A data set that must be given.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArguments {
    /// Folder of the data set.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
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

    /// The pattern that finds patients in paths.
    pub(crate) fn patient_regex(&self) -> Option<String> {
        self.layout.patient_regex.clone()
    }
}

/// A data set that may also come from a settings file, or need not be given.
#[derive(Debug, Clone, Args)]
pub(crate) struct OptionalSourceArguments {
    /// Folder of the data set.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) layout: LayoutArguments,
}

/// How the folder of a data set is interpreted.
#[derive(Debug, Clone, Args)]
pub(crate) struct LayoutArguments {
    /// Layout of the data set: auto, chexpert, shenzhen, montgomery, nih or folder. [default: auto]
    #[arg(long)]
    pub(crate) dataset: Option<Dataset>,
    /// For data sets that do not list patients: a regular expression whose first group, matched in the path of an image,
    /// is the patient.
    #[arg(long, value_name = "REGEX", value_parser = patient_regex)]
    pub(crate) patient_regex: Option<String>,
}

impl LayoutArguments {
    /// The layout, or the default.
    pub(crate) fn dataset(&self) -> Dataset {
        self.dataset.unwrap_or_default()
    }

    /// How the data set is loaded.
    pub(crate) fn load_options(&self, on_bad: OnBad) -> LoadOptions {
        LoadOptions { on_bad, patient_regex: self.patient_regex.clone(), ..LoadOptions::default() }
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
