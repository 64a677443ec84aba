//! A network small enough to train in a test, with the structure of `Tiny` in `golden/make_probe.py`.

use backbones::{Backbone, BatchNorm, Classifier, Conv2d, FeatureMaps, Initializer, Mode, global_average};
use burn::{
    module::Module,
    tensor::{Device, Tensor, activation::relu},
};

#[derive(Module, Debug)]
pub(crate) struct Tiny {
    pub(crate) conv1: Conv2d,
    pub(crate) bn1: BatchNorm,
    pub(crate) conv2: Conv2d,
    pub(crate) bn2: BatchNorm,
}

impl Tiny {
    pub(crate) fn new(seed: u64, device: &Device) -> Self {
        let mut init = Initializer::new(seed, device);
        Self {
            conv1: init.conv2d(1, 4, 3, 2, 1),
            bn1: init.batch_norm(4),
            conv2: init.conv2d(4, 6, 3, 2, 1),
            bn2: init.batch_norm(6),
        }
    }

    pub(crate) fn classifier(seed: u64, tasks: usize, device: &Device) -> Classifier<Tiny> {
        let head = Initializer::new(seed + 1, device).linear(6, tasks);
        Classifier::new(Self::new(seed, device), head, "fc")
    }
}

impl Backbone for Tiny {
    fn feature_dim(&self) -> usize {
        6
    }

    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        global_average(self.feature_maps(images, mode))
    }
}

impl FeatureMaps for Tiny {
    fn feature_maps(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<4> {
        let x = relu(self.bn1.forward(self.conv1.forward(images), mode)); // [B, 4, H/2, W/2]
        relu(self.bn2.forward(self.conv2.forward(x), mode)) // [B, 6, H/4, W/4]
    }
}
