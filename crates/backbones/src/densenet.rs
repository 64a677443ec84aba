//! DenseNet121 (Huang et al., arXiv:1608.06993) with torchvision's structure and tensor names
//! (`torchvision/models/densenet.py`).

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use crate::{
    Backbone, BatchNorm, Conv2d, FeatureMaps, Initializer, Mode, Normalization, Precision, Stem,
    backbone::global_average, named::Named, pieces::Pieces, pool::avg_pool,
};

/// Channels that each dense layer adds.
const GROWTH: usize = 32;
/// Channels of the 1x1 convolution of a dense layer, in units of [`GROWTH`].
const BOTTLENECK: usize = 4;
/// Dense layers of each block: 121 layers in all.
const BLOCKS: [usize; 4] = [6, 12, 24, 16];

/// DenseNet121 without its classifier; features are the average over positions of the rectified last maps (1024).
#[derive(Module, Debug)]
pub struct DenseNet {
    features: Features,
    #[module(skip)]
    feature_dim: usize,
}

#[derive(Module, Debug)]
struct Features {
    conv0: Stem,
    norm0: BatchNorm,
    denseblock1: Named<DenseLayer>,
    transition1: Transition,
    denseblock2: Named<DenseLayer>,
    transition2: Transition,
    denseblock3: Named<DenseLayer>,
    transition3: Transition,
    denseblock4: Named<DenseLayer>,
    norm5: BatchNorm,
}

/// Norm, ReLU, 1x1 convolution, norm, ReLU, 3x3 convolution; its output is appended to its input.
#[derive(Module, Debug)]
struct DenseLayer {
    norm1: BatchNorm,
    conv1: Conv2d,
    norm2: BatchNorm,
    conv2: Conv2d,
}

/// Halves channels, height and width between two blocks.
#[derive(Module, Debug)]
struct Transition {
    norm: BatchNorm,
    conv: Conv2d,
}

impl DenseNet {
    pub(crate) fn densenet121(channels: usize, normalization: Normalization, seed: u64, device: &Device) -> Self {
        let mut init = Initializer::new(seed, device);
        let mut width = 2 * GROWTH; // channels so far
        let conv0 = Stem::new(init.conv2d_fan_in(channels, width, 7, 2, 3), normalization);
        let norm0 = init.batch_norm(width);
        let [b1, b2, b3, b4] = BLOCKS;
        let denseblock1 = dense_block(&mut init, &mut width, b1);
        let transition1 = Transition::init(&mut init, &mut width);
        let denseblock2 = dense_block(&mut init, &mut width, b2);
        let transition2 = Transition::init(&mut init, &mut width);
        let denseblock3 = dense_block(&mut init, &mut width, b3);
        let transition3 = Transition::init(&mut init, &mut width);
        let denseblock4 = dense_block(&mut init, &mut width, b4);
        let norm5 = init.batch_norm(width);
        let features = Features {
            conv0,
            norm0,
            denseblock1,
            transition1,
            denseblock2,
            transition2,
            denseblock3,
            transition3,
            denseblock4,
            norm5,
        };
        Self { features, feature_dim: width }
    }

    /// Output of the stem, of the first three dense blocks (before the transition that halves them), and of the last
    /// ReLU: `[B, 64, H/4, W/4]`, `[B, 256, H/4, W/4]`, `[B, 512, H/8, W/8]`, `[B, 1024, H/16, W/16]` and
    /// `[B, 1024, H/32, W/32]`. The features are the mean over positions of the last.
    ///
    /// # Shapes
    /// - images `[B, 1 or 3, H, W]`, see [`Backbone::features`]
    pub fn stages(&mut self, images: Tensor<4>, mode: Mode) -> [Tensor<4>; 5] {
        let mut stages = Vec::with_capacity(4);
        let last = self.run(images, mode, |pieces| stages.push(pieces.joined()));
        stages.push(last);
        stages.try_into().expect("the stem, three blocks and the last maps")
    }

    /// The last feature maps; `see` is shown the output of the stem and of the first three dense blocks.
    fn run(&mut self, images: Tensor<4>, mode: Mode, mut see: impl FnMut(&Pieces)) -> Tensor<4> {
        let f = &mut self.features;
        let x = f.conv0.forward(images); // [B, 64, H/2, W/2]
        let x = f.norm0.forward_relu_max_pool(x, mode); // [B, 64, H/4, W/4]
        let mut x = Pieces::new(x, BLOCKS[0] * GROWTH);
        see(&x);
        let blocks = [
            (&mut f.denseblock1, &mut f.transition1),
            (&mut f.denseblock2, &mut f.transition2),
            (&mut f.denseblock3, &mut f.transition3),
        ];
        for ((block, transition), next) in blocks.into_iter().zip(&BLOCKS[1..]) {
            dense(block, &mut x, mode);
            see(&x);
            x = Pieces::new(transition.forward(x, mode), next * GROWTH);
        }
        dense(&mut f.denseblock4, &mut x, mode);
        f.norm5.forward_pieces_relu(&mut x, mode) // [B, 1024, H/32, W/32]
    }
}

impl DenseNet {
    /// Sets the precision of activations; see [`Precision`].
    pub fn set_precision(&mut self, precision: Precision) {
        self.features.conv0.precision = precision;
    }
}

impl Backbone for DenseNet {
    fn feature_dim(&self) -> usize {
        self.feature_dim
    }

    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        global_average(self.feature_maps(images, mode))
    }
}

impl FeatureMaps for DenseNet {
    fn feature_maps(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<4> {
        let x = self.run(images, mode, |_| ());
        self.features.conv0.precision.leave(x)
    }
}

fn dense_block(init: &mut Initializer, width: &mut usize, layers: usize) -> Named<DenseLayer> {
    let layers = (0..layers)
        .map(|_| {
            let layer = DenseLayer::init(init, *width);
            *width += GROWTH;
            layer
        })
        .collect();
    Named::new("denselayer", layers)
}

fn dense(block: &mut Named<DenseLayer>, pieces: &mut Pieces, mode: Mode) {
    for layer in block.iter_mut() {
        layer.forward(pieces, mode);
    }
}

impl DenseLayer {
    fn init(init: &mut Initializer, input: usize) -> Self {
        let inner = BOTTLENECK * GROWTH;
        Self {
            norm1: init.batch_norm(input),
            conv1: init.conv2d_fan_in(input, inner, 1, 1, 0),
            norm2: init.batch_norm(inner),
            conv2: init.conv2d_fan_in(inner, GROWTH, 3, 1, 1),
        }
    }

    fn forward(&mut self, pieces: &mut Pieces, mode: Mode) {
        let x = self.conv1.forward(self.norm1.forward_pieces_relu(pieces, mode)); // [B, 128, H, W]
        self.conv2.append(self.norm2.forward_relu(x, mode), pieces); // [B, 32, H, W]
    }
}

impl Transition {
    fn init(init: &mut Initializer, width: &mut usize) -> Self {
        let input = *width;
        *width = input / 2;
        Self { norm: init.batch_norm(input), conv: init.conv2d_fan_in(input, *width, 1, 1, 0) }
    }

    fn forward(&mut self, mut pieces: Pieces, mode: Mode) -> Tensor<4> {
        let x = self.norm.forward_pieces_relu(&mut pieces, mode); // [B, C, H, W]
        drop(pieces);
        let x = self.conv.forward(x); // [B, C/2, H, W]
        avg_pool(x) // [B, C/2, H/2, W/2]
    }
}
