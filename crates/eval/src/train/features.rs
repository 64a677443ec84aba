//! Features of a frozen network, computed once and kept on the host.

use backbones::{Backbone, Mode};
use ndarray::{Array2, Array3, Axis};

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
    let mut network = backbone.valid(); // on the plain device: no tape is kept
    let device = device_of(&network)?;
    let before = Frozen::of(&network)?;
    let d = network.feature_dim();
    let (mut values, mut rows): (Vec<f32>, Vec<usize>) = (Vec::new(), Vec::new());
    for batch in batches {
        let (images, batch_rows) = batch.map_err(|e| Error::Batches(e.into()))?;
        check_batch(&images, batch_rows.len())?;
        let features = network.features(upload(&images, &device), Mode::Eval); // [B, D]
        let features = read(features, "reading features")?;
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
