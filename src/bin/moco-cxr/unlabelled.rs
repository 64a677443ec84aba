//! What `predict` and `embed` have in common: weights, and images that need no labels.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::{
    AskedPreprocessing, LoadedNetwork, LoadedPart, ProbeSettings,
    cxr_data::{Dataset, LoadOptions, OnBad, Part},
    load_images, load_weights,
};

use crate::{
    Fault,
    bad_argument::{BadArgument, patient_regex},
    device::DeviceArguments,
    fetch::fetch,
    pass_bar,
};

#[derive(Debug, Args)]
pub(crate) struct UnlabelledArguments {
    /// Folder of images or of a data set.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Layout of the data.
    #[arg(long, default_value_t)]
    dataset: Dataset,
    /// Which part of the data set: train, valid, test or all.
    #[arg(long, default_value_t = Part::All)]
    part: Part,
    /// Folder of a run, of a fine-tuning or of an export, or a weight file.
    #[arg(long, value_name = "RUN|FILE")]
    pub(crate) weights: String,
    /// Side of the images in pixels; refused where the weights were trained with another.
    #[arg(long, value_name = "PX")]
    image_size: Option<usize>,
    /// Mean of the intensities in 0..1; refused where the weights were trained with another.
    #[arg(long, value_name = "M")]
    mean: Option<f64>,
    /// Deviation of the intensities; refused where the weights were trained with another.
    #[arg(long, value_name = "S")]
    std: Option<f64>,
    /// Images per batch.
    #[arg(long, short, default_value_t = 64)]
    pub(crate) batch_size: usize,
    /// Threads that decode; 0 for one per core.
    #[arg(long, short = 'j', default_value_t = 0)]
    workers: usize,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    /// What to do with an image that cannot be read: fail or skip.
    #[arg(long, value_name = "ACTION", default_value_t = OnBad::Fail)]
    on_bad_image: OnBad,
    /// For a set without patients: a pattern whose first group, in an image's path, is the patient.
    #[arg(long, value_name = "REGEX", value_parser = patient_regex)]
    patient_regex: Option<String>,
    /// Print a JSON summary.
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl UnlabelledArguments {
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("note: {text}");
        }
    }

    pub(crate) fn settings(&self, tasks: &[String]) -> ProbeSettings {
        let mut settings = ProbeSettings::new(tasks.to_vec());
        settings.batch_size = self.batch_size;
        settings.watch = pass_bar::watch(self.quiet);
        if self.workers > 0 {
            settings.workers = self.workers;
        }
        settings
    }

    pub(crate) fn weights(&self) -> Result<LoadedNetwork, Fault> {
        if self.batch_size == 0 {
            return Err(BadArgument::fault("--batch-size: found 0, expected at least 1"));
        }
        let device = self.device.select()?;
        fetch(&self.weights, None, self.quiet)?;
        let loaded = load_weights(&self.weights, None, 0, &device)?;
        let asked = AskedPreprocessing { size: self.image_size, mean: self.mean, std: self.std };
        let loaded = asked.apply(loaded, &self.weights)?;
        loaded.notes.iter().chain([&loaded.provenance]).for_each(|text| self.note(text));
        Ok(loaded)
    }

    pub(crate) fn images(&self, settings: &ProbeSettings) -> Result<LoadedPart, Fault> {
        let mut note = |text: &str| self.note(text);
        let patient_regex = self.patient_regex.clone();
        let options = LoadOptions { on_bad: self.on_bad_image, patient_regex, ..LoadOptions::default() };
        Ok(load_images(&self.data, self.dataset, self.part, &options, settings.workers, &mut note)?)
    }
}
