//! What is asked of the images of a network, beside what its weights say of them.

use std::path::Path;

use backbones::Arch;
use cxr_data::ViewConfig;

use crate::{
    error::{Error, Result},
    weights::LoadedNetwork,
};

const PREPROCESSOR: &str = "preprocessor_config.json";

/// How images are to be brought to a network, where a person says so. Weights that describe themselves are taken at their
/// word: a network that was trained on other images is not run on these.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AskedPreprocessing {
    /// Side in pixels.
    pub size: Option<usize>,
    /// Mean of the intensities, in `[0, 1]`.
    pub mean: Option<f64>,
    /// Deviation of the intensities, above 0.
    pub std: Option<f64>,
}

impl AskedPreprocessing {
    /// Checks what is asked against what the weights from `source` say; where they say no size, the one asked for is
    /// taken.
    ///
    /// # Errors
    /// The first that differs, with both values.
    pub fn apply(self, mut loaded: LoadedNetwork, source: &str) -> Result<LoadedNetwork> {
        let refuse = |key: &str, found: String, expected: String| {
            let expected = format!("{expected}, as {source} was trained with ({PREPROCESSOR})");
            Err(Error::Setting { key: key.into(), found, expected })
        };
        if let Some(size) = self.size.filter(|size| *size != loaded.views.size) {
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
            // Equal up to the digits that a person copies.
            if let Some(asked) = asked.filter(|asked| own[..channels].iter().any(|own| (own - asked).abs() > 1e-6)) {
                return refuse(key, asked.to_string(), format!("{:?}", &own[..channels]));
            }
        }
        Ok(loaded)
    }
}

/// Whether the weights say how images are brought to them.
fn described(source: &str) -> bool {
    let path = Path::new(source);
    let beside = [path.join("export"), path.to_owned(), path.parent().map(Path::to_owned).unwrap_or_default()];
    let folders = if path.is_dir() { &beside[..2] } else { &beside[2..] };
    folders.iter().any(|folder| folder.join(PREPROCESSOR).is_file())
}
