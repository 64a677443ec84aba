//! The kernels for GPUs give the numbers of the CPU: each alone, at sizes that do not fit their tiles.
//!
//! Needs the feature `wgpu` and an adapter; a software one (lavapipe of Mesa) will do. Without an adapter the tests are
//! skipped and say so, unless `MOCO_CXR_REQUIRE_GPU` is set.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use moco_cxr::{
    backbones::{BatchNorm, Mode},
    burn::{
        module::Param,
        tensor::{Device, Tensor, TensorData},
    },
};
use support::gpu::{difference, gpu, numbers, tensor, values};

struct Case {
    shape: [usize; 4],
    groups: usize,
    add: bool,
    rectify: bool,
    /// Whether the maximum over windows follows, as in a stem.
    pool: bool,
    eval: bool,
    /// Whether the input comes as a convolution leaves it.
    channels_last: bool,
    /// Added to all inputs: statistics far from 0.
    offset: f32,
}

const CASE: Case = Case {
    shape: [4, 8, 5, 3],
    groups: 1,
    add: false,
    rectify: true,
    pool: false,
    eval: false,
    channels_last: true,
    offset: 0.0,
};

/// Output, gradients of input, weight, bias and residual, and running statistics.
fn normalise(case: &Case, device: &Device) -> Vec<Vec<f32>> {
    let [b, c, h, w] = case.shape;
    let device = device.clone().autodiff();
    let leaf = |seed: usize| match case.channels_last {
        true => tensor([b, h, w, c], seed, &device).permute([0, 3, 1, 2]),
        false => tensor(case.shape, seed, &device),
    };
    let (x, residual) = ((leaf(1) * 0.7 + case.offset).require_grad(), leaf(2).require_grad());
    let mut norm = BatchNorm::new(
        tensor([c], 3, &device) + 1.5,
        tensor([c], 4, &device),
        tensor([c], 5, &device.clone().inner()),
        tensor([c], 6, &device.clone().inner()) + 1.5,
    );
    let mode = if case.eval { Mode::Eval } else { Mode::Train { groups: case.groups } };
    let y = match (case.add, case.rectify) {
        (true, _) => norm.forward_add_relu(x.clone(), residual.clone(), mode),
        (false, _) if case.pool => norm.forward_relu_max_pool(x.clone(), mode),
        (false, true) => norm.forward_relu(x.clone(), mode),
        (false, false) => norm.forward(x.clone(), mode),
    };
    let loss = (y.clone() * tensor(y.dims(), 7, &device)).sum();
    let gradients = loss.backward();
    let of = |param: &Param<Tensor<1>>| values(param.val().grad(&gradients).unwrap());
    let mut found = vec![values(y), values(x.grad(&gradients).unwrap()), of(&norm.weight), of(&norm.bias)];
    if case.add {
        found.push(values(residual.grad(&gradients).unwrap()));
    }
    found.extend([values(norm.running_mean.val()), values(norm.running_var.val())]);
    found
}

/// Sums in f32 of up to 13,000 numbers in another order than the CPU's, which sums in f64; a gradient of x is a difference of
/// such sums.
const BOUND: f32 = 2e-5;

#[test]
fn normalisation_gives_the_cpus_numbers() {
    let Some(gpu) = gpu() else { return };
    let cases = [
        CASE,
        Case { rectify: false, ..CASE },
        Case { add: true, ..CASE },
        Case { groups: 2, add: true, ..CASE },
        Case { groups: 4, shape: [4, 6, 3, 3], ..CASE }, // vectors of two channels
        Case { shape: [2, 5, 4, 4], ..CASE },            // of one
        Case { shape: [3, 140, 2, 2], add: true, ..CASE }, // more columns than lanes
        Case { shape: [8, 64, 1, 1], groups: 2, ..CASE }, // a row an image
        Case { shape: [2, 1, 7, 7], ..CASE },            // one channel
        Case { shape: [5, 64, 25, 29], groups: 5, ..CASE }, // many rows
        // More rows than one launch takes.
        Case { shape: [6, 32, 40, 40], groups: 2, add: true, ..CASE },
        Case { shape: [2, 6, 67, 71], ..CASE },
        Case { shape: [1, 3, 80, 80], rectify: false, ..CASE },
        Case { channels_last: false, add: true, ..CASE },
        Case { offset: 100.0, shape: [2, 4, 20, 20], ..CASE },
        Case { eval: true, ..CASE },
        Case { eval: true, add: true, shape: [3, 12, 5, 7], ..CASE },
        Case { eval: true, add: true, shape: [6, 32, 40, 40], ..CASE },
        // More sums of chunks than each cube adds up itself: 103 chunks of 128 channels, and 74 for each of two groups.
        Case { shape: [1, 128, 114, 115], ..CASE },
        Case { shape: [2, 128, 97, 97], groups: 2, add: true, ..CASE },
        // Pooled in the same pass: odd and even sides, sides of one, vectors of two channels and of one, several cubes of rows.
        Case { pool: true, ..CASE },
        Case { pool: true, eval: true, shape: [3, 12, 6, 7], ..CASE },
        Case { pool: true, groups: 2, shape: [4, 6, 8, 8], ..CASE },
        Case { pool: true, shape: [2, 5, 1, 9], ..CASE },
        Case { pool: true, shape: [6, 3, 1, 1], ..CASE },
        Case { pool: true, groups: 3, shape: [3, 64, 67, 40], ..CASE },
        Case { pool: true, channels_last: false, shape: [2, 140, 9, 4], ..CASE },
    ];
    for case in cases {
        let (there, here) = (normalise(&case, &gpu), normalise(&case, &Device::flex()));
        // With a mean 100 times the deviation the input itself has four digits fewer.
        let bound = if case.offset > 0.0 { 100.0 * BOUND } else { BOUND };
        for (i, (there, here)) in there.iter().zip(&here).enumerate() {
            let found = difference(there, here);
            assert!(found <= bound, "{:?}, groups {}: result {i} differs by {found}", case.shape, case.groups);
        }
    }
}

/// Hidden by a rectifier that takes the maximum, it would be trained on.
#[test]
fn a_nan_comes_through_the_rectifier() {
    let Some(gpu) = gpu() else { return };
    let mut norm = BatchNorm::new(
        Tensor::ones([4], &gpu),
        Tensor::zeros([4], &gpu),
        Tensor::zeros([4], &gpu),
        Tensor::ones([4], &gpu),
    );
    let mut data = numbers(4 * 8, 1);
    data[5] = f32::NAN;
    let x = Tensor::<4>::from_data(TensorData::new(data, [2, 4, 2, 2]), &gpu);
    assert!(values(norm.forward_relu(x.clone(), Mode::Eval))[5].is_nan());
    assert!(values(norm.forward_relu_max_pool(x, Mode::Eval))[1].is_nan());
}

/// Windows of equal values, and windows in which nothing is let through: a gradient goes to the first of the equal ones, and
/// nowhere from a maximum of 0.
#[test]
fn gradients_through_a_pooled_stem_go_where_pytorch_sends_them() {
    let Some(gpu) = gpu() else { return };
    let device = gpu.autodiff();
    // The first plane is positive and constant, the second negative.
    let data: Vec<f32> = [[1.0; 16], [-1.0; 16]].concat();
    let x = Tensor::<4>::from_data(TensorData::new(data, [1, 2, 4, 4]), &device).require_grad();
    let ones = || Tensor::ones([2], &device);
    let mut norm = BatchNorm::new(ones(), Tensor::zeros([2], &device), Tensor::zeros([2], &device), ones());
    let y = norm.forward_relu_max_pool(x.clone(), Mode::Eval); // [1, 2, 2, 2]
    let weights = Tensor::<4>::from_data(TensorData::new((1..=8).map(|i| i as f32).collect(), [1, 2, 2, 2]), &device);
    let found = values(x.grad(&(y * weights).sum().backward()).unwrap());
    // torch.nn.functional.max_pool2d(x, 3, 2, 1): the windows begin at rows and columns 0 and 1 of the map.
    let mut expected = [0.0; 32];
    for (at, of_window) in [(0, 1.0), (1, 2.0), (4, 3.0), (5, 4.0)] {
        expected[at] = of_window;
    }
    assert!(difference(&found, &expected) <= 1e-5, "{found:?}"); // 1 / sqrt(1 + eps)
}
