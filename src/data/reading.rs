//! Batch size and decoding threads.

use std::ops::Range;

use crate::{
    error::{Error, Result},
    shards::Shard,
};

/// How images are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// Images per batch, at least 1. Default 64.
    pub batch_size: usize,
    /// Decoding threads. Default: one per core.
    pub workers: usize,
    /// Of several equal parts of the images the one that is worked on, for [`Study::embed`](crate::Study::embed) and
    /// [`Study::predict`](crate::Study::predict). Default: all.
    pub shard: Option<Shard>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { batch_size: 64, workers: std::thread::available_parallelism().map_or(1, usize::from), shard: None }
    }
}

impl Reading {
    /// Places of the shard among `n` images.
    pub(crate) fn share(&self, n: usize) -> Range<usize> {
        self.shard.map_or(0..n, |shard| shard.range(n, self.batch_size))
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        for (key, value) in [("batch size", self.batch_size), ("workers", self.workers)] {
            if value == 0 {
                return Err(Error::Setting { key: key.into(), found: "0".into(), expected: "at least 1".into() });
            }
        }
        Ok(())
    }
}
