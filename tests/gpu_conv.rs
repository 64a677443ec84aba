//! Convolutions on GPUs without matrix units give the CPU's numbers, forward and both gradients.
//!
//! As tests/gpu_kernels.rs: needs the feature `wgpu` and an adapter.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use burn::tensor::Device;
use moco_cxr::backbones::Conv2d;
use support::gpu::{difference, gpu, tensor, values};

struct Case {
    /// Batch, channels, height, width.
    x: [usize; 4],
    out: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

/// Output and gradients of input and weight.
fn convolve(case: &Case, device: &Device) -> [Vec<f32>; 3] {
    let device = device.clone().autodiff();
    let [_, c, ..] = case.x;
    let x = tensor(case.x, 1, &device).require_grad();
    let conv = Conv2d::new(tensor([case.out, c, case.kernel, case.kernel], 2, &device), case.stride, case.padding);
    let y = conv.forward(x.clone());
    let gradients = (y.clone() * tensor(y.dims(), 3, &device)).sum().backward();
    [values(y), values(x.grad(&gradients).unwrap()), values(conv.weight.val().grad(&gradients).unwrap())]
}

#[test]
fn convolution_gives_the_cpus_numbers() {
    let Some(gpu) = gpu() else { return };
    let case = |x, out, kernel, stride, padding| Case { x, out, kernel, stride, padding };
    let cases = [
        case([2, 3, 9, 7], 5, 3, 1, 1),
        case([2, 1, 21, 18], 64, 7, 2, 3), // a stem; x has no gradient in a network, and has one here
        case([2, 16, 8, 8], 20, 3, 2, 1),
        case([1, 5, 7, 9], 6, 3, 2, 1),    // odd sides: phases of different sizes
        case([3, 70, 4, 4], 130, 1, 1, 0), // more than a tile of channels
        case([2, 8, 6, 6], 12, 1, 2, 0),   // some phases of x have no tap
        case([2, 8, 5, 5], 4, 1, 2, 0),
        case([2, 96, 2, 2], 40, 3, 1, 1), // few positions: the inner side is shared
        case([8, 4, 20, 20], 4, 3, 1, 1), // dW over 3,200 positions
        case([1, 2, 3, 3], 2, 3, 3, 0),
        case([1, 1, 1, 1], 1, 1, 1, 0),
        case([1, 1, 2050, 2050], 1, 1, 1, 0), // more tiles than a device takes in one line of cubes
    ];
    for case in &cases {
        let (there, here) = (convolve(case, &gpu), convolve(case, &Device::flex()));
        for (what, (there, here)) in ["y", "dX", "dW"].iter().zip(there.iter().zip(&here)) {
            // Sums of up to 3,200 products in f32, in another order; dW of the largest map is one of 4 million.
            let found = difference(there, here);
            let Case { x, out, kernel, stride, .. } = case;
            let bound = if x[2] > 1_000 { 1e-4 } else { 5e-6 };
            assert!(found <= bound, "{x:?} to {out}, {kernel}x{kernel}, stride {stride}: {what} differs by {found}");
        }
    }
}
