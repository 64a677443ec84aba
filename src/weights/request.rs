//! A request for weights, with the user's settings for their images.

use backbones::Arch;

use super::{
    load::{LoadedNetwork, load},
    preprocessing::Asked,
};
use crate::{device::DeviceChoice, error::Result, files::Watch};

/// Weights to load, and the device to load them on. Size, mean and standard deviation of the images normally come with the
/// weights; values that contradict what is known are refused, and others take the place of what would be assumed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Weights {
    /// Folder of a run or of an export, a weight file, `moco-cxr:NAME`, or `imagenet` or `random` (with [`Self::arch`]);
    /// see [`load_weights`](crate::load_weights).
    pub source: String,
    /// Architecture. Default: recognised from the file.
    pub arch: Option<Arch>,
    /// Seed for random weights.
    pub seed: u64,
    /// Side of the images in pixels, for weights that do not specify it.
    pub image_size: Option<usize>,
    /// Mean of the intensities, in `[0, 1]`, for each of three channels (of one, the first), for weights that do not
    /// specify it.
    pub mean: Option<[f64; 3]>,
    /// Standard deviation of the intensities, above 0, as [`Self::mean`].
    pub std: Option<[f64; 3]>,
    /// Device of the network.
    pub device: DeviceChoice,
}

impl Weights {
    /// Weights from this source, on the first available device.
    pub fn new(source: impl Into<String>) -> Self {
        let device = DeviceChoice::Auto;
        Self { source: source.into(), arch: None, seed: 0, image_size: None, mean: None, std: None, device }
    }

    /// Random weights of an architecture, for images with this side in pixels.
    pub fn random(arch: Arch, image_size: usize) -> Self {
        Self { arch: Some(arch), image_size: Some(image_size), ..Self::new("random") }
    }

    /// Checks what is asked of the images, which [`Self::load`] does too, before anything is read.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for a size outside 32 to 4096 pixels, a mean outside `[0, 1]`, or a standard
    /// deviation outside `[1e-6, 1e6]`.
    pub fn validate(&self) -> Result<()> {
        self.asked().validate()
    }

    fn asked(&self) -> Asked {
        Asked { size: self.image_size, mean: self.mean, std: self.std, overrides: false }
    }

    /// Loads the weights, and notes what was assumed and what they are.
    ///
    /// # Errors
    /// As [`load_weights`](crate::load_weights); a size, mean or standard deviation other than what is known of the weights;
    /// a device that is not available.
    pub fn load(&self, watch: &dyn Watch) -> Result<LoadedNetwork> {
        self.validate()?;
        let loaded = load(&self.source, self.arch, self.seed, &self.asked(), &self.device.select()?)?;
        loaded.notes.iter().chain([&loaded.provenance]).for_each(|text| watch.note(text));
        Ok(loaded)
    }
}
