//! The poolings of ResNet and DenseNet, by kernels where there are any.

use burn::tensor::{
    Tensor,
    module::{avg_pool2d, max_pool2d},
    ops::{AvgPoolOptions, MaxPoolOptions},
};

/// 3x3 maximum with stride 2 and one pixel of padding, the first pooling of ResNet and DenseNet.
///
/// # Shapes
/// - `[B, C, H, W]` to `[B, C, ⌈H/2⌉, ⌈W/2⌉]`
pub fn max_pool(x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if let Some(y) = crate::cpu::max_pool_3x3_s2(&x) {
        return y;
    }
    #[cfg(feature = "cube")]
    if let Some(y) = crate::gpu::pool::max_pool_3x3_s2(&x) {
        return y;
    }
    max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]))
}

/// 2x2 mean with stride 2, between the blocks of DenseNet; a last odd row or column is left out.
///
/// # Shapes
/// - `[B, C, H, W]` to `[B, C, H / 2, W / 2]`
pub fn avg_pool(x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if let Some(y) = crate::cpu::avg_pool_2x2(&x) {
        return y;
    }
    #[cfg(feature = "cube")]
    if let Some(y) = crate::gpu::pool::avg_pool_2x2(&x) {
        return y;
    }
    avg_pool2d(x, AvgPoolOptions::new([2, 2]).with_stride([2, 2]))
}
