//! Parses the values of `--init` and `--weights`.

use std::path::{Path, PathBuf};

use backbones::{Arch, Normalization, WeightFile};

use super::{cache::Published, folder::weight_file};
use crate::error::{Error, Result};

/// A source of weights.
#[derive(Debug)]
pub(super) enum Source {
    /// Random weights.
    Random,
    /// A file, and the settings to assume if no file next to it specifies the preprocessing.
    File(PathBuf, Assumed),
}

/// Default image size, mean and standard deviation for weight files that do not specify them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assumed {
    pub(super) size: usize,
    pub(super) normalization: Normalization,
    pub(super) whose: &'static str,
    /// Whether the weights are published ones, whose publisher says it; a file that lies beside them in a folder of
    /// downloads is not theirs.
    pub(super) published: bool,
}

impl Assumed {
    /// 320 px, and mean and standard deviation from `image_transform.py` (the paper's code; its text says 224).
    pub(super) const MOCO_CXR: Self =
        Self { size: 320, normalization: Normalization::MOCO_CXR, whose: "MoCo-CXR's", published: false };
    /// 224 px, and torchvision's mean and standard deviation.
    pub(super) const IMAGENET: Self =
        Self { size: 224, normalization: Normalization::IMAGENET, whose: "ImageNet's", published: true };
    /// 224 px, and grey values from -1024 to 1024 (`torchxrayvision.datasets.normalize`): `(x - 1/2) * 2048`.
    pub(super) const TORCHXRAYVISION: Self = Self {
        size: 224,
        normalization: Normalization { mean: [0.5; 3], std: [1.0 / 2048.0; 3] },
        whose: "torchxrayvision's",
        published: false,
    };

    /// What is assumed of this file: of a network of torchxrayvision, which keeps its thresholds beside the network, its own
    /// settings.
    pub(super) fn of(self, file: &WeightFile) -> Self {
        let thresholds = |name: &str| name.rsplit('.').next() == Some("op_threshs");
        match file.tensors().iter().any(|tensor| thresholds(&tensor.name)) {
            true if !self.published => Self::TORCHXRAYVISION,
            _ => self,
        }
    }
}

const EXPECTED: &str = "random, imagenet, moco-cxr:NAME, the folder of a finished pretraining run, an export folder, \
                        or a weight file (PyTorch's or safetensors)";

impl Source {
    /// `random`, `imagenet`, `moco-cxr:NAME`, a run, an export folder or a file.
    pub(super) fn parse(source: &str, arch: Option<Arch>) -> Result<Self> {
        let fault = |found: &str| Error::Setting {
            key: format!("weights {source:?}"),
            found: found.to_owned(),
            expected: EXPECTED.to_owned(),
        };
        if source == "random" {
            return Ok(Self::Random);
        }
        if let Some(published) = Published::parse(source, arch)? {
            let imagenet = matches!(published, Published::ImageNet(_));
            let assumed = if imagenet { Assumed::IMAGENET } else { Assumed { published: true, ..Assumed::MOCO_CXR } };
            return Ok(Self::File(published.find()?, assumed));
        }
        let file = |path| Self::File(path, Assumed::MOCO_CXR);
        let path = Path::new(source);
        if path.is_dir() {
            let none = "a folder with neither export/model.safetensors nor model.safetensors";
            return weight_file(path).map(file).ok_or_else(|| fault(none));
        }
        if !path.exists() {
            return Err(fault("no such file or folder"));
        }
        Ok(file(path.to_owned()))
    }
}
