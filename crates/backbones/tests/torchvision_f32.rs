//! The networks in f32 are about as near to torchvision's exact values as PyTorch itself is in f32.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod torchvision;

use std::thread;

use backbones::Arch;
use burn::tensor::Device;
use torchvision::{Tolerance, compare};

/// 10 times the error of PyTorch's own f32 run, tensor by tensor.
const TOLERANCE: Tolerance = Tolerance { relative: 0.0, times_pytorch_f32: 10.0 };

#[test]
fn as_near_to_torchvision_as_pytorch_in_f32() {
    thread::scope(|scope| {
        for arch in Arch::ALL {
            scope.spawn(move || assert!(compare(arch, &Device::flex().autodiff(), TOLERANCE) <= 1.0, "{arch}"));
        }
    });
}
