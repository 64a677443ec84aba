//! Kernels for Burn's CPU backend with their own backward passes.
//!
//! Burn's generic backward of a convolution convolves the input with the whole output gradient, and its normalisation
//! is a chain of single-threaded passes; on a CPU that is most of a training step. The kernels here cover only what the
//! networks use: `f32` and `f64`, NCHW, no groups, no dilation. Updates of parameters work in place. Results do not depend on the number of threads: work is
//! divided by shape alone and sums are taken in a fixed order.
//!
//! Functions return `None` for a device or precision they do not support; the caller then uses Burn's own operation.

mod conv;
pub(crate) mod flat;
mod kernel;
mod norm;
mod pool;
mod simd;
pub(crate) mod tape;

pub(crate) use crate::cpu_times as clock;
pub(crate) use conv::conv2d;
pub(crate) use norm::batch_norm_train;
pub(crate) use pool::max_pool_3x3_s2;

use burn::tensor::Element;

/// Precisions the kernels support.
pub(crate) trait Real: Element + bytemuck::Pod + num_traits::Float + kernel::Vectorized {
    /// To double precision, in which sums are finished.
    fn wide(self) -> f64;
    /// Rounded from double precision.
    fn narrow(value: f64) -> Self;
}

impl Real for f32 {
    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn narrow(value: f64) -> Self {
        value as f32
    }
}

impl Real for f64 {
    fn wide(self) -> f64 {
        self
    }

    fn narrow(value: f64) -> Self {
        value
    }
}
