//! A backbone and its projection head: images to unit embeddings.

use backbones::{Backbone, Initializer, Linear, Mode};
use burn::{
    module::Module,
    tensor::{Tensor, activation::relu},
};
use rand::Rng;

use crate::random::{Purpose, rng};

/// Smallest divisor of a vector, as in PyTorch's `normalize`.
const EPS: f64 = 1e-12;

/// A backbone followed by a projection head. The head belongs to the encoder and is dropped after pretraining; no layer
/// of the backbone is replaced.
#[derive(Module, Debug)]
pub struct Encoder<B: Backbone> {
    /// Images to features.
    pub backbone: B,
    /// Features to embeddings. It has the name of the layer that MoCo replaces, so that files name `fc.0`, `fc.2` as
    /// MoCo's checkpoints do.
    pub fc: ProjectionHead,
}

/// Features to embeddings.
#[derive(Module, Debug)]
pub enum ProjectionHead {
    /// MoCo v1: one layer, `fc`.
    Linear(Linear),
    /// MoCo v2: `fc.0`, ReLU, `fc.2`.
    Mlp((Linear, Relu, Linear)),
}

/// The activation between the two layers of the head. It has no tensors and only keeps PyTorch's numbering.
#[derive(Module, Debug)]
pub struct Relu {}

impl<B: Backbone> Encoder<B> {
    /// Adds a new head to a backbone, `[features -> dim]` or `[features -> features -> dim]`, with PyTorch's default
    /// initial distribution, on the backbone's device.
    pub fn new(backbone: B, dim: usize, mlp: bool, seed: u64) -> Self {
        let device = backbone.devices().into_iter().next().unwrap_or_default();
        let mut init = Initializer::new(rng(seed, Purpose::Head, 0, 0).next_u64(), &device);
        let d = backbone.feature_dim();
        let fc = if mlp {
            ProjectionHead::Mlp((init.linear(d, d), Relu {}, init.linear(d, dim)))
        } else {
            ProjectionHead::Linear(init.linear(d, dim))
        };
        Self { backbone, fc }
    }

    /// Embeddings of unit length.
    ///
    /// # Shapes
    /// - images `[N, 1 or 3, S, S]`, see [`Backbone::features`]
    /// - returns `[N, D]`
    pub fn encode(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        let features = self.backbone.features(images, mode); // [N, d]
        unit_length(self.fc.forward(features)) // [N, D]
    }
}

impl ProjectionHead {
    /// # Shapes
    /// - `[N, d]` to `[N, D]`
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Linear(layer) => layer.forward(features),
            Self::Mlp((first, _, second)) => second.forward(relu(first.forward(features))),
        }
    }
}

/// Rows divided by their length. The bound is inside the root, so that a zero row has a zero gradient, not NaN.
fn unit_length(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).clamp_min(EPS * EPS).sqrt(); // [N, 1]
    x / length
}

/// Name of an encoder's tensor in files, where backbone and head are on one level, as in MoCo's checkpoints:
/// `backbone.conv1.weight` is `conv1.weight`, `fc.0.weight` stays.
pub(crate) fn file_name(name: &str) -> &str {
    name.strip_prefix("backbone.").unwrap_or(name)
}
