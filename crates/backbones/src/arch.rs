//! The architectures by name, and one type that holds any of them.

use std::{fmt, str::FromStr};

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{Backbone, Error, Mode, Normalization, ResNet, resnet::Plan};

/// Architectures of this crate, named as in torchvision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Arch {
    /// 18 layers, features of length 512; 11,176,512 parameters with a three-channel stem.
    ResNet18,
    /// 34 layers, features of length 512.
    ResNet34,
    /// 50 layers (torchvision's v1.5), features of length 2048.
    ResNet50,
}

impl Arch {
    /// All of them.
    pub const ALL: [Arch; 3] = [Arch::ResNet18, Arch::ResNet34, Arch::ResNet50];

    /// torchvision's name.
    pub fn name(self) -> &'static str {
        match self {
            Arch::ResNet18 => "resnet18",
            Arch::ResNet34 => "resnet34",
            Arch::ResNet50 => "resnet50",
        }
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

/// How to make a [`Network`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Which architecture.
    pub arch: Arch,
    /// Input channels of the first convolution, 1 or 3. Published weights have 3; a grey plane is folded into them.
    pub channels: usize,
    /// What intensities are normalised with.
    pub normalization: Normalization,
}

impl NetworkConfig {
    /// The architecture with a three-channel stem and MoCo-CXR's normalisation.
    pub fn new(arch: Arch) -> Self {
        Self { arch, channels: 3, normalization: Normalization::MOCO_CXR }
    }

    /// A network with torchvision's initial distributions, drawn on the host from `seed`.
    pub fn init(&self, seed: u64, device: &Device) -> Network {
        let resnet = |plan| ResNet::init(plan, self.channels, self.normalization, seed, device);
        match self.arch {
            Arch::ResNet18 => Network::ResNet(resnet(Plan::RESNET18)),
            Arch::ResNet34 => Network::ResNet(resnet(Plan::RESNET34)),
            Arch::ResNet50 => Network::ResNet(resnet(Plan::RESNET50)),
        }
    }
}

/// Any backbone of this crate, chosen at run time.
#[derive(Module, Debug)]
pub enum Network {
    /// ResNet18, 34 or 50.
    ResNet(ResNet),
}

impl Backbone for Network {
    fn feature_dim(&self) -> usize {
        match self {
            Network::ResNet(net) => net.feature_dim(),
        }
    }

    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        match self {
            Network::ResNet(net) => net.features(images, mode),
        }
    }
}
