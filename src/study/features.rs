//! Features of rows, computed by a frozen network.

use std::sync::Arc;

use backbones::Network;
use cxr_data::{BatchLoader, BatchOptions, OnBad, ViewBatch, ViewConfig};
use eval::{estimate_running_statistics, extract_features};
use ndarray::{Array2, Array3};

use crate::{
    data::{Labelled, Reading, Rows},
    error::{Error, Result},
    files::{Watch, over},
};

/// Features of labelled rows, together with the rows.
#[derive(Debug, Clone)]
pub(crate) struct Features {
    labelled: Arc<Labelled>,
    /// `[N, D]`, one row per labelled row.
    values: Array2<f32>,
}

impl Features {
    /// Computes features in eval mode, and checks afterwards that no weight and no running statistic changed.
    ///
    /// # Errors
    /// An image that cannot be read, a device error, or a network that changed.
    pub(crate) fn of(
        network: &Network,
        labelled: &Arc<Labelled>,
        views: ViewConfig,
        reading: Reading,
        watch: &dyn Watch,
    ) -> Result<Self> {
        let values = features(network, labelled.set(), labelled.rows(), views, reading, watch)?;
        Ok(Self { labelled: labelled.clone(), values })
    }

    /// The labelled rows.
    pub(crate) fn labelled(&self) -> &Labelled {
        &self.labelled
    }

    /// `[N, D]`.
    pub(crate) fn values(&self) -> &Array2<f32> {
        &self.values
    }
}

/// Features of all parts, computed by one network.
pub(crate) struct Arm {
    /// The network itself.
    pub(crate) network: Network,
    pub(crate) train: Features,
    pub(crate) valid: Option<Features>,
    pub(crate) test: Features,
}

/// Features `[N, D]` of the `wanted` rows of a set, in their order.
pub(crate) fn features(
    network: &Network,
    rows: &Rows,
    wanted: &[usize],
    views: ViewConfig,
    reading: Reading,
    watch: &dyn Watch,
) -> Result<Array2<f32>> {
    let loader = loader(rows, wanted, views, reading, 0)?;
    let batches = over(watch, wanted.len(), loader.in_order::<u8>().map(one_view));
    let eval::Features { values, rows: came } = extract_features(network, batches)?;
    same_rows(&came, wanted)?;
    Ok(values)
}

/// Estimates the running statistics of a network on these rows, as training would, without changing its weights.
///
/// # Errors
/// As [`features`].
pub(crate) fn adapt_statistics(
    network: &mut Network,
    rows: &Rows,
    views: ViewConfig,
    reading: Reading,
    seed: u64,
    watch: &dyn Watch,
) -> Result<()> {
    let loader = loader(rows, rows.readable(), views, reading, seed)?;
    let batches = over(watch, rows.readable().len(), loader.shuffled::<u8>(0, 0)?.map(one_view));
    Ok(estimate_running_statistics(network, batches)?)
}

/// A loader of the `wanted` rows.
pub(crate) fn loader(
    rows: &Rows,
    wanted: &[usize],
    views: ViewConfig,
    reading: Reading,
    seed: u64,
) -> Result<BatchLoader> {
    let options = BatchOptions {
        batch_size: reading.batch_size.min(wanted.len().max(1)),
        workers: reading.workers,
        seed,
        on_bad: OnBad::Fail,
        ..BatchOptions::default()
    };
    let loader = BatchLoader::new(rows.manifest(), views, options)?.with_rows(wanted)?;
    Ok(loader.with_source(rows.images(&views)?))
}

/// Images and rows of a batch with one view per image.
pub(crate) fn one_view(batch: cxr_data::Result<ViewBatch>) -> cxr_data::Result<(Array3<u8>, Vec<usize>)> {
    batch.map(|batch| (batch.images, batch.rows))
}

/// Checks that the rows returned are those requested, in the same order: features and scores are matched with labels and
/// paths by position.
pub(crate) fn same_rows(came: &[usize], asked: &[usize]) -> Result<()> {
    if came == asked {
        return Ok(());
    }
    let place = came.iter().zip(asked).position(|(came, asked)| came != asked).unwrap_or(came.len().min(asked.len()));
    Err(Error::OtherRows { place, came: came.get(place).copied(), asked: asked.get(place).copied() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn other_rows_than_requested_are_an_error_with_the_position() {
        assert!(same_rows(&[2, 3, 5], &[2, 3, 5]).is_ok());
        let message = |came: &[usize]| same_rows(came, &[2, 3, 5]).unwrap_err().to_string();
        assert!(message(&[2, 5, 5]).contains("found row 5 at position 1, expected row 3"), "{}", message(&[2, 5, 5]));
        assert!(message(&[3, 2, 5]).contains("found row 3 at position 0, expected row 2"));
        assert!(message(&[2, 3]).contains("found nothing at position 2, expected row 5"));
    }
}
