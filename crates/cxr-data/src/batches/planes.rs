//! Batches whose views are sampled elsewhere, on a GPU: the images once, and where both views of each lie in them.

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

use super::{BatchLoader, Batches};
use crate::{Level, Pixels, Radiograph, Result, ViewMap, ViewParams};

/// The prepared images of N samples, and two views of each as maps into them: what [`PairBatch`](super::PairBatch) is
/// sampled from, drawn by the same random numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneBatch {
    /// Images, each `[height, width]`, 0 = black: one a sample, and one more where the key view comes from another image.
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
    /// As [`pairs`](Self::pairs), the same views not yet sampled.
    ///
    /// # Errors
    /// Those of [`pairs`](Self::pairs), and of [`ViewConfig::validate_map_only`](crate::ViewConfig::validate_map_only)
    /// where a view is more than a map.
    pub fn planes(&self, epoch: u64, first_batch: usize) -> Result<Batches<PlaneBatch>> {
        self.views.validate_map_only()?;
        let (numbers, order) = self.epoch(epoch, first_batch)?;
        let loader = self.clone();
        Ok(self.start(numbers, move |number, stop| {
            let (mut planes, mut query, mut key) = (Vec::new(), Vec::new(), Vec::new());
            let (rows, patients) =
                loader.each_pair(epoch, &order, number, stop, |prepared, other, [first, second]| {
                    planes.push(plane(prepared));
                    query.push((planes.len() - 1, loader.map(prepared, first)));
                    planes.extend(other.map(plane));
                    key.push((planes.len() - 1, loader.map(other.unwrap_or(prepared), second)));
                })?;
            Ok(PlaneBatch { planes, query, key, rows, patients })
        }))
    }

    fn map(&self, prepared: &Radiograph, mut rng: ChaCha8Rng) -> ViewMap {
        let (width, height) = (prepared.width(), prepared.height());
        ViewMap::new(&ViewParams::draw(&self.views, width, height, &mut rng), width, height)
    }
}

/// In 8 bits: a view of nearest pixels may be rounded before it is sampled.
fn plane(image: &Radiograph) -> Array2<u8> {
    let values = match image.pixels() {
        Pixels::U8(values) => values.clone(),
        Pixels::U16(values) => values.iter().map(|&value| u8::convert(value)).collect(),
    };
    Array2::from_shape_vec((image.height(), image.width()), values).expect("a radiograph has width * height pixels")
}
