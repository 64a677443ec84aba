//! Batch size and decoding threads.

use crate::error::{Error, Result};

/// How images are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// Images per batch, at least 1. Default 64.
    pub batch_size: usize,
    /// Decoding threads. Default: one per core.
    pub workers: usize,
}

impl Default for Reading {
    fn default() -> Self {
        Self { batch_size: 64, workers: std::thread::available_parallelism().map_or(1, usize::from) }
    }
}

impl Reading {
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
