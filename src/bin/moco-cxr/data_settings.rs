//! The part of `pretrain`'s settings that decides its images and views, for commands that look at them beforehand.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    PretrainSettings,
    cxr_data::{Dataset, OnBad},
};

use crate::{
    Fault,
    bad_argument::{BadArgument, OrBadArgument, patient_regex},
};

/// As for `pretrain`: preset, then file, then `--set`, then flags.
#[derive(Debug, Args)]
pub(crate) struct DataArguments {
    /// Folder of the data set.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Layout of the data: auto, chexpert, shenzhen, montgomery, nih or folder.
    #[arg(long)]
    dataset: Option<Dataset>,
    /// Settings to begin from: moco-cxr, moco-v2, small or medaug. [default: small]
    #[arg(long)]
    preset: Option<String>,
    /// Settings of a run (its config.toml), or any part of them to lay over the preset.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting by its path in config.toml, as views.flip=0; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Side of a view in pixels.
    #[arg(long, value_name = "PX")]
    image_size: Option<usize>,
    /// Threads that decode; 0 for one per core.
    #[arg(long, short = 'j')]
    workers: Option<usize>,
    /// What to do with an image that cannot be read: fail or skip.
    #[arg(long, value_name = "ACTION")]
    on_bad_image: Option<OnBad>,
    /// For a set without patients: a pattern whose first group, in an image's path, is the patient.
    #[arg(long, value_name = "REGEX", value_parser = patient_regex)]
    patient_regex: Option<String>,
    /// No notes.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl DataArguments {
    pub(crate) fn settings(&self) -> Result<PretrainSettings, Fault> {
        let data = self.data.clone().unwrap_or_default();
        let mut s = PretrainSettings::named(self.preset.as_deref().unwrap_or("small"), data).or_bad_argument()?;
        if let Some(file) = &self.config {
            s = s.with_file(file).or_bad_argument()?;
        }
        for assignment in &self.sets {
            s = s.with_set(assignment).or_bad_argument()?;
        }
        set(&mut s.data.dir, self.data.clone());
        set(&mut s.data.dataset, self.dataset);
        set(&mut s.data.on_bad, self.on_bad_image);
        set(&mut s.data.patient_regex, self.patient_regex.clone());
        set(&mut s.views.size, self.image_size);
        set(&mut s.workers, self.workers);
        if s.data.dir.as_os_str().is_empty() {
            let fault = "no data: found neither --data nor data.dir in --config, expected a folder";
            return Err(BadArgument::fault(fault));
        }
        s.validate().or_bad_argument()?;
        Ok(s)
    }

    /// Prints what a person should read, unless they asked for quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("note: {text}");
        }
    }
}

fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}
