//! The settings of a pretraining as `pretrain`, `preview` and `cache` take them.

use std::path::{Path, PathBuf};

use clap::Args;
use moco_cxr::{PretrainSettings, cxr_data::Part};

use super::{
    bad_argument::{BadArgument, OrBadArgument},
    reading::WorkerArguments,
    source::{BadImageArguments, OptionalSourceArguments},
};
use crate::Fault;

/// Preset, settings file, `--set`, and the flags that decide which images are seen.
#[derive(Debug, Args)]
pub(crate) struct SettingsArguments {
    #[command(flatten)]
    source: OptionalSourceArguments,
    /// Preset to start from: moco-cxr, moco-v2, small or medaug. [default: small]
    #[arg(long)]
    preset: Option<String>,
    /// Settings file (the config.toml of a run, or any part of one), applied over the preset.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change a setting by its path in config.toml, such as train.moco.temperature=0.1; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Part to train on: train, valid, test or all. Of a set without published parts it is the share that linear, knn and
    /// finetune make with the same --seed. [default: the published training part, or all images]
    #[arg(long)]
    part: Option<Part>,
    /// Side of a view in pixels.
    #[arg(long, value_name = "PX")]
    image_size: Option<usize>,
    #[command(flatten)]
    workers: WorkerArguments,
    #[command(flatten)]
    bad_image: BadImageArguments,
}

impl SettingsArguments {
    /// The settings: preset, then file, then `--set`, then flags, of which `more` applies those of the command itself.
    ///
    /// With neither preset nor file, the settings of the run `resumed` are the start.
    pub(crate) fn resolve(
        &self,
        resumed: Option<&Path>,
        more: impl FnOnce(&mut PretrainSettings),
    ) -> Result<PretrainSettings, Fault> {
        let mut settings = match (&self.preset, &self.config, resumed) {
            // What `pretrain` says of changes that may be.
            (None, None, Some(run)) => PretrainSettings::of_run(run)?.0,
            _ => self.preset_and_file()?,
        };
        for assignment in &self.sets {
            settings = settings.with_set(assignment).or_bad_argument()?;
        }
        set(&mut settings.data.dir, self.source.data.first().cloned());
        set(&mut settings.data.read, self.source.read_as());
        set(&mut settings.data.dataset, self.source.layout.dataset);
        set(&mut settings.data.patient_regex, self.source.layout.patient_regex.clone());
        set(&mut settings.data.on_bad, self.bad_image.on_bad_image);
        set(&mut settings.views.size, self.image_size);
        if self.part.is_some() {
            settings.data.part = self.part;
        }
        set(&mut settings.workers, self.workers.workers);
        more(&mut settings);
        if settings.data.dir.as_os_str().is_empty() {
            return Err(BadArgument::found("--data", "neither --data nor data.dir in --config", "a folder"));
        }
        settings.validate().or_bad_argument()?;
        Ok(settings)
    }

    fn preset_and_file(&self) -> Result<PretrainSettings, Fault> {
        let data = self.source.data.first().cloned().unwrap_or_default();
        let preset = PretrainSettings::named(self.preset.as_deref().unwrap_or("small"), data).or_bad_argument()?;
        match &self.config {
            Some(file) => preset.with_file(file).or_bad_argument(),
            None => Ok(preset),
        }
    }
}

/// Replaces a setting by the value of its flag, if that was given.
pub(crate) fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}
