//! Views arrive on a GPU as they were on the host.
//!
//! Needs the feature `wgpu` and an adapter; a software one (lavapipe of Mesa) will do. Without an adapter the test is
//! skipped and says so, unless `MOCO_CXR_REQUIRE_GPU` is set.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use moco_cxr::{burn::tensor::Device, moco_core::HostBatch};
use ndarray::Array3;
use support::gpu::{gpu, values};

/// Every grey level, in numbers of pixels that four divides and that it does not, and more than go in one piece. Both devices
/// divide by 255, the GPU with an error of a unit in the last place, or two and a half where the language allows it (WGSL).
#[test]
fn bytes_arrive_as_grey_levels() {
    let Some(gpu) = gpu() else { return };
    for (n, h, w) in [(2, 16, 16), (3, 7, 13), (1, 1, 1), (1, 2, 3), (3, 1031, 2801)] {
        let view = |shift: usize| Array3::from_shape_fn((n, h, w), |(i, y, x)| (i * 256 + y * w + x + shift) as u8);
        let batch = HostBatch { query: view(0), key: view(91), patients: vec![0; n] };
        let [there, here] = [&gpu, &Device::flex()].map(|device| batch.to_device(n, device).unwrap());
        for (there, here) in [(there.query, here.query), (there.key, here.key)] {
            assert_eq!(there.dims(), [n, 1, h, w]);
            // Read by another kernel, too, which must see as many pixels.
            assert_eq!(values(there.clone() * 0.0 + 1.0).len(), n * h * w);
            for (a, b) in values(there).into_iter().zip(values(here)) {
                assert!((a - b).abs() <= 2.5 * f32::EPSILON * b, "{n}x{h}x{w}: {a} and {b}");
            }
        }
    }
}
