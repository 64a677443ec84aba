//! Batches whose views are sampled on a GPU: each image once, with a map for each view.

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

use super::{BatchLoader, Batches};
use crate::{Level, Pixels, Radiograph, Result, ViewMap, ViewParams};

/// The prepared images of N samples, and two views of each as maps into them. Sampling it gives the
/// [`PairBatch`](super::PairBatch) of the same seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneBatch {
    /// Images, each `[height, width]`, 0 = black: one per sample, and another where the key view has its own.
    pub planes: Vec<Array2<u8>>,
    /// `[N]`: the plane and the map of each query view.
    pub query: Vec<(usize, ViewMap)>,
    /// `[N]`: the plane and the map of each key view.
    pub key: Vec<(usize, ViewMap)>,
    /// `[N]`: row of the manifest of each query.
    pub rows: Vec<usize>,
    /// `[N]`: patient of each query, numbered from 0 in the order of the manifest.
    pub patients: Vec<u32>,
}

impl BatchLoader {
    /// The views of [`pairs`](Self::pairs), not yet sampled.
    ///
    /// # Errors
    /// Those of [`pairs`](Self::pairs), and of [`ViewConfig::validate_map_only`](crate::ViewConfig::validate_map_only)
    /// where a view needs more than a map.
    pub fn planes(&self, epoch: u64, first_batch: usize) -> Result<Batches<PlaneBatch>> {
        self.views.validate_map_only()?;
        let (numbers, order) = self.epoch(epoch, first_batch)?;
        let loader = self.clone();
        Ok(self.start(numbers, move |number, stop| {
            let (mut planes, mut query, mut key) = (Vec::new(), Vec::new(), Vec::new());
            let (rows, patients) = loader.each_pair(
                epoch,
                &order,
                loader.places(number, &order),
                stop,
                |prepared, other, [first, second]| {
                    planes.push(plane(prepared));
                    query.push((planes.len() - 1, loader.map(prepared, first)));
                    planes.extend(other.map(plane));
                    key.push((planes.len() - 1, loader.map(other.unwrap_or(prepared), second)));
                },
            )?;
            Ok(PlaneBatch { planes, query, key, rows, patients })
        }))
    }

    pub(super) fn map(&self, prepared: &Radiograph, mut rng: ChaCha8Rng) -> ViewMap {
        let (width, height) = (prepared.width(), prepared.height());
        ViewMap::new(&ViewParams::draw(&self.views, width, height, &mut rng), width, height)
    }
}

/// In 8 bits: with nearest sampling, rounding before sampling gives the same result.
pub(super) fn plane(image: &Radiograph) -> Array2<u8> {
    let values = match image.pixels() {
        Pixels::U8(values) => values.clone(),
        Pixels::U16(values) => values.iter().map(|&value| u8::convert(value)).collect(),
    };
    Array2::from_shape_vec((image.height(), image.width()), values).expect("a radiograph has width * height pixels")
}
