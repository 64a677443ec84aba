//! The architectures by name, and one type that holds any of them.

use std::{fmt, str::FromStr};

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{Backbone, DenseNet, Error, FeatureMaps, Mode, Normalization, Precision, ResNet, resnet::Plan};

/// Architectures of this crate, named as in torchvision, which has all but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Arch {
    /// 18 layers, features of length 512; 11,176,512 parameters with a three-channel stem.
    ResNet18,
    /// 34 layers, features of length 512; 21,284,672 parameters.
    ResNet34,
    /// 50 layers (torchvision's v1.5), features of length 2048; 23,508,032 parameters.
    ResNet50,
    /// 121 layers, features of length 1024; 6,953,856 parameters.
    DenseNet121,
    /// A ResNet18 with a quarter of the channels (16 to 128), features of length 128; 702,096 parameters. A step takes a quarter
    /// of a ResNet18's time (64 px on a CPU) and a checkpoint a sixteenth of its space: to try every command on a set of
    /// one's own, before the run that counts.
    #[serde(rename = "resnet18-narrow")]
    ResNet18Narrow,
}

impl Arch {
    /// All of them.
    pub const ALL: [Arch; 5] =
        [Arch::ResNet18, Arch::ResNet34, Arch::ResNet50, Arch::DenseNet121, Arch::ResNet18Narrow];

    /// Smallest height and width of an image, in pixels: the stem and the stages halve it five times.
    pub const MIN_SIDE: usize = 32;

    /// Those that torchvision has and publishes ImageNet weights of.
    pub const TORCHVISION: [Arch; 4] = [Arch::ResNet18, Arch::ResNet34, Arch::ResNet50, Arch::DenseNet121];

    /// torchvision's name, or one like it.
    pub fn name(self) -> &'static str {
        match self {
            Arch::ResNet18 => "resnet18",
            Arch::ResNet34 => "resnet34",
            Arch::ResNet50 => "resnet50",
            Arch::DenseNet121 => "densenet121",
            Arch::ResNet18Narrow => "resnet18-narrow",
        }
    }

    /// Length of a feature vector.
    pub fn feature_dim(self) -> usize {
        match self {
            Arch::ResNet18 | Arch::ResNet34 => 512,
            Arch::ResNet50 => 2048,
            Arch::DenseNet121 => 1024,
            Arch::ResNet18Narrow => 128,
        }
    }

    /// torchvision's name of the linear layer after the features, `fc` or `classifier`.
    pub fn head_name(self) -> &'static str {
        match self {
            Arch::ResNet18 | Arch::ResNet34 | Arch::ResNet50 | Arch::ResNet18Narrow => "fc",
            Arch::DenseNet121 => "classifier",
        }
    }

    /// torchvision's name of the first convolution.
    pub(crate) fn stem_name(self) -> &'static str {
        match self {
            Arch::ResNet18 | Arch::ResNet34 | Arch::ResNet50 | Arch::ResNet18Narrow => "conv1",
            Arch::DenseNet121 => "features.conv0",
        }
    }

    /// Output channels of the first convolution.
    pub(crate) fn stem_width(self) -> usize {
        if self == Arch::ResNet18Narrow { 16 } else { 64 }
    }

    /// `densenet.py` starts the bias of its classifier at zero, `resnet.py` leaves PyTorch's default.
    pub(crate) fn head_bias_is_zero(self) -> bool {
        self == Arch::DenseNet121
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|a| a.name() == s)
            .ok_or_else(|| Error::Arch { found: s.to_owned(), expected: Self::ALL.map(Self::name).join(", ") })
    }
}

/// Configuration of a [`Network`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Architecture.
    pub arch: Arch,
    /// Input channels of the first convolution, 1 or 3. Published weights have 3; a grey plane is folded into them.
    pub channels: usize,
    /// Mean and deviation that normalise intensities.
    pub normalization: Normalization,
}

impl NetworkConfig {
    /// The architecture with a three-channel stem and MoCo-CXR's normalisation.
    pub fn new(arch: Arch) -> Self {
        Self { arch, channels: 3, normalization: Normalization::MOCO_CXR }
    }

    /// A network with torchvision's initial distributions, drawn on the host from `seed`.
    pub fn init(&self, seed: u64, device: &Device) -> Network {
        let resnet = |plan| Network::ResNet(ResNet::init(plan, self.channels, self.normalization, seed, device));
        match self.arch {
            Arch::ResNet18 => resnet(Plan::RESNET18),
            Arch::ResNet34 => resnet(Plan::RESNET34),
            Arch::ResNet50 => resnet(Plan::RESNET50),
            Arch::ResNet18Narrow => resnet(Plan::RESNET18_NARROW),
            Arch::DenseNet121 => {
                Network::DenseNet(DenseNet::densenet121(self.channels, self.normalization, seed, device))
            }
        }
    }
}

/// Any backbone of this crate, chosen at run time.
#[allow(clippy::large_enum_variant)] // a few hundred bytes beside megabytes of weights
#[derive(Module, Debug)]
pub enum Network {
    /// ResNet18, 34 or 50, or the narrow ResNet18.
    ResNet(ResNet),
    /// DenseNet121.
    DenseNet(DenseNet),
}

impl Network {
    /// Maps after the stem and after each of the four stages, as [`ResNet::stages`] and [`DenseNet::stages`] give them.
    ///
    /// # Shapes
    /// - images `[B, 1 or 3, H, W]`, see [`Backbone::features`]
    pub fn stages(&mut self, images: Tensor<4>, mode: Mode) -> [Tensor<4>; 5] {
        match self {
            Network::ResNet(net) => net.stages(images, mode),
            Network::DenseNet(net) => net.stages(images, mode),
        }
    }
}

impl Network {
    /// Sets the precision of activations; weights stay f32. See [`Precision`].
    pub fn set_precision(&mut self, precision: Precision) {
        match self {
            Network::ResNet(net) => net.set_precision(precision),
            Network::DenseNet(net) => net.set_precision(precision),
        }
    }
}

impl Backbone for Network {
    fn feature_dim(&self) -> usize {
        match self {
            Network::ResNet(net) => net.feature_dim(),
            Network::DenseNet(net) => net.feature_dim(),
        }
    }

    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        match self {
            Network::ResNet(net) => net.features(images, mode),
            Network::DenseNet(net) => net.features(images, mode),
        }
    }
}

impl FeatureMaps for Network {
    fn feature_maps(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<4> {
        match self {
            Network::ResNet(net) => net.feature_maps(images, mode),
            Network::DenseNet(net) => net.feature_maps(images, mode),
        }
    }
}
