//! Views sampled on the device: every image is uploaded once, with the positions of both views in it.
//!
//! Letters: N batch, S view side, M bytes of all planes.

use std::collections::HashMap;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use ndarray::Array2;

use crate::{Error, Result, Share, Views, source::packed};

/// The images of a batch on the host, and two views of each as maps into them.
///
/// All random numbers are drawn on the host, in making the maps. Sampling uses integers, so that every device reads the
/// same pixels as the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneBatch {
    /// S, the side of a view in pixels.
    pub side: usize,
    /// Images of any sizes, each `[height, width]`, 0 (black) to 255.
    pub planes: Vec<Array2<u8>>,
    /// `[N]`: the query views.
    pub query: Vec<PlaneView>,
    /// `[N]`: the key views.
    pub key: Vec<PlaneView>,
    /// Patient of each image, for masking; unused if masking is off.
    pub patients: Vec<u32>,
}

/// A view as a map into a plane: its column `u` and row `v` show the plane's column
/// `(start[0] + across[0] * u + down[0] * v) >> 16`, its row likewise from the second numbers, and black outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneView {
    /// Number of the plane.
    pub plane: usize,
    /// Column and row of the view's first pixel, in 1/65,536 pixels.
    pub start: [i32; 2],
    /// Change of both with each column of the view.
    pub across: [i32; 2],
    /// Change of both with each row of the view.
    pub down: [i32; 2],
}

/// Numbers per view on the device: start, across, down, and width, height and first byte of its plane.
const FIELDS: usize = 9;

/// Planes are padded to a multiple of so many integers. The choice of a kernel depends on the divisors of a length, and
/// all batches should use the same one.
const WORDS: usize = 1024;

impl PlaneBatch {
    /// Uploads planes and maps, and samples the views on the device.
    ///
    /// # Errors
    /// When query, key and patients differ in length, the batch is not `batch_size` images, a view refers to a plane
    /// that does not exist, or positions do not fit into 32 bits.
    pub fn to_device(&self, batch_size: usize, device: &Device) -> Result<Views> {
        let (n, side) = (self.patients.len(), self.side);
        if self.query.len() != n || self.key.len() != n || n != batch_size || side == 0 {
            let found =
                format!("{} query and {} key views of {side} px, {n} patients", self.query.len(), self.key.len());
            return Err(Error::Batch { found, expected: format!("three times {batch_size}, views of at least 1 px") });
        }
        let mut bytes = Vec::with_capacity(self.planes.iter().map(Array2::len).sum());
        let mut offsets = Vec::with_capacity(self.planes.len());
        for plane in &self.planes {
            offsets.push(bytes.len());
            bytes.extend(plane.iter());
        }
        let query = self.table(&self.query, &offsets, bytes.len())?;
        let key = self.table(&self.key, &offsets, bytes.len())?;
        let mut words = packed(&bytes);
        words.resize(words.len().next_multiple_of(WORDS), 0);
        let m = words.len();
        let words = integers(words, [m], device); // [M/4]
        Ok(Views {
            query: sample(words.clone(), integers(query, [FIELDS, n, 1, 1], device), side),
            key: sample(words, integers(key, [FIELDS, n, 1, 1], device), side),
            patients: self.patients.clone(),
        })
    }

    /// What a rank encodes of it, with the planes that it needs.
    pub(crate) fn cut(&self, share: &Share) -> Self {
        let mut planes = Vec::new();
        let mut places = HashMap::new();
        let mut of = |views: &[PlaneView], wanted: &[usize]| -> Vec<PlaneView> {
            let one = |&i: &usize| {
                let plane = *places.entry(views[i].plane).or_insert_with(|| {
                    planes.push(self.planes[views[i].plane].clone());
                    planes.len() - 1
                });
                PlaneView { plane, ..views[i] }
            };
            wanted.iter().map(one).collect()
        };
        let (query, key) = (of(&self.query, &share.query), of(&self.key, &share.key));
        let patients = share.query.iter().map(|&i| self.patients[i]).collect();
        Self { side: self.side, planes, query, key, patients }
    }

    /// The numbers of all views, `[FIELDS, N]`, checked.
    fn table(&self, views: &[PlaneView], offsets: &[usize], bytes: usize) -> Result<Vec<i32>> {
        let side = i64::try_from(self.side).unwrap_or(i64::MAX);
        let mut table = vec![0; FIELDS * views.len()];
        for (i, view) in views.iter().enumerate() {
            let Some(plane) = self.planes.get(view.plane) else {
                let found = format!("a view of plane {}", view.plane);
                return Err(Error::Batch { found, expected: format!("one of {} planes", self.planes.len()) });
            };
            // No intermediate sum of a position may exceed 32 bits.
            let reach = |i: usize| {
                let steps = i64::from(view.across[i]).abs().saturating_add(i64::from(view.down[i]).abs());
                steps.saturating_mul(side).saturating_add(i64::from(view.start[i]).abs())
            };
            let largest = i64::from(i32::MAX);
            if reach(0).max(reach(1)) > largest || i32::try_from(bytes).is_err() {
                let found = format!("{bytes} bytes of planes, and a view as {view:?}");
                return Err(Error::Batch { found, expected: "positions that fit into 32 bits".into() });
            }
            let (height, width) = plane.dim();
            let [width, height, offset] = [width, height, offsets[view.plane]].map(|n| n as i32);
            let PlaneView { start, across, down, .. } = *view;
            let fields = [start[0], start[1], across[0], across[1], down[0], down[1], width, height, offset];
            for (field, value) in fields.into_iter().enumerate() {
                table[field * views.len() + i] = value;
            }
        }
        Ok(table)
    }
}

/// Views in `[0, 1]`, `[N, 1, S, S]`, from packed planes `[M/4]` and the numbers of each view, `[FIELDS, N, 1, 1]`.
fn sample(words: Tensor<1, Int>, table: Tensor<4, Int>, side: usize) -> Tensor<4> {
    #[cfg(feature = "cube")]
    if let Some(views) = backbones::kernels::gpu::sample(&words, &table, side) {
        return views;
    }
    let (n, device) = (table.dims()[1], table.device());
    let field = |i: usize| table.clone().narrow(0, i, 1).reshape([n, 1, 1]); // [N, 1, 1]
    let counted: Vec<i32> = (0..side as i32).collect();
    let u = integers(counted.clone(), [1, 1, side], &device);
    let v = integers(counted, [1, side, 1], &device);
    // The shift keeps the sign, so that positions left of the plane or above it stay negative.
    let place =
        |i: usize| (field(i) + field(2 + i) * u.clone() + field(4 + i) * v.clone()).bitwise_right_shift_scalar(16);
    let (x, y) = (place(0), place(1)); //                                          [N, S, S] each
    let left_or_above = x.clone().lower_elem(0).bool_or(y.clone().lower_elem(0));
    let right_or_below = x.clone().greater_equal(field(6)).bool_or(y.clone().greater_equal(field(7)));
    let outside = left_or_above.bool_or(right_or_below);
    let at = (field(8) + y * field(6) + x).mask_fill(outside.clone(), 0); //         byte of each pixel
    let word = words.select(0, at.clone().bitwise_right_shift_scalar(2).reshape([n * side * side]));
    let shift = at.bitwise_and_scalar(3).bitwise_left_shift_scalar(3);
    let byte = word.reshape([n, side, side]).bitwise_right_shift(shift).bitwise_and_scalar(0xff);
    byte.mask_fill(outside, 0).float().reshape([n, 1, side, side]) / 255.0
}

fn integers<const D: usize>(values: Vec<i32>, shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::I32))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::HostBatch;

    const SIDE: usize = 16;

    /// A pixel is its own number, so that a wrong place is a wrong value.
    fn plane(height: usize, width: usize, first: usize) -> Array2<u8> {
        Array2::from_shape_fn((height, width), |(y, x)| ((first + y * width + x) * 7 % 256) as u8)
    }

    /// Upright, a quarter turn, mirrored and beyond all four borders, and askew, in planes of different shapes.
    fn batch() -> PlaneBatch {
        let one = 1 << 16;
        let half = one / 2;
        let upright = PlaneView { plane: 0, start: [half, half], across: [one, 0], down: [0, one] };
        let quarter = PlaneView { plane: 1, start: [half, 15 * one + half], across: [0, -one], down: [one, 0] };
        let beyond = PlaneView { plane: 2, start: [14 * one - 1, -3 * one], across: [-one, 0], down: [0, 2 * one] };
        let askew = PlaneView { plane: 2, start: [-2 * one, one], across: [64_000, 11_380], down: [-11_380, 64_000] };
        PlaneBatch {
            side: SIDE,
            planes: vec![plane(16, 21, 0), plane(17, 16, 3), plane(19, 18, 100)],
            query: vec![upright, quarter, beyond],
            key: vec![askew, upright, PlaneView { plane: 1, ..askew }],
            patients: vec![1, 1, 2],
        }
    }

    fn on_host(batch: &PlaneBatch, views: &[PlaneView]) -> Array3<u8> {
        Array3::from_shape_fn((views.len(), SIDE, SIDE), |(i, v, u)| {
            let PlaneView { plane, start, across, down } = views[i];
            let place = |i: usize| (start[i] + across[i] * u as i32 + down[i] * v as i32).div_euclid(1 << 16);
            let (x, y) = (usize::try_from(place(0)), usize::try_from(place(1)));
            x.ok().zip(y.ok()).and_then(|(x, y)| batch.planes[plane].get((y, x)).copied()).unwrap_or(0)
        })
    }

    #[test]
    fn the_device_finds_the_pixels_that_the_host_finds() {
        let (batch, device) = (batch(), Device::flex());
        let (query, key) = (on_host(&batch, &batch.query), on_host(&batch, &batch.key));
        let black = |views: &Array3<u8>| views.iter().filter(|&&grey| grey == 0).count();
        assert!(black(&query) > 100 && black(&key) > 10, "the border is crossed");
        let host = HostBatch { query, key, patients: batch.patients.clone() }.to_device(3, &device).unwrap();
        let sampled = batch.to_device(3, &device).unwrap();
        assert_eq!(sampled.query.dims(), [3, 1, SIDE, SIDE]);
        // Equal, not near: both divide the same whole numbers by 255.
        host.query.into_data().assert_eq(&sampled.query.into_data(), true);
        host.key.into_data().assert_eq(&sampled.key.into_data(), true);
    }

    #[test]
    fn what_would_read_elsewhere_is_refused() {
        let refused = |change: fn(&mut PlaneBatch)| {
            let mut batch = batch();
            change(&mut batch);
            batch.to_device(3, &Device::flex()).unwrap_err().to_string()
        };
        assert!(refused(|b| b.key[1].plane = 3).contains("plane 3, expected one of 3 planes"));
        assert!(refused(|b| b.query[0].start[1] = i32::MIN).contains("32 bits"));
        assert!(refused(|b| b.query[2].down[0] = 1 << 28).contains("32 bits"));
        assert!(refused(|b| b.patients = vec![0; 2]).contains("three times 3"));
        assert!(refused(|b| b.side = 0).contains("at least 1 px"));
    }
}
