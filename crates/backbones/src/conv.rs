//! Two-dimensional convolution without bias, as ResNet and DenseNet use it.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, module, ops::ConvOptions},
};

use crate::{pieces::Pieces, precision::like};

/// Convolution (cross-correlation, as everywhere in deep learning) with a square stride and zero padding, no bias.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in, kH, kW]`.
    pub weight: Param<Tensor<4>>,
    #[module(skip)]
    pub(crate) stride: usize,
    #[module(skip)]
    pub(crate) padding: usize,
}

impl Conv2d {
    /// From a weight `[out, in, kH, kW]`, with `stride` and zero `padding` in pixels on all sides.
    pub fn new(weight: Tensor<4>, stride: usize, padding: usize) -> Self {
        Self { weight: Param::from_tensor(weight), stride, padding }
    }

    /// # Shapes
    /// - `[B, in, H, W]` to `[B, out, H', W']` with `H' = (H + 2·padding - kH) / stride + 1`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv2d(x, self.weight.val(), self.stride, self.padding)
    }

    /// [`Self::forward`], appended to the maps of a dense block.
    pub(crate) fn append(&self, x: Tensor<4>, pieces: &mut Pieces) {
        #[cfg(feature = "cube")]
        if pieces.convolve(&x, &like(self.weight.val(), &x), self.stride, self.padding) {
            return;
        }
        pieces.push(self.forward(x));
    }
}

/// The convolution of [`Conv2d::forward`] with a given weight.
pub(crate) fn conv2d(x: Tensor<4>, weight: Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
    let weight = like(weight, &x);
    #[cfg(feature = "flex")]
    if let Some(y) = crate::cpu::conv2d(&x, &weight, stride, padding) {
        return y;
    }
    #[cfg(feature = "cube")]
    if let Some(y) = crate::gpu::conv::conv2d(&x, &weight, stride, padding, None) {
        return y;
    }
    let options = ConvOptions::new([stride, stride], [padding, padding], [1, 1], 1);
    module::conv2d(x, weight, None, options)
}
