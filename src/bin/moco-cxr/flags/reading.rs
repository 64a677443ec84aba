//! How images are read and passed to a network: `--batch-size`, `--workers` and `--cache`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::Sources;

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
    /// Folder of the image cache of a pretraining; images are read from it instead of their files.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}

impl ReadingArguments {
    /// Sets how images are read.
    pub(crate) fn apply(&self, sources: &mut Sources) {
        let reading = &mut sources.reading;
        reading.batch_size = self.batch_size.unwrap_or(reading.batch_size);
        reading.workers = self.workers.count().unwrap_or(reading.workers);
        sources.cache = self.cache.clone();
    }
}
