//! The interface of networks that can be pretrained, probed and fine-tuned.

use burn::{
    module::{Module, ModuleDisplay},
    tensor::Tensor,
};

use crate::Mode;

/// A network from images to feature vectors.
///
/// Any type that derives Burn's [`Module`] can implement it. The projection head of contrastive learning and the
/// classifier of fine-tuning are added after it; they replace no layer of it.
///
/// With two conventions, optimisers, averaging and weight files work without further code:
/// - trainable tensors are Burn parameters (`Param<Tensor<D>>`), found under their field path;
/// - buffers (running statistics) are parameters too, whose field is called `running_mean` or `running_var`. They are
///   saved, but never averaged, decayed or updated by an optimiser. [`crate::BatchNorm`] follows this.
///
/// ```
/// use backbones::{Backbone, BatchNorm, Conv2d, Initializer, Mode};
/// use burn::{module::Module, tensor::{Device, Tensor, activation::relu}};
///
/// #[derive(Module, Debug)]
/// struct Tiny { conv: Conv2d, bn: BatchNorm }
///
/// impl Backbone for Tiny {
///     fn feature_dim(&self) -> usize { 8 }
///     fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
///         let x = relu(self.bn.forward(self.conv.forward(images), mode)); // [B, 8, H, W]
///         x.mean_dims(&[2, 3]).reshape([-1, 8])                           // [B, 8]
///     }
/// }
///
/// let device = Device::flex();
/// let mut init = Initializer::new(0, &device);
/// let mut net = Tiny { conv: init.conv2d(1, 8, 3, 1, 1), bn: init.batch_norm(8) };
/// let x = Tensor::<4>::ones([2, 1, 32, 32], &device);
/// assert_eq!(net.features(x, Mode::Eval).dims(), [2, 8]);
/// ```
pub trait Backbone: Module + ModuleDisplay {
    /// Length of a feature vector.
    fn feature_dim(&self) -> usize;

    /// Feature vectors of a batch.
    ///
    /// A single plane holds grey values in `[0, 1]`, which the network normalises itself; three planes must already be
    /// normalised, as for torchvision's networks.
    ///
    /// `&mut` because running statistics change in [`Mode::Train`]; [`Mode::Eval`] changes nothing.
    ///
    /// # Shapes
    /// - images `[B, 1 or 3, H, W]`
    /// - returns `[B, feature_dim]`
    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2>;
}

/// A backbone whose features are the mean over positions of its last feature maps, as in ResNet and DenseNet.
/// [Grad-CAM](https://arxiv.org/abs/1610.02391) needs it.
pub trait FeatureMaps: Backbone {
    /// The feature maps; their mean over positions is [`Backbone::features`].
    ///
    /// # Shapes
    /// - images `[B, 1 or 3, H, W]`, see [`Backbone::features`]
    /// - returns `[B, feature_dim, h, w]`
    fn feature_maps(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<4>;
}

/// Mean over positions, `[B, C, h, w]` to `[B, C]`: from [`FeatureMaps::feature_maps`] to [`Backbone::features`].
pub fn global_average(maps: Tensor<4>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if let Some(means) = crate::cpu::plane_means(&maps) {
        return means;
    }
    #[cfg(feature = "cube")]
    if let Some(means) = crate::gpu::pool::plane_means(&maps) {
        return means;
    }
    let [b, c, h, w] = maps.dims();
    maps.reshape([b, c, h * w]).mean_dim(2).reshape([b, c])
}
