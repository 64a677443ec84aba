//! Pooling on GPUs gives the numbers of the CPU, both ways.
//!
//! Needs the feature `wgpu` and an adapter; a software one (lavapipe of Mesa) will do. Without an adapter the tests are
//! skipped and say so, unless `MOCO_CXR_REQUIRE_GPU` is set.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use moco_cxr::{
    backbones::{avg_pool, global_average, max_pool},
    burn::tensor::{Device, Tensor, TensorData},
};
use support::gpu::{difference, gpu, tensor, values};

/// With vectors of four, two and one channels, odd and even sides, and sides of one.
const SHAPES: [[usize; 4]; 7] =
    [[2, 4, 8, 8], [1, 6, 7, 9], [3, 5, 2, 5], [2, 8, 1, 1], [1, 1, 1, 6], [2, 64, 33, 20], [3, 3, 5, 2]];

/// Where the values of a map lie.
#[derive(Debug, Clone, Copy)]
enum Layout {
    /// As a convolution leaves them.
    ChannelsLast,
    /// The same, the first channels of more, as in a dense block.
    FirstOfMore,
    ChannelsFirst,
}

/// Output, and gradient of the input under a loss that weighs every output differently.
fn results<const D: usize>(
    shape: [usize; 4],
    layout: Layout,
    device: &Device,
    pool: impl Fn(Tensor<4>) -> Tensor<D>,
) -> [Vec<f32>; 2] {
    let [b, c, h, w] = shape;
    let device = device.clone().autodiff();
    // Rounded to few values, so that windows have ties.
    let leaf = |shape| (tensor::<4>(shape, 1, &device) * 3.0).round().require_grad();
    let (leaf, x) = match layout {
        Layout::ChannelsFirst => {
            let leaf = leaf(shape);
            (leaf.clone(), leaf)
        }
        Layout::ChannelsLast => {
            let leaf = leaf([b, h, w, c]);
            (leaf.clone(), leaf.permute([0, 3, 1, 2]))
        }
        Layout::FirstOfMore => {
            let leaf = leaf([b, h, w, c + 64]);
            (leaf.clone(), leaf.permute([0, 3, 1, 2]).narrow(1, 0, c))
        }
    };
    let y = pool(x);
    let weights = tensor(y.dims(), 2, &device);
    let gradients = (y.clone() * weights).sum().backward();
    [values(y), values(leaf.grad(&gradients).unwrap())]
}

fn compare<const D: usize>(bound: f32, needed: usize, pool: impl Fn(Tensor<4>) -> Tensor<D> + Copy) {
    let Some(gpu) = gpu() else { return };
    for shape in SHAPES.into_iter().filter(|shape| shape[2].min(shape[3]) >= needed) {
        for layout in [Layout::ChannelsLast, Layout::FirstOfMore, Layout::ChannelsFirst] {
            let [there, here] = [&gpu, &Device::flex()].map(|device| results(shape, layout, device, pool));
            for (there, here) in there.iter().zip(&here) {
                let found = difference(there, here);
                assert!(found <= bound, "{shape:?}, {layout:?}: differs by {found}");
            }
        }
        let [there, here] = [&gpu, &Device::flex()].map(|device| values(pool(tensor(shape, 1, device))));
        assert!(difference(&there, &here) <= bound, "{shape:?}, without a tape");
    }
}

/// Nothing is rounded but sums of the same four gradients in the same order.
#[test]
fn maxima_and_their_gradients_are_the_cpus() {
    compare(0.0, 1, max_pool);
}

/// A quarter is exact; four numbers may be added in another order.
#[test]
fn means_of_windows_are_the_cpus() {
    compare(4.0 * f32::EPSILON, 2, avg_pool);
}

/// Sums in f32 of up to 660 numbers of about 1, which the CPU sums in f64.
#[test]
fn means_of_planes_are_the_cpus() {
    compare(1e-5, 1, global_average);
}

#[test]
fn a_maximum_over_nan_is_nan_at_any_place_of_the_window() {
    let Some(gpu) = gpu() else { return };
    for at in 0..9 {
        let mut data = vec![1.0_f32; 9];
        data[at] = f32::NAN;
        let y = values(max_pool(Tensor::<4>::from_data(TensorData::new(data, [1, 1, 3, 3]), &gpu)));
        let windows = [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]];
        for (y, window) in y.iter().zip(windows) {
            assert_eq!(y.is_nan(), window.contains(&at), "NaN at {at}: {y}");
        }
    }
}

/// Below all numbers that a kernel might begin its maximum with.
#[test]
fn the_smallest_values_are_maxima_too() {
    let Some(gpu) = gpu() else { return };
    for value in [f32::MIN, f32::NEG_INFINITY] {
        let y = values(max_pool(Tensor::<4>::from_data(TensorData::new(vec![value; 16], [1, 1, 4, 4]), &gpu)));
        assert_eq!(y, [value; 4]);
    }
}
