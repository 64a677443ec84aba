//! A minimal network with the operations of a backbone.

use backbones::{Backbone, BatchNorm, Conv2d, Initializer, Mode, Precision, global_average};
use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

/// Convolution, batch norm, ReLU and max pooling as in a stem, a second convolution with stride, batch norm and ReLU, mean.
#[derive(Module, Debug)]
pub(super) struct Tiny {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    #[module(skip)]
    precision: Precision,
}

/// So many that the kernels of GPUs take the second normalisation for more than a small map.
const FEATURES: usize = 128;

impl Tiny {
    pub(super) fn new(precision: Precision, device: &Device) -> Self {
        let mut init = Initializer::new(7, device);
        Self {
            conv1: init.conv2d(1, 8, 3, 1, 1),
            bn1: init.batch_norm(8),
            conv2: init.conv2d(8, FEATURES, 3, 2, 1),
            bn2: init.batch_norm(FEATURES),
            precision,
        }
    }
}

impl Backbone for Tiny {
    fn feature_dim(&self) -> usize {
        FEATURES
    }

    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        let x = self.conv1.forward(self.precision.enter(images)); // [N, 8, S, S]
        let x = self.bn1.forward_relu_max_pool(x, mode); // [N, 8, S/2, S/2]
        let x = self.bn2.forward_relu(self.conv2.forward(x), mode); // [N, 128, S/4, S/4]
        self.precision.leave(global_average(x)) // [N, 128]
    }
}
