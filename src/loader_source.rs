//! Where the two sides meet: the batches of `cxr-data` as `moco-core` takes them.

use cxr_data::{BatchLoader, PairBatch};
use moco_core::{BatchSource, BoxError, HostBatch};

/// A loader as the source of a [`moco_core::Trainer`], for a backbone of one's own.
#[derive(Debug)]
pub struct LoaderSource(pub BatchLoader);

impl BatchSource for LoaderSource {
    fn batches_per_epoch(&self) -> usize {
        self.0.batches_per_epoch()
    }

    fn epoch(
        &mut self,
        epoch: u64,
        first_batch: usize,
    ) -> Box<dyn Iterator<Item = std::result::Result<HostBatch, BoxError>> + '_> {
        match self.0.pairs::<u8>(epoch, first_batch) {
            Ok(batches) => Box::new(batches.map(|batch| {
                let PairBatch { query, key, patients, .. } = batch?;
                Ok(HostBatch { query, key, patients })
            })),
            Err(e) => Box::new(std::iter::once(Err(BoxError::from(e)))),
        }
    }
}
