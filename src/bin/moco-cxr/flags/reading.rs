//! How images are read and passed to a network: `--batch-size`, `--workers` and `--cache`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::Sources;

use super::{
    bad_argument::{BadArgument, OrBadArgument},
    new_name::new_name,
};
use crate::Fault;

/// `--workers`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArguments {
    /// Threads that read and prepare images; 0 for one per core. [default: 0]
    #[arg(long, short = 'j')]
    pub(crate) workers: Option<usize>,
}

impl WorkerArguments {
    /// The number of threads, if it was given and is not 0.
    pub(crate) fn count(&self) -> Option<usize> {
        self.workers.filter(|workers| *workers > 0)
    }
}

/// How the images of a network that was already trained are read.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReadingArguments {
    /// Images per batch. [default: 64; 16 where a head or network is trained in steps]
    #[arg(long, short)]
    pub(crate) batch_size: Option<usize>,
    #[command(flatten)]
    pub(crate) workers: WorkerArguments,
    /// Folder of a cache of decoded, resized images, created or completed as needed; several data sets and image sizes share
    /// one.
    #[arg(long, value_name = "DIR", value_parser = new_name())]
    pub(crate) cache: Option<PathBuf>,
}

impl ReadingArguments {
    /// Sets threads and cache, and the batch size, if one is given.
    pub(crate) fn apply(&self, sources: &mut Sources, batch_size: Option<usize>) -> Result<(), Fault> {
        let reading = &mut sources.reading;
        reading.batch_size = batch_size.unwrap_or(reading.batch_size);
        reading.workers = self.workers.count().unwrap_or(reading.workers);
        if let Some(cache) = self.cache.as_ref().filter(|cache| cache.exists() && !cache.is_dir()) {
            return Err(BadArgument::found("--cache", format!("{}, which is a file", cache.display()), "a folder"));
        }
        sources.cache = self.cache.clone();
        sources.reading.validate().or_bad_argument()
    }
}
