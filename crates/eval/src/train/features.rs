//! Features of a frozen network, computed once and kept on the host.

use backbones::{Backbone, FeatureMaps, Mode, global_average};
use burn::tensor::Tensor;
use ndarray::{Array2, Array3, Array4, Axis};

use super::frozen::{Frozen, MayMove};
use super::images::{BatchError, check_batch, device_of, read, upload};
use crate::error::{Error, Result};

/// Feature vectors and the rows they belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// `[N, D]`, in the order the batches came.
    pub values: Array2<f32>,
    /// Row numbers given with the batches, `[N]`.
    pub rows: Vec<usize>,
}

impl Features {
    /// The same features in ascending order of their rows.
    pub fn sorted(self) -> Self {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&place| self.rows[place]);
        Self {
            values: self.values.select(Axis(0), &order),
            rows: order.iter().map(|&place| self.rows[place]).collect(),
        }
    }
}

/// Runs the network over all batches in eval mode and without gradient, then checks that none of its tensors changed.
///
/// It runs on the network's device. Batches may have any sizes; in eval mode a feature does not depend on the other
/// images of its batch.
///
/// # Shapes
/// - each batch: images `[B, S, S]` u8 (0 black, 255 white) and their B row numbers, which come back in [`Features::rows`]
///
/// # Errors
/// [`Error::Batches`] with the error of a batch; a batch whose rows and images differ in number; no batches; a feature
/// that is not finite; a device that fails.
pub fn extract_features<B: Backbone, E: Into<BatchError>>(
    backbone: &B,
    batches: impl IntoIterator<Item = Result<(Array3<u8>, Vec<usize>), E>>,
) -> Result<Features> {
    extract(backbone, batches, |network, images| Ok(network.features(images, Mode::Eval)))
}

/// As [`extract_features`], and passes the feature maps of every batch on before their mean over positions is taken. They
/// are not kept.
///
/// # Shapes
/// - `each` gets `[B, D, h, w]`, in the order the batches came
///
/// # Errors
/// As [`extract_features`], and [`Error::Batches`] with an error of `each`.
pub fn extract_feature_maps<B: FeatureMaps, E: Into<BatchError>, F: Into<BatchError>>(
    backbone: &B,
    batches: impl IntoIterator<Item = Result<(Array3<u8>, Vec<usize>), E>>,
    mut each: impl FnMut(Array4<f32>) -> Result<(), F>,
) -> Result<Features> {
    extract(backbone, batches, |network, images| {
        let maps = network.feature_maps(images, Mode::Eval); // [B, D, h, w]
        let [b, d, h, w] = maps.dims();
        let values: Vec<f32> = read(maps.clone(), "reading feature maps")?.into_iter().map(|x| x as f32).collect();
        let found = values.len();
        let values = Array4::from_shape_vec((b, d, h, w), values);
        let values = values.map_err(|_| Error::Length { what: "feature maps", found, expected: b * d * h * w })?;
        each(values).map_err(|e| Error::Batches(e.into()))?;
        Ok(global_average(maps))
    })
}

/// The shape `[D, h, w]` of the feature maps of an image of `side` pixels, which a black one finds out.
///
/// # Errors
/// A side of 0, or a device that fails.
pub fn feature_map_shape<B: FeatureMaps>(backbone: &B, side: usize) -> Result<[usize; 3]> {
    let image = Array3::zeros((1, side, side));
    check_batch(&image, 1)?;
    let mut network = backbone.valid();
    let device = device_of(&network)?;
    let [_, d, h, w] = network.feature_maps(upload(&image, &device), Mode::Eval).dims();
    Ok([d, h, w])
}

/// Runs `features`, `[B, 1, S, S]` to `[B, D]`, over all batches.
fn extract<B: Backbone, E: Into<BatchError>>(
    backbone: &B,
    batches: impl IntoIterator<Item = Result<(Array3<u8>, Vec<usize>), E>>,
    mut features: impl FnMut(&mut B, Tensor<4>) -> Result<Tensor<2>>,
) -> Result<Features> {
    let mut network = backbone.valid(); // on the plain device: no tape is kept
    let device = device_of(&network)?;
    let before = Frozen::of(&network)?;
    let d = network.feature_dim();
    let (mut values, mut rows): (Vec<f32>, Vec<usize>) = (Vec::new(), Vec::new());
    for batch in batches {
        let (images, batch_rows) = batch.map_err(|e| Error::Batches(e.into()))?;
        check_batch(&images, batch_rows.len())?;
        let features = read(features(&mut network, upload(&images, &device))?, "reading features")?;
        if let Some(place) = features.iter().position(|x| !x.is_finite()) {
            let (row, column) = (batch_rows[place / d], place % d);
            return Err(Error::NonFiniteFeature { row, column, value: features[place] as f32 });
        }
        values.extend(features.iter().map(|&x| x as f32));
        rows.extend(batch_rows);
    }
    if rows.is_empty() {
        return Err(Error::Setting { name: "batches", found: "none".to_owned(), expected: "at least one image" });
    }
    before.check(&network, MayMove::Nothing)?;
    let found = values.len();
    let values = Array2::from_shape_vec((rows.len(), d), values);
    let values = values.map_err(|_| Error::Length { what: "features", found, expected: rows.len() * d })?;
    Ok(Features { values, rows })
}
