//! Configuration of views: each operation has its own probability and strength. All intensity operations are off in the
//! paper's preset.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How the S x S window is cut out of the rotated image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Crop {
    /// The centre, for evaluation.
    Center,
    /// A window of S x S pixels at a random place along the longer side (the short side is S already), as in the paper.
    Random,
    /// A window of random area and shape, scaled to S x S (torchvision's `RandomResizedCrop`).
    Resized {
        /// Smallest area as a fraction of the image's, in 0..=1.
        min_area: f64,
        /// Largest area as a fraction of the image's, in 0..=1.
        max_area: f64,
        /// Largest aspect ratio: width over height lies in `1/max_aspect..=max_aspect`, log-uniform. 4/3 in
        /// torchvision.
        max_aspect: f64,
    },
}

/// How a transformed pixel gets its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sampling {
    /// The source pixel it falls into, as in the paper (torchvision 0.5's default for rotation).
    Nearest,
    /// The mean of the source pixels around it, weighted by a tent as wide as the transform shrinks.
    Bilinear,
}

/// An operation applied with a probability, and a random strength.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Probability, in 0..=1.
    pub probability: f64,
    /// Largest strength, in the operation's own unit.
    pub strength: f64,
}

impl Operation {
    /// Never applied.
    pub const OFF: Self = Self { probability: 0.0, strength: 0.0 };

    const fn new(probability: f64, strength: f64) -> Self {
        Self { probability, strength }
    }
}

/// Contrast limited adaptive histogram equalisation, as OpenCV defines it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clahe {
    /// Probability, in 0..=1. Default 0.
    pub probability: f64,
    /// Highest histogram bin, as a multiple of the mean bin, at least 1. Default 2.
    pub clip_limit: f64,
    /// Tiles along each side, in 1..=64. Default 8.
    pub tiles: usize,
}

impl Clahe {
    /// Never applied; the parameters are OpenCV's usual ones.
    pub const OFF: Self = Self { probability: 0.0, clip_limit: 2.0, tiles: 8 };
}

/// The recipe of a view. Operations happen in the order of the fields. Begin with one of the constructors and set the
/// fields that differ.
///
/// Settings of earlier versions stay readable: an operation that is added is off in [`Default`], which stands for what is
/// missing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ViewConfig {
    /// Side S of the square view in pixels, in 8..=4096. Default 320.
    pub size: usize,
    /// Probability of a horizontal flip, in 0..=1; 0 preserves laterality. Default 0.5.
    pub flip: f64,
    /// Rotation about the centre by an angle uniform in `-strength..=strength` degrees, at most 180; pixels from
    /// outside the image are black. Default: always, 10 degrees.
    pub rotation: Operation,
    /// How the window is cut out. Default: random.
    pub crop: Crop,
    /// Sampling of flip, rotation and crop, which are composed into one transform. Default: nearest.
    pub sampling: Sampling,
    /// Local histogram equalisation. Default: off.
    pub clahe: Clahe,
    /// Multiplies values by a factor uniform in `1 - strength..=1 + strength`, strength in 0..=1. Default: off.
    pub brightness: Operation,
    /// Multiplies the distance from the view's mean by a factor uniform in `1 - strength..=1 + strength`, strength in
    /// 0..=1. Default: off.
    pub contrast: Operation,
    /// Raises values (0 = black, 1 = white) to a power log-uniform in `1/(1 + strength)..=1 + strength`, strength in
    /// 0..=4. Default: off.
    pub gamma: Operation,
    /// Gaussian blur with a deviation uniform in `0.1..=strength` pixels, strength in 0.1..=10 (MoCo v2: 2).
    /// Default: off.
    pub blur: Operation,
    /// Independent noise of mean 0 with a deviation uniform in `0..=strength`, as a fraction of the full range,
    /// strength in 0..=1. Default: off.
    pub noise: Operation,
    /// A black rectangle with an area uniform in `0.02..=strength` of the view and a shape log-uniform in 0.3..=3.3
    /// (torchvision's `RandomErasing`), strength in 0.02..=1. Default: off.
    pub erasing: Operation,
}

impl Default for ViewConfig {
    fn default() -> Self {
        Self::moco_cxr(320)
    }
}

impl ViewConfig {
    /// The largest side of a view in pixels.
    pub const MAX_SIZE: usize = 4096;

    /// The paper's views: resize the short side, flip, rotate by up to 10 degrees, crop. Intensities are unchanged.
    /// `size` is 320 in the paper (MoCo-CXR section 3.2).
    #[must_use]
    pub fn moco_cxr(size: usize) -> Self {
        Self { flip: 0.5, rotation: Operation::new(1.0, 10.0), crop: Crop::Random, ..Self::eval(size) }
    }

    /// Views for small sets and short runs (`docs/results/recipe.md`): exposure, place, size and tilt of a film may change, so
    /// that comparing brightness is not enough; its sides may not, and nothing is added to it or taken away.
    #[must_use]
    pub fn small(size: usize) -> Self {
        Self {
            rotation: Operation::new(1.0, 10.0),
            crop: Crop::Resized { min_area: 0.5, max_area: 1.0, max_aspect: 4.0 / 3.0 },
            sampling: Sampling::Bilinear,
            brightness: Operation::new(0.8, 0.3),
            contrast: Operation::new(0.8, 0.3),
            gamma: Operation::new(0.5, 0.4),
            ..Self::eval(size)
        }
    }

    /// Strong views, for long runs on many images: every change of intensity, a flip, and erasing. Those of preset `small` in
    /// version 0.1.0. MoCo v2's changes of hue and saturation and its random greyscale have no counterpart in grey images.
    #[must_use]
    pub fn strong(size: usize) -> Self {
        Self {
            flip: 0.5,
            rotation: Operation::new(1.0, 10.0),
            crop: Crop::Resized { min_area: 0.4, max_area: 1.0, max_aspect: 4.0 / 3.0 },
            sampling: Sampling::Bilinear,
            brightness: Operation::new(0.8, 0.3),
            contrast: Operation::new(0.8, 0.3),
            gamma: Operation::new(0.5, 0.4),
            blur: Operation::new(0.3, 1.0),
            noise: Operation::new(0.3, 0.03),
            erasing: Operation::new(0.25, 0.15),
            ..Self::eval(size)
        }
    }

    /// Deterministic: resize the short side, crop the centre.
    #[must_use]
    pub fn eval(size: usize) -> Self {
        Self {
            size,
            flip: 0.0,
            rotation: Operation::OFF,
            crop: Crop::Center,
            sampling: Sampling::Nearest,
            clahe: Clahe::OFF,
            brightness: Operation::OFF,
            contrast: Operation::OFF,
            gamma: Operation::OFF,
            blur: Operation::OFF,
            noise: Operation::OFF,
            erasing: Operation::OFF,
        }
    }

    /// Short side in pixels to which an image is resized before views are taken: S, or with [`Crop::Resized`] large
    /// enough that a square crop of the smallest area has S pixels per side.
    #[must_use]
    pub fn working_side(&self) -> usize {
        match self.crop {
            Crop::Center | Crop::Random => self.size,
            Crop::Resized { min_area, .. } => (self.size as f64 / min_area.sqrt()).ceil() as usize,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::View`] names the first field outside its range, with the value and the range.
    pub fn validate(&self) -> Result<()> {
        within("size", self.size as f64, 8.0, Self::MAX_SIZE as f64)?;
        within("flip", self.flip, 0.0, 1.0)?;
        for (name, operation, low, high) in [
            ("rotation", self.rotation, 0.0, 180.0),
            ("brightness", self.brightness, 0.0, 1.0),
            ("contrast", self.contrast, 0.0, 1.0),
            ("gamma", self.gamma, 0.0, 4.0),
            ("blur", self.blur, 0.1, 10.0),
            ("noise", self.noise, 0.0, 1.0),
            ("erasing", self.erasing, 0.02, 1.0),
        ] {
            within(&format!("{name}.probability"), operation.probability, 0.0, 1.0)?;
            // The strength of an operation that is off does not matter; usually it is 0.
            if operation.probability > 0.0 {
                within(&format!("{name}.strength"), operation.strength, low, high)?;
            }
        }
        within("clahe.probability", self.clahe.probability, 0.0, 1.0)?;
        within("clahe.clip_limit", self.clahe.clip_limit, 1.0, 1e6)?;
        within("clahe.tiles", self.clahe.tiles as f64, 1.0, 64.0)?;
        if let Crop::Resized { min_area, max_area, max_aspect } = self.crop {
            within("crop.resized.max_area", max_area, 0.01, 1.0)?;
            within("crop.resized.min_area", min_area, 0.01, max_area)?;
            within("crop.resized.max_aspect", max_aspect, 1.0, 10.0)?;
            if self.sampling == Sampling::Nearest {
                return Err(Error::View {
                    field: "sampling".into(),
                    found: "\"nearest\"".into(),
                    expected: "\"bilinear\", because a resized crop changes the scale".into(),
                });
            }
        }
        Ok(())
    }

    /// Checks that a view is fully described by its [`ViewMap`](crate::ViewMap): sampling is nearest and all operations
    /// on grey values are off, as in the paper's preset.
    ///
    /// # Errors
    /// [`Error::View`] names the first field that is not allowed.
    pub fn validate_map_only(&self) -> Result<()> {
        let refuse = |field: &str, found: String, expected: &str| {
            Err(Error::View { field: field.into(), found, expected: expected.into() })
        };
        if let Crop::Resized { .. } = self.crop {
            return refuse("crop", "resized".into(), "\"random\" or \"center\"");
        }
        if self.sampling != Sampling::Nearest {
            return refuse("sampling", "\"bilinear\"".into(), "\"nearest\"");
        }
        for (name, probability) in [
            ("clahe", self.clahe.probability),
            ("brightness", self.brightness.probability),
            ("contrast", self.contrast.probability),
            ("gamma", self.gamma.probability),
            ("blur", self.blur.probability),
            ("noise", self.noise.probability),
            ("erasing", self.erasing.probability),
        ] {
            if probability > 0.0 {
                return refuse(&format!("{name}.probability"), probability.to_string(), "0");
            }
        }
        Ok(())
    }
}

/// Refuses NaN too, which is in no range.
fn within(field: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::View { field: field.into(), found: value.to_string(), expected: format!("{low} to {high}") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn presets_are_valid() {
        for config in [
            ViewConfig::moco_cxr(320),
            ViewConfig::small(64),
            ViewConfig::strong(64),
            ViewConfig::eval(224),
            ViewConfig::default(),
        ] {
            config.validate().unwrap();
        }
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let mut config = ViewConfig::moco_cxr(320);
        config.flip = 1.5;
        assert_eq!(config.validate().unwrap_err().to_string(), "views: flip is 1.5, expected 0 to 1");
        let mut config = ViewConfig::strong(64);
        config.noise.strength = f64::NAN;
        assert_eq!(config.validate().unwrap_err().to_string(), "views: noise.strength is NaN, expected 0 to 1");
        config = ViewConfig::strong(64);
        config.sampling = Sampling::Nearest;
        assert!(config.validate().unwrap_err().to_string().contains("expected \"bilinear\""));
    }

    #[test]
    fn what_is_more_than_a_map_is_named() {
        ViewConfig::moco_cxr(320).validate_map_only().unwrap();
        ViewConfig::eval(224).validate_map_only().unwrap();
        let refused = |change: fn(&mut ViewConfig)| {
            let mut config = ViewConfig::moco_cxr(320);
            change(&mut config);
            config.validate_map_only().unwrap_err().to_string()
        };
        assert!(refused(|c| c.crop = ViewConfig::strong(64).crop).contains("crop is resized"));
        assert!(refused(|c| c.sampling = Sampling::Bilinear).contains("expected \"nearest\""));
        assert_eq!(refused(|c| c.clahe.probability = 0.1), "views: clahe.probability is 0.1, expected 0");
        assert_eq!(refused(|c| c.erasing.probability = 1.0), "views: erasing.probability is 1, expected 0");
    }

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_are_the_papers() {
        let config: ViewConfig = serde_json::from_str(r#"{"size": 224, "flip": 0}"#).unwrap();
        assert_eq!(config, ViewConfig { flip: 0.0, ..ViewConfig::moco_cxr(224) });
        let error = serde_json::from_str::<ViewConfig>(r#"{"siz": 224}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `siz`"), "{error}");
        let small = ViewConfig::strong(64);
        let text = serde_json::to_string(&small).unwrap();
        assert_eq!(serde_json::from_str::<ViewConfig>(&text).unwrap(), small);
    }
}
