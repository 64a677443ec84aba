//! Where batches come from.

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array3;

use crate::{BoxError, Error, Result};

/// Two views of every image of a batch, on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBatch {
    /// Grey values 0 (black) to 255, `[N, S, S]`.
    pub query: Array3<u8>,
    /// The other views of the same images, `[N, S, S]`.
    pub key: Array3<u8>,
    /// Patient of each image, for masking; any numbers where that is off.
    pub patients: Vec<u32>,
}

/// Two views of every image of a batch, on the device.
#[derive(Debug, Clone)]
pub struct Views {
    /// In `[0, 1]`, `[N, 1, S, S]`.
    pub query: Tensor<4>,
    /// In `[0, 1]`, `[N, 1, S, S]`.
    pub key: Tensor<4>,
    /// Patient of each image.
    pub patients: Vec<u32>,
}

/// Batches of an epoch, from any batch on.
///
/// What an epoch gives must depend on nothing but its number: a run resumed at `(epoch, batch)` then sees what the
/// uninterrupted one saw. All batches have the same size (a short last one is dropped).
///
/// ```
/// use moco_core::{BatchSource, BoxError, HostBatch};
/// use ndarray::Array3;
///
/// /// Twenty batches of two images whose grey value is the batch number.
/// struct Flat;
///
/// impl BatchSource for Flat {
///     fn batches_per_epoch(&self) -> usize { 20 }
///     fn epoch(&mut self, epoch: u64, first: usize) -> Box<dyn Iterator<Item = Result<HostBatch, BoxError>> + '_> {
///         Box::new((first..20).map(move |batch| {
///             let views = Array3::from_elem((2, 8, 8), (epoch as usize * 20 + batch) as u8);
///             Ok(HostBatch { query: views.clone(), key: views, patients: vec![0, 1] })
///         }))
///     }
/// }
/// assert_eq!(Flat.epoch(1, 18).count(), 2);
/// ```
pub trait BatchSource {
    /// Batches of an epoch, the same for all epochs.
    fn batches_per_epoch(&self) -> usize;

    /// Batches of an epoch in order, beginning with number `first_batch` (from 0).
    fn epoch(
        &mut self,
        epoch: u64,
        first_batch: usize,
    ) -> Box<dyn Iterator<Item = std::result::Result<HostBatch, BoxError>> + '_>;
}

impl HostBatch {
    /// Uploads a batch. Division by 255 happens on the device, in its precision.
    ///
    /// # Errors
    /// When query, key and patients differ in number, or the batch is not `batch_size` images.
    pub fn to_device(&self, batch_size: usize, device: &Device) -> Result<Views> {
        let (n, h, w) = self.query.dim();
        if self.key.dim() != (n, h, w) || self.patients.len() != n || n != batch_size || h * w == 0 {
            let found =
                format!("query {:?}, key {:?}, {} patients", self.query.dim(), self.key.dim(), self.patients.len());
            return Err(Error::Batch { found, expected: format!("three times {batch_size}, views of one size") });
        }
        let upload = |views: &Array3<u8>| {
            let values: Vec<f32> = views.iter().map(|&v| f32::from(v)).collect();
            Tensor::<4>::from_data(TensorData::new(values, [n, 1, h, w]), device) / 255.0
        };
        Ok(Views { query: upload(&self.query), key: upload(&self.key), patients: self.patients.clone() })
    }
}
