//! Which network is used and what its images look like: `--weights`, `--arch`, `--image-size`, `--mean` and `--std`.

use clap::Args;
use moco_cxr::backbones::Arch;

/// A trained network.
#[derive(Debug, Clone, Args)]
pub(crate) struct WeightsArguments {
    /// Weights: the folder of a run, a fine-tuning or an export, a weight file, or moco-cxr:NAME; imagenet or random
    /// where --arch says of which architecture.
    #[arg(long, value_name = "RUN|FILE|NAME")]
    pub(crate) weights: String,
    /// Image side in pixels, for weights that do not state it; an error if they were trained with another.
    #[arg(long, value_name = "PX")]
    pub(crate) image_size: Option<usize>,
}

/// `--arch`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchArguments {
    /// Architecture: resnet18, resnet34, resnet50 or densenet121. [default: detected from the tensors]
    #[arg(long, short)]
    pub(crate) arch: Option<Arch>,
}

/// How intensities are normalised.
#[derive(Debug, Clone, Args)]
pub(crate) struct NormalizationArguments {
    /// Mean of the intensities, from 0 to 1; an error if the weights were trained with another.
    #[arg(long, value_name = "M")]
    pub(crate) mean: Option<f64>,
    /// Standard deviation of the intensities; an error if the weights were trained with another.
    #[arg(long, value_name = "S")]
    pub(crate) std: Option<f64>,
}
