//! Batches of `cxr-data` as sources for a trainer of `moco-core`.

use cxr_data::{BatchLoader, Batches, PairBatch, Share, ViewMap};
use moco_core::{Batch, BatchSource, BoxError, HostBatch, PlaneBatch, PlaneView, Shares};

type Stream<'a> = Box<dyn Iterator<Item = std::result::Result<Batch, BoxError>> + 'a>;

/// A [`BatchLoader`] as the source of a [`moco_core::Trainer`]. Views are made by the loader's threads.
#[derive(Debug)]
pub struct LoaderSource(pub BatchLoader);

impl BatchSource for LoaderSource {
    fn batches_per_epoch(&self) -> usize {
        self.0.batches_per_epoch()
    }

    fn epoch(&mut self, epoch: u64, first_batch: usize) -> Stream<'_> {
        of_pairs(self.0.pairs::<u8>(epoch, first_batch))
    }

    fn shared(&mut self, epoch: u64, first_batch: usize, shares: Shares) -> Stream<'_> {
        of_pairs(self.0.pairs_of::<u8>(epoch, first_batch, move |number| share_of(&shares, number)))
    }
}

/// As [`LoaderSource`], with the same views sampled on the device: an image is uploaded once for both.
///
/// Only for views that are [maps](cxr_data::ViewConfig::validate_map_only), as the paper's are; with others the first batch
/// is an error.
#[derive(Debug)]
pub struct PlaneSource(pub BatchLoader);

impl BatchSource for PlaneSource {
    fn batches_per_epoch(&self) -> usize {
        self.0.batches_per_epoch()
    }

    fn epoch(&mut self, epoch: u64, first_batch: usize) -> Stream<'_> {
        of_planes(self.0.planes(epoch, first_batch), self.0.views().size)
    }

    fn shared(&mut self, epoch: u64, first_batch: usize, shares: Shares) -> Stream<'_> {
        of_planes(self.0.planes_of(epoch, first_batch, move |number| share_of(&shares, number)), self.0.views().size)
    }
}

/// What a rank needs of a batch, in the loader's words.
fn share_of(shares: &Shares, number: usize) -> Share {
    let moco_core::Share { query, key } = shares.of(number);
    Share { query, key }
}

fn of_pairs(batches: cxr_data::Result<Batches<PairBatch>>) -> Stream<'static> {
    match batches {
        Ok(batches) => Box::new(batches.map(|batch| {
            let PairBatch { query, key, patients, .. } = batch?;
            Ok(HostBatch { query, key, patients }.into())
        })),
        Err(e) => Box::new(std::iter::once(Err(BoxError::from(e)))),
    }
}

fn of_planes(batches: cxr_data::Result<Batches<cxr_data::PlaneBatch>>, side: usize) -> Stream<'static> {
    match batches {
        Ok(batches) => Box::new(batches.map(move |batch| {
            let cxr_data::PlaneBatch { planes, query, key, patients, .. } = batch?;
            let (query, key) = (plane_views(query)?, plane_views(key)?);
            Ok(PlaneBatch { side, planes, query, key, patients }.into())
        })),
        Err(e) => Box::new(std::iter::once(Err(BoxError::from(e)))),
    }
}

/// Narrows the fixed-point maps to the 32-bit integers of devices, which suffice for images of up to 16,384 pixels a side.
fn plane_views(maps: Vec<(usize, ViewMap)>) -> std::result::Result<Vec<PlaneView>, BoxError> {
    let narrow = |[x, y]: [i64; 2]| Some([i32::try_from(x).ok()?, i32::try_from(y).ok()?]);
    let view = |(plane, map): (usize, ViewMap)| {
        Some(PlaneView { plane, start: narrow(map.start)?, across: narrow(map.across)?, down: narrow(map.down)? })
    };
    let views: Option<Vec<_>> = maps.into_iter().map(view).collect();
    views.ok_or_else(|| {
        "an image has a side above 16,384 pixels, too large for views on the device; set augment_on = \"host\"".into()
    })
}
