//! Host batches on their way to the device.

use backbones::Backbone;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array3;

use crate::error::{Error, Result};

/// An error of the caller's batches.
pub(super) type BatchError = Box<dyn std::error::Error + Send + Sync>;

/// Grey values in [0, 1] on the device; the network normalises them itself.
///
/// # Shapes
/// - `[B, H, W]` to `[B, 1, H, W]`
pub(super) fn upload(images: &Array3<u8>, device: &Device) -> Tensor<4> {
    let (b, h, w) = images.dim();
    let values: Vec<f32> = images.iter().map(|&value| f32::from(value)).collect();
    Tensor::<4>::from_data(TensorData::new(values, [b, 1, h, w]), device) / 255.0
}

/// Refuses a batch without images, or with another number of rows than images.
pub(super) fn check_batch(images: &Array3<u8>, rows: usize) -> Result<()> {
    if images.is_empty() {
        let found = format!("{:?}", images.shape());
        return Err(Error::Setting { name: "shape of a batch", found, expected: "at least one image of one pixel" });
    }
    crate::checked::length("rows of a batch", rows, images.len_of(ndarray::Axis(0)))
}

/// The device of the network.
pub(super) fn device_of<B: Backbone>(backbone: &B) -> Result<Device> {
    let devices = backbone.collect_devices(Vec::new());
    let none = || Error::Setting {
        name: "backbone",
        found: "a module without tensors".to_owned(),
        expected: "at least one parameter, which gives its device",
    };
    devices.into_iter().next().ok_or_else(none)
}

/// Reads a tensor to the host as f64. A sync point.
pub(super) fn read<const D: usize>(tensor: Tensor<D>, what: &'static str) -> Result<Vec<f64>> {
    let data = tensor.try_into_data().map_err(|e| Error::Device { what, reason: e.to_string() })?;
    data.try_into_vec_as::<f64>().map_err(|e| Error::Device { what, reason: e.to_string() })
}
