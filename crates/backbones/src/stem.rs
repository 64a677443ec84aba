//! The first convolution, applied to one grey plane.
//!
//! A radiograph has one channel, published weights have three. Repeating the plane three times costs three times the
//! first convolution and the memory of its input; folding the weight gives the same numbers:
//! `Σ_c W_c * ((x - m_c) / s_c) = (Σ_c W_c / s_c) * x - Σ_c W_c * (m_c / s_c)`.
//! The second term is constant inside the image but not at its border, where zero padding hides part of it, so it is a
//! map over positions, made by convolving a constant image. Where mean and deviation are those of grey, the same for all
//! channels, the map is not needed: the plane is normalised, and the folded weight is `Σ_c W_c`.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use crate::{Conv2d, Precision, conv::conv2d};

/// Per-channel mean and deviation that normalise intensities in `[0, 1]` as in a network's training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Mean of each of three channels (equal for grey statistics), in `[0, 1]`.
    pub mean: [f64; 3],
    /// Deviation of each channel, above 0.
    pub std: [f64; 3],
}

impl Normalization {
    /// MoCo-CXR's: 0.5020 and 0.085585 on all channels (`image_transform.py`). The deviation is far below that of real
    /// pixels (about 0.29), but the published weights expect it.
    pub const MOCO_CXR: Self = Self { mean: [0.5020; 3], std: [0.085585; 3] };
    /// ImageNet's, as torchvision's weights expect.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
}

/// First convolution of a network; its weight stays `[out, 1 or 3, k, k]` however many planes come in.
#[derive(Module, Debug)]
pub struct Stem {
    /// `[out, 1 or 3, k, k]`.
    pub weight: Param<Tensor<4>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    padding: usize,
    #[module(skip)]
    normalization: Normalization,
    #[module(skip)]
    pub(crate) precision: Precision,
}

impl Stem {
    /// From a convolution with one or three input channels. A single-channel stem uses the first mean and deviation.
    pub fn new(conv: Conv2d, normalization: Normalization) -> Self {
        let Conv2d { weight, stride, padding } = conv;
        Self { weight, stride, padding, normalization, precision: Precision::F32 }
    }

    /// # Shapes
    /// - one plane `[B, 1, H, W]` in `[0, 1]`, or `[B, 3, H, W]` already normalised (only for three-channel stems)
    /// - returns `[B, out, H', W']` in the network's precision
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, planes, h, w] = x.dims();
        let [_, channels, ..] = weight.dims();
        if planes == channels && channels > 1 {
            return conv2d(self.precision.enter(x), weight, self.stride, self.padding);
        }
        let Normalization { mean: [mean, ..], std: [deviation, ..] } = self.normalization;
        if channels == 1 || self.normalization == (Normalization { mean: [mean; 3], std: [deviation; 3] }) {
            let folded = if channels == 1 { weight } else { weight.sum_dim(1) }; // [out, 1, k, k]
            let x = (x - mean) / deviation;
            return conv2d(self.precision.enter(x), folded, self.stride, self.padding);
        }
        let device = x.device();
        let per_channel = |f: fn(f64, f64) -> f64| {
            let n = &self.normalization;
            let values: Vec<f64> = (0..channels).map(|c| f(n.mean[c], n.std[c])).collect();
            Tensor::<4>::from_data(TensorData::new(values, [1, channels, 1, 1]), &device)
        };
        let folded = (weight.clone() * per_channel(|_, s| 1.0 / s)).sum_dim(1); // [out, 1, k, k]
        let offset = (weight * per_channel(|m, s| -m / s)).sum_dim(1); // [out, 1, k, k]
        let border = conv2d(Tensor::ones([1, 1, h, w], &device), offset, self.stride, self.padding); // [1, out, H', W']
        // A constant of the folded weight, made in f32 and rounded once.
        conv2d(self.precision.enter(x), folded, self.stride, self.padding) + self.precision.enter(border)
    }

    /// Mean and deviation applied to a single plane.
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }
}
