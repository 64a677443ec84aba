//! A backbone and its projection head: images to unit embeddings.

use backbones::{Backbone, BatchNorm, Initializer, Linear, Mode};
use burn::{
    module::{Module, Param},
    tensor::{Tensor, activation::relu},
};
use rand::Rng;

use crate::{
    MocoConfig,
    random::{Purpose, rng},
};

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
#[allow(clippy::large_enum_variant)] // an encoder has one, and Burn's modules are not boxed
pub enum ProjectionHead {
    /// MoCo v1: one layer, `fc`.
    Linear(Linear),
    /// MoCo v2: `fc.0`, ReLU, `fc.2`.
    Mlp((Linear, Relu, Linear)),
    /// MoCo v3: `fc.0`, batch norm `fc.1`, ReLU, `fc.3`, batch norm `fc.4`.
    NormedMlp((Projection, BatchNorm, Relu, Projection, PlainNorm)),
}

/// A linear layer without bias, which batch norm behind it would subtract again.
#[derive(Module, Debug)]
pub struct Projection {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
}

/// Batch normalisation without scale and offset (PyTorch's `affine=False`): every coordinate of an embedding counts
/// alike, and none can be shrunk away.
#[derive(Module, Debug)]
pub struct PlainNorm {
    /// Running mean, `[C]`; a buffer.
    pub running_mean: Param<Tensor<1>>,
    /// Running unbiased variance, `[C]`; a buffer.
    pub running_var: Param<Tensor<1>>,
}

/// The activation between the two layers of the head. It has no tensors and only keeps PyTorch's numbering.
#[derive(Module, Debug)]
pub struct Relu {}

impl<B: Backbone> Encoder<B> {
    /// Adds a new head to a backbone, `[features -> dim]` or `[features -> features -> dim]` as `config` says, with
    /// PyTorch's default initial distribution, on the backbone's device.
    pub fn new(backbone: B, config: &MocoConfig, seed: u64) -> Self {
        let device = backbone.devices().into_iter().next().unwrap_or_default();
        let mut init = Initializer::new(rng(seed, Purpose::Head, 0, 0).next_u64(), &device);
        let (d, dim) = (backbone.feature_dim(), config.dim);
        let fc = match (config.mlp, config.head_norm) {
            (false, _) => ProjectionHead::Linear(init.linear(d, dim)),
            (true, false) => ProjectionHead::Mlp((init.linear(d, d), Relu {}, init.linear(d, dim))),
            (true, true) => ProjectionHead::NormedMlp((
                Projection::new(&mut init, d, d),
                init.batch_norm(d),
                Relu {},
                Projection::new(&mut init, d, dim),
                PlainNorm::new(&mut init, dim),
            )),
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
        unit_length(self.fc.forward(features, mode)) // [N, D]
    }
}

impl ProjectionHead {
    /// # Shapes
    /// - `[N, d]` to `[N, D]`
    pub fn forward(&mut self, features: Tensor<2>, mode: Mode) -> Tensor<2> {
        match self {
            Self::Linear(layer) => layer.forward(features),
            Self::Mlp((first, _, second)) => second.forward(relu(first.forward(features))),
            Self::NormedMlp((first, norm, _, second, plain)) => {
                let x = relu(norm.forward(first.forward(features), mode)); // [N, d, 1, 1]
                let [n, d, ..] = x.dims();
                let x = plain.forward(second.forward(x.reshape([n, d])), mode); // [N, D, 1, 1]
                let [n, dim, ..] = x.dims();
                x.reshape([n, dim])
            }
        }
    }
}

impl Projection {
    fn new(init: &mut Initializer, input: usize, output: usize) -> Self {
        Self { weight: init.linear(input, output).weight }
    }

    /// # Shapes
    /// - `[N, in]` to `[N, out, 1, 1]`, the form that batch norm takes
    fn forward(&self, x: Tensor<2>) -> Tensor<4> {
        let x = x.matmul(self.weight.val().transpose());
        let [n, out] = x.dims();
        x.reshape([n, out, 1, 1])
    }
}

impl PlainNorm {
    fn new(init: &mut Initializer, channels: usize) -> Self {
        let BatchNorm { running_mean, running_var, .. } = init.batch_norm(channels);
        Self { running_mean, running_var }
    }

    /// That of [`BatchNorm`] with scale 1 and offset 0, which are not tensors of this layer.
    fn forward(&mut self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let [_, c, ..] = x.dims();
        let (one, zero) = (Tensor::ones([c], &x.device()), Tensor::zeros([c], &x.device()));
        let mut norm = BatchNorm::new(one, zero, self.running_mean.val(), self.running_var.val());
        let y = norm.forward(x, mode);
        self.running_mean = self.running_mean.clone().map(|_| norm.running_mean.val());
        self.running_var = self.running_var.clone().map(|_| norm.running_var.val());
        y
    }
}

/// Rows divided by their length. The bound is inside the root, so that a zero row has a zero gradient, not NaN.
fn unit_length(x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "cube")]
    if let Some(y) = backbones::kernels::gpu::unit_length(&x, EPS) {
        return y;
    }
    let length = x.clone().square().sum_dim(1).clamp_min(EPS * EPS).sqrt(); // [N, 1]
    x / length
}

/// Name of an encoder's tensor in files, where backbone and head are on one level, as in MoCo's checkpoints:
/// `backbone.conv1.weight` is `conv1.weight`, `fc.0.weight` stays.
pub(crate) fn file_name(name: &str) -> &str {
    name.strip_prefix("backbone.").unwrap_or(name)
}
