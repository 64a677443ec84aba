//! Which way a convolution is computed. The ways differ in rounding; the choice depends on its sizes and precision alone.

use burn::tensor::DType;

use super::{by_tap, geometry::Geometry, product, weight_grad::weight_grad as by_position, winograd};
use crate::cpu::{Real, memory::Buffer, simd::Level};

/// `out[B, Co, H', W']` of `x[B, Ci, H, W]` and `weight[Co, Ci, kH, kW]`.
pub(super) fn forward<T: Real>(g: &Geometry, x: &[T], weight: &[T]) -> Buffer<T> {
    let level = Level::best();
    if by_winograd::<T>(g) {
        return winograd::forward(g, x, weight, &T::kernels(level));
    }
    product::forward(g, x, weight, level)
}

/// `dx[B, Ci, H, W]` of the gradient `[B, Co, H', W']` of the output.
pub(super) fn input_grad<T: Real>(g: &Geometry, weight: &[T], grad: &[T]) -> Buffer<T> {
    let level = Level::best();
    if by_winograd::<T>(g) {
        return winograd::input_grad(g, weight, grad, &T::kernels(level));
    }
    product::input_grad(g, weight, grad, level)
}

/// `dw[Co, Ci, kH, kW]` of `x[B, Ci, H, W]` and the gradient `[B, Co, H', W']` of the output.
pub(super) fn weight_grad<T: Real>(g: &Geometry, x: &[T], grad: &[T]) -> Buffer<T> {
    let level = Level::best();
    let kernels = T::kernels(level);
    if by_winograd::<T>(g) {
        return winograd::weight_grad(g, x, grad, &kernels);
    }
    if by_tap::applies(g, &kernels) && by_tap::pays(g) {
        return by_tap::weight_grad(g, x, grad, &kernels);
    }
    by_position(g, x, grad, level)
}

/// Winograd's convolution has a larger error, so that double precision, which checks the others, does without.
fn by_winograd<T: Real>(g: &Geometry) -> bool {
    T::dtype() == DType::F32 && winograd::applies(g) && winograd::pays(g)
}
