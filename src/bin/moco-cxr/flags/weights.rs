//! Which network is used and what its images look like: `--weights`, `--arch`, `--image-size`, `--mean` and `--std`.

use clap::Args;
use moco_cxr::{Weights, backbones::Arch};

use super::bad_argument::{BadArgument, OrBadArgument};
use crate::{Fault, terminal::fetch::fetch};

/// A trained network.
#[derive(Debug, Clone, Args)]
pub(crate) struct WeightsArguments {
    /// Weights: the folder of a run, a fine-tuning or an export, a weight file, or moco-cxr:NAME; imagenet or random
    /// where --arch says of which architecture.
    #[arg(long, value_name = "RUN|FILE|NAME")]
    weights: String,
    #[command(flatten)]
    arch: ArchArguments,
    #[command(flatten)]
    preprocessing: PreprocessingArguments,
}

impl WeightsArguments {
    /// Checks what can be checked before anything is read.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.arch.arch_of(&self.weights)?;
        self.preprocessing.check()
    }

    /// The weights, fetched if they are published and not on this machine.
    pub(crate) fn request(&self, quiet: bool) -> Result<Weights, Fault> {
        fetch(&self.weights, self.arch.arch_of(&self.weights)?, quiet)?;
        let mut weights = Weights::new(&self.weights);
        weights.arch = self.arch.arch;
        self.preprocessing.apply(&mut weights);
        Ok(weights)
    }
}

/// `--arch`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchArguments {
    /// Architecture: resnet18, resnet34, resnet50, densenet121, or resnet18-narrow to try commands fast. [default: detected from the tensors]
    #[arg(long, short)]
    pub(crate) arch: Option<Arch>,
}

impl ArchArguments {
    /// The architecture, which random and ImageNet weights need.
    pub(crate) fn arch_of(&self, source: &str) -> Result<Option<Arch>, Fault> {
        let there = match source {
            "random" => &Arch::ALL[..],
            "imagenet" => &Arch::TORCHVISION,
            _ => return Ok(self.arch),
        };
        if self.arch.is_none_or(|arch| !there.contains(&arch)) {
            let names: Vec<_> = there.iter().map(|arch| arch.name()).collect();
            let expected = format!("one of {} for {source} weights", names.join(", "));
            return Err(BadArgument::found("--arch", self.arch.map_or("none", Arch::name), expected));
        }
        Ok(self.arch)
    }
}

/// What a network expects of an image.
#[derive(Debug, Clone, Args)]
pub(crate) struct PreprocessingArguments {
    /// Image side in pixels, for weights that do not state it.
    #[arg(long, value_name = "PX")]
    pub(crate) image_size: Option<usize>,
    /// Mean of the intensities, from 0 to 1, or three of them with commas, for weights that do not state it.
    #[arg(long, value_name = "M", value_parser = channels)]
    pub(crate) mean: Option<Channels>,
    /// Standard deviation of the intensities, or three of them with commas, for weights that do not state it.
    #[arg(long, value_name = "S", value_parser = channels)]
    pub(crate) std: Option<Channels>,
}

impl PreprocessingArguments {
    /// Checks the numbers.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let mut weights = Weights::new("");
        self.apply(&mut weights);
        weights.validate().or_bad_argument()
    }

    pub(crate) fn apply(&self, weights: &mut Weights) {
        weights.image_size = self.image_size;
        weights.mean = self.mean.map(|mean| mean.0);
        weights.std = self.std.map(|std| std.0);
    }
}

/// A value for each of three channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channels(pub(crate) [f64; 3]);

/// Parses one number, for all channels, or three with commas.
fn channels(text: &str) -> Result<Channels, String> {
    let wrong = || format!("found {text:?}, expected one number, or three with commas: 0.485,0.456,0.406");
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.map_err(|_| wrong())?[..] {
        [one] => Ok(Channels([one; 3])),
        [a, b, c] => Ok(Channels([a, b, c])),
        _ => Err(wrong()),
    }
}
