//! What the tests of the kernels for GPUs share: the device, numbers, and how far results are from the CPU's.
#![allow(clippy::print_stderr)]

use moco_cxr::{
    DeviceChoice,
    burn::tensor::{Device, Tensor, TensorData},
    device::Backend,
};

/// The first adapter, if there is one.
///
/// # Panics
/// Without one, where `MOCO_CXR_REQUIRE_GPU` is set.
pub fn gpu() -> Option<Device> {
    match Backend::Wgpu.adapters() {
        Ok(_) => Some(DeviceChoice::On(Backend::Wgpu, 0).select().unwrap()),
        Err(reason) => {
            assert!(std::env::var_os("MOCO_CXR_REQUIRE_GPU").is_none(), "no adapter: {reason}");
            eprintln!("skipped: {reason}");
            None
        }
    }
}

/// Numbers from -1 to 1 that look random.
pub fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 10_007) as f32 / 5_003.5 - 1.0).collect()
}

/// [`numbers`] as a tensor.
pub fn tensor<const D: usize>(shape: [usize; D], seed: usize, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), seed), shape), device)
}

/// In f32, on the host.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().unwrap()
}

/// The largest difference, relative to the largest value (or to 0.001, if that is smaller).
pub fn difference(there: &[f32], here: &[f32]) -> f32 {
    assert_eq!(there.len(), here.len());
    let largest = here.iter().fold(1e-3_f32, |m, x| m.max(x.abs()));
    there.iter().zip(here).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
}
