//! Batches of labelled images for training, shuffled anew in every epoch.

use std::sync::Arc;

use cxr_data::{BatchLoader, BatchOptions, Crop, ImageSource, OnBad, ViewConfig, seed};
use ndarray::{Array2, Array3, Axis};

use crate::{
    data::{Labelled, Reading},
    error::Result,
    files::{Watch, over},
    study::features::{loader, one_view},
};

/// Images and targets of labelled rows.
pub(super) struct Images<'a> {
    labelled: &'a Labelled,
    targets: Array2<f64>,
    source: Arc<dyn ImageSource>,
    views: ViewConfig,
    reading: Reading,
    watch: &'a dyn Watch,
}

impl<'a> Images<'a> {
    /// Opens the images; `views` are those of evaluation.
    ///
    /// # Errors
    /// A cache that cannot be opened.
    pub(super) fn new(
        labelled: &'a Labelled,
        views: ViewConfig,
        reading: Reading,
        watch: &'a dyn Watch,
    ) -> Result<Self> {
        let source = labelled.set().images(&views)?;
        Ok(Self { labelled, targets: labelled.targets(), source, views, reading, watch })
    }

    pub(super) fn labelled(&self) -> &'a Labelled {
        self.labelled
    }

    /// Every image once, in the order of the rows, with evaluation views.
    pub(super) fn in_order(
        &self,
    ) -> Result<impl Iterator<Item = cxr_data::Result<(Array3<u8>, Vec<usize>)>> + use<'a>> {
        let rows = self.labelled.rows();
        let loader = loader(self.labelled.set(), rows, self.views, self.reading, 0)?;
        Ok(over(self.watch, rows.len(), loader.in_order::<u8>().map(one_view)))
    }

    /// A shuffled epoch over `places`: images `[B, S, S]` and targets `[B, T]`. The crop is placed at random along the longer
    /// side, as in the reference (`CX/data/base_dataset.py`); there is no other augmentation. A last batch of a single image,
    /// which has no variance, is dropped.
    pub(super) fn epoch(
        &self,
        places: &[usize],
        epoch: usize,
        run_seed: u64,
        batch_size: usize,
    ) -> Result<impl Iterator<Item = cxr_data::Result<(Array3<u8>, Array2<f64>)>>> {
        let mut order = seed::epoch_order(run_seed, epoch as u64, places.len());
        if order.len() % batch_size == 1 {
            order.pop();
        }
        let rows: Vec<usize> = order.iter().map(|&i| self.labelled.rows()[places[i]]).collect();
        let options = BatchOptions {
            batch_size,
            workers: self.reading.workers,
            // `in_order` always draws the crops of epoch 0, so each epoch gets its own seed.
            seed: run_seed.wrapping_add((epoch as u64) << 32),
            on_bad: OnBad::Fail,
            ..BatchOptions::default()
        };
        let mut views = self.views;
        views.crop = Crop::Random;
        let loader = BatchLoader::new(self.labelled.set().manifest(), views, options)?.with_rows(&rows)?;
        let batches = loader.with_source(self.source.clone()).in_order::<u8>().map(one_view);
        Ok(over(self.watch, rows.len(), batches).map(|batch| {
            let (images, rows) = batch?;
            let place = |row: &usize| self.labelled.rows().binary_search(row).ok();
            let places: Vec<usize> = rows.iter().filter_map(place).collect();
            Ok((images, self.targets.select(Axis(0), &places)))
        }))
    }
}
