//! ResNet (He et al., arXiv:1512.03385) with torchvision's structure and tensor names (`torchvision/models/resnet.py`,
//! v1.5: the stride of a bottleneck sits on its 3x3 convolution).

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};

use crate::{
    Backbone, BatchNorm, Conv2d, FeatureMaps, Initializer, Mode, Normalization, Precision, Stem,
    backbone::global_average,
};

/// Depth, kind of block and width of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    blocks: [usize; 4],
    bottleneck: bool,
    /// Channels of the stem and of the first stage's 3x3 convolutions; each later stage has twice those of the one before.
    width: usize,
}

impl Plan {
    pub(crate) const RESNET18: Plan = Plan { blocks: [2, 2, 2, 2], bottleneck: false, width: 64 };
    pub(crate) const RESNET18_NARROW: Plan = Plan { width: 16, ..Plan::RESNET18 };
    pub(crate) const RESNET34: Plan = Plan { blocks: [3, 4, 6, 3], bottleneck: false, width: 64 };
    pub(crate) const RESNET50: Plan = Plan { blocks: [3, 4, 6, 3], bottleneck: true, width: 64 };
}

/// A ResNet without its classifier; features are the average over positions after the last stage (512, 2048, or 128 of the narrow one).
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Stem,
    bn1: BatchNorm,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    #[module(skip)]
    feature_dim: usize,
}

/// A residual block, basic (two 3x3) or bottleneck (1x1, 3x3, 1x1).
#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    /// Convolution and normalisation of the shortcut, where the shape changes.
    downsample: Option<(Conv2d, BatchNorm)>,
}

impl ResNet {
    pub(crate) fn init(plan: Plan, channels: usize, normalization: Normalization, seed: u64, device: &Device) -> Self {
        let mut init = Initializer::new(seed, device);
        let conv1 = Stem::new(init.conv2d(channels, plan.width, 7, 2, 3), normalization);
        let bn1 = init.batch_norm(plan.width);
        let expansion = if plan.bottleneck { 4 } else { 1 };
        let mut input = plan.width;
        let mut stages = plan.blocks.iter().enumerate().map(|(i, &blocks)| {
            let width = plan.width << i;
            (0..blocks)
                .map(|b| {
                    let stride = if i > 0 && b == 0 { 2 } else { 1 };
                    let block = Block::init(&mut init, input, width, stride, plan.bottleneck);
                    input = width * expansion;
                    block
                })
                .collect::<Vec<_>>()
        });
        let mut stage = || stages.next().unwrap_or_default();
        let (layer1, layer2, layer3, layer4) = (stage(), stage(), stage(), stage());
        Self { conv1, bn1, layer1, layer2, layer3, layer4, feature_dim: 8 * plan.width * expansion }
    }

    /// Output of the stem and of the four stages, `[B, 64, H/4, W/4]` to `[B, feature_dim, H/32, W/32]` (a quarter of the
    /// channels in the narrow one).
    ///
    /// # Shapes
    /// - images `[B, 1 or 3, H, W]`, see [`Backbone::features`]
    pub fn stages(&mut self, images: Tensor<4>, mode: Mode) -> [Tensor<4>; 5] {
        let x = self.conv1.forward(images); // [B, 64, H/2, W/2]
        let stem = self.bn1.forward_relu_max_pool(x, mode); // [B, 64, H/4, W/4]
        let c1 = run(&mut self.layer1, stem.clone(), mode);
        let c2 = run(&mut self.layer2, c1.clone(), mode); // [B, 128, H/8, W/8] (times 4 with bottlenecks)
        let c3 = run(&mut self.layer3, c2.clone(), mode); // [B, 256, H/16, W/16]
        let c4 = run(&mut self.layer4, c3.clone(), mode); // [B, 512, H/32, W/32] (all a quarter in the narrow one)
        [stem, c1, c2, c3, c4]
    }
}

impl ResNet {
    /// Sets the precision of activations; see [`Precision`].
    pub fn set_precision(&mut self, precision: Precision) {
        self.conv1.precision = precision;
    }
}

impl Backbone for ResNet {
    fn feature_dim(&self) -> usize {
        self.feature_dim
    }

    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        global_average(self.feature_maps(images, mode))
    }
}

impl FeatureMaps for ResNet {
    fn feature_maps(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<4> {
        let [.., x] = self.stages(images, mode);
        self.conv1.precision.leave(x)
    }
}

fn run(blocks: &mut [Block], x: Tensor<4>, mode: Mode) -> Tensor<4> {
    blocks.iter_mut().fold(x, |x, block| block.forward(x, mode))
}

impl Block {
    fn init(init: &mut Initializer, input: usize, width: usize, stride: usize, bottleneck: bool) -> Self {
        let output = if bottleneck { width * 4 } else { width };
        let (conv1, conv2, conv3) = if bottleneck {
            let reduce = init.conv2d(input, width, 1, 1, 0);
            let spatial = init.conv2d(width, width, 3, stride, 1);
            (reduce, spatial, Some(init.conv2d(width, output, 1, 1, 0)))
        } else {
            (init.conv2d(input, width, 3, stride, 1), init.conv2d(width, width, 3, 1, 1), None)
        };
        let bn3 = conv3.is_some().then(|| init.batch_norm(output));
        let downsample = (stride != 1 || input != output)
            .then(|| (init.conv2d(input, output, 1, stride, 0), init.batch_norm(output)));
        let (bn1, bn2) = (init.batch_norm(width), init.batch_norm(width));
        Self { conv1, bn1, conv2, bn2, conv3, bn3, downsample }
    }

    fn forward(&mut self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let y = self.bn1.forward_relu(self.conv1.forward(x.clone()), mode);
        let y = self.conv2.forward(y);
        let shortcut = match &mut self.downsample {
            Some((conv, bn)) => bn.forward(conv.forward(x), mode),
            None => x,
        };
        match (&self.conv3, &mut self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let y = self.bn2.forward_relu(y, mode);
                bn3.forward_add_relu(conv3.forward(y), shortcut, mode)
            }
            _ => self.bn2.forward_add_relu(y, shortcut, mode),
        }
    }
}
