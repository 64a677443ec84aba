//! A request for weights, with the user's settings for their images.

use std::path::Path;

use backbones::Arch;
use cxr_data::ViewConfig;

use crate::{
    device::DeviceChoice,
    error::{Error, Result},
    files::Watch,
    weights::{LoadedNetwork, load_weights},
};

const PREPROCESSOR: &str = "preprocessor_config.json";

/// Weights to load, and the device to load them on. Size, mean and standard deviation of the images normally come with the
/// weights; values that contradict them are refused.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Weights {
    /// Folder of a run or of an export, a weight file, `moco-cxr:NAME`, or `imagenet` or `random` (with [`Self::arch`]);
    /// see [`load_weights`].
    pub source: String,
    /// Architecture. Default: recognised from the file.
    pub arch: Option<Arch>,
    /// Seed for random weights.
    pub seed: u64,
    /// Side of the images in pixels, for weights that do not specify it.
    pub image_size: Option<usize>,
    /// Mean of the intensities, in `[0, 1]`; must equal that of the weights.
    pub mean: Option<f64>,
    /// Standard deviation of the intensities, above 0; must equal that of the weights.
    pub std: Option<f64>,
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

    /// Loads the weights, and notes what was assumed and what they are.
    ///
    /// # Errors
    /// As [`load_weights`]; a size, mean or standard deviation other than the weights'; a device that is not available.
    pub fn load(&self, watch: &dyn Watch) -> Result<LoadedNetwork> {
        let loaded = load_weights(&self.source, self.arch, self.seed, &self.device.select()?)?;
        let loaded = self.checked(loaded)?;
        loaded.notes.iter().chain([&loaded.provenance]).for_each(|text| watch.note(text));
        Ok(loaded)
    }

    /// Checks that the request does not contradict the weights. If they specify no image size, applies the requested one.
    fn checked(&self, mut loaded: LoadedNetwork) -> Result<LoadedNetwork> {
        let source = self.source.as_str();
        let refuse = |key: &str, found: String, expected: String| {
            let expected = format!("{expected}, as {source} was trained with ({PREPROCESSOR})");
            Err(Error::Setting { key: key.into(), found, expected })
        };
        if let Some(size) = self.image_size.filter(|size| *size != loaded.views.size) {
            if described(source) {
                return refuse("image size", size.to_string(), loaded.views.size.to_string());
            }
            if size < Arch::MIN_SIDE {
                let (found, expected) = (size.to_string(), format!("at least {}", Arch::MIN_SIDE));
                return Err(Error::Setting { key: "image size".into(), found, expected });
            }
            ViewConfig::eval(size).validate()?;
            loaded.take_images_of(size);
        }
        let channels = loaded.config.channels;
        let normalization = loaded.config.normalization;
        for (key, asked, own) in [("mean", self.mean, normalization.mean), ("std", self.std, normalization.std)] {
            // Equal up to the digits that a user would copy.
            if let Some(asked) = asked.filter(|asked| own[..channels].iter().any(|own| (own - asked).abs() > 1e-6)) {
                return refuse(key, asked.to_string(), format!("{:?}", &own[..channels]));
            }
        }
        Ok(loaded)
    }
}

/// Whether the weights specify how to preprocess images.
fn described(source: &str) -> bool {
    let path = Path::new(source);
    let beside = [path.join("export"), path.to_owned(), path.parent().map(Path::to_owned).unwrap_or_default()];
    let folders = if path.is_dir() { &beside[..2] } else { &beside[2..] };
    folders.iter().any(|folder| folder.join(PREPROCESSOR).is_file())
}
