//! Batch size and decoding threads.

use std::ops::Range;

use crate::{
    error::{Error, Result},
    shards::Shard,
};

/// Images of a batch and threads, at most: more are a mistake, and would be asked of memory before it shows.
const MOST_IMAGES: usize = 65_536;
pub(crate) const MOST_WORKERS: usize = 4_096;

/// How images are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// Images per batch, from 1 to 65,536. Default 64.
    pub batch_size: usize,
    /// Decoding threads, from 1 to 4,096. Default: one per core.
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
        for (key, value, most) in
            [("--batch-size", self.batch_size, MOST_IMAGES), ("--workers", self.workers, MOST_WORKERS)]
        {
            if !(1..=most).contains(&value) {
                let expected = format!("at least 1 and at most {most}");
                return Err(Error::Setting { key: key.into(), found: value.to_string(), expected });
            }
        }
        Ok(())
    }
}
