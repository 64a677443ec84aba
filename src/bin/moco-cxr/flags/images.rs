//! The flags that `predict`, `embed`, `explain` and `neighbours` share: weights, and images that need no labels.

use std::path::Path;

use clap::Args;
use moco_cxr::{DeviceChoice, Sources, Weights, cxr_data::Part};

use super::{
    device::DeviceArguments,
    output::OutputArguments,
    reading::ReadingArguments,
    seed::SeedArguments,
    source::{BadImageArguments, SourceArguments, outside_images},
    weights::WeightsArguments,
};
use crate::Fault;

/// `--part` of commands that take all images by default.
#[derive(Debug, Args)]
pub(crate) struct PartArguments {
    /// Part of the data set: train, valid, test or all.
    #[arg(long, default_value_t = Part::All)]
    pub(crate) part: Part,
}

#[derive(Debug, Args)]
pub(crate) struct ImageArguments {
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    weights: WeightsArguments,
    #[command(flatten)]
    seed: SeedArguments,
    #[command(flatten)]
    reading: ReadingArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    bad_image: BadImageArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

impl ImageArguments {
    /// Runs a command so that a failing device ends it with an error.
    pub(crate) fn guarded(&self, work: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
        self.device.guarded(self.output.quiet(), work)
    }

    /// Where the images are.
    pub(crate) fn sources(&self) -> Result<Sources, Fault> {
        self.weights.check()?;
        let mut sources = Sources::new(self.source.dir());
        sources.dataset = self.source.dataset();
        sources.on_bad = self.bad_image.on_bad();
        sources.patient_regex = self.source.patient_regex();
        sources.read = self.source.read_as(&[]);
        self.reading.apply(&mut sources, self.reading.batch_size)?;
        Ok(sources)
    }

    /// Refuses to write pictures into the folder of images.
    pub(crate) fn check_outside(&self, out: &Path) -> Result<(), Fault> {
        self.source.dirs().iter().try_for_each(|data| outside_images(out, data))
    }

    /// The weights, fetched if they are published and not on this machine.
    pub(crate) fn weights(&self) -> Result<Weights, Fault> {
        let mut weights = self.weights.request(self.output.quiet())?;
        weights.seed = self.seed.seed();
        weights.device = self.device.choose(DeviceChoice::Auto, true)?;
        Ok(weights)
    }
}
