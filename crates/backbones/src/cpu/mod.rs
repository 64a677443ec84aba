//! Kernels for Burn's CPU backend with their own backward passes.
//!
//! Burn's generic backward of a convolution convolves the input with the whole output gradient, and its normalisation
//! is a chain of single-threaded passes; on a CPU that is most of a training step. The kernels here cover only what the
//! networks use: `f32` and `f64`, NCHW, no groups, no dilation. Updates of parameters work in place. Results do not depend on the number of threads: work is
//! divided by shape alone and sums are taken in a fixed order.
//!
//! Functions return `None` for a device or precision they do not support; the caller then uses Burn's own operation.

pub(crate) mod contrast;
mod conv;
pub(crate) mod flat;
mod kernel;
pub(crate) mod memory;
pub(crate) mod norm;
mod pass;
mod pool;
mod simd;
pub(crate) mod tape;

pub(crate) use crate::cpu_times as clock;
pub(crate) use conv::conv2d;
pub(crate) use pool::{avg_pool_2x2, max_pool_3x3_s2, plane_means};

use burn::tensor::{Element, Tensor};

/// Whether the kernels serve a tensor's device and precision.
pub(crate) fn serves<const D: usize>(tensor: &Tensor<D>) -> bool {
    tape::operand(tensor).is_some()
}

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
