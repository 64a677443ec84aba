//! The networks equal torchvision's in f64. A binary of its own, because a device's precision is set once a process.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod torchvision;

use std::thread;

use backbones::Arch;
use burn::tensor::{Device, FloatDType};
use torchvision::{Tolerance, compare};

/// 1e-9 of the largest value: far above f64 rounding in any order of sums, far below any difference in arithmetic.
const TOLERANCE: Tolerance = Tolerance { relative: 1e-9, times_pytorch_f32: 0.0 };

#[test]
fn equal_torchvision_in_f64() {
    let mut device = Device::flex();
    device.configure(FloatDType::F64).unwrap();
    // Beside each other, since much of a pass runs on one thread in f64.
    thread::scope(|scope| {
        for arch in Arch::ALL {
            let device = device.clone().autodiff();
            scope.spawn(move || assert!(compare(arch, &device, TOLERANCE) <= 1.0, "{arch}"));
        }
    });
}
