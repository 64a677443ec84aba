//! Batches and their source.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use ndarray::{Array3, Axis};

use crate::{BoxError, Error, PlaneBatch, Result, Share, Shares};

/// Two views of every image of a batch, on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBatch {
    /// Grey values 0 (black) to 255, `[N, S, S]`.
    pub query: Array3<u8>,
    /// The other views of the same images, `[N, S, S]`.
    pub key: Array3<u8>,
    /// Patient of each image, for masking; unused if masking is off.
    pub patients: Vec<u32>,
}

/// A batch on the host, in one of two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// Views, ready to be uploaded.
    Views(HostBatch),
    /// Images and the positions of views in them, which are sampled on the device.
    Planes(PlaneBatch),
}

impl From<HostBatch> for Batch {
    fn from(batch: HostBatch) -> Self {
        Self::Views(batch)
    }
}

impl From<PlaneBatch> for Batch {
    fn from(batch: PlaneBatch) -> Self {
        Self::Planes(batch)
    }
}

impl Batch {
    /// The part of a whole batch that a rank encodes.
    ///
    /// # Panics
    /// When the share names an image that the batch does not have.
    #[must_use]
    pub fn cut(&self, share: &Share) -> Self {
        match self {
            Self::Views(HostBatch { query, key, patients }) => Self::Views(HostBatch {
                query: query.select(Axis(0), &share.query),
                key: key.select(Axis(0), &share.key),
                patients: share.query.iter().map(|&i| patients[i]).collect(),
            }),
            Self::Planes(batch) => Self::Planes(batch.cut(share)),
        }
    }

    /// Uploads the batch.
    ///
    /// # Errors
    /// As [`HostBatch::to_device`] and [`PlaneBatch::to_device`].
    pub fn to_device(&self, batch_size: usize, device: &Device) -> Result<Views> {
        self.clone().into_device(batch_size, device)
    }

    /// [`to_device`](Self::to_device) of a batch that is not needed afterwards; its bytes are not copied on the host.
    ///
    /// # Errors
    /// As [`to_device`](Self::to_device).
    pub fn into_device(self, batch_size: usize, device: &Device) -> Result<Views> {
        match self {
            Self::Views(batch) => batch.into_device(batch_size, device),
            Self::Planes(batch) => batch.to_device(batch_size, device),
        }
    }
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

/// A source of batches that can start at any batch of any epoch.
///
/// The batches of an epoch must depend only on its number, so that a run resumed at `(epoch, batch)` gets the same
/// batches as an uninterrupted one. All batches must have the same size (drop a short last one).
///
/// ```
/// use moco_core::{Batch, BatchSource, BoxError, HostBatch};
/// use ndarray::Array3;
///
/// /// Twenty batches of two images whose grey value is the batch number.
/// struct Flat;
///
/// impl BatchSource for Flat {
///     fn batches_per_epoch(&self) -> usize { 20 }
///     fn epoch(&mut self, epoch: u64, first: usize) -> Box<dyn Iterator<Item = Result<Batch, BoxError>> + '_> {
///         Box::new((first..20).map(move |batch| {
///             let views = Array3::from_elem((2, 8, 8), (epoch as usize * 20 + batch) as u8);
///             Ok(HostBatch { query: views.clone(), key: views, patients: vec![0, 1] }.into())
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
    ) -> Box<dyn Iterator<Item = std::result::Result<Batch, BoxError>> + '_>;

    /// As [`Self::epoch`], of each batch only what one of several ranks encodes of it.
    ///
    /// By default the whole batch is made and cut, on every rank; a source that can make a part of a batch should.
    fn shared(
        &mut self,
        epoch: u64,
        first_batch: usize,
        shares: Shares,
    ) -> Box<dyn Iterator<Item = std::result::Result<Batch, BoxError>> + '_> {
        let batches = self.epoch(epoch, first_batch).zip(first_batch..);
        Box::new(batches.map(move |(batch, number)| Ok(batch?.cut(&shares.of(number)))))
    }
}

impl HostBatch {
    /// Uploads a batch, one byte per pixel. The device divides by 255, in its precision.
    ///
    /// # Errors
    /// When query, key and patients differ in length, or the batch is not `batch_size` images.
    pub fn to_device(&self, batch_size: usize, device: &Device) -> Result<Views> {
        self.clone().into_device(batch_size, device)
    }

    /// [`to_device`](Self::to_device) of a batch that is not needed afterwards; its bytes are not copied on the host.
    ///
    /// # Errors
    /// As [`to_device`](Self::to_device).
    pub fn into_device(self, batch_size: usize, device: &Device) -> Result<Views> {
        let (n, h, w) = self.query.dim();
        if self.key.dim() != (n, h, w) || self.patients.len() != n || n != batch_size || h * w == 0 {
            let found =
                format!("query {:?}, key {:?}, {} patients", self.query.dim(), self.key.dim(), self.patients.len());
            return Err(Error::Batch { found, expected: format!("three times {batch_size}, views of one size") });
        }
        let upload = |views: Array3<u8>| {
            let standard = if views.is_standard_layout() { views } else { views.as_standard_layout().into_owned() };
            let length = standard.len();
            let (bytes, first) = standard.into_raw_vec_and_offset();
            // Of an array that was cut out of another, the vector holds more.
            let first = first.unwrap_or(0);
            let bytes = if bytes.len() == length { bytes } else { bytes[first..first + length].to_vec() };
            #[cfg(feature = "cube")]
            let bytes = match backbones::kernels::gpu::grey_levels(bytes, [n, 1, h, w], device) {
                Ok(levels) => return levels,
                Err(bytes) => bytes,
            };
            grey_levels(bytes, [n, 1, h, w], device) / 255.0
        };
        Ok(Views { query: upload(self.query), key: upload(self.key), patients: self.patients })
    }
}

/// Bytes as floats on a device. Only the bytes are transferred, a quarter of the size of floats.
fn grey_levels(bytes: Vec<u8>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    if device.supports_dtype(DType::U8) {
        return Tensor::<4, Int>::from_data(TensorData::new(bytes, shape), (device, DType::U8)).float();
    }
    unpacked(&bytes, device).narrow(0, 0, bytes.len()).reshape(shape)
}

/// Four bytes per integer, the first in the lowest bits; the last integer is padded with 0.
pub(crate) fn packed(bytes: &[u8]) -> Vec<i32> {
    let word = |four: &[u8]| {
        let mut word = [0; 4];
        word[..four.len()].copy_from_slice(four);
        i32::from_le_bytes(word)
    };
    bytes.chunks(4).map(word).collect()
}

/// For devices without a byte type (wgpu): uploads four bytes per integer and separates them by shifts. `[4·⌈M/4⌉]`,
/// padded at the end.
fn unpacked(bytes: &[u8], device: &Device) -> Tensor<1> {
    let words = packed(bytes);
    let m = words.len();
    let words = Tensor::<2, Int>::from_data(TensorData::new(words, [m, 1]), (device, DType::I32)); // [M/4, 1]
    // The shift of a negative number copies its sign, which the mask removes.
    let byte = |i: i32| words.clone().bitwise_right_shift_scalar(8 * i).bitwise_and_scalar(0xff);
    Tensor::cat((0..4).map(byte).collect(), 1).float().reshape([4 * m]) // [M/4, 4]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_grey_level_arrives_whichever_way_it_travels() {
        let device = Device::flex();
        let bytes: Vec<u8> = (0..=255).chain([255, 0, 128]).collect(); // 259: not a multiple of four
        let expected: Vec<f32> = bytes.iter().map(|&b| f32::from(b)).collect();
        let whole = grey_levels(bytes.clone(), [1, 1, 7, 37], &device).into_data();
        assert_eq!(whole.convert::<f32>().try_to_vec::<f32>().unwrap(), expected);
        let taken_apart = unpacked(&bytes, &device).into_data().convert::<f32>().try_to_vec::<f32>().unwrap();
        assert_eq!(taken_apart[..259], expected);
    }
}
