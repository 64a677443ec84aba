//! Rows of images to features, by a frozen network.

use backbones::Network;
use cxr_data::{BatchLoader, BatchOptions, OnBad, ViewBatch, ViewConfig, seed};
use eval::{estimate_running_statistics, extract_features};
use ndarray::{Array2, Array3};

use crate::{
    data::{Reading, Rows},
    error::{Error, Result},
    files::{Watch, over},
};

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

/// Images from which running statistics are estimated, if a set has as many. The mean and the variance of a channel are over
/// all positions of these images; the sampling error of 2,048 is far below the difference between two batches of a training.
const STATISTICS_IMAGES: usize = 2_048;

/// The rows from which running statistics are estimated, ascending: the same for every network.
pub(crate) fn statistics_rows(rows: &Rows, run_seed: u64) -> Vec<usize> {
    let readable = rows.readable();
    // An epoch that no training reaches, so that these are not the images of a first epoch.
    let order = seed::epoch_order(run_seed, u64::MAX, readable.len());
    let mut drawn: Vec<usize> = order.into_iter().take(STATISTICS_IMAGES).map(|place| readable[place]).collect();
    drawn.sort_unstable();
    drawn
}

/// Estimates the running statistics of a network on [`statistics_rows`], as training would but without augmentation, and
/// without changing its weights.
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
    let drawn = statistics_rows(rows, seed);
    let loader = loader(rows, &drawn, views, reading, seed)?;
    let batches = over(watch, drawn.len(), loader.shuffled::<u8>(0, 0)?.map(one_view));
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
